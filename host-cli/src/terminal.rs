//! The user's terminal in raw mode, and back again on every way out: return, error, panic, signal.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{self, SetArg, Termios};

/// The mode to go back to, for whoever leaves first.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Raw mode for as long as this lives.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Puts the terminal on stdin into raw mode.
    ///
    /// # Errors
    /// When stdin is not a terminal, or won't.
    pub fn enter() -> std::io::Result<Self> {
        let stdin = std::io::stdin();
        let saved = termios::tcgetattr(stdin.as_fd())?;
        let mut raw = saved.clone();
        termios::cfmakeraw(&mut raw);
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved);
        termios::tcsetattr(stdin.as_fd(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was; does nothing when it is.
pub fn restore() {
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        let _ = termios::tcsetattr(std::io::stdin().as_fd(), SetArg::TCSANOW, &saved);
    }
}

/// Rows and columns, where there is a terminal.
pub fn size() -> Option<(u16, u16)> {
    terminal_size::terminal_size().map(|(columns, rows)| (rows.0, columns.0))
}

/// Whether stdin and stdout are both a terminal.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// A panic restores the terminal first, and shows one line instead of a backtrace.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        restore();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        crate::output::complain(&format!("Internal error at {place}; please report it with what you typed"));
    }));
}
