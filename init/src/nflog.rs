//! Reports of packets over NFLOG: which were refused and which passed while the fence was open. A packet's bytes
//! are the agent's own choice; nothing in them is trusted.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;

use clawker_protocol::event::{Flow, RefusalClass};

use crate::netlink::wire::{Writer, array, attribute, be16, be32, messages, text};
use crate::netlink::{ACK, Family, REQUEST, Socket};
use crate::nft::rules::{LOG_OPEN, LOG_SNAPLEN};
use crate::nft::uapi::{NFNL_SUBSYS_ULOG, NFPROTO_UNSPEC};

const NFULNL_MSG_PACKET: u16 = 0;
const NFULNL_MSG_CONFIG: u16 = 1;
const NFULA_CFG_CMD: u16 = 1;
const NFULA_CFG_MODE: u16 = 2;
const NFULA_CFG_QTHRESH: u16 = 5;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULA_PAYLOAD: u16 = 9;
const NFULA_PREFIX: u16 = 10;
const NFULA_UID: u16 = 11;

/// Bytes of a packet that are copied: both headers, and the whole of a DNS question.
const COPY: u32 = LOG_SNAPLEN;
/// The kernel's own buffer is one page.
const PIECE: usize = 8 << 10;
/// Pieces that one turn of the loop reads at most.
const TURN: usize = 256;
/// The port of questions, and the longest label (RFC 1035).
const DNS: u16 = 53;
const MAX_LABEL: u8 = 63;
/// Extension headers that are looked past.
const EXTENSIONS: usize = 8;

/// A packet that a rule reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedFlow {
    /// It was refused.
    Refused {
        /// Why.
        class: RefusalClass,
        /// What it was.
        flow: Flow,
    },
    /// The first of a flow that passes while the fence is open.
    Opened {
        /// What it is.
        flow: Flow,
    },
}

/// Reads one group.
#[derive(Debug)]
pub struct Reports {
    socket: Socket,
}

impl Reports {
    /// Takes over a group of this namespace.
    ///
    /// # Errors
    /// `EBUSY` when another socket has the group; `EINVAL` where the kernel has no NFLOG.
    pub fn open(group: u16) -> io::Result<Self> {
        let socket = Socket::open(Family::Netfilter, 0)?;
        let configure = |sequence: u32, body: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::new();
            let kind = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
            writer.message(kind, REQUEST | ACK, sequence, |to| {
                let [high, low] = group.to_be_bytes();
                to.raw(&[NFPROTO_UNSPEC, 0, high, low]);
                body(to);
            });
            match socket.request(writer.bytes(), sequence)?.first() {
                None => Ok(()),
                Some(nack) => Err(nack.error()),
            }
        };
        configure(1, &|to| to.attribute(NFULA_CFG_CMD, &[NFULNL_CFG_CMD_BIND]))?;
        let [a, b, c, d] = COPY.to_be_bytes();
        configure(2, &|to| {
            to.attribute(NFULA_CFG_MODE, &[a, b, c, d, NFULNL_COPY_PACKET, 0]);
            // Each at once; else the kernel waits for a second.
            to.be32(NFULA_CFG_QTHRESH, 1);
        })?;
        Ok(Self { socket })
    }

    /// For polling.
    pub fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    /// Everything that waits.
    pub fn read(&mut self) -> Vec<LoggedFlow> {
        let mut flows = Vec::new();
        let mut buffer = [0; PIECE];
        for _ in 0..TURN {
            match self.socket.receive(&mut buffer) {
                Ok(Some(piece)) => flows.extend(parse(piece)),
                // Reports were lost; the counters have them all.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Ok(None) | Err(_) => break,
            }
        }
        flows
    }
}

/// Reads the reports in a buffer. What can't be read is left out.
pub fn parse(bytes: &[u8]) -> impl Iterator<Item = LoggedFlow> {
    let kind = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
    messages(bytes).filter(move |message| message.kind == kind).filter_map(|message| {
        let rest = message.payload.get(4..)?;
        let uid = attribute(rest, NFULA_UID).and_then(be32);
        let headers = headers(attribute(rest, NFULA_PAYLOAD)?)?;
        let class = match attribute(rest, NFULA_PREFIX).and_then(text)? {
            LOG_OPEN => return Some(LoggedFlow::Opened { flow: headers.flow(uid) }),
            prefix => RefusalClass::from_name(prefix)?,
        };
        // The other side's last words on a connection that has ended here. They are counted.
        if class == RefusalClass::Inbound && headers.opens_nothing() {
            return None;
        }
        Some(LoggedFlow::Refused { class, flow: headers.flow(uid) })
    })
}

/// Reads a packet from its IP header on.
pub fn flow(packet: &[u8], uid: Option<u32>) -> Option<Flow> {
    headers(packet).map(|headers| headers.flow(uid))
}

/// What is read of a packet.
struct Headers<'a> {
    proto: u8,
    destination: String,
    /// From the transport's header on; none in a later fragment.
    transport: Option<&'a [u8]>,
}

fn headers(packet: &[u8]) -> Option<Headers<'_>> {
    let (proto, destination, transport) = match packet.first()? >> 4 {
        4 => {
            let length = usize::from(packet.first()? & 0xf) * 4;
            let fragment = be16(packet.get(6..)?)? & 0x1fff;
            let address = Ipv4Addr::from(array::<4>(packet, 16)?).to_string();
            let transport = if fragment == 0 { packet.get(length.max(20)..) } else { None };
            (*packet.get(9)?, address, transport)
        }
        6 => {
            let address = Ipv6Addr::from(array::<16>(packet, 24)?).to_string();
            let (proto, transport) = after_extensions(*packet.get(6)?, packet.get(40..)?);
            (proto, address, transport)
        }
        _ => return None,
    };
    Some(Headers { proto, destination, transport })
}

impl Headers<'_> {
    fn flow(self, uid: Option<u32>) -> Flow {
        let Self { proto, destination, transport } = self;
        let port = match proto {
            // TCP, UDP, DCCP, SCTP, UDP-Lite.
            6 | 17 | 33 | 132 | 136 => transport.and_then(|bytes| bytes.get(2..)).and_then(be16),
            _ => None,
        };
        let asks = (proto, port) == (17, Some(DNS));
        let message = transport.filter(|_| asks).and_then(|bytes| bytes.get(8..));
        Flow { proto: name(proto), destination, port, uid, question: message.and_then(question) }
    }

    /// A TCP segment without SYN.
    fn opens_nothing(&self) -> bool {
        const SYN: u8 = 2;
        let flags = self.transport.and_then(|bytes| bytes.get(13));
        self.proto == 6 && flags.is_some_and(|flags| flags & SYN == 0)
    }
}

/// The name that a DNS message asks for first (RFC 1035, 4.1); bytes that are no plain letters as `\\ddd`.
fn question(message: &[u8]) -> Option<String> {
    let (flags, count) = (be16(message.get(2..)?)?, be16(message.get(4..)?)?);
    if flags & 0x8000 != 0 || count == 0 {
        return None;
    }
    let mut rest = message.get(12..)?;
    let mut name = String::new();
    loop {
        let (length, after) = rest.split_first()?;
        let label = after.get(..usize::from(*length))?;
        if *length > MAX_LABEL {
            return None;
        }
        if label.is_empty() {
            return Some(name);
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in label {
            match byte {
                b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => name.push(char::from(*byte)),
                // No formatter: it is the only one of its kind here.
                byte => name.extend(['\\', digit(byte / 100), digit(byte / 10), digit(*byte)]),
            }
        }
        rest = after.get(label.len()..)?;
    }
}

fn digit(number: u8) -> char {
    char::from(b'0' + number % 10)
}

/// Looks past IPv6 extension headers.
fn after_extensions(first: u8, bytes: &[u8]) -> (u8, Option<&[u8]>) {
    let (mut kind, mut rest) = (first, Some(bytes));
    for _ in 0..EXTENSIONS {
        let length = match (kind, rest) {
            // Hop-by-hop, routing, destination options: in units of eight bytes, the first not counted.
            (0 | 43 | 60, Some([_, length, ..])) => (usize::from(*length) + 1) * 8,
            (44, Some(_)) => 8,
            _ => break,
        };
        let fragmented =
            kind == 44 && rest.and_then(|rest| rest.get(2..)).and_then(be16).is_none_or(|f| f >> 3 > 0);
        kind = rest.and_then(|rest| rest.first()).copied().unwrap_or(kind);
        rest = if fragmented { None } else { rest.and_then(|rest| rest.get(length..)) };
    }
    (kind, rest)
}

fn name(proto: u8) -> String {
    match proto {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(proto: u8, options: usize, fragment: u16, port: u16) -> Vec<u8> {
        let mut packet = vec![0x45 + u8::try_from(options / 4).unwrap(), 0, 0, 0, 0, 0];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, proto, 0, 0, 10, 0, 0, 1, 198, 51, 100, 9]);
        packet.extend(vec![0; options]);
        packet.extend([0x80, 0]);
        packet.extend(port.to_be_bytes());
        packet
    }

    fn seen(packet: &[u8]) -> (String, Option<u16>) {
        let flow = flow(packet, Some(1001)).unwrap();
        (format!("{} {}", flow.proto, flow.destination), flow.port)
    }

    #[test]
    fn a_question_s_name_is_read_and_nonsense_is_none() {
        let ask = |name: &[u8], flags: u8| {
            let mut packet = ipv4(17, 0, 0, 53);
            packet.extend([0, 0, 0, 0, 0, 7, flags, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            packet.extend(name);
            flow(&packet, None).unwrap().question
        };
        assert_eq!(ask(b"\x01a\x04Test\0", 1).as_deref(), Some("a.Test"));
        assert_eq!(ask(b"\x03a.\x1b\0", 1).as_deref(), Some("a\\046\\027"));
        for nonsense in [&b""[..], b"\x05abc", b"\xc0\x0c", b"\x01a"] {
            assert_eq!(ask(nonsense, 1), None);
        }
        assert_eq!(ask(b"\x01a\0", 0x81), None, "an answer");
        let mut tcp = ipv4(6, 0, 0, 53);
        tcp.extend([0; 40]);
        assert_eq!(flow(&tcp, None).unwrap().question, None);
    }

    #[test]
    fn the_port_is_read_behind_options_and_never_out_of_a_fragment() {
        assert_eq!(seen(&ipv4(17, 0, 0, 4433)), ("udp 198.51.100.9".into(), Some(4433)));
        assert_eq!(seen(&ipv4(6, 8, 0, 443)), ("tcp 198.51.100.9".into(), Some(443)));
        assert_eq!(seen(&ipv4(17, 0, 5, 4433)), ("udp 198.51.100.9".into(), None));
        assert_eq!(seen(&ipv4(1, 0, 0, 4433)), ("icmp 198.51.100.9".into(), None));
        assert_eq!(seen(&ipv4(47, 0, 0, 4433)), ("47 198.51.100.9".into(), None));
    }

    #[test]
    fn ipv6_extension_headers_hide_nothing() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, 60, 64];
        packet.extend([0; 16]);
        packet.extend("2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend([6, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([0x80, 0, 1, 187]);
        assert_eq!(seen(&packet), ("tcp 2001:db8::9".into(), Some(443)));
    }

    #[test]
    fn only_a_whole_tcp_header_without_syn_opens_nothing() {
        let segment = |proto, flags: u8| {
            let mut packet = ipv4(proto, 0, 0, 443);
            packet.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags]);
            headers(&packet).unwrap().opens_nothing()
        };
        assert_eq!([0x10, 0x11, 0x04].map(|flags| segment(6, flags)), [true; 3]);
        assert_eq!([0x02, 0x12, 0xff].map(|flags| segment(6, flags)), [false; 3]);
        assert!(!segment(17, 0) && !headers(&ipv4(6, 0, 0, 443)).unwrap().opens_nothing());
    }

    #[test]
    fn a_cut_packet_is_left_out_or_has_no_port() {
        let whole = ipv4(17, 0, 0, 4433);
        for cut in 0..whole.len() {
            assert!(flow(&whole[..cut], None).is_none_or(|flow| flow.port.is_none()), "{cut}");
        }
    }
}
