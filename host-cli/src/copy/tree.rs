//! Steps down a tree of folders, none of them through a link.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};

/// How a folder is opened.
const FOLDER: OFlag =
    OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

/// Opens the folder of this name.
///
/// # Errors
/// `ENOTDIR` or `ELOOP` where it is something else.
pub(super) fn step(folder: impl AsFd, name: &OsStr) -> nix::Result<OwnedFd> {
    openat(folder, name, FOLDER, Mode::empty())
}

/// Likewise, and makes it where there is none.
///
/// # Errors
/// As [`step`].
pub(super) fn make(folder: impl AsFd, name: &OsStr, mode: Mode) -> nix::Result<OwnedFd> {
    match mkdirat(folder.as_fd(), name, mode) {
        Ok(()) | Err(Errno::EEXIST) => step(folder, name),
        Err(error) => Err(error),
    }
}

/// Whether something else is where a folder should be.
pub(super) fn is_in_the_way(error: nix::Error) -> bool {
    matches!(error, Errno::ENOTDIR | Errno::ELOOP | Errno::EEXIST)
}
