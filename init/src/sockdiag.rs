//! TCP sockets of this namespace: listing and ending them, over sock_diag.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::netlink::wire::{Writer, array, be16};
use crate::netlink::{ACK, Family, REQUEST, Socket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const TCP_TIME_WAIT: u32 = 6;
const TCP_CLOSE: u32 = 7;
const TCP_LISTEN: u32 = 10;
/// Every state in which there is another side that can be spoken to.
const CONNECTED: u32 = !(1 << TCP_TIME_WAIT | 1 << TCP_CLOSE | 1 << TCP_LISTEN);
/// The length of `struct inet_diag_sockid`.
const ID: usize = 48;
/// Sockets that one request ends.
const CHUNK: usize = 64;

/// A TCP socket that has another side. IPv4 addresses in IPv6 sockets are shown as IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSocket {
    /// This side.
    pub local: SocketAddr,
    /// The other side.
    pub peer: SocketAddr,
    family: u8,
    /// Names it to the kernel, its cookie included.
    id: [u8; ID],
}

/// Reads a socket.
pub fn socket(payload: &[u8]) -> Option<TcpSocket> {
    let family = *payload.first()?;
    let id = array::<ID>(payload, 4)?;
    let address = |at: usize| match i32::from(family) {
        libc::AF_INET => array::<4>(&id, at).map(IpAddr::from),
        libc::AF_INET6 => array::<16>(&id, at).map(|bytes| IpAddr::from(bytes).to_canonical()),
        _ => None,
    };
    Some(TcpSocket {
        local: SocketAddr::new(address(4)?, be16(&id)?),
        peer: SocketAddr::new(address(20)?, be16(id.get(2..)?)?),
        family,
        id,
    })
}

/// `struct inet_diag_req_v2`.
fn encode(to: &mut Writer, family: u8, states: u32, id: &[u8; ID]) {
    to.raw(&[family, u8::try_from(libc::IPPROTO_TCP).unwrap_or(0), 0, 0]);
    to.raw(&states.to_ne_bytes());
    to.raw(id);
}

/// The sockets of this namespace.
#[derive(Debug)]
pub struct SockDiag {
    socket: Socket,
}

impl SockDiag {
    /// Opens it.
    ///
    /// # Errors
    /// Where the kernel has no sock_diag.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(Family::SockDiag, 0)? })
    }

    /// Every connected TCP socket, of both families.
    ///
    /// # Errors
    /// When the kernel did not answer.
    pub fn list(&mut self) -> io::Result<Vec<TcpSocket>> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let family = u8::try_from(family).unwrap_or(0);
            all.extend(self.socket.dump(
                SOCK_DIAG_BY_FAMILY,
                |to| encode(to, family, CONNECTED, &[0; ID]),
                Vec::new,
                |found, message| {
                    if message.kind == SOCK_DIAG_BY_FAMILY {
                        found.extend(socket(message.payload));
                    }
                },
            )?);
        }
        Ok(all)
    }

    /// Ends sockets: whoever has them gets `ECONNABORTED`. One that is gone already is no error.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the kernel can't (`INET_DIAG_DESTROY`).
    pub fn destroy(&mut self, sockets: &[&TcpSocket]) -> io::Result<()> {
        for chunk in sockets.chunks(CHUNK) {
            let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let first = self.socket.reserve(count);
            let mut writer = Writer::new();
            for (sequence, socket) in (first..).zip(chunk) {
                writer.message(SOCK_DESTROY, REQUEST | ACK, sequence, |to| {
                    encode(to, socket.family, 0, &socket.id);
                });
            }
            let nacks = self.socket.request(writer.bytes(), first.wrapping_add(count).wrapping_sub(1))?;
            if let Some(nack) = nacks.iter().find(|nack| nack.errno != libc::ENOENT) {
                return Err(nack.error());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn an_ipv4_peer_of_an_ipv6_socket_is_judged_as_ipv4() {
        let mut payload = vec![u8::try_from(libc::AF_INET6).unwrap(), 1, 0, 0];
        payload.extend([0x80, 0, 1, 187]);
        payload.extend("::ffff:10.0.0.1".parse::<std::net::Ipv6Addr>().unwrap().octets());
        payload.extend("::ffff:198.51.100.9".parse::<std::net::Ipv6Addr>().unwrap().octets());
        payload.extend([0; 12]);
        let socket = super::socket(&payload).unwrap();
        assert_eq!(socket.peer, "198.51.100.9:443".parse().unwrap());
        assert_eq!(socket.local, "10.0.0.1:32768".parse().unwrap());
        for cut in 0..payload.len() {
            assert!(super::socket(&payload[..cut]).is_none(), "{cut}");
        }
    }
}
