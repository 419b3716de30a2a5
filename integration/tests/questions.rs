//! No question of an agent's leaves: whatever name of its choice it asks for, no resolver outside sees it. Only below a
//! listed wildcard does a label get out, by the name in TLS, and not even there where the apex is what is resolved.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use clawker_integration::fakenet::record::Kind;
use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;

/// The word that must not be seen outside.
const CANARY: &str = "qcanary";
const TYPES: [&str; 6] = ["A", "AAAA", "TXT", "MX", "HTTPS", "ANY"];

/// Resolver questions outside that hold a text.
fn asked_outside(world: &World, text: &str) -> Vec<String> {
    let records = world.rig.saw(text);
    records
        .iter()
        .filter(|one| one.kind == Kind::Dns)
        .map(|one| format!("{} {}", one.name, one.what))
        .collect()
}

#[test]
fn no_resolver_outside_hears_a_question_of_an_agent_s() {
    let world = World::new("asks").unwrap();
    let other = world.beside("other").unwrap();
    world.must(&["run", "--agent", "dev", "--detach", "--yes", "--", "sleep", "3600"]).unwrap();
    other.agent("dev").unwrap();
    world.must(&["firewall", "add", "listed.example"]).unwrap();
    world.must(&["firewall", "add", ".wild.example"]).unwrap();
    other.must(&["firewall", "add", "listed.example"]).unwrap();

    let long = format!("{CANARY}-{}", "x".repeat(63 - CANARY.len() - 1));
    let names = [
        format!("{CANARY}.example"),
        format!("{CANARY}.listed.example"),
        format!("{CANARY}.wild.example"),
        format!("a.b.{CANARY}.wild.example"),
        format!("{long}.listed.example"),
        format!("{long}.{}.wild.example", "y".repeat(63)),
        format!("{}.listed.example", CANARY.to_uppercase()),
        format!("{CANARY}.100.51.198.in-addr.arpa"),
        CANARY.to_owned(),
    ];
    let resolver = world.sh("dev", "sed -n 's/^nameserver //p' /etc/resolv.conf").unwrap().out;
    let outside = world.rig.dns_address().to_string();
    for project in [&world.sandbox, &other] {
        let client = project.project().join("fakenet");
        let client = client.display();
        let mut script = String::new();
        for name in &names {
            for kind in TYPES {
                for server in [&resolver, &outside, "127.0.0.11"] {
                    script.push_str(&format!("timeout 2 {client} probe dns {server} {name} {kind} &\n"));
                }
            }
            script
                .push_str(&format!("timeout 2 getent hosts {name}; timeout 2 getent ahosts {name}; wait\n"));
        }
        script.push_str("true");
        let said = project.sh("dev", &script).unwrap();
        assert!(said.out.contains("NXDOMAIN"), "nothing was asked: {said:?}");
    }
    let seen = world.rig.saw(CANARY);
    assert!(seen.is_empty(), "{seen:#?}");

    // They did come to CoreDNS, which answered each by itself and handed none to the open forwarder.
    let log = docker(&["logs", &world.stack_name("clawker-coredns")]).unwrap();
    let lines = |text: &str| log.lines().filter(|line| line.to_ascii_lowercase().contains(text)).count();
    assert!(lines(CANARY) > TYPES.len(), "{log}");
    assert_eq!(
        log.lines().filter(|line| line.contains(CANARY) && line.contains(" open ")).count(),
        0,
        "{log}"
    );

    // Positive control: with the firewall off the same question is seen outside.
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    world.probe("dev", &["dns", &resolver, &format!("{CANARY}-open.example"), "TXT"]).unwrap();
    assert!(world.rig.waits_for(&format!("{CANARY}-open.example"), Duration::from_secs(5)));
}

#[test]
fn a_label_gets_out_below_a_wildcard_alone_and_not_where_the_apex_is_resolved() {
    let world = World::new("labels").unwrap();
    world.agent("dev").unwrap();
    for rule in [&[".wild.example"][..], &[".apex.example", "--resolve-as", "apex"], &["listed.example"]] {
        world.must(&[&["firewall", "add"], rule].concat()).unwrap();
    }
    let fetch = |name: &str| {
        let script = format!("curl -sS --max-time 5 https://{name}/");
        world.sh("dev", &script).unwrap().out.contains(&format!("host: {name}"))
    };
    assert!(fetch("l1canary.wild.example"), "positive control");
    assert_eq!(
        asked_outside(&world, "l1canary"),
        ["l1canary.wild.example A"],
        "as docs/known-limits.md says"
    );
    assert!(fetch("l2canary.apex.example"), "positive control");
    assert_eq!(asked_outside(&world, "l2canary"), Vec::<String>::new());
    assert!(asked_outside(&world, "apex.example").contains(&"apex.example A".to_owned()));
    // By SNI at a listed address, a label that no rule covers is judged before anything is asked.
    let address = world.sh("dev", "getent ahostsv4 listed.example").unwrap().out;
    let address = address.split_whitespace().next().unwrap().to_owned();
    for name in ["l3canary.listed.example", "l3canary.example"] {
        let script = format!("curl -sS --max-time 5 --resolve {name}:443:{address} https://{name}/");
        assert_ne!(world.sh("dev", &script).unwrap().code, 0, "{name}");
    }
    assert!(world.rig.saw("l3canary").is_empty());
}
