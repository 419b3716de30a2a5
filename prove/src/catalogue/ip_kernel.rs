//! Packets and sockets: every protocol, every way of making one, every destination that is not outside.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn by_hand(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Network, Control::Beside, Arrival::Anywhere), id, title, source)
}

const fn socket(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Beside, Arrival::Effect), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("ip-tcp", "TCP to a high port", "MITRE ATT&CK T1048.003; ncat"),
    a("ip-tcp-ssh", "TCP to port 22, where the server speaks first", "MITRE ATT&CK T1048.003; ncat"),
    a("ip-tcp-fast-open", "TCP with the secret in its first packet", "RFC 7413"),
    a("ip-tcp-mapped", "TCP through an IPv6 socket with a mapped IPv4 address", "RFC 4291, section 2.5.5.2"),
    a("ip-udp", "UDP to a high port, not connected", "MITRE ATT&CK T1048.003; ncat"),
    a("ip-udp-connected", "UDP to a high port, connected", "MITRE ATT&CK T1048.003; ncat"),
    a("ip-udp-many", "UDP, many datagrams in one sendmmsg", "sendmmsg(2)"),
    a("ip-udp-mapped", "UDP through an IPv6 socket with a mapped IPv4 address", "RFC 4291, section 2.5.5.2"),
    a("ip-udp-fragments", "UDP in IP fragments", "RFC 1858; fragroute"),
    a("ip-udp-dns-source", "UDP from the port of multicast DNS to port 53", "nmap --source-port"),
    a("ip-quic", "UDP 443, as QUIC", "RFC 9000"),
    a("ip-ntp", "UDP 123, as NTP", "NTPtunnel; RFC 5905"),
    a("ip-udplite", "UDP-Lite", "RFC 3828"),
    attack(
        Family::IpKernel,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "ip-other-tcp",
        "TCP by another uid, past init",
        "iptables-extensions(8), owner match",
    ),
    attack(
        Family::IpKernel,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "ip-other-ping",
        "ICMP by another uid, past init",
        "icmptunnel; ptunnel",
    ),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-udp",
        "UDP by root in the container",
        "docker exec -u 0",
    ),
    a("ip-ping", "ICMP by the unprivileged ping socket", "icmptunnel; ptunnel"),
    a("ip-broadcast", "UDP to the broadcast address", "RFC 919"),
    a("ip-multicast", "UDP to a multicast group", "RFC 1112"),
    a("ip-metadata", "The cloud's metadata address", "MITRE ATT&CK T1552.005; Capital One 2019"),
    a("ip-private", "An address in private space", "RFC 1918; RFC 6598"),
    a("ip-carrier", "An address in the carriers' shared space", "RFC 1918; RFC 6598"),
    a(
        "ip-sink-directly",
        "Another container of the network, by its own address",
        "MITRE ATT&CK T1090.001, internal proxy",
    ),
    a("ip-child", "A child that was left behind and sends later", "daemon(3)"),
    attack(
        Family::IpKernel,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "ip-other-uid",
        "UDP by another uid, past init",
        "iptables-extensions(8), owner match",
    ),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-tcp",
        "TCP by root in the container",
        "docker exec -u 0",
    ),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-flush",
        "UDP by root after flushing the rules",
        "nft flush ruleset; MITRE ATT&CK T1562.004",
    ),
    attack(
        Family::IpKernel,
        (Who::Neighbour, Control::Beside, Arrival::Effect),
        "in-tcp",
        "A neighbour dials a port that nobody publishes",
        "MITRE ATT&CK T1210; lateral movement between containers",
    ),
    attack(
        Family::IpKernel,
        (Who::Neighbour, Control::Beside, Arrival::Effect),
        "in-udp",
        "A neighbour asks a UDP port that nobody publishes",
        "MITRE ATT&CK T1210",
    ),
    by_hand("ip-raw-icmp", "ICMP by a raw socket", "icmptunnel"),
    by_hand("ip-raw-udp", "UDP by a raw IP socket", "raw(7)"),
    by_hand("ip-raw-gre", "GRE, protocol 47", "RFC 2784"),
    by_hand("ip-raw-esp", "ESP, protocol 50", "RFC 4303"),
    by_hand("ip-raw-6in4", "IPv6 in IPv4, protocol 41", "RFC 4213"),
    by_hand("ip-raw-253", "Protocol 253, which nobody serves", "raw(7)"),
    by_hand("ip-raw-sctp", "SCTP by a raw IP socket", "RFC 9260"),
    by_hand("ip-raw-options", "UDP with IP options", "RFC 791, section 3.1"),
    by_hand("ip-raw-spoofed", "UDP with Envoy's address as its source", "RFC 2827"),
    by_hand("ip-marked", "UDP with the mark that accepted packets carry", "socket(7), SO_MARK"),
    by_hand(
        "ip-foreign-table",
        "Another's table between the rules and the guard turns an accepted packet",
        "nftables wiki, accept is not final",
    ),
    by_hand(
        "ip-foreign-table-last",
        "Another's table behind all of ours turns an accepted packet",
        "nftables wiki, accept is not final",
    ),
    by_hand(
        "ip-packet",
        "An Ethernet frame made by hand: UDP",
        "packet(7): frames pass no inet hook; CVE-2020-14386",
    ),
    by_hand(
        "ip-packet-dns",
        "An Ethernet frame made by hand: a question to a resolver outside",
        "packet(7): frames pass no inet hook; CVE-2020-14386",
    ),
    by_hand(
        "ip-packet-ipv6",
        "An Ethernet frame made by hand: IPv6",
        "packet(7): frames pass no inet hook; CVE-2020-14386",
    ),
    by_hand(
        "ip-packet-ethertype",
        "An Ethernet frame made by hand: an ethertype of its own",
        "packet(7): frames pass no inet hook; CVE-2020-14386",
    ),
    by_hand("ip-packet-vlan", "An Ethernet frame made by hand: UDP in a VLAN", "IEEE 802.1Q"),
    socket("socket-packet", "The agent opens an AF_PACKET socket", "CVE-2020-14386"),
    socket("socket-raw", "The agent opens a raw IP socket", "CVE-2017-17712"),
    socket("socket-alg", "The agent opens an AF_ALG socket", "CVE-2019-8912"),
    socket("socket-netfilter", "The agent opens a netfilter netlink socket", "CVE-2024-1086"),
    socket("socket-sctp", "The agent opens an SCTP socket", "RFC 9260; CVE-2019-8956"),
    socket("socket-dccp", "The agent opens a DCCP socket", "RFC 4340; CVE-2017-6074"),
    socket("socket-xdp", "The agent opens an AF_XDP socket", "AF_XDP, Linux 4.18"),
    socket("socket-bluetooth", "The agent opens an AF_BLUETOOTH socket", "CVE-2020-12351, BleedingTooth"),
    socket("socket-raw-6", "The agent opens a raw IPv6 socket", "CVE-2017-17712"),
    socket("socket-vsock", "The agent opens an AF_VSOCK socket", "CVE-2021-26708"),
];
