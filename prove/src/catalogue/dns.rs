//! Names: everything that a question can carry out, and every resolver that could take it.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::Dns, (Who::Agent, Control::Open, Arrival::Anywhere), id, title)
}

pub(super) const ALL: &[Attack] = &[
    a("dns-udp", "A question to a resolver outside, UDP 53"),
    a("dns-tcp", "A question to a resolver outside, TCP 53"),
    a("dns-system", "An unlisted name through the system's own resolver"),
    a("dns-resolver-udp", "An unlisted name asked of the resolver in resolv.conf, UDP"),
    a("dns-resolver-tcp", "An unlisted name asked of the resolver in resolv.conf, TCP"),
    a("dns-below-allowed", "A label below an allowed name"),
    a("dns-pipelined", "Two messages in one TCP segment, an allowed name first"),
    a("dns-split", "A message split over many TCP segments"),
    a("dns-txt", "TXT of an unlisted name"),
    a("dns-null", "NULL of an unlisted name"),
    a("dns-srv", "SRV of an unlisted service"),
    a("dns-https", "HTTPS record of an unlisted name"),
    a("dns-any", "ANY of an unlisted name"),
    a("dns-ptr", "PTR with the secret in a reverse name"),
    a("dns-long", "Four labels of full length"),
    a("dns-no-recursion", "A question that wants no recursion"),
    a("dns-edns", "An EDNS option beside an unlisted name"),
    a("dns-docker", "Docker's resolver at 127.0.0.11:53"),
    a("dns-docker-tcp", "Docker's resolver at 127.0.0.11:53, TCP"),
    a("dns-docker-port", "Docker's resolver at its real UDP port, as read from /proc"),
    a("dns-docker-tcp-port", "Docker's resolver at its real TCP port, as read from /proc"),
    a("dns-open-port", "The port of CoreDNS that serves open containers, dialled directly"),
    a("dns-over-tls", "DNS over TLS, port 853"),
    a("dns-over-tls-8853", "DNS over TLS at its other port"),
    a("dns-over-quic", "DNS over QUIC, UDP 784"),
    a("dns-over-https", "DNS over HTTPS of an unlisted host"),
    attack(
        Family::Dns,
        (Who::Agent, Control::Open, Arrival::Elsewhere),
        "dns-over-https-fronted",
        "DNS over HTTPS at the attacker's address under an allowed name",
    ),
    a("dns-mdns", "Multicast DNS"),
    a("dns-llmnr", "Link-local multicast name resolution"),
    attack(
        Family::Dns,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "dns-other-uid",
        "A question to a resolver outside, by another uid",
    ),
    attack(
        Family::Dns,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "dns-root-docker-port",
        "Docker's resolver at its real port, by root, as whom it forwards itself",
    ),
];
