//! A container that has used up what it may have: nothing passes because of it, and where PID 1 lives the firewall obeys.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;
use std::time::Duration;

use clawker_integration::fire::Fire;
use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a script in the background as the agent.
fn behind(world: &World, script: &str) {
    docker(&["exec", "-d", "-u", "1001", &world.container("dev"), "bash", "-c", script]).unwrap();
}

/// Waits until a script of the agent's made a file.
fn has(world: &World, file: &str) -> bool {
    wait(PATIENCE, || world.inside("dev", "0", &["test", "-e", file]).is_ok_and(|said| said.code == 0))
}

fn update(world: &World, limit: &[&str]) {
    docker(&[&["update"], limit, &[&world.container("dev")]].concat()).unwrap();
}

fn runs(world: &World) -> bool {
    docker(&["inspect", "--format", "{{.State.Running}}", &world.container("dev")]).unwrap() == "true"
}

#[test]
fn no_processes_descriptors_flows_or_memory_are_left_and_the_firewall_obeys() {
    let world = World::new("used-up").unwrap();
    let fire = Fire::start(&world, "dev", "used-canary").unwrap();
    assert!(fire.is_kept_up());

    // Processes: the last one that there may be says so.
    update(&world, &["--pids-limit", "60"]);
    behind(&world, "for n in $(seq 200); do sleep 40 & done 2>/dev/null; : >/tmp/forked");
    let forks =
        || world.inside("dev", "1001", &["sh", "-c", "sleep 0 & wait"]).is_ok_and(|said| said.code == 0);
    assert!(wait(PATIENCE, || !forks()), "processes are not used up");
    assert_eq!(fire.arrived(), 0, "without processes");
    fire.passes_in_a_bypass_and_not_after_it().unwrap();
    update(&world, &["--pids-limit", "4096"]);

    // Descriptors of a process, each a connected socket.
    let before = fire.settled();
    behind(
        &world,
        "ulimit -n 8192; perl -MSocket -e '\
         my $to = sockaddr_in(9999, inet_aton(\"198.51.100.133\")); my @all;\
         while (@all < 9000 && socket(my $s, AF_INET, SOCK_DGRAM, 0)) { connect($s, $to); send($s, \"used-canary\", 0); push @all, $s }\
         pop @all; pop @all; open(F, \">\", \"/tmp/opened\"); sleep 20'",
    );
    assert!(has(&world, "/tmp/opened"), "descriptors are not used up");
    assert_eq!(fire.settled(), before, "without descriptors");
    fire.passes_in_a_bypass_and_not_after_it().unwrap();

    // Flows and ports: a question from each of many ports, each a flow that is let through and remembered.
    let before = fire.settled();
    behind(
        &world,
        "perl -MSocket -e '\
         my ($r) = `cat /etc/resolv.conf` =~ /nameserver (\\S+)/; my $to = sockaddr_in(53, inet_aton($r));\
         for (1..30000) { socket(my $s, AF_INET, SOCK_DGRAM, 0) or next; send($s, \"x\" x 20, 0, $to) }\
         open(F, \">\", \"/tmp/asked\")'",
    );
    assert!(has(&world, "/tmp/asked"));
    assert_eq!(fire.settled(), before, "without flows");
    fire.passes_in_a_bypass_and_not_after_it().unwrap();

    // Memory: the glutton is killed, and PID 1 is not. The sender would be first, for init lets its agent be.
    let before = fire.settled();
    update(&world, &["--memory", "100m", "--memory-swap", "100m"]);
    behind(
        &world,
        "(echo 1000 >/proc/self/oom_score_adj; exec perl -e '$_ = q(x) x 400_000_000'); echo $? >/tmp/killed",
    );
    let was_killed = has(&world, "/tmp/killed");
    assert!(runs(&world), "PID 1 was killed in its place");
    assert!(was_killed, "nothing was killed");
    let code = world.inside("dev", "0", &["cat", "/tmp/killed"]).unwrap();
    assert_eq!(code.out, "137", "it was not killed for its memory");
    assert_eq!(fire.settled(), before, "without memory");
    fire.passes_in_a_bypass_and_not_after_it().unwrap();

    // Memory that no process's end gives back: whatever runs is killed for it, until nothing does.
    world.must(&["stop", "dev"]).unwrap();
    update(&world, &["--memory", "40m", "--memory-swap", "40m"]);
    world.must(&["start", "dev"]).unwrap();
    assert!(fire.is_kept_up());
    let before = fire.settled();
    behind(&world, "head -c 60000000 /dev/zero >/dev/shm/fill");
    assert!(wait(PATIENCE, || !runs(&world)), "it lives without memory");
    assert_eq!(fire.settled(), before, "while it was killed for its memory");
    update(&world, &["--memory", "500m", "--memory-swap", "500m"]);
    world.must(&["start", "dev"]).unwrap();
    assert!(fire.is_kept_up());
    assert_eq!(fire.settled(), before, "after its next start");
}

/// A small disk in the place of a folder, which goes with the test.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(folder: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&folder).unwrap();
        let words = ["-t", "tmpfs", "-o", "size=8m,mode=755", "clawker-test"];
        assert!(Command::new("mount").args(words).arg(&folder).status().unwrap().success());
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn no_disk_is_left_for_what_init_writes_and_the_firewall_obeys() {
    let world = World::new("full-disk").unwrap();
    // Gone before the world that it lies in.
    let disk = Disk::mount(world.state_folder().join("agents"));
    let fire = Fire::start(&world, "dev", "disk-canary").unwrap();
    assert!(fire.is_kept_up());
    let fill = disk.0.join("fill");
    let full = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", &format!("of={}", fill.display())])
        .output()
        .unwrap();
    assert!(!full.status.success(), "the disk is not full: {full:?}");
    fire.passes_in_a_bypass_and_not_after_it().unwrap();
    docker(&["restart", "-t", "1", &world.container("dev")]).unwrap();
    assert!(fire.is_kept_up(), "no start without disk");
    let before = fire.settled();
    std::fs::remove_file(&fill).unwrap();
    world.must(&["firewall", "add", "allowed.example"]).unwrap();
    assert_eq!(fire.settled(), before);
}
