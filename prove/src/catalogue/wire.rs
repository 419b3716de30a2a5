//! Packets that no ordinary program sends, and the ways by which one can bend its own.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn by_hand(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::IpKernel, (Who::Network, Control::Beside, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("ip-tcp-urgent", "TCP with the secret as urgent data", "RFC 6093"),
    a("ip-mptcp", "Multipath TCP", "RFC 8684"),
    a("ip-tcp-low-source", "TCP from port 443", "nmap --source-port"),
    a("ip-udp-low-source", "UDP from port 53", "nmap --source-port"),
    a("ip-tcp-listening-port", "TCP from a port that listens", "RFC 5128, hole punching"),
    a("ip-tcp-nonblocking", "TCP that waits for no connection", "connect(2), EINPROGRESS"),
    a("ip-udp-options", "UDP with an IP option of the agent's choice", "RFC 791, section 3.1; RFC 7126"),
    a("ip-udp-ttl-one", "UDP that lives for one hop", "firewalk"),
    a("ip-udp-to-device", "UDP by a socket that is bound to the device", "socket(7), SO_BINDTODEVICE"),
    a("ip-udp-no-route", "UDP past the routing table, to a neighbour", "send(2), MSG_DONTROUTE"),
    a("ip-udp-segments", "UDP, many datagrams in one send", "udp(7), UDP_SEGMENT"),
    a("ip-udp-corked", "UDP in two halves that the kernel joins", "udp(7), MSG_MORE"),
    a(
        "ip-udp-reconnected",
        "UDP on a socket that was connected to loopback before",
        "connect(2), datagram sockets",
    ),
    a("ip-udp-network-broadcast", "UDP to the network's own broadcast address", "RFC 919; Smurf"),
    a("ip-udp-all-hosts", "UDP to all hosts of the link", "RFC 1112"),
    a("ip-ssdp", "UDP to the group of UPnP", "UPnP Device Architecture, SSDP"),
    attack(
        Family::IpKernel,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "ip-root-handed",
        "UDP by a socket that root opened and handed to nobody",
        "unix(7), SCM_RIGHTS; CVE-2024-21626",
    ),
    by_hand("wire-ipip", "IPv4 in IPv4, protocol 4", "RFC 2003; CVE-2020-10136"),
    by_hand("wire-gre-ethernet", "Ethernet in GRE", "RFC 7637; RFC 1701"),
    by_hand("wire-igmp", "IGMP, protocol 2", "RFC 3376"),
    by_hand("wire-dccp", "DCCP by a raw IP socket, protocol 33", "RFC 4340"),
    by_hand("wire-rsvp", "RSVP, protocol 46", "RFC 2205"),
    by_hand("wire-ah", "AH, protocol 51", "RFC 4302"),
    by_hand("wire-icmpv6", "ICMPv6 in IPv4, protocol 58", "RFC 4443"),
    by_hand("wire-eigrp", "EIGRP, protocol 88", "RFC 7868"),
    by_hand("wire-ospf", "OSPF, protocol 89", "RFC 2328"),
    by_hand("wire-pim", "PIM, protocol 103", "RFC 7761"),
    by_hand("wire-ipcomp", "IPComp, protocol 108", "RFC 3173"),
    by_hand("wire-vrrp", "VRRP, protocol 112", "RFC 5798"),
    by_hand("wire-l2tp", "L2TP without UDP, protocol 115", "RFC 3931"),
    by_hand("wire-udplite", "UDP-Lite by a raw IP socket, protocol 136", "RFC 3828"),
    by_hand("wire-mpls", "MPLS in IP, protocol 137", "RFC 4023"),
    by_hand("wire-ethernet", "Ethernet in IP, protocol 143", "RFC 8986"),
    by_hand("wire-254", "Protocol 254, which is for experiments", "RFC 3692"),
    by_hand("wire-tcp-syn", "A SYN that carries the secret", "RFC 9293, section 3.10; RFC 7413"),
    by_hand(
        "wire-tcp-ack",
        "A segment of a connection that there is not",
        "nmap -sA; nf_conntrack_tcp_loose",
    ),
    by_hand("wire-tcp-rst", "An RST that carries the secret", "RFC 9293, section 3.5.3"),
    by_hand("wire-tcp-fin", "A FIN of a connection that there is not", "nmap -sF"),
    by_hand("wire-tcp-null", "A segment without flags", "nmap -sN"),
    by_hand("wire-tcp-xmas", "A segment with FIN, PSH and URG", "nmap -sX"),
    by_hand(
        "wire-tcp-syn-ack",
        "An answer to a connection that nobody opened",
        "RFC 9293, simultaneous open",
    ),
    by_hand("wire-tcp-syn-fin", "A segment with SYN and FIN", "RFC 1379; fragroute"),
    by_hand("wire-tcp-reserved", "A segment with reserved bits", "RFC 9293, section 3.1"),
    by_hand("wire-tcp-urgent", "An urgent segment of a connection that there is not", "RFC 6093"),
    by_hand("wire-source-route", "UDP with a loose source route", "RFC 7126, section 4.3"),
    by_hand("wire-strict-route", "UDP with a strict source route", "RFC 7126, section 4.4"),
    by_hand("wire-record-route", "UDP that records its route", "RFC 7126, section 4.5"),
    by_hand("wire-timestamp", "UDP with timestamps of its way", "RFC 7126, section 4.7"),
    by_hand("wire-router-alert", "UDP with a router alert", "RFC 2113"),
    by_hand("wire-option-carries", "The secret in an IP option", "Rowland 1997, covert channels"),
    by_hand("wire-evil-bit", "UDP with the reserved flag", "RFC 3514"),
    by_hand("wire-ttl-one", "A raw packet that lives for one hop", "firewalk"),
    by_hand("wire-icmp-error", "The secret in an ICMP error", "RFC 792; Loki 1996"),
    by_hand("wire-icmp-redirect", "The secret in an ICMP redirect", "RFC 792; Loki 1996"),
    by_hand("wire-icmp-timestamp", "The secret in an ICMP timestamp request", "RFC 792; CVE-1999-0524"),
    by_hand("wire-icmp-reply", "The secret in an echo reply that nobody asked for", "Loki 1996"),
    by_hand("frame-past-queue", "A frame past the queue of the device", "packet(7), PACKET_QDISC_BYPASS"),
    by_hand("frame-tcp", "An Ethernet frame made by hand: TCP", "packet(7): frames pass no inet hook"),
    by_hand("frame-icmp", "An Ethernet frame made by hand: ICMP", "packet(7): frames pass no inet hook"),
    by_hand("frame-qinq", "An Ethernet frame made by hand: a VLAN in a VLAN", "IEEE 802.1ad"),
    by_hand("frame-mpls", "An Ethernet frame made by hand: MPLS", "RFC 3032"),
    by_hand("frame-pppoe", "An Ethernet frame made by hand: PPPoE", "RFC 2516"),
    by_hand(
        "frame-802-3",
        "An Ethernet frame made by hand: a length in place of a type",
        "IEEE 802.3; IEEE 802.2",
    ),
];
