//! Names: everything that a question can carry out, and every resolver that could take it.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Dns, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("dns-udp", "A question to a resolver outside, UDP 53", "iodine; MITRE ATT&CK T1071.004"),
    a("dns-tcp", "A question to a resolver outside, TCP 53", "iodine; MITRE ATT&CK T1071.004"),
    a("dns-system", "An unlisted name through the system's own resolver", "iodine; MITRE ATT&CK T1071.004"),
    a(
        "dns-resolver-udp",
        "An unlisted name asked of the resolver in resolv.conf, UDP",
        "iodine; MITRE ATT&CK T1071.004",
    ),
    a(
        "dns-resolver-tcp",
        "An unlisted name asked of the resolver in resolv.conf, TCP",
        "iodine; MITRE ATT&CK T1071.004",
    ),
    a("dns-below-allowed", "A label below an allowed name", "dnscat2; MITRE ATT&CK T1048"),
    a("dns-pipelined", "Two messages in one TCP segment, an allowed name first", "RFC 7766, section 6.2.1.1"),
    a("dns-split", "A message split over many TCP segments", "RFC 7766, section 6.2.1.1"),
    a("dns-txt", "TXT of an unlisted name", "iodine; dnscat2"),
    a("dns-null", "NULL of an unlisted name", "iodine; dnscat2"),
    a("dns-srv", "SRV of an unlisted service", "iodine; dnscat2"),
    a("dns-https", "HTTPS record of an unlisted name", "RFC 9460"),
    a("dns-any", "ANY of an unlisted name", "RFC 8482"),
    a("dns-ptr", "PTR with the secret in a reverse name", "RFC 1035, section 3.5; iodine"),
    a("dns-mx", "MX of an unlisted name", "iodine"),
    a("dns-caa", "CAA of an unlisted name", "RFC 8659"),
    a("dns-svcb", "SVCB of an unlisted name", "RFC 9460"),
    a("dns-update", "An UPDATE that carries the secret, to a resolver outside", "RFC 2136"),
    a("dns-notify", "A NOTIFY that carries the secret", "RFC 1996"),
    a("dns-axfr", "A zone transfer of an unlisted name", "RFC 5936"),
    attack(
        Family::Dns,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "dns-other-docker",
        "Docker's resolver, by another uid",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
    attack(
        Family::Dns,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "dns-other-resolver",
        "An unlisted name asked of the resolver in resolv.conf, by another uid",
        "iodine; MITRE ATT&CK T1071.004",
    ),
    attack(
        Family::Dns,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "dns-root-docker",
        "Docker's resolver, by root",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
    a("dns-long", "Four labels of full length", "dns2tcp"),
    a("dns-no-recursion", "A question that wants no recursion", "RFC 1035, section 4.1.1; cache snooping"),
    a("dns-edns", "An EDNS option beside an unlisted name", "RFC 6891; OzymanDNS"),
    a("dns-docker", "Docker's resolver at 127.0.0.11:53", "CVE-2024-29018; Docker's embedded resolver"),
    a(
        "dns-docker-tcp",
        "Docker's resolver at 127.0.0.11:53, TCP",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
    a(
        "dns-docker-port",
        "Docker's resolver at its real UDP port, as read from /proc",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
    a(
        "dns-docker-tcp-port",
        "Docker's resolver at its real TCP port, as read from /proc",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
    a(
        "dns-open-port",
        "The port of CoreDNS that serves open containers, dialled directly",
        "the product's own port for open containers",
    ),
    attack(
        Family::Dns,
        (Who::Agent, Control::Beside, Arrival::Effect),
        "dns-port-directly",
        "The policy's own port of CoreDNS, dialled as another's could be, UDP",
        "MITRE ATT&CK T1046, the ports of neighbours",
    ),
    attack(
        Family::Dns,
        (Who::Agent, Control::Beside, Arrival::Effect),
        "dns-port-directly-tcp",
        "The policy's own port of CoreDNS, dialled as another's could be, TCP",
        "MITRE ATT&CK T1046, the ports of neighbours",
    ),
    a("dns-over-tls", "DNS over TLS, port 853", "RFC 7858"),
    a("dns-over-tls-8853", "DNS over TLS at its other port", "RFC 7858"),
    a("dns-over-quic", "DNS over QUIC, UDP 784", "RFC 9250"),
    a("dns-over-https", "DNS over HTTPS of an unlisted host", "RFC 8484; dnsexfiltrator"),
    attack(
        Family::Dns,
        (Who::Agent, Control::Open, Arrival::Elsewhere),
        "dns-over-https-fronted",
        "DNS over HTTPS at the attacker's address under an allowed name",
        "Fifield 2015, domain fronting",
    ),
    a("dns-mdns", "Multicast DNS", "RFC 6762"),
    a("dns-llmnr", "Link-local multicast name resolution", "RFC 4795"),
    attack(
        Family::Dns,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "dns-other-uid",
        "A question to a resolver outside, by another uid",
        "iodine; MITRE ATT&CK T1071.004",
    ),
    attack(
        Family::Dns,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "dns-root-docker-port",
        "Docker's resolver at its real port, by root, as whom it forwards itself",
        "CVE-2024-29018; Docker's embedded resolver",
    ),
];
