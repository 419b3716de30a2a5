//! From an archive of Docker's to the host. Nothing is written outside of the target: no `..`, no absolute path, no
//! way through a link; and no link is made that leads out of what is copied, no device, no pipe, no set-uid bit.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};
use tar::{Archive, Entry, EntryType};

use super::tree::{is_in_the_way, make};
use super::{CopyError, Spot};

/// The most of a file's mode that is kept.
const MODE: u32 = 0o777;

/// Unpacks; comes back with what was left out, and why. The first part of each entry's path gives way to the spot's
/// name.
///
/// # Errors
/// [`CopyError`]; what was written until then stays.
pub fn unpack(archive: impl Read, spot: &Spot) -> Result<Vec<String>, CopyError> {
    let mut unpacker = Unpacker { spot, written: HashSet::new(), left_out: Vec::new(), count: 0 };
    for entry in Archive::new(archive).entries().map_err(CopyError::Archive)? {
        unpacker.entry(entry.map_err(CopyError::Archive)?)?;
    }
    Ok(unpacker.left_out)
}

struct Unpacker<'a> {
    spot: &'a Spot,
    /// Files that came out of this archive: only to those a hard link may lead.
    written: HashSet<PathBuf>,
    left_out: Vec<String>,
    count: u64,
}

impl Unpacker<'_> {
    fn entry<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), CopyError> {
        let path = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
        let Some(to) = self.place(&path) else {
            self.leave_out(&path, "its path leads elsewhere");
            return Ok(());
        };
        let Some(name) = to.file_name() else { return Ok(()) };
        let folder = self.parent(&to)?;
        let mode = Mode::from_bits_truncate(entry.header().mode().unwrap_or(0o644) & MODE);
        let failed = |error: nix::Error| {
            if is_in_the_way(error) {
                CopyError::InTheWay(to.clone())
            } else {
                CopyError::io("write", &to)(error)
            }
        };
        match entry.header().entry_type() {
            EntryType::Directory => {
                make(&folder, name, mode | Mode::S_IRWXU).map_err(failed)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&mut entry, &folder, name, mode, &to)?;
                self.written.insert(to);
            }
            EntryType::Symlink => match entry.link_name_bytes() {
                Some(target) if stays(Path::new(OsStr::from_bytes(&target)), self.depth(&to)) => {
                    clear(&folder, name).map_err(failed)?;
                    symlinkat(OsStr::from_bytes(&target), &folder, name).map_err(failed)?;
                }
                _ => self.leave_out(&path, "a link that leads out of what is copied"),
            },
            EntryType::Link => {
                let target = entry.link_name_bytes().map(|name| PathBuf::from(OsStr::from_bytes(&name)));
                match target
                    .and_then(|target| self.place(&target))
                    .filter(|target| self.written.contains(target))
                {
                    Some(target) => {
                        let from = self.parent(&target)?;
                        clear(&folder, name).map_err(failed)?;
                        let source = target.file_name().unwrap_or_default();
                        linkat(&from, source, &folder, name, AtFlags::empty()).map_err(failed)?;
                    }
                    None => self.leave_out(&path, "a second name of a file that isn't copied"),
                }
            }
            EntryType::XGlobalHeader => {}
            _ => self.leave_out(&path, "neither file, folder nor link"),
        }
        Ok(())
    }

    /// Written beside and given its name when it is whole.
    fn file(
        &mut self,
        entry: &mut impl EntryLike,
        folder: &OwnedFd,
        name: &OsStr,
        mode: Mode,
        to: &Path,
    ) -> Result<(), CopyError> {
        self.count += 1;
        let beside = OsString::from(format!(".clawker-cp.{}.{}", std::process::id(), self.count));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let handle = openat(folder, beside.as_os_str(), flags, mode | Mode::S_IWUSR)
            .map_err(CopyError::io("write", to))?;
        let mut file = File::from(handle);
        let copied = io::copy(entry, &mut file).map_err(CopyError::Archive).and_then(|_| {
            let time = TimeSpec::new(i64::try_from(entry.changed()).unwrap_or_default(), 0);
            futimens(&file, &time, &time).map_err(CopyError::io("write", to))?;
            renameat(folder, beside.as_os_str(), folder, name).map_err(CopyError::io("write", to))
        });
        if copied.is_err() {
            let _ = unlinkat(folder, beside.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
        copied
    }

    /// Where an entry goes, from the spot's folder; `None` where its path would leave it.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir => parts.push(OsStr::new(".")),
                _ => return None,
            }
        }
        let below = parts.into_iter().skip(1).filter(|part| *part != ".");
        Some(self.spot.name.iter().map(OsString::as_os_str).chain(below).collect())
    }

    /// How many folders lie between an entry and the top of what is copied.
    fn depth(&self, to: &Path) -> usize {
        let above = to.components().count().saturating_sub(1);
        above.saturating_sub(usize::from(self.spot.name.is_some()))
    }

    /// The folder that an entry lies in; those that are missing are made.
    fn parent(&self, to: &Path) -> Result<OwnedFd, CopyError> {
        let mut folder = self.spot.folder.as_fd().try_clone_to_owned().map_err(|source| CopyError::Io {
            verb: "open",
            path: self.spot.shown.clone(),
            source,
        })?;
        for part in to.parent().into_iter().flat_map(Path::components) {
            folder = make(&folder, part.as_os_str(), Mode::from_bits_truncate(0o755)).map_err(|error| {
                if is_in_the_way(error) {
                    CopyError::InTheWay(to.to_owned())
                } else {
                    CopyError::io("write", to)(error)
                }
            })?;
        }
        Ok(folder)
    }

    fn leave_out(&mut self, path: &Path, why: &str) {
        self.left_out.push(format!("{}: {why}", path.display()));
    }
}

/// What is read of an archive's file.
trait EntryLike: Read {
    /// Seconds since 1970.
    fn changed(&self) -> u64;
}

impl<R: Read> EntryLike for Entry<'_, R> {
    fn changed(&self) -> u64 {
        self.header().mtime().unwrap_or_default()
    }
}

/// Whether a link that lies so deep stays in what is copied: relative, and up only at its beginning, so that no other
/// link on its way makes more of a step up than it seems.
fn stays(target: &Path, depth: usize) -> bool {
    let mut ups = 0;
    let mut down = false;
    for part in target.components() {
        match part {
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir if !down => ups += 1,
            _ => return false,
        }
    }
    ups <= depth
}

/// Takes away what has the name already; a folder stays, and is told by whoever writes.
fn clear(folder: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Err(nix::Error::ENOENT | nix::Error::EISDIR) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    }
}
