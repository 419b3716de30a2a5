//! Whose the workspace is: its owner's uid is the agent's, and where it is root's, an idmapped mount makes root's files the
//! agent's and the agent's files root's; but for set-id bits, which would make root of whoever runs such a file on the host.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use clawker_integration::rig::docker::{docker, run};
use clawker_integration::rig::sandbox::Sandbox;
use clawker_integration::world::World;
use nix::libc;

/// The agent's uid and gid where the workspace's owner is not its own.
const AGENT: u32 = 1001;
/// `AT_FDCWD`, and calls that have the same number on every architecture.
const RAW: &str = "my ($here, $openat2, $fchmodat2) = (-100, 437, 452);";

/// Gives the project to this uid, with all that is in it.
fn give(project: &Sandbox, uid: u32) -> PathBuf {
    let folder = project.project();
    run("chown", &["-R", &format!("{uid}:{uid}"), &folder.to_string_lossy()]).unwrap();
    folder
}

fn owner(path: &Path) -> (u32, u32) {
    let about = fs::symlink_metadata(path).unwrap();
    (about.uid(), about.gid())
}

/// What is left where workspaces are placed: mounts in the host's table, folders below state.
fn left(world: &World) -> Vec<String> {
    let mounts = world.state_folder().join("mounts");
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mut left: Vec<_> =
        table.lines().filter(|line| line.contains(&*mounts.to_string_lossy())).map(str::to_owned).collect();
    for entry in fs::read_dir(&mounts).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A lock beside is only a name, and goes with its agent.
        if !name.ends_with(".lock") {
            left.push(name);
        }
    }
    left
}

#[test]
fn root_s_workspace_is_the_agent_s_inside_and_what_it_writes_is_root_s() {
    let world = World::new("own0").unwrap();
    let folder = give(&world, 0);
    let secret = folder.join("root-only");
    fs::write(&secret, "root's").unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let at = folder.to_string_lossy();

    // Positive control: through a plain mount uid 1001 can neither read it nor write beside it.
    let mount = format!("{at}:{at}");
    let plain = ["run", "--rm", "--user", "1001", "-w", &at, "-v", &mount, "--entrypoint", "sh"];
    let script = "cat root-only || touch by-1001";
    docker(&[&plain[..], &["clawker-agent:latest", "-c", script]].concat()).unwrap_err();

    world.agent("dev").unwrap();
    assert_eq!(left(&world), Vec::<String>::new(), "the container has it; nobody else needs it");
    let works = |file: &str, when: &str| {
        let script = format!("set -e; id -u; stat -c %u:%g . root-only; cat root-only; echo x > {file}");
        let said = world.sh("dev", &script).unwrap();
        assert_eq!(said.out, "1001\n1001:1001\n1001:1001\nroot's", "{when}: {said:?}");
        assert_eq!(owner(&folder.join(file)), (0, 0), "{when}: on the disk it is root's");
        assert_eq!(left(&world), Vec::<String>::new(), "{when}");
    };
    works("first", "after run");
    let more = "set -e; mkdir folder; ln -s x link; echo more >> root-only; mv first folder; rm fakenet";
    assert_eq!(world.sh("dev", more).unwrap().code, 0);
    for name in ["folder", "link", "folder/first", "root-only"] {
        assert_eq!(owner(&folder.join(name)), (0, 0), "{name}");
    }
    fs::write(&secret, "root's").unwrap();
    world.must(&["stop", "--time", "1", "dev"]).unwrap();
    world.must(&["start", "--yes", "dev"]).unwrap();
    works("second", "after stop and start");
    world.must(&["restart", "--time", "1", "--yes", "dev"]).unwrap();
    works("third", "after restart");
    world.must(&["pause", "dev"]).unwrap();
    world.must(&["unpause", "dev"]).unwrap();
    works("fourth", "after pause");

    // Both ways of a copy; Docker mounts the workspace for each once more.
    let source = world.home().join("given");
    fs::write(&source, "given").unwrap();
    fs::set_permissions(&source, PermissionsExt::from_mode(0o4755)).unwrap();
    world.must(&["cp", &source.to_string_lossy(), &format!("dev:{at}/given")]).unwrap();
    assert_eq!(owner(&folder.join("given")), (0, 0));
    assert_eq!(fs::metadata(folder.join("given")).unwrap().mode() & 0o6000, 0, "without its bit");
    let back = world.home().join("back");
    world.must(&["cp", &format!("dev:{at}/root-only"), &back.to_string_lossy()]).unwrap();
    assert_eq!(fs::read_to_string(&back).unwrap(), "root's");
    assert_eq!(left(&world), Vec::<String>::new(), "after copies");

    // Behind clawker's back: what Docker finds there is not the workspace, and nothing starts.
    let container = world.container("dev");
    docker(&["stop", "--time", "1", &container]).unwrap();
    let told = docker(&["start", &container]).unwrap_err().to_string();
    assert!(told.contains("bind source path does not exist"), "{told}");
    let id = docker(&["inspect", "--format", "{{index .Config.Labels \"clawker.id\"}}", &container]).unwrap();
    let place = world.state_folder().join("mounts").join(id);
    fs::create_dir_all(&place).unwrap();
    docker(&["start", &container]).unwrap();
    docker(&["wait", &container]).unwrap();
    let log = Command::new("docker").args(["logs", "--tail", "3", &container]).output().unwrap();
    let log = String::from_utf8_lossy(&[log.stdout, log.stderr].concat()).into_owned();
    assert!(log.contains("its idmapped mount is not there"), "{log}");
    assert!(!place.join("fifth").exists());
    // clawker's own start takes the place over all the same.
    world.must(&["start", "--yes", "dev"]).unwrap();
    works_after_all(&world, &folder);
    world.must(&["rm", "-f", "dev"]).unwrap();
    let mounts = world.state_folder().join("mounts");
    let lines = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!lines.contains(&*mounts.to_string_lossy()));
    assert!(!mounts.join("lock").exists());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "root's", "nothing of the workspace went with it");
}

fn works_after_all(world: &World, folder: &Path) {
    assert_eq!(world.sh("dev", "echo x > fifth").unwrap().code, 0);
    assert_eq!(owner(&folder.join("fifth")), (0, 0));
}

/// Ways to a file with a set-id bit, each by the agent alone. `FILE` is where it is to be.
fn attacks() -> Vec<(&'static str, String)> {
    let perl = |script: &str| format!("perl -e 'umask 0; my $f = \"FILE\"; {RAW} {script}'");
    let mut attacks = vec![
        ("chmod u+s", "cp /usr/bin/true FILE; chmod u+s FILE".to_owned()),
        ("chmod g+s", "cp /usr/bin/true FILE; chmod g+s FILE".to_owned()),
        ("install", "install -m 4755 /usr/bin/true FILE".to_owned()),
        ("cp -p", "cp -p /tmp/set-id FILE".to_owned()),
        ("mv from another file system", "cp -p /tmp/set-id /tmp/FILE; mv /tmp/FILE FILE".to_owned()),
        (
            "tar",
            "tar -C /tmp -cf /tmp/t set-id; mkdir out; tar -xpf /tmp/t -C out; mv out/set-id FILE".to_owned(),
        ),
        ("fchmod", perl("open(my $h, \">\", $f); chmod 04755, $h")),
        ("open", perl("sysopen(my $h, $f, 0101, 04755)")),
        ("openat2", perl("my $how = pack(\"QQQ\", 0101, 04755, 0); syscall($openat2, $here, $f, $how, 24)")),
        ("fchmodat2", perl("open(my $h, \">\", $f); syscall($fchmodat2, $here, $f, 02755, 0)")),
        ("mknodat", perl(&format!("syscall({}, $here, $f, 0104755, 0)", libc::SYS_mknodat))),
        (
            "O_TMPFILE",
            perl(&format!(
                "sysopen(my $h, \".\", {}, 04755); my $from = \"/proc/self/fd/\" . fileno($h);
                 syscall({}, $here, $from, $here, $f, 0x400)",
                libc::O_TMPFILE | libc::O_RDWR,
                libc::SYS_linkat
            )),
        ),
    ];
    #[cfg(target_arch = "x86_64")]
    attacks.extend([
        ("creat", perl(&format!("syscall({}, $f, 04755)", libc::SYS_creat))),
        ("chmod, the old call", perl("open(my $h, \">\", $f); syscall(90, $f, 06755)")),
        ("mknod", perl("syscall(133, $f, 0104755, 0)")),
    ]);
    attacks
}

/// Lets an agent try each; which of them left a file with a bit on the host.
fn succeeding(project: &Sandbox) -> Vec<&'static str> {
    let folder = project.project();
    // A program of the agent's that has the bit, in the container's own files: past clawker, so without its filter.
    let uid = project.sh("dev", "id -u").unwrap().out;
    let made = project
        .inside("dev", &format!("{uid}:{uid}"), &["install", "-m", "4755", "/usr/bin/true", "/tmp/set-id"])
        .unwrap();
    assert_eq!(made.code, 0, "{made:?}");
    let mut came = Vec::new();
    for (number, (name, script)) in attacks().into_iter().enumerate() {
        let file = format!("attack-{number}");
        project.sh("dev", &script.replace("FILE", &file)).unwrap();
        let path = folder.join(&file);
        if fs::metadata(&path).is_ok_and(|about| about.mode() & 0o6000 != 0) {
            came.push(name);
            fs::remove_file(&path).unwrap();
        }
    }
    let list =
        ["/usr/bin/find", &folder.to_string_lossy(), "-type", "f", "-perm", "/6000"].map(str::to_owned);
    let elsewhere = Command::new(&list[0]).args(&list[1..]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&elsewhere.stdout), "", "under another name");
    came
}

#[test]
fn no_file_of_root_s_gets_a_set_id_bit_from_an_agent() {
    let world = World::new("ownid").unwrap();
    let folder = give(&world, 0);
    world.agent("dev").unwrap();
    let control = world.beside("thousand").unwrap();
    give(&control, 1000);
    control.agent("dev").unwrap();

    let mut all: Vec<_> = attacks().into_iter().map(|(name, _)| name).collect();
    // An older Docker's own filter does not know this call; without that filter it sets the bit.
    let late = "fchmodat2";
    let call = format!(
        "perl -e '{RAW} my $f = \"none\"; syscall(${late}, $here, $f, 0755, 0); print $!{{ENOSYS}} ? 1 : 0'"
    );
    if control.sh("dev", &call).unwrap().out == "1" {
        all.retain(|name| *name != late);
        let script = attacks().into_iter().find(|(name, _)| *name == late).unwrap().1;
        let script = format!("cd /tmp; {script}; stat -c %a FILE");
        let open = ["run", "--rm", "--security-opt", "seccomp=unconfined", "--user", "1000:1000"];
        let rest = ["--entrypoint", "sh", "clawker-agent:latest", "-c", &script];
        assert_eq!(docker(&[&open[..], &rest].concat()).unwrap(), "2755", "positive control");
    }
    assert_eq!(succeeding(&control), all, "positive control: where files are not root's, each sets the bit");
    assert_eq!(succeeding(&world), Vec::<&str>::new());
    let usual = "umask 0; echo x > a; chmod 1755 a; chmod 0777 a; install -m 0755 a b; mkdir -m 2775 d; stat -c %a a b";
    assert_eq!(world.sh("dev", usual).unwrap().out, "777\n755", "all else is as it was");

    // The agent's own command is filtered like what is run beside it.
    for (project, bit) in [(&*world, 0), (&control, 0o4000)] {
        let script = "cp /usr/bin/true main; chmod u+s main; true";
        project.must(&["run", "--rm", "--agent", "two", "--yes", "--", "sh", "-c", script]).unwrap();
        assert_eq!(fs::metadata(project.project().join("main")).unwrap().mode() & 0o6000, bit);
    }

    // What the host put there is named before a start, and an agent that runs goes on.
    let planted = folder.join("d").join("planted");
    fs::write(&planted, "").unwrap();
    for (project, fine) in [(&*world, false), (&control, true)] {
        let planted = project.project().join("planted");
        fs::write(&planted, "").unwrap();
        chown(&planted, Some(0), Some(0)).unwrap();
        fs::set_permissions(&planted, PermissionsExt::from_mode(0o4755)).unwrap();
        project.must(&["stop", "--time", "1", "dev"]).unwrap();
        for words in
            [&["start", "--yes", "dev"][..], &["run", "--rm", "--agent", "two", "--yes", "--", "true"]]
        {
            let said = project.clawker(words).unwrap();
            assert_eq!(said.code == 0, fine, "{said:?}");
            assert!(fine || said.err.contains("set-id bit") && said.err.contains(": planted"), "{said:?}");
        }
        fs::remove_file(&planted).unwrap();
    }
    assert_eq!(left(&world), Vec::<String>::new(), "nor after a refusal");
    world.must(&["start", "--yes", "dev"]).unwrap();
}

#[test]
fn an_agent_is_who_the_workspace_belongs_to_and_who_it_is_told_to_be() {
    let world = World::new("ownuid").unwrap();
    let folder = world.project();
    let once = |words: &[&str]| {
        let begin = ["run", "--rm", "--yes", "--", "sh", "-c"];
        world.clawker(&[&begin[..], words].concat()).unwrap()
    };
    for uid in [1000, AGENT, 4321] {
        give(&world, uid);
        let said = once(&["id -u; id -g; echo x > file"]);
        assert_eq!((said.code, said.out), (0, format!("{uid}\n{uid}")), "{}", said.err);
        assert_eq!(owner(&folder.join("file")), (uid, uid));
        fs::remove_file(folder.join("file")).unwrap();
    }

    // Told who to be, it is no more than that to root's files.
    let file = folder.join(".clawker.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}agent:\n  uid: 1001\n")).unwrap();
    give(&world, 0);
    let said = once(&["id -u; stat -c %u .; echo x > file || echo refused"]);
    assert_eq!((said.code, said.out.as_str()), (0, "1001\n0\nrefused"), "{}", said.err);
    assert!(said.err.contains("can't change root's files"), "{}", said.err);

    // User namespaces and root's files exclude each other; each alone is fine.
    fs::write(&file, format!("{text}  userns: true\n")).unwrap();
    let said = once(&["true"]);
    assert!(said.code != 0 && said.err.contains("security.userns"), "{said:?}");
    for way in ["chown -R", "--mode snapshot", "agent.uid: 1001"] {
        assert!(said.err.contains(way), "{way}: {}", said.err);
    }
    give(&world, 1000);
    let said = once(&["true"]);
    assert_eq!(said.code, 0, "{}", said.err);

    // A file system that has no ids to map: refused with all ways on, and a copy of it works.
    fs::write(&file, &text).unwrap();
    let within = folder.join("within");
    fs::create_dir(&within).unwrap();
    give(&world, 0);
    let at = within.to_string_lossy();
    run("mount", &["-t", "ramfs", "none", &at]).unwrap();
    let said = once(&["true"]);
    run("umount", &[&at]).unwrap();
    assert!(said.code != 0 && said.err.contains("--mode snapshot"), "{said:?}");
    let said = once(&["id -u"]);
    assert_eq!((said.code, said.out.as_str()), (0, "1001"), "positive control: {}", said.err);
    assert_eq!(left(&world), Vec::<String>::new());
}

/// Git on the host, as root.
fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=n", "-c", "user.email=e@f", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[test]
fn git_works_for_both_in_root_s_repository_and_in_a_worktree_of_it() {
    let world = World::new("owngit").unwrap();
    let folder = give(&world, 0);
    git(&folder, &["init", "-q"]);
    fs::write(folder.join("file"), "1\n").unwrap();
    git(&folder, &["add", "file"]);
    git(&folder, &["commit", "-q", "-m", "first"]);
    // What lies over the workspace can be read whatever its mode, and not be written.
    fs::set_permissions(folder.join(".clawker.yaml"), PermissionsExt::from_mode(0o600)).unwrap();

    world.agent("dev").unwrap();
    let script = "set -e; git config user.name a; git config user.email a@b
        echo 2 >> file; git commit -qam agents; cat .clawker.yaml | grep -c project:
        (echo x >> .clawker.yaml) 2>/dev/null || echo refused
        (echo x >> .git/commondir) 2>/dev/null || echo refused
        (echo x > .git/hooks/post-commit) 2>/dev/null || echo refused
        git status --short";
    let said = world.sh("dev", script).unwrap();
    let expected = "1\nrefused\nrefused\nrefused\n?? .clawker.yaml\n?? fakenet";
    assert_eq!((said.code, said.out.as_str()), (0, expected), "{}", said.err);
    assert_eq!(git(&folder, &["log", "-1", "--format=%s"]), "agents");
    assert_eq!(owner(&folder.join(".git/index")), (0, 0));

    let words = ["run", "--worktree", "topic", "--detach", "--yes", "--", "sleep", "3600"];
    world.must(&words).unwrap();
    assert_eq!(left(&world), Vec::<String>::new(), "of neither mount");
    let script = "set -e; id -u; git config user.name a; git config user.email a@b
        echo 3 >> file; git commit -qam worktrees; git pack-refs --all; git status --short";
    let said = world.sh("topic", script).unwrap();
    assert_eq!((said.code, said.out.as_str()), (0, "1001"), "{said:?}");
    assert_eq!(git(&folder, &["log", "-1", "--format=%s", "topic"]), "worktrees");
    for attack in ["chmod u+s file", "chmod u+s \"$(git rev-parse --git-dir)/index\""] {
        assert_ne!(world.sh("topic", attack).unwrap().code, 0, "{attack}");
    }
    world.must(&["restart", "--time", "1", "--yes", "topic"]).unwrap();
    assert_eq!(world.sh("topic", "git commit -q --allow-empty -m again").unwrap().code, 0);
    let list = Command::new("find").arg(&folder).args(["-not", "-uid", "0"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&list.stdout), "", "all is root's on the disk");
    git(&folder, &["fsck"]);
    world.must(&["rm", "-f", "topic", "dev"]).unwrap();
    assert_eq!(left(&world), Vec::<String>::new());
    assert_eq!(fs::read_dir(world.state_folder().join("mounts")).unwrap().count(), 0, "the locks go, too");
}
