//! Programs in a workspace of root's that run as somebody else than who runs them. The agent, whose they would be, could
//! change what such a program does without the kernel's taking the right away: it does for a write, and not for one through
//! a shared mapping. So none is there when an agent starts, and its filter lets it make none.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, fstatat};
use rustix::fs::lgetxattr;

use crate::exit::Failure;
use crate::output::escape;
use crate::workspace::beneath::Beneath;

/// Where a file's capabilities stand.
const CAPABILITY: &str = "security.capability";
/// How many names a message shows.
const SHOWN: usize = 8;
/// Folders below each other; whoever has more of them made them to keep us.
const MAX_DEPTH: usize = 200;

/// Refuses a workspace that holds such programs.
///
/// # Errors
/// As said, or when it can't be looked through.
pub fn check(root: &Beneath, shown_as: &Path) -> Result<(), Failure> {
    let dir = escape(&shown_as.to_string_lossy());
    let found = find(root).map_err(|(path, error)| {
        let path = escape(&path.to_string_lossy());
        Failure::new(format!("Can't look through {dir} for set-id programs: {path}: {error}"))
    })?;
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = found.iter().take(SHOWN).map(|path| escape(&path.to_string_lossy())).collect();
    let more = if found.len() > SHOWN { format!(" and {} more", found.len() - SHOWN) } else { String::new() };
    Err(Failure::new(format!(
        "{dir} is root's and holds programs with a set-id bit or capabilities, which the agent could change and which \
         would go on running as root: {}{more}. Take the rights away (chmod ug-s FILE, setcap -r FILE), or work on a copy \
         (--mode snapshot)",
        names.join(", ")
    )))
}

/// Where they are, from the root.
fn find(root: &Beneath) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        if folder.components().count() > MAX_DEPTH {
            return Err((folder, io::Error::other("too many folders in each other")));
        }
        match enter(root, &folder, &mut folders, &mut found) {
            // A build beside us removed or replaced it.
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err((folder, error)),
            Ok(()) => {}
        }
    }
    found.sort();
    Ok(found)
}

fn enter(
    root: &Beneath,
    folder: &Path,
    folders: &mut Vec<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let mut dir = Dir::from_fd(root.folder(folder)?)?;
    let names: Vec<_> = dir.iter().collect::<Result<_, _>>()?;
    for entry in names {
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." || !may_be(entry.file_type()) {
            continue;
        }
        let about = match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            about => about?,
        };
        let mode = about.st_mode;
        if mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
            folders.push(folder.join(name));
        } else if mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() {
            let bits = Mode::S_ISUID | Mode::S_ISGID;
            let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name);
            if mode & bits.bits() != 0 || has_capabilities(&path) {
                found.push(folder.join(name));
            }
        }
    }
    Ok(())
}

/// Folders and ordinary files, and what a file system does not tell.
fn may_be(kind: Option<Type>) -> bool {
    matches!(kind, None | Some(Type::Directory | Type::File))
}

/// What can't be told counts as having them.
fn has_capabilities(path: &Path) -> bool {
    use rustix::io::Errno as E;
    let mut value = [0u8; 64];
    !matches!(lgetxattr(path, CAPABILITY, &mut value), Err(E::NODATA | E::OPNOTSUPP | E::NOENT))
}

fn is_gone(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP))
}
