//! Which files hold for a folder, and which folder is the project. An agent can write files anywhere in its project and
//! nowhere above it: what it plants can make a folder below into a project of its own, for which nothing was accepted,
//! and never one that reaches further up than the host remembers.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::layer::Layer;
use super::{ConfigError, FILE, LOCAL};
use crate::paths::Paths;
use crate::{project, workspace};

/// What holds for a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// The project's folder.
    pub root: PathBuf,
    /// Its files and those below, the nearest first, each local one before its sibling.
    pub layers: Vec<Layer>,
    /// Files above that are not used.
    pub unused: Vec<PathBuf>,
}

/// Looks upwards from a canonical folder. The project's root is the nearest folder with a file that names the project
/// or that stands beside a `.git`, or that the host remembers as a project; else the uppermost with a file; else the
/// folder itself. A folder that can't be a project (the home folder, say) is none.
///
/// # Errors
/// [`ConfigError`] of any file on the way.
pub(super) fn find(cwd: &Path, paths: &Paths) -> Result<Found, ConfigError> {
    let mut found = Found { root: cwd.to_owned(), layers: Vec::new(), unused: Vec::new() };
    let mut folders = cwd.ancestors();
    for folder in folders.by_ref() {
        let here = of_folder(folder)?;
        if !here.is_empty() && folder != cwd && !can_be_a_project(folder, paths) {
            found.unused.extend(here);
            break;
        }
        let has_file = !here.is_empty();
        let mut named = false;
        for file in here {
            let layer = Layer::read(&file)?;
            named |= layer.config.project.is_some();
            found.layers.push(layer);
        }
        if has_file {
            folder.clone_into(&mut found.root);
        }
        let remembered = project::is_remembered(paths, folder) && (folder == cwd || !found.layers.is_empty());
        if remembered {
            folder.clone_into(&mut found.root);
        }
        if remembered || has_file && (named || exists(&folder.join(".git"))?) {
            break;
        }
    }
    // A project that stands by itself (named, or with a .git) is not expected to heed what lies above it.
    let by_itself =
        found.layers.iter().any(|layer| layer.config.project.is_some()) || exists(&found.root.join(".git"))?;
    if !by_itself {
        for folder in folders {
            found.unused.extend(of_folder(folder)?);
        }
    }
    Ok(found)
}

/// The files of one folder, the local one first.
fn of_folder(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = Vec::new();
    for name in [LOCAL, FILE] {
        let file = folder.join(name);
        if exists(&file)? {
            files.push(file);
        }
    }
    Ok(files)
}

fn can_be_a_project(folder: &Path, paths: &Paths) -> bool {
    let own = [&paths.state, &paths.config, &paths.cache].map(|own| workspace::canonical(own));
    let own: Vec<_> = own.iter().map(|own| (own.as_path(), "")).collect();
    workspace::check(folder, &own).is_ok()
}

/// Whether there is anything of this name: a folder, a pipe or a link to nowhere counts, so that reading it fails
/// instead of what it should have narrowed being left out.
pub(super) fn exists(file: &Path) -> Result<bool, ConfigError> {
    match std::fs::symlink_metadata(file) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(ConfigError::read(file, error)),
    }
}
