//! A UDP socket that answers from the address that it was asked at: the namespace has many, and a client takes
//! no answer from another.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A datagram and both its ends.
#[derive(Debug)]
pub struct Datagram {
    /// Its payload.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// The address that it was sent to.
    pub destination: Ipv4Addr,
}

/// A port on every IPv4 address of the namespace.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
}

impl Port {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel's: the port is taken, for one.
    pub async fn open(port: u16) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        Ok(Self { socket })
    }

    /// Waits for the next datagram.
    ///
    /// # Errors
    /// The kernel's; an ICMP error of an earlier answer among them, after which the port still works.
    pub async fn receive(&self) -> io::Result<Datagram> {
        self.socket.async_io(Interest::READABLE, || receive(self.socket.as_raw_fd())).await
    }

    /// Answers a datagram.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn answer(&self, to: &Datagram, bytes: &[u8]) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || send(self.socket.as_raw_fd(), to, bytes)).await
    }

    /// Sends every datagram back, for as long as it is polled. The wire is recorded elsewhere.
    pub async fn echo(self) {
        loop {
            if let Ok(datagram) = self.receive().await {
                let _ = self.answer(&datagram, &datagram.bytes).await;
            }
        }
    }
}

fn receive(fd: i32) -> io::Result<Datagram> {
    let mut bytes = vec![0u8; 65_536];
    let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<SockaddrIn>(fd, &mut slices, Some(&mut control), MsgFlags::empty())?;
    let destination = message.cmsgs()?.find_map(|item| match item {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))),
        _ => None,
    });
    let source = message.address.map(|from| SocketAddrV4::new(from.ip(), from.port()));
    let length = message.bytes;
    let (Some(source), Some(destination)) = (source, destination) else {
        return Err(io::Error::other("A datagram without addresses"));
    };
    bytes.truncate(length);
    Ok(Datagram { bytes, source, destination })
}

fn send(fd: i32, to: &Datagram, bytes: &[u8]) -> io::Result<()> {
    let info = nix::libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: nix::libc::in_addr { s_addr: u32::from(to.destination).to_be() },
        ipi_addr: nix::libc::in_addr { s_addr: 0 },
    };
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    let target = SockaddrIn::from(to.source);
    sendmsg(fd, &[IoSlice::new(bytes)], &control, MsgFlags::empty(), Some(&target))?;
    Ok(())
}
