//! What real clients do passes a host that is looked into unharmed: several streams at once, bodies in quantity, events
//! that go on, calls with trailers, sockets.

use clawker_integration::fakenet::bodies::quantity_sha256;
use clawker_integration::fakenet::fetch::{Fetch, Got, Wish};
use clawker_integration::fakenet::record::Kind;
use clawker_integration::world::World;

use crate::fronting::UPGRADE;
use crate::rows::{HTTP1, LOOKED, PLAIN, Rows, Target, Want};
use clawker_integration::fakenet::talk::Step;

const QUANTITY: u64 = 50_000_000;
/// Longer than what Envoy lets a request take where nobody tells it otherwise, 15 s.
const LONG_MS: u64 = 20_000;
/// Milliseconds between events.
const EVERY_MS: u64 = 250;

fn get(path: &str) -> Wish {
    Wish { method: "GET".to_owned(), path: path.to_owned(), ..Wish::default() }
}

fn call(messages: u32) -> Wish {
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    Wish {
        method: "POST".to_owned(),
        messages,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..get("/echo.Echo/Say")
    }
}

fn upload(length: u64) -> Wish {
    Wish { method: "POST".to_owned(), upload: length, ..get("/hash") }
}

fn is_whole(got: &Got) -> bool {
    got.error.is_empty() && got.status == 200
}

/// What clients usually do passes unharmed.
pub fn clients(world: &World) {
    let down = format!("/download?bytes={QUANTITY}");
    let events = Wish { for_ms: Some(LONG_MS), ..get(&format!("/stream?ms={EVERY_MS}")) };
    let wish = |method: &str, path: &str| Wish { method: method.to_owned(), ..get(path) };
    let small: Vec<Wish> = (0..20).map(|number| upload(1_000 + number)).collect();
    let mut fetches = Vec::new();
    for (name, h2) in [(LOOKED.name, true), (LOOKED.name, false), (HTTP1.name, true), (HTTP1.name, false)] {
        let fetch = |requests: Vec<Wish>| Fetch { name: name.to_owned(), h2, requests };
        // On one connection: at once where it is HTTP/2, else one after the other.
        fetches.push(fetch(
            [&small[..], &[get("/unchanged"), wish("HEAD", "/hash"), wish("OPTIONS", "/x")]].concat(),
        ));
        fetches.push(fetch(vec![get(&down), upload(QUANTITY)]));
        fetches.push(fetch(vec![events.clone(), get("/beside")]));
    }
    // A call needs HTTP/2 on both sides.
    fetches.push(Fetch {
        name: LOOKED.name.to_owned(),
        h2: true,
        requests: vec![call(1), call(20), call(1)],
    });
    let all = world.fetches("dev", &fetches).unwrap();
    for (fetch, got) in fetches.iter().zip(&all) {
        let at = format!("{} h2: {}", fetch.name, fetch.h2);
        let path = fetch.requests[0].path.as_str();
        if path == "/hash" {
            let (uploads, rest) = got.split_at(small.len());
            for (wish, got) in small.iter().zip(uploads) {
                let digest = format!("{} {}\n", wish.upload, quantity_sha256(wish.upload));
                assert!(is_whole(got) && got.start == digest, "{at}: {got:?}");
            }
            let [unchanged, head, options] = rest else { panic!("{rest:?}") };
            assert!(unchanged.status == 304 && unchanged.error.is_empty(), "{at}: {unchanged:?}");
            assert!(is_whole(head) && head.length == 0, "{at}: {head:?}");
            assert!(is_whole(options) && options.start.contains("path: /x"), "{at}: {options:?}");
        } else if path == down {
            let digest = quantity_sha256(QUANTITY);
            assert!(
                is_whole(&got[0]) && got[0].length == QUANTITY && got[0].sha256 == digest,
                "{at}: {got:?}"
            );
            assert!(is_whole(&got[1]) && got[1].start == format!("{QUANTITY} {digest}\n"), "{at}: {got:?}");
        } else if path.starts_with("/stream") {
            // It went on until the client had enough.
            assert!(
                got[0].error.is_empty() && got[0].status == 200 && got[0].millis >= LONG_MS,
                "{at}: {got:?}"
            );
            let last = got[0].start.trim_end().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
            assert!(last >= LONG_MS / EVERY_MS / 2, "{at}: {last} events");
            if fetch.h2 {
                assert!(
                    is_whole(&got[1]) && got[1].millis < LONG_MS,
                    "no other stream beside it, {at}: {got:?}"
                );
            }
        } else {
            for (wish, got) in fetch.requests.iter().zip(got) {
                let status = ("grpc-status".to_owned(), "0".to_owned());
                let is_right =
                    is_whole(got) && got.messages == wish.messages && got.trailers.contains(&status);
                assert!(is_right, "{at}: {got:?}");
            }
        }
    }
    let records = world.rig.records();
    let http =
        |name: &str| records.iter().filter(|record| record.kind == Kind::Http && record.name == name).count();
    assert!(http(LOOKED.name) > 40 && http(HTTP1.name) > 40);
}

/// A socket, a continue and a large header pass.
pub fn sockets(world: &World) {
    let mut rows = Rows::new("socket");
    for target in [LOOKED, HTTP1, PLAIN] {
        socket(&mut rows, target);
        rows.add(Want::Passes, "Expect: 100-continue", target, crate::rows::Speaks::Http1, |mark| {
            let head = format!(
                "POST /{mark} HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
                target.name
            );
            vec![Step::send(head), Step::Hear("HTTP/1.1 100".to_owned()), Step::send("hello")]
        });
        rows.text(Want::Passes, "a header of 12 KB", target, |mark| {
            format!("GET /{mark} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", target.name, "x".repeat(12_000))
        });
        rows.text(Want::Refused, "a header of 200 KB", target, |mark| {
            format!(
                "GET /{mark} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
                target.name,
                "x".repeat(200_000)
            )
        });
        rows.text(Want::Passes, "40 headers of 200 bytes", target, |mark| {
            let many: String = (0..40).map(|number| format!("X-{number}: {}\r\n", "x".repeat(200))).collect();
            format!("GET /{mark} HTTP/1.1\r\nHost: {}\r\n{many}\r\n", target.name)
        });
    }
    let wrong = rows.wrong(world);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a client says in its socket comes back to it.
fn socket(rows: &mut Rows, target: Target) {
    let asked = |mark: &str| format!("GET /{mark} HTTP/1.1\r\nHost: {}\r\n{UPGRADE}\r\n", target.name);
    // FIN and text, ten bytes, a mask of zeros (RFC 6455, 5.2).
    let frame = [&[0x81, 0x8a, 0, 0, 0, 0][..], b"repeatable"].concat();
    rows.answered("repeatable", "a WebSocket", target, |mark| {
        let first = vec![Step::send(asked(mark)), Step::Hear("\r\n\r\n".to_owned())];
        [first, vec![Step::send(frame), Step::Hear("repeatable".to_owned())]].concat()
    });
}
