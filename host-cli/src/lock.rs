//! The one lock around every change of host state. Held by an open file, so that it ends with the process.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::paths::Paths;

/// How long to wait in silence.
const SILENCE: Duration = Duration::from_secs(1);
/// How often to try.
const STEP: Duration = Duration::from_millis(5);

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
#[error("Can't lock {path}", path = .path.display())]
pub struct LockError {
    path: std::path::PathBuf,
    source: io::Error,
}

/// Proof that nobody else changes state. Functions that change it ask for one.
#[derive(Debug)]
pub struct StateLock {
    _file: Flock<File>,
}

impl StateLock {
    /// Waits for it; after a second says that it waits.
    ///
    /// # Errors
    /// [`LockError`] when the file can't be opened or locked at all.
    pub fn acquire(paths: &Paths) -> Result<Self, LockError> {
        let path = paths.lock();
        let failed = |source| LockError { path: path.clone(), source };
        let begin = Instant::now();
        let mut said = false;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(locked) => return Ok(Self { _file: locked }),
                Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
                Err((_, error)) => return Err(failed(error.into())),
            };
            if !said && begin.elapsed() > SILENCE {
                crate::output::complain("waiting for another clawker command to finish");
                said = true;
            }
            std::thread::sleep(STEP);
        }
    }
}
