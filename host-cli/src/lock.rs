//! The one lock around every change of host state. Held by an open file, so that it ends with the process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
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
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        loop {
            file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut locked) => {
                    // For whoever waits; a holder that can't be named still holds it.
                    let _ = sign(&mut locked);
                    return Ok(Self { _file: locked });
                }
                Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
                Err((_, error)) => return Err(failed(error.into())),
            };
            if !said && begin.elapsed() > SILENCE {
                crate::output::complain(&format!("Waiting for {}", holder(&mut file)));
                said = true;
            }
            std::thread::sleep(STEP);
        }
    }
}

impl StateLock {
    /// Whether some process holds it at this moment.
    pub fn is_held(paths: &Paths) -> bool {
        let Ok(file) = File::open(paths.lock()) else { return false };
        Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
    }
}

/// Writes down who holds the lock.
fn sign(file: &mut File) -> io::Result<()> {
    let command: Vec<String> = std::env::args().skip(1).take(2).collect();
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "clawker {} (pid {})", command.join(" "), std::process::id())
}

/// Who holds it, as far as it is written down.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text));
    match read {
        Ok(1..) => crate::output::escape(&text),
        _ => "another clawker command to finish".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_waits_for_the_first_and_can_name_it() {
        let state = std::env::temp_dir().join(format!("clawker-lock-{}", std::process::id()));
        std::fs::create_dir_all(&state).unwrap();
        let paths =
            Paths { state: state.clone(), config: state.clone(), cache: state.clone(), instance: None };
        let first = StateLock::acquire(&paths).unwrap();
        let mut file = File::open(paths.lock()).unwrap();
        assert!(StateLock::is_held(&paths));
        assert!(holder(&mut file).contains(&format!("pid {}", std::process::id())));
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = paths.clone();
        std::thread::spawn(move || sender.send(StateLock::acquire(&other).is_ok()));
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err(), "it is held");
        drop(first);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(20)), Ok(true));
        std::fs::remove_dir_all(&state).unwrap();
    }
}
