//! The ends of a copy, as they are typed and as they are opened.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use super::CopyError;

/// One end, as it is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `AGENT:PATH`; the path is absolute, as a relative one begins at the root.
    Agent {
        /// Its name.
        agent: String,
        /// In its container.
        path: String,
    },
    /// A path of the host.
    Host(PathBuf),
}

impl Place {
    /// Reads it: a colon before the first slash parts an agent from a path.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((agent, path)) if !agent.is_empty() && !agent.contains('/') && !agent.starts_with('.') => {
                let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
                Self::Agent { agent: agent.to_owned(), path }
            }
            _ => Self::Host(PathBuf::from(text)),
        }
    }
}

/// A folder, and what is meant in it: one entry, or with no name all that it holds.
#[derive(Debug)]
pub struct Spot {
    /// The folder.
    pub folder: OwnedFd,
    /// The entry.
    pub name: Option<OsString>,
    /// Its path, for people.
    pub shown: PathBuf,
}

impl Spot {
    /// What is read: a path's last part is never followed, and one that ends in `.` or `..` is all that is in it.
    ///
    /// # Errors
    /// [`CopyError`] when the folder can't be opened.
    pub fn source(path: &Path, cwd: &Path, projects: &[PathBuf]) -> Result<Self, CopyError> {
        let whole = ends_in_dot(path);
        let shown = path.to_owned();
        match (path.file_name(), path.parent()) {
            (Some(name), Some(parent)) if !whole => {
                let folder = open_folder(parent, cwd, projects)?;
                Ok(Self { folder, name: Some(name.to_owned()), shown })
            }
            _ => Ok(Self { folder: open_folder(path, cwd, projects)?, name: None, shown }),
        }
    }

    /// What is written: into a folder that is there under the source's name, else under the path's own.
    ///
    /// # Errors
    /// [`CopyError`] when the folder can't be opened.
    pub fn target(
        path: &Path,
        name: Option<OsString>,
        cwd: &Path,
        projects: &[PathBuf],
    ) -> Result<Self, CopyError> {
        let shown = path.to_owned();
        match open_folder(path, cwd, projects) {
            Ok(folder) => Ok(Self { folder, name, shown }),
            Err(error @ CopyError::LeadsOut(_)) => Err(error),
            Err(error) => match (path.file_name(), path.parent()) {
                (Some(own), Some(parent)) if !ends_in_dot(path) && !ends_in_slash(path) => {
                    let folder = open_folder(parent, cwd, projects)?;
                    Ok(Self { folder, name: Some(own.to_owned()), shown })
                }
                _ => Err(error),
            },
        }
    }
}

/// Opens a folder. What lies in a project is opened from there, and only where no link leads out of it: its agent
/// may have made any of them.
///
/// # Errors
/// [`CopyError`].
pub fn open_folder(path: &Path, cwd: &Path, projects: &[PathBuf]) -> Result<OwnedFd, CopyError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = absolute(path, cwd);
    let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let Some((project, rest)) = within(&absolute, projects) else {
        return open(&absolute, flags, Mode::empty()).map_err(CopyError::io("open", path));
    };
    let root = open(&project, flags, Mode::empty()).map_err(CopyError::io("open", &project))?;
    let rest = if rest.as_os_str().is_empty() { PathBuf::from(".") } else { rest };
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    openat2(root, &rest, OpenHow::new().flags(flags).resolve(resolve)).map_err(|error| match error {
        nix::Error::EXDEV => CopyError::LeadsOut(path.to_owned()),
        error => CopyError::io("open", path)(error),
    })
}

/// Steps up from the current folder are taken beforehand: that one has no link in it.
fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    let mut base = cwd.to_owned();
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next_if(|part| matches!(part, Component::ParentDir | Component::CurDir)) {
        if part == Component::ParentDir {
            base.pop();
        }
    }
    base.join(parts.collect::<PathBuf>())
}

/// The project that a path goes through, and the rest of the path.
fn within(absolute: &Path, projects: &[PathBuf]) -> Option<(PathBuf, PathBuf)> {
    let mut prefixes: Vec<&Path> = absolute.ancestors().collect();
    prefixes.reverse();
    prefixes.into_iter().find_map(|prefix| {
        let real = std::fs::canonicalize(prefix).ok()?;
        let project = projects.iter().find(|project| **project == real)?;
        Some((project.clone(), absolute.strip_prefix(prefix).ok()?.to_owned()))
    })
}

fn ends_in_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_encoded_bytes();
    matches!(bytes.rsplit(|byte| *byte == b'/').next(), Some(b"." | b".."))
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}
