use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::*;

/// A folder that goes when the test ends.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("clawker-ignored-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(fs::canonicalize(dir).unwrap())
    }

    fn file(&self, name: impl AsRef<Path>, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn found(&self, patterns: &[&str]) -> Vec<PathBuf> {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        find(&self.0, &patterns).unwrap().into_iter().map(|one| one.path).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn all(folder: &Path, root: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name() == ".git" {
            continue;
        }
        into.push(entry.path().strip_prefix(root).unwrap().to_owned());
        if entry.file_type().unwrap().is_dir() {
            all(&entry.path(), root, into);
        }
    }
}

/// What git says of these paths.
fn by_git(tree: &Tree, paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&tree.0).args(["-c", "core.excludesFile=/dev/null"]).args(args);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command
    };
    assert!(git(&["init", "-q"]).status().unwrap().success());
    let mut child = git(&["check-ignore", "--stdin", "-z", "--no-index"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let asked: Vec<u8> = paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), &[0]].concat()).collect();
    let writer = std::thread::spawn(move || stdin.write_all(&asked));
    let told = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(told.status.code().is_some_and(|code| code < 2), "{told:?}");
    let names = told.stdout.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names.map(|name| PathBuf::from(OsString::from_vec(name.to_vec()))).collect()
}

#[test]
fn the_verdicts_are_git_s() {
    let sets: [(&str, &str); 9] = [
        ("*.log\n!keep.log\n", "!*.log\nkeep.log\n"),
        ("/secret\nbuild/\n", "/top\n"),
        ("**/deep/*.key\na/**/z\nabc/**\n", ""),
        ("*\n!*/\n!*.rs\n", "*.rs\n"),
        ("# note\n\\#file\n\\!bang\nwith space\ntrail\\ \n", "trail   \n"),
        ("src/*.txt\n", "inner/x.txt\n!inner/\n"),
        ("[a-c]?.env\n[!a-c]*.cfg\n[{]o\n\\{p}\n", "{x,y}\n"),
        ("build\n!build/\nsecret/\n!secret/keep\n", "\r\n*.tmp\r\n"),
        ("\u{feff}*.log\n\n   \n*/inner\n", "/../x\n"),
    ];
    let files = [
        "keep.log",
        "a.log",
        "sub/keep.log",
        "sub/b.log",
        "secret/keep",
        "secret/x/y",
        "sub/secret",
        "build/out",
        "sub/build",
        "sub/top",
        "top",
        "deep/a.key",
        "sub/deep/b.key",
        "a/z",
        "a/b/z/f",
        "a/b/c/z",
        "abc/d/e",
        "main.rs",
        "sub/lib.rs",
        "#file",
        "!bang",
        "with space",
        "trail ",
        "sub/trail",
        "src/a.txt",
        "src/in/b.txt",
        "sub/inner/x.txt",
        "a1.env",
        "dd.env",
        "z.cfg",
        "a.cfg",
        "sub/{x,y}",
        "{o",
        "{p}",
        "sub/x",
        "sub/c.tmp",
        "inner/f",
        "sub/inner/g",
        "ünïcode.log",
    ];
    for (number, (top, sub)) in sets.iter().enumerate() {
        let tree = Tree::new(&format!("git-{number}"));
        files.iter().for_each(|file| tree.file(file, "x"));
        tree.file(OsStr::from_bytes(b"sub/not\xffutf8.log"), "x");
        fs::create_dir_all(tree.0.join("sub/empty/build")).unwrap();
        symlink("sub", tree.0.join("build2")).unwrap();
        symlink("secret", tree.0.join("link.log")).unwrap();
        for name in [FILE, ".gitignore"] {
            tree.file(name, top);
            tree.file(Path::new("sub").join(name), sub);
        }
        let mut paths = Vec::new();
        all(&tree.0, &tree.0, &mut paths);
        let found = tree.found(&[]);
        let ours: BTreeSet<PathBuf> =
            paths.iter().filter(|path| found.iter().any(|top| path.starts_with(top))).cloned().collect();
        assert_eq!(ours, by_git(&tree, &paths), "set {number}: {top:?} {sub:?}");
        assert!(!ours.is_empty(), "set {number} shows nothing");
    }
}

#[test]
fn only_the_topmost_is_told_with_its_kind() {
    let tree = Tree::new("topmost");
    (0..300).for_each(|n| tree.file(format!("node_modules/p{n}/index.js"), "x"));
    tree.file("web/node_modules/p/x", "x");
    tree.file(".env", "x");
    fs::hard_link(tree.0.join(".env"), tree.0.join("copy")).unwrap();
    symlink("copy", tree.0.join("secret.lnk")).unwrap();
    tree.file(".git/config.lnk", "x");
    let patterns = ["node_modules/", ".env", "*.lnk"].map(str::to_owned);
    let found = find(&tree.0, &patterns).unwrap();
    let told: Vec<_> =
        found.iter().map(|one| (one.path.to_str().unwrap(), one.kind, one.other_names)).collect();
    let expected = [
        (".env", Kind::File, 1),
        ("node_modules", Kind::Folder, 0),
        ("secret.lnk", Kind::Link, 0),
        ("web/node_modules", Kind::Folder, 0),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_file_nearer_than_the_configuration_s_patterns_decides() {
    let tree = Tree::new("layers");
    tree.file("a.pem", "x");
    tree.file("sub/a.pem", "x");
    assert_eq!(tree.found(&["*.pem"]), [PathBuf::from("a.pem"), "sub/a.pem".into()]);
    tree.file(Path::new("sub").join(FILE), "!a.pem\n");
    assert_eq!(tree.found(&["*.pem"]), [PathBuf::from("a.pem")]);
    assert!(tree.found(&[]).is_empty());
}

#[test]
fn what_can_not_be_read_hides_nothing_silently() {
    let tree = Tree::new("wrong");
    assert!(find(&tree.0, &["[z-a]".to_owned()]).unwrap_err().to_string().starts_with("workspace.ignore"));
    symlink("/dev/null", tree.0.join(FILE)).unwrap();
    assert!(matches!(find(&tree.0, &[]), Err(IgnoreError::Unreadable { .. })));
}

#[test]
fn what_a_line_without_wildcards_names_is_awaited_where_it_is_not_there() {
    let tree = Tree::new("awaited");
    tree.file(
        FILE,
        ".env\n/keys/\nkeys/one\n*.pem\n[.]envrc\n#c\n!kept\nkept\n!kept\ndeep/er/key\nlink/key\n../out\n.git/hooks/x\n\
         plain/there\n.clawker.yaml\na\\ b\nplain/x \n",
    );
    tree.file("plain/there", "");
    tree.file(format!("plain/{FILE}"), "own/\n");
    symlink("plain", tree.0.join("link")).unwrap();
    let mut awaited: Vec<_> =
        find(&tree.0, &["first".to_owned(), "plain/second/".to_owned(), "kept".to_owned()]).unwrap();
    awaited.retain(|one| one.awaited);
    let awaited: Vec<_> =
        awaited.iter().map(|one| (one.path.to_str().unwrap(), one.kind == Kind::Folder)).collect();
    let expected = [
        (".env", false),
        ("deep/er/key", false),
        ("first", false),
        ("keys", true),
        ("plain/own", true),
        ("plain/second", true),
        ("plain/x", false),
    ];
    assert_eq!(awaited, expected);
}
