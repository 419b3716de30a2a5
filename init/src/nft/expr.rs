//! What a rule is made of. A step is one thing that nft's language can say; it shows itself in that language,
//! and turns into the few expressions that the kernel knows it by.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::IpNet;

use super::uapi::*;
use crate::netlink::wire::Writer;

/// `lo` is the first interface of every network namespace.
const LOOPBACK_INDEX: u32 = 1;
/// `ETH_P_ARP`.
const ETH_P_ARP: u16 = 0x0806;
/// Where an Ethernet header has its type.
const LL_TYPE: (u32, u32) = (12, 2);
/// Where an IPv4 header has its destination.
const IPV4_DESTINATION: (u32, u32) = (16, 4);
/// Where an IPv4 header has its source.
const IPV4_SOURCE: (u32, u32) = (12, 4);
/// Where an IPv6 header has its destination.
const IPV6_DESTINATION: (u32, u32) = (24, 16);
/// How far before its destination an IPv4 header has its source.
const IPV4_ADDRESS: u32 = 4;
/// How far before its destination an IPv6 header has its source.
const IPV6_ADDRESS: u32 = 16;
/// Where TCP and UDP have their destination port.
const DESTINATION_PORT: (u32, u32) = (2, 2);
/// Where TCP and UDP have their source port.
const SOURCE_PORT: (u32, u32) = (0, 2);

/// Bits of `ct state`.
pub const CT_ESTABLISHED: u32 = 2;
/// Bits of `ct state`.
pub const CT_RELATED: u32 = 4;
/// Bits of `ct state`.
pub const CT_NEW: u32 = 8;
/// `IPS_DST_NAT`.
const IPS_DST_NAT: u32 = 0x20;
/// `IP_CT_DIR_REPLY`.
const IP_CT_DIR_REPLY: u8 = 1;

/// The two IP families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Ip {
    fn nfproto(self) -> u8 {
        match self {
            Self::V4 => NFPROTO_IPV4,
            Self::V6 => NFPROTO_IPV6,
        }
    }
}

/// Transport protocols by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum L4 {
    /// 1.
    Icmp,
    /// 6.
    Tcp,
    /// 17.
    Udp,
    /// 58.
    Icmpv6,
}

impl L4 {
    /// The protocol's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Icmp => 1,
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmpv6 => 58,
        }
    }
}

/// Whose address a step looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// What a map is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Destination port.
    Port,
    /// IPv4 destination address and port.
    AddressAndPort,
}

/// One step of a rule. A match that fails ends the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The network family is in a set.
    FamilyIn(&'static str),
    /// The network family.
    Family(Ip),
    /// Leaves (`true`) or doesn't leave by loopback.
    ToLoopback(bool),
    /// Comes in by loopback.
    FromLoopback,
    /// The transport protocol.
    L4(L4),
    /// The IPv4 destination.
    Daddr(Ipv4Addr),
    /// An address lies in a range, of the family that an earlier step has made sure of.
    Net(End, IpNet),
    /// The six bits of DSCP in the TOS byte or traffic class, which stand before those of ECN.
    Dscp(Ip, u8),
    /// The destination port.
    Dport(u16),
    /// Destination address and port are in a set.
    DaddrDportIn(Ip, &'static str),
    /// IPv4 source address and port are in a set.
    SaddrSportIn(&'static str),
    /// Transport protocol and destination port are in a set.
    L4DportIn(&'static str),
    /// The ICMPv6 type.
    Icmpv6Type(u8),
    /// Answers what the other side began.
    CtReply,
    /// One of these conntrack states.
    CtState(u32),
    /// Its flow was diverted.
    CtDnat,
    /// Carries a mark.
    Mark(u32),
    /// The kernel and the frame itself both call it ARP. What a raw socket says alone proves nothing.
    Arp,
    /// Puts a mark on.
    SetMark(u32),
    /// Diverts.
    Dnat(Ipv4Addr, u16),
    /// Diverts to the port that a map gives; without one the rule ends.
    DnatMap(Ipv4Addr, By, &'static str),
    /// Counts with a named counter.
    Count(&'static str),
    /// Goes on at most so often a second, with so many at once.
    Limit {
        /// Packets a second.
        rate: u64,
        /// Packets at once.
        burst: u32,
    },
    /// Reports to an NFLOG group.
    Log {
        /// Says why.
        prefix: &'static str,
        /// The group.
        group: u16,
        /// How many bytes of the packet.
        snaplen: u32,
    },
    /// Answers a TCP segment with a reset.
    RejectWithReset,
    /// Ends with this.
    Accept,
    /// Ends with this.
    Drop,
    /// Goes back to the calling chain, or to the policy.
    Return,
    /// Goes on in another chain, for good.
    Goto(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FamilyIn(set) => write!(f, "meta nfproto @{set}"),
            Self::Family(Ip::V4) => f.write_str("meta nfproto ipv4"),
            Self::Family(Ip::V6) => f.write_str("meta nfproto ipv6"),
            Self::ToLoopback(true) => f.write_str("oif \"lo\""),
            Self::ToLoopback(false) => f.write_str("oif != \"lo\""),
            Self::FromLoopback => f.write_str("iif \"lo\""),
            Self::L4(l4) => write!(f, "meta l4proto {}", l4.number()),
            Self::Daddr(address) => write!(f, "ip daddr {address}"),
            Self::Net(end, net) => {
                let family = if matches!(net, IpNet::V4(_)) { "ip" } else { "ip6" };
                let end = if *end == End::Source { "saddr" } else { "daddr" };
                write!(f, "{family} {end} {net}")
            }
            Self::Dscp(Ip::V4, tos) => write!(f, "ip dscp {}", tos >> 2),
            Self::Dscp(Ip::V6, tos) => write!(f, "ip6 dscp {}", tos >> 2),
            Self::Dport(port) => write!(f, "th dport {port}"),
            Self::DaddrDportIn(Ip::V4, set) => write!(f, "ip daddr . th dport @{set}"),
            Self::DaddrDportIn(Ip::V6, set) => write!(f, "ip6 daddr . th dport @{set}"),
            Self::SaddrSportIn(set) => write!(f, "ip saddr . th sport @{set}"),
            Self::L4DportIn(set) => write!(f, "meta l4proto . th dport @{set}"),
            Self::Icmpv6Type(kind) => write!(f, "icmpv6 type {kind}"),
            Self::CtReply => f.write_str("ct direction reply"),
            Self::CtState(CT_ESTABLISHED) => f.write_str("ct state established"),
            Self::CtState(CT_RELATED) => f.write_str("ct state related"),
            Self::CtState(CT_NEW) => f.write_str("ct state new"),
            Self::CtState(bits) => write!(f, "ct state {bits:#x}"),
            Self::CtDnat => f.write_str("ct status dnat"),
            Self::Mark(mark) => write!(f, "meta mark {mark:#x}"),
            Self::Arp => f.write_str("meta protocol arp @ll,96,16 0x0806"),
            Self::SetMark(mark) => write!(f, "meta mark set {mark:#x}"),
            Self::Dnat(address, port) => write!(f, "dnat ip to {address}:{port}"),
            Self::DnatMap(address, By::Port, map) => write!(f, "dnat ip to {address} : th dport map @{map}"),
            Self::DnatMap(address, By::AddressAndPort, map) => {
                write!(f, "dnat ip to {address} : ip daddr . th dport map @{map}")
            }
            Self::Count(counter) => write!(f, "counter name \"{counter}\""),
            Self::Limit { rate, burst } => write!(f, "limit rate {rate}/second burst {burst} packets"),
            Self::Log { prefix, group, snaplen } => {
                write!(f, "log prefix \"{prefix}\" group {group} snaplen {snaplen}")
            }
            Self::RejectWithReset => f.write_str("reject with tcp reset"),
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Return => f.write_str("return"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

impl Step {
    /// Writes the expressions.
    pub fn encode(&self, to: &mut Writer) {
        let to = &mut Expressions(to);
        match self {
            Self::FamilyIn(set) => {
                to.meta(NFT_META_NFPROTO);
                to.lookup(set, NFT_REG_1, None);
            }
            Self::Family(ip) => {
                to.meta(NFT_META_NFPROTO);
                to.equals(&[ip.nfproto()]);
            }
            Self::ToLoopback(yes) => {
                to.meta(NFT_META_OIF);
                to.compare(if *yes { NFT_CMP_EQ } else { NFT_CMP_NEQ }, &LOOPBACK_INDEX.to_ne_bytes());
            }
            Self::FromLoopback => {
                to.meta(NFT_META_IIF);
                to.equals(&LOOPBACK_INDEX.to_ne_bytes());
            }
            Self::L4(l4) => {
                to.meta(NFT_META_L4PROTO);
                to.equals(&[l4.number()]);
            }
            Self::Daddr(address) => {
                to.payload(NFT_PAYLOAD_NETWORK_HEADER, IPV4_DESTINATION, NFT_REG_1);
                to.equals(&address.octets());
            }
            Self::Net(end, net) => to.net(*end, net),
            Self::Dscp(Ip::V4, tos) => {
                to.payload(NFT_PAYLOAD_NETWORK_HEADER, (1, 1), NFT_REG_1);
                to.masked(&[0xfc]);
                to.equals(&[tos & 0xfc]);
            }
            // Between the version and the flow label.
            Self::Dscp(Ip::V6, tos) => {
                to.payload(NFT_PAYLOAD_NETWORK_HEADER, (0, 2), NFT_REG_1);
                to.masked(&[0x0f, 0xc0]);
                to.equals(&(u16::from(tos & 0xfc) << 4).to_be_bytes());
            }
            Self::Dport(port) => {
                to.dport(NFT_REG_1);
                to.equals(&port.to_be_bytes());
            }
            Self::DaddrDportIn(ip, set) => {
                let (place, second) = match ip {
                    Ip::V4 => (IPV4_DESTINATION, NFT_REG32_01),
                    Ip::V6 => (IPV6_DESTINATION, NFT_REG_2),
                };
                to.payload(NFT_PAYLOAD_NETWORK_HEADER, place, NFT_REG_1);
                to.dport(second);
                to.lookup(set, NFT_REG_1, None);
            }
            Self::SaddrSportIn(set) => {
                to.payload(NFT_PAYLOAD_NETWORK_HEADER, IPV4_SOURCE, NFT_REG_1);
                to.payload(NFT_PAYLOAD_TRANSPORT_HEADER, SOURCE_PORT, NFT_REG32_01);
                to.lookup(set, NFT_REG_1, None);
            }
            Self::L4DportIn(set) => {
                to.meta(NFT_META_L4PROTO);
                to.dport(NFT_REG32_01);
                to.lookup(set, NFT_REG_1, None);
            }
            Self::Icmpv6Type(kind) => {
                to.payload(NFT_PAYLOAD_TRANSPORT_HEADER, (0, 1), NFT_REG_1);
                to.equals(&[*kind]);
            }
            Self::CtReply => {
                to.ct(NFT_CT_DIRECTION);
                to.equals(&[IP_CT_DIR_REPLY]);
            }
            Self::CtState(bits) => {
                to.ct(NFT_CT_STATE);
                to.any_bit(*bits);
            }
            Self::CtDnat => {
                to.ct(NFT_CT_STATUS);
                to.any_bit(IPS_DST_NAT);
            }
            Self::Mark(mark) => {
                to.meta(NFT_META_MARK);
                to.equals(&mark.to_ne_bytes());
            }
            Self::Arp => {
                to.meta(NFT_META_PROTOCOL);
                to.equals(&ETH_P_ARP.to_be_bytes());
                to.payload(NFT_PAYLOAD_LL_HEADER, LL_TYPE, NFT_REG_1);
                to.equals(&ETH_P_ARP.to_be_bytes());
            }
            Self::SetMark(mark) => {
                to.immediate(NFT_REG_1, &mark.to_ne_bytes());
                to.expression("meta", |to| {
                    to.be32(NFTA_META_KEY, NFT_META_MARK);
                    to.be32(NFTA_META_SREG, NFT_REG_1);
                });
            }
            Self::Dnat(address, port) => {
                to.immediate(NFT_REG_1, &address.octets());
                to.immediate(NFT_REG_2, &port.to_be_bytes());
                to.dnat();
            }
            Self::DnatMap(address, by, map) => {
                to.immediate(NFT_REG_1, &address.octets());
                match by {
                    By::Port => to.dport(NFT_REG_2),
                    By::AddressAndPort => {
                        to.payload(NFT_PAYLOAD_NETWORK_HEADER, IPV4_DESTINATION, NFT_REG_2);
                        to.dport(NFT_REG32_05);
                    }
                }
                to.lookup(map, NFT_REG_2, Some(NFT_REG_2));
                to.dnat();
            }
            Self::Count(counter) => to.expression("objref", |to| {
                to.be32(NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
                to.text(NFTA_OBJREF_IMM_NAME, counter);
            }),
            Self::Limit { rate, burst } => to.expression("limit", |to| {
                to.be64(NFTA_LIMIT_RATE, *rate);
                to.be64(NFTA_LIMIT_UNIT, 1);
                to.be32(NFTA_LIMIT_BURST, *burst);
                to.be32(NFTA_LIMIT_TYPE, 0);
                to.be32(NFTA_LIMIT_FLAGS, 0);
            }),
            Self::Log { prefix, group, snaplen } => to.expression("log", |to| {
                to.text(NFTA_LOG_PREFIX, prefix);
                to.attribute(NFTA_LOG_GROUP, &group.to_be_bytes());
                to.be32(NFTA_LOG_SNAPLEN, *snaplen);
            }),
            Self::RejectWithReset => to.expression("reject", |to| {
                to.be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
                to.attribute(NFTA_REJECT_ICMP_CODE, &[0]);
            }),
            Self::Accept => to.verdict(NF_ACCEPT, None),
            Self::Drop => to.verdict(NF_DROP, None),
            Self::Return => to.verdict(NFT_RETURN, None),
            Self::Goto(chain) => to.verdict(NFT_GOTO, Some(chain)),
        }
    }
}

/// The kernel's expressions, written one after the other.
struct Expressions<'a>(&'a mut Writer);

impl Expressions<'_> {
    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.0.nest(NFTA_LIST_ELEM, |to| {
            to.text(NFTA_EXPR_NAME, name);
            to.nest(NFTA_EXPR_DATA, data);
        });
    }

    fn meta(&mut self, key: u32) {
        self.expression("meta", |to| {
            to.be32(NFTA_META_KEY, key);
            to.be32(NFTA_META_DREG, NFT_REG_1);
        });
    }

    fn ct(&mut self, key: u32) {
        self.expression("ct", |to| {
            to.be32(NFTA_CT_KEY, key);
            to.be32(NFTA_CT_DREG, NFT_REG_1);
        });
    }

    fn payload(&mut self, base: u32, (offset, length): (u32, u32), register: u32) {
        self.expression("payload", |to| {
            to.be32(NFTA_PAYLOAD_DREG, register);
            to.be32(NFTA_PAYLOAD_BASE, base);
            to.be32(NFTA_PAYLOAD_OFFSET, offset);
            to.be32(NFTA_PAYLOAD_LEN, length);
        });
    }

    fn dport(&mut self, register: u32) {
        self.payload(NFT_PAYLOAD_TRANSPORT_HEADER, DESTINATION_PORT, register);
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        self.expression("cmp", |to| {
            to.be32(NFTA_CMP_SREG, NFT_REG_1);
            to.be32(NFTA_CMP_OP, operator);
            to.nest(NFTA_CMP_DATA, |to| to.attribute(NFTA_DATA_VALUE, value));
        });
    }

    fn equals(&mut self, value: &[u8]) {
        self.compare(NFT_CMP_EQ, value);
    }

    fn any_bit(&mut self, bits: u32) {
        self.masked(&bits.to_ne_bytes());
        self.compare(NFT_CMP_NEQ, &[0; 4]);
    }

    /// What is left of register 1 under a mask of at most 16 bytes.
    fn masked(&mut self, mask: &[u8]) {
        self.expression("bitwise", |to| {
            to.be32(NFTA_BITWISE_SREG, NFT_REG_1);
            to.be32(NFTA_BITWISE_DREG, NFT_REG_1);
            to.be32(NFTA_BITWISE_LEN, u32::try_from(mask.len()).unwrap_or(0));
            to.nest(NFTA_BITWISE_MASK, |to| to.attribute(NFTA_DATA_VALUE, mask));
            let zero = [0; 16];
            to.nest(NFTA_BITWISE_XOR, |to| {
                to.attribute(NFTA_DATA_VALUE, zero.get(..mask.len()).unwrap_or_default());
            });
        });
    }

    /// As nft writes it: whole bytes are compared as they are, other lengths under a mask.
    fn net(&mut self, end: End, net: &IpNet) {
        let (octets, mask) = match net {
            IpNet::V4(net) => (net.network().octets().to_vec(), net.netmask().octets().to_vec()),
            IpNet::V6(net) => (net.network().octets().to_vec(), net.netmask().octets().to_vec()),
        };
        let ((destination, length), back) = match net {
            IpNet::V4(_) => (IPV4_DESTINATION, IPV4_ADDRESS),
            IpNet::V6(_) => (IPV6_DESTINATION, IPV6_ADDRESS),
        };
        let offset = if end == End::Source { destination - back } else { destination };
        if net.prefix_len().is_multiple_of(8) && net.prefix_len() > 0 {
            let whole = net.prefix_len() / 8;
            self.payload(NFT_PAYLOAD_NETWORK_HEADER, (offset, whole.into()), NFT_REG_1);
            self.equals(octets.get(..whole.into()).unwrap_or_default());
        } else {
            self.payload(NFT_PAYLOAD_NETWORK_HEADER, (offset, length), NFT_REG_1);
            self.masked(&mask);
            self.equals(&octets);
        }
    }

    fn lookup(&mut self, set: &str, from: u32, into: Option<u32>) {
        self.expression("lookup", |to| {
            to.text(NFTA_LOOKUP_SET, set);
            to.be32(NFTA_LOOKUP_SREG, from);
            if let Some(register) = into {
                to.be32(NFTA_LOOKUP_DREG, register);
            }
        });
    }

    fn immediate(&mut self, register: u32, value: &[u8]) {
        self.expression("immediate", |to| {
            to.be32(NFTA_IMMEDIATE_DREG, register);
            to.nest(NFTA_IMMEDIATE_DATA, |to| to.attribute(NFTA_DATA_VALUE, value));
        });
    }

    /// To the address in register 1 and the port in register 2.
    fn dnat(&mut self) {
        self.expression("nat", |to| {
            to.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
            to.be32(NFTA_NAT_FAMILY, u32::from(NFPROTO_IPV4));
            to.be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
            to.be32(NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
        });
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.expression("immediate", |to| {
            to.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            to.nest(NFTA_IMMEDIATE_DATA, |to| {
                to.nest(NFTA_DATA_VERDICT, |to| {
                    to.be32(NFTA_VERDICT_CODE, code.cast_unsigned());
                    if let Some(chain) = chain {
                        to.text(NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
        });
    }
}
