//! From the host to an archive for Docker. Everything in it belongs to the agent. Links are copied as links; what they
//! lead to is not read.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use tar::{Builder, EntryType, Header};

use super::tree::step;
use super::{CopyError, Spot};

/// The deepest folder; each holds a descriptor open.
const MAX_DEPTH: usize = 200;

/// Whose everything is, in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Packs what a spot means under a name; with no name, what its folder holds. Comes back with what was left out, and
/// why.
///
/// # Errors
/// [`CopyError`]; the archive is not whole then.
pub fn pack(
    to: impl Write,
    spot: &Spot,
    name: Option<&OsStr>,
    owner: Owner,
) -> Result<Vec<String>, CopyError> {
    let mut packer = Packer { builder: Builder::new(to), owner, left_out: Vec::new() };
    let top = name.map(PathBuf::from).unwrap_or_default();
    match &spot.name {
        Some(source) => packer.entry(spot.folder.as_fd(), source, &top, &spot.shown, 0)?,
        None => {
            let folder = step(&spot.folder, OsStr::new(".")).map_err(CopyError::io("read", &spot.shown))?;
            if name.is_some() {
                let found = fstat(&folder).map_err(CopyError::io("read", &spot.shown))?;
                let mut header = packer.header(EntryType::Directory, &found);
                packer
                    .builder
                    .append_data(&mut header, &top, std::io::empty())
                    .map_err(CopyError::Archive)?;
            }
            packer.folder(folder, &top, &spot.shown, 0)?;
        }
    }
    packer.builder.finish().map_err(CopyError::Archive)?;
    Ok(packer.left_out)
}

struct Packer<W: Write> {
    builder: Builder<W>,
    owner: Owner,
    left_out: Vec<String>,
}

impl<W: Write> Packer<W> {
    /// One entry of a folder; `to` is its path in the archive, `shown` the one for people.
    fn entry(
        &mut self,
        folder: impl AsFd,
        name: &OsStr,
        to: &Path,
        shown: &Path,
        depth: usize,
    ) -> Result<(), CopyError> {
        let failed = || CopyError::io("read", shown);
        let found = fstatat(folder.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed())?;
        match SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => {
                let folder = step(folder, name).map_err(failed())?;
                let mut header = self.header(EntryType::Directory, &found);
                self.builder.append_data(&mut header, to, std::io::empty()).map_err(CopyError::Archive)?;
                self.folder(folder, to, shown, depth + 1)
            }
            SFlag::S_IFREG => self.file(folder, name, to, shown),
            SFlag::S_IFLNK => {
                let target = readlinkat(folder, name).map_err(failed())?;
                let mut header = self.header(EntryType::Symlink, &found);
                self.builder.append_link(&mut header, to, Path::new(&target)).map_err(CopyError::Archive)
            }
            _ => {
                self.left_out.push(format!("{}: neither file, folder nor link", shown.display()));
                Ok(())
            }
        }
    }

    fn folder(&mut self, folder: OwnedFd, to: &Path, shown: &Path, depth: usize) -> Result<(), CopyError> {
        if depth > MAX_DEPTH {
            return Err(CopyError::TooDeep(shown.to_owned()));
        }
        let failed = || CopyError::io("read", shown);
        let listed = folder.try_clone().map_err(|source| CopyError::Io {
            verb: "read",
            path: shown.to_owned(),
            source,
        })?;
        for entry in Dir::from_fd(listed).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name: &CStr = entry.file_name();
            let name = OsStr::from_bytes(name.to_bytes());
            if name != "." && name != ".." {
                self.entry(&folder, name, &to.join(name), &shown.join(name), depth)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: impl AsFd, name: &OsStr, to: &Path, shown: &Path) -> Result<(), CopyError> {
        let io = |source| CopyError::Io { verb: "read", path: shown.to_owned(), source };
        // A pipe that took its place meanwhile would be waited for.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let handle = openat(folder, name, flags, Mode::empty()).map_err(CopyError::io("read", shown))?;
        let file = File::from(handle);
        let found = file.metadata().map_err(io)?;
        if !found.is_file() {
            self.left_out.push(format!("{}: changed while it was read", shown.display()));
            return Ok(());
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(found.len());
        self.finish(&mut header, found.mode(), found.mtime());
        // One that shrinks is filled up with zeros, one that grows is cut: the archive stays whole.
        let content = file.take(found.len()).chain(std::io::repeat(0)).take(found.len());
        self.builder.append_data(&mut header, to, content).map_err(CopyError::Archive)
    }

    fn header(&self, kind: EntryType, found: &FileStat) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.finish(&mut header, found.st_mode, found.st_mtime);
        header
    }

    fn finish(&self, header: &mut Header, mode: u32, mtime: i64) {
        header.set_mode(mode & 0o777);
        header.set_uid(u64::from(self.owner.uid));
        header.set_gid(u64::from(self.owner.gid));
        header.set_mtime(u64::try_from(mtime).unwrap_or_default());
    }
}
