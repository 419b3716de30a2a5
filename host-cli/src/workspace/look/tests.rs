//! Each way to plant something, alone, in a workspace that was clean before.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::*;
use crate::workspace::test_folder;

struct Tree(PathBuf);

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Tree {
    fn new(name: &str) -> Self {
        let tree = Self(test_folder(name));
        tree.file(".git/HEAD", "ref: refs/heads/main\n");
        tree.file(".git/config", "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://h/r\n");
        tree.file(".git/hooks/pre-commit.sample", "#!/bin/sh\n");
        for folder in [".git/objects", ".git/refs", "src/deep"] {
            fs::create_dir_all(tree.0.join(folder)).unwrap();
        }
        tree
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn look(&self) -> Look {
        look(&Beneath::open(&self.0).unwrap()).unwrap()
    }

    fn repository(&self, path: &str) {
        self.file(&format!("{path}/HEAD"), "ref: refs/heads/main\n");
        fs::create_dir_all(self.0.join(path).join("objects")).unwrap();
        fs::create_dir_all(self.0.join(path).join("refs")).unwrap();
    }
}

/// What is new, as `path: what`.
fn news(before: &Look, after: &Look) -> Vec<String> {
    let new = after.keys().filter(|finding| !before.contains_key(finding));
    new.map(|finding| format!("{}: {}", finding.path, finding.what)).collect()
}

/// A way to plant, and the path that must be told.
type Planting = (&'static str, fn(&Tree), &'static str);

const PLANTINGS: [Planting; 32] = [
    ("policy", |t| t.file("src/deep/.clawker.yaml", "{}\n"), "src/deep/.clawker.yaml: sha256"),
    ("local-policy", |t| t.file("src/.clawker.local.yaml", "{}\n"), "src/.clawker.local.yaml: sha256"),
    ("key", |t| t.file(".git/config", "[core]\nfsmonitor = ./x\n"), ".git/config: core.fsmonitor = ./x"),
    ("include", |t| t.file(".git/config", "[include]\npath = ../x\n"), ".git/config: include.path = ../x"),
    ("unread", |t| t.file(".git/config", "[core\nfsmonitor"), ".git/config: line"),
    (
        "configlink",
        |t| {
            fs::remove_file(t.0.join(".git/config")).unwrap();
            symlink("../evil", t.0.join(".git/config")).unwrap();
        },
        ".git/config: is a link to ../evil",
    ),
    (
        "configpipe",
        |t| {
            fs::remove_file(t.0.join(".git/config")).unwrap();
            nix::unistd::mkfifo(&t.0.join(".git/config"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        },
        ".git/config: can't be read",
    ),
    (
        "worktreeconfig",
        |t| t.file(".git/config.worktree", "[core]\npager=x"),
        ".git/config.worktree: core.pager",
    ),
    ("hook", |t| t.file(".git/hooks/post-checkout", "#!/bin/sh\n"), ".git/hooks/post-checkout: sha256"),
    (
        "hooklink",
        |t| symlink("/x", t.0.join(".git/hooks/pre-push")).unwrap(),
        ".git/hooks/pre-push: is a link to /x",
    ),
    (
        "hookslink",
        |t| {
            fs::rename(t.0.join(".git/hooks"), t.0.join(".git/h")).unwrap();
            symlink("../evil", t.0.join(".git/hooks")).unwrap();
        },
        ".git/hooks: is a link to ../evil",
    ),
    ("commondir", |t| t.file(".git/commondir", "../evil\n"), ".git/commondir: leads to ../evil"),
    ("attributes", |t| t.file("src/.gitattributes", "*.c filter=evil\n"), "src/.gitattributes: filter=evil"),
    ("info", |t| t.file(".git/info/attributes", "* merge=evil\n"), ".git/info/attributes: merge=evil"),
    ("infolink", |t| symlink("../x", t.0.join(".git/info")).unwrap(), ".git/info: is a link"),
    (
        "index",
        |t| symlink("/home/u/.x", t.0.join(".git/index")).unwrap(),
        ".git/index: is a link to /home/u/.x",
    ),
    (
        "packed",
        |t| symlink("../x", t.0.join(".git/packed-refs")).unwrap(),
        ".git/packed-refs: is a link to ../x",
    ),
    (
        "packedbehind",
        |t| {
            symlink("clawker-refs/packed-refs", t.0.join(".git/packed-refs")).unwrap();
            fs::create_dir_all(t.0.join(".git/clawker-refs")).unwrap();
            symlink("/home/u/.x", t.0.join(".git/clawker-refs/packed-refs")).unwrap();
        },
        ".git/clawker-refs/packed-refs: is a link to /home/u/.x",
    ),
    (
        "log",
        |t| {
            fs::create_dir_all(t.0.join(".git/logs/refs")).unwrap();
            symlink("/home/u/.x", t.0.join(".git/logs/refs/main")).unwrap();
        },
        ".git/logs/refs/main: is a link to /home/u/.x",
    ),
    (
        "rebase",
        |t| t.file(".git/rebase-merge/git-rebase-todo", "pick 0 x\n exec ./evil\n"),
        ".git/rebase-merge/git-rebase-todo: exec ./evil",
    ),
    ("nested", |t| t.repository("src/deep/.git"), "src/deep/.git: git works in it"),
    ("nestedempty", |t| t.file("src/.git/x", ""), "src/.git: git works in it"),
    ("bare", |t| t.repository("src/innocent"), "src/innocent: git works in it"),
    (
        "common",
        |t| {
            t.repository("c");
            fs::rename(t.0.join("c/HEAD"), t.0.join("c/config")).unwrap();
        },
        "c: git works in it",
    ),
    ("gitfile", |t| t.file("src/.git", "gitdir: ../evil\n"), "src/.git: leads to gitdir: ../evil"),
    ("gitlink", |t| symlink("../evil", t.0.join("src/.git")).unwrap(), "src/.git: is a link to ../evil"),
    ("case", |t| t.file("src/.GIT/config", "[core]\nfsmonitor=x\n"), "src/.GIT/config: core.fsmonitor = x"),
    (
        "submodule",
        |t| {
            t.repository(".git/modules/s");
            t.file(".git/modules/s/hooks/post-merge", "x");
        },
        ".git/modules/s/hooks/post-merge: sha256",
    ),
    (
        "worktree",
        |t| {
            t.file(".git/worktrees/w/HEAD", "x");
            t.file(".git/worktrees/w/commondir", "../../../evil");
        },
        ".git/worktrees/w/commondir: leads to ../../../evil",
    ),
    ("ignore", |t| t.file(".clawkerignore", "!.env\n"), ".clawkerignore: sha256"),
    ("spaces", |t| t.repository("a b/\u{e4} c/.git"), "a b/\u{e4} c/.git: git works in it"),
    (
        "moved",
        |t| {
            fs::rename(t.0.join(".git"), t.0.join(".old")).unwrap();
            t.repository(".git");
        },
        ".old: git works in it",
    ),
];

#[test]
fn each_way_to_plant_something_is_told() {
    for (name, plant, expected) in PLANTINGS {
        let tree = Tree::new(&format!("plant-{name}"));
        let before = tree.look();
        assert_eq!(news(&before, &tree.look()), [""; 0], "{name}: a second look at the same");
        plant(&tree);
        let news = news(&before, &tree.look());
        assert!(news.iter().any(|line| line.starts_with(expected)), "{name}: no {expected:?} in {news:?}");
    }
}

#[test]
fn what_git_does_every_day_is_not_told() {
    let tree = Tree::new("daily");
    let before = tree.look();
    tree.file(
        ".git/config",
        "[core]\nbare=false\n[remote \"b\"]\nurl=git@h:r\n[branch \"x\"]\nremote=b\nmerge=m\n",
    );
    tree.file(".git/objects/ab/cd", "x");
    tree.file(".git/refs/heads/HEAD", "x");
    tree.file(".git/hooks/update.sample", "x");
    tree.file("src/.gitattributes", "*.c text diff=cpp -filter\n*.x merge=union\n");
    tree.file("HEAD", "a file of the project's");
    tree.file(".git/rebase-merge/git-rebase-todo", "pick 0123 exec\n# exec x\n");
    // And what clawker does.
    for (path, target) in [("clawker/index", "../index"), ("packed-refs", "clawker-refs/packed-refs")] {
        fs::create_dir_all(tree.0.join(".git/clawker")).unwrap();
        symlink(target, tree.0.join(".git").join(path)).unwrap();
    }
    assert_eq!(news(&before, &tree.look()), [""; 0]);
}

#[test]
fn a_changed_hook_is_told_and_one_behind_a_hard_link_too() {
    let tree = Tree::new("hardlink");
    tree.file(".git/hooks/pre-commit", "good");
    let before = tree.look();
    fs::hard_link(tree.0.join(".git/hooks/pre-commit"), tree.0.join("other name")).unwrap();
    fs::write(tree.0.join("other name"), "evil").unwrap();
    assert_eq!(news(&before, &tree.look()).len(), 1);
}

#[test]
fn links_are_not_followed_out_of_the_workspace_nor_in_circles() {
    let tree = Tree::new("circle");
    let outside = test_folder("circle-outside");
    fs::create_dir_all(outside.join(".git/hooks")).unwrap();
    fs::write(outside.join(".git/hooks/pre-commit"), "x").unwrap();
    symlink("..", tree.0.join("src/up")).unwrap();
    symlink(&outside, tree.0.join("src/out")).unwrap();
    assert!(tree.look().keys().all(|finding| !finding.path.contains("src/")), "{:?}", tree.look());
    fs::remove_dir_all(outside).unwrap();
}

#[test]
fn names_that_are_no_text_are_looked_at_and_told_apart() {
    let tree = Tree::new("bytes");
    let before = tree.look();
    for byte in [0xff, 0xfe] {
        let folder = tree.0.join(OsString::from_vec(vec![b'a', byte])).join(".git");
        fs::create_dir_all(folder).unwrap();
    }
    assert_eq!(news(&before, &tree.look()), ["a\\xfe/.git: git works in it", "a\\xff/.git: git works in it"]);
    assert_ne!(shown(Path::new(OsStr::from_bytes(b"\xff"))), shown(Path::new("\\xff")));
}

#[test]
fn a_bound_ends_the_look_and_says_so() {
    let tree = Tree::new("bound");
    for number in 0..50 {
        tree.file(&format!("many/{number}/f"), "");
    }
    let look = bounded(&Beneath::open(&tree.0).unwrap(), 20).unwrap();
    assert!(look.keys().any(|finding| finding.what.contains("more than 20 names")), "{look:?}");
    let deep: PathBuf = std::iter::repeat_n("d", MAX_DEPTH + 5).collect();
    fs::create_dir_all(tree.0.join(deep)).unwrap();
    assert!(tree.look().keys().any(|finding| finding.what.contains("folders deep")));
}

#[test]
fn what_git_reads_we_read() {
    let tree = Tree::new("git-agrees");
    tree.file(".git/config", "[CoRe] fsMonitor = \"a \\\"b\" # c\n[x \"Y\\\\z\"]k\n[a.B]\nc = d \\\n e\n");
    let said =
        Command::new("git").args(["config", "-z", "--list", "-f"]).arg(tree.0.join(".git/config")).output();
    let Ok(said) = said else { return };
    let said = String::from_utf8(said.stdout).unwrap();
    let git: Vec<String> = said.split_terminator('\0').map(|entry| entry.replacen('\n', " = ", 1)).collect();
    let ours = gitconfig::parse(&fs::read(tree.0.join(".git/config")).unwrap()).unwrap();
    assert_eq!(ours.iter().map(ToString::to_string).collect::<Vec<_>>(), git);
}
