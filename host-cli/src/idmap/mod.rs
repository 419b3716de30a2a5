//! A workspace of root's, for an agent that is not root: an idmapped mount of it, in which root's files are the agent's and
//! the agent's are root's on the disk (mount_setattr(2)). Docker binds the mount into the container. It is there only while
//! Docker starts the container, which keeps it; so that nothing of it is left where somebody could remove what it shows.

mod sys;

pub mod choose;
mod set_id;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use clawker_protocol::boot::Run;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};
use rustix::fs::CWD;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use crate::docker::DockerError;
use crate::docker::create::Spec;
use crate::exit::{self, Failure};
use crate::output::escape;
use crate::paths::Paths;
use crate::store::AgentRecord;
use crate::workspace::AGENT_ID;
use crate::workspace::beneath::Beneath;
use crate::workspace::git::Place;

/// Ids are all below this one.
const END: u32 = u32::MAX;

/// An id map in which this id and root's change places, and every other stays: a line each of what is on the disk, what is
/// seen, and how many (user_namespaces(7)).
fn swap(id: u32) -> String {
    let lines = [(0, id, 1), (1, 1, id.saturating_sub(1)), (id, 0, 1), (id + 1, id + 1, END - id - 1)];
    lines
        .iter()
        .filter(|(_, _, count)| *count > 0)
        .map(|(disk, seen, count)| format!("{disk} {seen} {count}\n"))
        .collect()
}

/// A copy of a folder's mount, with all that is mounted below it, in which root and this user have changed places. It is
/// nowhere yet, and gone with its descriptor.
///
/// # Errors
/// Where kernel or file system can't, or we may not.
fn detached(folder: &Path, (uid, gid): (u32, u32)) -> io::Result<OwnedFd> {
    let holder = sys::Holder::new()?;
    fs::write(holder.file("uid_map"), swap(uid))?;
    fs::write(holder.file("gid_map"), swap(gid))?;
    let namespace = File::open(holder.file("ns/user"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    let tree = open_tree(CWD, folder, flags)?;
    sys::map_ids(tree.as_fd(), namespace.as_fd())?;
    Ok(tree)
}

/// Tries it on a folder, of which nothing is left.
///
/// # Errors
/// Why it can't be done there.
pub fn try_on(folder: &Path) -> Result<(), String> {
    detached(folder, (AGENT_ID, AGENT_ID)).map(drop).map_err(|error| choose::why(&error))
}

/// An agent's mounts that are in their places, which other processes may use too; the last that lets go takes them away.
#[derive(Debug)]
pub struct Placed {
    mounts: Vec<Mounted>,
}

/// What an agent's mounts show, and what each is called after the agent's id: its workspace, and for a worktree, the
/// repository that it belongs to.
fn sources(record: &AgentRecord) -> Vec<(PathBuf, &'static str)> {
    let workspace = (record.workspace().to_owned(), "");
    match &record.worktree {
        Some(_) => vec![workspace, (record.project_dir.join(".git"), "-git")],
        None => vec![workspace],
    }
}

impl Placed {
    /// Puts an agent's workspace into its place, where it is to be idmapped. `starts`: it is for a start, before which what
    /// must not become the agent's is looked for.
    ///
    /// # Errors
    /// Where that is found, or the workspace can't be idmapped.
    pub fn place(paths: &Paths, record: &AgentRecord, starts: bool) -> Result<Option<Self>, Failure> {
        if record.run.idmapped.is_none() {
            return Ok(None);
        }
        sweep(paths);
        let folder = record.workspace();
        if fs::metadata(folder)?.uid() != 0 {
            let agent = &record.agent;
            return Err(Failure::new(format!(
                "{} was root's when agent {agent} was made and is not now; make it again: clawker rm {agent}, then \
                 clawker run",
                escape(&folder.to_string_lossy())
            )));
        }
        let mut mounts = Vec::new();
        for (folder, name) in sources(record) {
            let unable = |error: io::Error| choose::refusal(&folder, &choose::why(&error));
            let tree = detached(&folder, (record.run.uid, record.run.gid)).map_err(unable)?;
            if starts {
                let root = Beneath::open(Path::new(&format!("/proc/self/fd/{}", tree.as_raw_fd())))?;
                set_id::check(&root, &folder)?;
            }
            let at = paths.mounts().join(format!("{}{name}", record.id));
            mounts.push(Mounted::attach(&tree, folder, at).map_err(|error| {
                Failure::new(format!("Can't mount the workspace for agent {}: {error}", record.agent))
            })?);
        }
        Ok(Some(Self { mounts }))
    }

    /// Has Docker take the workspace, and what lies in it and over it, from here.
    pub fn lead(&self, spec: &mut Spec) {
        for mount in &self.mounts {
            for place in &mut spec.places {
                if let Ok(path) = place.source.strip_prefix(&mount.shows) {
                    place.source = below(&mount.at, path);
                }
            }
            if mount.shows == spec.project_dir {
                spec.idmapped = Some(mount.at.clone());
            }
        }
    }
}

/// Copies of root's files, which lie over them, become the agent's: it sees those as its own, and git looks at whose they are.
///
/// # Errors
/// When they can't be given to it.
pub fn give(run: &Run, copies: &[Place], folder: &Path) -> io::Result<()> {
    if run.idmapped.is_none() {
        return Ok(());
    }
    for copy in copies.iter().filter(|place| place.read_only && place.source.starts_with(folder)) {
        let about = fs::symlink_metadata(&copy.source)?;
        let (uid, gid) = (about.uid() == 0, about.gid() == 0);
        lchown(&copy.source, uid.then_some(run.uid), gid.then_some(run.gid))?;
    }
    Ok(())
}

/// Without a slash at the end, which Docker would take for another path than the same without.
fn below(folder: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(path) }
}

/// A mount that is in its place.
#[derive(Debug)]
struct Mounted {
    shows: PathBuf,
    at: PathBuf,
    lock: Flock<File>,
}

impl Mounted {
    fn attach(tree: &OwnedFd, shows: PathBuf, at: PathBuf) -> io::Result<Self> {
        let lock = lock(&at)?;
        // A turn more for each process that takes it away in between.
        for _ in 0..100 {
            lock.relock(FlockArg::LockShared)?;
            if is_there(tree, &at) {
                return Ok(Self { shows, at, lock });
            }
            lock.relock(FlockArg::LockExclusive)?;
            if !is_there(tree, &at) {
                take_away(&at)?;
                DirBuilder::new().recursive(true).mode(0o500).create(&at)?;
                move_mount(tree, c"", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
            }
        }
        Err(io::Error::other("other commands take it away again and again"))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.lock.relock(FlockArg::LockExclusiveNonblock).is_ok() {
            let _ = take_away(&self.at);
        }
    }
}

/// What Docker's error means, where it is about a mount that it did not find.
pub fn explain(placed: Option<&Placed>, error: DockerError) -> Failure {
    let told = exit::chain(&error);
    let is_of_ours = |mount: &Mounted| told.contains(&*mount.at.to_string_lossy());
    if !placed.is_some_and(|placed| placed.mounts.iter().any(is_of_ours)) {
        return error.into();
    }
    Failure::new(format!(
        "{told}; Docker does not see what clawker mounts: both have to run in the same mount namespace"
    ))
}

/// Takes away what killed commands left in place.
pub fn sweep(paths: &Paths) {
    for entry in fs::read_dir(paths.mounts()).into_iter().flatten().flatten() {
        let path = entry.path();
        let (Some("lock"), Some(id)) = (path.extension().and_then(|end| end.to_str()), path.file_stem())
        else {
            continue;
        };
        let Ok(file) = File::open(&path) else { continue };
        if let Ok(_held) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            let _ = take_away(&path.with_file_name(id));
            let agent = id.to_str().and_then(|id| id.split('-').next());
            let gone = agent.is_some_and(|agent| !paths.agent_record(agent).exists());
            if gone {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// The lock beside a place, held by each process that uses it. One that was removed meanwhile is no lock.
fn lock(at: &Path) -> io::Result<Flock<File>> {
    let path = at.with_extension("lock");
    fs::create_dir_all(path.parent().unwrap_or(at))?;
    loop {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        let ours = file.metadata()?.ino();
        let lock = Flock::lock(file, FlockArg::LockShared).map_err(|(_, error)| error)?;
        if fs::metadata(&path).is_ok_and(|found| found.ino() == ours) {
            return Ok(lock);
        }
    }
}

/// Whether what is mounted there is the same folder, seen the same way.
fn is_there(tree: &OwnedFd, at: &Path) -> bool {
    let (Ok(wanted), Ok(found)) = (nix::sys::stat::fstat(tree), fs::symlink_metadata(at)) else {
        return false;
    };
    (found.dev(), found.ino(), found.uid()) == (wanted.st_dev, wanted.st_ino, wanted.st_uid)
}

/// Takes away a mount and the empty folder that it lies on. What the mount shows is never touched: nothing is removed with
/// what is in it.
fn take_away(at: &Path) -> io::Result<()> {
    loop {
        match umount2(at, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::EINVAL | Errno::ENOENT) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match fs::remove_dir(at) {
        // A Docker that did not see the mount made its mountpoints here. They are empty; what we can't tell from a workspace
        // stays all the same.
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
