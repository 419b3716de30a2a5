//! Rules that end by themselves: they open one host, and end on time with their open connections, whatever dies or stands
//! still, by no other way than their own address, and nothing else with them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Begins a connection of the agent's that sends a line with this text ten times a second for as long as it lives.
fn flow(world: &World, agent: &str, name: &str, canary: &str) {
    let script = format!(
        "exec 3<>/dev/tcp/{name}/9000 || exit 1; while echo {canary} >&3; do sleep 0.1; done 2>/dev/null"
    );
    docker(&["exec", "-d", "-u", "1001", &world.container(agent), "bash", "-c", &script]).unwrap();
    assert!(world.rig.waits_for(canary, Duration::from_secs(5)), "{canary}: the flow never began");
}

/// Whether more of it arrives within a second.
fn flows(world: &World, canary: &str) -> bool {
    let before = world.rig.saw(canary).len();
    std::thread::sleep(Duration::from_secs(1));
    world.rig.saw(canary).len() > before
}

/// Whether a new connection delivers a text.
fn reaches(world: &World, agent: &str, name: &str, canary: &str) -> bool {
    let script = format!("echo {canary} > /dev/tcp/{name}/9000");
    let said = world.inside(agent, "1001", &["timeout", "3", "bash", "-c", &script]).unwrap();
    said.code == 0 && world.rig.waits_for(canary, Duration::from_secs(1))
}

fn json(world: &World, args: &[&str]) -> serde_json::Value {
    serde_json::from_str(&world.clawker(args).unwrap().out).unwrap()
}

/// Seconds left of the only grant, as `ps` tells; none without one.
fn left(world: &World) -> Option<u64> {
    json(world, &["ps", "--json"])[0]["grants"][0]["left_seconds"].as_u64()
}

fn grant(world: &World, name: &str, time: &str) -> Instant {
    let begun = Instant::now();
    world.must(&["firewall", "add", name, "--proto", "tcp", "--port", "9000", "--for", time]).unwrap();
    begun
}

#[test]
fn a_grant_opens_one_host_and_ends_by_itself_with_its_open_connections() {
    let world = World::new("grant").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "good.example", "--proto", "tcp", "--port", "9000"]).unwrap();
    assert!(!reaches(&world, "dev", "other.example", "g-before"));
    let begun = grant(&world, "other.example", "10s");
    flow(&world, "dev", "other.example", "g-flow");
    flow(&world, "dev", "good.example", "g-lasting");
    assert!(matches!(left(&world), Some(1..=10)), "{:?}", left(&world));
    let list = world.must(&["firewall", "list"]).unwrap();
    assert!(list.lines().next().unwrap().ends_with("LEFT"), "{list}");
    let why = ["firewall", "why", "other.example:9000"];
    assert!(world.must(&why).unwrap().contains("left"));

    // From here on no command of ours has a part in it.
    std::thread::sleep(Duration::from_secs(8).saturating_sub(begun.elapsed()));
    assert!(flows(&world, "g-flow"), "it ended before its time");
    assert!(wait(Duration::from_secs(10), || !flows(&world, "g-flow")), "it never ended");
    assert!(begun.elapsed() >= Duration::from_secs(10), "it ended before its time");
    assert!(!reaches(&world, "dev", "other.example", "g-after"));
    assert!(world.rig.saw("g-after").is_empty());
    assert!(flows(&world, "g-lasting") && reaches(&world, "dev", "good.example", "g-new"));

    assert_eq!(left(&world), None);
    assert!(!world.must(&["firewall", "list"]).unwrap().contains("other.example"));
    assert_eq!(world.clawker(&why).unwrap().code, 1);
    let log = world.must(&["firewall", "log", "--agent", "dev"]).unwrap();
    assert!(log.lines().any(|line| line.contains("ended") && line.contains("198.1")), "{log}");
    // The next change forgets it.
    let zone = || {
        let folder = std::fs::read_dir(world.state_folder().join("coredns")).unwrap().flatten();
        let zones = folder.filter(|entry| entry.path().extension().is_some_and(|end| end == "zone"));
        zones.map(|entry| std::fs::read_to_string(entry.path()).unwrap()).collect::<String>()
    };
    assert!(zone().contains("other.example"));
    world.must(&["firewall", "add", "allowed.example"]).unwrap();
    assert!(zone().contains("allowed.example") && !zone().contains("other.example"), "{}", zone());
    assert!(flows(&world, "g-lasting"), "forgetting it cut another flow");
}

#[test]
fn the_kernel_ends_a_grant_while_pid_1_stands_still() {
    let world = World::new("fuse").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "good.example", "--proto", "tcp", "--port", "9000"]).unwrap();
    let begun = grant(&world, "other.example", "10s");
    flow(&world, "dev", "other.example", "f-flow");
    flow(&world, "dev", "good.example", "f-lasting");
    let pid_1 = Pid::from_raw(world.pid("dev").unwrap().parse().unwrap());
    kill(pid_1, Signal::SIGSTOP).unwrap();
    assert!(flows(&world, "f-flow"), "it ended with PID 1, not with its time");
    assert!(begun.elapsed() < Duration::from_secs(9), "too slow a machine to tell");
    assert!(wait(Duration::from_secs(20), || !flows(&world, "f-flow")), "it never ended");
    assert!(begun.elapsed() >= Duration::from_secs(10), "it ended before its time");
    assert!(!reaches(&world, "dev", "other.example", "f-after"));
    assert!(world.rig.saw("f-after").is_empty());
    assert!(flows(&world, "f-lasting") && reaches(&world, "dev", "good.example", "f-new"));

    kill(pid_1, Signal::SIGCONT).unwrap();
    assert!(wait(Duration::from_secs(10), || world.state("dev").unwrap() == "enforcing"));
    assert!(!reaches(&world, "dev", "other.example", "f-continued"));
    assert!(flows(&world, "f-lasting"));
    grant(&world, "other.example", "5m");
    assert!(reaches(&world, "dev", "other.example", "f-again"));
    // A restart neither lengthens nor ends what has time left.
    docker(&["restart", "-t", "2", &world.container("dev")]).unwrap();
    assert!(wait(Duration::from_secs(10), || reaches(&world, "dev", "other.example", "f-restarted")));
}

#[test]
fn a_granted_name_passes_by_its_own_address_and_by_no_other_before_or_after() {
    let world = World::new("sni").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "good.example"]).unwrap();
    let hosts = |name: &str| {
        let said = world.sh("dev", &format!("getent ahostsv4 {name}")).unwrap().out;
        said.split_whitespace().next().map(str::to_owned)
    };
    // Whether a request for the granted name gets through by an address.
    let through = |address: &str, canary: &str| {
        let script = format!(
            "curl -sS --max-time 5 --resolve other.example:443:{address} https://other.example/{canary}"
        );
        let said = world.sh("dev", &script).unwrap();
        assert_eq!(said.code == 0, !world.rig.saw(canary).is_empty(), "{canary}: {said:?}");
        said.code == 0
    };
    let good = hosts("good.example").unwrap();
    let elsewhere = |when: &str| {
        for (number, address) in [good.as_str(), "198.51.100.134", "198.51.100.133"].iter().enumerate() {
            assert!(!through(address, &format!("s-{when}-{number}")), "{when}: {address}");
        }
    };
    elsewhere("before");
    world.must(&["firewall", "add", "other.example", "--for", "1m"]).unwrap();
    let own = hosts("other.example").unwrap();
    assert!(through(&own, "s-own"), "positive control");
    elsewhere("meanwhile");

    // Another time replaces the first.
    world.must(&["firewall", "add", "other.example", "--for", "1h"]).unwrap();
    assert!(left(&world).unwrap() > 3_000);
    assert!(through(&own, "s-longer"));
    world.must(&["firewall", "add", "other.example", "--for", "4s"]).unwrap();
    assert!(wait(Duration::from_secs(20), || left(&world).is_none()));
    assert!(!through(&own, "s-own-after"));
    elsewhere("after");

    // Taken back before its time, for one agent alone.
    world.agent("guest").unwrap();
    world.must(&["firewall", "add", "other.example", "--for", "10m", "--agent", "guest"]).unwrap();
    let fetch = |agent: &str, canary: &str| {
        world.sh(agent, &format!("curl -sS --max-time 5 https://other.example/{canary}")).unwrap().code == 0
    };
    assert!(fetch("guest", "s-guest") && !fetch("dev", "s-dev"));
    world.must(&["firewall", "remove", "other.example", "--agent", "guest"]).unwrap();
    assert!(!fetch("guest", "s-removed"));
    assert!(!through(&own, "s-none") && world.rig.saw("s-removed").is_empty());

    for (args, said) in [
        (["good.example", "--for", "10m"], "has a rule already"),
        (["api.anthropic.com", "--for", "10m"], "has a rule already"),
        (["198.51.100.133", "--for", "10m"], "takes a name"),
        (["other.example", "--for", "25h"], "1s to 1d"),
        (["other.example", "--for", "0s"], "1s to 1d"),
    ] {
        let refused = world.clawker(&[&["firewall", "add"], &args[..]].concat()).unwrap();
        assert!(refused.code != 0 && refused.err.contains(said), "{args:?}: {refused:?}");
    }
}
