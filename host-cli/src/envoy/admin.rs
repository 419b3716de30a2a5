//! Envoy's admin interface: a Unix socket in the state folder, spoken to with one request a connection.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ADMIN;

/// How long an answer may take.
const TIME: Duration = Duration::from_secs(5);
/// The longest answer.
const MAX_ANSWER: u64 = 16 << 20;

/// Versions, refusals, and how far the workers are.
const STATISTICS: &str = "/stats?filter=%5C.(version_text%7Cupdate_rejected%7Cupdate_failure)$%7C\
     ^server.concurrency$%7C^listener_manager.listener_(added%7Cmodified%7Ccreate_success%7Ccreate_failure)$";

/// What Envoy says it has taken and refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    lines: Vec<(String, String)>,
}

impl Taken {
    /// The version in force of `listener_manager.lds`, `cluster_manager.cds`, or `http.….rds.…`.
    pub fn version(&self, of: &str) -> Option<&str> {
        let name = format!("{of}.version_text");
        let value =
            self.lines.iter().find(|(key, _)| key.ends_with(&name)).map(|(_, value)| value.as_str())?;
        Some(value.trim_matches('"'))
    }

    /// Whether every worker has every listener as it is now: a version is in force once the main thread has it, and the
    /// workers, who take connections, follow. Each counts each listener that it took, changed ones in place too.
    pub fn reached_workers(&self) -> bool {
        let of = |key: &str| {
            let value = self.lines.iter().find(|(name, _)| name == key).map(|(_, value)| value);
            value.and_then(|value| value.parse::<u64>().ok()).unwrap_or_default()
        };
        let listener = |what: &str| of(&format!("listener_manager.listener_{what}"));
        let due = of("server.concurrency") * (listener("added") + listener("modified"));
        listener("create_success") + listener("create_failure") >= due
    }

    /// How often anything was refused.
    pub fn refusals(&self) -> u64 {
        let counts = |key: &str| key.ends_with(".update_rejected") || key.ends_with(".update_failure");
        self.lines
            .iter()
            .filter(|(key, _)| counts(key))
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum()
    }
}

/// Asks what Envoy has taken.
///
/// # Errors
/// When nobody answers.
pub fn taken(run: &Path) -> io::Result<Taken> {
    let text = get(run, STATISTICS)?;
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    Ok(Taken { lines: lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect() })
}

/// Whether Envoy takes connections.
pub fn is_ready(run: &Path) -> bool {
    get(run, "/ready").is_ok_and(|text| text.trim() == "LIVE")
}

/// One GET; the body. Anything but 200 is an error.
///
/// # Errors
/// When the socket can't be reached or the answer is none.
pub fn get(run: &Path, target: &str) -> io::Result<String> {
    let mut stream = connect(run)?;
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    stream
        .write_all(format!("GET {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    body(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::other("Envoy's admin socket answered with an error"))
}

/// A folder that is too deep for a socket's address is reached through a descriptor of it.
fn connect(run: &Path) -> io::Result<UnixStream> {
    let path = run.join(ADMIN);
    if path.as_os_str().len() < 108 {
        return UnixStream::connect(path);
    }
    let folder = File::open(run)?;
    UnixStream::connect(PathBuf::from(format!("/proc/self/fd/{}/{ADMIN}", folder.as_raw_fd())))
}

fn body(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Some(body.to_owned());
    }
    let (mut whole, mut rest) = (String::new(), body);
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.push_str(after.get(..size)?);
        rest = after.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_are_behind_until_each_has_taken_each_listener() {
        let taken = |success: &str| {
            let lines = [
                ("server.concurrency", "2"),
                ("listener_manager.listener_added", "3"),
                ("listener_manager.listener_modified", "4"),
                ("listener_manager.listener_create_success", success),
            ];
            Taken { lines: lines.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec() }
        };
        assert!(!taken("13").reached_workers());
        assert!(taken("14").reached_workers());
    }

    #[test]
    fn chunks_are_put_together_and_errors_are_errors() {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na: \r\n2\r\n1\n\r\n0\r\n\r\n";
        assert_eq!(body(answer).as_deref(), Some("a: 1\n"));
        assert_eq!(body("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nLIVE").as_deref(), Some("LIVE"));
        assert_eq!(body("HTTP/1.1 503 No\r\n\r\nDRAINING"), None);
        assert_eq!(body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort"), None);
    }
}
