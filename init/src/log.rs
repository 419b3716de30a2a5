//! One-line messages on stderr. Never blocks: a reader that has stopped must not stop PID 1, so a line that does
//! not fit is dropped. Text that came from elsewhere can't move the cursor or forge a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::OnceLock;

use crate::sys;

/// A longer line may not go through a pipe in one piece.
const MAX_LINE: usize = libc::PIPE_BUF;

/// Our own open description of stderr, where one could be had.
static PRIVATE: OnceLock<Option<File>> = OnceLock::new();

/// Opens stderr anew, so that lines don't block. To be called before stderr is given to the agent's user, whose
/// pipe PID 1 may not open afterwards.
pub fn prepare() {
    PRIVATE.get_or_init(|| reopened(io::stderr().as_fd()));
}

/// O_NONBLOCK belongs to the open description, which the agent shares with us: it must not be set on that one.
/// Files don't block, and would be overwritten through a second description.
fn reopened(stderr: BorrowedFd<'_>) -> Option<File> {
    let kind = File::from(stderr.try_clone_to_owned().ok()?).metadata().ok()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return None;
    }
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(format!("/proc/self/fd/{}", stderr.as_raw_fd()))
        .ok()
}

/// Writes one line, or drops it.
pub fn line(text: &str) {
    prepare();
    let bytes = rendered(text);
    match PRIVATE.get() {
        Some(Some(file)) => {
            let mut file: &File = file;
            let _ = file.write(&bytes);
        }
        _ => {
            let _ = write_if_ready(&bytes);
        }
    }
}

/// For what can't be opened anew: writes only when there is room at this moment.
fn write_if_ready(bytes: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr();
    let mut fds = [libc::pollfd { fd: stderr.as_raw_fd(), events: libc::POLLOUT, revents: 0 }];
    sys::poll(&mut fds, Some(0))?;
    if fds.iter().any(|fd| fd.revents & libc::POLLOUT != 0) {
        stderr.write_all(bytes)?;
    }
    Ok(())
}

/// The line as it is written: a prefix, control characters escaped, bounded.
fn rendered(text: &str) -> Vec<u8> {
    let mut out = String::from("clawker-init: ");
    for c in text.chars() {
        if out.len() + 12 > MAX_LINE {
            out.push('…');
            break;
        }
        if c.is_control() || is_bidi(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('\n');
    out.into_bytes()
}

/// Characters that turn the direction of what follows.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_its_line() {
        assert_eq!(rendered("a\nclawker-init: b"), b"clawker-init: a\\nclawker-init: b\n");
        let text = String::from_utf8(rendered("\u{1b}[2J\u{9b}\u{202e}é\r")).unwrap();
        assert_eq!(text, "clawker-init: \\u{1b}[2J\\u{9b}\\u{202e}é\\r\n");
    }

    #[test]
    fn a_line_goes_through_a_pipe_in_one_piece() {
        for text in ["x".repeat(100_000), "\u{1}".repeat(100_000), "é".repeat(100_000)] {
            let bytes = rendered(&text);
            assert!(bytes.len() <= MAX_LINE, "{}", bytes.len());
            assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }
}
