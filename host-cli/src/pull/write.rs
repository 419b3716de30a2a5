//! Brings changes to the host's project. No link is followed, nothing gets a set-id bit, and what isn't as it was when it
//! was judged stays as it is.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::host;
use super::node::{MODE, Node, Tree, has_below, same};
use super::plan::Change;
use super::spool::Spool;
use crate::workspace::beneath::{Beneath, Sort, Swap};

/// A change, and what the host had when it was judged.
#[derive(Debug, Clone)]
pub struct Item {
    /// The change.
    pub change: Change,
    /// What the host had.
    pub host: Option<Node>,
}

/// Writes to a project.
#[derive(Debug)]
pub struct Project<'a> {
    /// Its folder.
    pub host: &'a Beneath,
    /// The agent's files.
    pub spool: &'a Spool,
    /// To whom a new file belongs, where we are root.
    pub owner: (u32, u32),
}

impl Project<'_> {
    /// Makes the host's the agent's, if the host's is still what was judged.
    ///
    /// # Errors
    /// The kernel's; the host's is as it was then.
    pub fn take(&self, item: &Item) -> io::Result<Swap> {
        let path = &item.change.path;
        let expected = |at: &Path| same(host::node(self.host, at).as_ref(), item.host.as_ref());
        let Some(agent) = &item.change.agent else { return self.host.take_away(path, &expected) };
        if !self.make_parents(path)? {
            return Ok(Swap::Changed);
        }
        if *agent == Node::Folder {
            if item.host.is_some() && self.host.take_away(path, &expected)? == Swap::Changed {
                return Ok(Swap::Changed);
            }
            return self.make_folder(path);
        }
        let mut make = |at: &Path| self.make(at, agent, item.host.as_ref().map(|_| path.as_path()));
        match item.host {
            None => self.host.put_new(path, &mut make),
            Some(_) => self.host.put_over(path, &mut make, &expected),
        }
    }

    /// Writes an agent's file or link under a name that is free.
    ///
    /// # Errors
    /// The kernel's.
    pub fn put_beside(&self, path: &Path, agent: &Node) -> io::Result<Swap> {
        if !self.make_parents(path)? {
            return Ok(Swap::Changed);
        }
        self.host.put_new(path, &mut |at| self.make(at, agent, None))
    }

    /// Takes away folders that are empty now and that the agent has no more.
    pub fn clear_folders(&self, deleted: &Path, agent: &Tree) {
        for folder in deleted.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            if agent.contains_key(folder) || self.host.remove_folder(folder).is_err() {
                return;
            }
        }
    }

    /// Makes a file or a link; a file that takes another's place is read and owned by whom that one was.
    fn make(&self, at: &Path, node: &Node, place_of: Option<&Path>) -> io::Result<()> {
        let target = match node {
            Node::Link(target) => {
                self.host.make_link(at, target)?;
                return self.host.give(at, self.owner.0, self.owner.1);
            }
            Node::File { hash, len, .. } => (hash, *len),
            Node::Folder | Node::Other => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let (hash, len) = target;
        let mut content = self.spool.content(hash).ok_or(io::ErrorKind::UnexpectedEof)?;
        let before = place_of.map(|path| self.host.stat(path)).transpose()?.flatten();
        let before = before.filter(|before| Sort::of_mode(before.st_mode) == Sort::File);
        let mut file = self.host.create(at, if node.is_executable() { 0o777 } else { 0o666 })?;
        if io::copy(&mut content, &mut file)? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let is_root = nix::unistd::geteuid().is_root();
        let (uid, gid) = before.map_or(self.owner, |before| (before.st_uid, before.st_gid));
        if is_root {
            fchown(&file, Some(uid), Some(gid))?;
        }
        if let Some(before) = before {
            file.set_permissions(Permissions::from_mode(adapted(
                before.st_mode & MODE,
                node.is_executable(),
            )))?;
        }
        let about = file.metadata()?;
        // Never more than was asked for, whatever a folder's default says.
        if about.mode() & 0o7000 != 0 {
            file.set_permissions(Permissions::from_mode(about.mode() & MODE))?;
        }
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<Swap> {
        match self.host.sort(path)? {
            Some(Sort::Folder) => return Ok(Swap::Done),
            Some(_) => return Ok(Swap::Changed),
            None => {}
        }
        self.host.make_folder(path)?;
        self.host.give(path, self.owner.0, self.owner.1)?;
        Ok(Swap::Done)
    }

    /// Whether the folders above a path are there.
    fn make_parents(&self, path: &Path) -> io::Result<bool> {
        let mut above: Vec<&Path> =
            path.ancestors().skip(1).filter(|one| !one.as_os_str().is_empty()).collect();
        above.reverse();
        for folder in above {
            // A link on the way is nobody's to follow.
            if self.host.sort(folder).is_err() || self.make_folder(folder)? == Swap::Changed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A mode that can be run, or not, by whom could read it.
fn adapted(mode: u32, executable: bool) -> u32 {
    if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 }
}

/// From now on this is what both sides have.
pub fn settle(base: &mut Tree, change: &Change, agent: &Tree) {
    let path = &change.path;
    match &change.agent {
        Some(node) => {
            for folder in path.ancestors().skip(1) {
                base.insert(folder.to_owned(), Node::Folder);
            }
            base.insert(path.clone(), node.clone());
        }
        None => {
            base.remove(path);
            let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
            for folder in above {
                if agent.contains_key(&folder) || has_below(base, &folder) {
                    return;
                }
                base.remove(&folder);
            }
        }
    }
}

#[cfg(test)]
mod tests;
