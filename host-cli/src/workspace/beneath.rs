//! Files of a folder that an agent can write, reached without ever leaving it: the kernel resolves each path below
//! the folder's descriptor and refuses symbolic links on the way (openat2(2)).

mod swap;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

pub use swap::Swap;

/// A folder and what is below it.
#[derive(Debug)]
pub struct Beneath {
    root: OwnedFd,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A folder.
    Folder,
    /// An ordinary file.
    File,
    /// A symbolic link.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

impl Sort {
    /// From a file's mode.
    pub fn of_mode(mode: u32) -> Self {
        match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => Self::Folder,
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFLNK => Self::Link,
            _ => Self::Other,
        }
    }
}

impl Beneath {
    /// Opens the folder itself, whose own path may lead over links: it is the user's.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(root: &Path) -> io::Result<Self> {
        let file = File::open(root)?;
        if !file.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: file.into() })
    }

    fn fd(&self, path: &Path, flags: OFlag, mode: Mode) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        Ok(openat2(&self.root, path, how)?)
    }

    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok((self.fd(folder, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())?, name))
    }

    /// A folder, for reading.
    ///
    /// # Errors
    /// When it is none, or can't be read.
    pub fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        self.fd(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())
    }

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// When it is none, or can't be read.
    pub fn list(&self, folder: &Path) -> io::Result<Vec<(OsString, Sort)>> {
        let mut dir = Dir::from_fd(self.folder(folder)?)?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let name = OsString::from_vec(name.to_vec());
            let sort = match entry.file_type() {
                Some(Type::Directory) => Sort::Folder,
                Some(Type::File) => Sort::File,
                Some(Type::Symlink) => Sort::Link,
                Some(_) => Sort::Other,
                // A file system that does not say.
                None => self.sort(&folder.join(&name))?.unwrap_or(Sort::Other),
            };
            names.push((name, sort));
        }
        Ok(names)
    }

    /// What there is of this name itself; links are not followed.
    ///
    /// # Errors
    /// The kernel's, but for a name that isn't there.
    pub fn stat(&self, path: &Path) -> io::Result<Option<FileStat>> {
        let found = self
            .parent(path)
            .and_then(|(folder, name)| Ok(fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?));
        match found {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Its sort.
    ///
    /// # Errors
    /// As [`Self::stat`].
    pub fn sort(&self, path: &Path) -> io::Result<Option<Sort>> {
        Ok(self.stat(path)?.map(|stat| Sort::of_mode(stat.st_mode)))
    }

    /// An ordinary file, for reading. Never waits for a pipe's other end.
    ///
    /// # Errors
    /// When it is no ordinary file.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let file = File::from(self.fd(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, Mode::empty())?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a file")) }
    }

    /// A file's bytes; at most `max`, and an error past that.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn read(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(path)?.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(bytes)
    }

    /// Where a link leads, as it is written.
    ///
    /// # Errors
    /// When it is no link.
    pub fn target(&self, path: &Path) -> io::Result<PathBuf> {
        let (folder, name) = self.parent(path)?;
        Ok(PathBuf::from(readlinkat(&folder, name)?))
    }

    /// Gives what is there another name in the same folder.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rename(&self, path: &Path, name: &OsStr) -> io::Result<()> {
        let (folder, old) = self.parent(path)?;
        Ok(renameat(&folder, old, &folder, name)?)
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Makes a folder; one that is there already is as good.
    ///
    /// # Errors
    /// The kernel's; also where something else has the name.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        match mkdirat(&folder, name, Mode::from_bits_truncate(0o755)) {
            Err(Errno::EEXIST) if self.sort(path)? == Some(Sort::Folder) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Writes a file beside and renames it over what is there, which a link isn't followed by and a hard link's other
    /// names don't notice.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&self, path: &Path, from: &mut dyn Read, mode: u32) -> io::Result<()> {
        let (_, name) = self.parent(path)?;
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".clawker-{}", std::process::id()));
        let beside_path = path.with_file_name(&beside);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let written = (|| {
            let mut file =
                File::from(self.fd(&beside_path, flags, Mode::from_bits_truncate(mode & 0o777))?);
            io::copy(from, &mut file)?;
            file.flush()?;
            self.rename(&beside_path, name)
        })();
        if written.is_err() {
            let _ = self.remove(&beside_path);
        }
        written
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// The kernel's; also where something has the name.
    pub fn make_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(symlinkat(target, &folder, name)?)
    }

    /// Makes an empty file that was not there.
    ///
    /// # Errors
    /// The kernel's; also where something has the name.
    pub fn make_new(&self, path: &Path) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        self.fd(path, flags, Mode::from_bits_truncate(0o644)).map(drop)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        Ok(unlinkat(&folder, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Gives what is there to this user, a link itself; for root, to whom alone it is new.
    ///
    /// # Errors
    /// The kernel's.
    pub fn give(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(());
        }
        let (folder, name) = self.parent(path)?;
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(fchownat(&folder, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// The owner of the folder itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        let metadata = File::from(self.root.try_clone()?).metadata()?;
        Ok((metadata.uid(), metadata.gid()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::workspace::test_folder;

    #[test]
    fn a_link_on_the_way_or_at_the_end_leads_nowhere() {
        let folder = test_folder("beneath");
        let secret = folder.join("secret");
        std::fs::create_dir_all(folder.join("root/in")).unwrap();
        std::fs::write(&secret, "s").unwrap();
        std::fs::write(folder.join("root/in/plain"), "p").unwrap();
        symlink("../secret", folder.join("root/link")).unwrap();
        symlink("..", folder.join("root/up")).unwrap();
        symlink("in", folder.join("root/inner")).unwrap();
        let beneath = Beneath::open(&folder.join("root")).unwrap();
        assert_eq!(beneath.read(Path::new("in/plain"), 9).unwrap(), b"p", "the way that is open");
        for path in ["link", "up/secret", "../secret", "inner/plain", "/etc/passwd"] {
            assert!(beneath.read(Path::new(path), 99).is_err(), "{path}");
            let wrote = beneath.write(Path::new(path), &mut &b"x"[..], 0o644);
            assert!(wrote.is_err() || path == "link", "{path}");
        }
        // Over the link itself, not through it.
        assert_eq!(beneath.read(Path::new("link"), 9).unwrap(), b"x");
        assert_eq!(std::fs::read(&secret).unwrap(), b"s");
        assert!(beneath.list(Path::new("up")).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pipe_is_not_waited_for_and_a_large_file_is_not_read() {
        let folder = test_folder("pipe");
        nix::unistd::mkfifo(&folder.join("pipe"), Mode::S_IRWXU).unwrap();
        std::fs::write(folder.join("large"), [0; 100]).unwrap();
        let beneath = Beneath::open(&folder).unwrap();
        assert!(beneath.read(Path::new("pipe"), 9).is_err());
        assert!(beneath.read(Path::new("large"), 99).is_err());
        assert_eq!(beneath.read(Path::new("large"), 100).unwrap().len(), 100);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
