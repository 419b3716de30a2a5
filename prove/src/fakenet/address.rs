//! The addresses that the fake internet lives on: one for DNS, which Docker gives it, and half of its network
//! for everything else, which it takes by one local route, so that each name can have an address of its own.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// The fake internet's network: TEST-NET-2 of RFC 5737, which no real network carries.
pub const NETWORK: &str = "198.51.100.0/24";
/// Where Docker puts containers of the network.
pub const CONTAINERS: &str = "198.51.100.0/26";
/// The resolver.
pub const DNS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// All hosts.
pub const HOSTS: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 51, 100, 128), 25);
/// The host with the given last byte, 128 to 254.
pub const fn host(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, last)
}

/// Whether `address` is one of [`HOSTS`].
pub fn is_host(address: Ipv4Addr) -> bool {
    let shift = 32 - u32::from(HOSTS.1);
    u32::from(address) >> shift == u32::from(HOSTS.0) >> shift
}

// linux/rtnetlink.h and linux/netlink.h
const RTM_NEWROUTE: u16 = 24;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;
const AF_INET: u8 = 2;
/// The loopback interface's index in every network namespace.
const LOOPBACK: u32 = 1;

/// Makes every address of `net` one of this namespace's own; the kernel answers ARP for them too.
///
/// # Errors
/// The kernel's, without NET_ADMIN for one.
pub fn take(net: (Ipv4Addr, u8)) -> io::Result<()> {
    change(&local_route(net))
}

/// Leads everything that has no nearer route to a gateway.
///
/// # Errors
/// As [`take`].
pub fn lead(gateway: Ipv4Addr) -> io::Result<()> {
    change(&default_route(gateway))
}

/// Asks the kernel for a change by netlink and waits for its word.
pub(super) fn change(message: &[u8]) -> io::Result<()> {
    let fd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    sendto(fd.as_raw_fd(), message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0u8; 256];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match errno_of(&answer[..length]) {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Err(io::Error::other("The kernel's answer is not an acknowledgement")),
    }
}

fn local_route((net, length): (Ipv4Addr, u8)) -> Vec<u8> {
    let place = [length, 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL];
    route(place, [(RTA_DST, net.octets()), (RTA_OIF, LOOPBACK.to_ne_bytes())])
}

fn default_route(gateway: Ipv4Addr) -> Vec<u8> {
    let place = [0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST];
    route(place, [(RTA_GATEWAY, gateway.octets())])
}

fn route<const N: usize>(place: [u8; 7], attributes: [(u16, [u8; 4]); N]) -> Vec<u8> {
    let place = [&[AF_INET][..], &place, &[0; 4]].concat();
    let attributes = attributes.each_ref().map(|(kind, value)| (*kind, &value[..]));
    message(RTM_NEWROUTE, &place, &attributes)
}

/// A message that makes something, or puts it in the place of what was there.
pub(super) fn message(kind: u16, place: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = vec![0u8; 4];
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE).to_ne_bytes());
    message.extend([0u8; 8]);
    message.extend(place);
    for (kind, value) in attributes {
        message.extend(u16::try_from(value.len() + 4).unwrap_or_default().to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(*value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let total = u32::try_from(message.len()).unwrap_or_default();
    message[..4].copy_from_slice(&total.to_ne_bytes());
    message
}

/// The error number of an acknowledgement; 0 is success.
fn errno_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let code = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(-code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resolver_is_no_host_and_hosts_are() {
        assert!(!is_host(DNS));
        assert!(is_host(host(128)) && is_host(host(254)));
    }

    #[test]
    fn the_length_in_the_header_is_the_message_s() {
        let message = local_route(HOSTS);
        assert_eq!(u32::from_ne_bytes(message[..4].try_into().unwrap()) as usize, message.len());
        assert_eq!(message.len(), 16 + 12 + 8 + 8);
    }
}
