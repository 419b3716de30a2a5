//! Headers by which some servers and proxies take another method, path, host or client than the request's own.

use std::time::Duration;

use clawker_integration::rig::wait;
use clawker_integration::wire::h2;
use clawker_integration::world::World;

use crate::fronting::fields;
use crate::rows::{HTTP1, LOOKED, PLAIN, Rows, SHUT, Want};

/// How long an entry of the log may be on its way.
const PATIENCE: Duration = Duration::from_secs(20);

/// They are not sent on, also not as servers spell them to which a dash and an underscore are one (CGI, WSGI, Rack).
const TAKEN_AWAY: [&str; 8] = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X_HTTP_METHOD_OVERRIDE",
    "X-Original_URL",
    "X_Rewrite_Url",
];
/// What the gateway itself takes from those whom it trusts; and it trusts no agent.
const ITS_OWN: [&str; 9] = [
    "X-Clawker-Path",
    "X-Envoy-Upstream-Rq-Timeout-Ms",
    "X-Envoy-Upstream-Rq-Per-Try-Timeout-Ms",
    "X-Envoy-Max-Retries",
    "X-Envoy-Retry-On",
    "X-Envoy-Upstream-Alt-Stat-Name",
    "X-Envoy-Original-Url",
    "X-Envoy-Force-Trace",
    "X-Envoy-Internal",
];
/// They say nothing that the gateway hears. Servers get them as they would without it.
const HARMLESS: [&str; 8] = [
    "X-Forwarded-Host",
    "X-Forwarded-Uri",
    "X-Forwarded-For",
    "X-Real-Ip",
    "Forwarded",
    "X-Envoy-Original-Path",
    "X-Envoy-Original-Dst-Host",
    "X-Host",
];

/// A header changes neither what is judged nor what is asked.
pub fn rows(rows: &mut Rows) {
    for target in [LOOKED, HTTP1, PLAIN] {
        let name = target.name;
        for header in TAKEN_AWAY.iter().chain(&ITS_OWN) {
            rows.text(Want::Nowhere, *header, target, |mark| {
                format!("GET / HTTP/1.1\r\nHost: {name}\r\n{header}: {SHUT}/{mark}\r\n\r\n")
            });
            rows.text(Want::Nowhere, format!("{header}, beside a proxy's"), target, |mark| {
                format!(
                    "GET / HTTP/1.1\r\nHost: {name}\r\nX-Forwarded-For: 10.0.0.1\r\n{header}: {SHUT}/{mark}\r\n\r\n"
                )
            });
            rows.frames(Want::Nowhere, *header, target, |mark| {
                let (header, value) = (header.to_ascii_lowercase(), format!("{SHUT}/{mark}"));
                h2::headers(1, &[&fields(target, name, "/")[..], &[(&header, &value)]].concat(), true)
            });
        }
        for header in TAKEN_AWAY.iter().chain(&ITS_OWN).chain(&HARMLESS) {
            rows.text(Want::Refused, format!("{header} beside a denied path"), target, |mark| {
                format!("GET {SHUT}/{mark} HTTP/1.1\r\nHost: {name}\r\n{header}: /\r\n{header}: /\r\n\r\n")
            });
            rows.text(Want::Passes, format!("{header} beside a path"), target, |mark| {
                format!(
                    "GET /{mark} HTTP/1.1\r\nHost: {name}\r\n{header}: {SHUT}\r\n{header}: {SHUT}\r\n\r\n"
                )
            });
        }
    }
}

/// Whatever header there was, requests came for these paths alone.
pub fn came_for_these_paths(world: &World) {
    for record in world.rig.records() {
        let path = record.what.split(' ').nth(1).unwrap_or_default();
        assert!(!path.starts_with(SHUT) || !path.contains("markonoverrides"), "{record:?}");
    }
}

/// The log names the agent that asked, whoever it says it is.
pub fn log_names_the_agent(world: &World) {
    let mut paths = Vec::new();
    for (number, header) in
        ["X-Forwarded-For", "X-Real-Ip", "Forwarded", "X-Envoy-External-Address"].iter().enumerate()
    {
        for host in ["http://plain.test", "https://looked.test"] {
            let path = format!("/entry{number}");
            let script = format!("curl -sS --max-time 10 -H '{header}: 203.0.113.9' {host}{path}");
            let said = world.sh("dev", &script).unwrap();
            assert!(said.out.contains(&path), "{said:?}");
            paths.push(path);
        }
    }
    let logged = || entries(world, "/entry");
    assert!(wait(PATIENCE, || logged().len() == paths.len()), "{:?}", logged());
    for entry in logged() {
        assert!(entry.contains("\"agent\":\"demo/dev\"") && !entry.contains("203.0.113.9"), "{entry}");
    }
}

fn entries(world: &World, text: &str) -> Vec<String> {
    let said = world.must(&["--json", "firewall", "log"]).unwrap();
    said.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}
