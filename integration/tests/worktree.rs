//! Worktrees: two agents on two branches of one repository at the same time, whose git works; and what they plant in it is
//! run by no git of the host's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
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
        .args(["-c", "user.name=n", "-c", "user.email=e@f", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(folder)
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .uid(USER)
        .gid(USER)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned())
}

fn must(folder: &Path, words: &[&str]) -> String {
    let (fine, text) = git(folder, words);
    assert!(fine, "git {words:?}: {text}");
    text
}

/// A repository with an origin within.
fn repository(folder: &Path) {
    chown(folder, Some(USER), Some(USER)).unwrap();
    must(folder, &["init", "-q"]);
    must(folder, &["init", "-q", "--bare", ".git/objects/origin.git"]);
    must(folder, &["remote", "add", "origin", &folder.join(".git/objects/origin.git").to_string_lossy()]);
    fs::write(folder.join("file"), "1\n").unwrap();
    chown(folder.join("file"), Some(USER), Some(USER)).unwrap();
    must(folder, &["add", "file"]);
    must(folder, &["commit", "-q", "-m", "first"]);
    must(folder, &["branch", "old"]);
    must(folder, &["pack-refs", "--all"]);
    must(folder, &["push", "-q", "-u", "origin", "main"]);
}

/// Ways to have the host's git run a program, from within a worktree; each leaves a repository in which git works.
const ATTACKS: [&str; 9] = [
    "git config core.fsmonitor PROGRAM",
    "printf '[core]\n\tfsmonitor = PROGRAM\n' >> $(git rev-parse --git-common-dir)/config;
     printf '[core]\n\tfsmonitor = PROGRAM\n' >> MAIN/.git/config",
    "cp PROGRAM MAIN/.git/hooks/post-commit",
    "mv MAIN/.git/hooks MAIN/.git/old; mkdir MAIN/.git/hooks; cp PROGRAM MAIN/.git/hooks/post-commit",
    "C=$(git rev-parse --git-common-dir); D=$(git rev-parse --git-dir); mkdir $D/x;
     cp -r $C/objects $C/refs $C/config $C/HEAD $D/x; git config -f $D/x/config core.fsmonitor PROGRAM;
     rm -f $D/commondir; echo x > $D/commondir",
    "D=$(git rev-parse --git-dir); C=$(git rev-parse --git-common-dir); mv $D $D.old; cp -r $D.old $D;
     mkdir $D/x; cp -r $C/objects $C/refs $C/config $C/HEAD $D/x; git config -f $D/x/config core.fsmonitor PROGRAM;
     echo x > $D/commondir",
    "git config extensions.worktreeConfig true; D=$(git rev-parse --git-dir); rm -f $D/config.worktree;
     git config -f $D/config.worktree core.fsmonitor PROGRAM",
    "C=$(git rev-parse --git-common-dir); cp -r $C own; git config -f own/config core.fsmonitor PROGRAM;
     rm -f .git; echo gitdir: own > .git",
    "C=$(git rev-parse --git-common-dir); cp -r $C own; git config -f own/config core.fsmonitor PROGRAM;
     mv .git .git-old; mv own .git",
];

fn attack(number: usize, main: &Path, program: &Path) -> String {
    let script = ATTACKS[number].replace("PROGRAM", &program.to_string_lossy());
    script.replace("MAIN", &main.to_string_lossy())
}

/// A program that leaves a proof of its having run.
fn program(folder: &Path) -> (PathBuf, PathBuf) {
    let (program, proof) = (folder.join("evil.sh"), folder.join("proof"));
    fs::write(&program, format!("#!/bin/sh\ntouch {}\n", proof.display())).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    (program, proof)
}

/// What a user does every day; whether it ran the program.
fn everyday(folders: &[&Path], proof: &Path) -> bool {
    // The agent's own git may have run it, in the container.
    let _ = fs::remove_file(proof);
    for folder in folders {
        git(folder, &["status"]);
        git(folder, &["commit", "-q", "--allow-empty", "-m", "host's"]);
        git(folder, &["diff"]);
    }
    let ran = proof.exists();
    let _ = fs::remove_file(proof);
    ran
}

/// Positive control: the same, where main checkout and worktree are mounted as they are.
fn without_clawker(folder: &Path) {
    for number in 0..ATTACKS.len() {
        let plain = folder.join("plain");
        let (main, linked) = (plain.join("main"), plain.join("linked"));
        fs::create_dir_all(&main).unwrap();
        chown(&plain, Some(USER), Some(USER)).unwrap();
        repository(&main);
        must(&main, &["worktree", "add", "-q", "-b", "x", &linked.to_string_lossy()]);
        let (evil, proof) = program(&linked);
        assert!(!everyday(&[&linked, &main], &proof), "nothing is planted yet");
        let script = attack(number, &main, &evil);
        let (at, workdir) = (plain.to_string_lossy(), linked.to_string_lossy());
        let mount = format!("{at}:{at}");
        let image = "clawker-agent:latest";
        let run =
            ["run", "--rm", "--user", "1001", "-w", &workdir, "-v", &mount, "--entrypoint", "sh", image];
        docker(&[&run[..], &["-c", &script]].concat()).unwrap();
        assert!(everyday(&[&linked, &main], &proof), "positive control: the host's git runs it: {script}");
        fs::remove_dir_all(&plain).unwrap();
    }
}

fn run(world: &World, words: &[&str]) {
    let all = [&["run"], words, &["--detach", "--yes", "--", "sleep", "3600"]].concat();
    world.must(&all).unwrap();
}

/// What an agent's git does every day.
const WORK: &str = "set -e
    git config user.name a; git config user.email a@b
    test -z \"$(git status --porcelain --untracked-files=no)\"
    echo 2 >> file; git commit -qam $0; git checkout -q -b $0-2; git push -q -u origin $0-2
    git remote add mine /elsewhere; git remote get-url mine; git rev-parse --abbrev-ref $0-2@{u}
    git checkout -q $0; git branch -q -D $0-2; echo 3 >> file; git stash -q; git stash pop -q; git diff --stat
    git checkout -q file; git pack-refs --all; git log -1 --format=%s";

#[test]
fn two_agents_work_on_two_branches_and_the_host_s_git_runs_nothing_of_theirs() {
    let world = World::new("wtree").unwrap();
    let folder = world.project();
    without_clawker(&folder);

    repository(&folder);
    // Only where the host says so does its git read config.worktree.
    must(&folder, &["config", "extensions.worktreeConfig", "true"]);
    run(&world, &["--agent", "main"]);
    run(&world, &["--worktree", "one"]);
    run(&world, &["--worktree", "feat/two:old", "--agent", "two"]);
    let list: serde_json::Value =
        serde_json::from_str(&world.must(&["worktree", "list", "--json"]).unwrap()).unwrap();
    assert_eq!((&list[0]["branch"], &list[1]["branch"]), (&"feat/two".into(), &"one".into()), "{list}");
    assert_eq!((&list[1]["agents"][0], &list[1]["dirty"]), (&"one".into(), &false.into()), "{list}");
    let dir = |number: usize| PathBuf::from(list[number]["dir"].as_str().unwrap());
    let (one, two) = (dir(1), dir(0));

    for (agent, branch) in [("one", "one"), ("two", "two"), ("main", "main")] {
        let script = if agent == "two" {
            WORK.replace("git checkout -q $0;", "git checkout -q feat/two;")
        } else {
            WORK.into()
        };
        let said = world.clawker(&["exec", "--agent", agent, "--", "sh", "-c", &script, branch]).unwrap();
        let lines =
            format!("/elsewhere\norigin/{branch}-2\n file | 1 +\n 1 file changed, 1 insertion(+)\n{branch}");
        assert_eq!((said.code, said.out.as_str()), (0, lines.as_str()), "{agent}: {said:?}");
    }
    let log = must(&folder, &["log", "--format=%D %s", "one", "feat/two", "main"]);
    assert!(["one", "two", "main"].iter().all(|commit| log.contains(commit)), "the host sees them: {log}");
    assert_eq!(must(&folder, &["status", "--porcelain", "--untracked-files=no"]), "");
    assert!(!must(&folder, &["config", "--list"]).contains("mine"), "the agents' remotes are their own");
    must(&folder, &["fsck"]);

    // The main checkout is not theirs to see or to change, nor another's place.
    let main = folder.display();
    let others = format!(
        "ls -A {main}; for f in HEAD index config worktrees/x clawker/worktrees/one/HEAD clawker/worktrees/one/x; do
        echo x > {main}/.git/$f && echo wrote $f; done; cat {main}/file {}/file; git checkout -q one && echo took; :",
        one.display()
    );
    let said = world.sh("two", &others).unwrap();
    assert_eq!((said.code, said.out.as_str()), (0, ".git"), "{said:?}");

    for (agent, place) in [("one", &one), ("two", &two)] {
        let (evil, proof) = program(place);
        for number in 0..ATTACKS.len() {
            let script = attack(number, &folder, &evil);
            world.sh(agent, &script).unwrap();
            assert!(!everyday(&[place, &folder], &proof), "{agent}: {script}");
            must(place, &["status"]);
            // The host's git writes its own meanwhile.
            must(place, &["config", "some.key", &number.to_string()]);
        }
        world.sh(agent, "rm -rf own .git-old evil.sh").unwrap();
    }

    // An agent in the main checkout puts a link to a folder of the host's in another's place. The start refuses it; and so does init,
    // where the link came after the look.
    world.must(&["stop", "-t", "1", "two"]).unwrap();
    let home = world.home();
    world.sh("main", &format!("mv .git/logs .git/away; ln -s {} .git/logs", home.display())).unwrap();
    let refused = world.clawker(&["start", "two"]).unwrap();
    assert!(refused.code == 1 && refused.err.contains(".git/logs: is a link to"), "{refused:?}");
    let container = world.container("two");
    docker(&["start", &container]).unwrap();
    docker(&["wait", &container]).unwrap();
    let said = Command::new("docker").args(["logs", "--tail", "1", &container]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("logs is not the folder that was to be mounted"), "{said}");
    world.sh("main", "rm .git/logs; mv .git/away .git/logs").unwrap();
    world.must(&["workspace", "--undo"]).unwrap();
    world.must(&["start", "two"]).unwrap();
    assert_eq!(world.sh("two", "git log -1 --format=%s feat/two").unwrap().out, "host's");

    // What can't be prevented is shown, and set aside.
    world.sh("one", "ln -s /tmp/x $(git rev-parse --git-dir)/logs/link; git init -q nested").unwrap();
    let told = world.clawker(&["ps"]).unwrap();
    assert!(told.err.contains("logs/link: is a link") && told.err.contains("nested/.git"), "{told:?}");
    assert_eq!(world.clawker(&["workspace"]).unwrap().code, 1);
    world.must(&["workspace", "--undo"]).unwrap();
    assert_eq!(world.clawker(&["workspace"]).unwrap().code, 0);
    world.sh("one", "rm -rf nested").unwrap();

    // A worktree outlives its agent, and its branch outlives it.
    let refused = world.clawker(&["worktree", "remove", "one"]).unwrap();
    assert!(refused.code == 1 && refused.err.contains("clawker rm one"), "{refused:?}");
    world.sh("one", "echo work > new").unwrap();
    world.must(&["rm", "-f", "one", "two", "main"]).unwrap();
    let refused = world.clawker(&["worktree", "remove", "one"]).unwrap();
    assert!(refused.code == 1 && refused.err.contains("not committed"), "{refused:?}");
    assert_eq!(fs::read_to_string(one.join("new")).unwrap(), "work\n");
    world.must(&["worktree", "remove", "--force", "one"]).unwrap();
    world.must(&["worktree", "remove", "--force", "feat/two"]).unwrap();
    assert!(!one.exists() && !two.exists());
    assert!(must(&folder, &["branch"]).contains("feat/two"));
    assert!(!folder.join(".git/commondir").exists() && folder.join(".git/packed-refs").is_file());
    assert_eq!(must(&folder, &["worktree", "list"]).lines().count(), 1);
    must(&folder, &["fsck"]);
}
