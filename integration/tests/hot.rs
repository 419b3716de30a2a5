//! Rules change under open connections: what stays allowed goes on, what does not is cut at once, and only that. What
//! Envoy refuses is in force nowhere.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clawker_integration::rig::wait;
use clawker_integration::world::World;

/// Changes under the open connections.
const CHANGES: usize = 100;
/// How long one change may take, and the slack for a busy machine.
const BAR: Duration = Duration::from_millis(500);
const SLACK: u32 = 5;

/// A program beside the agent, with its output in a file of the project.
struct Held {
    child: Child,
}

impl Held {
    fn start(world: &World, script: &str) -> Self {
        let arguments = ["exec", "--agent", "dev", "--", "sh", "-c", script];
        let mut command = world.sandbox.command(&arguments);
        Self { child: command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() }
    }

    fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn length(world: &World, name: &str) -> u64 {
    fs::metadata(world.sandbox.project().join(name)).map_or(0, |found| found.len())
}

fn grows(world: &World, name: &str) -> bool {
    let before = length(world, name);
    wait(Duration::from_secs(10), || length(world, name) > before)
}

/// Envoy's statistics whose name holds this, but those that are 0.
fn above_zero(world: &World, filter: &str) -> Vec<String> {
    let socket = world.state_folder().join("run/envoy.sock");
    let url = format!("http://envoy/stats?filter={filter}");
    let output = Command::new("curl").args(["-sS", "--unix-socket"]).arg(socket).arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(": "), "no statistics of {filter}");
    text.lines().filter(|line| !line.ends_with(": 0")).map(str::to_owned).collect()
}

#[test]
fn what_stays_allowed_lives_through_a_hundred_changes() {
    let world = World::new("hot").unwrap();
    world.agent("dev").unwrap();
    for rule in [
        &["firewall", "add", "dl.example"][..],
        &["firewall", "add", "chat.example", "--proto", "http"],
        &["firewall", "add", "db.example", "--proto", "tcp", "--port", "5432"],
    ] {
        world.must(rule).unwrap();
    }
    let probe = world.sandbox.project().join("fakenet");
    let probe = probe.display();
    let mut held = [
        (
            "a download",
            "curl -sS --limit-rate 300k 'https://dl.example/download?bytes=4000000000' -o dl.bin".to_owned(),
        ),
        ("a WebSocket", format!("{probe} probe ws chat.example:80 chat.example /ws 600")),
        ("a stream", format!("{probe} probe hold db.example:5432 600")),
    ]
    .map(|(what, script)| (what, Held::start(&world, &script)));
    assert!(grows(&world, "dl.bin"), "positive control");
    let begun = Instant::now();
    for number in 0..CHANGES / 2 {
        let proto = if number % 2 == 0 { "tls" } else { "http" };
        let name = format!("other{number}.example");
        world.must(&["firewall", "add", &name, "--proto", proto]).unwrap();
        world.must(&["firewall", "remove", &name, "--proto", proto]).unwrap();
    }
    println!("{CHANGES} changes: {:?} each", begun.elapsed() / u32::try_from(CHANGES).unwrap());
    assert!(grows(&world, "dl.bin"), "the download stopped");
    for (what, held) in &mut held {
        assert!(held.lives(), "{what} was cut");
    }
    assert_eq!(above_zero(&world, "draining"), Vec::<String>::new());
    assert_eq!(above_zero(&world, "drain_close"), Vec::<String>::new());
    let modified = above_zero(&world, "listener_in_place_updated%7Clistener_modified");
    println!("{modified:?}");
}

#[test]
fn what_is_allowed_no_more_is_cut_at_once_and_only_that() {
    let world = World::new("cut").unwrap();
    world.agent("dev").unwrap();
    for name in ["left.example", "right.example"] {
        world.must(&["firewall", "add", name]).unwrap();
    }
    let stream = |side: &str| {
        Held::start(&world, &format!("curl -sSN https://{side}.example/stream?ms=20 > {side}.txt"))
    };
    let (mut left, mut right) = (stream("left"), stream("right"));
    assert!(grows(&world, "left.txt") && grows(&world, "right.txt"), "positive control");
    world.must(&["firewall", "remove", "left.example"]).unwrap();
    let ended = Instant::now();
    assert!(wait(Duration::from_secs(10), || !left.lives()), "left lives on");
    println!("cut {:?} after the command's end", ended.elapsed());
    assert!(ended.elapsed() < Duration::from_secs(2), "left was cut late");
    assert!(right.lives() && grows(&world, "right.txt"), "right was cut as well");
}

#[test]
fn one_more_rule_takes_no_longer_among_a_thousand() {
    let world = World::new("many").unwrap();
    world.agent("dev").unwrap();
    let file = fs::read_to_string(world.sandbox.project().join(".clawker.yaml")).unwrap();
    for count in [10, 1000] {
        let names: Vec<String> = (0..count).map(|number| format!("n{number}.example")).collect();
        let rules = format!("  firewall: {{add_domains: [{}]}}\n", names.join(", "));
        world.sandbox.write_project_file(&format!("{file}{rules}")).unwrap();
        world.must(&["firewall", "reload", "--yes"]).unwrap();
        let mut times: Vec<Duration> = Vec::new();
        for number in 0..5 {
            let begun = Instant::now();
            world.must(&["firewall", "add", &format!("one-more-{count}-{number}.example")]).unwrap();
            times.push(begun.elapsed());
        }
        times.sort();
        println!("one more among {count} names: {:?} (all: {times:?})", times[2]);
        assert!(times[2] < BAR * SLACK, "{times:?}");
    }
    let said = world.sh("dev", "curl -sS https://one-more-1000-4.example/").unwrap();
    assert!(said.out.contains("host: one-more-1000-4.example"), "{said:?}");
}

/// Another project's policy is damaged in state, so that Envoy refuses the whole.
#[test]
fn what_envoy_refuses_is_in_force_nowhere_and_the_old_policy_stays() {
    let world = World::new("refused").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "old.example"]).unwrap();
    let plans = world.state_folder().join("plans");
    let good = fs::read_dir(&plans).unwrap().next().unwrap().unwrap().path();
    let mut plan: serde_json::Value = serde_json::from_slice(&fs::read(good).unwrap()).unwrap();
    plan["id"] = "0badbad0".into();
    plan["streams"] = serde_json::json!([{"proto": "tcp", "name": "%NO_SUCH%", "port": 1, "listener": 9000}]);
    plan["judged"] = serde_json::json!([]);
    let bad = plans.join("0badbad0.json");
    fs::write(&bad, plan.to_string()).unwrap();
    let said = world.clawker(&["firewall", "add", "new.example"]).unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("Envoy refuses the new policy, the old one stays in force"), "{said:?}");
    assert!(!world.must(&["firewall", "list"]).unwrap().contains("new.example"));
    let fetch =
        |name: &str| world.sh("dev", &format!("curl -sS --max-time 5 https://{name}.example/")).unwrap();
    assert!(fetch("old").out.contains("host: old.example"));
    assert_ne!(fetch("new").code, 0);
    fs::remove_file(&bad).unwrap();
    world.must(&["firewall", "add", "new.example"]).unwrap();
    assert!(fetch("new").out.contains("host: new.example") && fetch("old").out.contains("host: old.example"));
}
