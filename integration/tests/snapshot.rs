//! What an agent sees of the project: not what `.clawkerignore` names, in a bound project and in a copy, and from a copy
//! nothing comes back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::Command;

use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;

const READ: &str = "cat secrets/key .env 'sub/a b.pem' 2>/dev/null; cat sub/plain";

#[test]
fn what_is_named_is_hidden_bound_and_copied_and_a_copy_stays_apart() {
    let world = World::new("hidden").unwrap();
    let project = world.sandbox.project();
    for folder in ["secrets", "sub"] {
        fs::create_dir_all(project.join(folder)).unwrap();
    }
    for (file, text) in
        [("secrets/key", "one "), (".env", "two "), ("sub/a b.pem", "three "), ("sub/plain", "four")]
    {
        fs::write(project.join(file), text).unwrap();
    }
    let seen = |agent: &str| world.sh(agent, &format!("cd '{}'; {READ}", project.display())).unwrap().out;

    world.agent("open").unwrap();
    assert_eq!(seen("open"), "one two three four");
    world.must(&["rm", "-f", "open"]).unwrap();

    fs::write(project.join(".clawkerignore"), "secrets/\n.env\n*.pem\n").unwrap();
    // The look at the workspace doesn't know who wrote it.
    world.must(&["workspace", "--accept"]).unwrap();
    world.agent("bound").unwrap();
    assert_eq!(seen("bound"), "four");
    // A cover takes no link: the file below has no name that the agent could give it.
    let linked =
        world.inside("bound", "0", &["ln", &project.join(".env").to_string_lossy(), "/tmp/x"]).unwrap();
    assert!(linked.code != 0 && linked.err.contains("cross-device"), "{linked:?}");
    // What appears in a hidden folder later is hidden, too.
    fs::write(project.join("secrets/later"), "five").unwrap();
    let listed = world.inside("bound", "0", &["ls", &project.join("secrets").to_string_lossy()]).unwrap();
    assert_eq!((listed.code, listed.out.as_str()), (0, ""), "{listed:?}");
    world.must(&["rm", "-f", "bound"]).unwrap();

    let run = |more: &[&str]| {
        let first = ["run", "--yes", "--detach", "--agent", "copy", "--mode", "snapshot"];
        world.must(&[&first[..], more, &["--", "sleep", "600"]].concat()).unwrap();
    };
    let within = |script: &str| world.sh("copy", &format!("cd '{}'; {script}", project.display())).unwrap();
    run(&[]);
    assert_eq!(seen("copy"), "four");
    let hidden = within("ls -A; ls secrets");
    assert!(hidden.code != 0 && hidden.out.contains("sub") && !hidden.out.contains("secrets"), "{hidden:?}");
    assert_eq!(within("echo changed >sub/plain; echo new >made; id -u").out, "1001");
    assert_eq!(fs::read_to_string(project.join("sub/plain")).unwrap(), "four");
    assert!(!project.join("made").exists());

    world.must(&["rm", "-f", "copy"]).unwrap();
    run(&[]);
    assert_eq!(within("cat sub/plain made").out, "changed\nnew", "the copy is used again");
    world.must(&["rm", "-f", "copy"]).unwrap();
    run(&["--fresh"]);
    assert_eq!(within("cat sub/plain; ls made").out, "four", "the copy is begun again");
    let volume = format!("{}.snapshot", world.container("copy"));
    docker(&["volume", "inspect", &volume]).unwrap();
    world.must(&["rm", "-f", "--volumes", "copy"]).unwrap();
    assert!(docker(&["volume", "inspect", &volume]).is_err(), "{volume} is still there");
}

#[test]
fn what_is_named_and_appears_later_is_hidden_and_what_was_made_for_it_goes_with_the_last_agent() {
    let world = World::new("later").unwrap();
    let project = world.sandbox.project();
    let write = |name: &str, text: &str| fs::write(project.join(name), text).unwrap();
    write(".clawkerignore", ".env\n/keys/\nconf/deep/key\n*.pem\n");
    let git = |args: &[&str]| {
        let output = Command::new("git")
            .args(["-c", "safe.directory=*", "-C"])
            .arg(&project)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    git(&["init", "-q"]);
    write(".git/info/exclude", "mine");
    world.must(&["workspace", "--accept"]).unwrap();
    world.agent("dev").unwrap();
    // git has nothing to say of what was made; control: the file that says it.
    let shown = git(&["status", "--porcelain", "--untracked-files=all"]);
    let has = |name: &str| shown.lines().any(|line| line[3..].starts_with(name));
    assert!(has(".clawkerignore") && ![".env", "keys", "conf"].into_iter().any(has), "{shown}");
    let inside = world.sh("dev", &format!("cat '{}/.git/info/exclude'", project.display())).unwrap().out;
    assert!(inside.contains("/conf/deep/key"), "the agent's git does: {inside}");
    let seen = || {
        let script =
            "cat .env keys/a conf/deep/key late.pem 2>/dev/null; echo >>.env; echo >keys/x; ls -A keys";
        world.sh("dev", &format!("cd '{}'; {script}", project.display())).unwrap().out
    };
    write(".env", "one ");
    write("keys/a", "two ");
    write("conf/deep/key", "three ");
    // Positive control: what no line names by itself is not waited for.
    write("late.pem", "four");
    assert_eq!(seen(), "four");
    assert_eq!(fs::read_to_string(project.join(".env")).unwrap(), "one ", "the agent wrote nothing into it");

    world.must(&["stop", "-t", "1", "dev"]).unwrap();
    for gone in [".env", "late.pem"] {
        fs::remove_file(project.join(gone)).unwrap();
    }
    world.must(&["start", "dev"]).unwrap();
    write(".env", "five ");
    assert_eq!(seen(), "", "it was made again before the start");
    fs::remove_file(project.join("keys/a")).unwrap();
    world.must(&["rm", "-f", "dev"]).unwrap();
    let there = |name: &str| project.join(name).exists();
    assert_eq!([".env", "keys", "conf/deep/key"].map(there), [true, false, true], "what is used stays");

    for used in [".env", "conf/deep/key"] {
        fs::remove_file(project.join(used)).unwrap();
    }
    fs::remove_dir_all(project.join("conf")).unwrap();
    for agent in ["one", "two"] {
        world.agent(agent).unwrap();
    }
    world.must(&["rm", "-f", "one"]).unwrap();
    assert_eq!([".env", "keys", "conf/deep/key"].map(there), [true; 3], "another agent needs them");
    world.must(&["rm", "-f", "two"]).unwrap();
    assert_eq!([".env", "keys", "conf"].map(there), [false; 3]);
    assert_eq!(fs::read_to_string(project.join(".git/info/exclude")).unwrap(), "mine\n");
}
