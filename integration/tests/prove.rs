//! `clawker prove` itself: all holds on our image, a hole is told, and nothing stays, whatever ends it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::sandbox::binary;
use clawker_integration::rig::wait;
use serde_json::Value;

/// A user with a project. No fake internet of ours: `prove` brings its own.
struct User {
    instance: String,
    root: PathBuf,
}

impl User {
    fn new(instance: &str, rules: &str) -> Self {
        let root = std::env::temp_dir().join(format!("clawker-sandbox-{instance}"));
        let user = Self { instance: instance.to_owned(), root };
        let _ = fs::remove_dir_all(&user.root);
        fs::create_dir_all(user.root.join("project")).unwrap();
        let file = format!("project: demo\nsecurity:\n  firewall:\n    rules: [{rules}]\n");
        fs::write(user.root.join("project/.clawker.yaml"), file).unwrap();
        user
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.root.join("project")).stdin(Stdio::null());
        command.env("CLAWKER_INSTANCE", &self.instance).env("HOME", &self.root);
        for (name, folder) in [("CONFIG", "config"), ("STATE", "state"), ("CACHE", "cache")] {
            command.env(format!("XDG_{name}_HOME"), self.root.join(folder));
        }
        command
    }

    fn prove(&self, args: &[&str]) -> (i32, Value) {
        let output = self.command(&[&["prove", "--json"], args].concat()).output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), report)
    }

    /// The instance of the run that there is.
    fn run(&self) -> Option<String> {
        let all = self.root.join(format!("state/clawker-{}/prove", self.instance));
        fs::read_dir(all).ok()?.next()?.ok()?.file_name().into_string().ok()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
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

#[test]
fn everything_holds_on_our_own_image() {
    let user = User::new("provex", "");
    let (code, report) = user.prove(&[]);
    let all = report["attacks"].as_array().unwrap();
    let good = |one: &&Value| matches!(one["verdict"].as_str(), Some("held" | "not_applicable"));
    let bad: Vec<_> = all.iter().filter(|one| !good(one)).collect();
    assert!(bad.is_empty() && code == 0, "{code} {bad:#?}");
    assert!(report["counts"]["held"].as_u64().unwrap() >= 480, "{}", report["counts"]);
    let families: BTreeSet<_> = all.iter().map(|one| one["family"].as_str().unwrap()).collect();
    assert_eq!(families.len(), 8);
    assert!(report["millis"].as_u64().unwrap() < 180_000, "{}", report["millis"]);
    assert_eq!(user.run(), None);
}

#[test]
fn a_hole_is_told_where_a_rule_tears_one_and_nowhere_else() {
    let holes = "{dst: 198.51.100.133, proto: tcp, port: 9000}, {dst: .evil.example}";
    let user = User::new("proveh", holes);
    for (family, expected) in [
        ("ip-kernel", [("ip-tcp", "leaked"), ("ip-tcp-mapped", "leaked"), ("ip-udp", "held")]),
        ("tls-http", [("tls-name-carries", "leaked"), ("tls-suffix", "held"), ("http-host", "held")]),
    ] {
        let (code, report) = user.prove(&["--only", family]);
        assert_eq!(code, 1, "{family}");
        for (id, expected) in expected {
            assert_eq!(verdict(&report, id), expected, "{id}");
        }
    }
}

#[test]
fn an_interrupted_run_and_a_killed_one_leave_nothing() {
    let user = User::new("provei", "");
    for signal in ["INT", "KILL"] {
        let mut command = user.command(&["prove", "--only", "dns"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut made = String::new();
        let came = wait(Duration::from_secs(60), || {
            made = user.run().unwrap_or_default();
            !made.is_empty() && left().iter().any(|name| name.contains(&made) && name.contains("plain"))
        });
        assert!(came, "the run made nothing");
        Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let ended = child.wait().unwrap();
        if signal == "INT" {
            assert_eq!(ended.code(), Some(3));
        } else {
            assert!(left().iter().any(|name| name.contains(&made)), "a killed run can't clear away");
            assert_eq!(user.prove(&["--only", "dns-udp"]).0, 0);
        }
        let left: Vec<_> = left().into_iter().filter(|name| name.contains(&made)).collect();
        assert!(left.is_empty() && user.run().is_none(), "{signal}: {left:?}");
    }
}
