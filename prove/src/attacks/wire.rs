//! Packets that no ordinary program sends: other protocols, segments of no connection, fragments, options, frames. And
//! the ways by which an ordinary one can bend its own packets.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{self as sock, MsgFlags, SockaddrIn, sendto, sockopt};
use rustix::net::{AddressFamily, SocketType};

use super::effects::socket;
use super::{Ctx, Failed, Run, raw, send, sys, target};

const HIGH: u16 = 9999;
const TCP: u16 = 9000;
const MPTCP: u32 = 262;
/// The time that the kernel needs for a connection that nobody waits for.
const SOON: Duration = Duration::from_millis(300);

// Flags of a segment.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;

// Flags and unit of a fragment's place.
const EVIL_BIT: u16 = 0x8000;

pub(super) const CODE: &[(&str, Run)] = &[
    ("wire-ipip", |c| {
        let shape = raw::Shape { source: Ipv4Addr::new(10, 0, 0, 9), ..raw::Shape::default() };
        raw::ip(4, &raw::header(17, shape, &raw::udp(c.canary.as_bytes())))
    }),
    ("wire-gre-ethernet", |c| {
        let inner = [&[0xff; 12][..], &raw::ipv4_frame(&raw::udp(c.canary.as_bytes()))].concat();
        raw::ip(47, &[&[0, 0, 0x65, 0x58][..], &inner].concat())
    }),
    ("wire-igmp", |c| raw::ip(2, &[&[0x16, 0, 0, 0, 239, 9, 9, 9][..], c.canary.as_bytes()].concat())),
    ("wire-dccp", |c| raw::ip(33, &ports(&[&[0; 8][..], c.canary.as_bytes()].concat()))),
    ("wire-rsvp", |c| raw::ip(46, &[&[0x10, 1, 0, 0, 64, 0, 0, 28][..], c.canary.as_bytes()].concat())),
    ("wire-ah", |c| raw::ip(51, &[&[17, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1][..], c.canary.as_bytes()].concat())),
    ("wire-icmpv6", |c| raw::ip(58, &[&[128, 0, 0, 0, 0, 1, 0, 1][..], c.canary.as_bytes()].concat())),
    ("wire-eigrp", |c| raw::ip(88, c.canary.as_bytes())),
    ("wire-ospf", |c| raw::ip(89, &[&[2, 1, 0, 44][..], c.canary.as_bytes()].concat())),
    ("wire-pim", |c| raw::ip(103, &[&[0x20, 0, 0, 0][..], c.canary.as_bytes()].concat())),
    ("wire-ipcomp", |c| raw::ip(108, &[&[17, 0, 0, 2][..], c.canary.as_bytes()].concat())),
    ("wire-vrrp", |c| raw::ip(112, &[&[0x31, 1, 100, 1][..], c.canary.as_bytes()].concat())),
    ("wire-l2tp", |c| raw::ip(115, &[&[0, 0, 0, 1][..], c.canary.as_bytes()].concat())),
    ("wire-udplite", |c| raw::ip(136, &ports(&[&[0, 8, 0, 0][..], c.canary.as_bytes()].concat()))),
    ("wire-mpls", |c| raw::ip(137, &[&[0, 0, 0x11, 64][..], c.canary.as_bytes()].concat())),
    ("wire-ethernet", |c| raw::ip(143, c.canary.as_bytes())),
    ("wire-254", |c| raw::ip(254, c.canary.as_bytes())),
    ("wire-tcp-syn", |c| segment(c, 41_001, SYN, 0)),
    ("wire-tcp-ack", |c| segment(c, 41_002, ACK | PSH, 0)),
    ("wire-tcp-rst", |c| segment(c, 41_003, RST, 0)),
    ("wire-tcp-fin", |c| segment(c, 41_004, FIN | ACK, 0)),
    ("wire-tcp-null", |c| segment(c, 41_005, 0, 0)),
    ("wire-tcp-xmas", |c| segment(c, 41_006, FIN | PSH | URG, 0)),
    ("wire-tcp-syn-ack", |c| segment(c, 41_007, SYN | ACK, 0)),
    ("wire-tcp-syn-fin", |c| segment(c, 41_008, SYN | FIN, 0)),
    ("wire-tcp-reserved", |c| segment(c, 41_009, ACK, 0xe)),
    ("wire-tcp-urgent", |c| segment(c, 41_010, ACK | URG, 0)),
    ("wire-source-route", |c| options(c, &route(131))),
    ("wire-strict-route", |c| options(c, &route(137))),
    ("wire-record-route", |c| options(c, &route(7))),
    ("wire-timestamp", |c| options(c, &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ("wire-router-alert", |c| options(c, &[148, 4, 0, 0])),
    ("wire-option-carries", |c| {
        // An option of nobody's with the secret in it, at most 40 bytes.
        let mut bytes = vec![0x9e, u8::try_from(c.canary.len() + 2).unwrap_or(40)];
        bytes.extend(c.canary.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        options(c, &bytes)
    }),
    ("wire-evil-bit", |c| fragment(c, EVIL_BIT)),
    ("wire-ttl-one", |c| {
        let shape = raw::Shape { ttl: 1, ..raw::Shape::default() };
        raw::ip_with(17, shape, &raw::udp(c.canary.as_bytes()))
    }),
    ("wire-icmp-error", |c| raw::ip(1, &[&[3, 4, 0, 0, 0, 0, 5, 220][..], c.canary.as_bytes()].concat())),
    ("wire-icmp-redirect", |c| raw::ip(1, &[&[5, 1, 0, 0, 10, 0, 0, 9][..], c.canary.as_bytes()].concat())),
    ("wire-icmp-timestamp", |c| raw::ip(1, &[&[13, 0, 0, 0, 0, 1, 0, 1][..], c.canary.as_bytes()].concat())),
    ("wire-icmp-reply", |c| raw::ip(1, &[&[0, 0, 0, 0, 0, 1, 0, 1][..], c.canary.as_bytes()].concat())),
    ("frame-past-queue", |c| raw::frame_past_queue(&raw::ipv4_frame(&raw::udp(c.canary.as_bytes())))),
    ("frame-tcp", |c| raw::frame(&raw::ipv4_frame_of(6, &tcp(41_020, SYN, 0, c.canary.as_bytes())))),
    ("frame-icmp", |c| {
        raw::frame(&raw::ipv4_frame_of(1, &crate::fakenet::probe::echo_request(c.canary.as_bytes())))
    }),
    ("frame-qinq", |c| {
        let inner = [&[0x81, 0, 0, 7][..], &raw::ipv4_frame(&raw::udp(c.canary.as_bytes()))].concat();
        raw::frame(&[&[0x88, 0xa8, 0, 9][..], &inner].concat())
    }),
    ("frame-mpls", |c| raw::frame(&[&[0x88, 0x47, 0, 0, 0x11, 64][..], c.canary.as_bytes()].concat())),
    ("frame-pppoe", |c| raw::frame(&[&[0x88, 0x64, 0x11, 0, 0, 1, 0, 40][..], c.canary.as_bytes()].concat())),
    ("frame-802-3", |c| {
        let length = u8::try_from(c.canary.len() + 3).unwrap_or(60);
        raw::frame(&[&[0, length, 0xaa, 0xaa, 3][..], c.canary.as_bytes()].concat())
    }),
    ("ip-tcp-urgent", |c| {
        let stream = send::connect((target::EVIL, TCP))?;
        sock::send(stream.as_raw_fd(), c.canary.as_bytes(), MsgFlags::MSG_OOB)?;
        thread::sleep(SOON);
        Ok("sent".to_owned())
    }),
    ("ip-mptcp", |c| {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, Some(MPTCP))?;
        sock::connect(fd.as_raw_fd(), &to(TCP))?;
        sock::send(fd.as_raw_fd(), c.canary.as_bytes(), MsgFlags::empty())?;
        thread::sleep(SOON);
        Ok("sent".to_owned())
    }),
    ("ip-tcp-low-source", |c| {
        let fd = bound(SocketType::STREAM, 443)?;
        sock::connect(fd.as_raw_fd(), &to(TCP))?;
        sock::send(fd.as_raw_fd(), c.canary.as_bytes(), MsgFlags::empty())?;
        thread::sleep(SOON);
        Ok("sent".to_owned())
    }),
    ("ip-udp-low-source", |c| {
        let fd = bound(SocketType::DGRAM, 53)?;
        sendto(fd.as_raw_fd(), c.canary.as_bytes(), &to(HIGH), MsgFlags::empty())?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-options", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // Record route, which takes no privilege.
        sys::set_option(&socket, libc::IPPROTO_IP, libc::IP_OPTIONS, &[1, 7, 7, 4, 0, 0, 0, 0])?;
        socket.send_to(c.canary.as_bytes(), (target::EVIL, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-ttl-one", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_ttl(1)?;
        socket.send_to(c.canary.as_bytes(), (target::EVIL, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-to-device", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"eth0\0")?;
        socket.send_to(c.canary.as_bytes(), (target::EVIL, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-no-route", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let sink = SockaddrIn::from(SocketAddrV4::new(c.places.sink, HIGH));
        sendto(
            socket.as_raw_fd(),
            c.canary.as_bytes(),
            &sink,
            MsgFlags::from_bits_retain(libc::MSG_DONTROUTE),
        )?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-segments", |c| {
        /// `UDP_SEGMENT` of linux/udp.h.
        const SEGMENT: i32 = 103;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let size = i32::try_from(c.canary.len()).unwrap_or(21);
        sys::set_option(&socket, libc::IPPROTO_UDP, SEGMENT, &size.to_ne_bytes())?;
        socket.send_to(c.canary.repeat(3).as_bytes(), (target::EVIL, HIGH))?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-corked", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let (first, last) = c.canary.split_at(c.canary.len() / 2);
        sendto(socket.as_raw_fd(), first.as_bytes(), &to(HIGH), MsgFlags::from_bits_retain(libc::MSG_MORE))?;
        sendto(socket.as_raw_fd(), last.as_bytes(), &to(HIGH), MsgFlags::empty())?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-reconnected", |c| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // Its own address: what goes there goes by loopback.
        socket.connect((c.places.twin, HIGH))?;
        socket.connect((target::EVIL, HIGH))?;
        socket.send(c.canary.as_bytes())?;
        Ok("sent".to_owned())
    }),
    ("ip-udp-network-broadcast", |c| {
        let octets = c.places.twin.octets();
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_broadcast(true)?;
        // Of a network of the size that Docker makes, whose third byte counts or not.
        for host in [[octets[0], octets[1], 255, 255], [octets[0], octets[1], octets[2] | 15, 255]] {
            let _ = socket.send_to(c.canary.as_bytes(), (Ipv4Addr::from(host), HIGH));
        }
        Ok("sent".to_owned())
    }),
    ("ip-udp-all-hosts", |c| send::udp((Ipv4Addr::new(224, 0, 0, 1), HIGH), c.canary.as_bytes())),
    ("ip-ssdp", |c| send::udp((Ipv4Addr::new(239, 255, 255, 250), 1900), c.canary.as_bytes())),
    ("ip-tcp-listening-port", |c| {
        // A listener's own port as the source, as a punched hole has it.
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        for fd in [fd.as_fd(), listener.as_fd()] {
            sock::setsockopt(&fd, sockopt::ReusePort, &true)?;
            sock::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        }
        drop(listener.local_addr().map(|own| sock::bind(fd.as_raw_fd(), &v4(own))));
        sock::connect(fd.as_raw_fd(), &to(TCP))?;
        sock::send(fd.as_raw_fd(), c.canary.as_bytes(), MsgFlags::empty())?;
        thread::sleep(SOON);
        Ok("sent".to_owned())
    }),
    ("ip-tcp-nonblocking", |c| {
        // The connection is not waited for; what is written meets whatever became of it.
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::io::ioctl_fionbio(&fd, true).map_err(std::io::Error::from)?;
        let _ = sock::connect(fd.as_raw_fd(), &to(TCP));
        thread::sleep(SOON);
        sock::send(fd.as_raw_fd(), c.canary.as_bytes(), MsgFlags::empty())?;
        thread::sleep(SOON);
        Ok("sent".to_owned())
    }),
    ("ip-root-handed", |c| handed(c)),
];

/// A socket that root opened, as the standard input of a child that is nobody.
fn handed(c: &Ctx) -> Result<String, Failed> {
    use std::os::unix::process::CommandExt;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["handed", &c.canary]).uid(64_321).gid(64_321);
    child.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).stderr(Stdio::null());
    match child.status()?.success() {
        true => Ok("sent".to_owned()),
        false => Err(Failed::Refused("the child could not send".to_owned())),
    }
}

/// The child's part.
///
/// # Errors
/// The kernel's.
pub fn send_handed(canary: &str) -> std::io::Result<()> {
    let socket = UdpSocket::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    socket.send_to(canary.as_bytes(), (target::EVIL, HIGH)).map(drop)
}

fn to(port: u16) -> SockaddrIn {
    SockaddrIn::from(SocketAddrV4::new(target::EVIL, port))
}

fn v4(address: SocketAddr) -> SockaddrIn {
    SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, address.port()))
}

/// A socket at a port of the system's; a container may keep those for root.
fn bound(kind: SocketType, port: u16) -> Result<OwnedFd, Failed> {
    let fd = socket(AddressFamily::INET, kind, None)?;
    sock::setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let own = SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port));
    match sock::bind(fd.as_raw_fd(), &own) {
        Ok(()) => Ok(fd),
        Err(nix::Error::EACCES) => {
            Err(Failed::Impossible(format!("port {port} is root's in this container")))
        }
        Err(error) => Err(error.into()),
    }
}

fn segment(c: &Ctx, source: u16, flags: u8, reserved: u8) -> Result<String, Failed> {
    raw::ip(6, &tcp(source, flags, reserved, c.canary.as_bytes()))
}

/// A segment without a checksum: whoever only looks at the wire does not ask for one.
fn tcp(source: u16, flags: u8, reserved: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports(&[]);
    bytes[..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&TCP.to_be_bytes());
    bytes.extend([0x10, 0, 0, 1, 0x20, 0, 0, 1, 0x50 | reserved, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

/// A segment of a connection that there is not.
pub(super) fn acknowledgement(payload: &[u8]) -> Vec<u8> {
    tcp(41_030, ACK | PSH, 0, payload)
}

/// Two ports and what is behind them.
fn ports(rest: &[u8]) -> Vec<u8> {
    [&40_000u16.to_be_bytes()[..], &HIGH.to_be_bytes(), rest].concat()
}

/// An option that has one stop and has made it.
fn route(kind: u8) -> [u8; 8] {
    [1, kind, 7, 8, 10, 0, 0, 9]
}

fn options(c: &Ctx, options: &[u8]) -> Result<String, Failed> {
    let shape = raw::Shape { options, ..raw::Shape::default() };
    raw::ip_with(17, shape, &raw::udp(c.canary.as_bytes()))
}

fn fragment(c: &Ctx, fragment: u16) -> Result<String, Failed> {
    raw::ip_with(17, raw::Shape { fragment, ..raw::Shape::default() }, &raw::udp(c.canary.as_bytes()))
}
