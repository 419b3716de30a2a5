//! What has to work, done as an honest program does it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::{Ctx, Failed, Run, dns, send, serve, target, tls};
use crate::catalogue::names::{GOOD, GRANTED, OPEN_PATH, PATHS, PLAIN, PRIVATE, SSH};

const TLS: u16 = 443;
/// A port that no rule names and somebody serves.
const REFUSED: u16 = 9000;

pub(super) const CODE: &[(&str, Run)] = &[
    ("need-tls", |c| tls_to(send::resolve(GOOD, TLS)?, GOOD, c)),
    ("need-http", |c| send::tcp(send::resolve(PLAIN, 80)?, &get(PLAIN, &format!("/{}", c.canary)))),
    ("need-path", |c| {
        let request = get(PATHS, &format!("{OPEN_PATH}{}", c.canary));
        tls::talk(send::resolve(PATHS, TLS)?, Some(PATHS), &request)
    }),
    ("need-by-address", |c| tls_to((target::EVIL, TLS).into(), GOOD, c)),
    ("need-ssh", |c| {
        let mut stream = send::connect(send::resolve(SSH, 22)?)?;
        send::hear(&mut stream)?;
        send::talk(stream, c.canary.as_bytes())
    }),
    ("need-direct", |c| send::tcp((target::DIRECT, TLS), c.canary.as_bytes())),
    ("need-grant", |c| tls_to(send::resolve(GRANTED, TLS)?, GRANTED, c)),
    ("need-private", |c| tls_to(send::resolve(PRIVATE, TLS)?, PRIVATE, c)),
    ("need-told", |c| send::tcp((target::EVIL, REFUSED), c.canary.as_bytes())),
    ("need-dns-tcp", |_| answered(&dns::over_tcp(dns::resolver()?, GOOD)?)),
    ("need-loopback", |_| {
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, TLS))?;
        let to = own.local_addr()?;
        thread::spawn(move || own.accept().and_then(|(mut stream, _)| stream.write_all(b"mine")));
        let mut said = [0; 4];
        send::connect(to)?.read_exact(&mut said)?;
        if said == *b"mine" { Ok("its own server answered".to_owned()) } else { Err(odd(&said)) }
    }),
    ("need-refused", |_| refused((target::NOBODY, REFUSED).into())),
    ("need-refused-dns", |_| refused((dns::DOCKER, dns::PORT).into())),
    ("need-published", |c| serve::answers(c.places.twin, serve::PUBLISHED)),
    ("need-open-dns", |c| {
        let message = dns::query(&c.name(), 1);
        answered(&send::ask_udp((c.places.coredns, dns::PORT), &message)?)
    }),
    ("need-open-dns-tcp", |c| answered(&dns::over_tcp((c.places.coredns, dns::PORT).into(), &c.name())?)),
    ("need-remembered", |c| tls_to(remembered(c, 0)?, GOOD, c)),
    ("need-remembered-grant", |c| tls_to(remembered(c, 1)?, GRANTED, c)),
    (super::REMEMBER, |_| {
        Ok(format!("{} {}", send::resolve(GOOD, TLS)?.ip(), send::resolve(GRANTED, TLS)?.ip()))
    }),
];

fn tls_to(to: SocketAddr, name: &str, c: &Ctx) -> Result<String, Failed> {
    tls::talk(to, Some(name), &get(name, &format!("/{}", c.canary)))
}

fn get(host: &str, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

fn remembered(c: &Ctx, place: usize) -> Result<SocketAddr, Failed> {
    let address = c.places.remembered.get(place).copied();
    Ok((address.ok_or_else(|| Failed::Refused("nothing is remembered".to_owned()))?, TLS).into())
}

/// Whether an answer of DNS has an address.
fn answered(message: &[u8]) -> Result<String, Failed> {
    match crate::fakenet::dns::read_answer(message) {
        Some((0, found)) if !found.is_empty() => Ok(format!("{found:?}")),
        _ => Err(odd(message)),
    }
}

fn odd(said: &[u8]) -> Failed {
    Failed::Refused(format!("another answer: {}", said.escape_ascii()))
}

/// A refusal that only comes when patience ends keeps every program waiting.
fn refused(to: SocketAddr) -> Result<String, Failed> {
    match TcpStream::connect_timeout(&to, send::CONNECT) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(error.to_string()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(Failed::Refused("it was not refused".to_owned())),
    }
}
