//! Looks at the wire itself: every packet that comes in, whatever its protocol or port, whether anybody listens or
//! not. This is what makes silence in the records mean that nothing came.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket, sockopt,
};

use super::record::{Kind, Record, Recorder};
use super::six;

// linux/if_packet.h and linux/if_ether.h
const PACKET_OTHERHOST: u8 = 3;
const PACKET_OUTGOING: u8 = 4;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
// netinet/in.h
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// How much of a packet is written down.
const PAYLOAD_LIMIT: usize = 2048;
/// How many segments of one TCP flow are written down here; the rest its connection tells.
const SEGMENTS: u32 = 4;
const RECEIVE_BUFFER: usize = 4 << 20;

/// Opens the wire. Needs NET_RAW.
///
/// # Errors
/// The kernel's.
pub fn open() -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Packet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    // Best effort: without it a flood loses records sooner.
    let _ = setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER);
    Ok(fd)
}

/// Writes down what comes in, for ever.
pub fn watch(wire: &OwnedFd, recorder: &Arc<Recorder>) {
    let mut buffer = vec![0u8; 65_536];
    let mut flows = Flows::default();
    let mut neighbours = Neighbours::default();
    loop {
        let Ok((length, Some(from))) = recvfrom::<LinkAddr>(wire.as_raw_fd(), &mut buffer) else { continue };
        let ethertype = u16::from_be(from.protocol());
        // A bridge shows everybody what is for a member that it does not know any more.
        let not_for_us = matches!(from.pkttype(), PACKET_OUTGOING | PACKET_OTHERHOST);
        if not_for_us || ethertype == ETH_P_ARP {
            continue;
        }
        let bytes = &buffer[..length];
        if ethertype == ETH_P_IPV6 {
            neighbours.meet(bytes, from.addr());
        }
        match Packet::parse(ethertype, bytes) {
            Some(packet) if packet.protocol == TCP && !flows.wants(&packet) => {}
            Some(packet) => recorder.write(&packet.record()),
            None => {
                let record = Record::new(Kind::Packet).what(format!("ethertype {ethertype:04x}"));
                recorder.write(&record.payload(&bytes[..length.min(PAYLOAD_LIMIT)]));
            }
        }
    }
}

/// Who sent something over IPv6: the kernel is told where to answer, and has to ask nobody.
#[derive(Debug, Default)]
struct Neighbours(HashSet<Ipv6Addr>);

impl Neighbours {
    fn meet(&mut self, bytes: &[u8], hardware: Option<[u8; 6]>) {
        let source =
            bytes.get(8..24).and_then(|octets| <[u8; 16]>::try_from(octets).ok()).map(Ipv6Addr::from);
        let (Some(source), Some(hardware)) = (source, hardware) else { return };
        if six::is_of_link(source) && self.0.insert(source) {
            // Without it only answers are missing.
            let _ = six::know(source, &hardware);
        }
    }
}

/// Counts the segments of each flow, so that a download does not fill the records.
#[derive(Debug, Default)]
struct Flows(HashMap<(SocketAddr, SocketAddr), u32>);

impl Flows {
    fn wants(&mut self, packet: &Packet<'_>) -> bool {
        let key = (packet.source, packet.destination);
        if packet.opens {
            self.0.insert(key, 0);
            return true;
        }
        if packet.payload.is_empty() {
            return false;
        }
        let count = self.0.entry(key).or_default();
        *count += 1;
        *count <= SEGMENTS
    }
}

/// An IP packet, as far as it could be read. Ports are 0 where there are none.
#[derive(Debug, PartialEq, Eq)]
struct Packet<'a> {
    protocol: u8,
    source: SocketAddr,
    destination: SocketAddr,
    opens: bool,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    fn parse(ethertype: u16, bytes: &'a [u8]) -> Option<Self> {
        let (protocol, source, destination, body) = match ethertype {
            ETH_P_IP => ipv4(bytes)?,
            ETH_P_IPV6 => ipv6(bytes)?,
            _ => return None,
        };
        let port = |at: usize| body.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        let has_ports = protocol == TCP || protocol == UDP;
        let flags = if protocol == TCP { body.get(13).copied().unwrap_or(0) } else { 0 };
        let (syn, ack) = (flags & 0x02 != 0, flags & 0x10 != 0);
        let header = match protocol {
            TCP => body.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4),
            UDP => 8,
            _ => 0,
        };
        let (from, to) = if has_ports { (port(0), port(2)) } else { (0, 0) };
        Some(Self {
            protocol,
            source: (source, from).into(),
            destination: (destination, to).into(),
            opens: syn && !ack,
            payload: body.get(header..).unwrap_or_default(),
        })
    }

    fn record(&self) -> Record {
        let (kind, what) = match self.protocol {
            UDP => (Kind::Udp, "udp".to_owned()),
            ICMP => (Kind::Icmp, "icmp".to_owned()),
            ICMPV6 => (Kind::Icmp, "icmpv6".to_owned()),
            TCP if self.opens => (Kind::Packet, "tcp syn".to_owned()),
            TCP => (Kind::Packet, "tcp".to_owned()),
            other => (Kind::Packet, format!("protocol {other}")),
        };
        let record =
            Record::new(kind).what(what).payload(&self.payload[..self.payload.len().min(PAYLOAD_LIMIT)]);
        match self.protocol {
            TCP | UDP => record.between(self.source, self.destination),
            _ => record.between(self.source.ip(), self.destination.ip()),
        }
    }
}

type Parts<'a> = (u8, IpAddr, IpAddr, &'a [u8]);

fn ipv4(bytes: &[u8]) -> Option<Parts<'_>> {
    let header = usize::from(bytes.first()? & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    let address = |at: usize| <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok().map(Ipv4Addr::from);
    // What pads a short Ethernet frame is no part of the packet.
    let body = bytes.get(header..total.min(bytes.len()))?;
    Some((*bytes.get(9)?, address(12)?.into(), address(16)?.into(), body))
}

/// Extension headers are left in the payload, under their own protocol number.
fn ipv6(bytes: &[u8]) -> Option<Parts<'_>> {
    let address = |at: usize| <[u8; 16]>::try_from(bytes.get(at..at + 16)?).ok().map(Ipv6Addr::from);
    Some((*bytes.get(6)?, address(8)?.into(), address(24)?.into(), bytes.get(40..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, body: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
        let mut bytes = vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0];
        bytes.extend([198, 51, 100, 1, 198, 51, 100, 131]);
        bytes.extend(body);
        bytes
    }

    fn segment(flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut body = vec![0x12, 0x34, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0];
        body.extend(payload);
        packet(TCP, &body)
    }

    #[test]
    fn a_datagram_s_payload_is_its_own_without_the_frame_s_padding() {
        let mut bytes = packet(UDP, b"\x12\x34\x00\x35\x00\x0e\x00\x00canary");
        bytes.extend([0; 18]);
        let record = Packet::parse(ETH_P_IP, &bytes).unwrap().record();
        assert_eq!((record.kind, record.text.as_str()), (Kind::Udp, "canary"));
        assert_eq!(record.destination, "198.51.100.131:53");
    }

    #[test]
    fn a_protocol_that_nobody_serves_is_still_seen() {
        let bytes = packet(253, b"canary");
        let record = Packet::parse(ETH_P_IP, &bytes).unwrap().record();
        assert_eq!((record.what.as_str(), record.text.as_str()), ("protocol 253", "canary"));
    }

    #[test]
    fn a_flow_s_first_segments_are_kept_and_a_new_one_starts_again() {
        let (syn, data) = (segment(0x02, b""), segment(0x18, b"x"));
        let (syn, data) = (Packet::parse(ETH_P_IP, &syn).unwrap(), Packet::parse(ETH_P_IP, &data).unwrap());
        let mut flows = Flows::default();
        assert!(flows.wants(&syn));
        let wanted = (0..10).filter(|_| flows.wants(&data)).count();
        assert_eq!(wanted, SEGMENTS as usize);
        assert!(flows.wants(&syn) && flows.wants(&data));
    }

    #[test]
    fn half_a_packet_is_no_panic() {
        let whole = segment(0x02, b"canary");
        for length in 0..whole.len() {
            let _ = Packet::parse(ETH_P_IP, &whole[..length]);
            let _ = Packet::parse(ETH_P_IPV6, &whole[..length]);
        }
        assert_eq!(Packet::parse(ETH_P_IP, &[0x4f, 0, 0, 1]), None);
    }
}
