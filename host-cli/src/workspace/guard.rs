//! What the host's git or clawker would run or trust, compared with what was there at the last look that the user
//! accepted. What is new is shown, and taken or set aside by the user's word.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::beneath::{Beneath, Sort};
use super::look::{self, Finding, Kind, Look};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::escape;
use crate::paths::Paths;
use crate::project;
use crate::store::{self, StoreError};
use crate::worktree;

/// What a file that was set aside is called: its own name and this.
const ASIDE: &str = ".planted";
/// A larger configuration is not remembered.
const MAX_CONFIG: u64 = 64 << 10;
/// Lines that are shown; more are counted.
const MAX_LINES: usize = 40;

/// What is remembered of the last look that was accepted.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    /// The workspace, for people.
    dir: PathBuf,
    found: BTreeSet<Finding>,
    /// Repositories' configurations, to be put back.
    configs: BTreeMap<String, String>,
}

fn file(paths: &Paths, dir: &Path) -> PathBuf {
    paths.state.join("looks").join(format!("{}.json", project::id(dir)))
}

/// What is new in a workspace; `None` where no look at it was accepted yet.
///
/// # Errors
/// When the workspace or state can't be read.
pub fn news(paths: &Paths, dir: &Path) -> Result<Option<Look>, Failure> {
    let Some(accepted) = store::load::<Accepted>(&file(paths, dir))? else { return Ok(None) };
    Ok(Some(since(&accepted, look_at(dir)?.1)))
}

fn since(accepted: &Accepted, mut look: Look) -> Look {
    look.retain(|finding, _| !accepted.found.contains(finding));
    look
}

fn look_at(dir: &Path) -> Result<(Beneath, Look), Failure> {
    let unread = |error: io::Error| Failure::new(format!("Can't look through {}: {error}", dir.display()));
    let root = Beneath::open(dir).map_err(unread)?;
    let look = look::look(&root).map_err(unread)?;
    Ok((root, look))
}

/// Accepts what was shown, and nothing that came since.
///
/// # Errors
/// When the workspace can't be read or state not be written.
pub fn accept(paths: &Paths, dir: &Path, shown: Look) -> Result<(), Failure> {
    let before: Accepted = store::load(&file(paths, dir))?.unwrap_or_default();
    let (root, mut look) = look_at(dir)?;
    look.retain(|finding, _| before.found.contains(finding) || shown.contains_key(finding));
    Ok(save(paths, dir, &root, look)?)
}

/// Accepts what is below a folder: clawker itself made it just now.
///
/// # Errors
/// When the workspace can't be read or state not be written.
pub fn accept_below(paths: &Paths, dir: &Path, below: &Path) -> Result<(), Failure> {
    let mut look = look_at(dir)?.1;
    look.retain(|_, path| path.starts_with(below));
    accept(paths, dir, look)
}

/// Begins with a worktree of a project, as git has just made it: what was accepted of the project is accepted in it, and how
/// it leads to the repository. All else may be of a branch that an agent wrote, and is asked about.
///
/// # Errors
/// When it can't be read or state not be written.
pub fn begin(paths: &Paths, dir: &Path, project: &Path) -> Result<(), Failure> {
    let accepted: Accepted = store::load(&file(paths, project))?.unwrap_or_default();
    let (root, mut look) = look_at(dir)?;
    look.retain(|finding, _| finding.path == ".git" || accepted.found.contains(finding));
    Ok(save(paths, dir, &root, look)?)
}

/// Forgets a workspace that is no more.
///
/// # Errors
/// When state can't be written.
pub fn forget(paths: &Paths, dir: &Path) -> Result<(), StoreError> {
    store::remove(&file(paths, dir))
}

/// The first thing of a sort that is in a workspace.
///
/// # Errors
/// When it can't be read.
pub fn first(dir: &Path, kind: Kind) -> Result<Option<String>, Failure> {
    Ok(look_at(dir)?.1.into_keys().find(|finding| finding.kind == kind).map(|finding| finding.path))
}

/// Remembers the workspace as it is now: the user has accepted it.
///
/// # Errors
/// When the workspace can't be read or state not be written.
pub fn remember(paths: &Paths, dir: &Path) -> Result<(), Failure> {
    let (root, look) = look_at(dir)?;
    Ok(save(paths, dir, &root, look)?)
}

fn save(paths: &Paths, dir: &Path, root: &Beneath, look: Look) -> Result<(), StoreError> {
    let mut configs = BTreeMap::new();
    if let Some(text) = remembered(root, Path::new(".git")) {
        configs.insert(".git".to_owned(), text);
    }
    for (finding, path) in look.iter().filter(|(finding, _)| finding.kind == Kind::Repository) {
        for name in ["config", "config.worktree", "commondir"] {
            let text = remembered(root, &path.join(name));
            configs.extend(text.map(|text| (format!("{}/{name}", finding.path), text)));
        }
    }
    let accepted = Accepted { dir: dir.to_owned(), found: look.into_keys().collect(), configs };
    store::save(&file(paths, dir), &accepted)
}

fn remembered(root: &Beneath, path: &Path) -> Option<String> {
    root.read(path, MAX_CONFIG).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Before an agent is started: shows what is new, takes it on yes, and otherwise offers to set it aside. The first look
/// is taken as it is: no agent was there yet.
///
/// # Errors
/// When the user accepts neither.
pub fn settle(ctx: &Context, dir: &Path, yes: bool) -> Result<(), Failure> {
    let (root, look) = look_at(dir)?;
    let new = match store::load::<Accepted>(&file(&ctx.paths, dir))? {
        Some(accepted) => since(&accepted, look.clone()),
        None => Look::new(),
    };
    // A yes that was given before anything was seen is none to this.
    if yes && !new.is_empty() {
        return Err(Failure::new(format!(
            "{}--yes does not accept that; look at it, then: clawker workspace --accept, or --undo",
            describe(dir, &new)
        )));
    }
    if new.is_empty() || ctx.ask(&format!("{}Accept it?", describe(dir, &new)), false)? {
        return Ok(save(&ctx.paths, dir, &root, look)?);
    }
    if !ctx.ask(&format!("Set it aside instead, under names that end in {ASIDE}?"), false)? {
        return Err(Failure::new("Not accepted; nothing was started"));
    }
    set_aside(&ctx.paths, dir)?;
    remember(&ctx.paths, dir)
}

/// After a repository's configuration was put back: what was accepted of it holds at its old place.
///
/// # Errors
/// When state can't be read or written.
pub fn follow_back(paths: &Paths, dir: &Path) -> Result<(), Failure> {
    let path = file(paths, dir);
    let Some(mut accepted) = store::load::<Accepted>(&path)? else { return Ok(()) };
    let at = |place: &str| {
        let of_config = accepted.found.iter().filter(|finding| finding.path == ".git/clawker/config");
        of_config.map(|finding| Finding { path: place.to_owned(), ..finding.clone() }).collect::<Vec<_>>()
    };
    let moved = at(".git/config");
    accepted.found.extend(moved);
    Ok(store::save_where_it_differs(&path, &accepted)?)
}

/// Tells of what is new in the workspaces that the user stands in, for a command that starts nothing.
pub fn notice(ctx: &Context) {
    let Ok(looks) = store::load_all::<Accepted>(&ctx.paths.state.join("looks")) else { return };
    let family = worktree::family(&ctx.paths, &ctx.cwd).unwrap_or_default();
    let is_near = |dir: &PathBuf| ctx.cwd.starts_with(dir) || family.contains(dir) && dir.is_dir();
    for accepted in looks.into_iter().filter(|look| is_near(&look.dir)) {
        let dir = &accepted.dir;
        match look_at(dir).map(|(_, look)| since(&accepted, look)) {
            Ok(new) if !new.is_empty() => {
                ctx.output.note(&format!(
                    "{}Accept or undo it before you use git there: clawker workspace --accept, or --undo",
                    describe(dir, &new)
                ));
            }
            Ok(_) => {}
            Err(failure) => ctx.output.note(&failure.message),
        }
    }
}

/// What is new, a line each. An agent chose the text: it is escaped.
pub fn describe(dir: &Path, new: &Look) -> String {
    let mut text = format!(
        "New in {} since the last look, and run or trusted by the host's git or clawker:\n",
        escape(&dir.to_string_lossy())
    );
    for finding in new.keys().take(MAX_LINES) {
        let kind = match finding.kind {
            Kind::Repository => "repository",
            Kind::Hook => "hook",
            Kind::Config => "config",
            Kind::Elsewhere => "leads elsewhere",
            Kind::Attributes => "attributes",
            Kind::Ignore => "hides files",
            Kind::Policy => "clawker's configuration",
            Kind::Unseen => "not looked at",
        };
        text.push_str(&format!("  {kind}: {}: {}\n", escape(&finding.path), escape(&finding.what)));
    }
    if new.len() > MAX_LINES {
        text.push_str(&format!("  and {} more\n", new.len() - MAX_LINES));
    }
    text
}

/// Undoes what is new: a configuration that is remembered is put back, all else gets a name that git does not know.
/// Nothing is deleted.
///
/// # Errors
/// When a file can't be renamed, or it's still there afterwards.
pub fn set_aside(paths: &Paths, dir: &Path) -> Result<(), Failure> {
    let accepted: Accepted = store::load(&file(paths, dir))?.unwrap_or_default();
    // What was planted behind what is set aside first (a repository in a repository) comes with the next round.
    for _ in 0..4 {
        let (root, look) = look_at(dir)?;
        let new = since(&accepted, look);
        if new.is_empty() {
            return Ok(());
        }
        for (finding, path) in &new {
            undo(&root, &accepted, finding, path).map_err(|error| {
                Failure::new(format!("Can't set {} aside: {error}", escape(&finding.path)))
            })?;
        }
    }
    Err(Failure::new("Something is planted as fast as it is set aside; stop the agents first: clawker stop"))
}

fn undo(root: &Beneath, accepted: &Accepted, finding: &Finding, path: &Path) -> io::Result<()> {
    if finding.kind != Kind::Repository {
        rename(root, path)?;
        return match accepted.configs.get(&finding.path) {
            // Once: the second key of a file finds it put back.
            Some(text) if root.stat(path)?.is_none() => root.write(path, &mut text.as_bytes(), 0o644),
            _ => Ok(()),
        };
    }
    // Without these git does not work in it, and finds nothing in it to run.
    ["HEAD", "config", "commondir"].iter().try_for_each(|name| rename(root, &path.join(name)))?;
    if path.file_name().is_some_and(|name| name.eq_ignore_ascii_case(".git")) {
        rename(root, path)?;
    }
    Ok(())
}

/// Gives a file or folder its name aside, where it is still there.
fn rename(root: &Beneath, path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidInput.into()) };
    if root.stat(path)?.is_none() {
        return Ok(());
    }
    root.rename(path, &suffixed(root, path, name)?)
}

/// A name that is free. A link in a repository gets one that git never writes through: it makes locks only anew.
fn suffixed(root: &Beneath, path: &Path, name: &std::ffi::OsStr) -> io::Result<OsString> {
    let in_git = path.components().any(|part| part.as_os_str() == ".git");
    let end = if in_git && root.sort(path)? == Some(Sort::Link) { look::LOCK } else { "" };
    for number in 0..1000 {
        let mut free = name.to_owned();
        free.push(ASIDE);
        if number > 0 {
            free.push(format!("-{number}"));
        }
        free.push(end);
        if root.stat(&path.with_file_name(&free))?.is_none() {
            return Ok(free);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::workspace::test_folder;

    #[test]
    fn what_is_new_is_told_until_it_is_accepted_or_set_aside() {
        let folder = test_folder("guard");
        let dir = folder.join("w");
        let paths = Paths {
            state: folder.join("state"),
            config: folder.join("config"),
            cache: folder.join("cache"),
            instance: None,
        };
        for path in [".git/objects", ".git/refs", ".git/hooks", "sub"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        let config = "[core]\n\tbare = false\n";
        fs::write(dir.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(dir.join(".git/config"), config).unwrap();
        assert!(news(&paths, &dir).unwrap().is_none(), "nothing was accepted yet");
        remember(&paths, &dir).unwrap();
        let count = || news(&paths, &dir).unwrap().unwrap().len();
        assert_eq!(count(), 0);

        fs::write(dir.join(".git/config"), "[core]\n\tfsmonitor = x\n\tpager = \"\\b\u{1b}[2J\"\n").unwrap();
        fs::write(dir.join(".git/hooks/pre-commit"), "evil").unwrap();
        fs::write(dir.join("sub/.gitattributes"), "* filter=evil\n").unwrap();
        fs::create_dir_all(dir.join("sub/.git")).unwrap();
        fs::create_dir_all(dir.join("bare/objects")).unwrap();
        fs::create_dir_all(dir.join("bare/refs")).unwrap();
        fs::write(dir.join("bare/HEAD"), "x").unwrap();
        assert_eq!(count(), 6);
        let text = describe(&dir, &news(&paths, &dir).unwrap().unwrap());
        assert!(text.contains("config: .git/config: core.fsmonitor = x"), "{text}");
        assert!(!text.contains('\u{1b}'), "an agent steers no terminal");

        std::os::unix::fs::symlink("/x", dir.join(".git/index")).unwrap();
        set_aside(&paths, &dir).unwrap();
        assert_eq!(count(), 0);
        assert!(fs::symlink_metadata(dir.join(".git/index.planted.lock")).is_ok());
        assert_eq!(fs::read_to_string(dir.join(".git/config")).unwrap(), config, "put back");
        assert_eq!(fs::read_to_string(dir.join(".git/hooks/pre-commit.planted")).unwrap(), "evil", "kept");

        fs::write(dir.join(".git/hooks/pre-push"), "mine").unwrap();
        assert_eq!(count(), 1);
        remember(&paths, &dir).unwrap();
        assert_eq!(count(), 0, "accepted");
        fs::remove_dir_all(folder).unwrap();
    }
}
