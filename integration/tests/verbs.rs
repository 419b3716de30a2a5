//! The verbs that people know from Docker: none of them opens an agent's firewall, and a copy leads nowhere else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clawker_integration::rig::wait;
use clawker_integration::world::World;

const PATIENCE: Duration = Duration::from_secs(30);
const PLACE: &str = "198.51.100.133:4444";

/// Packets that were refused since an agent's start.
fn refused(world: &World) -> u64 {
    let list: serde_json::Value = serde_json::from_str(&world.must(&["ps", "--json"]).unwrap()).unwrap();
    list[0]["refused_packets"].as_u64().unwrap_or_default()
}

#[test]
fn a_restart_is_shut_from_its_first_packet_and_a_pause_holds_up_no_bypass_s_end() {
    let world = World::new("verbs").unwrap();
    // It sends from its first moment, and says which start this is.
    let client = world.project().join("fakenet").display().to_string();
    let script = format!(
        "n=$(cat /tmp/n 2>/dev/null)1; echo $n >/tmp/n; exec {client} probe flood 198.51.100.133:9999 boot-$n-x 7200"
    );
    world.must(&["run", "--detach", "--yes", "--", "sh", "-c", &script]).unwrap();
    assert_eq!(world.must(&["ps", "--format", "{{.agent}}={{ status }}"]).unwrap(), "dev=running");
    assert!(wait(PATIENCE, || refused(&world) > 100), "it does not send");
    assert!(world.rig.saw("boot-1-x").is_empty());
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    assert!(world.rig.waits_for("boot-1-x", PATIENCE), "positive control");

    world.must(&["restart", "dev", "-t", "1"]).unwrap();
    assert_eq!(world.state("dev").unwrap(), "enforcing");
    assert!(wait(PATIENCE, || refused(&world) > 100), "it does not send again");
    assert!(world.rig.saw("boot-11-x").is_empty(), "open after a restart");
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    assert!(world.rig.waits_for("boot-11-x", PATIENCE), "positive control");
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();

    // In a paused container nobody is left who could send, nor who could shut: another's program in its network sends.
    let leaves = |canary: &str| {
        world.in_network("dev", &[&client, "probe", "tcp", PLACE, canary]).unwrap();
        world.rig.waits_for(canary, Duration::from_secs(1))
    };
    let length = Duration::from_secs(12);
    world.must(&["firewall", "bypass", "12s", "--agent", "dev", "--detach"]).unwrap();
    let begun = Instant::now();
    world.must(&["pause", "dev"]).unwrap();
    let listed = world.must(&["ps", "--json"]).unwrap();
    assert!(listed.contains("\"status\":\"paused\""), "{listed}");
    assert!(leaves("paused-open"), "positive control");
    sleep((length + Duration::from_secs(3)).saturating_sub(begun.elapsed()));
    assert!(!leaves("paused-after"), "the bypass outlived its time in a paused container");
    world.must(&["unpause", "dev"]).unwrap();
    assert!(wait(PATIENCE, || world.state("dev").unwrap() == "enforcing"));

    world.must(&["kill", "dev"]).unwrap();
    assert_eq!(world.must(&["wait", "dev"]).unwrap(), "137");
}

#[test]
fn what_is_copied_is_whole_and_nobody_s_else() {
    let world = World::new("verbs").unwrap();
    world.agent("dev").unwrap();
    let project = world.project();
    fs::create_dir_all(project.join("src/deep")).unwrap();
    fs::write(project.join("src/deep/file"), "F").unwrap();
    symlink("/etc/shadow", project.join("src/link")).unwrap();
    world.must(&["cp", "src", "dev:/tmp/"]).unwrap();
    let listed = world.sh("dev", "stat -c '%u %F' /tmp/src/deep/file /tmp/src/link; id -u").unwrap().out;
    let lines: Vec<_> = listed.lines().collect();
    let uid = lines[2];
    assert_eq!(lines[..2], [format!("{uid} regular file"), format!("{uid} symbolic link")]);

    // Out: what leads out of it stays behind, what doesn't is the user's.
    let script = "ln -s ../../etc /tmp/src/up; mkfifo /tmp/src/pipe; ln -s deep/file /tmp/src/in; chmod 4755 /tmp/src/deep/file";
    world.sh("dev", script).unwrap();
    let said = world.clawker(&["cp", "dev:/tmp/src", "out"]).unwrap();
    assert!(said.code == 1 && said.err.contains("src/up") && said.err.contains("src/pipe"), "{said:?}");
    let file = fs::metadata(project.join("out/deep/file")).unwrap();
    assert_eq!((file.uid(), file.mode() & 0o7000), (my_uid(), 0));
    assert_eq!(fs::read_to_string(project.join("out/in")).unwrap(), "F");
    for left in ["up", "pipe", "link"] {
        assert!(fs::symlink_metadata(project.join("out").join(left)).is_err(), "{left}");
    }

    // A link in the project that leads out of it.
    let outside = world.home().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("key"), "s3cret").unwrap();
    symlink(&outside, project.join("way")).unwrap();
    for args in [["cp", "dev:/tmp/src/deep/file", "way/key"], ["cp", "way/key", "dev:/tmp/key"]] {
        let said = world.clawker(&args).unwrap();
        assert!(said.code == 1 && said.err.contains("leads out of the project"), "{said:?}");
    }
    assert_eq!(fs::read_to_string(outside.join("key")).unwrap(), "s3cret");
    let outside = outside.join("key").display().to_string();
    world.must(&["cp", &outside, "dev:/tmp/key"]).unwrap();
    assert_eq!(world.sh("dev", "cat /tmp/key").unwrap().out, "s3cret", "named itself it is meant");

    let shown = world.must(&["inspect", "dev"]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["firewall"]["state"], "enforcing");
    let stats: serde_json::Value =
        serde_json::from_str(&world.must(&["stats", "--no-stream", "--json", "dev"]).unwrap()).unwrap();
    assert!(
        stats[0]["memory_bytes"].as_u64().unwrap() > 0 && stats[0]["pids"].as_u64().unwrap() > 0,
        "{stats}"
    );
}

#[test]
fn a_renamed_agent_has_its_rules_its_files_and_its_volumes() {
    let world = World::new("verbs").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "own.example", "--agent", "dev"]).unwrap();
    let write = "echo here >/tmp/mark && echo kept >$CLAUDE_CONFIG_DIR/mark";
    assert_eq!(world.sh("dev", write).unwrap().code, 0);
    let refused = |args: &[&str], why: &str| {
        let said = world.clawker(args).unwrap();
        assert!(matches!(said.code, 1 | 125) && said.err.contains(why), "{args:?}: {said:?}");
    };
    refused(&["rename", "dev", "api"], "clawker stop dev");
    world.must(&["stop", "dev", "-t", "1"]).unwrap();
    world.must(&["firewall", "add", "other.example", "--agent", "api"]).unwrap();
    refused(&["rename", "dev", "api"], "firewall remove --agent api");
    world.must(&["firewall", "remove", "other.example", "--agent", "api"]).unwrap();
    assert_eq!(world.must(&["rename", "dev", "api"]).unwrap(), "api");
    refused(&["start", "dev"], "No agent");
    refused(&["run", "--detach", "--yes", "--agent", "dev"], "clawker rename api dev");

    let is_whole = |agent: &str| {
        world.must(&["start", agent]).unwrap();
        let read = "cat /tmp/mark $CLAUDE_CONFIG_DIR/mark";
        assert_eq!(world.sh(agent, read).unwrap().out, "here\nkept", "{agent}");
        let why = world.sh(agent, "clawker-init why own.example").unwrap();
        assert!(why.out.contains("own.example: allowed"), "{agent}: {why:?}");
        assert_eq!(world.state(agent).unwrap(), "enforcing");
        world.must(&["firewall", "disable", "--agent", agent]).unwrap();
        assert_eq!(world.state(agent).unwrap(), "disabled");
        world.must(&["stop", agent, "-t", "1"]).unwrap();
    };
    is_whole("api");

    // Killed between the record and Docker: the next command makes up for it.
    let (new, old) = (world.container("api"), world.container("dev"));
    let docker = |args: &[&str]| {
        let output = std::process::Command::new("docker").args(args).output().unwrap();
        assert!(output.status.success(), "docker {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    docker(&["rename", &new, &old]);
    refused(&["run", "--detach", "--yes", "--agent", "api"], "exists already");
    is_whole("api");

    assert_eq!(world.must(&["rename", "api", "dev"]).unwrap(), "dev");
    is_whole("dev");
    world.must(&["rename", "dev", "api"]).unwrap();
    let volumes = || docker(&["volume", "ls", "--quiet", "--filter", &format!("name={old}")]);
    assert!(!volumes().is_empty(), "its volume goes by its first name");
    world.must(&["rm", "--volumes", "api"]).unwrap();
    assert_eq!(volumes(), "");
}

/// Who runs this.
fn my_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}
