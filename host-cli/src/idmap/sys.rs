//! The only file with `unsafe` in the CLI: the two calls for idmapped mounts that neither `nix` nor `rustix` has.

#![allow(unsafe_code)]

use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// Gives a detached tree of mounts the ids of a user namespace, and makes it private, without set-id programs and without
/// devices; all of it or nothing (mount_setattr(2), Linux 5.12).
///
/// # Errors
/// `EINVAL` where a file system in it can't be idmapped, `EPERM` where one is already.
pub fn map_ids(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: u64::try_from(namespace.as_raw_fd()).unwrap_or(u64::MAX),
    };
    // SAFETY: the path is an empty C string; the kernel reads a live struct of the size that the last argument names.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A process in a user namespace of its own, which does nothing and ends with this value, or with this process.
#[derive(Debug)]
pub struct Holder {
    pid: Pid,
    /// Its end is what the process waits for.
    rope: Option<PipeWriter>,
}

impl Holder {
    /// Makes one.
    ///
    /// # Errors
    /// `ENOSPC` or `EPERM` where the host allows no user namespaces.
    pub fn new() -> io::Result<Self> {
        let (end, rope) = io::pipe()?;
        // Never 0: Rust's runtime opens the first three where they are closed.
        let end_fd = end.as_raw_fd();
        let own = libc::c_long::from(end_fd);
        let others = [(0, own - 1), (own + 1, libc::c_long::from(u32::MAX))];
        let none: libc::c_long = 0;
        let flags = libc::c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
        // SAFETY: without CLONE_VM this is a fork, with no stack and nothing to be written. The child has a copy of this
        // one thread, in which another may have held a lock: it only makes system calls, on its own stack, and exits.
        let pid = unsafe {
            let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
            if pid == 0 {
                let mut byte = 0u8;
                // Both ropes too: its own, and that of another holder, which would wait for this one.
                for (first, last) in others {
                    libc::syscall(libc::SYS_close_range, first, last, none);
                }
                libc::read(end_fd, (&raw mut byte).cast(), 1);
                libc::_exit(0);
            }
            pid
        };
        match i32::try_from(pid) {
            Ok(pid) if pid > 0 => Ok(Self { pid: Pid::from_raw(pid), rope: Some(rope) }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// A file of its own in `/proc`.
    pub fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.pid)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.rope = None;
        let _ = waitpid(self.pid, None);
    }
}
