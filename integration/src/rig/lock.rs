//! One rig at a time on a machine: a file lock, which the kernel releases with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// The file.
pub fn path() -> PathBuf {
    std::env::temp_dir().join("clawker-fakenet.lock")
}

impl Lock {
    /// Takes the lock; says so where it has to wait.
    ///
    /// # Errors
    /// When the file can't be opened or locked.
    pub fn take() -> io::Result<Self> {
        let path = path();
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("Another fake internet runs on this machine; waiting for {}", path.display());
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self { _file: file })
    }
}
