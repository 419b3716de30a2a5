//! Real servers in the fake internet, for what can't be told from a stand-in: a container each, from the image of real
//! tools, with an address and a name of its own. They go with the rig.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::docker::docker;
use super::{LABEL, Rig, RigError, wait};
use crate::fakenet::address;

/// The image with real servers and clients; `scripts/tools-image` makes it.
pub const TOOLS: &str = "clawker-test-tools:latest";
/// OpenSSH for [`Rig::server`]: a host key of its own, one user `dev`, one repository that says whose it is.
pub const SSHD: &str = "\
    rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; mkdir -p /run/sshd; usermod -p '*' dev
    cd /home/dev; mkdir -m 700 .ssh; git -c init.defaultBranch=main init -q work; echo \"this is $1\" >work/README
    git -C work add README; git -C work -c user.name=dev -c user.email=dev@$1 commit -qm first
    git clone -q --bare work repo.git; chown -R dev: .
    exec /usr/sbin/sshd -D -e";
/// How long a server may take to answer.
const START: Duration = Duration::from_secs(60);
/// How long one try may take.
const TRY: Duration = Duration::from_millis(500);

impl Rig {
    /// Starts a server: `script` runs as root in [`TOOLS`] with the name as its `$1`, and is to listen on `port`.
    /// `last` is the last byte of its address, 20 to 62. Comes back when it answers, with its container's name.
    ///
    /// # Errors
    /// When it does not answer; with what it said.
    pub fn server(&mut self, name: &str, last: u8, port: u16, script: &str) -> Result<String, RigError> {
        let ip = Ipv4Addr::new(198, 51, 100, last);
        debug_assert!((20..63).contains(&last) && ip != address::DNS);
        let (label, network) = (format!("{LABEL}={}", self.instance), self.network());
        let container = format!("{}-{name}", self.container());
        let mut arguments = vec!["run", "-d", "--name", &container, "--hostname", name, "--label", &label];
        let text = ip.to_string();
        arguments.extend(["--network", &network, "--ip", &text, TOOLS, "bash", "-ec", script, "bash", name]);
        docker(&arguments)?;
        self.add_name(name, &[IpAddr::V4(ip)])?;
        let place = SocketAddr::from((ip, port));
        if wait(START, || TcpStream::connect_timeout(&place, TRY).is_ok()) {
            return Ok(container);
        }
        let said = docker(&["logs", "--tail", "5", &container]).unwrap_or_default();
        Err(RigError::Start(format!("{name}: {said}")))
    }
}
