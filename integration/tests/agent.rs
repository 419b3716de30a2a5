//! What an agent is: nobody, who can touch nothing that fences it, in any image, also after a restart.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use clawker_integration::rig::docker::{docker, run_with_input};
use clawker_integration::world::World;

#[test]
fn the_agent_is_nobody_and_reaches_nothing_of_init_s() {
    let world = World::new("nobody").unwrap();
    world.agent("dev").unwrap();
    for round in ["first start", "after docker restart"] {
        let status = world.sh("dev", "id -u; id -G; cat /proc/self/status").unwrap();
        assert!(status.out.starts_with("1001\n1001\n"), "{round}: {status:?}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.out.contains(&format!("{set}:\t0000000000000000")), "{round}: {}", status.out);
        }
        assert!(status.out.contains("NoNewPrivs:\t1"), "{round}");

        // Root may look, so that the refusals below mean something.
        let root = world.inside("dev", "0", &["ls", "/run/clawker/host"]).unwrap();
        assert!(root.out.contains("control.sock"), "{round}: {root:?}");
        for user in ["1001", "33", "65534"] {
            let listed = world.inside("dev", user, &["ls", "/run/clawker"]).unwrap();
            assert!(
                listed.code != 0 && listed.err.contains("Permission denied"),
                "{round} {user}: {listed:?}"
            );
            let socket =
                world.inside("dev", user, &["/usr/local/bin/clawker-init", "ctl", "disable"]).unwrap();
            assert!(
                socket.code != 0 && socket.err.contains("Permission denied"),
                "{round} {user}: {socket:?}"
            );
            let killed = world.inside("dev", user, &["sh", "-c", "kill -9 1"]).unwrap();
            assert!(killed.code != 0, "{round} {user}: {killed:?}");
        }
        // Root inside reaches the socket, and is refused without the secret.
        let refused = world.inside("dev", "0", &["/usr/local/bin/clawker-init", "ctl", "disable"]).unwrap();
        assert!(refused.out.contains("forbidden"), "{round}: {refused:?}");
        assert_eq!(world.state("dev").unwrap(), "enforcing", "{round}");
        docker(&["restart", "-t", "2", &world.container("dev")]).unwrap();
    }
    let early = world.inside("dev", "1001", &["cat", "/proc/1/environ"]).unwrap();
    assert!(early.code != 0, "{early:?}");
}

#[test]
fn our_tables_stand_beside_docker_s_and_root_can_not_take_them_away() {
    let world = World::new("tables").unwrap();
    world.agent("dev").unwrap();
    let list = || world.in_network("dev", &["nft", "list", "ruleset"]).unwrap().out;
    let before = list();
    for expected in [
        "table inet clawker {",
        "flags owner",
        "table inet clawker-guard {",
        "table netdev clawker-guard {",
        "chain DOCKER_OUTPUT",
        "type nat hook output priority -110",
        "type filter hook output priority filter; policy drop",
        "type filter hook input priority filter; policy drop",
    ] {
        assert!(before.contains(expected), "no {expected:?} in\n{before}");
    }
    assert!(!before.contains("skuid"), "a uid is matched:\n{before}");
    // A root that has every capability in the namespace, as nobody in the container has.
    world.in_network("dev", &["nft", "flush", "ruleset"]).unwrap();
    world.in_network("dev", &["nft", "delete", "table", "inet", "clawker"]).unwrap();
    assert!(list().contains("table inet clawker {"), "{}", list());
    assert!(world.probe("dev", &["tcp", "198.51.100.133:4444", "after-flush"]).unwrap().code != 0);
    assert!(world.rig.saw("after-flush").is_empty());
}

#[test]
fn every_uid_is_judged_alike_and_docker_s_resolver_is_no_way_out() {
    let world = World::new("uids").unwrap();
    world.agent("dev").unwrap();
    let client = world.sandbox.project().join("fakenet");
    let client = client.to_string_lossy();
    let tables = world.in_network("dev", &["nft", "list", "table", "ip", "nat"]).unwrap().out;
    let high = tables
        .lines()
        .find(|line| line.contains("udp dport 53") && line.contains("dnat to 127.0.0.11:"))
        .and_then(|line| line.rsplit(':').next())
        .expect("Docker's resolver has a high port")
        .trim()
        .to_owned();
    let tries = |tag: &str| -> Vec<(String, Vec<String>)> {
        ["0", "33", "1001"]
            .iter()
            .flat_map(|user| {
                let canary = format!("{tag}{user}");
                let name = format!("{canary}.evil.example");
                [
                    vec!["udp", "198.51.100.133:9999", &canary],
                    vec!["tcp", "198.51.100.133:4444", &canary],
                    vec!["icmp", "198.51.100.133", &canary],
                    vec!["dns", "198.51.100.10", &name],
                    vec!["dns", "127.0.0.11", &name],
                    vec!["dns", &format!("127.0.0.11:{high}"), &name],
                ]
                .map(|words| ((*user).to_owned(), words.into_iter().map(str::to_owned).collect()))
            })
            .collect()
    };
    let attempt = |tag: &str| {
        for (user, words) in tries(tag) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            world.inside("dev", &user, &[&[&*client, "probe"], words.as_slice()].concat()).unwrap();
        }
    };
    attempt("closed");
    let seen = world.rig.saw("closed");
    assert!(seen.is_empty(), "{seen:#?}");
    // The same with the firewall off: the sinks do see.
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    attempt("opened");
    for user in ["0", "33", "1001"] {
        let kinds: std::collections::BTreeSet<String> = world
            .rig
            .saw(&format!("opened{user}"))
            .iter()
            .map(|record| format!("{:?}", record.kind))
            .collect();
        for kind in ["Udp", "Data", "Dns"] {
            assert!(kinds.contains(kind), "positive control of uid {user}: {kinds:?}");
        }
    }
    assert!(world.rig.saw("opened0").iter().any(|record| format!("{:?}", record.kind) == "Icmp"));
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();
    attempt("again");
    assert!(world.rig.saw("again").is_empty());
    let status: serde_json::Value = serde_json::from_str(&world.must(&["ps", "--json"]).unwrap()).unwrap();
    assert!(status[0]["last_refusal"].is_string(), "the last refusal is shown: {status}");
    assert!(status[0]["refused_packets"].as_u64() > Some(10), "refusals are counted: {status}");
}

#[test]
fn any_image_works_also_one_that_never_heard_of_us() {
    let world = World::new("images").unwrap();
    let recipe = "FROM clawker-base:latest\n\
        RUN echo 'other:x:1234:1234::/nowhere:/bin/sh' >> /etc/passwd\n\
        ENV FROM_IMAGE=kept PATH=/opt/bin:/usr/bin:/bin\n\
        WORKDIR /opt\nUSER other\nHEALTHCHECK CMD touch /tmp/health-ran\n\
        ENTRYPOINT [\"sh\", \"-c\", \"echo entry $0 $@; id -u; echo $FROM_IMAGE\"]\nCMD [\"by-default\"]\n";
    let image = format!("clawker-test-image:{}", world.sandbox.instance());
    run_with_input("docker", &["build", "-q", "-t", &image, "-"], recipe.as_bytes()).unwrap();
    let said = world.must(&["run", "--rm", "--yes", "--agent", "one", "--image", &image]);
    let other = world.must(&["run", "--rm", "--agent", "two", "--image", &image, "--", "given"]);
    let leftover = docker(&["rmi", "-f", &image]);
    let said = said.unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["entry by-default", "1001", "kept"]);
    assert!(other.unwrap().starts_with("entry given"));
    leftover.unwrap();

    // FROM scratch: one static program, no shell, no /etc.
    let said = world
        .must(&[
            "run",
            "--rm",
            "--agent",
            "bare",
            "--image",
            &world.rig.image(),
            "--",
            "probe",
            "dns",
            "198.51.100.10",
            "nope.example",
        ])
        .unwrap();
    assert_eq!(said, "NXDOMAIN");

    let code = world.clawker(&["run", "--rm", "--agent", "code", "--", "sh", "-c", "exit 37"]).unwrap();
    assert_eq!(code.code, 37, "{code:?}");
    let missing = world.clawker(&["run", "--rm", "--agent", "none", "--", "no-such-program"]).unwrap();
    assert_eq!(missing.code, 127, "{missing:?}");
}
