//! Makes a branch's worktree, or finds it, and takes it away again; all of it or nothing. What a killed command left half-made
//! is known by its record, which says that no agent has seen it, and is cleared by the next one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::host::HostGit;
use super::{Wanted, Worktree, share, state};
use crate::config::Loaded;
use crate::context::Context;
use crate::exit::Failure;
use crate::launch::{self, Interrupt};
use crate::lock::StateLock;
use crate::output::escape;
use crate::paths::Paths;
use crate::project;
use crate::store;
use crate::workspace::beneath::{Beneath, Sort};
use crate::workspace::guard;

/// How often a lock is tried.
const STEP: Duration = Duration::from_millis(20);
/// What a worktree's folder is called while it is removed.
const LEAVING: &str = ".removed-";

/// A worktree that is whole.
#[derive(Debug)]
pub struct Ready {
    /// Which.
    pub worktree: Worktree,
    /// It was made just now.
    pub is_new: bool,
    _lock: Flock<File>,
}

/// Finds the branch's worktree, or makes it.
///
/// # Errors
/// When what is new in the repository is not accepted, git does not do it, or it was interrupted; nothing is left behind then.
pub fn ensure(
    ctx: &Context,
    loaded: &Loaded,
    wanted: &Wanted,
    yes: bool,
    interrupt: &Interrupt,
) -> Result<Ready, Failure> {
    let lock = lock(&ctx.paths, &loaded.dir, interrupt)?;
    let git = HostGit::new(&loaded.dir)?;
    let root = Beneath::open(&loaded.dir)?;
    check(&root, &loaded.dir)?;
    let found = Worktree::load(&ctx.paths, &loaded.dir, &wanted.branch)?;
    if let Some(found) = found.as_ref().filter(|found| found.whole) {
        if found.is_intact() {
            prepare(ctx, &git, &root, found, yes)?;
            if wanted.base.is_some() {
                ctx.output.note(&format!("Branch {} is there already, and used as it is", wanted.branch));
            }
            return Ok(Ready { worktree: found.clone(), is_new: false, _lock: lock });
        }
        if found.dir.exists() || !found.agents(&ctx.paths)?.is_empty() {
            return Err(share::gone(found));
        }
    }
    if let Some(found) = &found {
        clear(ctx, &git, found, interrupt)?;
    }
    let mut worktree = Worktree::new(&ctx.paths, loaded, &wanted.branch)?;
    if fs::symlink_metadata(&worktree.dir).is_ok() {
        return Err(Failure::new(format!(
            "{} is there, and not known as a worktree of this project; move it away",
            shown(&worktree.dir)
        )));
    }
    let made = prepare(ctx, &git, &root, &worktree, yes)
        .and_then(|()| make(ctx, &git, &root, &mut worktree, wanted, interrupt))
        .and_then(|()| if interrupt.came() { Err(launch::interrupted()) } else { Ok(()) });
    let ready = Ready { worktree, is_new: true, _lock: lock };
    match made {
        Ok(()) => Ok(ready),
        Err(failure) => {
            undo(ctx, &ready);
            Err(failure)
        }
    }
}

/// Refuses a project that has no repository of its own, before anything is remembered of it.
fn check(root: &Beneath, dir: &Path) -> Result<(), Failure> {
    let why = match root.sort(Path::new(".git"))? {
        Some(Sort::Folder) => return Ok(()),
        None => "has no git repository of its own; git init makes one",
        Some(Sort::File) => "is a worktree of another folder's repository; call clawker in that one",
        Some(_) => "has a link in .git's place, which is not followed",
    };
    Err(Failure::new(format!("{} {why}", shown(dir))))
}

/// Makes the repository ready for worktrees, once what is new in it is accepted: before git runs in it.
fn prepare(
    ctx: &Context,
    git: &HostGit,
    root: &Beneath,
    worktree: &Worktree,
    yes: bool,
) -> Result<(), Failure> {
    let dir = &worktree.project_dir;
    let _lock = StateLock::acquire(&ctx.paths)?;
    guard::settle(ctx, dir, yes)?;
    // From here on whoever removes the project's last agent leaves the repository as worktrees need it.
    worktree.save(&ctx.paths)?;
    launch::prepare(ctx, dir)?;
    share::refs(root, git.owner())
}

/// Takes back a worktree that was made just now and that no agent has seen.
pub fn undo(ctx: &Context, ready: &Ready) {
    if let (true, Ok(git)) = (ready.is_new, HostGit::new(&ready.worktree.project_dir)) {
        let _ = clear(ctx, &git, &ready.worktree, &Interrupt::deaf());
        release(ctx, &ready.worktree);
    }
}

fn make(
    ctx: &Context,
    git: &HostGit,
    root: &Beneath,
    worktree: &mut Worktree,
    wanted: &Wanted,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let reference = wanted.branch.reference();
    let is_there = git.agrees(&["show-ref", "--verify", "--quiet", &reference], interrupt)?;
    if is_there && wanted.base.is_some() {
        ctx.output.note(&format!("Branch {} is there already, and used as it is", wanted.branch));
    }
    if !is_there {
        let base = wanted.base.as_deref().unwrap_or("HEAD");
        let commit = format!("{base}^{{commit}}");
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        let found = git.output(&words, interrupt)?;
        let id = String::from_utf8_lossy(&found.stdout).trim().to_owned();
        if !found.status.success() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || id.is_empty() {
            return Err(Failure::new(match &wanted.base {
                Some(base) => format!("There is no branch, tag or commit {}", escape(base)),
                None => "The repository has no commit yet; a branch begins at one".to_owned(),
            }));
        }
        worktree.made_at = Some(id);
    }
    worktree.save(&ctx.paths)?;
    make_folder(&worktree.dir, git.owner())?;
    worktree.dir = fs::canonicalize(&worktree.dir)?;
    worktree.save(&ctx.paths)?;
    let mut words = vec!["worktree", "add", "--quiet"];
    if worktree.made_at.is_some() {
        words.extend(["--no-track", "-b", worktree.branch.as_str()]);
    }
    let dir = worktree.dir.to_string_lossy().into_owned();
    words.push(&dir);
    words.push(worktree.made_at.as_deref().unwrap_or(worktree.branch.as_str()));
    git.must(&words, interrupt)?;
    let link = Beneath::open(&worktree.dir)?.read(Path::new(".git"), 4096)?;
    let git_dir = worktree.gitdir_of(&link);
    worktree.git_dir = git_dir
        .and_then(|path| path.strip_prefix(&worktree.project_dir).map(Path::to_owned).ok())
        .filter(|path| path.starts_with(".git"))
        .ok_or_else(|| Failure::new("git made the worktree for another repository; check core.worktree"))?;
    share::fix_config(root, worktree, git)?;
    guard::accept_below(&ctx.paths, &worktree.project_dir, &worktree.git_dir)?;
    guard::begin(&ctx.paths, &worktree.dir, &worktree.project_dir)?;
    worktree.whole = true;
    Ok(worktree.save(&ctx.paths)?)
}

/// Makes a worktree's folder, and those above it. Root's are open to the project's owner, who has no business elsewhere.
fn make_folder(dir: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    let is_root = nix::unistd::geteuid().is_root();
    let mode = if is_root && uid != 0 { 0o711 } else { 0o700 };
    let parent = dir.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(mode).create(parent)?;
    // clawker, worktrees, and the project's: others' are left as they are.
    for folder in parent.ancestors().take(3).filter(|_| mode == 0o711) {
        fs::set_permissions(folder, Permissions::from_mode(mode))?;
    }
    DirBuilder::new().mode(0o755).create(dir)?;
    if is_root { chown(dir, Some(uid), Some(gid)) } else { Ok(()) }
}

/// Takes away what no agent has seen, its branch among it where that was made with it and still is where it began.
fn clear(ctx: &Context, git: &HostGit, worktree: &Worktree, interrupt: &Interrupt) -> Result<(), Failure> {
    let dir = worktree.dir.to_string_lossy().into_owned();
    // What git does not know is no failure.
    git.output(&["worktree", "remove", "--force", "--force", &dir], interrupt)?;
    remove_tree(&worktree.dir)?;
    if let Some(begin) = &worktree.made_at {
        let reference = worktree.branch.reference();
        git.output(&["update-ref", "-d", &reference, begin], interrupt)?;
    }
    guard::forget(&ctx.paths, &worktree.dir)?;
    Ok(worktree.forget(&ctx.paths)?)
}

/// Ends a worktree: its folder goes, its branch stays.
///
/// # Errors
/// When an agent uses it, or, without `force`, when something in it would be lost.
pub fn remove(ctx: &Context, worktree: &Worktree, force: bool, interrupt: &Interrupt) -> Result<(), Failure> {
    let _lock = lock(&ctx.paths, &worktree.project_dir, interrupt)?;
    let branch = &worktree.branch;
    let agents = worktree.agents(&ctx.paths)?;
    if !agents.is_empty() {
        let names: Vec<&str> = agents.iter().map(|agent| agent.agent.as_str()).collect();
        let names = names.join(" ");
        return Err(Failure::new(format!(
            "Agents work in {branch}: {names}; remove them first: clawker rm {names}"
        )));
    }
    let git = HostGit::new(&worktree.project_dir)?;
    let is_work = !force && worktree.whole && worktree.dir.exists();
    let kept_by = if is_work { state::kept_by(ctx, &git, worktree, interrupt)? } else { None };
    if let Some(why) = kept_by {
        return Err(Failure::new(format!("{why}; or lose it: clawker worktree remove --force {branch}")));
    }
    // At once, so that there is never half of it under its name.
    let aside = worktree.dir.with_file_name(format!("{LEAVING}{}", std::process::id()));
    match fs::rename(&worktree.dir, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let dir = worktree.dir.to_string_lossy().into_owned();
    git.output(&["worktree", "remove", "--force", "--force", &dir], &Interrupt::deaf())?;
    if !worktree.git_dir.as_os_str().is_empty() && worktree.git_dir().exists() {
        ctx.output.note(&format!(
            "git still knows the worktree; see git worktree prune in {}",
            shown(&worktree.project_dir)
        ));
    }
    guard::forget(&ctx.paths, &worktree.dir)?;
    worktree.forget(&ctx.paths)?;
    sweep(&worktree.dir)?;
    release(ctx, worktree);
    Ok(())
}

/// Puts the repository back as it was, where nobody needs it otherwise any more.
fn release(ctx: &Context, worktree: &Worktree) {
    if let Ok(_lock) = StateLock::acquire(&ctx.paths) {
        launch::release(ctx, &worktree.project_dir);
    }
}

/// Removes what is on its way out, of an earlier command too.
fn sweep(dir: &Path) -> Result<(), Failure> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(LEAVING.as_bytes()) {
            remove_tree(&entry.path())?;
        }
    }
    // Where it was the last one.
    let _ = fs::remove_dir(parent);
    Ok(())
}

/// Removes a folder and all in it, read-only folders too: caches of packages are.
fn remove_tree(dir: &Path) -> Result<(), Failure> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let removed = gone(fs::remove_dir_all(dir)).or_else(|_| {
        open_up(dir)?;
        gone(fs::remove_dir_all(dir))
    });
    removed.map_err(|error| Failure::new(format!("Can't remove {}: {error}", shown(dir))))
}

/// Makes every folder writable. No agent is at it any more; links are not followed.
fn open_up(dir: &Path) -> io::Result<()> {
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// One command at a time for a project's worktrees; others wait.
fn lock(paths: &Paths, project_dir: &Path, interrupt: &Interrupt) -> Result<Flock<File>, Failure> {
    let path: PathBuf = super::folder(paths).join(format!("{}.lock", project::id(project_dir)));
    store::make_folder(&super::folder(paths))?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((file, Errno::EWOULDBLOCK | Errno::EINTR)) => file,
            Err((_, error)) => return Err(error.into()),
        };
        if interrupt.came() {
            return Err(launch::interrupted());
        }
        std::thread::sleep(STEP);
    }
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}
