//! An agent's copy as Docker packs it. The tree is the agent's and the packer is not ours, so that nothing in it is
//! trusted: a path that leaves the folder, lies behind something that is no folder, or comes twice ends the reading, as
//! does an archive without an end, which would look as if the agent had deleted the rest.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tar::{Archive, Entry, EntryType};

use super::hold::is_git;
use super::node::{Hash, Hashing, MODE, Node, Tree};
use super::spool::Spool;
use crate::snapshot::FOLDER;
use crate::workspace::look::shown;

/// More names are not read.
const MAX_NAMES: usize = 3_000_000;
/// More bytes in all files together are not read: a file of holes may say that it is as long as it likes.
const MAX_BYTES: u64 = 256 << 30;
/// Contents up to this length are kept before it is known whether they are wanted.
const SMALL: u64 = 1 << 20;
/// As long as all of them together are not more than this.
const MAX_SMALL: u64 = 256 << 20;
/// `.gitignore` files that are longer, all of them together, are not heeded: patterns take time.
const MAX_IGNORES: usize = 512 << 10;
/// As much of a path is told.
const MAX_TOLD: usize = 200;
/// What a path may be, in bytes, for the kernel (`PATH_MAX`, with room for what is written beside).
const MAX_PATH: usize = 4000;
/// A block of an archive. Two of zeros are its end.
const BLOCK: u64 = 512;

/// Why an agent's copy can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream itself.
    #[error("Reading the agent's copy failed")]
    Io(#[from] io::Error),
    /// It ended before its end.
    #[error("The agent's copy broke off while it was read; try again")]
    BrokenOff,
    /// An entry that no packer makes.
    #[error("The agent's copy can't be read: {} {what}", crate::output::escape(.path))]
    Malformed {
        /// Its path.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It is larger than anybody's project.
    #[error("The agent's copy is too large to be read, at {}: more than {what}", crate::output::escape(.path))]
    TooLarge {
        /// Where.
        path: String,
        /// Of what.
        what: &'static str,
    },
}

/// Whose contents are kept.
#[derive(Debug)]
pub enum Keep<'a> {
    /// Of small files that are not in this tree.
    Small(&'a Tree),
    /// These, whatever their length.
    These(&'a HashMap<Hash, u64>),
}

/// What was read.
#[derive(Debug, Default)]
pub struct Seen {
    /// The tree. Of what is in a `.git` there is nothing, only that there is one.
    pub tree: Tree,
    /// Its `.gitignore` files.
    pub ignores: HashMap<PathBuf, Vec<u8>>,
}

/// Reads an archive to its end.
///
/// # Errors
/// [`ArchiveError`].
pub fn read(from: impl Read, keep: &Keep<'_>, spool: &mut Spool) -> Result<Seen, ArchiveError> {
    let mut archive = Archive::new(Ends { inner: from, read: 0, zeros: 0 });
    let lens = match keep {
        Keep::Small(_) => HashSet::new(),
        Keep::These(hashes) => hashes.values().copied().collect(),
    };
    let mut reading =
        Reading { seen: Seen::default(), keep, spool, bytes: 0, lens, ignores_left: MAX_IGNORES };
    let mut end = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        reading.entry(&mut entry)?;
        end = entry.raw_file_position() + entry.size().div_ceil(BLOCK) * BLOCK;
    }
    let mut from = archive.into_inner();
    io::copy(&mut from, &mut io::sink())?;
    // Counted from where the last entry ends: zeros before that are a file's.
    if from.read < end + 2 * BLOCK || from.zeros < 2 * BLOCK || reading.seen.tree.is_empty() {
        return Err(ArchiveError::BrokenOff);
    }
    Ok(reading.seen)
}

struct Reading<'a> {
    seen: Seen,
    keep: &'a Keep<'a>,
    spool: &'a mut Spool,
    bytes: u64,
    /// Lengths of what is wanted.
    lens: HashSet<u64>,
    ignores_left: usize,
}

impl Reading<'_> {
    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<(), ArchiveError> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let raw = entry.path_bytes().into_owned();
        let malformed =
            |what| ArchiveError::Malformed { path: shown(Path::new(OsStr::from_bytes(&raw))), what };
        if raw.len() > MAX_PATH {
            return Err(malformed("lies too deep"));
        }
        let path = place(&raw).ok_or_else(|| malformed("has a path that leads elsewhere"))?;
        let in_git = path.parent().is_some_and(|folder| folder.iter().any(is_git));
        self.bytes = self.bytes.saturating_add(entry.size());
        let too_large = |what| ArchiveError::TooLarge { path: told(path.as_os_str().as_bytes()), what };
        if self.bytes > MAX_BYTES {
            return Err(too_large("256 GB"));
        }
        if in_git {
            return Ok(());
        }
        if self.seen.tree.len() >= MAX_NAMES {
            return Err(too_large("3,000,000 names"));
        }
        match path.parent() {
            Some(parent) if self.seen.tree.get(parent) != Some(&Node::Folder) => {
                return Err(malformed("lies in what is no folder"));
            }
            None if kind != EntryType::Directory => return Err(malformed("is no folder")),
            _ => {}
        }
        let node = match kind {
            EntryType::Directory => Node::Folder,
            EntryType::Regular => self.file(entry, &path)?,
            EntryType::Symlink => match entry.link_name_bytes() {
                Some(target) if !target.is_empty() && !target.contains(&0) => {
                    Node::Link(OsStr::from_bytes(&target).into())
                }
                _ => return Err(malformed("leads nowhere")),
            },
            // A second name of a file that came before.
            EntryType::Link => {
                let target = entry.link_name_bytes().and_then(|name| place(&name));
                match target.and_then(|target| self.seen.tree.get(&target)) {
                    Some(file @ Node::File { .. }) => file.clone(),
                    _ => Node::Other,
                }
            }
            _ => Node::Other,
        };
        match self.seen.tree.insert(path, node) {
            None => Ok(()),
            Some(_) => Err(malformed("comes twice")),
        }
    }

    fn file<R: Read>(&mut self, entry: &mut Entry<'_, R>, path: &Path) -> Result<Node, ArchiveError> {
        let len = entry.size();
        let mode = entry.header().mode()? & MODE;
        let in_memory = len <= SMALL;
        let is_ignore = in_memory && path.file_name() == Some(OsStr::new(".gitignore"));
        let wanted = match self.keep {
            Keep::Small(_) => in_memory && self.spool.len() + len <= MAX_SMALL,
            Keep::These(_) => self.lens.contains(&len),
        };
        let mut content = Hashing::new(&mut *entry);
        let mut bytes = Vec::new();
        if in_memory {
            content.read_to_end(&mut bytes)?;
        } else if wanted {
            io::copy(&mut content, &mut self.spool.writer())?;
        } else {
            io::copy(&mut content, &mut io::sink())?;
        }
        let (hash, got) = content.finish();
        if got != len {
            return Err(ArchiveError::BrokenOff);
        }
        let node = Node::File { hash, len, mode };
        let wanted = wanted
            && !self.spool.has(&hash)
            && match self.keep {
                Keep::Small(base) => !base.get(path).is_some_and(|before| before.is_same(&node)),
                Keep::These(hashes) => hashes.contains_key(&hash),
            };
        if wanted {
            if in_memory {
                self.spool.writer().write_all(&bytes)?;
            }
            self.spool.keep(hash, len);
        }
        if is_ignore && bytes.len() <= self.ignores_left {
            self.ignores_left -= bytes.len();
            self.seen.ignores.insert(path.to_owned(), bytes);
        }
        Ok(node)
    }
}

/// A path for people, or its beginning.
fn told(raw: &[u8]) -> String {
    match raw.get(..MAX_TOLD) {
        Some(begin) if raw.len() > MAX_TOLD => format!("{}…", shown(Path::new(OsStr::from_bytes(begin)))),
        _ => shown(Path::new(OsStr::from_bytes(raw))),
    }
}

/// An entry's path from the folder that was packed; `None` where it is none that the kernel could have had.
fn place(raw: &[u8]) -> Option<PathBuf> {
    let raw = raw.strip_suffix(b"/").unwrap_or(raw);
    if raw.contains(&0) {
        return None;
    }
    let mut parts = raw.split(|byte| *byte == b'/');
    if parts.next() != Some(FOLDER.as_bytes()) {
        return None;
    }
    let is_name = |part: &&[u8]| !part.is_empty() && *part != b"." && *part != b".." && part.len() <= 255;
    let mut path = PathBuf::new();
    for part in parts {
        path.push(Some(part).filter(is_name).map(OsStr::from_bytes)?);
    }
    Some(path)
}

/// Counts what is read, and the zeros at its end.
struct Ends<R> {
    inner: R,
    read: u64,
    zeros: u64,
}

impl<R: Read> Read for Ends<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let piece = buffer.get(..count).unwrap_or_default();
        let zeros = piece.iter().rev().take_while(|byte| **byte == 0).count();
        self.zeros = if zeros == count { self.zeros + zeros as u64 } else { zeros as u64 };
        self.read += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
