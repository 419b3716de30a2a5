//! The fake internet: one process that is every resolver, every site and every host of a network of its own, and
//! writes down all that reaches it. It sends nothing but answers.

pub mod address;
pub mod asks;
pub mod authority;
pub mod bodies;
pub mod dns;
pub mod fetch;
pub mod flood;
pub mod http;
pub mod loopback;
pub mod messages;
pub mod packets;
pub mod pages;
pub mod probe;
pub mod resolver;
pub mod six;
pub mod talk;
pub mod tap;
pub mod tcp;
pub mod udp;
pub mod websocket;
pub mod zone;

pub use crate::{files, record, records};

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::sys::socket::{
    self as sock, AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, bind, setsockopt, socket, sockopt,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use authority::{Authority, AuthorityError};
use pages::Pages;
use record::{Kind, Record, Recorder};
use resolver::Resolver;
use tcp::Servers;

/// The UDP ports that send back what they get. All others are still recorded.
pub const UDP_ECHO: [u16; 6] = [7, 123, 443, 784, 5353, 9999];

/// Why the fake internet does not start.
#[derive(Debug, thiserror::Error)]
pub enum FakenetError {
    /// No authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file of the shared folder can't be written.
    #[error("Can't write {0}")]
    Write(PathBuf, #[source] io::Error),
    /// The addresses can't be had.
    #[error("Can't take the addresses of {}: the container needs NET_ADMIN", address::NETWORK)]
    Addresses(#[source] io::Error),
    /// The wire can't be watched.
    #[error("Can't watch the wire: the container needs NET_RAW")]
    Wire(#[source] io::Error),
    /// A port can't be opened.
    #[error("Can't open port {0}")]
    Port(u16, #[source] io::Error),
    /// Anything else of the kernel's.
    #[error("Can't start")]
    Start(#[from] io::Error),
}

/// Serves until it is told to end by TERM or INT, at its own addresses and these `nets`. Without a folder nothing is
/// shared and records go to stdout only.
///
/// # Errors
/// [`FakenetError`] when it can't start whole; it never runs with a part missing.
pub async fn serve(folder: Option<&Path>, nets: &[(Ipv4Addr, u8)]) -> Result<(), FakenetError> {
    let file = |name: &str| folder.map(|folder| folder.join(name));
    let records = file(files::RECORDS);
    let recorder = Recorder::new(records.as_deref())
        .map_err(|error| FakenetError::Write(records.unwrap_or_default(), error))?;
    let recorder = Arc::new(recorder);
    let authority = Arc::new(Authority::new()?);
    if let Some(path) = file(files::CA) {
        std::fs::write(&path, authority.pem()).map_err(|error| FakenetError::Write(path, error))?;
    }
    for net in nets {
        address::take(*net).map_err(FakenetError::Addresses)?;
    }

    let wire = packets::open().map_err(FakenetError::Wire)?;
    let watcher = Arc::clone(&recorder);
    std::thread::spawn(move || packets::watch(&wire, &watcher));

    let resolver = Arc::new(Resolver { recorder: Arc::clone(&recorder), zone: file(files::ZONE) });
    tokio::spawn(Arc::clone(&resolver).serve_udp(udp_port(resolver::PORT).await?));
    tokio::spawn(resolver.serve_tcp(listen(resolver::PORT).await?));
    for port in UDP_ECHO {
        tokio::spawn(udp_port(port).await?.echo());
    }
    let servers = Arc::new(Servers {
        recorder: Arc::clone(&recorder),
        tls: authority.server_config(&[b"h2", b"http/1.1"])?,
        tls_http1: authority.server_config(&[b"http/1.1"])?,
        pages: Pages::new(file(files::SITES)),
        connections: AtomicU64::new(0),
    });
    for port in tcp::PORTS.into_iter().chain([tcp::CATCH_ALL]) {
        tokio::spawn(Arc::clone(&servers).serve(listen(port).await?));
        // A kernel without IPv6 has nobody who dials it.
        if let Ok(listener) = listen_six(port) {
            tokio::spawn(Arc::clone(&servers).serve(listener));
        }
    }

    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    recorder.write(&Record::new(Kind::Ready));
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

async fn listen(port: u16) -> Result<TcpListener, FakenetError> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(|error| FakenetError::Port(port, error))
}

/// The same port for IPv6 alone: the other one has IPv4.
fn listen_six(port: u16) -> io::Result<TcpListener> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet6, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    let any = SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0));
    bind(fd.as_raw_fd(), &any)?;
    sock::listen(&fd, Backlog::MAXCONN)?;
    TcpListener::from_std(std::net::TcpListener::from(fd))
}

async fn udp_port(port: u16) -> Result<udp::Port, FakenetError> {
    udp::Port::open(port).await.map_err(|error| FakenetError::Port(port, error))
}
