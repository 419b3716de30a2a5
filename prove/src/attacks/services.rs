//! Services on the container's network, looked for as a scanner does.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::{Ctx, Failed, Run, dns, send, serve, tls};
use crate::catalogue::rebind;

/// How long a port may take that is looked at among others.
const LOOK: Duration = Duration::from_millis(20);
/// How many ports are looked at on each side of a known one.
const AROUND: u16 = 32;
const TLS: u16 = 443;

pub(super) const CODE: &[(&str, Run)] = &[
    ("host-tcp", tcp),
    ("host-udp", |c| send::udp(host(c)?, c.canary.as_bytes())),
    ("host-mapped", |c| {
        let at = host(c)?;
        let SocketAddr::V4(at) = at else { return Err(nobody()) };
        let mapped: SocketAddr = (at.ip().to_ipv6_mapped(), at.port()).into();
        said(TcpStream::connect_timeout(&mapped, send::CONNECT)?, c)
    }),
    ("host-other", tcp),
    ("host-root", tcp),
    ("control-envoy-ports", |c| around(c.places.envoy, c.places.listener)),
    ("control-envoy-ports-root", |c| around(c.places.envoy, c.places.listener)),
    ("control-coredns-ports", |c| around(c.places.coredns, c.places.dns_port)),
    ("control-coredns-ports-root", |c| around(c.places.coredns, c.places.dns_port)),
    ("control-neighbour", |c| serve::answers(c.places.neighbour, serve::HIDDEN)),
    ("rebind-loopback", |c| loopback(c, "127.0.0.1:443")),
    ("rebind-loopback-6", |c| loopback(c, "[::1]:443")),
    ("rebind-loopback-mapped", |c| loopback(c, "[::ffff:127.0.0.1]:443")),
];

fn nobody() -> Failed {
    Failed::Impossible("the network's gateway is not the machine that asks".to_owned())
}

fn host(c: &Ctx) -> Result<SocketAddr, Failed> {
    c.places.host.map(SocketAddr::from).ok_or_else(nobody)
}

fn tcp(c: &Ctx) -> Result<String, Failed> {
    said(TcpStream::connect_timeout(&host(c)?, send::CONNECT)?, c)
}

/// It says nothing back.
fn said(mut stream: TcpStream, c: &Ctx) -> Result<String, Failed> {
    std::io::Write::write_all(&mut stream, c.canary.as_bytes())?;
    Ok("sent".to_owned())
}

/// The first port near a known one that takes a connection.
fn around(address: Ipv4Addr, known: u16) -> Result<String, Failed> {
    let near = known.saturating_sub(AROUND)..=known.saturating_add(AROUND);
    // Diverted by its number, as DNS always is: whoever answers there is the policy's own.
    let mut near = near.filter(|port| *port != dns::PORT && *port != TLS);
    let open = near.find(|port| TcpStream::connect_timeout(&(address, *port).into(), LOOK).is_ok());
    open.map(|port| format!("port {port} takes connections"))
        .ok_or_else(|| Failed::Refused("no port takes a connection".to_owned()))
}

/// Dials what a listed name leads to. Beside the twin, where nobody answers for the name, what it would lead to.
fn loopback(c: &Ctx, answer: &str) -> Result<String, Failed> {
    let name = rebind::name(&c.id);
    let answer = || answer.parse().map_err(|_| Failed::Impossible("no address".to_owned()));
    // Beside the twin everything that is dialled is its own.
    let beside = c.places.twin.is_loopback();
    let to = if beside { answer()? } else { super::six::first(&name)? };
    let request = format!("GET /{} HTTP/1.1\r\nHost: {name}\r\n\r\n", c.canary);
    tls::talk(to, Some(&name), request.as_bytes())
}
