//! Faults in turn, while a sender in the container never pauses: whatever dies, stops, restarts or is swept away, nothing
//! that it sends leaves. And a container whose memory, descriptors, processes, flows or disk are used up.
//!
//! `CLAWKER_FAULT_CYCLES` says how many; `make soak` runs a thousand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use clawker_integration::fire::Fire;
use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where the sender sends to.
const SINK: &str = "198.51.100.133:9999";
const VARIABLE: &str = "CLAWKER_FAULT_CYCLES";
/// What `make test` has time for: each fault once.
const CYCLES: usize = FAULTS.len();
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done to the agent or to what it stands on.
type Fault = fn(&World, usize);

const FAULTS: [(&str, Fault); 7] = [
    ("the policy is loaded anew", reload),
    ("root sweeps every rule away", sweep),
    ("init is stopped", stop_init),
    ("Envoy is killed", |world, _| kill_of_stack(world, "clawker-envoy")),
    ("the agent is killed", kill_agent),
    ("CoreDNS is killed", |world, _| kill_of_stack(world, "clawker-coredns")),
    ("the container is restarted", |world, _| {
        docker(&["restart", "-t", "1", &world.container("dev")]).unwrap();
    }),
];

fn signal(pid: &str, signal: Signal) {
    kill(Pid::from_raw(pid.trim().parse().unwrap()), signal).unwrap();
}

fn reload(world: &World, cycle: usize) {
    let verb = if (cycle / FAULTS.len()).is_multiple_of(2) { "add" } else { "remove" };
    world.must(&["firewall", verb, "turns.example"]).unwrap();
}

fn sweep(world: &World, _: usize) {
    // Also as the strongest in the namespace: the tables have an owner, and the flush is refused or does nothing.
    for _ in 0..20 {
        world.in_network("dev", &["nft", "flush", "ruleset"]).unwrap();
    }
}

fn stop_init(world: &World, _: usize) {
    let pid = world.pid("dev").unwrap();
    signal(&pid, Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(300));
    signal(&pid, Signal::SIGCONT);
}

fn kill_of_stack(world: &World, base: &str) {
    let container = world.sandbox.stack_name(base);
    let pid = || docker(&["inspect", "--format", "{{.State.Pid}}", &container]).unwrap();
    let before = pid();
    signal(&before, Signal::SIGKILL);
    // The engine waits longer from one death to the next; a user who sees it runs `firewall up`.
    let is_back = || !["0", before.as_str()].contains(&pid().as_str());
    if !wait(Duration::from_secs(2), is_back) {
        world.must(&["firewall", "up"]).unwrap();
    }
}

fn kill_agent(world: &World, _: usize) {
    let pid = world.pid("dev").unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    signal(children.split_whitespace().next().expect("the agent runs"), Signal::SIGKILL);
    let ended = || {
        docker(&["inspect", "--format", "{{.State.Running}}", &world.container("dev")]).unwrap() == "false"
    };
    assert!(wait(PATIENCE, ended), "init outlived its agent");
    world.must(&["start", "dev"]).unwrap();
}

fn reaches_what_is_listed(world: &World) -> bool {
    let fetch = "curl -sS --max-time 3 https://allowed.example/listed";
    wait(PATIENCE, || world.sh("dev", fetch).is_ok_and(|said| said.out.contains("host: allowed.example")))
}

#[test]
fn no_fault_lets_a_packet_out() {
    let world = World::new("faults").unwrap();
    let cycles = std::env::var(VARIABLE).map_or(CYCLES, |text| text.parse().expect(VARIABLE));
    let fire = Fire::start(&world, "dev", "fault-canary").unwrap();
    world.must(&["firewall", "add", "allowed.example"]).unwrap();
    assert!(fire.is_kept_up(), "the sender does not send");
    assert_eq!(fire.arrived(), 0, "before any fault");

    for cycle in 0..cycles {
        let (what, fault) = FAULTS[cycle % FAULTS.len()];
        fault(&world, cycle);
        let leaked = fire.arrived();
        assert_eq!(leaked, 0, "cycle {cycle}: {what}: {leaked} records");
        assert!(fire.is_kept_up(), "cycle {cycle}: {what}: the sender does not send any more");
        // Each of them once, and then now and then: it takes longer than the fault.
        if cycle < FAULTS.len() || cycle % 50 == 0 {
            assert!(reaches_what_is_listed(&world), "cycle {cycle}: {what}: what is listed is not reached");
            assert_eq!(world.state("dev").unwrap(), "enforcing", "cycle {cycle}: {what}");
        }
    }
    assert_eq!(fire.settled(), 0);
    fire.passes_in_a_bypass_and_not_after_it().unwrap();
    nothing_leaves_while_init_cleans_up(&world);
}

/// What outlives the agent, heeds no TERM and sends only now: until init has killed it, it is behind the rules.
fn nothing_leaves_while_init_cleans_up(world: &World) {
    let flood = format!("{} probe flood {SINK}", world.project().join("fakenet").display());
    let leftover = format!("trap '' TERM; while kill -0 $1 2>/dev/null; do :; done; exec {flood} $2 30");
    let script = "setsid sh -c \"$1\" leftover $$ \"$2\" & sleep 0.5";
    let run = |agent: &str, canary: &str| {
        world.must(&["run", "--agent", agent, "--yes", "--", "sh", "-c", script, "agent", &leftover, canary])
    };
    run("leaves", "canary-of-the-drain").unwrap();
    assert!(world.rig.saw("canary-of-the-drain").is_empty());
    // Positive control: without the firewall it is heard.
    let file = world.sandbox.settings_file();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("firewall:\n", "firewall:\n  enable: false\n")).unwrap();
    run("open", "canary-of-no-rules").unwrap();
    assert!(world.rig.waits_for("canary-of-no-rules", PATIENCE), "what outlives the agent sends");
}
