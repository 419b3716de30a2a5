//! What a name in a tree stands for, as far as two trees are compared by it.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A content's SHA-256.
pub type Hash = [u8; 32];

/// Bits of a mode that are ever looked at: never set-id, never sticky.
pub const MODE: u32 = 0o777;

/// A tree, by path from its root. A folder stands before what is in it.
pub type Tree = BTreeMap<PathBuf, Node>;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A folder.
    Folder,
    /// An ordinary file.
    File {
        /// Of its content.
        hash: Hash,
        /// Its length in bytes.
        len: u64,
        /// Its mode's lower nine bits.
        mode: u32,
    },
    /// A symbolic link, and where it leads, as it is written.
    Link(PathBuf),
    /// A pipe, a socket, a device, or something that can't be read.
    Other,
}

impl Node {
    /// Whether a file's owner may run it: of a mode, this alone is compared, as git does. The rest says who else may
    /// read the file on one machine.
    pub fn is_executable(&self) -> bool {
        matches!(self, Self::File { mode, .. } if mode & 0o100 != 0)
    }

    /// A file's content.
    pub fn hash(&self) -> Option<&Hash> {
        match self {
            Self::File { hash, .. } => Some(hash),
            _ => None,
        }
    }

    /// Whether it is the same for whoever compares. What can't be told is the same as nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { hash, .. }, Self::File { hash: other_hash, .. }) => {
                hash == other_hash && self.is_executable() == other.is_executable()
            }
            (Self::Other, _) | (_, Self::Other) => false,
            (one, other) => one == other,
        }
    }
}

/// Whether there is the same, or on both sides nothing.
pub fn same(one: Option<&Node>, other: Option<&Node>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}

/// Whether anything lies below a path.
pub fn has_below(tree: &Tree, path: &Path) -> bool {
    let behind = (Bound::Excluded(path), Bound::Unbounded);
    tree.range::<Path, _>(behind).next().is_some_and(|(next, _)| next.starts_with(path))
}

/// Hashes what is read through it.
#[derive(Debug)]
pub struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    len: u64,
}

impl<R: Read> Hashing<R> {
    /// Around a reader.
    pub fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256::new(), len: 0 }
    }

    /// What was read: its hash and its length.
    pub fn finish(self) -> (Hash, u64) {
        (self.hasher.finalize().into(), self.len)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(read) = buffer.get(..count) {
            self.hasher.update(read);
        }
        self.len += count as u64;
        Ok(count)
    }
}
