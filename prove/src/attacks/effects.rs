//! What local attacks share: the line between what is refused and what does not exist here.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType};

use super::Failed;

/// Opens a socket; a family or protocol that this kernel has not is no refusal.
pub fn socket(family: AddressFamily, kind: SocketType, protocol: Option<u32>) -> Result<OwnedFd, Failed> {
    use nix::libc::{EAFNOSUPPORT, EPROTONOSUPPORT, ESOCKTNOSUPPORT};
    rustix::net::socket(family, kind, protocol.and_then(super::ip::protocol)).map_err(|error| {
        match error.raw_os_error() {
            EAFNOSUPPORT | EPROTONOSUPPORT | ESOCKTNOSUPPORT => {
                Failed::Impossible(format!("this kernel has no such socket: {error}"))
            }
            _ => Failed::Refused(error.to_string()),
        }
    })
}
