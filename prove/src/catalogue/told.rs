//! A refusal that nobody is told of: neither counted nor logged. And what got past the rules, so that only the guard
//! behind them stopped it.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(
    who: Who,
    control: Control,
    id: &'static str,
    title: &'static str,
    source: &'static str,
) -> Attack {
    attack(Family::Told, (who, control, Arrival::Untold), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a(
        Who::Agent,
        Control::Open,
        "told-docker-dns",
        "A question to Docker's resolver, unseen",
        "MITRE ATT&CK T1562.006",
    ),
    a(Who::Agent, Control::Open, "told-tcp", "TCP, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Agent, Control::Open, "told-udp", "UDP, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Agent, Control::Open, "told-icmp", "ICMP, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Agent, Control::Open, "told-tcp6", "TCP over IPv6, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Agent, Control::Open, "told-udp6", "UDP over IPv6, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Agent, Control::Open, "told-icmp6", "ICMPv6, unseen", "MITRE ATT&CK T1562.006"),
    a(Who::Network, Control::Open, "told-other", "Another protocol, unseen", "MITRE ATT&CK T1562.006"),
    a(
        Who::Neighbour,
        Control::Beside,
        "told-inbound",
        "A neighbour's connection, unseen",
        "MITRE ATT&CK T1562.006",
    ),
    a(
        Who::Network,
        Control::Beside,
        "told-unmarked",
        "An Ethernet frame made by hand, unseen",
        "MITRE ATT&CK T1562.006",
    ),
    attack(
        Family::Told,
        (Who::Agent, Control::Frame, Arrival::Unmarked),
        "told-guard",
        "TCP, UDP, ICMP and DNS that the rules let pass and only the guard stops",
        "nftables wiki, accept is not final",
    ),
    attack(
        Family::Told,
        (Who::Network, Control::Frame, Arrival::Unmarked),
        "told-guard-other",
        "Another protocol that the rules let pass and only the guard stops",
        "nftables wiki, accept is not final",
    ),
];

/// The class under which a refusal of this attack is counted, as init names it.
pub fn class(id: &str) -> &'static str {
    match id {
        "told-docker-dns" => "docker_dns",
        "told-tcp" | "told-tcp6" => "tcp",
        "told-udp" | "told-udp6" => "udp",
        "told-icmp" | "told-icmp6" => "icmp",
        "told-other" => "other",
        "told-inbound" => "inbound",
        _ => "unmarked",
    }
}

/// Whether it goes by IPv6: what is refused of IPv4 beside it tells nothing of it.
pub fn is_six(id: &str) -> bool {
    id.ends_with('6')
}
