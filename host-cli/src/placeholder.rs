//! Empty files and folders in place of what is hidden and isn't there: only what is there can be covered, and what is written
//! into it later stays covered. They are the project's, made when its first agent needs them, and go with its last one, where
//! they are still what was made.

mod exclude;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::covers::Covers;
use crate::exit::Failure;
use crate::output::escape;
use crate::paths::Paths;
use crate::workspace::beneath::{Beneath, Sort};
use crate::{project, store};

/// What was made in one project or worktree.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    /// Its folder, for people.
    dir: PathBuf,
    /// Inodes by their paths from there.
    inodes: BTreeMap<PathBuf, u64>,
}

fn file(paths: &Paths, dir: &Path) -> PathBuf {
    paths.state.join("placeholders").join(format!("{}.json", project::id(dir)))
}

/// Makes what is to be covered and isn't there.
///
/// # Errors
/// When it can't be made, other than because a link is on the way.
pub fn make(ctx: &Context, dir: &Path, covers: &Covers) -> Result<(), Failure> {
    let state = file(&ctx.paths, dir);
    let root = Beneath::open(dir)?;
    let mut made: Made = store::load(&state)?.unwrap_or_default();
    let mut told = Vec::new();
    for (path, is_folder) in covers.places() {
        let new = place(&root, path, is_folder).map_err(|error| {
            Failure::new(format!("Can't make {}, to hide it: {error}", escape(&path.to_string_lossy())))
        })?;
        if !new.is_empty() {
            told.push(escape(&path.to_string_lossy()));
        }
        made.inodes.extend(new);
    }
    if told.is_empty() {
        return Ok(());
    }
    made.dir = dir.to_owned();
    store::save(&state, &made)?;
    if let Err(error) = exclude::settle(&ctx.paths, dir) {
        ctx.output.note(&format!("git will show what is made now; name it in .git/info/exclude: {error}"));
    }
    ctx.output.note(&format!(
        "Made {}, empty, so that it is hidden when it is written; it goes with the last agent",
        told.join(", ")
    ));
    Ok(())
}

/// Makes one, with the folders that it lies in; what was made.
fn place(root: &Beneath, path: &Path, is_folder: bool) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut made = BTreeMap::new();
    let owner = root.owner()?;
    let mut above: Vec<_> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
    above.reverse();
    for part in above {
        if root.stat(part)?.is_some() {
            continue;
        }
        let outcome = if part == path && !is_folder { root.make_new(part) } else { root.make_folder(part) };
        match outcome {
            // Somebody was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            outcome => {
                outcome?;
                root.give(part, owner.0, owner.1)?;
                made.extend(root.stat(part)?.map(|about| (part.to_owned(), about.st_ino)));
            }
        }
    }
    Ok(made)
}

/// Takes away what was made in a folder and is still empty, where no agent works in it any more.
///
/// # Errors
/// When state or folder can't be read.
pub fn release(paths: &Paths, dir: &Path) -> Result<(), Failure> {
    if store::agents(paths)?.iter().any(|other| other.workspace() == dir) {
        return Ok(());
    }
    let state = file(paths, dir);
    let Some(made) = store::load::<Made>(&state)? else { return Ok(()) };
    if let Ok(root) = Beneath::open(dir) {
        // What lies in a folder comes before the folder.
        for (path, inode) in made.inodes.iter().rev() {
            match take_away(&root, path, *inode) {
                Err(error)
                    if Errno::from_raw(error.raw_os_error().unwrap_or_default()) != Errno::ENOTEMPTY =>
                {
                    return Err(error.into());
                }
                _ => {}
            }
        }
    }
    store::remove(&state)?;
    // Lines that are left there harm nobody.
    let _ = exclude::settle(paths, dir);
    Ok(())
}

fn take_away(root: &Beneath, path: &Path, inode: u64) -> io::Result<()> {
    let Some(about) = root.stat(path)?.filter(|about| about.st_ino == inode) else { return Ok(()) };
    match Sort::of_mode(about.st_mode) {
        Sort::Folder => root.remove_folder(path),
        Sort::File if about.st_size == 0 => root.remove(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::test_folder;

    #[test]
    fn what_is_not_there_is_made_with_its_folders_and_goes_while_it_is_empty() {
        let folder = test_folder("placeholder");
        let root = Beneath::open(&folder).unwrap();
        fs::write(folder.join("there"), "").unwrap();
        std::os::unix::fs::symlink("/etc", folder.join("link")).unwrap();
        let mut made = BTreeMap::new();
        for (path, is_folder) in [("there", false), ("a/b/key", false), ("a/c", true), (".env", false)] {
            made.extend(place(&root, Path::new(path), is_folder).unwrap());
        }
        let names: Vec<_> = made.keys().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(names, [".env", "a", "a/b", "a/b/key", "a/c"]);
        assert!(place(&root, Path::new("link/clawker-test"), false).is_err());
        fs::write(folder.join(".env"), "S=1").unwrap();
        for (path, inode) in made.iter().rev() {
            take_away(&root, path, *inode).unwrap();
        }
        let mut left: Vec<_> = root.list(Path::new("")).unwrap().into_iter().map(|(name, _)| name).collect();
        left.sort();
        assert_eq!(left, [".env", "link", "there"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
