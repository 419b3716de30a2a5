//! The workspace: what an agent writes into it is never run by the host's git, or is shown before the next command; and
//! the agent's own git works.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;

/// The host's user, whose the project is.
const USER: u32 = 1001;

/// Git on the host; what it said, and whether it was content.
fn git(folder: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new("git")
        .args(["-c", "user.name=n", "-c", "user.email=e@f"])
        .args(["-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn must(folder: &Path, words: &[&str]) -> String {
    let (fine, text) = git(folder, words);
    assert!(fine, "git {words:?}: {text}");
    text
}

/// A repository with an origin beside it in the workspace, all the agent's uid's.
fn repository(folder: &Path) {
    chown(folder, Some(USER), Some(USER)).unwrap();
    must(folder, &["init", "-q", "--bare", "origin.git"]);
    must(folder, &["init", "-q"]);
    must(folder, &["remote", "add", "origin", &folder.join("origin.git").to_string_lossy()]);
    fs::write(folder.join("file"), "1\n").unwrap();
    chown(folder.join("file"), Some(USER), Some(USER)).unwrap();
    must(folder, &["add", "file"]);
    must(folder, &["commit", "-q", "-m", "first"]);
    must(folder, &["push", "-q", "-u", "origin", "main"]);
}

/// Ways to have the host's git run a program; each leaves a repository in which git works.
const ATTACKS: [&str; 7] = [
    "git config core.fsmonitor PROGRAM",
    "printf '[core]\n\tfsmonitor = PROGRAM\n' >> .git/config",
    "cp .git/config c; printf '[core]\n\tfsmonitor = PROGRAM\n' >> c; mv -f c .git/config",
    "cp -r .git copy && mv .git .git-old && mv copy .git && git config core.fsmonitor PROGRAM",
    "rm -f .git/commondir; mkdir -p .git/x; cp -r .git/objects .git/refs .git/config .git/x &&
     git config -f .git/x/config core.fsmonitor PROGRAM && echo x > .git/commondir",
    "git config extensions.worktreeConfig true; git config -f .git/config.worktree core.fsmonitor PROGRAM",
    "mv .git/hooks .git/old; mkdir -p .git/hooks; cp PROGRAM .git/hooks/post-commit",
];

fn attack(number: usize, program: &Path) -> String {
    ATTACKS[number].replace("PROGRAM", &program.to_string_lossy())
}

/// A program that leaves a proof of its having run.
fn program(folder: &Path) -> (PathBuf, PathBuf) {
    let (program, proof) = (folder.join("evil.sh"), folder.join("proof"));
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", proof.display())).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    (program, proof)
}

/// What a user does every day; whether it ran the program.
fn everyday(folder: &Path, proof: &Path) -> bool {
    git(folder, &["status"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", "host's"]);
    git(folder, &["diff"]);
    let ran = proof.exists();
    let _ = fs::remove_file(proof);
    ran
}

#[test]
fn the_host_s_git_runs_nothing_that_the_agent_planted_and_the_agent_s_git_works() {
    let world = World::new("wsgit").unwrap();
    let folder = world.project();

    // Positive control: the same attacks through a plain mount.
    for number in 0..ATTACKS.len() {
        let plain = folder.join("plain");
        fs::create_dir_all(&plain).unwrap();
        repository(&plain);
        let (evil, proof) = program(&plain);
        assert!(!everyday(&plain, &proof), "nothing is planted yet");
        let script = attack(number, &evil);
        let (at, image) = (plain.to_string_lossy(), "clawker-agent:latest");
        let mount = format!("{at}:{at}");
        let run = ["run", "--rm", "--user", "1001", "-w", &at, "-v", &mount, "--entrypoint", "sh", image];
        docker(&[&run[..], &["-c", &script]].concat()).unwrap();
        assert!(everyday(&plain, &proof), "positive control: the host's git runs what was planted: {script}");
        fs::remove_dir_all(&plain).unwrap();
    }

    repository(&folder);
    let (evil, proof) = program(&folder);
    world.agent("dev").unwrap();
    assert!(!everyday(&folder, &proof));
    let plant = |when: &str| {
        for (number, what) in ATTACKS.iter().enumerate() {
            world.sh("dev", &attack(number, &evil)).unwrap();
            assert!(!everyday(&folder, &proof), "{when}: {what}");
            must(&folder, &["status"]);
        }
    };
    plant("by a running agent");
    // The host's git renames over its configuration.
    must(&folder, &["config", "some.key", "value"]);
    must(&folder, &["remote", "add", "hosts", "/nowhere"]);
    plant("after the host's renames");

    // The agent's git.
    let script = "set -e
        git config user.name a; git config user.email a@b
        echo 2 >> file; git commit -qam agents
        git checkout -q -b topic origin/main; git push -q -u origin topic
        git remote add mine /elsewhere; git remote get-url mine; git rev-parse --abbrev-ref topic@{u}
        git checkout -q main";
    let said = world.sh("dev", script).unwrap();
    assert_eq!((said.code, said.out.as_str()), (0, "/elsewhere\norigin/topic"), "{said:?}");
    assert!(must(&folder, &["log", "--oneline", "-3"]).contains("agents"), "the host sees the commit");
    assert!(must(&folder, &["branch", "--list", "topic"]).contains("topic"));
    assert!(!must(&folder, &["config", "--list"]).contains("mine"), "the agent's remote is its own");

    // A repository that it makes is shown before the next command, and can be set aside.
    let nested = format!(
        "mkdir nested; cd nested; git init -q; git -c user.name=a -c user.email=b commit -q --allow-empty -m x;
        cd ..; git add nested 2>/dev/null; git -C nested config core.fsmonitor {}",
        evil.display()
    );
    world.sh("dev", &nested).unwrap();
    let told = world.clawker(&["ps"]).unwrap();
    assert!(told.err.contains("nested/.git/config: core.fsmonitor"), "{told:?}");
    let asked = world.clawker(&["run", "--agent", "two", "--detach", "--", "sleep", "9"]).unwrap();
    assert!(asked.code != 0 && asked.err.contains("nested/.git"), "{asked:?}");
    assert!(everyday(&folder, &proof), "positive control: git looks into a nested repository");
    world.must(&["workspace", "--undo"]).unwrap();
    assert!(!everyday(&folder, &proof));
    assert_eq!(world.clawker(&["workspace"]).unwrap().code, 0);

    // What the agent wrote is its uid's, which is the owner of the folder.
    let owner = fs::metadata(folder.join("file")).unwrap().uid();
    assert_eq!(owner, USER);
    world.must(&["rm", "-f", "dev"]).unwrap();
    assert!(!folder.join(".git/commondir").exists() && folder.join(".git/config").is_file());
    assert!(must(&folder, &["remote", "get-url", "origin"]).contains("origin.git"));
    assert!(!everyday(&folder, &proof));
}
