//! The child's process group, session and terminal. A group of its own in the foreground: keys on the terminal
//! reach the agent once and PID 1 never. With a session of its own the agent owns the terminal, as a shell wants.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd::{Pid, getpgrp, getpid, getsid, isatty, setpgid, setsid, tcgetpgrp, tcsetpgrp};

use crate::{signals, sys};

/// How a child stands to its terminal, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Terminal {
    /// Own process group, in the foreground where ours was.
    #[default]
    Group,
    /// Own session, with the terminal as its controlling one where nobody else has it.
    Session,
}

impl Terminal {
    pub(super) fn is_session_on_terminal(self) -> bool {
        self == Self::Session && standard_terminal(|_| true)
    }
}

/// Runs `take` on the standard streams that are terminals, until it is true for one.
fn standard_terminal(take: impl Fn(BorrowedFd<'_>) -> bool) -> bool {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
        .into_iter()
        .any(|stream| isatty(stream).unwrap_or(false) && take(stream))
}

/// Our controlling terminal, where we have one.
fn controlling() -> Option<File> {
    let tty = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").ok();
    let stdin = || io::stdin().as_fd().try_clone_to_owned().ok().map(File::from);
    tty.or_else(stdin).filter(|file| tcgetpgrp(file).is_ok())
}

/// Before the fork: the terminal to hand on. As leader of a session we give ours up first, so that the child's
/// session can take it. A background job takes nobody's terminal.
pub(super) fn prepare(terminal: Terminal) -> Option<File> {
    let file = controlling()?;
    match terminal {
        Terminal::Group => (tcgetpgrp(&file) == Ok(getpgrp())).then_some(file),
        Terminal::Session => {
            if getsid(None) == Ok(getpid()) && sys::leave_terminal(&file).is_ok() {
                // The kernel tells the foreground group, which may be ours, with HUP and CONT: not the agent's.
                while sys::take_pending(signals::bit(libc::SIGHUP) | signals::bit(libc::SIGCONT)).is_some() {}
            }
            None
        }
    }
}

/// In the child. Nothing here is fatal: without a terminal there is nothing to take.
pub(super) fn enter(terminal: Terminal, foreground: Option<&File>) {
    match terminal {
        Terminal::Group => settle(terminal, foreground, getpid()),
        Terminal::Session => {
            let _ = setsid();
            standard_terminal(|stream| sys::take_terminal(&stream).is_ok());
        }
    }
}

/// In the child and in the parent, because either may be first: the group, and its place in the foreground.
/// SIGTTOU is blocked in both, else this would stop them.
pub(super) fn settle(terminal: Terminal, foreground: Option<&File>, pid: Pid) {
    // A session makes its own group; one made by the parent would forbid it.
    if terminal == Terminal::Group {
        let _ = setpgid(pid, pid);
        if let Some(tty) = foreground {
            let _ = tcsetpgrp(tty, pid);
        }
    }
}

/// Takes the foreground back when the child has ended: whoever started us goes on with the terminal.
pub fn take_back() {
    if let Some(tty) = controlling() {
        let _ = tcsetpgrp(&tty, getpgrp());
    }
}
