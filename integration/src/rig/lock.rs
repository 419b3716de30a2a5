//! One rig at a time on a machine: an abstract socket, whose name the kernel frees with the process that holds it. It
//! leaves no file behind.

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::time::Duration;

/// The name.
const NAME: &str = "clawker-fakenet";
/// How often it is tried.
const STEP: Duration = Duration::from_millis(50);

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _listener: UnixListener,
}

/// The name as it is shown to people.
pub fn path() -> PathBuf {
    PathBuf::from(format!("@{NAME}"))
}

impl Lock {
    /// Takes the lock; says so where it has to wait.
    ///
    /// # Errors
    /// When the socket can't be made at all.
    pub fn take() -> io::Result<Self> {
        let address = SocketAddr::from_abstract_name(NAME)?;
        let mut said = false;
        loop {
            match UnixListener::bind_addr(&address) {
                Ok(listener) => return Ok(Self { _listener: listener }),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
            if !said {
                eprintln!("Another fake internet runs on this machine; waiting for its end");
                said = true;
            }
            std::thread::sleep(STEP);
        }
    }
}
