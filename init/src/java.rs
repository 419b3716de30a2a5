//! Java reads no bundle of the other variables: each JRE of the image gets a trust store with its own roots and ours,
//! and finds it by itself. No variable: Java would print it at every start, into what scripts read.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use clawker_protocol::places;

use crate::truststore::{Entries, certificates};

/// Where JREs are, besides `JAVA_HOME` and where `java` leads: each entry of these is looked at.
const FOLDERS: [&str; 5] = ["/usr/lib/jvm", "/usr/java", "/usr/local", "/opt", "/opt/java"];
/// Where a JRE keeps its roots, below its home; the second is Java 8's in a JDK.
const SECURITY: [&str; 2] = ["lib/security", "jre/lib/security"];
/// Read before `cacerts`, and in its place (JSSE reference guide, "Customizing the default keystores").
const PREFERRED: &str = "jssecacerts";
/// A larger store is none.
const MAX_STORE: u64 = 4 << 20;
/// So many JREs at most: an image decides how many there are.
const MAX_JRES: usize = 16;

/// Writes the stores. `link` leads each JRE to its own: at boot, while nothing else runs that could move a folder
/// under us. `image_pem` stands in where a JRE's own roots can't be read.
///
/// # Errors
/// One sentence, when a store can't be written or a JRE be led to it.
pub fn publish(image_pem: &str, extra_pem: &str, link: bool) -> Result<(), String> {
    let mut sources: Vec<PathBuf> = Vec::new();
    for security in folders() {
        let Ok(cacerts) = fs::canonicalize(security.join("cacerts")) else { continue };
        let number = sources.iter().position(|source| *source == cacerts).unwrap_or(sources.len());
        let store = store(number);
        if number == sources.len() {
            let bytes = with_ours(read(&cacerts).ok().as_deref(), image_pem, extra_pem);
            crate::boot::write_public(&store, &bytes)
                .map_err(|error| format!("can't write {}: {error}", store.display()))?;
            sources.push(cacerts);
        }
        if link {
            lead(&security.join(PREFERRED), &store).map_err(|error| {
                format!("Java in {} does not trust our roots: {error}", security.display())
            })?;
        }
    }
    Ok(())
}

fn store(number: usize) -> PathBuf {
    match number {
        0 => places::JAVA_CACERTS.into(),
        more => format!("{}-{more}", places::JAVA_CACERTS).into(),
    }
}

/// A store with what the JRE's own holds, and ours.
fn with_ours(cacerts: Option<&[u8]>, image_pem: &str, extra_pem: &str) -> Vec<u8> {
    let mut entries = cacerts.and_then(Entries::read).unwrap_or_else(|| {
        let mut entries = Entries::default();
        certificates(image_pem).for_each(|one| entries.add("image", &one));
        entries
    });
    certificates(extra_pem).for_each(|one| entries.add("clawker", &one));
    entries.write()
}

/// Makes the link, or finds it there. A file of that name is the image's own and stays.
fn lead(link: &Path, store: &Path) -> io::Result<()> {
    match symlink(store, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::read_link(link) {
            Ok(target) if target == store => Ok(()),
            Ok(target) if target.starts_with(places::PUBLIC_DIR) => {
                fs::remove_file(link).and_then(|()| symlink(store, link))
            }
            _ => Err(io::Error::other(format!("the image has a {PREFERRED} of its own"))),
        },
        other => other,
    }
}

/// The folders with a JRE's roots, each once and without links.
fn folders() -> Vec<PathBuf> {
    let mut homes: Vec<PathBuf> = std::env::var_os("JAVA_HOME").into_iter().map(PathBuf::from).collect();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        if let Ok(java) = fs::canonicalize(folder.join("java")) {
            homes.push(java.join("../.."));
            break;
        }
    }
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        homes.extend(entries.flatten().map(|entry| entry.path()));
    }
    let mut folders = Vec::new();
    for home in homes {
        for below in SECURITY {
            let Ok(security) = fs::canonicalize(home.join(below)) else { continue };
            if folders.len() < MAX_JRES && !folders.contains(&security) && security.join("cacerts").exists() {
                folders.push(security);
            }
        }
    }
    folders
}

/// Reads a store. A pipe of that name must not hold PID 1.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_STORE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn a_jre_keeps_its_own_roots_and_one_that_shows_none_gets_the_image_s() {
        let mut own = Entries::default();
        own.add("debian:some root.pem", &[0x30, 1, 9]);
        let mut expected = own.clone();
        expected.add("clawker", &[0x30, 0]);
        assert_eq!(with_ours(Some(&own.write()), PEM, PEM), expected.write());

        let mut expected = Entries::default();
        expected.add("image", &[0x30, 0]);
        expected.add("clawker", &[0x30, 0]);
        for unreadable in [None, Some(&b"\x30\x00"[..])] {
            assert_eq!(with_ours(unreadable, PEM, PEM), expected.write());
        }
    }

    #[test]
    fn a_store_of_the_image_s_own_is_not_replaced_and_our_link_is_made_once() {
        let folder = std::env::temp_dir().join(format!("clawker-java-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let link = folder.join(PREFERRED);
        for number in [0, 0, 1] {
            lead(&link, &store(number)).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), store(number));
        }
        fs::remove_file(&link).unwrap();
        fs::write(&link, "own").unwrap();
        assert!(lead(&link, &store(0)).unwrap_err().to_string().contains("of its own"));
        assert_eq!(fs::read(&link).unwrap(), b"own");
        fs::remove_dir_all(&folder).unwrap();
    }
}
