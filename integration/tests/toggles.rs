//! The switch of one container: it opens that one and no other, it shuts by itself whatever dies, and what dies leaves
//! it shut.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;

const PLACE: &str = "198.51.100.133:4444";

fn leaves(world: &World, agent: &str, canary: &str) -> bool {
    world.probe(agent, &["tcp", PLACE, canary]).unwrap();
    world.rig.waits_for(canary, Duration::from_millis(300))
}

#[test]
fn the_commands_work_word_for_word_and_open_one_agent_only() {
    let world = World::new("words").unwrap();
    world.agent("dev").unwrap();
    world.agent("other").unwrap();
    assert!(!leaves(&world, "dev", "w-closed"));
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    assert!(leaves(&world, "dev", "w-disabled") && !leaves(&world, "other", "w-other"));
    let resolv = world.sh("dev", "cat /etc/resolv.conf").unwrap().out;
    assert!(resolv.starts_with("nameserver 127.0.0.11\n"), "{resolv}");
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();
    assert!(!leaves(&world, "dev", "w-enabled"));
    let resolv = world.sh("dev", "cat /etc/resolv.conf").unwrap().out;
    assert!(!resolv.contains("127.0.0.11"), "{resolv}");

    world.must(&["firewall", "bypass", "30s", "--agent", "dev", "--detach"]).unwrap();
    assert_eq!(world.state("dev").unwrap(), "bypass");
    assert!(leaves(&world, "dev", "w-bypass") && !leaves(&world, "other", "w-other-2"));
    world.must(&["firewall", "bypass", "--stop", "--agent", "dev"]).unwrap();
    assert!(!leaves(&world, "dev", "w-stopped"));
    let again = world.clawker(&["firewall", "bypass", "--stop", "--agent", "dev"]).unwrap();
    assert!(again.code == 1 && again.err.contains("no bypass"), "{again:?}");
    let long = world.clawker(&["firewall", "bypass", "2h", "--agent", "dev"]).unwrap();
    assert_eq!(long.code, 1, "{long:?}");
}

#[test]
fn a_bypass_ends_by_itself_although_its_command_was_killed() {
    let world = World::new("killed").unwrap();
    world.agent("dev").unwrap();
    let mut cli = world.sandbox.command(&["firewall", "bypass", "4s", "--agent", "dev"]);
    let mut cli = cli.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    assert!(wait(Duration::from_secs(3), || world.state("dev").unwrap() == "bypass"));
    cli.kill().unwrap();
    cli.wait().unwrap();
    assert!(leaves(&world, "dev", "k-open"));
    assert!(wait(Duration::from_secs(20), || world.state("dev").unwrap() == "enforcing"));
    assert!(begun.elapsed() >= Duration::from_secs(4), "it ended before its time");
    assert!(!leaves(&world, "dev", "k-after"));
}

#[test]
fn a_restart_in_a_bypass_comes_back_enforcing() {
    let world = World::new("again").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "bypass", "10m", "--agent", "dev", "--detach"]).unwrap();
    assert!(leaves(&world, "dev", "r-open"));
    docker(&["restart", "-t", "2", &world.container("dev")]).unwrap();
    assert_eq!(world.state("dev").unwrap(), "enforcing");
    assert!(!leaves(&world, "dev", "r-after"));
    world.must(&["stop", "dev"]).unwrap();
    world.must(&["start", "dev"]).unwrap();
    assert!(!leaves(&world, "dev", "r-started"));
}

#[test]
fn without_envoy_nothing_gets_out_and_with_it_again_everything_listed_does() {
    let world = World::new("envoy").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "allowed.example"]).unwrap();
    let fetch = |canary: &str| {
        world.sh("dev", &format!("curl -sS --max-time 5 https://allowed.example/{canary}")).unwrap()
    };
    let before = fetch("e-before");
    assert!(before.out.contains("host: allowed.example"), "{before:?}");
    let envoy = world.sandbox.stack_name("clawker-envoy");
    docker(&["stop", "-t", "1", &envoy]).unwrap();
    assert!(fetch("e-dead").code != 0);
    assert!(!leaves(&world, "dev", "e-dead-tcp"));
    assert!(world.rig.saw("e-dead").is_empty());
    world.must(&["firewall", "up"]).unwrap();
    assert!(fetch("e-after").out.contains("host: allowed.example"));
}

#[test]
fn coredns_comes_back_from_a_kill_although_it_was_told_to_reload_before() {
    let world = World::new("coredns").unwrap();
    world.agent("dev").unwrap();
    // A policy of the agent's own is a new port, for which CoreDNS reloads.
    world.must(&["firewall", "add", "--agent", "dev", "allowed.example"]).unwrap();
    let answers = || world.sh("dev", "getent hosts allowed.example").unwrap().code == 0;
    assert!(wait(Duration::from_secs(5), answers), "positive control");
    let coredns = world.sandbox.stack_name("clawker-coredns");
    let pid = || docker(&["inspect", "--format", "{{.State.Pid}}", &coredns]).unwrap();
    let before = pid();
    let target = nix::unistd::Pid::from_raw(before.parse().unwrap());
    nix::sys::signal::kill(target, nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(
        wait(Duration::from_secs(20), || !["0", before.as_str()].contains(&pid().as_str())),
        "it stayed dead"
    );
    assert!(wait(Duration::from_secs(20), answers));
}

#[test]
fn when_pid_1_is_killed_under_full_fire_nothing_leaves() {
    let world = World::new("fire").unwrap();
    world.agent("dev").unwrap();
    // A sender that never pauses, over UDP, so that nothing but the rules stands in its way.
    let fire = |canary: &str| {
        let script = format!("while :; do echo {canary} > /dev/udp/198.51.100.133/9999; done");
        let args = ["exec", "-d", "-u", "1001", &world.container("dev"), "bash", "-c", &script];
        docker(&args).unwrap();
    };
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    fire("fire-open");
    assert!(world.rig.waits_for("fire-open", Duration::from_secs(5)), "positive control");
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let count = world.rig.saw("fire-open").len();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(world.rig.saw("fire-open").len(), count, "packets left after enable");
    for round in 0..5 {
        let canary = format!("fire-shut-{round}");
        fire(&canary);
        std::thread::sleep(Duration::from_millis(150));
        let pid = world.pid("dev").unwrap().parse::<i32>().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
        std::thread::sleep(Duration::from_millis(400));
        let seen = world.rig.saw(&canary);
        assert!(seen.is_empty(), "round {round}: {} packets", seen.len());
        world.must(&["start", "dev"]).unwrap();
    }
}
