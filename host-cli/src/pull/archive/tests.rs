use std::io::Cursor;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use super::*;
use crate::workspace::test_folder;

/// A header that says anything: the library's own writer refuses what an attacker would write.
fn header(path: &[u8], kind: EntryType, size: u64, link: &[u8]) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o6755);
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    header
}

/// Path, kind, content, and where a link leads.
type Packed<'a> = (&'a str, EntryType, &'a [u8], &'a str);

fn packed(entries: &[Packed<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, content, link) in entries {
        let header = header(path.as_bytes(), *kind, content.len() as u64, link.as_bytes());
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn reading(bytes: &[u8], keep: &Keep<'_>) -> (Result<Seen, ArchiveError>, Spool) {
    let folder = test_folder(&format!("archive-{:?}", std::thread::current().id()).replace(['(', ')'], ""));
    let mut spool = Spool::new(&folder).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    let seen = read(Cursor::new(bytes), keep, &mut spool);
    (seen, spool)
}

fn seen(entries: &[Packed<'_>]) -> Result<Seen, ArchiveError> {
    reading(&packed(entries), &Keep::Small(&Tree::new())).0
}

const ROOT: Packed<'_> = ("project/", EntryType::Directory, b"", "");

#[test]
fn a_tree_is_read_as_it_is_and_what_changed_is_kept() {
    let bytes = packed(&[
        ROOT,
        ("project/.git", EntryType::Directory, b"", ""),
        ("project/.git/config", EntryType::Regular, b"evil", ""),
        ("project/.git/x", EntryType::Regular, b"other", ""),
        ("project/.gitignore", EntryType::Regular, b"target", ""),
        ("project/a", EntryType::Regular, b"one", ""),
        ("project/b", EntryType::Link, b"", "project/a"),
        ("project/c", EntryType::Link, b"", "project/.git/x"),
        ("project/d", EntryType::Symlink, b"", "/etc/passwd"),
        ("project/e", EntryType::Char, b"", ""),
        ("project/f", EntryType::Fifo, b"", ""),
    ]);
    let one: Hash = Sha256::digest(b"one").into();
    let file = Node::File { hash: one, len: 3, mode: 0o755 };
    let known: Tree = [(PathBuf::from("a"), file.clone())].into();
    let (seen, spool) = reading(&bytes, &Keep::Small(&known));
    let seen = seen.unwrap();
    let of = |path: &str| seen.tree.get(Path::new(path)).cloned();
    assert_eq!(of(""), Some(Node::Folder));
    assert_eq!(of(".git"), Some(Node::Folder));
    assert_eq!(of(".git/config"), None, "nothing of a repository");
    assert_eq!((of("a"), of("b")), (Some(file.clone()), Some(file)));
    assert_eq!(of("c"), Some(Node::Other), "a name of what is in a repository");
    assert_eq!(of("d"), Some(Node::Link("/etc/passwd".into())));
    assert_eq!((of("e"), of("f")), (Some(Node::Other), Some(Node::Other)));
    assert_eq!(seen.ignores[Path::new(".gitignore")], b"target");
    assert!(!spool.has(&one), "it did not change");
    let ignore: Hash = Sha256::digest(b"target").into();
    let mut text = String::new();
    spool.content(&ignore).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "target");

    // The second time, of what was asked for and of nothing else, whatever its length.
    let long = vec![7; (SMALL + 1) as usize];
    let bytes = packed(&[
        ROOT,
        ("project/a", EntryType::Regular, b"one", ""),
        ("project/l", EntryType::Regular, &long, ""),
        ("project/m", EntryType::Regular, &long[1..], ""),
        ("project/z", EntryType::Regular, b"two", ""),
    ]);
    let hash: Hash = Sha256::digest(&long).into();
    let (seen, spool) = reading(&bytes, &Keep::These(&HashMap::from([(hash, SMALL + 1), (one, 3)])));
    seen.unwrap();
    assert!(spool.has(&hash) && spool.has(&one));
    assert_eq!(spool.len(), SMALL + 4);
}

#[test]
fn what_no_packer_makes_is_refused() {
    let file = |path| (path, EntryType::Regular, &b"x"[..], "");
    assert!(seen(&[ROOT, file("project/a")]).is_ok(), "the way that is open");
    let evil: [&[Packed<'_>]; 13] = [
        &[ROOT, file("project/../a")],
        &[ROOT, file("/etc/passwd")],
        &[ROOT, file("project//a")],
        &[ROOT, file("project/./a")],
        &[ROOT, file("other/a")],
        &[ROOT, file("projects")],
        &[file("project/a")],
        &[("project", EntryType::Symlink, b"", "/etc")],
        &[ROOT, file("project/no-folder/a")],
        &[ROOT, ("project/l", EntryType::Symlink, b"", "/etc"), file("project/l/a")],
        &[ROOT, file("project/a"), file("project/a")],
        &[ROOT, file("project/a"), ("project/a", EntryType::Symlink, b"", "/etc")],
        &[ROOT, ("project/l", EntryType::Symlink, b"", "")],
    ];
    for entries in evil {
        let refused = seen(entries);
        assert!(matches!(refused, Err(ArchiveError::Malformed { .. })), "{entries:?}: {refused:?}");
    }
}

#[test]
fn an_archive_without_its_end_is_no_archive() {
    // Zeros at a file's end are not those of an archive's.
    let zeros = [0; 4096];
    let whole = packed(&[
        ROOT,
        ("project/a", EntryType::Regular, b"one", ""),
        ("project/b", EntryType::Regular, &zeros, ""),
        ("project/c", EntryType::Regular, b"three", ""),
    ]);
    let read = |bytes: &[u8]| reading(bytes, &Keep::Small(&Tree::new())).0;
    assert_eq!(read(&whole).unwrap().tree.len(), 4);
    for length in (0..whole.len()).step_by(256) {
        assert!(read(&whole[..length]).is_err(), "{length} of {}", whole.len());
    }
}

#[test]
fn a_size_that_nobody_sends_is_not_waited_for() {
    let mut bytes = packed(&[ROOT]);
    bytes.truncate(512);
    bytes.extend(header(b"project/holes", EntryType::Regular, 1 << 40, b"").as_bytes());
    bytes.extend([0; 4096]);
    let refused = reading(&bytes, &Keep::Small(&Tree::new())).0;
    assert!(matches!(refused, Err(ArchiveError::TooLarge { .. })), "{refused:?}");
}

proptest! {
    #[test]
    fn no_bytes_do_harm(
        raw in proptest::collection::vec(any::<u8>(), 0..2000),
        at in 0..2000_usize,
        path in "(project|\\.\\.|a|/|\\.git){1,6}",
    ) {
        let mut bytes = packed(&[ROOT, ("project/a", EntryType::Regular, b"one", "")]);
        let at = at.min(bytes.len());
        bytes.splice(at..(at + raw.len()).min(bytes.len()), raw);
        let kind = EntryType::Regular;
        for bytes in [bytes, packed(&[ROOT, (path.as_str(), kind, b"x", "")])] {
            if let Ok(seen) = reading(&bytes, &Keep::Small(&Tree::new())).0 {
                for path in seen.tree.keys() {
                    prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                }
            }
        }
    }
}
