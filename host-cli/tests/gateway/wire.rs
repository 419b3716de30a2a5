//! Bytes for the wire: a question to CoreDNS, and a ClientHello as far as a server name goes.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// RCODE.
    pub code: u8,
    /// The first A record.
    pub address: Option<Ipv4Addr>,
}

/// A name in a message.
fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// Asks one question.
pub fn ask(server: Ipv4Addr, port: u16, name: &str, kind: u16) -> Answer {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(labels(name));
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.connect((server, port)).unwrap();
    socket.send(&message).unwrap();
    let mut buffer = [0; 1500];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = &buffer[..length];
    // The answer's record begins with the question's name, or with a pointer to it.
    let record = answer.get(message.len()..).unwrap_or_default();
    let owner = if record.first().is_some_and(|byte| *byte >= 0xc0) { 2 } else { labels(name).len() };
    let record = record.get(owner..).unwrap_or_default();
    let is_a = answer[7] > 0 && record.get(..2) == Some(&[0, 1]);
    let address = record
        .get(10..14)
        .filter(|_| is_a)
        .map(|bytes| Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]));
    Answer { code: answer[3] & 0x0f, address }
}

fn sized(bytes: Vec<u8>) -> Vec<u8> {
    let mut whole = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    whole.extend(bytes);
    whole
}

/// A TLS 1.2 ClientHello (RFC 5246, 7.4.1.2) with this server name (RFC 6066, 3).
pub fn client_hello(name: Option<&str>) -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    hello.extend(sized(vec![0xc0, 0x2f]));
    hello.extend([1, 0]);
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let mut entry = vec![0];
        entry.extend(sized(name.as_bytes().to_vec()));
        extensions.extend([0, 0]);
        extensions.extend(sized(sized(entry)));
    }
    // supported_groups: Envoy's inspector wants a hello that a server could answer.
    extensions.extend([0, 10]);
    extensions.extend(sized(sized(vec![0, 0x1d])));
    hello.extend(sized(extensions));
    let mut handshake = vec![1, 0];
    handshake.extend(sized(hello));
    let mut record = vec![0x16, 3, 1];
    record.extend(sized(handshake));
    record
}
