//! The two netfilter changes that the rig needs: Docker keeps its bridges apart, so traffic to and from the fake
//! internet is let through in the chain that Docker leaves to its users; and inside the fake internet's own
//! namespace every TCP port leads to the one that answers them all.

use super::docker::{CommandError, run};
use crate::fakenet::{address, resolver, tcp};

/// Marks the rig's rules among others.
const COMMENT: &str = "clawker-fakenet";
const CHAIN: &str = "DOCKER-USER";

/// Lets the fake internet and other bridges reach each other.
///
/// # Errors
/// When `iptables` refuses: no root, or no Docker that made the chain.
pub fn open_the_way() -> Result<(), CommandError> {
    for direction in ["-s", "-d"] {
        let rule = [direction, address::NETWORK, "-m", "comment", "--comment", COMMENT, "-j", "ACCEPT"];
        iptables(&[&["-I", CHAIN], &rule[..]].concat())?;
    }
    Ok(())
}

/// Takes back what [`open_the_way`] did, in this run or in one that was killed.
pub fn close_the_way() {
    for rule in run("iptables", &["-w", "-S", CHAIN]).unwrap_or_default().lines() {
        if let Some(rule) = ours(rule) {
            let _ = iptables(&[&["-D"], &rule[..]].concat());
        }
    }
}

/// The words behind `-A` of a listed rule, if it is one of the rig's.
fn ours(rule: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = rule.split_whitespace().map(|word| word.trim_matches('"')).collect();
    (words.first() == Some(&"-A") && words.contains(&COMMENT)).then(|| words[1..].to_vec())
}

/// Leads every TCP port but DNS to the catch-all, in the namespace of a process.
///
/// # Errors
/// When `nsenter` or `iptables` refuses.
pub fn catch_all(pid: &str) -> Result<(), CommandError> {
    let (dns, to) = (resolver::PORT.to_string(), tcp::CATCH_ALL.to_string());
    let redirect = ["-p", "tcp", "!", "--dport", &dns, "-j", "REDIRECT", "--to-ports", &to];
    let enter = ["-t", pid, "-n", "iptables", "-w", "-t", "nat", "-A", "PREROUTING"];
    run("nsenter", &[&enter[..], &redirect[..]].concat()).map(drop)
}

fn iptables(arguments: &[&str]) -> Result<(), CommandError> {
    run("iptables", &[&["-w"], arguments].concat()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rig_s_own_rules_are_taken_back() {
        let listed = "-A DOCKER-USER -s 198.51.100.0/24 -m comment --comment clawker-fakenet -j ACCEPT";
        assert_eq!(ours(listed).map(|words| words[0]), Some("DOCKER-USER"));
        assert_eq!(ours("-A DOCKER-USER -j RETURN"), None);
        assert_eq!(ours("-N DOCKER-USER"), None);
    }
}
