use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use sha2::{Digest, Sha256};

use super::*;
use crate::workspace::test_folder;

struct Place {
    folder: PathBuf,
    host: Beneath,
    spool: Spool,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = test_folder(name);
        fs::create_dir_all(folder.join("project")).unwrap();
        let host = Beneath::open(&folder.join("project")).unwrap();
        let spool = Spool::new(&folder.join("spool")).unwrap();
        Self { folder, host, spool }
    }

    fn file(&mut self, text: &str, mode: u32) -> Node {
        let hash = Sha256::digest(text).into();
        let len = text.len() as u64;
        self.spool.writer().write_all(text.as_bytes()).unwrap();
        self.spool.keep(hash, len);
        Node::File { hash, len, mode }
    }

    fn take(&self, path: &str, agent: Option<Node>) -> io::Result<Swap> {
        let path = PathBuf::from(path);
        let host = host::node(&self.host, &path);
        let item = Item { change: Change { path, base: None, agent }, host };
        Project { host: &self.host, spool: &self.spool, owner: self.host.owner().unwrap() }.take(&item)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.join("project").join(path)
    }
}

#[test]
fn what_is_taken_is_written_and_nothing_gets_more_than_it_had() {
    let mut place = Place::new("take");
    let (plain, run) = (place.file("plain", 0o6644), place.file("run", 0o6777));
    assert_eq!(place.take("new/deep/run", Some(run.clone())).unwrap(), Swap::Done);
    let mode = |path: &str| fs::metadata(place.at(path)).unwrap().permissions().mode();
    assert_eq!(fs::read(place.at("new/deep/run")).unwrap(), b"run");
    assert_eq!(mode("new/deep/run") & 0o7122, 0o100, "neither set-id nor for all to write");
    // What is private stays private, also when it can be run.
    fs::write(place.at("mine"), "before").unwrap();
    fs::set_permissions(place.at("mine"), Permissions::from_mode(0o640)).unwrap();
    assert_eq!(place.take("mine", Some(run)).unwrap(), Swap::Done);
    assert_eq!(mode("mine") & 0o7777, 0o750);
    assert_eq!(place.take("mine", Some(plain)).unwrap(), Swap::Done);
    assert_eq!((mode("mine") & 0o7777, fs::read(place.at("mine")).unwrap()), (0o640, b"plain".to_vec()));

    assert_eq!(place.take("link", Some(Node::Link("mine".into()))).unwrap(), Swap::Done);
    assert_eq!(fs::read_link(place.at("link")).unwrap(), Path::new("mine"));
    assert_eq!(place.take("empty", Some(Node::Folder)).unwrap(), Swap::Done);
    assert_eq!(place.take("mine", Some(Node::Folder)).unwrap(), Swap::Done, "a folder in a file's place");
    assert!(place.at("mine").is_dir() && place.at("empty").is_dir());
    assert_eq!(place.take("new/deep/run", None).unwrap(), Swap::Done);
    let tree = Tree::from([(PathBuf::from("new"), Node::Folder)]);
    let project = Project { host: &place.host, spool: &place.spool, owner: (0, 0) };
    project.clear_folders(Path::new("new/deep/run"), &tree);
    assert!(!place.at("new/deep").exists() && place.at("new").exists());
    assert!(
        fs::read_dir(place.at("")).unwrap().all(|one| !one
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with(".clawker"))
    );
    fs::remove_dir_all(place.folder).unwrap();
}

#[test]
fn no_link_on_the_way_or_at_the_end_leads_a_write_out() {
    let mut place = Place::new("lead");
    let evil = place.file("evil", 0o644);
    let outside = place.folder.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "s").unwrap();
    symlink(&outside, place.at("way")).unwrap();
    symlink(outside.join("secret"), place.at("end")).unwrap();
    fs::create_dir(place.at("inner")).unwrap();
    symlink("inner", place.at("around")).unwrap();
    assert_eq!(place.take("inner/x", Some(evil.clone())).unwrap(), Swap::Done, "the way that is open");
    for path in ["way/secret", "way/new", "way", "around/y"] {
        // As if it had been judged when there was none: the link came afterwards.
        let item = |path: &str, host| Item {
            change: Change { path: path.into(), base: None, agent: Some(evil.clone()) },
            host,
        };
        let project = Project { host: &place.host, spool: &place.spool, owner: (0, 0) };
        let took = project.take(&item(path, None));
        assert!(!matches!(took, Ok(Swap::Done)), "{path}: {took:?}");
    }
    // Over the link, not through it.
    assert_eq!(place.take("end", Some(evil.clone())).unwrap(), Swap::Done);
    assert_eq!(fs::read(place.at("end")).unwrap(), b"evil");
    for path in ["../outside/new", "/tmp/clawker-evil", "inner/../../outside/new"] {
        assert!(!matches!(place.take(path, Some(evil.clone())), Ok(Swap::Done)), "{path}");
    }
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"s");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_dir(place.at("inner")).unwrap().count(), 1);
    fs::remove_dir_all(place.folder).unwrap();
}

#[test]
fn what_the_user_changed_meanwhile_stays() {
    let mut place = Place::new("meanwhile");
    let agent = place.file("agent's", 0o644);
    fs::write(place.at("f"), "judged").unwrap();
    let judged = host::node(&place.host, Path::new("f"));
    fs::write(place.at("f"), "user's").unwrap();
    let project = Project { host: &place.host, spool: &place.spool, owner: (0, 0) };
    for agent in [Some(agent.clone()), None, Some(Node::Folder)] {
        let item = Item { change: Change { path: "f".into(), base: None, agent }, host: judged.clone() };
        assert_eq!(project.take(&item).unwrap(), Swap::Changed);
        assert_eq!(fs::read(place.at("f")).unwrap(), b"user's");
    }
    let item =
        Item { change: Change { path: "f".into(), base: None, agent: Some(agent.clone()) }, host: None };
    assert_eq!(project.take(&item).unwrap(), Swap::Changed, "it came meanwhile");
    assert_eq!(project.put_beside(Path::new("f.dev"), &agent).unwrap(), Swap::Done);
    assert_eq!(fs::read_dir(place.at("")).unwrap().count(), 2);
    fs::remove_dir_all(place.folder).unwrap();
}

#[test]
fn what_was_taken_is_the_base_from_then_on() {
    let tree = |paths: &[&str]| -> Tree {
        paths.iter().map(|path| (PathBuf::from(path), Node::Link("x".into()))).collect()
    };
    let folder = |mut tree: Tree, folders: &[&str]| {
        tree.extend(folders.iter().map(|path| (PathBuf::from(path), Node::Folder)));
        tree
    };
    let agent = folder(tree(&["new/x", "kept"]), &["", "new"]);
    let mut base = folder(tree(&["gone/y", "kept"]), &["", "gone"]);
    for change in super::super::plan::changes(&base.clone(), &agent) {
        settle(&mut base, &change, &agent);
    }
    assert_eq!(base, agent);
}
