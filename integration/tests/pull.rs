//! What an agent changed in its copy comes back as the user wants it, and nothing else does: no link is followed, nothing
//! that the host's git would run comes along, and what the user changed stays.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use clawker_integration::rig::docker::docker;
use clawker_integration::world::{Said, World};
use serde_json::Value;

/// What the agent does: work, and every trick beside it.
const WORK: &str = r#"
printf '1\ntwo\n3\n' >edit.txt; echo agent >both.txt; chmod +x run.sh; rm gone.txt mine.txt
mkdir new target; printf 'x\033[2Jy\n' >new/file; echo s >new/suid; chmod 6755 new/suid; echo o >target/o
ln -s ../keep.txt new/in; ln edit.txt hard.txt; printf odd >"$(printf 'n\nl')"; printf '\0' >new/binary
echo evil >.env; echo '* filter=evil' >.gitattributes; echo evil >.git/hooks/pre-commit; echo evil >way/f
ln -s /etc/passwd new/out; mkdir -p deep/.git/hooks bare/objects bare/refs; echo evil >deep/.git/hooks/pre-commit
echo ref >bare/HEAD; echo evil >bare/config; mkfifo pipe; rm -r sub; ln -s / sub
"#;

fn git(dir: &Path, args: &[&str]) -> String {
    let settings = ["-c", "user.name=u", "-c", "user.email=u@example.com", "-c", "safe.directory=*"];
    let said = Command::new("git").arg("-C").arg(dir).args(settings).args(args).output().unwrap();
    assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

#[test]
fn what_an_agent_changed_comes_back_and_what_it_planted_does_not() {
    let world = World::new("pull").unwrap();
    let project = world.sandbox.project();
    let outside = project.with_file_name("outside");
    for folder in [project.join("sub"), project.join("way"), outside.clone()] {
        fs::create_dir_all(folder).unwrap();
    }
    for (file, text) in [
        ("keep.txt", "same\n"),
        ("edit.txt", "1\n2\n3\n"),
        ("both.txt", "base\n"),
        ("run.sh", "x\n"),
        ("gone.txt", "x\n"),
        ("mine.txt", "x\n"),
        ("sub/a", "x\n"),
        ("way/f", "x\n"),
        (".env", "secret\n"),
        (".clawkerignore", ".env\n"),
        (".gitignore", "target/\nfakenet\n"),
    ] {
        fs::write(project.join(file), text).unwrap();
    }
    // The project is another user's than root's, who runs the tests.
    fs::write(world.sandbox.home().join(".gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "keep.txt"]);
    git(&project, &["commit", "-q", "-m", "first"]);
    world
        .must(&["run", "--yes", "--detach", "--agent", "dev", "--mode", "snapshot", "--", "sleep", "600"])
        .unwrap();
    let work = |script: &str| {
        let said = world.sh("dev", &format!("set -e; cd '{}'; {script}", project.display())).unwrap();
        assert_eq!(said.code, 0, "{said:?}");
        said.out
    };
    let say = |args: &[&str]| -> Said { world.clawker(args).unwrap() };
    let read = |path: &str| fs::read_to_string(project.join(path)).ok();
    assert_eq!(say(&["diff", "dev", "--exit-code"]).code, 0, "nothing has changed yet");

    work(WORK);
    fs::write(project.join("both.txt"), "user\n").unwrap();
    fs::write(project.join("mine.txt"), "user\n").unwrap();
    fs::rename(project.join("way"), project.join("moved")).unwrap();
    fs::write(outside.join("f"), "outside\n").unwrap();
    symlink(&outside, project.join("way")).unwrap();

    let diff = say(&["diff", "dev"]);
    assert_eq!(diff.code, 0, "{diff:?}");
    for part in [
        "diff --git a/edit.txt b/edit.txt\n--- a/edit.txt\n+++ b/edit.txt\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n",
        "diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n",
        "deleted file mode 100644\n--- a/gone.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n",
        "new file mode 120000\n--- /dev/null\n+++ b/new/in\n@@ -0,0 +1 @@\n+../keep.txt\n\\ No newline",
        "+x\\u{1b}[2Jy\n",
        "# both.txt was changed here as well",
        "# deep/.git is git's own, and not shown",
        "Binary files a/new/binary and b/new/binary differ",
        "\"b/n\\012l\"",
    ] {
        assert!(diff.out.contains(part), "{part}\nis not in\n{}", diff.out);
    }
    assert!(!diff.out.contains('\u{1b}') && !diff.out.contains("target/o"), "{}", diff.out);
    assert!(say(&["diff", "dev", "--ignored"]).out.contains("target/o"));
    assert_eq!(say(&["diff", "dev", "--exit-code", "--name-only", "edit.txt"]).out, "edit.txt");
    let raw = say(&["diff", "dev", "--raw", "new/file"]);
    assert!(raw.out.contains("+x\u{1b}[2Jy"), "{raw:?}");
    let json: Value = serde_json::from_str(&say(&["diff", "dev", "--json"]).out).unwrap();
    let of = |path: &str| json.as_array().unwrap().iter().find(|one| one["path"] == path).cloned().unwrap();
    assert_eq!((of("edit.txt")["added"].clone(), of("edit.txt")["held"].clone()), (1.into(), Value::Null));
    assert_eq!(of(".gitattributes")["held"], "config");

    let refused = say(&["pull", "dev"]);
    assert!(refused.code == 1 && refused.err.contains("--yes"), "{refused:?}");
    assert_eq!(say(&["pull", "dev", "--dry-run"]).code, 1);
    assert_eq!(read("edit.txt").unwrap(), "1\n2\n3\n", "nobody said yes");

    let pulled = say(&["pull", "dev", "--yes"]);
    assert_eq!(pulled.code, 1, "{pulled:?}");
    // What came.
    assert_eq!(read("edit.txt").unwrap(), "1\ntwo\n3\n");
    assert_eq!(read("hard.txt").unwrap(), "1\ntwo\n3\n");
    assert_eq!(read("n\nl").unwrap(), "odd");
    assert_eq!(fs::read_link(project.join("new/in")).unwrap(), Path::new("../keep.txt"));
    assert_eq!((read("gone.txt"), read("sub/a")), (None, None));
    let about = |path: &str| fs::symlink_metadata(project.join(path)).unwrap();
    assert_eq!(about("run.sh").permissions().mode() & 0o111, 0o111);
    assert_eq!(about("new/suid").permissions().mode() & 0o7111, 0o111, "to be run, by nobody else's rights");
    assert_eq!(about("new/file").uid(), about("").uid(), "the user's");
    // What did not.
    assert_eq!(read("both.txt").unwrap(), "user\n");
    assert_eq!(read("mine.txt").unwrap(), "user\n", "the agent's deletion of what the user changed");
    assert_eq!(read(".env").unwrap(), "secret\n");
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "outside\n", "through the user's own link");
    for path in [
        ".gitattributes",
        ".git/hooks/pre-commit",
        "deep",
        "bare/HEAD",
        "bare/config",
        "pipe",
        "new/out",
        "target",
    ] {
        assert!(fs::symlink_metadata(project.join(path)).is_err(), "{path} came");
        let told = pulled.out.contains(path) || path.starts_with(".git/") || path == "target";
        assert!(told, "{path} is not told of: {}", pulled.out);
    }
    assert!(!about("sub").is_symlink(), "a link out of the project in a folder's place");
    let left: Vec<_> = fs::read_dir(&project).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".clawker-pull")), "{left:?}");

    // What came is what later changes are compared with.
    work("echo again >>edit.txt; echo evil >>both.txt");
    let again = say(&["pull", "dev", "edit.txt", "--yes"]);
    assert_eq!((again.code, read("edit.txt").unwrap().as_str()), (0, "1\ntwo\n3\nagain\n"), "{again:?}");
    assert_eq!(say(&["pull", "dev", "both.txt", "--beside", "--yes"]).code, 0);
    assert_eq!(
        (read("both.txt").unwrap().as_str(), read("both.txt.dev").unwrap().as_str()),
        ("user\n", "agent\nevil\n")
    );
    work("echo third >both.txt");
    assert_eq!(say(&["pull", "dev", "both.txt", "--theirs", "--yes"]).code, 0);
    assert_eq!(read("both.txt").unwrap(), "third\n");
    assert_eq!(say(&["pull", "dev", ".gitattributes", "--with-config", "--yes"]).code, 0);
    assert_eq!(read(".gitattributes").unwrap(), "* filter=evil\n", "when it is asked for by name");
    fs::remove_file(project.join(".gitattributes")).unwrap();

    work("git -c user.name=a -c user.email=a@example.com commit -q --allow-empty -m agents; git branch side");
    let commits = say(&["pull", "dev", "--commits"]);
    assert!(commits.code == 0 && commits.out.contains("clawker/dev/side"), "{commits:?}");
    assert_eq!(git(&project, &["log", "-1", "--format=%s", "clawker/dev/main"]), "agents\n");
    assert_eq!(git(&project, &["log", "-1", "--format=%s", "main"]), "first\n");

    // Stopped, gone, and begun again.
    world.must(&["stop", "-t", "0", "dev"]).unwrap();
    assert!(say(&["diff", "dev", "--name-only"]).out.contains("new/out"));
    world.must(&["rm", "dev"]).unwrap();
    assert!(say(&["diff", "dev", "--name-only"]).out.contains("new/out"), "its copy is there still");
    assert!(say(&["pull", "dev", "--commits"]).err.contains("clawker run"), "and says how");
    world
        .must(&[
            "run", "--yes", "--detach", "--agent", "dev", "--mode", "snapshot", "--fresh", "--", "sleep",
            "600",
        ])
        .unwrap();
    assert_eq!(say(&["diff", "dev", "--exit-code"]).code, 0);
    let volume = format!("{}.snapshot", world.container("dev"));
    world.must(&["rm", "-f", "--volumes", "dev"]).unwrap();
    assert!(docker(&["volume", "inspect", &volume]).is_err(), "{volume} is still there");
    let gone = say(&["diff", "dev"]);
    assert!(gone.code == 1 && gone.err.contains("has a copy"), "{gone:?}");
}
