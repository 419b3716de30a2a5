//! `security.docker_socket`: Docker's socket in the agent's hands, on the user's word. Who holds it is root on the host,
//! past everything that clawker promises; so it is said at every start, and shown wherever the agent is.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::config::Loaded;
use crate::docker::Engine;
use crate::docker::address::Address;
use crate::exit::Failure;

/// Where it is in the container.
pub const TARGET: &str = "/var/run/docker.sock";
/// What it means, at every start.
pub const WARNING: &str = "security.docker_socket is on: the agent holds Docker's socket. It can start containers \
     without a firewall and be root on this machine; the firewall holds nothing back that it does that way";
/// What is asked about.
pub const QUESTION: &str =
    "give the agent Docker's socket: with it it is root on this machine, and the firewall holds nothing back";

/// The engine's socket and the group that may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerSocket {
    /// On the host.
    pub path: PathBuf,
    /// Its group, which the agent is put into.
    pub group: u32,
}

/// What a configuration asks for; `None` where it is off.
///
/// # Errors
/// Where there is no socket that an agent could use.
pub fn wanted(loaded: &Loaded, engine: &Engine) -> Result<Option<DockerSocket>, Failure> {
    if !loaded.config.security.docker_socket {
        return Ok(None);
    }
    match &engine.address {
        Address::Unix(path) => look(path).map(Some),
        _ => Err(Failure::new("security.docker_socket needs an engine on a Unix socket of this machine")),
    }
}

fn look(path: &Path) -> Result<DockerSocket, Failure> {
    let failed = |why: &str| Failure::new(format!("security.docker_socket: {} {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(&format!("can't be read: {error}")))?;
    if !metadata.file_type().is_socket() {
        return Err(failed("is no socket"));
    }
    let (group, mode) = (metadata.gid(), metadata.mode());
    if group == 0 || mode & 0o060 != 0o060 {
        return Err(failed(
            "is root's alone, and an agent is never in root's group; give the socket a group of its own (docker)",
        ));
    }
    Ok(DockerSocket { path: path.to_owned(), group })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_with_a_group_of_its_own_will_do() {
        let folder = std::env::temp_dir().join(format!("clawker-sock-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("d.sock");
        assert!(look(&path).unwrap_err().message.contains("can't be read"));
        assert!(look(&folder).unwrap_err().message.contains("no socket"));
        let _listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert!(look(&path).unwrap_err().message.contains("group"));
            chown(&path, None, Some(998)).unwrap();
            assert_eq!(look(&path).unwrap(), DockerSocket { path: path.clone(), group: 998 });
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(look(&path).unwrap_err().message.contains("group"));
        fs::remove_dir_all(folder).unwrap();
    }
}
