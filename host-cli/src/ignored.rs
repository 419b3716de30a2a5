//! What a project keeps from its agents: `.clawkerignore` files, in any of its folders, read as git reads `.gitignore`,
//! and the patterns of `workspace.ignore` behind them. Looks and judges; it hides nothing itself.

mod levels;

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use nix::fcntl::OFlag;

pub use levels::Levels;

/// The file with patterns.
pub const FILE: &str = ".clawkerignore";
/// A file of patterns past this size, in bytes, is a mistake.
const MAX_LEN: u64 = 1 << 20;

/// Why it can't be told what is kept from the agent. Nothing starts then: what is not known can't be hidden.
#[derive(Debug, thiserror::Error)]
pub enum IgnoreError {
    /// A file or folder.
    #[error("Can't look for what {FILE} hides in {}: {source}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pattern that git would pass over.
    #[error("{}: \"{}\" is not a pattern: {reason}", .place, .line.escape_debug())]
    Pattern {
        /// File and line.
        place: String,
        /// The pattern.
        line: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Something that is kept from the agent, with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Where, from the project's folder.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// A file's other names (hard links), wherever they are: what is read by those is not hidden.
    pub other_names: u64,
    /// It is not there yet: a pattern without wildcards names it.
    pub awaited: bool,
}

/// What is kept from the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, or anything that is neither folder nor link.
    File,
    /// A symbolic link.
    Link,
}

/// The topmost of all that is kept from the agent, in the order of their names, and what would be kept from it once it is there.
/// Folders that match aren't entered, nor are repositories (`.git`), whose objects have no names that a pattern could mean.
///
/// # Errors
/// [`IgnoreError`].
pub fn find(root: &Path, patterns: &[String]) -> Result<Vec<Ignored>, IgnoreError> {
    let mut walk = Walk { root, patterns, levels: Vec::new(), found: Vec::new() };
    if !patterns.is_empty() {
        let lines = patterns.iter().map(String::as_str);
        walk.levels.push(compile(root, lines, &|_| "workspace.ignore".to_owned())?);
    }
    walk.enter(root)?;
    walk.found.sort_by(|one, other| one.path.cmp(&other.path));
    walk.found.dedup_by(|one, other| one.path == other.path);
    Ok(walk.found)
}

struct Walk<'a> {
    root: &'a Path,
    /// Those that hold first for all.
    patterns: &'a [String],
    /// The patterns that hold here, the farthest first.
    levels: Vec<Gitignore>,
    found: Vec<Ignored>,
}

impl Walk<'_> {
    fn enter(&mut self, folder: &Path) -> Result<(), IgnoreError> {
        let unreadable = |source| IgnoreError::Unreadable { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            // Without a pattern there is nothing in it to hide.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && self.levels.is_empty() => {
                return Ok(());
            }
            // A build beside us may have removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != self.root => return Ok(()),
            entries => entries.map_err(unreadable)?,
        };
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let depth = self.levels.len();
        if entries.iter().any(|entry| entry.file_name() == FILE) {
            let text = text(folder)?;
            self.levels.push(compile(folder, text.lines(), &|line| {
                format!("{}:{line}", folder.join(FILE).display())
            })?);
            self.await_all(folder, text.lines());
        }
        if folder == self.root {
            self.await_all(folder, self.patterns.iter().map(String::as_str));
        }
        for entry in entries {
            let kind = entry.file_type().map_err(unreadable)?;
            let path = entry.path();
            if self.hides(&path, kind.is_dir()) {
                self.add(&path, kind);
            } else if kind.is_dir() && entry.file_name() != OsStr::new(".git") {
                self.enter(&path)?;
            }
        }
        self.levels.truncate(depth);
        Ok(())
    }

    /// The nearest file that says something decides, and in it the last line.
    fn hides(&self, path: &Path, is_folder: bool) -> bool {
        let verdicts = self.levels.iter().rev().map(|level| level.matched(path, is_folder));
        verdicts
            .into_iter()
            .find_map(|verdict| match verdict {
                Match::None => None,
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
            })
            .unwrap_or(false)
    }

    fn add(&mut self, path: &Path, kind: fs::FileType) {
        let kind = match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => Kind::Folder,
            (_, true) => Kind::Link,
            _ => Kind::File,
        };
        let links =
            if kind == Kind::File { fs::symlink_metadata(path).map_or(1, |file| file.nlink()) } else { 1 };
        let path = path.strip_prefix(self.root).unwrap_or(path).to_owned();
        self.found.push(Ignored { path, kind, other_names: links.saturating_sub(1), awaited: false });
    }

    /// What a folder's lines name without wildcards, and isn't there.
    fn await_all<'l>(&mut self, folder: &Path, lines: impl Iterator<Item = &'l str>) {
        for (name, is_folder) in lines.filter_map(literal) {
            let path = folder.join(name);
            let within = path.strip_prefix(folder).unwrap_or(&path).ancestors().skip(1);
            let above = within.filter(|above| !above.as_os_str().is_empty()).map(|above| folder.join(above));
            // What is hidden by a folder of its own, or lies behind a link, waits for nothing.
            let mut above = above.into_iter();
            let is_apart = above.any(|above| self.hides(&above, true) || !is_folder_or_nothing(&above));
            let is_there = fs::symlink_metadata(&path).is_ok();
            if let (false, false, true) = (is_apart, is_there, self.hides(&path, is_folder)) {
                let kind = if is_folder { Kind::Folder } else { Kind::File };
                let path = path.strip_prefix(self.root).unwrap_or(&path).to_owned();
                self.found.push(Ignored { path, kind, other_names: 0, awaited: true });
            }
        }
    }
}

fn is_folder_or_nothing(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |about| about.is_dir())
}

/// The place that a pattern without wildcards names, from its own folder, and whether it is a folder; without a slash within
/// it means any folder below as well, where nothing is awaited. clawker's and git's own names are never made by a pattern.
fn literal(line: &str) -> Option<(&str, bool)> {
    const OURS: [&str; 4] = [".git", FILE, ".clawker.yaml", ".clawker.local.yaml"];
    let line = line.trim_end();
    if line.starts_with(['#', '!']) || line.contains(['*', '?', '[', '\\', '\0']) {
        return None;
    }
    let (name, is_folder) = line.strip_suffix('/').map_or((line, false), |name| (name, true));
    let name = name.strip_prefix('/').unwrap_or(name);
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !OURS.contains(&part);
    name.split('/').all(is_plain).then_some((name, is_folder))
}

/// The lines of a folder's file; none where there is no file.
///
/// # Errors
/// [`IgnoreError`].
pub fn lines(folder: &Path) -> Result<Vec<String>, IgnoreError> {
    match fs::symlink_metadata(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Ok(text(folder)?.lines().map(str::to_owned).collect()),
    }
}

/// The text of a folder's file; anything but a plain file in its place is an error, as it may be an agent's.
fn text(folder: &Path) -> Result<String, IgnoreError> {
    let path = folder.join(FILE);
    let unreadable = |source| IgnoreError::Unreadable { path: path.clone(), source };
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() || about.len() > MAX_LEN {
        return Err(unreadable(io::Error::other("it is not a file of at most 1 MiB")));
    }
    let mut text = String::new();
    file.take(MAX_LEN).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn compile<'a>(
    folder: &Path,
    lines: impl Iterator<Item = &'a str>,
    place: &dyn Fn(usize) -> String,
) -> Result<Gitignore, IgnoreError> {
    let mut builder = GitignoreBuilder::new(folder);
    for (index, line) in lines.enumerate() {
        builder.add_line(None, &literal_braces(line)).map_err(|error| IgnoreError::Pattern {
            place: place(index + 1),
            line: line.to_owned(),
            reason: error.to_string(),
        })?;
    }
    builder.build().map_err(|error| IgnoreError::Pattern {
        place: place(1),
        line: String::new(),
        reason: error.to_string(),
    })
}

/// A pattern in which braces stand for themselves, as they do for git: the library reads them as alternatives. In a class
/// (`[{}]`) they stand for themselves already.
fn literal_braces(line: &str) -> String {
    let mut pattern = String::with_capacity(line.len());
    let mut escaped = false;
    // How many characters of a class came so far, its `[` and a negation not among them.
    let mut class: Option<usize> = None;
    for c in line.chars() {
        class = match class {
            _ if escaped => class.map(|length| length + 1),
            None if c == '[' => Some(0),
            Some(0) if matches!(c, '!' | '^') => Some(0),
            Some(length) if c == ']' && length > 0 => None,
            Some(length) => Some(length + 1),
            None => None,
        };
        if matches!(c, '{' | '}') && !escaped && class.is_none() {
            pattern.push('\\');
        }
        escaped = c == '\\' && !escaped;
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests;
