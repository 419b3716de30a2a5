//! The netfilter changes that the rig needs. Docker keeps its bridges apart, so traffic to the fake internet and its
//! answers are let through in the chain that Docker leaves to its users, and nothing else may leave that network, least
//! of all to the real internet. What goes to it can keep its source address, so that a record tells who came. And inside the fake internet's own
//! namespace every TCP port leads to the one that answers them all.

use super::docker::{CommandError, run};
use crate::fakenet::{address, resolver, tcp};

/// Marks the rig's rules among others.
const COMMENT: &str = "clawker-fakenet";

const FILTER: (&str, &str) = ("filter", "DOCKER-USER");
const NAT: (&str, &str) = ("nat", "POSTROUTING");
/// Where Docker 28 drops what goes to a container's own address from another bridge.
const RAW: (&str, &str) = ("raw", "PREROUTING");

/// The way, in the order in which the rules have to stand.
const WAY: [&[&str]; 3] = [
    &["-d", address::NETWORK, "-j", "ACCEPT"],
    &["-s", address::NETWORK, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "ACCEPT"],
    &["-s", address::NETWORK, "-j", "DROP"],
];

/// Lets other bridges reach the fake internet, and only answers come back.
///
/// # Errors
/// When `iptables` refuses: no root, or no Docker that made the chain.
pub fn open_the_way() -> Result<(), CommandError> {
    ["-d", "-s"].iter().try_for_each(|end| insert(RAW, &[end, address::NETWORK, "-j", "ACCEPT"]))?;
    WAY.iter().rev().try_for_each(|rule| insert(FILTER, rule))
}

/// Keeps Docker from putting a bridge's address in front of what its containers send to the fake internet. Docker
/// puts each new network's rule first, so this holds for the networks that there are when it is called.
///
/// # Errors
/// As [`open_the_way`].
pub fn keep_sources() -> Result<(), CommandError> {
    remove_ours(NAT);
    insert(NAT, &["-d", address::NETWORK, "-j", "ACCEPT"])
}

/// Takes back what [`open_the_way`] and [`keep_sources`] did, in this run or in one that was killed.
pub fn close_the_way() {
    [RAW, FILTER, NAT].into_iter().for_each(remove_ours);
}

fn insert((table, chain): (&str, &str), rule: &[&str]) -> Result<(), CommandError> {
    iptables(table, &[&["-I", chain, "-m", "comment", "--comment", COMMENT], rule].concat())
}

fn remove_ours((table, chain): (&str, &str)) {
    for rule in run("iptables", &["-w", "-t", table, "-S", chain]).unwrap_or_default().lines() {
        if let Some(rule) = ours(rule) {
            let _ = iptables(table, &[&["-D"], &rule[..]].concat());
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

fn iptables(table: &str, arguments: &[&str]) -> Result<(), CommandError> {
    run("iptables", &[&["-w", "-t", table], arguments].concat()).map(drop)
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
