//! A worktree's repository as its agent's container sees it: `.git` of the main checkout at its own path and read-only, but
//! for what git must write there; and a common folder of the agent's own, to which the worktree's `commondir` leads in the
//! container alone, with a copy of the configuration and links to the rest.
//!
//! `packed-refs` is written beside and renamed, in `.git` itself, which the agent must not write: so that file gets a folder
//! of its own, and a link in its old place, which git follows in reading and in writing.

use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use clawker_protocol::boot::Mounted;
use clawker_protocol::places::PUBLIC_DIR;

use super::{Worktree, host};
use crate::exit::Failure;
use crate::output::escape;
use crate::store::AgentRecord;
use crate::workspace::beneath::{Beneath, Sort};
use crate::workspace::git::{Place, fixed};

/// The folder of `packed-refs`, below the project.
const REFS: &str = ".git/clawker-refs";
/// `packed-refs`, and what it links to.
const PACKED: (&str, &str) = (".git/packed-refs", "clawker-refs/packed-refs");
/// Folders that git must write; they are there.
const WRITTEN: [&str; 3] = ["objects", "refs", "logs"];
/// Folders that hold data alone, and are written where they are there.
const WRITTEN_IF_THERE: [&str; 3] = ["lfs", "reftable", "rr-cache"];
/// What else the agent's common folder links to.
const READ: [&str; 7] = ["HEAD", "index", "shallow", "description", "hooks", "info", "modules"];
/// What is read where it is there.
const READ_IF_THERE: [&str; 3] = ["branches", "remotes", "svn"];
/// No configuration is larger.
const MAX_CONFIG: u64 = 1 << 20;
/// No such file is larger.
const MAX_PACKED: u64 = 1 << 30;
/// An agent's git can't see what worktrees that were made after it need.
const KEEP: &str = "[gc]\n\tpruneExpire = never\n\tworktreePruneExpire = never\n";

/// Gives `packed-refs` its folder, where it has none yet.
///
/// # Errors
/// When the repository is not what it must be, or can't be written.
pub fn refs(root: &Beneath, owner: (u32, u32)) -> Result<(), Failure> {
    for name in WRITTEN {
        let path = Path::new(".git").join(name);
        match root.sort(&path)? {
            Some(Sort::Folder) => {}
            None if name == "logs" => {
                root.make_folder(&path)?;
                root.give(&path, owner.0, owner.1)?;
            }
            _ => return Err(Failure::new(format!("The repository's {} is no folder", path.display()))),
        }
    }
    let (old, new) = (Path::new(PACKED.0), Path::new(REFS).join("packed-refs"));
    root.make_folder(Path::new(REFS))?;
    root.give(Path::new(REFS), owner.0, owner.1)?;
    let sort = root.sort(old)?;
    match sort {
        Some(Sort::Link) if root.target(old)? == Path::new(PACKED.1) => return Ok(()),
        None => {}
        // The second may be left of one that was put back and not to its end.
        Some(Sort::File) if root.stat(&new)?.is_none() || is_same(root, old, &new)? => {}
        _ => {
            return Err(Failure::new(format!(
                "{} is not as clawker left it, and {} holds references too; merge them by hand",
                PACKED.0,
                new.display()
            )));
        }
    }
    // Git's own lock: no git packs references meanwhile.
    let lock = Path::new(".git/packed-refs.lock");
    root.make_new(lock).map_err(|error| Failure::new(format!("Can't lock {}: {error}", PACKED.0)))?;
    let moved = (|| {
        if sort.is_some() {
            root.write(&new, &mut root.read(old, MAX_PACKED)?.as_slice(), 0o644)?;
            root.give(&new, owner.0, owner.1)?;
        }
        link(root, owner)
    })();
    root.remove(lock)?;
    Ok(moved?)
}

fn is_same(root: &Beneath, one: &Path, other: &Path) -> io::Result<bool> {
    Ok(root.read(one, MAX_PACKED)? == root.read(other, MAX_PACKED)?)
}

/// Puts the link in place, at once.
fn link(root: &Beneath, owner: (u32, u32)) -> io::Result<()> {
    let beside = Path::new(".git/.packed-refs.clawker");
    if root.stat(beside)?.is_some() {
        root.remove(beside)?;
    }
    root.make_link(beside, Path::new(PACKED.1))?;
    root.give(beside, owner.0, owner.1)?;
    root.rename(beside, "packed-refs".as_ref())
}

/// Puts `packed-refs` back, once nobody works in a worktree any more.
///
/// # Errors
/// When it can't be written.
pub fn put_back(root: &Beneath) -> io::Result<()> {
    let (old, new) = (Path::new(PACKED.0), Path::new(REFS).join("packed-refs"));
    let is_ours = root.sort(old)? == Some(Sort::Link) && root.target(old)? == Path::new(PACKED.1);
    if !is_ours {
        return Ok(());
    }
    let lock = Path::new(REFS).join("packed-refs.lock");
    root.make_new(&lock)?;
    match root.stat(&new)? {
        Some(stat) => {
            let written = root.read(&new, MAX_PACKED).and_then(|bytes| {
                root.write(old, &mut bytes.as_slice(), 0o644)?;
                root.give(old, stat.st_uid, stat.st_gid)
            });
            if let Err(error) = written {
                root.remove(&lock)?;
                return Err(error);
            }
        }
        None => root.remove(old)?,
    }
    for (name, sort) in root.list(Path::new(REFS))? {
        let path = Path::new(REFS).join(name);
        if sort == Sort::Folder { root.remove_folder(&path)? } else { root.remove(&path)? }
    }
    root.remove_folder(Path::new(REFS))
}

/// The folder that all the repository's worktrees share, on the host.
pub fn common(worktree: &Worktree) -> PathBuf {
    // .git/worktrees/NAME, or .git/clawker/worktrees/NAME.
    worktree.git_dir().ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// Makes what the agent has of its own, in its folder in clawker's state.
///
/// # Errors
/// When it can't be written.
pub fn make_own(worktree: &Worktree, folder: &Path, (uid, gid): (u32, u32)) -> Result<(), Failure> {
    let own = folder.join("git");
    if own.exists() {
        return Ok(());
    }
    let root = Beneath::open(&worktree.project_dir)?;
    let of_common = worktree.git_dir.ancestors().nth(2).unwrap_or(Path::new(".git"));
    let config = root.read(&of_common.join("config"), MAX_CONFIG)?;
    let text = [config.as_slice(), b"\n", KEEP.as_bytes()].concat();
    std::fs::create_dir_all(own.join("worktrees"))?;
    std::fs::write(own.join("config"), text)?;
    let git = worktree.project_dir.join(".git");
    for name in WRITTEN.iter().chain(&READ) {
        symlink(git.join(name), own.join(name))?;
    }
    for name in WRITTEN_IF_THERE.iter().chain(&READ_IF_THERE) {
        if root.stat(&Path::new(".git").join(name))?.is_some() {
            symlink(git.join(name), own.join(name))?;
        }
    }
    symlink(worktree.project_dir.join(REFS).join("packed-refs"), own.join("packed-refs"))?;
    // So that its git knows which branches are worked on elsewhere.
    for (name, sort) in root.list(&of_common.join("worktrees"))? {
        if sort == Sort::Folder {
            let target = worktree.project_dir.join(of_common).join("worktrees").join(&name);
            symlink(target, own.join("worktrees").join(&name))?;
        }
    }
    std::fs::write(folder.join("commondir"), format!("{}\n", target().display()))?;
    for path in [own.join("config"), own.join("worktrees"), own] {
        give(&path, uid, gid)?;
    }
    Ok(())
}

/// Lets the agent write it.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let me = nix::unistd::geteuid();
    if me.is_root() {
        return std::os::unix::fs::lchown(path, Some(uid), Some(gid));
    }
    if me.as_raw() == uid {
        return Ok(());
    }
    // Nobody but us and the container's agent gets through the folders above it.
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

/// Where the agent's common folder lies in the container.
fn target() -> PathBuf {
    Path::new(PUBLIC_DIR).join("git")
}

/// Folders of the repository that are mounted, from the project's.
///
/// # Errors
/// When the repository can't be read.
pub fn folders(worktree: &Worktree) -> io::Result<Vec<PathBuf>> {
    let root = Beneath::open(&worktree.project_dir)?;
    let mut folders = vec![PathBuf::from(".git"), PathBuf::from(REFS), worktree.git_dir.clone()];
    folders.extend(WRITTEN.iter().map(|name| Path::new(".git").join(name)));
    for name in WRITTEN_IF_THERE {
        let path = Path::new(".git").join(name);
        if root.sort(&path)? == Some(Sort::Folder) {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// What init makes sure of: an agent in the main checkout may put a link in a folder's place while Docker looks for it. One
/// that is not there, or no folder, is never found again, so that the agent does not start.
pub fn mounted(record: &AgentRecord) -> Vec<Mounted> {
    let root = Beneath::open(&record.project_dir);
    let id = |path: &Path| {
        let stat = root.as_ref().ok()?.stat(path).ok()??;
        (Sort::of_mode(stat.st_mode) == Sort::Folder).then_some((stat.st_dev, stat.st_ino))
    };
    let one = |path: &PathBuf| {
        let (dev, ino) = id(path).unwrap_or_default();
        Mounted { path: record.project_dir.join(path).to_string_lossy().into_owned(), dev, ino }
    };
    record.mounted.iter().map(one).collect()
}

/// What is mounted besides the worktree itself. Files come from the agent's folder in clawker's state, where no agent can put
/// a link in their place.
///
/// # Errors
/// When the worktree is not what it was, or can't be read.
pub fn places(worktree: &Worktree, folder: &Path, mounted: &[PathBuf]) -> Result<Vec<Place>, Failure> {
    if !worktree.is_intact() {
        return Err(gone(worktree));
    }
    let git_dir = worktree.git_dir();
    let mut places: Vec<Place> = mounted
        .iter()
        .map(|path| {
            let source = worktree.project_dir.join(path);
            // A mountpoint can't be moved away, nor what is mounted in it.
            Place { target: source.clone(), source, read_only: path == Path::new(".git") }
        })
        .collect();
    let own = |name: &str, target: PathBuf, read_only| Place { source: folder.join(name), target, read_only };
    places.extend([own("commondir", git_dir.join("commondir"), true), own("git", target(), false)]);
    let project = Beneath::open(&worktree.project_dir)?;
    for name in ["gitdir", "config.worktree"] {
        places.push(fixed(&project, &worktree.git_dir.join(name), folder, git_dir.join(name))?);
    }
    let root = Beneath::open(&worktree.dir)?;
    for name in [".git", ".clawker.yaml", ".clawker.local.yaml", ".clawkerignore"] {
        if root.sort(Path::new(name))? == Some(Sort::File) {
            places.push(fixed(&root, Path::new(name), folder, worktree.dir.join(name))?);
        }
    }
    Ok(places)
}

/// A worktree that somebody took away.
pub fn gone(worktree: &Worktree) -> Failure {
    Failure::new(format!(
        "The worktree {} is gone or leads elsewhere by now; end it: clawker worktree remove {}",
        escape(&worktree.dir.to_string_lossy()),
        escape(worktree.branch.as_str())
    ))
}

/// Makes the file that holds a worktree's own configuration, where there is none: only what is there can be protected.
///
/// # Errors
/// When it can't be written.
pub fn fix_config(root: &Beneath, worktree: &Worktree, git: &host::HostGit) -> io::Result<()> {
    let path = worktree.git_dir.join("config.worktree");
    if root.stat(&path)?.is_none() {
        root.make_new(&path)?;
        root.give(&path, git.owner().0, git.owner().1)?;
    }
    Ok(())
}
