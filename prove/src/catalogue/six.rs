//! IPv6: every sort of address, every way to write an IPv4 one in it, and packets made by hand.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn by(who: Who, id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (who, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn by_hand(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Network, Control::Beside, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("ip6-udp", "UDP over IPv6", "RFC 7359, leakage past IPv6"),
    a("ip6-udp-connected", "UDP over IPv6, connected", "RFC 7359, leakage past IPv6"),
    a("ip6-udp-large", "UDP over IPv6 in fragments", "RFC 8200, section 4.5; RFC 7112"),
    a("ip6-tcp", "TCP over IPv6", "RFC 7359, leakage past IPv6"),
    a("ip6-tcp-fast-open", "TCP over IPv6 with the secret in its first packet", "RFC 7413"),
    a("ip6-mptcp", "Multipath TCP over IPv6", "RFC 8684"),
    a("ip6-udplite", "UDP-Lite over IPv6", "RFC 3828"),
    a("ip6-ping", "ICMPv6 by the unprivileged ping socket", "icmptunnel; RFC 4443"),
    a("ip6-dns-udp", "A question to a resolver outside over IPv6, UDP", "RFC 7359; iodine"),
    a("ip6-dns-tcp", "A question to a resolver outside over IPv6, TCP", "RFC 7359; iodine"),
    a("ip6-tls", "TLS over IPv6 with an unlisted name", "RFC 7359, leakage past IPv6"),
    a("ip6-tls-listed", "TLS over IPv6 with a listed name", "Fifield 2015, domain fronting"),
    a("ip6-http", "Plain HTTP over IPv6 with a listed Host", "Fifield 2015, domain fronting"),
    a("ip6-quic", "QUIC over IPv6", "RFC 9000, section 17.2.2"),
    a(
        "ip6-sink-directly",
        "Another container of the network, by its IPv6 address",
        "MITRE ATT&CK T1090.001, internal proxy",
    ),
    a("ip6-unique-local", "A unique local address", "RFC 4193"),
    a("ip6-nat64", "An IPv4 address as NAT64 writes it, TCP", "RFC 6052"),
    a("ip6-nat64-udp", "An IPv4 address as NAT64 writes it, UDP", "RFC 6052"),
    a("ip6-6to4", "An IPv4 address as 6to4 writes it", "RFC 3056"),
    a("ip6-teredo", "An IPv4 address as Teredo writes it", "RFC 4380"),
    a("ip6-compatible", "An IPv4 address as compatible IPv6", "RFC 4291, section 2.5.5.1"),
    a(
        "ip6-mapped-dns",
        "A question through an IPv6 socket with a mapped IPv4 address",
        "RFC 4291, section 2.5.5.2",
    ),
    a("ip6-mapped-metadata", "The cloud's metadata as a mapped address", "RFC 4291; Capital One 2019"),
    a("ip6-all-nodes", "UDP to all nodes of the link", "RFC 4291, section 2.7.1"),
    a("ip6-multicast", "UDP to a multicast group beyond the link", "RFC 4291, section 2.7"),
    a("ip6-mdns", "Multicast DNS over IPv6", "RFC 6762"),
    a("ip6-llmnr", "Link-local multicast name resolution over IPv6", "RFC 4795"),
    a(
        "ip6-flow-label",
        "UDP over IPv6 by a socket that sends its flow's label",
        "RFC 6437; Lucena 2005, covert channels",
    ),
    a("ip6-to-device", "UDP over IPv6 by a socket that is bound to the device", "socket(7), SO_BINDTODEVICE"),
    by(Who::Other, "ip6-other-udp", "UDP over IPv6 by another uid, past init", "RFC 7359, leakage past IPv6"),
    by(Who::Other, "ip6-other-tcp", "TCP over IPv6 by another uid, past init", "RFC 7359, leakage past IPv6"),
    by(Who::Root, "ip6-root-udp", "UDP over IPv6 by root in the container", "docker exec -u 0"),
    by(Who::Root, "ip6-root-tcp", "TCP over IPv6 by root in the container", "docker exec -u 0"),
    by_hand("wire6-udp", "UDP over IPv6 by a raw socket", "raw(7)"),
    by_hand("wire6-none", "IPv6 with nothing next", "RFC 8200, section 4.7"),
    by_hand("wire6-hop-by-hop", "IPv6 with hop-by-hop options", "RFC 8200, section 4.3"),
    by_hand("wire6-destination", "IPv6 with destination options", "RFC 8200, section 4.6"),
    by_hand("wire6-routing", "IPv6 with a routing header of type 0", "RFC 5095"),
    by_hand("wire6-segments", "IPv6 with a segment routing header", "RFC 8754"),
    by_hand("wire6-fragment", "IPv6 with a fragment that is all", "RFC 6946, atomic fragments"),
    by_hand("wire6-many-headers", "IPv6 with eight headers before UDP", "RFC 7112; THC-IPv6"),
    by_hand("wire6-esp", "ESP over IPv6", "RFC 4303"),
    by_hand("wire6-gre", "GRE over IPv6", "RFC 7676"),
    by_hand("wire6-4in6", "IPv4 in IPv6", "RFC 2473"),
    by_hand("wire6-sctp", "SCTP over IPv6", "RFC 9260"),
    by_hand("wire6-253", "Protocol 253 over IPv6", "RFC 3692"),
    by_hand(
        "wire6-solicitation",
        "A neighbour solicitation with the secret as an option",
        "RFC 4861, section 4.3; THC-IPv6",
    ),
    by_hand(
        "wire6-advertisement",
        "A neighbour advertisement with the secret as an option",
        "RFC 4861, section 4.4; THC-IPv6",
    ),
    by_hand("wire6-router", "A router advertisement", "RFC 6104; THC-IPv6, fake_router6"),
    by_hand("wire6-redirect", "An ICMPv6 redirect", "RFC 4861, section 4.5; THC-IPv6"),
    by_hand("wire6-listener", "A multicast listener report", "RFC 3810"),
    by_hand("wire6-error", "The secret in an ICMPv6 error", "RFC 4443; Loki 1996"),
    by_hand("wire6-node-query", "A node information query", "RFC 4620"),
    by_hand("wire6-tcp-ack", "A segment of a connection that there is not, over IPv6", "nmap -6 -sA"),
    by_hand("wire6-spoofed", "UDP over IPv6 with another's address as its source", "RFC 2827"),
];
