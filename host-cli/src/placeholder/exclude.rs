//! Placeholders stay out of git: they are named in the repository's `info/exclude`, between two lines that say whose they
//! are, or `git add --all` would commit empty files and `git status` show what nobody made. The rest of the file is the
//! user's and is left as it is.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Made;
use crate::paths::Paths;
use crate::workspace::beneath::{Beneath, Sort};
use crate::{store, worktree};

const BEGIN: &[u8] = b"# clawker: hidden from agents, and empty; these lines go with the last agent";
const END: &[u8] = b"# clawker: end";
const FILE: &str = ".git/info/exclude";
/// More is no file that a person wrote.
const MAX_LEN: u64 = 4 << 20;

/// Names in a folder's repository what is recorded as made in it and in its other worktrees, and nothing else. A folder
/// without a repository of its own needs none.
///
/// # Errors
/// When state or file can't be read or written.
pub fn settle(paths: &Paths, dir: &Path) -> io::Result<()> {
    let repository = repository(paths, dir)?;
    let root = Beneath::open(&repository)?;
    if root.sort(Path::new(".git"))? != Some(Sort::Folder) {
        return Ok(());
    }
    let mut made = BTreeSet::new();
    let all: Vec<Made> = store::load_all(&paths.state.join("placeholders")).map_err(io::Error::other)?;
    for one in all {
        if self::repository(paths, &one.dir)? == repository {
            made.extend(one.inodes.into_keys());
        }
    }
    let file = Path::new(FILE);
    let was = match root.read(file, MAX_LEN) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    let now = with(&was, &made);
    if now == was {
        return Ok(());
    }
    let (uid, gid) = root.owner()?;
    let folder = Path::new(".git/info");
    if root.sort(folder)?.is_none() {
        root.make_folder(folder)?;
        root.give(folder, uid, gid)?;
    }
    let mode = root.stat(file)?.map_or(0o644, |about| about.st_mode & 0o777);
    root.write(file, &mut now.as_slice(), mode)?;
    root.give(file, uid, gid)
}

/// The folder that has the repository: a worktree's project, else itself.
fn repository(paths: &Paths, dir: &Path) -> io::Result<PathBuf> {
    let around = worktree::around(paths, dir).map_err(io::Error::other)?;
    Ok(around.map_or_else(|| dir.to_owned(), |worktree| worktree.project_dir))
}

/// A file's text with our lines, which are the last, or without any.
fn with(text: &[u8], made: &BTreeSet<PathBuf>) -> Vec<u8> {
    let mut ours = false;
    let mut new = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        ours |= bare == BEGIN;
        if !ours {
            new.extend_from_slice(line);
        }
        ours &= bare != END;
    }
    let lines: Vec<_> = made.iter().filter_map(|path| pattern(path)).collect();
    if lines.is_empty() {
        return new;
    }
    if new.last().is_some_and(|byte| *byte != b'\n') {
        new.push(b'\n');
    }
    for line in [BEGIN.to_vec()].into_iter().chain(lines).chain([END.to_vec()]) {
        new.extend(line);
        new.push(b'\n');
    }
    new
}

/// The pattern that means just this path (gitignore(5)); none for a name that no line can hold.
fn pattern(path: &Path) -> Option<Vec<u8>> {
    let name = path.as_os_str().as_bytes();
    if name.contains(&b'\n') {
        return None;
    }
    let mut pattern = vec![b'/'];
    for byte in name {
        if b"\\*?[ ".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    Some(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(paths: &[&str]) -> BTreeSet<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_the_user_wrote_stays_and_ours_is_there_once() {
        let user = b"# mine\n*.log".to_vec();
        let once = with(&user, &made(&[".netrc", "a b/[x]*"]));
        let shown = String::from_utf8(once.clone()).unwrap();
        assert!(shown.starts_with("# mine\n*.log\n# clawker: hidden"), "{shown}");
        assert!(shown.contains("\n/.netrc\n/a\\ b/\\[x]\\*\n# clawker: end\n"), "{shown}");
        assert_eq!(with(&once, &made(&[".netrc", "a b/[x]*"])), once);
        let other = String::from_utf8(with(&once, &made(&["key"]))).unwrap();
        assert!(other.contains("/key") && !other.contains(".netrc"), "{other}");
        assert_eq!(with(&once, &made(&[])), b"# mine\n*.log\n");
        assert_eq!(with(b"", &made(&["new\nline"])), b"");
    }

    #[test]
    fn a_file_whose_last_line_of_ours_was_taken_away_loses_no_more_than_what_follows_it() {
        let cut = [b"mine\n", BEGIN, b"\n/.netrc\n"].concat();
        assert_eq!(with(&cut, &made(&[])), b"mine\n");
    }
}
