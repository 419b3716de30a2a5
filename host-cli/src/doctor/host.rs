//! This machine and this user's state.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use super::Check;
use crate::paths::Paths;

/// Envoy, CoreDNS and Docker each want some; the kernel's own default is 128.
const FEW_INOTIFY: u64 = 64;

/// The state folder is the user's and nobody else's.
pub fn state(paths: &Paths) -> Check {
    const NAME: &str = "state";
    let shown = paths.state.display();
    match std::fs::metadata(&paths.state) {
        Err(error) => Check::fail(NAME, format!("{shown}: {error}"), format!("mkdir -m 700 -p {shown}")),
        Ok(found) if found.uid() != nix::unistd::geteuid().as_raw() => {
            Check::fail(NAME, format!("{shown} belongs to uid {}", found.uid()), "Call clawker as that user")
        }
        Ok(found) if found.mode() & 0o077 != 0 => {
            let mode = found.mode() & 0o777;
            Check::fail(NAME, format!("{shown} has mode {mode:o}"), format!("chmod 700 {shown}"))
        }
        Ok(_) => Check::ok(NAME, shown.to_string()),
    }
}

/// This binary carries an init that runs here.
pub fn init(paths: &Paths) -> Check {
    const NAME: &str = "init";
    let path = match paths.init_binary() {
        Ok(path) => path,
        Err(error) => return Check::fail(NAME, error.to_string(), "Build clawker with make build"),
    };
    let ran = Command::new(&path).arg("version").stdin(Stdio::null()).output();
    match ran {
        Ok(output) if output.status.success() => {
            Check::ok(NAME, String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(output) => Check::fail(
            NAME,
            format!("{} ends with {}", path.display(), output.status),
            "Build clawker with make build",
        ),
        // On another kind of machine than the engine's it need not run here.
        Err(error) => {
            Check::warn(NAME, format!("{}: {error}", path.display()), "Build clawker with make build")
        }
    }
}

/// Envoy sees new configuration through inotify.
pub fn inotify() -> Check {
    const NAME: &str = "inotify";
    let file = "/proc/sys/fs/inotify/max_user_instances";
    let limit = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    match limit {
        None => Check::ok(NAME, "limit unknown"),
        Some(limit) if limit < FEW_INOTIFY => Check::warn(
            NAME,
            format!("only {limit} instances a user"),
            "sysctl -w fs.inotify.max_user_instances=512",
        ),
        Some(limit) => Check::ok(NAME, format!("{limit} instances a user")),
    }
}

/// A host firewall that drops what is forwarded, and does not know Docker, stops Envoy too.
pub fn forwarding() -> Check {
    const NAME: &str = "host firewall";
    let listed = Command::new("iptables").args(["-w", "1", "-S", "FORWARD"]).stdin(Stdio::null()).output();
    match listed {
        Ok(output) if output.status.success() => judge_forward(&String::from_utf8_lossy(&output.stdout)),
        _ => Check::ok(NAME, "not looked at (needs iptables and root)"),
    }
}

fn judge_forward(rules: &str) -> Check {
    const NAME: &str = "host firewall";
    let drops = rules.lines().any(|line| line.trim() == "-P FORWARD DROP");
    let knows_docker = rules.contains("-j DOCKER");
    if drops && !knows_docker {
        Check::fail(NAME, "forwarding is dropped and Docker's chains are missing", "systemctl restart docker")
    } else {
        Check::ok(
            NAME,
            if knows_docker { "Docker's chains are in place" } else { "forwarding is not dropped" },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_firewall_that_forgot_docker_is_found() {
        for (rules, verdict) in [
            ("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n", Verdict::Ok),
            ("-P FORWARD DROP\n", Verdict::Fail),
            ("-P FORWARD ACCEPT\n", Verdict::Ok),
        ] {
            assert_eq!(judge_forward(rules).verdict, verdict, "{rules}");
        }
    }
}
