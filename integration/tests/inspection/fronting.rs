//! A connection that was opened for one name leads to that name alone, whatever a request on it calls the host.

use clawker_integration::fakenet::talk::Step;
use clawker_integration::wire::h2;

use crate::rows::{HTTP1, LOOKED, PLAIN, Rows, Speaks, Target, Want};

const REFUSED: Want = Want::Refused;
const PASSES: Want = Want::Passes;
/// The headers that ask for a WebSocket.
pub const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request for another host never leaves by a connection to a listed one.
pub fn rows(rows: &mut Rows) {
    for target in [LOOKED, HTTP1, PLAIN] {
        http1(rows, target);
        http2(rows, target);
    }
}

/// What a Host may be that is not the connection's: listed and not, with other ports, and no name at all.
fn strangers(target: Target) -> Vec<String> {
    let name = target.name;
    let mut all: Vec<String> = [
        ":22",
        ":80",
        ":443",
        ":8443",
        ":0",
        ":",
        ":443:443",
        "@evil.test",
        "/",
        "?",
        "#",
        "\\",
        ";",
        ",",
        " evil.test",
        "%2eevil.test",
        ".",
    ]
    .iter()
    // Spellings of the same host and port.
    .filter(|end| **end != if target.tls { ":443" } else { ":80" } && **end != ".")
    .map(|end| format!("{name}{end}"))
    .collect();
    all.extend(
        ["evil.test", "evil.test:443", "198.51.100.133", "[2001:db8::1]", "localhost"].map(str::to_owned),
    );
    all.extend([
        format!("x.{name}"),
        format!("evil{name}"),
        format!("evil.test@{name}"),
        format!("{name}.evil.test"),
    ]);
    // Whom another rule lists is reached by a connection of its own. In plain HTTP the Host is all that there is.
    all.extend(["other.test", "through.test"].map(str::to_owned));
    all
}

fn get(host: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
}

fn http1(rows: &mut Rows, target: Target) {
    let name = target.name;
    let port = if target.tls { 443 } else { 80 };
    let scheme = if target.tls { "https" } else { "http" };
    for host in [name.to_owned(), name.to_ascii_uppercase(), format!("{name}:{port}"), format!("{name}.")] {
        rows.text(PASSES, format!("Host {host}"), target, |mark| get(&host, &format!("/{mark}"), ""));
    }
    rows.text(PASSES, "absolute form", target, |mark| get(name, &format!("{scheme}://{name}/{mark}"), ""));
    rows.text(PASSES, "a WebSocket", target, |mark| get(name, &format!("/{mark}"), UPGRADE));
    for host in strangers(target) {
        rows.text(REFUSED, format!("Host {host:?}"), target, |mark| get(&host, &format!("/{mark}"), ""));
        rows.add(REFUSED, format!("Host {host:?} in a second request"), target, Speaks::Http1, |mark| {
            let second = get(&host, &format!("/{mark}"), "");
            vec![
                Step::send(get(name, "/first", "")),
                Step::Hear("path: /first".to_owned()),
                Step::send(second),
            ]
        });
    }
    for host in ["evil.test", "other.test"] {
        rows.text(REFUSED, format!("pipelined, {host}"), target, |mark| {
            format!("{}{}", get(name, "/first", ""), get(host, &format!("/{mark}"), ""))
        });
        rows.text(REFUSED, format!("a WebSocket to {host}"), target, |mark| {
            get(host, &format!("/{mark}"), UPGRADE)
        });
        rows.text(REFUSED, format!("absolute form, {host}"), target, |mark| {
            get(name, &format!("{scheme}://{host}/{mark}"), "")
        });
        rows.text(Want::Nowhere, format!("absolute form of the listed host, Host {host}"), target, |mark| {
            get(&format!("{mark}.{host}"), &format!("{scheme}://{name}/first"), "")
        });
        for (first, second) in [(name, host), (host, name)] {
            rows.text(REFUSED, format!("Hosts {first}, {second}"), target, |mark| {
                get(first, &format!("/{mark}"), &format!("Host: {second}\r\n"))
            });
            rows.text(REFUSED, format!("Hosts {first}, folded {second}"), target, |mark| {
                get(&format!("{first}\r\n {second}"), &format!("/{mark}"), "")
            });
            rows.text(REFUSED, format!("Hosts {first},{second} in one"), target, |mark| {
                get(&format!("{first},{second}"), &format!("/{mark}"), "")
            });
        }
        rows.text(REFUSED, format!("Host with a space before its colon, {host}"), target, |mark| {
            format!("GET /{mark} HTTP/1.1\r\nHost : {host}\r\nHost: {name}\r\n\r\n")
        });
        rows.text(REFUSED, format!("Host behind a bare line feed, {host}"), target, |mark| {
            get(name, &format!("/{mark}"), &format!("X: y\nHost: {host}\r\n"))
        });
    }
    rows.text(REFUSED, "the same Host twice", target, |mark| {
        get(name, &format!("/{mark}"), &format!("Host: {name}\r\n"))
    });
    rows.text(REFUSED, "no Host", target, |mark| format!("GET /{mark} HTTP/1.1\r\n\r\n"));
    rows.text(REFUSED, "an empty Host", target, |mark| get("", &format!("/{mark}"), ""));
    rows.text(REFUSED, "HTTP/1.0 without a Host", target, |mark| format!("GET /{mark} HTTP/1.0\r\n\r\n"));
}

/// A request's fields.
pub fn fields<'a>(target: Target, authority: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    let scheme = if target.tls { "https" } else { "http" };
    [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", path)]
}

fn http2(rows: &mut Rows, target: Target) {
    let name = target.name;
    let asked = |stream: u32, authority: &str, path: &str, more: &[(&str, &str)]| {
        h2::headers(stream, &[&fields(target, authority, path)[..], more].concat(), true)
    };
    rows.frames(PASSES, "the first stream", target, |mark| asked(1, name, &format!("/{mark}"), &[]));
    rows.frames(PASSES, "a later stream", target, |mark| {
        [asked(1, name, "/first", &[]), asked(3, name, &format!("/{mark}"), &[])].concat()
    });
    for host in strangers(target) {
        rows.frames(REFUSED, format!(":authority {host:?}"), target, |mark| {
            asked(1, &host, &format!("/{mark}"), &[])
        });
        rows.frames(REFUSED, format!(":authority {host:?} on a later stream"), target, |mark| {
            [asked(1, name, "/first", &[]), asked(3, &host, &format!("/{mark}"), &[])].concat()
        });
    }
    for host in ["evil.test", "other.test"] {
        rows.frames(Want::Nowhere, format!("a host beside :authority, {host}"), target, |mark| {
            asked(1, name, "/first", &[("host", &format!("{mark}.{host}"))])
        });
        rows.frames(REFUSED, format!("a host beside another :authority, {host}"), target, |mark| {
            asked(1, host, &format!("/{mark}"), &[("host", name)])
        });
        rows.frames(REFUSED, format!(":authority twice, {host} last"), target, |mark| {
            h2::headers(
                1,
                &[&fields(target, name, &format!("/{mark}"))[..], &[(":authority", host)]].concat(),
                true,
            )
        });
        rows.frames(REFUSED, format!("host alone, {host}"), target, |mark| {
            let path = format!("/{mark}");
            let [method, scheme, _, path] = fields(target, name, &path);
            h2::headers(1, &[method, scheme, path, ("host", host)], true)
        });
    }
    rows.frames(REFUSED, "no :authority", target, |mark| {
        let path = format!("/{mark}");
        let [method, scheme, _, path] = fields(target, name, &path);
        h2::headers(1, &[method, scheme, path], true)
    });
}
