//! The network interfaces and addresses of this namespace, over route netlink.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::netlink::wire::{array, attribute, ne16, ne32, text};
use crate::netlink::{Family, Socket};
use crate::nft::rules::Interface;

/// `RTMGRP_LINK`: notifications of interfaces that come, go or change their name.
pub const RTMGRP_LINK: u32 = 1;
/// `RTM_NEWLINK`.
const RTM_NEWLINK: u16 = 16;
/// `RTM_GETLINK`.
const RTM_GETLINK: u16 = 18;
/// `RTM_NEWADDR`.
const RTM_NEWADDR: u16 = 20;
/// `RTM_GETADDR`.
const RTM_GETADDR: u16 = 22;
/// `RTM_NEWROUTE`.
const RTM_NEWROUTE: u16 = 24;
/// `RTM_GETROUTE`.
const RTM_GETROUTE: u16 = 26;
/// The length of `struct rtmsg`.
const RTMSG: usize = 12;
/// `RTA_GATEWAY`.
const RTA_GATEWAY: u16 = 5;
/// The length of `struct ifaddrmsg`.
const IFADDRMSG: usize = 8;
/// `IFA_ADDRESS`.
const IFA_ADDRESS: u16 = 1;
/// `IFA_LOCAL`.
const IFA_LOCAL: u16 = 2;
/// `IFLA_IFNAME`.
const IFLA_IFNAME: u16 = 3;
/// The length of `struct ifinfomsg`.
const IFINFOMSG: usize = 16;

/// Every interface but loopback.
///
/// # Errors
/// When the kernel did not answer.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut socket = Socket::open(Family::Route, 0)?;
    let mut found = socket.dump(
        RTM_GETLINK,
        |to| to.raw(&[0; IFINFOMSG]),
        Vec::new,
        |found, message| {
            if message.kind == RTM_NEWLINK {
                found.extend(interface(message.payload));
            }
        },
    )?;
    found.sort_unstable();
    Ok(found)
}

/// Every address of this namespace.
///
/// # Errors
/// When the kernel did not answer.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    dump_addresses(address)
}

/// Every IPv4 address of this namespace with its network and the index of its interface.
///
/// # Errors
/// When the kernel did not answer.
pub fn networks() -> io::Result<Vec<(u32, Ipv4Net)>> {
    dump_addresses(network)
}

fn dump_addresses<T>(read: fn(&[u8]) -> Option<T>) -> io::Result<Vec<T>> {
    let mut socket = Socket::open(Family::Route, 0)?;
    socket.dump(
        RTM_GETADDR,
        |to| to.raw(&[0; IFADDRMSG]),
        Vec::new,
        |found, message| {
            if message.kind == RTM_NEWADDR {
                found.extend(read(message.payload));
            }
        },
    )
}

/// The default gateway; `None` where there is no default route.
///
/// # Errors
/// When the kernel did not answer.
pub fn default_gateway() -> io::Result<Option<Ipv4Addr>> {
    let mut socket = Socket::open(Family::Route, 0)?;
    socket.dump(
        RTM_GETROUTE,
        |to| to.raw(&[0; RTMSG]),
        || None,
        |found, message| {
            if message.kind == RTM_NEWROUTE {
                *found = found.or(gateway(message.payload));
            }
        },
    )
}

/// Reads a route message; `None` for any but a default route of IPv4.
pub fn gateway(payload: &[u8]) -> Option<Ipv4Addr> {
    let [family, destination_bits] = array::<2>(payload, 0)?;
    if i32::from(family) != libc::AF_INET || destination_bits != 0 {
        return None;
    }
    array::<4>(attribute(payload.get(RTMSG..)?, RTA_GATEWAY)?, 0).map(Ipv4Addr::from)
}

/// Reads an address message of IPv4.
pub fn network(payload: &[u8]) -> Option<(u32, Ipv4Net)> {
    let [_, bits] = array::<2>(payload, 0)?;
    match address(payload)? {
        IpAddr::V4(address) => Some((ne32(payload, 4)?, Ipv4Net::new(address, bits).ok()?)),
        IpAddr::V6(_) => None,
    }
}

/// Reads an address message.
pub fn address(payload: &[u8]) -> Option<IpAddr> {
    let rest = payload.get(IFADDRMSG..)?;
    // On a point-to-point link `IFA_ADDRESS` is the other end's.
    let bytes = attribute(rest, IFA_LOCAL).or_else(|| attribute(rest, IFA_ADDRESS))?;
    match bytes.len() {
        4 => array::<4>(bytes, 0).map(IpAddr::from),
        16 => array::<16>(bytes, 0).map(IpAddr::from),
        _ => None,
    }
}

/// Reads a link message; `None` for loopback, too.
pub fn interface(payload: &[u8]) -> Option<Interface> {
    let kind = ne16(payload, 2)?;
    let index = ne32(payload, 4)?;
    if kind == libc::ARPHRD_LOOPBACK {
        return None;
    }
    let name = attribute(payload.get(IFINFOMSG..)?, IFLA_IFNAME).and_then(text)?.to_owned();
    Some(Interface { index, name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::wire::Writer;

    #[test]
    fn loopback_gets_no_chain_and_a_cut_message_no_panic() {
        let link = |kind: u16| {
            let mut writer = Writer::new();
            writer.raw(&[0, 0]);
            writer.raw(&kind.to_ne_bytes());
            writer.raw(&7u32.to_ne_bytes());
            writer.raw(&[0; 8]);
            writer.text(IFLA_IFNAME, "eth0");
            writer.bytes().to_vec()
        };
        let ethernet = link(libc::ARPHRD_ETHER);
        assert_eq!(interface(&ethernet), Some(Interface { index: 7, name: "eth0".into() }));
        assert_eq!(interface(&link(libc::ARPHRD_LOOPBACK)), None);
        for length in 0..ethernet.len() {
            let _ = (network(&ethernet[..length]), gateway(&ethernet[..length]));
        }
        for cut in 0..20 {
            assert_eq!(interface(&ethernet[..cut]), None, "{cut}");
        }
    }
}
