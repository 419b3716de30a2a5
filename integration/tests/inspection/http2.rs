//! HTTP/2 (RFC 9113) as no library would write it, to servers that speak it and to servers for which it is written anew
//! as HTTP/1.1.

use clawker_integration::wire::h2;

use crate::fronting::fields;
use crate::rows::{HTTP1, LOOKED, PLAIN, Rows, SHUT, Target, Want};

const PASSES: Want = Want::Passes;
const REFUSED: Want = Want::Refused;
const NOWHERE: Want = Want::Nowhere;

type Fields<'a> = Vec<(&'a str, &'a str)>;

/// No field of HTTP/2 becomes a line of HTTP/1, and no path gets past a rule.
pub fn rows(rows: &mut Rows) {
    for target in [LOOKED, HTTP1, PLAIN] {
        headers(rows, target);
        pseudo_headers(rows, target);
        bodies(rows, target);
        paths(rows, target);
    }
}

/// A request with its mark in the path, and more fields.
fn with(target: Target, mark: &str, more: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let path = format!("/{mark}");
    h2::headers(1, &[&fields(target, target.name, &path)[..], more].concat(), ends)
}

fn headers(rows: &mut Rows, target: Target) {
    rows.frames(PASSES, "a header", target, |mark| with(target, mark, &[("x", "y")], true));
    rows.frames(PASSES, "headers in two frames", target, |mark| {
        let path = format!("/{mark}");
        h2::headers_in_two(1, &fields(target, target.name, &path))
    });
    rows.frames(PASSES, "a header of 12 KB", target, |mark| {
        with(target, mark, &[("x", &"y".repeat(12_000))], true)
    });
    let smuggled = format!("y\r\n\r\nGET {SHUT} HTTP/1.1\r\nHost: evil.test\r\n\r\n");
    for (name, value) in [
        ("x", smuggled.as_str()),
        ("x", "y\r\nhost: evil.test"),
        ("x", "y\nhost: evil.test"),
        ("x", "y\rhost: evil.test"),
        ("x", "y\0"),
        ("x\r\nhost", "evil.test"),
        ("x: y\r\nhost", "evil.test"),
        ("x y", "z"),
        ("x:", "y"),
        ("X", "y"),
        ("", "y"),
        ("host:", "evil.test"),
        ("connection", "close"),
        ("connection", "transfer-encoding"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("upgrade", "h2c"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("te", "chunked"),
        ("content-length", "-1"),
        ("content-length", "+0"),
        ("content-length", "0x0"),
        ("content-length", "0, 9"),
        ("content-length", "99999999999999999999999"),
    ] {
        rows.frames(REFUSED, format!("{name:?}: {value:?}"), target, |mark| {
            with(target, mark, &[(name, value)], true)
        });
    }
    rows.frames(REFUSED, "two lengths", target, |mark| {
        with(target, mark, &[("content-length", "0"), ("content-length", "9")], true)
    });
    rows.frames(REFUSED, "a stream after one with a line's end", target, |mark| {
        let path = format!("/{mark}");
        let second = [&fields(target, target.name, &path)[..], &[("x", "y\r\nz: a")]].concat();
        [with(target, "first", &[], true), h2::headers(3, &second, true)].concat()
    });
}

fn pseudo_headers(rows: &mut Rows, target: Target) {
    let name = target.name;
    let scheme = if target.tls { "https" } else { "http" };
    let mut row = |want: Want, what: &str, change: fn(&mut Fields<'_>)| {
        rows.frames(want, what, target, |mark| {
            let path = format!("/{mark}");
            let mut all = fields(target, name, &path).to_vec();
            change(&mut all);
            h2::headers(1, &all, true)
        });
    };
    row(PASSES, "another order", |all| all.reverse());
    row(REFUSED, "a header before a pseudo-header", |all| all.insert(1, ("x", "y")));
    row(REFUSED, ":path twice, a denied one last", |all| all.push((":path", SHUT)));
    row(REFUSED, ":path twice, a denied one first", |all| all.insert(0, (":path", SHUT)));
    row(REFUSED, ":method twice", |all| all.push((":method", "POST")));
    row(REFUSED, ":scheme twice", |all| all.push((":scheme", "http")));
    row(REFUSED, "a pseudo-header that there is not", |all| all.push((":evil", "y")));
    row(REFUSED, ":status in a request", |all| all.push((":status", "200")));
    row(REFUSED, ":protocol without CONNECT", |all| all.push((":protocol", "websocket")));
    row(REFUSED, "no :method", |all| all.retain(|(name, _)| *name != ":method"));
    row(REFUSED, "no :scheme", |all| all.retain(|(name, _)| *name != ":scheme"));
    for method in ["", "GET /x HTTP/1.1\r\nX: y", "GET /shut", "G T", "GET\0", "G:T"] {
        rows.frames(REFUSED, format!(":method {method:?}"), target, |mark| {
            let path = format!("/{mark}");
            h2::headers(
                1,
                &[(":method", method), (":scheme", scheme), (":authority", name), (":path", &path)],
                true,
            )
        });
    }
    for other in ["ftp", "https://evil.test/", "file", "", "https\r\nx: y"] {
        rows.frames(NOWHERE, format!(":scheme {other:?}"), target, |mark| {
            let path = format!("{SHUT}/{mark}");
            h2::headers(
                1,
                &[(":method", "GET"), (":scheme", other), (":authority", name), (":path", &path)],
                true,
            )
        });
    }
    for path in [
        "@",
        "x/@",
        "*@",
        "?@",
        " /@",
        "/@ HTTP/1.1\r\nHost: evil.test",
        "/@ HTTP/1.1",
        "/a @",
        "/@\t",
        "/@\0",
        "/@\r\n",
        "/@#/shut",
        "https://evil.test/@",
        "http://looked.test/shut/@",
        "//evil.test:x@",
    ] {
        // What is left of the last one is a path below the host that was asked for.
        let want = if path.starts_with("//") { PASSES } else { REFUSED };
        rows.frames(want, format!(":path {path:?}"), target, |mark| {
            let path = path.replace('@', mark);
            h2::headers(1, &fields(target, name, &path), true)
        });
    }
    for to in ["evil.test:443", name, "198.51.100.133:443"] {
        rows.frames(REFUSED, format!("CONNECT {to}"), target, |mark| {
            let request = h2::headers(1, &[(":method", "CONNECT"), (":authority", to)], false);
            [request, h2::data(1, mark.as_bytes(), false)].concat()
        });
        for protocol in ["websocket", "connect-udp", "foo"] {
            rows.frames(REFUSED, format!("extended CONNECT {to} {protocol}"), target, |mark| {
                let path = format!("/{mark}");
                let all =
                    [&fields(target, to, &path)[1..], &[(":method", "CONNECT"), (":protocol", protocol)]];
                [h2::headers(1, &all.concat(), false), h2::data(1, mark.as_bytes(), false)].concat()
            });
        }
    }
}

fn bodies(rows: &mut Rows, target: Target) {
    let name = target.name;
    let post = |length: &str, path: &str| {
        let scheme = if target.tls { "https" } else { "http" };
        h2::headers(
            1,
            &[
                (":method", "POST"),
                (":scheme", scheme),
                (":authority", name),
                (":path", path),
                ("content-length", length),
            ],
            false,
        )
    };
    let hidden = |mark: &str| format!("GET {SHUT}/{mark} HTTP/1.1\r\nHost: {name}\r\n\r\n");
    rows.frames(PASSES, "a length that is right", target, |mark| {
        [post("5", &format!("/{mark}")), h2::data(1, b"hello", true)].concat()
    });
    rows.frames(Want::Inside, "a body that is a request", target, |mark| {
        let body = hidden(mark);
        [post(&body.len().to_string(), "/first"), h2::data(1, body.as_bytes(), true)].concat()
    });
    // Of the first bytes more than the length says may be on their way; the rest never.
    for length in ["0", "4"] {
        rows.frames(Want::Inside, format!("a length of {length} that is too short"), target, |mark| {
            [post(length, "/first"), h2::data(1, hidden(mark).as_bytes(), true)].concat()
        });
    }
    rows.frames(Want::Inside, "a length that is too long, and another stream", target, |mark| {
        let path = format!("{SHUT}/{mark}");
        let second = h2::headers(3, &fields(target, name, &path), true);
        [post("500", "/first"), h2::data(1, b"hello", true), second].concat()
    });
    rows.frames(REFUSED, "a length without a body", target, |mark| {
        let path = format!("/{mark}");
        h2::headers(1, &[&fields(target, name, &path)[..], &[("content-length", "5")]].concat(), true)
    });
    for trailer in [":path", ":authority", "host", "content-length", "transfer-encoding", "x\r\ny"] {
        rows.frames(NOWHERE, format!("a trailer {trailer:?}"), target, |mark| {
            let value = format!("/{mark}");
            let trailers = h2::headers(1, &[(trailer, &value)], true);
            [post("5", "/first"), h2::data(1, b"hello", false), trailers].concat()
        });
    }
    rows.frames(NOWHERE, "a second request on one stream", target, |mark| {
        let path = format!("/{mark}");
        [post("5", "/first"), h2::headers(1, &fields(target, name, &path), true)].concat()
    });
    rows.frames(NOWHERE, "a body before its request", target, |mark| {
        let path = format!("/{mark}");
        [h2::data(1, b"hello", false), h2::headers(1, &fields(target, name, &path), true)].concat()
    });
    rows.frames(NOWHERE, "a frame between the headers' two", target, |mark| {
        let path = format!("/{mark}");
        let whole = h2::headers_in_two(1, &fields(target, name, &path));
        let first = h2::frames(&whole).remove(0);
        let (first, second) = whole.split_at(9 + first.payload.len());
        [first, &h2::data(3, b"hello", true), second].concat()
    });
    rows.frames(REFUSED, "an even stream", target, |mark| {
        let path = format!("/{mark}");
        h2::headers(2, &fields(target, name, &path), true)
    });
}

/// As in HTTP/1.1, whose paths the conformance corpus tries at length.
fn paths(rows: &mut Rows, target: Target) {
    for path in [
        "/shut",
        "/shut/",
        "/shut/x",
        "//shut",
        "/./shut",
        "/x/../shut",
        "/%2e/shut",
        "/x/%2e%2e/shut",
        "/x%2f..%2fshut",
        "/x/..%2Fshut",
        "/%73hut",
        "/%2573hut",
        "/%252573hut",
        "/shut;x",
        "/;x/shut",
        "/x/..;/shut",
        "/\\shut",
        "/x\\..\\shut",
        "/%5cshut",
        "/%255cshut",
        "/SHUT",
        "/sHuT/x",
        "/shut%2fx",
        "/shut%23",
        "/shut%3f",
        "/shut%00",
        "/%0d%0a/shut",
        "/shut%ff",
    ] {
        rows.frames(REFUSED, format!(":path {path}"), target, |mark| {
            let path = format!("{path}?{mark}");
            h2::headers(1, &fields(target, target.name, &path), true)
        });
    }
    for path in [
        "/",
        "/shutter",
        "/x/shut",
        "/x//..//shut",
        "/shut/../x",
        "/x?y=/shut",
        "/%20",
        "/a;b=c",
        "/@scope%2fname",
        "/%c3%a9",
    ] {
        rows.frames(PASSES, format!(":path {path}"), target, |mark| {
            let path = format!("{path}{}{mark}", if path.contains('?') { '&' } else { '?' });
            h2::headers(1, &fields(target, target.name, &path), true)
        });
    }
}
