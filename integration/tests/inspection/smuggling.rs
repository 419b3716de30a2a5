//! What one side takes for the end of a request and the other does not: no part of a request becomes another one, and
//! every request on a connection is judged by itself.

use clawker_integration::fakenet::talk::Step;
use clawker_integration::wire::h2;

use crate::fronting::{UPGRADE, fields};
use crate::rows::{HTTP1, LOOKED, PLAIN, Rows, SHUT, Speaks, Target, Want};

const PASSES: Want = Want::Passes;
const REFUSED: Want = Want::Refused;
const NOWHERE: Want = Want::Nowhere;
const INSIDE: Want = Want::Inside;

/// No part of a request becomes a request.
pub fn rows(rows: &mut Rows) {
    for target in [LOOKED, HTTP1, PLAIN] {
        framing(rows, target);
        lines(rows, target);
        chunks(rows, target);
        upgrades(rows, target);
    }
}

/// What must never be a request of its own.
fn hidden(target: Target, mark: &str) -> String {
    format!("GET {SHUT}/{mark} HTTP/1.1\r\nHost: {}\r\n\r\n", target.name)
}

fn post(target: Target, more: &str, body: &str) -> String {
    format!("POST /first HTTP/1.1\r\nHost: {}\r\n{more}\r\n{body}", target.name)
}

/// Lengths and codings that say two things, or nothing clear.
fn framing(rows: &mut Rows, target: Target) {
    rows.text(PASSES, "a length", target, |mark| {
        post(target, &format!("X: {mark}\r\nContent-Length: 5\r\n"), "hello")
    });
    rows.text(PASSES, "chunks", target, |mark| {
        post(target, &format!("X: {mark}\r\nTransfer-Encoding: chunked\r\n"), "5\r\nhello\r\n0\r\n\r\n")
    });
    rows.text(PASSES, "chunks in another letter case", target, |mark| {
        post(target, &format!("X: {mark}\r\ntransfer-encoding: Chunked\r\n"), "5\r\nhello\r\n0\r\n\r\n")
    });
    rows.text(PASSES, "pipelined", target, |mark| {
        [post(target, "", ""), post(target, &format!("X: {mark}\r\n"), "")].concat()
    });
    rows.text(REFUSED, "pipelined, to a denied path", target, |mark| {
        [post(target, "Content-Length: 0\r\n", ""), hidden(target, mark)].concat()
    });
    rows.add(REFUSED, "a second request, to a denied path", target, Speaks::Http1, |mark| {
        let first = post(target, "Content-Length: 0\r\n", "");
        vec![Step::send(first), Step::Hear("path: /first".to_owned()), Step::send(hidden(target, mark))]
    });
    rows.text(INSIDE, "a body that is a request", target, |mark| {
        let body = hidden(target, mark);
        post(target, &format!("Content-Length: {}\r\n", body.len()), &body)
    });
    rows.text(INSIDE, "a GET with a body that is a request", target, |mark| {
        let body = hidden(target, mark);
        format!(
            "GET /first HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
            target.name,
            body.len()
        )
    });
    rows.text(INSIDE, "chunks that are a request", target, |mark| {
        let body = hidden(target, mark);
        post(target, "Transfer-Encoding: chunked\r\n", &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
    });
    let coded = "Transfer-Encoding: chunked\r\n";
    let sized = |mark: &str| format!("Content-Length: {}\r\n", 5 + hidden(target, mark).len());
    for (what, order) in [("length and chunks", true), ("chunks and length", false)] {
        rows.text(NOWHERE, what, target, |mark| {
            let length = sized(mark);
            let headers = if order { [&length, coded].concat() } else { [coded, &length].concat() };
            post(target, &headers, &format!("0\r\n\r\n{}", hidden(target, mark)))
        });
    }
    // A request that both can't read alike is refused whole, so that nothing of it arrives.
    for spelling in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: x\r\n\tchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "Content-Length: 0\r\nContent-Length: 9999",
        "Content-Length: 9999\r\nContent-Length: 0",
        "Content-Length: 0, 9999",
        "Content-Length: +0",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length: 1e1",
        "Content-Length: \"0\"",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 18446744073709551616",
        "Content-Length :0",
        "Content-Length: 0\rX: y",
    ] {
        rows.text(REFUSED, format!("{spelling:?}"), target, |mark| {
            format!(
                "POST /{mark} HTTP/1.1\r\nHost: {}\r\n{spelling}\r\n\r\n0\r\n\r\n{}",
                target.name,
                hidden(target, mark)
            )
        });
    }
    // These are read in one way, and written anew; or are headers of another name. What is behind them is a request of
    // its own, and refused as such.
    for other in [
        "Transfer_Encoding: chunked",
        "Content_Length: 9999",
        "X-Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "X: y\nTransfer-Encoding: chunked",
    ] {
        rows.text(NOWHERE, format!("{other:?}"), target, |mark| {
            post(target, &format!("{other}\r\n"), &format!("0\r\n\r\n{}", hidden(target, mark)))
        });
        rows.text(NOWHERE, format!("{other:?}, and no body"), target, |mark| {
            post(target, &format!("Content-Length: 0\r\n{other}\r\n"), &hidden(target, mark))
        });
    }
}

/// Lines that end, begin or go on where they should not.
fn lines(rows: &mut Rows, target: Target) {
    let name = target.name;
    // Read in one way, and written anew: see what is said of heads.
    for (what, text) in [
        ("a bare line feed after the request line", "GET /@ HTTP/1.1\nHost: ~\r\n\r\n"),
        ("bare line feeds everywhere", "GET /@ HTTP/1.1\nHost: ~\n\n"),
        ("a bare carriage return in a header", "GET /@ HTTP/1.1\r\nHost: ~\r\nX: a\rY: b\r\n\r\n"),
        ("a folded header", "GET /@ HTTP/1.1\r\nHost: ~\r\nX: a\r\n b\r\n\r\n"),
        ("a tab in the request line", "GET\t/@ HTTP/1.1\r\nHost: ~\r\n\r\n"),
    ] {
        rows.text(PASSES, what, target, |mark| text.replace('@', mark).replace('~', name));
    }
    for (what, text) in [
        ("NUL in a header", "GET /@ HTTP/1.1\r\nHost: ~\r\nX: a\0b\r\n\r\n"),
        ("a folded first header", "GET /@ HTTP/1.1\r\n X: a\r\nHost: ~\r\n\r\n"),
        ("a space before a colon", "GET /@ HTTP/1.1\r\nHost: ~\r\nX : a\r\n\r\n"),
        ("no colon", "GET /@ HTTP/1.1\r\nHost: ~\r\nX\r\n\r\n"),
        ("an empty name", "GET /@ HTTP/1.1\r\nHost: ~\r\n: a\r\n\r\n"),
        ("a name that is none", "GET /@ HTTP/1.1\r\nHost: ~\r\nX(y): a\r\n\r\n"),
        ("a space in the path", "GET /@ x HTTP/1.1\r\nHost: ~\r\n\r\n"),
        ("no version", "GET /@\r\nHost: ~\r\n\r\n"),
        ("version 0.9", "GET /@ HTTP/0.9\r\nHost: ~\r\n\r\n"),
        ("version 1.0", "GET /@ HTTP/1.0\r\nHost: ~\r\n\r\n"),
        ("version 2.0", "GET /@ HTTP/2.0\r\nHost: ~\r\n\r\n"),
        ("version 1.10", "GET /@ HTTP/1.10\r\nHost: ~\r\n\r\n"),
        ("a version of another letter case", "GET /@ http/1.1\r\nHost: ~\r\n\r\n"),
        ("a path that does not start with a slash", "GET x/@ HTTP/1.1\r\nHost: ~\r\n\r\n"),
        ("a path with its fragment", "GET /x#/@ HTTP/1.1\r\nHost: ~\r\n\r\n"),
        ("a method with odd letters", "G(T /@ HTTP/1.1\r\nHost: ~\r\n\r\n"),
    ] {
        rows.text(REFUSED, what, target, |mark| text.replace('@', mark).replace('~', name));
    }
    rows.text(PASSES, "a header's value that is a request, in escapes", target, |mark| {
        post(target, &format!("X: a%0d%0a%0d%0aGET%20{SHUT}/{mark}\r\nContent-Length: 4\r\n"), "body")
    });
}

/// Chunks whose sizes and ends are read in several ways, and what comes behind the last.
fn chunks(rows: &mut Rows, target: Target) {
    let coded = "Transfer-Encoding: chunked\r\n";
    rows.text(PASSES, "a chunk's extension", target, |mark| {
        post(target, &format!("X: {mark}\r\n{coded}"), "5;a=b\r\nhello\r\n0;c=\"d\"\r\n\r\n")
    });
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n@",
        "+5\r\nhello\r\n0\r\n\r\n@",
        "-5\r\nhello\r\n0\r\n\r\n@",
        " 5\r\nhello\r\n0\r\n\r\n@",
        "5\nhello\r\n0\r\n\r\n@",
        "5\rhello\r\n0\r\n\r\n@",
        "5\r\nhello0\r\n\r\n@",
        "5\r\nhello\n0\r\n\r\n@",
        "5\r\nhelloXX0\r\n\r\n@",
        "5;\nxx\r\nhello\r\n0\r\n\r\n@",
        "5;\rxx\r\nhello\r\n0\r\n\r\n@",
        "5;a=\"\r\n\r\n@\"\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n@",
        "\r\nhello\r\n0\r\n\r\n@",
        "g\r\nhello\r\n0\r\n\r\n@",
        "0\r\n\n@",
        "0\n\n@",
        "0\r\nX: y\n\n@",
        "0\r\n X: y\r\n\r\n@",
        "00000000000000000000\r\n\r\n@",
    ] {
        rows.text(NOWHERE, format!("chunks {body:?}"), target, |mark| {
            post(target, coded, &body.replace('@', &hidden(target, mark)))
        });
    }
    for trailer in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "Authorization",
    ] {
        rows.text(NOWHERE, format!("a trailer {trailer}"), target, |mark| {
            post(target, coded, &format!("5\r\nhello\r\n0\r\n{trailer}: {mark}\r\n\r\n"))
        });
    }
}

/// Connections that are to become something else.
fn upgrades(rows: &mut Rows, target: Target) {
    let name = target.name;
    // The origin answers this as any request, for it has no key. What follows is then no WebSocket's, but a request.
    let keyless = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    for (what, headers) in [("a WebSocket that the origin declines", keyless), ("a WebSocket", UPGRADE)] {
        rows.text(INSIDE, format!("{what}, and a request behind it"), target, |mark| {
            format!("GET /first HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n{}", hidden(target, mark))
        });
        rows.add(INSIDE, format!("{what}, and a request a little later"), target, Speaks::Http1, |mark| {
            let first = format!("GET /first HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n");
            vec![Step::send(first), Step::Hear("HTTP/1.1 ".to_owned()), Step::send(hidden(target, mark))]
        });
        rows.text(INSIDE, format!("{what}, with a length"), target, |mark| {
            let behind = hidden(target, mark);
            format!(
                "GET /first HTTP/1.1\r\nHost: {name}\r\nContent-Length: {}\r\n{headers}\r\n{behind}",
                behind.len()
            )
        });
        rows.text(REFUSED, format!("{what} at a denied path"), target, |mark| {
            format!("GET {SHUT}/{mark} HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n")
        });
    }
    let settings = "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    for (what, headers) in [
        ("h2c", format!("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n{settings}")),
        ("h2c without its settings", "Upgrade: h2c\r\nConnection: Upgrade\r\n".to_owned()),
        ("another protocol", "Upgrade: foo\r\nConnection: Upgrade\r\n".to_owned()),
        ("TLS", "Upgrade: TLS/1.3\r\nConnection: Upgrade\r\n".to_owned()),
        ("a WebSocket or another", format!("Upgrade: foo, websocket\r\n{}", &UPGRADE[20..])),
    ] {
        rows.text(INSIDE, format!("an upgrade to {what}, and HTTP/2 behind it"), target, |mark| {
            let path = format!("{SHUT}/{mark}");
            let frames = [h2::start(), h2::headers(3, &fields(target, name, &path), true)].concat();
            let frames = String::from_utf8(frames).unwrap();
            format!("GET /first HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n{frames}")
        });
        rows.text(INSIDE, format!("an upgrade to {what}, and a request behind it"), target, |mark| {
            format!("GET /first HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n{}", hidden(target, mark))
        });
    }
    for (line, host) in [
        ("evil.test:443", "evil.test:443"),
        (name, name),
        ("evil.test:443", name),
        ("looked.test:443", "looked.test:443"),
        ("plain.test:80", "plain.test:80"),
        ("198.51.100.133:443", name),
    ] {
        rows.text(REFUSED, format!("CONNECT {line}, Host {host}"), target, |mark| {
            format!("CONNECT {line} HTTP/1.1\r\nHost: {host}\r\nX: {mark}\r\n\r\n{}", hidden(target, mark))
        });
    }
}
