//! This machine and this user's state.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
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

/// A folder of root's reaches an agent through an idmapped mount.
pub fn idmap(folder: &Path) -> Check {
    const NAME: &str = "idmapped mounts";
    if !nix::unistd::geteuid().is_root() {
        return Check::ok(NAME, "not looked at (needs root, and only root's projects need them)");
    }
    match crate::idmap::try_on(folder) {
        Ok(()) => Check::ok(NAME, "work in this folder"),
        Err(why) => Check::warn(
            NAME,
            format!("don't work in this folder: {why}"),
            "Projects of root's here need --mode snapshot, or another owner",
        ),
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

/// The kernel passes on what agents' names lead to, and no other firewall's chain drops what Docker's let through: in
/// netfilter a packet has to pass every table's.
pub fn bridge(bridge: Option<&str>) -> Check {
    const NAME: &str = "bridge";
    let forward = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap_or_default();
    if forward.trim() == "0" {
        return Check::fail(
            NAME,
            "the kernel forwards nothing (net.ipv4.ip_forward is 0)",
            "sysctl -w net.ipv4.ip_forward=1",
        );
    }
    let listed = Command::new("nft").args(["-j", "list", "ruleset"]).stdin(Stdio::null()).output();
    match listed {
        Ok(output) if output.status.success() => {
            judge_chains(&String::from_utf8_lossy(&output.stdout), bridge.unwrap_or("clawker's bridge"))
        }
        _ => Check::ok(NAME, "forwarding is on; other firewalls not looked at (needs nft and root)"),
    }
}

/// Chains of the forward hook that drop by policy, outside of the table that Docker keeps open for its bridges.
fn judge_chains(ruleset: &str, bridge: &str) -> Check {
    const NAME: &str = "bridge";
    let all: serde_json::Value = serde_json::from_str(ruleset).unwrap_or_default();
    let objects = all["nftables"].as_array().cloned().unwrap_or_default();
    let chain = |object: &serde_json::Value| {
        let chain = object.get("chain")?;
        let text = |key: &str| chain[key].as_str().unwrap_or_default().to_owned();
        let drops = text("hook") == "forward" && text("policy") == "drop" && text("family") != "ip6";
        let of_docker = text("family") == "ip" && text("table") == "filter";
        (drops && !of_docker)
            .then(|| (text("table"), format!("{} {} {}", text("family"), text("table"), text("name"))))
    };
    match objects.iter().find_map(chain) {
        None => Check::ok(NAME, "forwarding is on, no other firewall drops it"),
        Some((table, name)) => {
            let mend = match table.as_str() {
                "firewalld" => format!(
                    "firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload"
                ),
                _ => format!("Let {bridge} pass in that chain, both as iifname and as oifname"),
            };
            Check::warn(
                NAME,
                format!("chain {name} drops what it does not know, also what Docker lets through"),
                mend,
            )
        }
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

    #[test]
    fn another_firewall_s_chain_that_drops_is_found_and_docker_s_own_is_none() {
        let chain = |family: &str, table: &str, hook: &str, policy: &str| {
            format!(
                r#"{{"nftables":[{{"metainfo":{{}}}},{{"chain":{{"family":"{family}","table":"{table}","name":"c","hook":"{hook}","policy":"{policy}"}}}}]}}"#
            )
        };
        for (family, table, hook, policy, verdict) in [
            ("ip", "filter", "forward", "drop", Verdict::Ok),
            ("inet", "mine", "forward", "accept", Verdict::Ok),
            ("inet", "mine", "input", "drop", Verdict::Ok),
            ("inet", "mine", "forward", "drop", Verdict::Warn),
            ("inet", "firewalld", "forward", "drop", Verdict::Warn),
        ] {
            let check = judge_chains(&chain(family, table, hook, policy), "br-1");
            assert_eq!(check.verdict, verdict, "{family} {table} {hook} {policy}");
            assert!(check.mend.is_none_or(|mend| mend.contains("br-1")));
        }
    }
}
