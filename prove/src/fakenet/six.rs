//! IPv6 for namespaces that Docker gave none: an address made of the IPv4 one, within the documentation's range, a way to
//! the fake internet, and no neighbour discovery, so that what a firewall makes of that decides nothing here.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;

use super::address::{change, message};
use crate::catalogue::names::{LINK, on_link};

/// The interface on the container's network, as Docker names it.
const INTERFACE: &str = "eth0";
const LINK_LENGTH: u8 = 64;

/// What the fake internet answers for besides its own address: documentation, unique local addresses, and every way to
/// write its IPv4 network in IPv6 (RFC 6052, RFC 3056, RFC 4380, RFC 4291).
const NETS: [(Ipv6Addr, u8); 7] = [
    // Not the link's, which would be no link then.
    (Ipv6Addr::new(0x2001, 0xdb8, 0x0bad, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0), 8),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96),
    (Ipv6Addr::new(0x2002, 0xc633, 0x6400, 0, 0, 0, 0, 0), 40),
    (Ipv6Addr::new(0x2002, 0x0afe, 0xfe00, 0, 0, 0, 0, 0), 40),
    (Ipv6Addr::new(0x2001, 0, 0xc633, 0x6485, 0, 0, 0, 0), 64),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0xc633, 0x6400), 120),
];

// linux/rtnetlink.h, if_addr.h and neighbour.h
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
const AF_INET6: u8 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_PERMANENT: u16 = 0x80;
/// The loopback interface's index in every network namespace.
const LOOPBACK: u32 = 1;

/// Whether an address is one of the link's.
pub fn is_of_link(address: Ipv6Addr) -> bool {
    address.segments().starts_with(&LINK)
}

/// Makes this namespace the fake internet for IPv6, too.
///
/// # Errors
/// Where the kernel has no IPv6, or without NET_ADMIN.
pub fn take() -> io::Result<()> {
    link()?;
    for (net, length) in NETS {
        let place = [AF_INET6, length, 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, 0, RTN_LOCAL, 0, 0, 0, 0];
        let to: &[(u16, &[u8])] = &[(RTA_DST, &net.octets()), (RTA_OIF, &LOOPBACK.to_ne_bytes())];
        change(&message(RTM_NEWROUTE, &place, to))?;
    }
    Ok(())
}

/// Leads this namespace's IPv6 to whoever has an IPv4 address and a hardware address.
///
/// # Errors
/// As [`take`].
pub fn lead(gateway: Ipv4Addr, hardware: &[u8; 6]) -> io::Result<()> {
    let index = link()?;
    let gateway = on_link(gateway);
    know(gateway, hardware)?;
    let place = [AF_INET6, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0];
    change(&message(
        RTM_NEWROUTE,
        &place,
        &[(RTA_GATEWAY, &gateway.octets()), (RTA_OIF, &index.to_ne_bytes())],
    ))
}

/// Tells the kernel who a neighbour on the link is, for good.
///
/// # Errors
/// As [`take`].
pub fn know(neighbour: Ipv6Addr, hardware: &[u8; 6]) -> io::Result<()> {
    let mut place = vec![AF_INET6, 0, 0, 0];
    place.extend(index()?.to_ne_bytes());
    place.extend(NUD_PERMANENT.to_ne_bytes());
    place.extend([0, 0]);
    change(&message(RTM_NEWNEIGH, &place, &[(NDA_DST, &neighbour.octets()), (NDA_LLADDR, hardware)]))
}

/// Turns IPv6 on and takes the address on the link; the interface's index.
fn link() -> io::Result<u32> {
    // Not to be written where Docker left IPv6 on: what counts is whether the address can be had.
    for interface in ["all", "default", "lo", INTERFACE] {
        for (setting, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("disable_ipv6", "0")] {
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/{setting}"), value);
        }
    }
    let index = index()?;
    let own = on_link(own()?).octets();
    let mut place = vec![AF_INET6, LINK_LENGTH, IFA_F_NODAD, 0];
    place.extend(index.to_ne_bytes());
    change(&message(RTM_NEWADDR, &place, &[(IFA_LOCAL, &own), (IFA_ADDRESS, &own)]))?;
    Ok(index)
}

fn index() -> io::Result<u32> {
    Ok(if_nametoindex(INTERFACE)?)
}

fn own() -> io::Result<Ipv4Addr> {
    let mut all = getifaddrs()?.filter(|one| one.interface_name == INTERFACE);
    let own = all.find_map(|one| one.address?.as_sockaddr_in().map(|address| address.ip()));
    own.ok_or_else(|| io::Error::other("there is no IPv4 address here"))
}

/// A hardware address as Docker writes it.
pub fn hardware(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_an_address_of_its_own_on_the_link() {
        let (one, other) = (on_link(Ipv4Addr::new(172, 20, 0, 2)), on_link(Ipv4Addr::new(172, 20, 0, 3)));
        assert_eq!(one, "2001:db8:c1a0::ac14:2".parse::<Ipv6Addr>().unwrap());
        assert!(one != other && is_of_link(one) && !is_of_link(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn hardware_addresses_are_six_bytes() {
        assert_eq!(hardware("02:42:ac:14:00:02"), Some([2, 0x42, 0xac, 0x14, 0, 2]));
        for text in ["", "02:42", "02:42:ac:14:00:zz", "02:42:ac:14:00:02:03"] {
            assert_eq!(hardware(text), None, "{text}");
        }
    }
}
