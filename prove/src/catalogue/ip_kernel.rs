//! Packets and sockets: every protocol, every way of making one, every destination that is not outside.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Open, Arrival::Anywhere), id, title)
}

const fn by_hand(id: &'static str, title: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Network, Control::Beside, Arrival::Anywhere), id, title)
}

const fn socket(id: &'static str, title: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Beside, Arrival::Effect), id, title)
}

pub(super) const ALL: &[Attack] = &[
    a("ip-tcp", "TCP to a high port"),
    a("ip-tcp-ssh", "TCP to port 22, where the server speaks first"),
    a("ip-tcp-fast-open", "TCP with the secret in its first packet"),
    a("ip-tcp-mapped", "TCP through an IPv6 socket with a mapped IPv4 address"),
    a("ip-udp", "UDP to a high port, not connected"),
    a("ip-udp-connected", "UDP to a high port, connected"),
    a("ip-udp-many", "UDP, many datagrams in one sendmmsg"),
    a("ip-udp-mapped", "UDP through an IPv6 socket with a mapped IPv4 address"),
    a("ip-udp-fragments", "UDP in IP fragments"),
    a("ip-udp-dns-source", "UDP from the port of multicast DNS to port 53"),
    a("ip-quic", "UDP 443, as QUIC"),
    a("ip-ntp", "UDP 123, as NTP"),
    a("ip-udplite", "UDP-Lite"),
    a("ip-ping", "ICMP by the unprivileged ping socket"),
    a("ip-broadcast", "UDP to the broadcast address"),
    a("ip-multicast", "UDP to a multicast group"),
    a("ip-metadata", "The cloud's metadata address"),
    a("ip-private", "An address in private space"),
    a("ip-carrier", "An address in the carriers' shared space"),
    a("ip-sink-directly", "Another container of the network, by its own address"),
    a("ip-child", "A child that was left behind and sends later"),
    a("ip6-udp", "UDP over IPv6"),
    attack(
        Family::IpKernel,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "ip-other-uid",
        "UDP by another uid, past init",
    ),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-tcp",
        "TCP by root in the container",
    ),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-flush",
        "UDP by root after flushing the rules",
    ),
    by_hand("ip-raw-icmp", "ICMP by a raw socket"),
    by_hand("ip-raw-udp", "UDP by a raw IP socket"),
    by_hand("ip-raw-gre", "GRE, protocol 47"),
    by_hand("ip-raw-esp", "ESP, protocol 50"),
    by_hand("ip-raw-6in4", "IPv6 in IPv4, protocol 41"),
    by_hand("ip-raw-253", "Protocol 253, which nobody serves"),
    by_hand("ip-raw-sctp", "SCTP by a raw IP socket"),
    by_hand("ip-raw-options", "UDP with IP options"),
    by_hand("ip-raw-spoofed", "UDP with Envoy's address as its source"),
    by_hand("ip-marked", "UDP with the mark that accepted packets carry"),
    by_hand("ip-packet", "An Ethernet frame made by hand: UDP"),
    by_hand("ip-packet-dns", "An Ethernet frame made by hand: a question to a resolver outside"),
    by_hand("ip-packet-ipv6", "An Ethernet frame made by hand: IPv6"),
    by_hand("ip-packet-ethertype", "An Ethernet frame made by hand: an ethertype of its own"),
    by_hand("ip-packet-vlan", "An Ethernet frame made by hand: UDP in a VLAN"),
    socket("socket-packet", "The agent opens an AF_PACKET socket"),
    socket("socket-raw", "The agent opens a raw IP socket"),
    socket("socket-alg", "The agent opens an AF_ALG socket"),
    socket("socket-netfilter", "The agent opens a netfilter netlink socket"),
    socket("socket-vsock", "The agent opens an AF_VSOCK socket"),
];
