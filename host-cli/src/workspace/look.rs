//! Looks through a workspace for what the host's git, or clawker, would run or trust: hooks, keys that name programs,
//! repositories, and files that lead git elsewhere. A function of the tree alone: it runs nothing, follows no link and
//! ends at a bound, which it tells.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beneath::{Beneath, Sort};
use super::gitconfig;

/// Names in all folders together that are looked at.
pub const MAX_NAMES: usize = 3_000_000;
/// Folders within each other.
pub const MAX_DEPTH: usize = 200;
/// A larger file of git's is told of, not read.
const MAX_FILE: u64 = 1 << 20;
/// As much of a hook is taken into its digest.
const MAX_DIGEST: usize = 64 << 20;
/// Folders of a repository that hold data alone, and many files. Git writes into them by names of its own.
const DATA: [&str; 2] = ["objects", "lfs"];
/// How git's locks end. It never writes through a link of such a name: it opens what is not there yet (O_EXCL).
pub const LOCK: &str = ".lock";
/// Values that say how, not by whom.
const BUILT_IN_MERGE: [&str; 3] = ["text", "binary", "union"];

/// What sort of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A folder in which git works.
    Repository,
    /// A hook.
    Hook,
    /// A key of a repository's configuration.
    Config,
    /// A file or a link that leads git elsewhere.
    Elsewhere,
    /// Attributes that call for a driver or a filter.
    Attributes,
    /// What is hidden from agents.
    Ignore,
    /// Clawker's own configuration in a subfolder, which holds for whoever stands there.
    Policy,
    /// It could not be looked at.
    Unseen,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The path below the workspace; bytes that are no text are written `\xNN`.
    pub path: String,
    /// Its sort.
    pub kind: Kind,
    /// What it says, or a digest of it.
    pub what: String,
}

/// All that was found, each with its path as the kernel has it.
pub type Look = BTreeMap<Finding, PathBuf>;

/// Looks through a workspace.
///
/// # Errors
/// When the workspace itself can't be read.
pub fn look(root: &Beneath) -> io::Result<Look> {
    bounded(root, MAX_NAMES)
}

fn bounded(root: &Beneath, max_names: usize) -> io::Result<Look> {
    let mut looker = Looker { root, found: Look::new(), left: max_names };
    let mut folders = vec![(PathBuf::new(), 0)];
    root.list(Path::new(""))?;
    while let Some((folder, depth)) = folders.pop() {
        if looker.left == 0 {
            looker.add(
                &folder,
                Kind::Unseen,
                format!("more than {max_names} names; the rest was not looked at"),
            );
            break;
        }
        let names = match root.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                looker.add(&folder, Kind::Unseen, format!("can't be read: {error}"));
                continue;
            }
        };
        looker.left = looker.left.saturating_sub(names.len());
        let is_repository = looker.folder(&folder, &names);
        // Elsewhere, what looks like a repository could hide another one behind these names.
        let in_git = folder.components().any(|part| part.as_os_str() == ".git");
        for (name, sort) in names {
            let is_data = is_repository && in_git && DATA.iter().any(|data| name == *data);
            if sort != Sort::Folder || is_data {
                continue;
            }
            if depth == MAX_DEPTH {
                looker.add(&folder, Kind::Unseen, format!("more than {MAX_DEPTH} folders deep"));
                break;
            }
            folders.push((folder.join(name), depth + 1));
        }
    }
    Ok(looker.found)
}

struct Looker<'a> {
    root: &'a Beneath,
    found: Look,
    left: usize,
}

impl Looker<'_> {
    fn add(&mut self, path: &Path, kind: Kind, what: impl Into<String>) {
        let finding = Finding { path: shown(path), kind, what: what.into() };
        self.found.insert(finding, path.to_owned());
    }

    /// Looks at one folder's names; whether git would work in it.
    fn folder(&mut self, folder: &Path, names: &[(OsString, Sort)]) -> bool {
        let sort = |name: &str| names.iter().find(|(one, _)| one == name).map(|(_, sort)| *sort);
        let has = |name: &str| sort(name).is_some();
        for (name, sort) in names {
            let path = folder.join(name);
            // A file system that knows no case takes .GIT for it; so does git, which refuses to check it out.
            if name.as_bytes().eq_ignore_ascii_case(b".git") && *sort != Sort::Folder {
                self.leads(&path, *sort);
            }
            match name.as_bytes() {
                b".gitattributes" => self.attributes(&path, *sort),
                b".clawkerignore" => self.digest(&path, *sort, Kind::Ignore),
                // The workspace's own is mounted read-only where it is there, and asked about where it is made.
                b".clawker.yaml" | b".clawker.local.yaml" if !folder.as_os_str().is_empty() => {
                    self.digest(&path, *sort, Kind::Policy);
                }
                _ => {}
            }
        }
        if folder.components().any(|part| part.as_os_str() == ".git") {
            self.in_git(folder, names);
        }
        let named = folder.file_name().is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b".git"));
        let works = has("objects") && has("refs") && (has("HEAD") || has("config"));
        if !(named || works || has("HEAD") && has("commondir")) {
            return false;
        }
        self.add(folder, Kind::Repository, "git works in it");
        for name in ["config", "config.worktree"] {
            if let Some(sort) = sort(name) {
                self.config(&folder.join(name), sort);
            }
        }
        if let Some(sort) = sort("commondir") {
            self.leads(&folder.join("commondir"), sort);
        }
        match sort("hooks") {
            Some(Sort::Folder) => self.hooks(&folder.join("hooks")),
            Some(sort) => self.leads(&folder.join("hooks"), sort),
            None => {}
        }
        match sort("info") {
            Some(Sort::Folder) => {
                let path = folder.join("info/attributes");
                if let Ok(Some(sort)) = self.root.sort(&path) {
                    self.attributes(&path, sort);
                }
            }
            Some(sort @ Sort::Link) => self.leads(&folder.join("info"), sort),
            _ => {}
        }
        true
    }

    /// In a repository: links, which git writes through (an index, a log, packed references), and a rebase that runs programs
    /// when the host continues it.
    fn in_git(&mut self, folder: &Path, names: &[(OsString, Sort)]) {
        let links = names.iter().filter(|(_, sort)| *sort == Sort::Link);
        for (name, _) in links.filter(|(name, _)| !name.as_bytes().ends_with(LOCK.as_bytes())) {
            let path = folder.join(name);
            if !self.root.target(&path).is_ok_and(|target| is_of_ours(&path, &target)) {
                self.leads(&path, Sort::Link);
            }
        }
        let todo = folder.join("git-rebase-todo");
        if folder.file_name() == Some(OsStr::new("rebase-merge")) {
            match self.root.read(&todo, MAX_FILE) {
                Ok(bytes) => programs(&bytes).into_iter().for_each(|line| self.add(&todo, Kind::Hook, line)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.add(&todo, Kind::Unseen, format!("can't be read: {error}")),
            }
        }
    }

    /// A file that names another place, or a link to one.
    fn leads(&mut self, path: &Path, sort: Sort) {
        let what = match sort {
            Sort::Link => self.root.target(path).map(|target| format!("is a link to {}", shown(&target))),
            Sort::File => self.root.read(path, 4096).map(|bytes| {
                format!("leads to {}", shown(Path::new(OsStr::from_bytes(bytes.trim_ascii_end()))))
            }),
            _ => Ok("is neither a file nor a folder".to_owned()),
        };
        self.add(path, Kind::Elsewhere, what.unwrap_or_else(|error| format!("can't be read: {error}")));
    }

    fn config(&mut self, path: &Path, sort: Sort) {
        if sort == Sort::Link {
            return self.leads(path, sort);
        }
        let bytes = match self.root.read(path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(error) => return self.add(path, Kind::Unseen, format!("can't be read: {error}")),
        };
        match gitconfig::parse(&bytes) {
            Ok(entries) => {
                for entry in entries.iter().filter(|entry| !entry.is_harmless()) {
                    self.add(path, Kind::Config, entry.to_string());
                }
            }
            Err(line) => {
                self.add(path, Kind::Unseen, format!("line {line} is not git's, {}", hash(&bytes)));
            }
        }
    }

    fn hooks(&mut self, folder: &Path) {
        let names = match self.root.list(folder) {
            Ok(names) => names,
            Err(error) => return self.add(folder, Kind::Unseen, format!("can't be read: {error}")),
        };
        self.left = self.left.saturating_sub(names.len());
        // No hook's name holds a dot: pre-commit.sample is none.
        for (name, sort) in names.iter().filter(|(name, _)| !name.as_bytes().contains(&b'.')) {
            let path = folder.join(name);
            if *sort == Sort::Folder {
                continue;
            }
            self.digest(&path, *sort, Kind::Hook);
        }
    }

    fn digest(&mut self, path: &Path, sort: Sort, kind: Kind) {
        if sort == Sort::Link {
            return self.leads(path, sort);
        }
        let what = match self.root.file(path).and_then(digest_of) {
            Ok(digest) => digest,
            Err(error) => format!("can't be read: {error}"),
        };
        self.add(path, kind, what);
    }

    fn attributes(&mut self, path: &Path, sort: Sort) {
        if sort == Sort::Link {
            return self.leads(path, sort);
        }
        match self.root.read(path, MAX_FILE) {
            Ok(bytes) => {
                for driver in drivers(&bytes) {
                    self.add(path, Kind::Attributes, driver);
                }
            }
            Err(error) => self.add(path, Kind::Unseen, format!("can't be read: {error}")),
        }
    }
}

/// Whether a link is one that clawker made: within the repository, to the same name.
fn is_of_ours(path: &Path, target: &Path) -> bool {
    let (Some(name), Some(folder)) = (path.file_name(), path.parent().and_then(Path::file_name)) else {
        return false;
    };
    let shared = folder == "clawker" && target == Path::new("..").join(name);
    shared || folder == ".git" && name == "packed-refs" && target == Path::new("clawker-refs/packed-refs")
}

/// What a rebase is told to run.
fn programs(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim);
    let is_program = |line: &&str| matches!(line.split_whitespace().next(), Some("exec" | "x"));
    lines.filter(is_program).map(str::to_owned).collect()
}

/// The filters and drivers that attributes call for. What they run stands in a configuration.
fn drivers(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let words =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(str::split_whitespace);
    let mut drivers: Vec<String> = words
        .filter(|word| {
            let Some((name, value)) = word.split_once('=') else { return false };
            name == "filter" || name == "merge" && !BUILT_IN_MERGE.contains(&value)
        })
        .map(str::to_owned)
        .collect();
    drivers.sort();
    drivers.dedup();
    drivers
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Of a file's first part, and its length: a sparse file must not keep us.
fn digest_of(mut file: File) -> io::Result<String> {
    let length = file.metadata()?.len();
    let (mut hasher, mut piece, mut left) = (Sha256::new(), vec![0; 1 << 16], MAX_DIGEST);
    hasher.update(length.to_le_bytes());
    while left > 0 {
        let got = file.read(&mut piece)?;
        if got == 0 {
            break;
        }
        hasher.update(&piece[..got]);
        left = left.saturating_sub(got);
    }
    Ok(hex(&hasher.finalize()))
}

fn hex(digest: &[u8]) -> String {
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256 {digits}")
}

/// A path as text, by which two paths never look the same.
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
