//! The policy as the agent may read it: what holds for each destination after all layers were joined. Pure.

use std::collections::BTreeMap;

use clawker_protocol::summary::{SummaryPath, SummaryRule};

use crate::policy::{Decision, Dst, Paths, Policy, Proto, Rule};

/// The summary: names as they are decided, addresses as they are listed.
pub fn of(policy: &Policy) -> Vec<SummaryRule> {
    let mut by_name: BTreeMap<(&str, Proto), Vec<(u16, &Decision)>> = BTreeMap::new();
    for (proto, port) in policy.doors() {
        for (name, decision) in policy.names(proto, port) {
            by_name.entry((name, proto)).or_default().push((port, decision));
        }
    }
    let names = by_name.into_iter().flat_map(|((name, proto), ports)| {
        stretches(ports).map(move |(first, last, decision)| {
            let rule = policy.rule_of(decision);
            SummaryRule {
                dst: name.to_owned(),
                proto: proto.as_str().to_owned(),
                port: if first == last { first.to_string() } else { format!("{first}-{last}") },
                action: decision.action.as_str().to_owned(),
                expires: rule.and_then(|rule| rule.expires),
                path_default: decision.paths.as_ref().map_or("", |paths| paths.default.as_str()).to_owned(),
                paths: decision.paths.as_ref().map(paths).unwrap_or_default(),
            }
        })
    });
    let nets = policy.rules().iter().filter(|rule| matches!(rule.dst, Dst::Net(_))).map(net);
    names.chain(nets).collect()
}

/// Neighbouring ports of which the same is said.
fn stretches<'a>(ports: Vec<(u16, &'a Decision)>) -> impl Iterator<Item = (u16, u16, &'a Decision)> {
    let mut list: Vec<(u16, u16, &'a Decision)> = Vec::new();
    for (port, decision) in ports {
        match list.last_mut() {
            Some((_, last, same)) if last.checked_add(1) == Some(port) && *same == decision => *last = port,
            _ => list.push((port, port, decision)),
        }
    }
    list.into_iter()
}

fn net(rule: &Rule) -> SummaryRule {
    SummaryRule {
        dst: rule.dst.to_string(),
        proto: rule.proto.as_str().to_owned(),
        port: if rule.everywhere { "1-65535".to_owned() } else { rule.port_text() },
        action: rule.action.as_str().to_owned(),
        expires: rule.expires,
        path_default: String::new(),
        paths: Vec::new(),
    }
}

fn paths(paths: &Paths) -> Vec<SummaryPath> {
    let rule = |rule: &crate::policy::PathRule| SummaryPath {
        path: rule.path.to_string(),
        methods: rule.methods.clone(),
        action: rule.action.as_str().to_owned(),
    };
    paths.rules.iter().map(rule).collect()
}
