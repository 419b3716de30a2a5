//! Copies in which the agent's end tries to lead astray.

use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::{CopyError, Owner, Place, Spot, pack, unpack};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("clawker-copy-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for sub in ["out", "project/sub", "secret"] {
            std::fs::create_dir_all(dir.join(sub)).unwrap();
        }
        std::fs::write(dir.join("secret/key"), "s3cret").unwrap();
        Self(std::fs::canonicalize(dir).unwrap())
    }

    fn target(&self, name: Option<&str>) -> Spot {
        Spot::target(&self.0.join("out"), name.map(OsString::from), &self.0, &[]).unwrap()
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(file)).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An archive as no honest program writes it: names are put in as they are.
fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, content) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        let is_file = *kind == EntryType::Regular;
        header.set_size(if is_file { content.len() as u64 } else { 0 });
        if !is_file {
            header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, if is_file { content.as_bytes() } else { &[] }).unwrap();
    }
    builder.into_inner().unwrap()
}

use EntryType::{Directory as Dir, Fifo, Link, Regular as File, Symlink};

#[test]
fn what_is_honest_arrives_under_its_name_without_set_uid() {
    let folder = Folder::new("honest");
    let entries = [
        (Dir, "src/", ""),
        (File, "src/a", "A"),
        (Link, "src/again", "src/a"),
        (Symlink, "src/deep/up", "../a"),
        (File, "src/deep/b", "B"),
    ];
    let left = unpack(archive(&entries).as_slice(), &folder.target(Some("new"))).unwrap();
    assert!(left.is_empty(), "{left:?}");
    for (file, text) in [("a", "A"), ("again", "A"), ("deep/up", "A"), ("deep/b", "B")] {
        assert_eq!(folder.read(&format!("out/new/{file}")).as_deref(), Some(text), "{file}");
    }
    let mode = std::fs::metadata(folder.0.join("out/new/a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7000, 0);
    let left = unpack(archive(&[(File, "./c", "C")]).as_slice(), &folder.target(None)).unwrap();
    assert_eq!((folder.read("out/c").as_deref(), left.len()), (Some("C"), 0));
}

#[test]
fn nothing_is_written_outside_of_the_target() {
    let folder = Folder::new("astray");
    let key = folder.0.join("secret/key");
    let key = key.to_str().unwrap();
    for (at, entries) in [
        vec![(File, "src/../../secret/key", "x")],
        vec![(File, "/secret/key", "x"), (File, key, "x")],
        vec![(Symlink, "src/l", "../../secret"), (File, "src/l/key", "x")],
        vec![(Symlink, "src/l", "/etc"), (File, "src/l/key", "x")],
        vec![(Link, "src/l", "/secret/key"), (Link, "src/m", "src/../../secret/key")],
        vec![(Symlink, "src/a/b/s", "../.."), (Symlink, "src/t", "a/b/s/../../secret")],
        vec![(Fifo, "src/pipe", ""), (EntryType::Char, "src/null", ""), (EntryType::Block, "src/disk", "")],
    ]
    .into_iter()
    .enumerate()
    {
        let target = format!("t{at}");
        let _ = unpack(archive(&entries).as_slice(), &folder.target(Some(&target)));
        assert_eq!(folder.read("secret/key").as_deref(), Some("s3cret"), "{entries:?}");
        let names = std::fs::read_dir(folder.0.join("secret")).unwrap().count();
        assert_eq!(names, 1, "{entries:?}");
        for link in ["l", "t", "m", "pipe", "null", "disk"] {
            let file = folder.0.join("out").join(&target).join(link);
            let made = std::fs::symlink_metadata(&file).is_ok_and(|found| !found.is_dir());
            assert!(!made, "{entries:?}: {link}");
        }
    }
}

#[test]
fn a_link_that_is_there_already_is_not_followed() {
    let folder = Folder::new("there");
    symlink(folder.0.join("secret"), folder.0.join("out/new")).unwrap();
    let entries = [(Dir, "src/", ""), (File, "src/key", "x")];
    let error = unpack(archive(&entries).as_slice(), &folder.target(Some("new"))).unwrap_err();
    assert!(matches!(error, CopyError::InTheWay(_)), "{error}");
    symlink(folder.0.join("secret/key"), folder.0.join("out/file")).unwrap();
    unpack(archive(&[(File, "file", "x")]).as_slice(), &folder.target(Some("file"))).unwrap();
    assert_eq!(folder.read("out/file").as_deref(), Some("x"), "replaced");
    assert_eq!(folder.read("secret/key").as_deref(), Some("s3cret"));
}

#[test]
fn what_an_agent_planted_in_its_project_leads_no_copy_out_of_it() {
    let folder = Folder::new("planted");
    let project = folder.0.join("project");
    symlink("../secret", project.join("out")).unwrap();
    symlink("sub", project.join("inside")).unwrap();
    let projects = [project.clone()];
    let source = |path: &Path| Spot::source(path, &project, &projects);
    let target = |path: &Path| Spot::target(path, Some("x".into()), &project, &projects);
    assert!(matches!(source(Path::new("out/key")).unwrap_err(), CopyError::LeadsOut(_)));
    assert!(matches!(target(Path::new("out")).unwrap_err(), CopyError::LeadsOut(_)));
    assert!(matches!(target(Path::new("out/new")).unwrap_err(), CopyError::LeadsOut(_)));
    assert!(matches!(source(&project.join("sub/../out/key")).unwrap_err(), CopyError::LeadsOut(_)));
    // By another way to the same project, too.
    symlink(&project, folder.0.join("way")).unwrap();
    assert!(matches!(source(&folder.0.join("way/out/key")).unwrap_err(), CopyError::LeadsOut(_)));
    assert!(target(Path::new("inside")).is_ok() && target(Path::new("../out")).is_ok(), "these are meant");
    assert!(source(Path::new("../secret/key")).is_ok());
}

#[test]
fn a_copy_in_is_the_agent_s_and_holds_links_and_not_what_they_lead_to() {
    let folder = Folder::new("in");
    let project = folder.0.join("project");
    std::fs::write(project.join("sub/file"), "F").unwrap();
    symlink(folder.0.join("secret/key"), project.join("sub/link")).unwrap();
    nix::unistd::mkfifo(&project.join("sub/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let spot = Spot::source(Path::new("sub"), &project, std::slice::from_ref(&project)).unwrap();
    let mut bytes = Vec::new();
    let left = pack(&mut bytes, &spot, Some("new".as_ref()), Owner { uid: 1001, gid: 7 }).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(!String::from_utf8_lossy(&bytes).contains("s3cret"));
    let mut names: Vec<String> = tar::Archive::new(bytes.as_slice())
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (1001, 7));
            entry.path().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["new", "new/file", "new/link"]);
    let spot = Spot::source(Path::new("sub/."), &project, &[]).unwrap();
    let mut bytes = Vec::new();
    pack(&mut bytes, &spot, None, Owner { uid: 1, gid: 1 }).unwrap();
    assert_eq!(tar::Archive::new(bytes.as_slice()).entries().unwrap().count(), 2);
    let mut bytes = Vec::new();
    pack(&mut bytes, &spot, Some("new".as_ref()), Owner { uid: 1, gid: 1 }).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let first = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((first.path().unwrap().to_str(), first.header().uid().unwrap()), (Some("new"), 1));
}

#[test]
fn an_agent_s_place_is_told_from_a_path() {
    let agent = |agent: &str, path: &str| Place::Agent { agent: agent.into(), path: path.into() };
    assert_eq!(Place::parse("dev:/tmp/x"), agent("dev", "/tmp/x"));
    assert_eq!(Place::parse("dev:tmp"), agent("dev", "/tmp"));
    assert_eq!(Place::parse("clawker.p.dev:/a:b"), agent("clawker.p.dev", "/a:b"));
    for path in ["x", "./a:b", "/a:b", ":x", "../a:b"] {
        assert_eq!(Place::parse(path), Place::Host(path.into()));
    }
}
