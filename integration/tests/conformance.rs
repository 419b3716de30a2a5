//! One corpus of policies and requests: what `decide` says, what the real CoreDNS answers and what the real Envoy does
//! are the same, row by row.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use clawker_integration::fakenet::asks::{Ask, Outcome};
use clawker_integration::world::World;

/// What stands in an answer of the gateway's own.
const REFUSAL: &str = "refused by the firewall's policy";

struct Case {
    name: String,
    project: String,
    settings: String,
    rows: Vec<Row>,
}

struct Row {
    line: String,
    allowed: bool,
    url: String,
    ask: Ask,
}

impl Row {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or_else(|| panic!("{line}"));
        let (verdict, method, url) = (next(), next().to_owned(), next().to_owned());
        assert!(matches!(verdict, "allow" | "deny"), "{line}");
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap());
        let default = match scheme {
            "https" => 443,
            "http" => 80,
            _ => 22,
        };
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, port.parse().unwrap()),
            None => (authority, default),
        };
        let mut ask = Ask {
            scheme: scheme.to_owned(),
            name: name.to_owned(),
            port,
            method,
            path: path.to_owned(),
            sni: None,
            host: None,
            to: None,
        };
        for option in words {
            match option.split_once('=').unwrap() {
                ("sni", value) => ask.sni = Some(value.to_owned()),
                ("host", value) => ask.host = Some(value.to_owned()),
                ("to", value) => ask.to = Some(value.parse().unwrap()),
                _ => panic!("{line}"),
            }
        }
        Self { line: line.to_owned(), allowed: verdict == "allow", url, ask }
    }

    fn is_plain(&self) -> bool {
        self.ask.sni.is_none() && self.ask.host.is_none() && self.ask.to.is_none()
    }
}

fn corpus() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut cases: Vec<Case> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let (policy, rows) = text.split_once("--- requests\n").unwrap();
            let (project, settings) = policy.split_once("--- settings\n").unwrap_or((policy, ""));
            let rows = rows.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
            Case {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                project: project.to_owned(),
                settings: settings.to_owned(),
                rows: rows.map(Row::parse).collect(),
            }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 4);
    cases
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

#[test]
fn decide_coredns_and_envoy_agree_on_every_row() {
    let world = World::new("corpus").unwrap();
    world.agent("dev").unwrap();
    let asks = world.sandbox.project().join("asks.jsonl");
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in corpus() {
        world
            .sandbox
            .write_project_file(&format!(
                "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n{}",
                world.rig.ca_pem_path().display(),
                indented(&case.project, 4)
            ))
            .unwrap();
        let settings = format!(
            "firewall:\n  upstream_dns: [{}]\n{}",
            world.rig.dns_address(),
            indented(&case.settings, 2)
        );
        fs::write(world.sandbox.settings_file(), settings).unwrap();
        world.must(&["firewall", "reload", "--yes"]).unwrap();
        let lines: Vec<String> =
            case.rows.iter().map(|row| serde_json::to_string(&row.ask).unwrap()).collect();
        fs::write(&asks, lines.join("\n")).unwrap();
        let said = world.probe("dev", &["asks", &asks.to_string_lossy()]).unwrap();
        assert_eq!(said.code, 0, "{said:?}");
        let outcomes: Vec<Outcome> =
            said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(outcomes.len(), case.rows.len());
        for (row, outcome) in case.rows.iter().zip(&outcomes) {
            count += 1;
            let at = format!("{}: {}", case.name, row.line);
            let refused = |answer: &String| answer.contains(REFUSAL) || answer.starts_with("HTTP/1.1 400");
            let answered = outcome.said.as_ref().is_ok_and(|answer| !refused(answer));
            if answered != row.allowed {
                wrong.push(format!("{at}\n  the gateway: {outcome:?}"));
            }
            if !row.is_plain() {
                continue;
            }
            if row.allowed && !outcome.resolved {
                wrong.push(format!("{at}\n  it has no address"));
            }
            let why = world.clawker(&["firewall", "why", &row.url, "--method", &row.ask.method]).unwrap();
            if (why.code == 0) != row.allowed {
                wrong.push(format!("{at}\n  decide: {why:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
    // Nothing that an agent chose was ever asked of a resolver outside, but names below a listed wildcard.
    for record in world.rig.records() {
        assert!(!record.name.contains("evil"), "{record:?}");
    }
}
