//! What a copy of a project held when it was made, and since then what was brought back of it: the base that both sides
//! are compared with. It lies in clawker's state, where no agent can change it, and is written while the project is packed.
//!
//! Records end with NUL, which no path holds: a head, an entry each, and a count that tells that none is missing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::node::{Hash, MODE, Node, Tree};
use crate::store::{self, StoreError};

/// The first record's beginning.
const MAGIC: &str = "clawker-base 1 ";

/// What a copy began with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base {
    /// The copy's number, which its volume bears as well.
    pub number: String,
    /// An image that was here.
    pub image: String,
    /// What was copied. Of what is in a `.git` nothing is recorded, only that there is one.
    pub tree: Tree,
    /// What was hidden, and so not copied.
    pub hidden: BTreeSet<PathBuf>,
}

/// Writes a base, entry by entry.
pub struct Writer<W: Write> {
    to: W,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// Begins.
    ///
    /// # Errors
    /// The writer's.
    pub fn begin(mut to: W, number: &str, image: &str) -> io::Result<Self> {
        write!(to, "{MAGIC}{number} {image}\0")?;
        Ok(Self { to, count: 0 })
    }

    /// Something that was copied. What is neither file, folder nor link isn't.
    ///
    /// # Errors
    /// The writer's.
    pub fn node(&mut self, path: &Path, node: &Node) -> io::Result<()> {
        match node {
            Node::Folder => self.to.write_all(b"d")?,
            Node::File { hash, len, mode } => {
                write!(self.to, "f {:o} {len} ", mode & MODE)?;
                hash.iter().try_for_each(|byte| write!(self.to, "{byte:02x}"))?;
            }
            Node::Link(target) => {
                self.to.write_all(b"l ")?;
                self.to.write_all(target.as_os_str().as_bytes())?;
            }
            Node::Other => return Ok(()),
        }
        self.end(path)
    }

    /// Something that was hidden.
    ///
    /// # Errors
    /// The writer's.
    pub fn hidden(&mut self, path: &Path) -> io::Result<()> {
        self.to.write_all(b"h")?;
        self.end(path)
    }

    fn end(&mut self, path: &Path) -> io::Result<()> {
        self.count += 1;
        self.to.write_all(b"\0")?;
        self.to.write_all(path.as_os_str().as_bytes())?;
        self.to.write_all(b"\0")
    }

    /// Ends; comes back with what was written to.
    ///
    /// # Errors
    /// The writer's.
    pub fn finish(mut self) -> io::Result<W> {
        write!(self.to, "end {}\0", self.count)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl Base {
    /// Reads one; `None` where there is none.
    ///
    /// # Errors
    /// When it can't be read, or is not whole.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Self::read(BufReader::new(file)).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes it beside and renames it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let written = (|| {
            let mut writer = Writer::begin(Vec::new(), &self.number, &self.image)?;
            self.tree.iter().try_for_each(|(path, node)| writer.node(path, node))?;
            self.hidden.iter().try_for_each(|path| writer.hidden(path))?;
            writer.finish()
        })();
        let bytes = written.map_err(|error| StoreError::io(path, error))?;
        store::write_atomically(path, &bytes, 0o600)
    }

    fn read(from: impl BufRead) -> io::Result<Self> {
        let mut records = from.split(0);
        let mut next = || records.next().transpose()?.ok_or_else(damaged);
        let head = String::from_utf8(next()?).map_err(|_| damaged())?;
        let (number, image) =
            head.strip_prefix(MAGIC).and_then(|head| head.split_once(' ')).ok_or_else(damaged)?;
        let mut base = Self {
            number: number.to_owned(),
            image: image.to_owned(),
            tree: Tree::new(),
            hidden: BTreeSet::new(),
        };
        let mut count = 0_u64;
        loop {
            let about = next()?;
            if let Some(expected) = about.strip_prefix(b"end ") {
                let whole = text(expected)?.parse() == Ok(count);
                return if whole { Ok(base) } else { Err(damaged()) };
            }
            let path = PathBuf::from(OsStr::from_bytes(&next()?));
            count += 1;
            match about.split_first() {
                Some((b'h', [])) => {
                    base.hidden.insert(path);
                }
                Some((b'd', [])) => {
                    base.tree.insert(path, Node::Folder);
                }
                Some((b'l', [b' ', target @ ..])) => {
                    base.tree.insert(path, Node::Link(OsStr::from_bytes(target).into()));
                }
                Some((b'f', [b' ', about @ ..])) => {
                    base.tree.insert(path, file(text(about)?).ok_or_else(damaged)?);
                }
                _ => return Err(damaged()),
            }
        }
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| damaged())
}

fn file(text: &str) -> Option<Node> {
    let mut words = text.split(' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let len = words.next()?.parse().ok()?;
    let digits = words.next()?.as_bytes();
    let mut hash: Hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Node::File { hash, len, mode })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_part_of_it_is_not() {
        let odd = PathBuf::from(OsStr::from_bytes(b"n\xff\n d"));
        let file = Node::File { hash: [0xab; 32], len: 7, mode: 0o755 };
        let base = Base {
            number: "12".into(),
            image: "an image:1".into(),
            tree: [
                (PathBuf::new(), Node::Folder),
                (odd.clone(), file),
                (PathBuf::from("l"), Node::Link("../a b".into())),
            ]
            .into(),
            hidden: [PathBuf::from(".env")].into(),
        };
        let folder = crate::workspace::test_folder("base");
        let path = folder.join("base");
        base.save(&path).unwrap();
        assert_eq!(Base::load(&path).unwrap().unwrap(), base);
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() - 1 {
            assert!(Base::read(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Base::load(&folder.join("none")).unwrap(), None);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
