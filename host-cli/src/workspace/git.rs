//! The workspace's own repository, shared with an agent so that the host's git never runs what the agent wrote there.
//!
//! Git reads `config` and `hooks` from the folder that `.git/commondir` names (gitrepository-layout(5)). We make that
//! `.git/clawker`: the configuration moves there, all else in it is a link back. In the container another folder, the
//! agent's own with a copy of the configuration, is mounted over it. A folder's mount stays whatever either side renames
//! in it, which a file's does not; and `commondir`, which is mounted read-only, is a file that git never writes.

use std::io;
use std::path::{Path, PathBuf};

use super::beneath::{Beneath, Sort};
use super::gitconfig;

/// The common folder, below `.git`.
const COMMON: &str = "clawker";
/// What `commondir` holds.
const COMMONDIR: &[u8] = b"clawker\n";
/// Folders that both sides share; made where they are missing, since git makes none behind a link.
const SHARED_FOLDERS: [&str; 6] = ["objects", "refs", "hooks", "info", "logs", "modules"];
/// Files that both sides share. Git writes through a link. The first two are the main worktree's, for the linked ones.
const SHARED_FILES: [&str; 5] = ["HEAD", "index", "packed-refs", "shallow", "description"];
/// What is shared where it is there: `rr-cache` would change how git works by its being there.
const SHARED_IF_THERE: [&str; 5] = ["rr-cache", "lfs", "branches", "remotes", "svn"];
/// No configuration is larger.
const MAX_CONFIG: u64 = 1 << 20;
/// No file that is protected is larger.
const MAX_FIXED: u64 = 4 << 20;

/// How a repository is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// There is none.
    None,
    /// `.git` is a file that leads elsewhere; it is read-only, and git finds nothing in the container.
    File,
    /// The agent has a configuration of its own.
    Apart,
    /// It has not: the configuration is read-only until the host's git replaces the file.
    Plain(&'static str),
}

/// A mount of the agent's container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// On the host.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// The agent can't write it.
    pub read_only: bool,
}

/// Whether the repository is shared by [`Way::Apart`] already.
fn is_apart(root: &Beneath) -> bool {
    root.read(Path::new(".git/commondir"), 4096).is_ok_and(|bytes| bytes == COMMONDIR)
        && matches!(root.sort(&common("config")), Ok(Some(Sort::File)))
}

fn common(name: &str) -> PathBuf {
    Path::new(".git").join(COMMON).join(name)
}

fn git(name: &str) -> PathBuf {
    Path::new(".git").join(name)
}

/// Makes the workspace's repository ready to be shared, and tells how it is, and whether that is new.
///
/// # Errors
/// When it can't be written.
pub fn prepare(root: &Beneath) -> io::Result<(Way, bool)> {
    match root.sort(Path::new(".git"))? {
        None => return Ok((Way::None, false)),
        Some(Sort::File) => return Ok((Way::File, false)),
        Some(Sort::Folder) => {}
        Some(_) => return Ok((Way::Plain(".git is a link"), false)),
    }
    if let Some(why) = hindrance(root)? {
        return Ok((Way::Plain(why), false));
    }
    let owner = root.stat(Path::new(".git"))?.map_or((0, 0), |stat| (stat.st_uid, stat.st_gid));
    for name in SHARED_FOLDERS {
        if root.sort(&git(name))?.is_none() {
            root.make_folder(&git(name))?;
            root.give(&git(name), owner.0, owner.1)?;
        }
    }
    let changed = !is_apart(root);
    if changed {
        // Git's own lock: no git changes the configuration meanwhile.
        root.make_new(&git("config.lock"))?;
        let moved = take_apart(root, owner);
        root.remove(&git("config.lock"))?;
        moved?;
    }
    Ok((Way::Apart, changed))
}

/// What keeps a repository from being shared apart.
fn hindrance(root: &Beneath) -> io::Result<Option<&'static str>> {
    for name in ["objects", "refs"] {
        if root.sort(&git(name))? != Some(Sort::Folder) {
            return Ok(Some("it is no repository that git would work in"));
        }
    }
    for name in SHARED_FOLDERS {
        if !matches!(root.sort(&git(name))?, None | Some(Sort::Folder)) {
            return Ok(Some("a folder of it is a link"));
        }
    }
    if is_apart(root) {
        return Ok(None);
    }
    if root.sort(&git("commondir"))?.is_some() || root.sort(&git(COMMON))?.is_some() {
        return Ok(Some("it has a commondir already"));
    }
    if root.list(&git("worktrees")).is_ok_and(|names| !names.is_empty()) {
        return Ok(Some("it has linked worktrees"));
    }
    let Ok(config) = root.read(&git("config"), MAX_CONFIG) else {
        return Ok(Some("its config is no file"));
    };
    match gitconfig::parse(&config) {
        Ok(entries) if entries.iter().any(|entry| entry.section.starts_with("include")) => {
            Ok(Some("its config includes others"))
        }
        Ok(_) => Ok(None),
        Err(_) => Ok(Some("its config can't be read")),
    }
}

/// Moves the configuration. At each moment git finds a whole one: the old, then the same at its new place.
fn take_apart(root: &Beneath, owner: (u32, u32)) -> io::Result<()> {
    let folder = git(COMMON);
    let config = root.read(&git("config"), MAX_CONFIG)?;
    root.make_folder(&folder)?;
    root.make_folder(&common("worktrees"))?;
    root.write(&common("config"), &mut config.as_slice(), 0o644)?;
    let mut made = vec![common("worktrees"), common("config")];
    for name in links(|name| Ok(root.sort(&git(name))?.is_some()))? {
        root.make_link(&common(name), &Path::new("..").join(name))?;
        made.push(common(name));
    }
    made.push(folder);
    made.iter().try_for_each(|path| root.give(path, owner.0, owner.1))?;
    root.write(&git("commondir"), &mut &*COMMONDIR, 0o644)?;
    root.give(&git("commondir"), owner.0, owner.1)?;
    // For programs that read the file themselves.
    let beside = git(".config.clawker");
    root.make_link(&beside, &Path::new(COMMON).join("config"))?;
    root.give(&beside, owner.0, owner.1)?;
    root.rename(&beside, "config".as_ref())
}

/// What a common folder links to.
fn links(is_there: impl Fn(&str) -> io::Result<bool>) -> io::Result<Vec<&'static str>> {
    let mut names: Vec<&str> = SHARED_FOLDERS.iter().chain(&SHARED_FILES).copied().collect();
    for name in SHARED_IF_THERE {
        if is_there(name)? {
            names.push(name);
        }
    }
    Ok(names)
}

/// Puts the configuration back where it was, once no agent shares it any more. A repository that was not taken apart,
/// or whose worktrees need it so, stays as it is.
///
/// # Errors
/// When it can't be written.
pub fn put_back(root: &Beneath) -> io::Result<()> {
    if root.sort(Path::new(".git"))? != Some(Sort::Folder) || !is_apart(root) {
        return Ok(());
    }
    let worktrees = common("worktrees");
    if root.list(&worktrees).is_ok_and(|names| !names.is_empty()) {
        return Ok(());
    }
    root.make_new(&common("config.lock"))?;
    let owner = root.stat(&common("config"))?.map_or((0, 0), |stat| (stat.st_uid, stat.st_gid));
    let config = root.read(&common("config"), MAX_CONFIG)?;
    root.write(&git("config"), &mut config.as_slice(), 0o644)?;
    root.give(&git("config"), owner.0, owner.1)?;
    root.remove(&git("commondir"))?;
    for (name, sort) in root.list(&git(COMMON))? {
        let path = git(COMMON).join(name);
        if sort == Sort::Folder { root.remove_folder(&path)? } else { root.remove(&path)? }
    }
    root.remove_folder(&git(COMMON))
}

/// Makes the agent's own common folder: a copy of the configuration, and links into the repository that it shares.
///
/// # Errors
/// When it can't be written.
pub fn make_own(root: &Beneath, own: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    use std::os::unix::fs::{PermissionsExt, symlink};
    if own.exists() {
        return Ok(());
    }
    let config = root.read(&common("config"), MAX_CONFIG)?;
    std::fs::create_dir_all(own.join("worktrees"))?;
    std::fs::write(own.join("config"), config)?;
    for name in links(|name| Ok(root.sort(&git(name))?.is_some()))? {
        symlink(Path::new("..").join(name), own.join(name))?;
    }
    let is_ours = nix::unistd::geteuid().as_raw() == uid;
    for path in [own.join("config"), own.join("worktrees"), own.to_owned()] {
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::lchown(&path, Some(uid), Some(gid))?;
        } else if !is_ours {
            // Nobody but us and the container's agent gets through the folders above it.
            let mode = if path.is_dir() { 0o777 } else { 0o666 };
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
        }
    }
    Ok(())
}

/// Folders that are mounted on themselves, from the workspace's.
///
/// # Errors
/// When the workspace can't be read.
pub fn folders(root: &Beneath, way: &Way) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    if matches!(way, Way::Apart | Way::Plain(_)) {
        for path in [PathBuf::from(".git"), git("hooks"), git("worktrees")] {
            if root.sort(&path)? == Some(Sort::Folder) {
                folders.push(path);
            }
        }
    }
    Ok(folders)
}

/// Makes again what went away of folders that a container mounts: git removes `worktrees` with the last one, and some users
/// their hooks.
///
/// # Errors
/// When they can't be made.
pub fn bring_back(root: &Beneath, folders: &[PathBuf]) -> io::Result<()> {
    let owner = root.stat(Path::new(".git"))?.map_or((0, 0), |stat| (stat.st_uid, stat.st_gid));
    for path in folders.iter().filter(|path| [git("hooks"), git("worktrees")].contains(path)) {
        if root.stat(path)?.is_none() {
            root.make_folder(path)?;
            root.give(path, owner.0, owner.1)?;
        }
    }
    Ok(())
}

/// What is mounted over the workspace, so that what the host runs or trusts later can't be changed through it.
///
/// # Errors
/// When the workspace can't be read.
pub fn places(root: &Beneath, workspace: &Path, way: &Way, own: &Path) -> io::Result<Vec<Place>> {
    let same = |path: &Path, read_only| {
        let path = workspace.join(path);
        Place { source: path.clone(), target: path, read_only }
    };
    let mut places = Vec::new();
    let mut files: Vec<PathBuf> =
        [".clawker.yaml", ".clawker.local.yaml", ".clawkerignore"].map(PathBuf::from).into();
    match way {
        Way::None => {}
        Way::File => files.push(".git".into()),
        Way::Apart | Way::Plain(_) => {
            // A mountpoint of its own can't be moved away.
            places.extend(folders(root, way)?.iter().map(|path| same(path, path != Path::new(".git"))));
            files.push(git("config.worktree"));
            files.push(git(if *way == Way::Apart { "commondir" } else { "config" }));
        }
    }
    if *way == Way::Apart {
        let target = workspace.join(git(COMMON));
        places.push(Place { source: own.to_owned(), target, read_only: false });
    }
    for path in files {
        if root.sort(&path)? == Some(Sort::File) {
            let folder = own.parent().unwrap_or(own);
            places.push(fixed(root, &path, folder, workspace.join(&path))?);
        }
    }
    Ok(places)
}

/// A file that the agent can't change: a copy in its folder in clawker's state lies over it. Docker follows links, and in the
/// file's own place another agent could put one while Docker looks for it.
///
/// # Errors
/// When it can't be read or copied.
pub fn fixed(root: &Beneath, path: &Path, folder: &Path, target: PathBuf) -> io::Result<Place> {
    let bytes = root.read(path, MAX_FIXED)?;
    let copies = folder.join("fixed");
    let copy = copies.join(path.file_name().unwrap_or_default());
    std::fs::create_dir_all(&copies)?;
    std::fs::write(&copy, bytes)?;
    // Git looks at whose a file is.
    if let Some(stat) = root.stat(path)?.filter(|_| nix::unistd::geteuid().is_root()) {
        std::os::unix::fs::lchown(&copy, Some(stat.st_uid), Some(stat.st_gid))?;
    }
    Ok(Place { source: copy, target, read_only: true })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::workspace::test_folder;

    fn run(folder: &Path, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=n", "-c", "user.email=e@f", "-c", "init.defaultBranch=main"])
            .args(words)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn repository(name: &str) -> PathBuf {
        let folder = test_folder(name);
        for way in ["origin", "w"] {
            std::fs::create_dir_all(folder.join(way)).unwrap();
        }
        run(&folder.join("origin"), &["init", "-q"]);
        run(&folder.join("origin"), &["commit", "-q", "--allow-empty", "-m", "first"]);
        run(&folder, &["clone", "-q", "origin", "w"]);
        folder
    }

    #[test]
    fn git_works_as_before_when_the_configuration_is_apart_and_when_it_is_put_back() {
        let folder = repository("apart");
        let w = folder.join("w");
        let root = Beneath::open(&w).unwrap();
        let before = run(&w, &["config", "--local", "--list"]);
        assert_eq!(prepare(&root).unwrap(), (Way::Apart, true));
        assert_eq!(prepare(&root).unwrap(), (Way::Apart, false), "a second time");
        assert_eq!(run(&w, &["config", "--local", "--list"]), before);
        run(&w, &["commit", "-q", "--allow-empty", "-m", "second"]);
        run(&w, &["checkout", "-q", "-b", "x", "origin/main"]);
        run(&w, &["push", "-q", "-u", "origin", "x"]);
        run(&w, &["remote", "add", "other", "/nowhere"]);
        run(&w, &["worktree", "add", "-q", "../linked"]);
        run(&folder.join("linked"), &["commit", "-q", "--allow-empty", "-m", "third"]);
        run(&w, &["gc", "-q"]);
        run(&w, &["fsck"]);
        put_back(&root).unwrap();
        assert!(w.join(".git/commondir").exists(), "a worktree needs it");
        run(&w, &["worktree", "remove", "../linked"]);
        put_back(&root).unwrap();
        assert!(!w.join(".git/commondir").exists() && !w.join(".git/clawker").exists());
        let after = run(&w, &["config", "--local", "--list"]);
        assert!(after.starts_with(&before) && after.contains("remote.other.url=/nowhere"), "{after}");
        assert!(run(&w, &["log", "--oneline", "--all"]).lines().count() == 3);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_config_that_an_agent_puts_in_place_of_the_old_one_is_read_by_no_git() {
        let folder = repository("planted");
        let (w, proof) = (folder.join("w"), folder.join("proof"));
        let planted = format!("[core]\n\tfsmonitor = \"touch {} #\"\n", proof.display());
        std::fs::write(w.join(".git/config"), &planted).unwrap();
        run(&w, &["status"]);
        assert!(proof.exists(), "positive control: git runs what stands in .git/config");
        std::fs::remove_file(&proof).unwrap();
        std::fs::write(w.join(".git/config"), "[core]\n\tbare = false\n").unwrap();
        let root = Beneath::open(&w).unwrap();
        assert_eq!(prepare(&root).unwrap(), (Way::Apart, true));
        std::fs::remove_file(w.join(".git/config")).unwrap();
        std::fs::write(w.join(".git/config"), &planted).unwrap();
        run(&w, &["status"]);
        assert!(!proof.exists());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_can_not_be_taken_apart_is_left_as_it_is() {
        let folder = repository("plain");
        let w = folder.join("w");
        let root = Beneath::open(&w).unwrap();
        run(&w, &["config", "include.path", "x"]);
        assert_eq!(prepare(&root).unwrap(), (Way::Plain("its config includes others"), false));
        run(&w, &["config", "--unset", "include.path"]);
        run(&w, &["worktree", "add", "-q", "../linked"]);
        assert_eq!(prepare(&root).unwrap(), (Way::Plain("it has linked worktrees"), false));
        assert!(!w.join(".git/commondir").exists());
        let mounted = folders(&root, &Way::Plain("")).unwrap();
        assert_eq!(mounted, [".git", ".git/hooks", ".git/worktrees"].map(PathBuf::from));
        run(&w, &["worktree", "remove", "../linked"]);
        assert!(!w.join(".git/worktrees").exists(), "git takes it away with the last one");
        bring_back(&root, &mounted).unwrap();
        assert!(w.join(".git/worktrees").is_dir());
        run(&w, &["worktree", "add", "-q", "../linked", "linked"]);
        assert_eq!(prepare(&Beneath::open(&folder.join("linked")).unwrap()).unwrap(), (Way::File, false));
        assert_eq!(prepare(&Beneath::open(&folder).unwrap()).unwrap(), (Way::None, false));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
