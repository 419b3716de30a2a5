//! Signals of PID 1: all blocked from the first moment on and read from one descriptor, so that none is lost
//! and no handler ever runs. What each one means is a pure function.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, RawFd};

use crate::sys;

/// Signals that the process does to itself; blocked, they would end it anyway, without the right status.
const SYNCHRONOUS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS];
/// The kernel's `_NSIG`.
pub const LAST: i32 = 64;
/// The size of the kernel's `struct signalfd_siginfo`.
const RECORD: usize = 128;

/// A signal's bit in a mask.
pub const fn bit(signal: i32) -> u64 {
    if signal < 1 || signal > LAST { 0 } else { 1 << (signal - 1) }
}

/// All but the synchronous ones.
pub fn blocked() -> u64 {
    !SYNCHRONOUS.iter().fold(0, |mask, signal| mask | bit(*signal))
}

/// Blocks all that can be blocked. The first act of `main`: PID 1 silently loses what comes before.
pub fn block_all() {
    // Neither can fail with valid numbers, and there is nothing to be done if it did.
    let _ = sys::set_signal_mask(blocked());
    // Where it was inherited as ignored, the kernel would collect our children and their exit codes itself.
    let _ = sys::default_disposition(libc::SIGCHLD);
}

/// Gives every signal its default disposition: ignored ones would survive exec. Allocates nothing.
pub fn reset_dispositions() {
    for signal in 1..=LAST {
        // KILL and STOP can't be set and need not be.
        let _ = sys::default_disposition(signal);
    }
}

/// What is done with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Collect children.
    Reap,
    /// Hand it to the agent's group.
    Forward,
    /// Hand it to the agent's group, and the grace begins; the second one ends it.
    Stop,
    /// Ours alone: the kernel told PID 1 that it is a background group of its terminal.
    Drop,
}

/// Where a signal goes, by its number and `si_code`.
pub fn route(signal: i32, code: i32) -> Route {
    match signal {
        libc::SIGCHLD => Route::Reap,
        libc::SIGTERM | libc::SIGINT => Route::Stop,
        libc::SIGTTIN | libc::SIGTTOU | libc::SIGTSTP if code == libc::SI_KERNEL => Route::Drop,
        _ => Route::Forward,
    }
}

/// The descriptor that signals are read from.
#[derive(Debug)]
pub struct Signals {
    file: File,
}

impl Signals {
    /// Opens it. [`block_all`] must have been called.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn open() -> std::io::Result<Self> {
        Ok(Self { file: sys::signalfd(blocked())?.into() })
    }

    /// To wait for.
    pub fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// The next signal: its number and `si_code`. `None` when all are read.
    pub fn take(&mut self) -> Option<(i32, i32)> {
        let mut record = [0u8; RECORD];
        match self.file.read(&mut record) {
            Ok(RECORD) => Some((word(&record, 0)?, word(&record, 8)?)),
            _ => None,
        }
    }
}

/// An int at an offset.
fn word(record: &[u8], at: usize) -> Option<i32> {
    record.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_has_its_route() {
        for signal in (1..=LAST).filter(|s| !SYNCHRONOUS.contains(s)) {
            let wanted = match signal {
                17 => Route::Reap,
                2 | 15 => Route::Stop,
                _ => Route::Forward,
            };
            assert_eq!(route(signal, libc::SI_USER), wanted, "{signal}");
        }
        for signal in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
            assert_eq!(route(signal, libc::SI_KERNEL), Route::Drop, "{signal}");
        }
        assert_eq!(route(libc::SIGWINCH, libc::SI_KERNEL), Route::Forward);
    }

    #[test]
    fn a_fault_of_our_own_is_never_blocked_and_real_time_signals_are() {
        for signal in SYNCHRONOUS {
            assert_eq!(blocked() & bit(signal), 0, "{signal}");
        }
        for signal in [libc::SIGTERM, 32, 33, 34, 64] {
            assert_ne!(blocked() & bit(signal), 0, "{signal}");
        }
        assert_eq!((bit(0), bit(65), bit(64)), (0, 0, 1 << 63));
    }
}
