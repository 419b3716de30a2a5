//! Services that an agent finds on its network: the host's, the gateway's other ports, and what a listed name leads to on
//! the gateway's own loopback.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn host(who: Who, id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (who, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn ports(who: Who, id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Control, (who, Control::Beside, Arrival::Effect), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    host(
        Who::Agent,
        "host-tcp",
        "A service of the host's at the gateway's address, TCP",
        "CVE-2020-15257; docker0, 172.17.0.1",
    ),
    host(
        Who::Agent,
        "host-udp",
        "A service of the host's at the gateway's address, UDP",
        "MITRE ATT&CK T1046",
    ),
    host(
        Who::Agent,
        "host-mapped",
        "A service of the host's by a mapped IPv4 address",
        "RFC 4291, section 2.5.5.2",
    ),
    host(Who::Other, "host-other", "A service of the host's, by another uid", "MITRE ATT&CK T1046"),
    host(Who::Root, "host-root", "A service of the host's, by root", "docker exec -u 0"),
    ports(
        Who::Agent,
        "control-envoy-ports",
        "A port of Envoy's near the policy's own, as another project has",
        "MITRE ATT&CK T1046, the ports of neighbours",
    ),
    ports(
        Who::Root,
        "control-envoy-ports-root",
        "A port of Envoy's near the policy's own, by root",
        "docker exec -u 0",
    ),
    ports(
        Who::Agent,
        "control-coredns-ports",
        "A port of CoreDNS's near the policy's own, as another policy has",
        "MITRE ATT&CK T1046, the ports of neighbours",
    ),
    ports(
        Who::Root,
        "control-coredns-ports-root",
        "A port of CoreDNS's near the policy's own, by root",
        "docker exec -u 0",
    ),
    ports(
        Who::Agent,
        "control-neighbour",
        "A port of a container beside it",
        "MITRE ATT&CK T1210; lateral movement between containers",
    ),
];

/// What answers on loopback: shown beside the twin, where the same somebody listens.
pub(super) const LOOPBACK: &[Attack] = &[
    attack(
        Family::Rebinding,
        (Who::Agent, Control::Beside, Arrival::Anywhere),
        "rebind-loopback",
        "A listed name that answers with 127.0.0.1",
        "Jackson 2007, DNS rebinding; 0.0.0.0 day, 2024",
    ),
    attack(
        Family::Rebinding,
        (Who::Agent, Control::Beside, Arrival::Anywhere),
        "rebind-loopback-6",
        "A listed name that answers with ::1",
        "RFC 4291, section 2.5.3; Jackson 2007",
    ),
    attack(
        Family::Rebinding,
        (Who::Agent, Control::Beside, Arrival::Anywhere),
        "rebind-loopback-mapped",
        "A listed name that answers with 127.0.0.1, mapped",
        "RFC 4291, section 2.5.5.2",
    ),
];
