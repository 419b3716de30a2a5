//! Takes the place of a file only where it is still the one that is expected: the kernel exchanges both names, what was
//! there is looked at, and given its name back where it is another. Nothing is lost between a look and a write.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::sys::stat::Mode;

use super::{Beneath, Sort};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// Done.
    Done,
    /// Something else is there than was expected; it is as it was.
    Changed,
}

impl Beneath {
    /// Makes a file that was not there, for writing; what the user's umask takes away stays away.
    ///
    /// # Errors
    /// The kernel's; also where something has the name.
    pub fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        Ok(self.fd(path, flags, Mode::from_bits_truncate(mode & 0o777))?.into())
    }

    /// Puts what `make` makes where nothing is.
    ///
    /// # Errors
    /// The maker's and the kernel's; nothing is left then.
    pub fn put_new(&self, path: &Path, make: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<Swap> {
        let beside = self.make_beside(path, make)?;
        let put = self.rename_to(&beside, path, RenameFlags::RENAME_NOREPLACE);
        if put.is_err() {
            let _ = self.remove(&beside);
        }
        match put {
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(Swap::Changed),
            put => put.map(|()| Swap::Done),
        }
    }

    /// Puts what `make` makes in the place of what `expected` says yes to.
    ///
    /// # Errors
    /// The maker's and the kernel's; what was there is there still.
    pub fn put_over(
        &self,
        path: &Path,
        make: &mut dyn FnMut(&Path) -> io::Result<()>,
        expected: &dyn Fn(&Path) -> bool,
    ) -> io::Result<Swap> {
        let beside = self.make_beside(path, make)?;
        match self.rename_to(&beside, path, RenameFlags::RENAME_EXCHANGE) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove(&beside)?;
                return Ok(Swap::Changed);
            }
            // A file system that can't.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                let is_file = !matches!(self.sort(path)?, None | Some(Sort::Folder));
                let put = if is_file && expected(path) {
                    self.rename_to(&beside, path, RenameFlags::empty()).map(|()| Swap::Done)
                } else {
                    Ok(Swap::Changed)
                };
                if put.as_ref().is_ok_and(|put| *put == Swap::Done) {
                    return put;
                }
                let _ = self.remove(&beside);
                return put;
            }
            Err(error) => {
                let _ = self.remove(&beside);
                return Err(error);
            }
        }
        // What was there has the name beside now.
        if expected(&beside) && self.discard(&beside).is_ok() {
            return Ok(Swap::Done);
        }
        self.rename_to(&beside, path, RenameFlags::RENAME_EXCHANGE)?;
        self.remove(&beside)?;
        Ok(Swap::Changed)
    }

    /// Takes away what `expected` says yes to.
    ///
    /// # Errors
    /// The kernel's.
    pub fn take_away(&self, path: &Path, expected: &dyn Fn(&Path) -> bool) -> io::Result<Swap> {
        if !expected(path) {
            return Ok(Swap::Changed);
        }
        let beside = free(path)?;
        self.rename_to(path, &beside, RenameFlags::RENAME_NOREPLACE)?;
        if expected(&beside) && self.discard(&beside).is_ok() {
            return Ok(Swap::Done);
        }
        self.rename_to(&beside, path, RenameFlags::RENAME_NOREPLACE)?;
        Ok(Swap::Changed)
    }

    fn make_beside(&self, path: &Path, make: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
        let beside = free(path)?;
        match make(&beside) {
            Ok(()) => Ok(beside),
            Err(error) => {
                if error.kind() != io::ErrorKind::AlreadyExists {
                    let _ = self.remove(&beside);
                }
                Err(error)
            }
        }
    }

    /// A file or link, or a folder that is empty.
    fn discard(&self, path: &Path) -> io::Result<()> {
        match self.sort(path)? {
            Some(Sort::Folder) => self.remove_folder(path),
            _ => self.remove(path),
        }
    }

    fn rename_to(&self, from: &Path, to: &Path, flags: RenameFlags) -> io::Result<()> {
        let (folder, old) = self.parent(from)?;
        let name = to.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match renameat2(&folder, old, &folder, name, flags) {
            // A file system that can't: where nothing is, nothing is replaced but by a race.
            Err(Errno::EINVAL) if flags == RenameFlags::RENAME_NOREPLACE => match self.sort(to)? {
                None => Ok(nix::fcntl::renameat(&folder, old, &folder, name)?),
                Some(_) => Err(Errno::EEXIST.into()),
            },
            renamed => Ok(renamed?),
        }
    }
}

/// A name in the same folder that is short and nobody else's.
fn free(path: &Path) -> io::Result<PathBuf> {
    if path.file_name().is_none() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let name = OsString::from(format!(".clawker-pull.{}", std::process::id()));
    Ok(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::test_folder;

    #[test]
    fn only_what_is_expected_is_replaced_and_nothing_is_left_beside() {
        let folder = test_folder("swap");
        let host = Beneath::open(&folder).unwrap();
        let path = Path::new("f");
        let mut make = |path: &Path| host.write(path, &mut &b"new"[..], 0o644);
        let holds = |text: &'static str| {
            let host = &host;
            move |path: &Path| host.read(path, 99).is_ok_and(|bytes| bytes == text.as_bytes())
        };
        let now = || fs::read_to_string(folder.join("f")).ok();

        assert_eq!(host.put_over(path, &mut make, &holds("x")).unwrap(), Swap::Changed, "it is gone");
        assert_eq!(host.put_new(path, &mut make).unwrap(), Swap::Done);
        fs::write(folder.join("f"), "mine").unwrap();
        assert_eq!(host.put_new(path, &mut make).unwrap(), Swap::Changed);
        assert_eq!(host.put_over(path, &mut make, &holds("other")).unwrap(), Swap::Changed);
        assert_eq!(host.take_away(path, &holds("other")).unwrap(), Swap::Changed);
        assert_eq!(now().as_deref(), Some("mine"));
        assert_eq!(host.put_over(path, &mut make, &holds("mine")).unwrap(), Swap::Done);
        assert_eq!(now().as_deref(), Some("new"));
        assert_eq!(host.take_away(path, &holds("new")).unwrap(), Swap::Done);
        assert_eq!(now(), None);

        // A folder gives way only when it is empty.
        fs::create_dir_all(folder.join("f/in")).unwrap();
        let any = |_: &Path| true;
        assert_eq!(host.put_over(path, &mut make, &any).unwrap(), Swap::Changed);
        assert!(folder.join("f/in").is_dir());
        fs::remove_dir(folder.join("f/in")).unwrap();
        assert_eq!(host.put_over(path, &mut make, &any).unwrap(), Swap::Done);
        assert_eq!(now().as_deref(), Some("new"));

        // A failing maker leaves nothing.
        assert!(host.put_over(path, &mut |_| Err(io::Error::other("full")), &any).is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }
}
