//! What of an agent's changes doesn't come to the host: what the host's git or clawker would run or trust, what is kept
//! from agents, and links that lead out of the project. A function of names and of both trees; it reads
//! `.clawkerignore` alone.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Serialize;

use super::node::{Node, Tree};
use super::plan::Change;
use crate::ignored::{self, Levels};
use crate::output::escape;
use crate::workspace::beneath::Beneath;

/// A larger file of patterns is a mistake.
const MAX_IGNORE: u64 = 1 << 20;
/// Files that git or clawker reads by itself.
const CONFIG: [&str; 5] =
    [".clawker.yaml", ".clawker.local.yaml", ".clawkerignore", ".gitattributes", ".gitmodules"];
/// Without these a folder that looks like a repository is none.
const OF_REPOSITORY: [&str; 4] = ["HEAD", "config", "config.worktree", "commondir"];

/// Why something is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// A `.git`, or in one.
    Git,
    /// It makes a folder a repository, or lies in its hooks.
    Repository,
    /// A file that git or clawker reads by itself.
    Config,
    /// A link that leads out of the project, into a `.git`, or to what is kept from agents.
    LeadsOut,
    /// It is kept from agents.
    Hidden,
    /// A pipe, a socket, a device.
    Special,
}

impl Held {
    /// In words.
    pub fn why(self) -> &'static str {
        match self {
            Self::Git => "git's own; commits come with --commits",
            Self::Repository => "the host's git would work in it",
            Self::Config => "git or clawker reads it by itself; take it with --with-config",
            Self::LeadsOut => "a link that leads out of the project or into what is kept from agents",
            Self::Hidden => "kept from agents by .clawkerignore, so that it is yours alone",
            Self::Special => "neither file, folder nor link",
        }
    }
}

/// Whether a name is git's, also to a file system that knows no case or passes over characters that aren't seen.
pub fn is_git(name: &OsStr) -> bool {
    is(name, ".git") || is(name, "git~1")
}

fn is(name: &OsStr, wanted: &str) -> bool {
    let name = name.to_string_lossy();
    let seen: String =
        name.chars().filter(|c| escape(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8()).collect();
    seen.trim_end_matches([' ', '.']).eq_ignore_ascii_case(wanted)
}

/// Tells what is held back.
#[derive(Debug)]
pub struct Holder<'a> {
    host: &'a Beneath,
    agent: &'a Tree,
    was_hidden: &'a BTreeSet<PathBuf>,
    hidden: Levels,
    repositories: HashMap<PathBuf, bool>,
    with_config: bool,
}

impl<'a> Holder<'a> {
    /// For a project as it is now. `patterns` are the configuration's, `was_hidden` is what wasn't copied.
    pub fn new(
        host: &'a Beneath,
        agent: &'a Tree,
        was_hidden: &'a BTreeSet<PathBuf>,
        patterns: &[String],
        with_config: bool,
    ) -> Self {
        let hidden = Levels::new(patterns);
        Self { host, agent, was_hidden, hidden, repositories: HashMap::new(), with_config }
    }

    /// Why a change is held back, if it is.
    ///
    /// # Errors
    /// When a `.clawkerignore` can't be read: what is not known can't be held back.
    pub fn held(&mut self, change: &Change) -> io::Result<Option<Held>> {
        let path = &change.path;
        let is_folder = change.agent == Some(Node::Folder);
        if let Some(held) = self.by_name(path, is_folder)? {
            return Ok(Some(held));
        }
        match &change.agent {
            Some(Node::Other) => Ok(Some(Held::Special)),
            Some(Node::Link(target)) => match resolved(path, target) {
                Some(leads_to) if !leads_to.iter().any(is_git) && !self.is_hidden(&leads_to, true)? => {
                    Ok(None)
                }
                _ => Ok(Some(Held::LeadsOut)),
            },
            _ => Ok(None),
        }
    }

    /// Likewise for a name alone.
    ///
    /// # Errors
    /// As [`Self::held`].
    pub fn by_name(&mut self, path: &Path, is_folder: bool) -> io::Result<Option<Held>> {
        if path.iter().any(is_git) {
            return Ok(Some(Held::Git));
        }
        if self.is_hidden(path, is_folder)? {
            return Ok(Some(Held::Hidden));
        }
        if self.is_of_repository(path) {
            return Ok(Some(Held::Repository));
        }
        let is_config = path.iter().any(|name| CONFIG.iter().any(|one| is(name, one)));
        Ok((is_config && !self.with_config).then_some(Held::Config))
    }

    /// Whether something was kept from the agent, or would be now. A link counts as what it may lead to.
    fn is_hidden(&mut self, path: &Path, is_folder: bool) -> io::Result<bool> {
        if path.ancestors().any(|above| self.was_hidden.contains(above)) {
            return Ok(true);
        }
        for folder in path.ancestors().skip(1) {
            if !self.hidden.has(folder) {
                let text = match self.host.read(&folder.join(ignored::FILE), MAX_IGNORE) {
                    Ok(text) => Some(text),
                    // No such folder, or what is no folder of ours: there are no patterns in it.
                    Err(_) if self.host.sort(&folder.join(ignored::FILE)).ok().flatten().is_none() => None,
                    Err(error) => return Err(error),
                };
                self.hidden.add(folder, text.as_deref());
            }
        }
        Ok(self.hidden.name(path, false) || is_folder && self.hidden.name(path, true))
    }

    /// Whether a name makes one of the folders above it a repository, as [`crate::workspace::look`] tells one.
    fn is_of_repository(&mut self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|folder| {
            let Ok(rest) = path.strip_prefix(folder) else { return false };
            let Some(first) = rest.iter().next() else { return false };
            let counts = OF_REPOSITORY.iter().any(|name| is(first, name)) || is(first, "hooks");
            counts && self.is_repository(folder)
        })
    }

    fn is_repository(&mut self, folder: &Path) -> bool {
        if let Some(is) = self.repositories.get(folder) {
            return *is;
        }
        let has = |name: &str| {
            let path = folder.join(name);
            self.agent.contains_key(&path) || !matches!(self.host.sort(&path), Ok(None))
        };
        let works = has("objects") && has("refs") && (has("HEAD") || has("config"));
        let is = works || has("HEAD") && has("commondir");
        self.repositories.insert(folder.to_owned(), is);
        is
    }
}

/// Where a link leads, from the project's folder; `None` where that is out of it. Up only at its beginning, so that no
/// other link on its way makes more of a step up than it seems.
fn resolved(link: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = link.parent()?.to_owned();
    let mut down = false;
    for part in target.components() {
        match part {
            Component::Normal(name) => {
                down = true;
                path.push(name);
            }
            Component::CurDir => {}
            Component::ParentDir if !down => {
                if !path.pop() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests;
