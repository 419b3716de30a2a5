//! Contents of an agent's files, by their hashes, in a file without a name: what was shown is what is written, whatever
//! the agent changes meanwhile, and nothing stays when we are killed.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::node::Hash;
use crate::store;

/// The contents.
#[derive(Debug)]
pub struct Spool {
    file: File,
    end: u64,
    at: HashMap<Hash, (u64, u64)>,
}

impl Spool {
    /// An empty one, in this folder.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        store::make_folder(folder).map_err(io::Error::other)?;
        let path = folder.join(format!(".spool.{}", std::process::id()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(path)?;
        Ok(Self { file, end: 0, at: HashMap::new() })
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Whether a content is here.
    pub fn has(&self, hash: &Hash) -> bool {
        self.at.contains_key(hash)
    }

    /// Where a content is written before its hash is known: over what was written there and not kept.
    pub fn writer(&self) -> impl Write {
        Tail { file: &self.file, at: self.end }
    }

    /// Keeps what was written to the last writer.
    pub fn keep(&mut self, hash: Hash, len: u64) {
        self.at.insert(hash, (self.end, len));
        self.end += len;
    }

    /// A content, for reading.
    pub fn content(&self, hash: &Hash) -> Option<impl Read> {
        let (at, left) = *self.at.get(hash)?;
        Some(Piece { file: &self.file, at, left })
    }
}

struct Tail<'a> {
    file: &'a File,
    at: u64,
}

impl Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write_at(bytes, self.at)?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Piece<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
