//! `/etc/resolv.conf`, written in place: Docker bind-mounts the file, so there is no rename and no temp file.
//! `search` and `options` are kept; only the `nameserver` lines are ours.

use std::fs::{File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::fence::Opening;

/// Docker's own resolver, which forwards to the upstream servers.
pub const DOCKER_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// More than any resolver reads.
const MAX_LEN: u64 = 64 << 10;

/// Why resolv.conf could not be made ours.
#[derive(Debug, thiserror::Error)]
pub enum ResolvError {
    /// It can't be opened, read or written.
    #[error("Can't write {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It was written, but reads differently.
    #[error("{path} does not read as it was written")]
    ReadBack {
        /// The file.
        path: PathBuf,
    },
}

/// The name servers for a state, best first.
///
/// While open, Docker's resolver answers, and CoreDNS's address stands second: a process that read the file
/// then (and never reads it again) is refused by the first at once after closing, and goes on to the second.
pub fn nameservers(opening: Opening, coredns: Ipv4Addr) -> Vec<Ipv4Addr> {
    match opening {
        Opening::Closed => vec![coredns],
        Opening::For(_) | Opening::Indefinitely => vec![DOCKER_DNS, coredns],
    }
}

/// The file's new text: `nameserver` lines first, then every other line as it was.
pub fn rewrite(original: &str, nameservers: &[Ipv4Addr]) -> String {
    let mut text: String = nameservers.iter().map(|address| format!("nameserver {address}\n")).collect();
    // Not `lines`, which would take a carriage return away each time.
    for line in original.split('\n').filter(|line| !is_ours(line)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Lines that `rewrite` replaces: name servers, and Docker's comments, which describe what no longer holds.
fn is_ours(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with(['#', ';']) || line.split_whitespace().next() == Some("nameserver")
}

/// The open file. It is opened once, before anything of the agent's runs.
#[derive(Debug)]
pub struct ResolvConf {
    path: PathBuf,
    file: File,
}

impl ResolvConf {
    /// Opens the file for reading and writing.
    ///
    /// # Errors
    /// [`ResolvError::Io`].
    pub fn open(path: &Path) -> Result<Self, ResolvError> {
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file }),
            Err(source) => Err(ResolvError::Io { path: path.to_owned(), source }),
        }
    }

    /// Writes the name servers and reads them back.
    ///
    /// # Errors
    /// [`ResolvError`]; the file may hold either text then.
    pub fn point(&self, nameservers: &[Ipv4Addr]) -> Result<(), ResolvError> {
        let io = |source| ResolvError::Io { path: self.path.clone(), source };
        let wanted = rewrite(&self.text().map_err(io)?, nameservers);
        self.file.write_all_at(wanted.as_bytes(), 0).map_err(io)?;
        self.file.set_len(wanted.len() as u64).map_err(io)?;
        if self.text().map_err(io)? == wanted {
            Ok(())
        } else {
            Err(ResolvError::ReadBack { path: self.path.clone() })
        }
    }

    fn text(&self) -> std::io::Result<String> {
        let length = usize::try_from(self.file.metadata()?.len().min(MAX_LEN)).unwrap_or(0);
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const COREDNS: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 3);

    #[test]
    fn search_and_options_are_kept_and_name_servers_replaced() {
        let original =
            "# Generated\nnameserver 1.2.3.4\nsearch corp.example\n\toptions ndots:0\nnameserver ::1\n";
        assert_eq!(
            rewrite(original, &[COREDNS]),
            "nameserver 172.20.0.3\nsearch corp.example\n\toptions ndots:0\n"
        );
    }

    #[test]
    fn what_was_written_is_left_as_it_is() {
        for odd in ["options ndots:0\r\r\nnameserver ::1\r\n", "search a.test", "\r\n\u{b}x\n"] {
            let once = rewrite(odd, &[COREDNS]);
            assert_eq!(rewrite(&once, &[COREDNS]), once);
        }
    }

    #[test]
    fn a_process_that_remembers_dockers_resolver_finds_coredns_second() {
        assert_eq!(nameservers(Opening::Closed, COREDNS), [COREDNS]);
        assert_eq!(nameservers(Opening::For(Duration::from_secs(1)), COREDNS), [DOCKER_DNS, COREDNS]);
        assert_eq!(nameservers(Opening::Indefinitely, COREDNS), [DOCKER_DNS, COREDNS]);
    }

    #[test]
    fn the_file_is_written_in_place_and_shrinks() {
        let path = std::env::temp_dir().join(format!("clawker-resolv-{}", std::process::id()));
        std::fs::write(&path, "nameserver 9.9.9.9\nnameserver 8.8.8.8\noptions ndots:0\n").unwrap();
        let conf = ResolvConf::open(&path).unwrap();
        conf.point(&[COREDNS]).unwrap();
        conf.point(&[COREDNS]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nameserver 172.20.0.3\noptions ndots:0\n");
        std::fs::remove_file(&path).unwrap();
    }
}
