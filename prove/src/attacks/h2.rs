//! HTTP/2 by hand (RFC 9113): frames with headers that are written out (RFC 7541, section 6.2.2), so that a request can say
//! what no client would.

use std::io::{Read, Write};
use std::net::SocketAddr;

use super::{Ctx, Failed, Run, send, tls};
use crate::catalogue::names::{EVIL, OPEN_PATH, PATHS, PLAIN};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(super) const CODE: &[(&str, Run)] = &[
    ("h2-authority", |c| plain(&[get("http", EVIL, &format!("/{}", c.canary), &[])])),
    ("h2-authority-second", |c| {
        plain(&[get("http", PLAIN, "/first", &[]), get("http", EVIL, &format!("/{}", c.canary), &[])])
    }),
    ("h2-host-beside", |c| plain(&[get("http", PLAIN, "/", &[("host", &c.name())])])),
    ("h2-upgrade", |c| {
        let upgrade = format!(
            "GET /{} HTTP/1.1\r\nHost: {EVIL}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            c.canary
        );
        send::tcp(send::resolve(PLAIN, 80)?, upgrade.as_bytes())
    }),
    ("h2-inspected-authority", |c| inspected(&[get("https", EVIL, &open(c), &[])])),
    ("h2-inspected-second", |c| {
        inspected(&[get("https", PATHS, OPEN_PATH, &[]), get("https", EVIL, &open(c), &[])])
    }),
    ("h2-path-denied", |c| inspected(&[get("https", PATHS, &format!("/denied/{}", c.canary), &[])])),
    ("h2-path-second", |c| {
        let denied = format!("/denied/{}", c.canary);
        inspected(&[get("https", PATHS, OPEN_PATH, &[]), get("https", PATHS, &denied, &[])])
    }),
    ("h2-path-dots", |c| {
        inspected(&[get("https", PATHS, &format!("{OPEN_PATH}../denied/{}", c.canary), &[])])
    }),
    ("h2-path-twice", |c| {
        let denied = format!("/denied/{}", c.canary);
        inspected(&[get("https", PATHS, OPEN_PATH, &[(":path", &denied)])])
    }),
];

fn open(c: &Ctx) -> String {
    format!("{OPEN_PATH}{}", c.canary)
}

/// To the host that is open to plain HTTP.
fn plain(requests: &[Vec<u8>]) -> Result<String, Failed> {
    let to: SocketAddr = send::resolve(PLAIN, 80)?;
    talk(send::connect(to)?, requests)
}

/// To the host whose TLS is opened.
fn inspected(requests: &[Vec<u8>]) -> Result<String, Failed> {
    talk(tls::open_for(send::resolve(PATHS, 443)?, Some(PATHS), b"h2")?, requests)
}

/// Streams 1, 3 and so on, all at once; the settings of the other side are taken.
fn talk(mut stream: impl Read + Write, requests: &[Vec<u8>]) -> Result<String, Failed> {
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, ACK, 0, &[])].concat();
    for (number, headers) in (1u32..).step_by(2).zip(requests) {
        bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, number, headers));
    }
    stream.write_all(&bytes)?;
    stream.flush()?;
    let mut answer = [0; 4096];
    let mut heard = 0;
    // The other side's settings come first, then answers; what is silent for a while has no more.
    while let Ok(length @ 1..) = stream.read(&mut answer) {
        heard += length;
    }
    if heard == 0 {
        Err(Failed::Refused("the connection was ended".to_owned()))
    } else {
        Ok(format!("{heard} bytes came back"))
    }
}

fn get(scheme: &str, authority: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", path)];
    own.iter().chain(more).flat_map(|(name, value)| header(name, value)).collect()
}

/// A header that is written out and not remembered.
fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

/// A text as it stands; all of ours are shorter than 127 bytes.
fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len().min(126)).unwrap_or_default()][..], text.as_bytes()].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_long_its_body_is() {
        assert_eq!(frame(SETTINGS, ACK, 0, &[]), [0, 0, 0, 4, 1, 0, 0, 0, 0]);
        assert_eq!(header("a", "bc"), [0, 1, b'a', 2, b'b', b'c']);
    }
}
