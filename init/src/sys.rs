//! The only file with `unsafe`: thin wrappers around system calls that the crates we use lack, or that they do
//! in a way PID 1 can't use. Nothing here decides anything. A section a topic.
//!
//! Signals and wait statuses are raw numbers and masks of 64 bits: `nix::Signal` knows no real-time signals, and
//! musl's own functions leave out the three that it uses itself.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Turns a system call's -1 into its error.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// An id or number from the kernel that fits an `int` by its definition.
fn int(value: libc::c_long) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

// ---------------------------------------------------------------------------------------------------------
// Signals

/// The size of the kernel's signal set, which is not libc's.
const KERNEL_SIGSET: libc::c_long = 8;

/// Sets the signal mask (bit n-1 is signal n) and returns the old one.
///
/// # Errors
/// None that a correct caller can meet.
pub fn set_signal_mask(mask: u64) -> io::Result<u64> {
    let mut old = 0u64;
    // SAFETY: both pointers are to live u64 of the size that the fourth argument names.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::c_long::from(libc::SIG_SETMASK),
            &raw const mask,
            &raw mut old,
            KERNEL_SIGSET,
        )
    })?;
    Ok(old)
}

/// Gives a signal its default disposition.
///
/// # Errors
/// `EINVAL` for KILL, STOP and numbers that are no signals.
pub fn default_disposition(signal: i32) -> io::Result<()> {
    // All zero is SIG_DFL, no flags, no restorer and an empty mask on every architecture; larger than any.
    let action = [0u64; 8];
    // SAFETY: the kernel reads at most its struct sigaction (32 bytes) from a live buffer of 64.
    check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            libc::c_long::from(signal),
            &raw const action,
            std::ptr::null_mut::<u64>(),
            KERNEL_SIGSET,
        )
    })
    .map(drop)
}

/// A non-blocking signalfd for a mask.
///
/// # Errors
/// When the process has no descriptor left.
pub fn signalfd(mask: u64) -> io::Result<OwnedFd> {
    // SAFETY: the pointer is to a live u64 of the size given.
    let fd = check(unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            libc::c_long::from(-1),
            &raw const mask,
            KERNEL_SIGSET,
            libc::c_long::from(libc::SFD_CLOEXEC | libc::SFD_NONBLOCK),
        )
    })?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(int(fd)) })
}

/// Takes one signal of `mask` that is already pending.
pub fn take_pending(mask: u64) -> Option<i32> {
    let zero = [0i64; 2];
    // SAFETY: the set is of the size given, the timespec is two zeroed longs, and no siginfo is asked for.
    let signal = unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const mask,
            std::ptr::null_mut::<u8>(),
            &raw const zero,
            KERNEL_SIGSET,
        )
    };
    (signal > 0).then(|| int(signal))
}

/// `kill(2)` with a raw number; 0 only asks.
///
/// # Errors
/// `ESRCH`, `EPERM`.
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

// ---------------------------------------------------------------------------------------------------------
// Processes

/// Which side of a fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// The child.
    Child,
    /// The parent, with the child's pid.
    Parent(i32),
}

/// Forks. The process must have one thread, as all of clawker-init has.
///
/// # Errors
/// `EAGAIN`, `ENOMEM`.
pub fn fork() -> io::Result<Fork> {
    // SAFETY: there is one thread, so no lock can be held by another one in the child.
    match check(unsafe { libc::fork() }.into())? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(int(pid))),
    }
}

/// Ends the process at once: no destructors, no buffers.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: always safe to call.
    unsafe { libc::_exit(code.into()) }
}

/// Waits for any child that has ended, without blocking: its pid and raw status, or `None` while all live.
///
/// # Errors
/// `ECHILD` where there is none.
pub fn wait_any() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    loop {
        // SAFETY: the pointer is to a live int.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) } {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            pid => return Ok(Some((pid, status))),
        }
    }
}

/// Strings in the form that exec takes, made before the fork because nothing may be allocated after it.
#[derive(Debug)]
pub struct Strings {
    /// Owns what `pointers` point to; never changed after.
    _owned: Vec<CString>,
    /// Ends with a null pointer.
    pointers: Vec<*const libc::c_char>,
}

impl Strings {
    /// Prepares them.
    pub fn new(strings: Vec<CString>) -> Self {
        // A CString's bytes are on the heap: moving the vector moves none of them.
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { _owned: strings, pointers }
    }
}

/// A program's arguments, with room for the shell that runs a script without `#!`.
#[derive(Debug)]
pub struct Argv {
    /// `/bin/sh`, then the arguments.
    strings: Strings,
}

impl Argv {
    /// Prepares them; the program's name is the first.
    pub fn new(args: Vec<CString>) -> Self {
        let all = std::iter::once(c"/bin/sh".to_owned()).chain(args).collect();
        Self { strings: Strings::new(all) }
    }

    /// `execve(2)`; comes back only with its error.
    pub fn exec(&self, file: &CStr, env: &Strings) -> io::Error {
        let args = self.strings.pointers.get(1..).unwrap_or_default();
        // SAFETY: `file` is a C string; both arrays end with null and point to strings that live.
        unsafe { libc::execve(file.as_ptr(), args.as_ptr(), env.pointers.as_ptr()) };
        io::Error::last_os_error()
    }

    /// Has the shell run `file` with the same arguments; comes back only with its error.
    pub fn exec_by_shell(&mut self, file: &CStr, env: &Strings) -> io::Error {
        if let Some(name) = self.strings.pointers.get_mut(1) {
            *name = file.as_ptr();
        }
        let args = &self.strings.pointers;
        // SAFETY: as in `exec`; `file` lives for as long as the call lasts.
        unsafe { libc::execve(c"/bin/sh".as_ptr(), args.as_ptr(), env.pointers.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// `prctl(2)` for options that take numbers only.
///
/// # Errors
/// The option's own.
pub fn prctl(option: i32, value: u64, second: u64) -> io::Result<i32> {
    // SAFETY: only called with options whose arguments are numbers; unused ones must be 0.
    check(unsafe { libc::prctl(option, value, second, 0u64, 0u64) }.into()).map(int)
}

/// Sets a system call filter for this process and all that it becomes.
///
/// # Errors
/// `EACCES` without no_new_privs, `EINVAL` on kernels without filters.
pub fn set_seccomp_filter(program: &[crate::privileges::seccomp::Instruction]) -> io::Result<()> {
    /// `struct sock_fprog` of linux/filter.h.
    #[repr(C)]
    struct Filter {
        len: u16,
        program: *const crate::privileges::seccomp::Instruction,
    }
    let len = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let filter = Filter { len, program: program.as_ptr() };
    const SET_MODE_FILTER: u64 = 1;
    // SAFETY: the pointers are to values that live for as long as the call lasts, in the kernel's layout.
    check(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0u64, &raw const filter) }).map(drop)
}

// ---------------------------------------------------------------------------------------------------------
// Users and capabilities. Raw calls: libc's set*id functions signal other threads first, which there are none of.

/// `setgroups(2)`.
///
/// # Errors
/// `EPERM`.
pub fn setgroups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the pointer and length are the slice's.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// `getgroups(2)`: how many there are; those that fit are in `into`.
///
/// # Errors
/// `EINVAL` where not all fit.
pub fn getgroups(into: &mut [u32]) -> io::Result<usize> {
    // SAFETY: the pointer and length are the slice's.
    let count = check(unsafe { libc::syscall(libc::SYS_getgroups, into.len(), into.as_mut_ptr()) })?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Sets real, effective and saved gid.
///
/// # Errors
/// `EPERM`.
pub fn setresgid(gid: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets real, effective and saved uid.
///
/// # Errors
/// `EPERM`, `EAGAIN`.
pub fn setresuid(uid: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The three capability sets of a process, as masks (bit n is capability n).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Handed to files that ask for them.
    pub inheritable: u64,
}

/// The own capability sets.
///
/// # Errors
/// None that a correct caller can meet.
pub fn capget() -> io::Result<Capabilities> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: version 3 reads a header and writes two data records, both live.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Capabilities {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets the own capability sets.
///
/// # Errors
/// `EPERM` for one that is not permitted.
pub fn capset(sets: Capabilities) -> io::Result<()> {
    let mut header = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };
    let half = |shift: u32| {
        let word = |mask: u64| u32::try_from(mask >> shift & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        CapData {
            effective: word(sets.effective),
            permitted: word(sets.permitted),
            inheritable: word(sets.inheritable),
        }
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads a header and two data records, both live.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(drop)
}

// ---------------------------------------------------------------------------------------------------------
// Descriptors and terminals

/// Closes, or marks close-on-exec, every descriptor from `first` on. Linux 5.9, 5.11 for the mark.
///
/// # Errors
/// `ENOSYS`, `EINVAL` on older kernels.
pub fn close_range(first: u32, only_mark: bool) -> io::Result<()> {
    let flags = if only_mark { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: takes no pointers. Closing is called as the process's first act, before anything owns a
    // descriptor above 2.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) }).map(drop)
}

/// Closes a descriptor that was inherited and has no owner.
pub fn close_inherited(fd: RawFd) {
    // SAFETY: called for inherited descriptors only, before anything owns one above 2.
    unsafe { libc::close(fd) };
}

/// `poll(2)`; `None` waits for as long as it takes. An interruption is no event.
///
/// # Errors
/// `ENOMEM`.
pub fn poll(fds: &mut [libc::pollfd], millis: Option<i32>) -> io::Result<usize> {
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(libc::nfds_t::MAX);
    // SAFETY: the pointer and count are the slice's.
    match check(unsafe { libc::poll(fds.as_mut_ptr(), count, millis.unwrap_or(-1)) }.into()) {
        Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
            fds.iter_mut().for_each(|fd| fd.revents = 0);
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Makes a terminal the controlling one of the own session (`TIOCSCTTY`, never stealing).
///
/// # Errors
/// `EPERM` where another session has it, `ENOTTY`.
pub fn take_terminal(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the request takes a number.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

/// Gives up the controlling terminal (`TIOCNOTTY`).
///
/// # Errors
/// `ENOTTY`.
pub fn leave_terminal(fd: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCNOTTY, 0) }.into()).map(drop)
}

// ---------------------------------------------------------------------------------------------------------
// Netlink

/// `NETLINK_CAP_ACK` of `linux/netlink.h`.
const NETLINK_CAP_ACK: libc::c_int = 10;

/// Has errors name the request by its header only (`NETLINK_CAP_ACK`).
///
/// # Errors
/// None that a netlink socket can meet on Linux 4.3 and later.
pub fn netlink_cap_ack(fd: &impl AsRawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to a live int, and the length is an int's.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            NETLINK_CAP_ACK,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    check(result.into()).map(drop)
}
