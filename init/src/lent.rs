//! `clawker-init git-credential`: git's helper in the container. It knows nothing itself; it asks the helper on the
//! host, which answers for hosts that the policy lists.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::log;

/// Where the helper on the host listens, where there is one.
const SOCKET: &str = "/run/clawker-lent/git.sock";
/// A longer request is none of git's.
const MAX_LEN: u64 = 16 << 10;
/// Longer than the helper on the host takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Passes a `get` on; what git wants stored or erased stays where it is. Git asks its other helpers after a failure.
pub fn git_credential(operation: &OsStr) -> u8 {
    if operation != "get" {
        return 0;
    }
    match get() {
        Ok(()) => 0,
        Err(error) => {
            log::line(&format!("The host lends no password: {error}"));
            1
        }
    }
}

fn get() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().take(MAX_LEN).read_to_end(&mut text)?;
    let mut socket = UnixStream::connect(SOCKET)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(&text)?;
    socket.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    socket.take(MAX_LEN).read_to_end(&mut answer)?;
    io::stdout().write_all(&answer)
}
