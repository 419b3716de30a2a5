//! Whole commands, timed from outside.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command to its end and times it. A command that fails has no time.
///
/// # Errors
/// When it can't be run or fails.
pub fn once(command: &mut Command) -> io::Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output()?;
    let elapsed = begin.elapsed();
    if output.status.success() {
        Ok(elapsed)
    } else {
        Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
    }
}
