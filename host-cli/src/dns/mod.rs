//! CoreDNS's configuration: a block and a zone for each policy, and an open forwarder for each set of resolvers. Pure;
//! `ask` is the question that shows what CoreDNS has taken.

pub mod ask;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::plan::Plan;

/// Where the files are in the container.
pub const FOLDER: &str = "/etc/coredns";
/// The Corefile's name.
pub const COREFILE: &str = "Corefile";
/// A block that is always there, for health checks: it refuses every question.
pub const HEALTH_PORT: u16 = 5300;
/// How long a resolver may remember an answer, in seconds: long enough to spare questions, short enough for changes.
const TTL: u32 = 5;

/// The Corefile for these policies. Changes only when a policy or a set of resolvers comes or goes.
pub fn corefile<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> String {
    let mut text = String::from("# Written by clawker; changes are overwritten.\n");
    block(&mut text, HEALTH_PORT, &[]);
    let mut open: BTreeMap<u16, &[Ipv4Addr]> = BTreeMap::new();
    for plan in plans {
        open.insert(plan.open_dns_port, &plan.upstream_dns);
        let log = log(&plan.id, "policy");
        let file = format!("file {FOLDER}/{} . {{", zone_file(&plan.id));
        block(
            &mut text,
            plan.dns_port,
            &["errors", log.as_str(), "    class denial error", "}", &file, "    reload 200ms", "}"],
        );
    }
    for (port, upstream) in open {
        let upstream: Vec<String> = upstream.iter().map(Ipv4Addr::to_string).collect();
        let forward = format!("forward . {} {{", upstream.join(" "));
        block(
            &mut text,
            port,
            &["errors", &log("-", "open"), "    class all", "}", &forward, "    max_concurrent 1000", "}"],
        );
    }
    text
}

/// One line an answer, marked as ours. The name comes last: it is the agent's to choose, and can so imitate no other
/// field.
fn log(policy: &str, zone: &str) -> String {
    format!("log . \"clawker-dns {policy} {zone} {{remote}} {{type}} {{rcode}} {{name}}\" {{")
}

fn block(text: &mut String, port: u16, lines: &[&str]) {
    let _ = writeln!(text, "\n.:{port} {{");
    for line in lines {
        let _ = writeln!(text, "    {line}");
    }
    text.push_str("}\n");
}

/// The name of a policy's zone file.
pub fn zone_file(policy: &str) -> String {
    format!("{policy}.zone")
}

/// A policy's zone: the root, so that every name that it does not hold does not exist. Its serial is the generation.
pub fn zone(plan: &Plan) -> String {
    let mut text = format!(
        "$TTL {TTL}\n. IN SOA clawker. clawker. {} 60 60 60 {TTL}\n. IN NS clawker.\n",
        serial(plan.generation)
    );
    for answer in &plan.zone {
        let name = &answer.name;
        let _ = match answer.address {
            Some(address) => writeln!(text, "{name}. IN A {address}"),
            // It exists, so that no wildcard answers for it, and has no address.
            None => writeln!(text, "{name}. IN TXT \"denied\""),
        };
    }
    text
}

/// A generation as a serial number.
pub fn serial(generation: u64) -> u32 {
    u32::try_from(generation).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
