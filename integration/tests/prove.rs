//! `clawker prove` itself: all holds on our image, a hole is told, and nothing stays, whatever ends it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;
use serde_json::Value;

fn run(world: &World, args: &[&str]) -> (i32, Value) {
    let said = world.clawker(&[&["prove", "--json"], args].concat()).unwrap();
    let report = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (said.code, report)
}

fn verdict<'a>(report: &'a Value, id: &str) -> &'a str {
    let all = report["attacks"].as_array().unwrap();
    all.iter().find(|one| one["id"] == id).unwrap()["verdict"].as_str().unwrap()
}

/// What a run leaves in Docker; the parallel ones of other people are not ours.
fn left() -> Vec<String> {
    let names = [
        docker(&["ps", "-a", "--format", "{{.Names}}"]),
        docker(&["network", "ls", "--format", "{{.Name}}"]),
        docker(&["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]),
    ];
    let names = names.map(|one| one.unwrap()).join("\n");
    names.lines().filter(|name| name.contains("prove-")).map(str::to_owned).collect()
}

fn instance(world: &World) -> Option<String> {
    let found = fs::read_dir(world.state_folder().join("prove")).ok()?.next()?.ok()?;
    found.file_name().into_string().ok()
}

#[test]
fn everything_holds_on_our_own_image_and_a_hole_is_told() {
    let world = World::new("provex").unwrap();
    let (code, report) = run(&world, &[]);
    let all = report["attacks"].as_array().unwrap();
    let bad: Vec<_> = all
        .iter()
        .filter(|one| !matches!(one["verdict"].as_str(), Some("held" | "not_applicable")))
        .collect();
    assert!(bad.is_empty() && code == 0, "{code} {bad:#?}");
    assert!(report["counts"]["held"].as_u64().unwrap() >= 80, "{}", report["counts"]);
    let families: BTreeSet<_> = all.iter().map(|one| one["family"].as_str().unwrap()).collect();
    assert_eq!(families.len(), 6);
    assert!(report["millis"].as_u64().unwrap() < 180_000, "{}", report["millis"]);
    assert_eq!(instance(&world), None);

    // The same attacks find a hole that a rule tears, and only that one.
    world.must(&["firewall", "add", "198.51.100.133", "--proto", "tcp", "--port", "9000"]).unwrap();
    let (code, report) = run(&world, &["--only", "ip-kernel"]);
    assert_eq!(code, 1);
    for (id, expected) in
        [("ip-tcp", "leaked"), ("ip-tcp-mapped", "leaked"), ("ip-udp", "held"), ("ip-packet", "held")]
    {
        assert_eq!(verdict(&report, id), expected, "{id}");
    }
}

#[test]
fn an_interrupted_run_and_a_killed_one_leave_nothing() {
    let world = World::new("provei").unwrap();
    for signal in ["INT", "KILL"] {
        let mut command = world.sandbox.command(&["prove", "--only", "dns"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut made = String::new();
        let came = wait(Duration::from_secs(60), || {
            made = instance(&world).unwrap_or_default();
            !made.is_empty() && left().iter().any(|name| name.contains(&made) && name.contains("plain"))
        });
        assert!(came, "the run made nothing");
        std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let ended = child.wait().unwrap();
        if signal == "INT" {
            assert_eq!(ended.code(), Some(3));
        } else {
            assert!(left().iter().any(|name| name.contains(&made)), "a killed run can't clear away");
            assert_eq!(run(&world, &["--only", "dns-udp"]).0, 0);
        }
        let left: Vec<_> = left().into_iter().filter(|name| name.contains(&made)).collect();
        assert!(left.is_empty() && instance(&world).is_none(), "{signal}: {left:?}");
    }
}
