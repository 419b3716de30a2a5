//! Listed addresses: what is left of them after denies and after the ranges that no rule may open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clawker_protocol::enforcement::{Direct, PortRange};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Action, Dst, Policy, Rule, is_final};

/// Ranges that no listed address ever matches: this host, the link, groups, and the virtual addresses.
fn reserved() -> Vec<IpNet> {
    let v4 = |a, b, c, d, length| Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).map(IpNet::V4);
    let v6 = |first, length| Ipv6Net::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), length).map(IpNet::V6);
    let loopback6 = Ipv6Net::new(Ipv6Addr::LOCALHOST, 127).map(|net| IpNet::V6(net.trunc()));
    let mapped = Ipv6Net::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96).map(IpNet::V6);
    [
        v4(0, 0, 0, 0, 8),
        v4(127, 0, 0, 0, 8),
        v4(169, 254, 0, 0, 16),
        v4(198, 18, 0, 0, 15),
        v4(224, 0, 0, 0, 3),
        loopback6,
        mapped,
        v6(0xfe80, 10),
        v6(0xff00, 8),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether nothing would be left of it.
pub(super) fn is_all_reserved(net: IpNet) -> bool {
    reserved().iter().any(|range| range.contains(&net))
}

/// What init opens by number. `own` is clawker's own network.
pub fn direct(policy: &Policy, own: IpNet) -> Vec<Direct> {
    let nets = |action| {
        policy.rules().iter().filter(move |rule| rule.action == action).filter_map(|rule| match rule.dst {
            Dst::Net(net) => Some((net, ports(rule), is_final(rule))),
            _ => None,
        })
    };
    let never = PortRange::new(1, u16::MAX);
    let mut list = Vec::new();
    for (allowed, ports, _) in nets(Action::Allow) {
        let mut left = vec![(allowed, ports)];
        for range in reserved().into_iter().chain([own]) {
            left = left.into_iter().flat_map(|piece| take(piece, range, never)).collect();
        }
        // A longer prefix wins over a shorter one; at the same length deny wins. The user's denies win over all.
        for (denied, ports, _) in nets(Action::Deny)
            .filter(|(net, _, is_final)| *is_final || net.prefix_len() >= allowed.prefix_len())
        {
            left = left.into_iter().flat_map(|piece| take(piece, denied, Some(ports))).collect();
        }
        list.extend(left.into_iter().map(|(net, ports)| Direct { net, ports }));
    }
    list.sort_by_key(|direct| (direct.net, direct.ports));
    list.dedup();
    list
}

fn ports(rule: &Rule) -> PortRange {
    PortRange::new(1, u16::MAX).filter(|_| rule.everywhere).unwrap_or(rule.ports)
}

/// A piece without what `(net, ports)` covers of it.
fn take((piece, ports): (IpNet, PortRange), net: IpNet, taken: Option<PortRange>) -> Vec<(IpNet, PortRange)> {
    let Some(taken) = taken else { return vec![(piece, ports)] };
    if ports.last() < taken.first() || taken.last() < ports.first() {
        return vec![(piece, ports)];
    }
    let mut left: Vec<_> = without(piece, net).into_iter().map(|rest| (rest, ports)).collect();
    if let Some(common) = common(piece, net) {
        let below = taken.first().checked_sub(1).and_then(|last| PortRange::new(ports.first(), last));
        let above = taken.last().checked_add(1).and_then(|first| PortRange::new(first, ports.last()));
        left.extend([below, above].into_iter().flatten().map(|rest| (common, rest)));
    }
    left
}

fn common(a: IpNet, b: IpNet) -> Option<IpNet> {
    if a.contains(&b) { Some(b) } else { b.contains(&a).then_some(a) }
}

/// `net` without `hole`, as few ranges as possible.
fn without(net: IpNet, hole: IpNet) -> Vec<IpNet> {
    if hole.contains(&net) {
        return Vec::new();
    }
    if !net.contains(&hole) {
        return vec![net];
    }
    match net.subnets(net.prefix_len() + 1) {
        Ok(halves) => halves.flat_map(|half| without(half, hole)).collect(),
        Err(_) => Vec::new(),
    }
}

/// Whether an address lies in a range that no rule may open.
pub fn is_reserved(address: IpAddr) -> bool {
    reserved().iter().any(|range| range.contains(&address))
}
