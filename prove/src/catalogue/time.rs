//! Moments of change, with a sender at full speed all through them.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Time, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a(
        "time-start",
        "From the first moment of the container's start",
        "MITRE ATT&CK T1562.004; a start before its firewall",
    ),
    a("time-restart", "All through a restart of the container", "docker restart"),
    a(
        "time-bypass-stop",
        "UDP on a socket of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-tcp",
        "TCP on a connection of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-connected",
        "UDP on a connected socket of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-udp6",
        "UDP over IPv6 on a socket of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-tcp6",
        "TCP over IPv6 on a connection of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-ping",
        "ICMP on a socket of a bypass, after its end by hand",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-remembered",
        "New connections to an address that a bypass gave for an unlisted name, after its end by hand",
        "RFC 1035, section 7.4, caches outlive policies",
    ),
    a(
        "time-bypass-tcp-deadline",
        "TCP on a connection of a bypass, after its end by time",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-deadline",
        "UDP on a socket of a bypass, after its end by time",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-enable",
        "UDP on a socket of an open firewall, after it was turned on",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-bypass-twice",
        "UDP after one stop of two bypasses that were begun at once",
        "CWE-362, race condition",
    ),
    a(
        "time-bypass-init-stopped",
        "UDP on a socket of a bypass, after its end by time while init is stopped",
        "CWE-636, failing open",
    ),
    a(
        "time-grant-init-stopped",
        "TLS on a connection to a name that was listed for a while, after its end while init is stopped",
        "nf_conntrack: established flows outlive rules",
    ),
    a(
        "time-init-killed",
        "At full speed while PID 1 is killed and its own table goes with it",
        "nf_tables: NFT_TABLE_F_OWNER, gone with its owner",
    ),
    a("time-reload", "All through a change of the policy", "CWE-362, race condition"),
    a("time-envoy-gone", "While Envoy is killed", "CWE-636, failing open"),
    a("time-coredns-gone", "Questions while CoreDNS is killed", "CWE-636, failing open"),
    a("time-pause", "Right after the container was paused", "docker pause"),
];
