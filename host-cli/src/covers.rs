//! Hides in a bound project what its `.clawkerignore` names: an empty folder in memory over each folder, an empty file
//! over each file, both read-only. Made with the container and fixed for its life.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bollard::models::{Mount, MountTmpfsOptions, MountType};
use serde::{Deserialize, Serialize};

use crate::ignored::{Ignored, Kind};
use crate::output::escape;

/// The label that says what was covered, as JSON.
pub const LABEL: &str = "clawker.covered";
/// Each cover is a mount, which the kernel and Docker handle one by one.
const MOST: usize = 1_000;
/// How many names a message shows.
const SHOWN: usize = 8;

/// Why something can't be hidden.
#[derive(Debug, thiserror::Error)]
pub enum CoverError {
    /// More than a container takes well.
    #[error(
        "{count} files and folders are to be hidden, and a bound project takes {MOST}: name the folders that they lie in"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Docker takes text only.
    #[error("{} is to be hidden and its name is not UTF-8: name the folder that it lies in", .0.display())]
    NotText(PathBuf),
}

/// What is covered in one container, by its path from the project's folder; whether it is a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Covers(BTreeMap<String, bool>);

impl Covers {
    /// For what was found. A symbolic link stays: a mount would cover what it leads to, and that is hidden by its own name or
    /// lies outside of the project, where the agent has its own files.
    ///
    /// # Errors
    /// [`CoverError`].
    pub fn of(found: &[Ignored]) -> Result<Self, CoverError> {
        let real: Vec<_> = found.iter().filter(|one| one.kind != Kind::Link).collect();
        if real.len() > MOST {
            return Err(CoverError::TooMany { count: real.len() });
        }
        let entry = |one: &&Ignored| match one.path.to_str() {
            Some(path) => Ok((path.to_owned(), one.kind == Kind::Folder)),
            None => Err(CoverError::NotText(one.path.clone())),
        };
        Ok(Self(real.iter().map(entry).collect::<Result<_, _>>()?))
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each path from the project's folder, and whether it is a folder.
    pub fn places(&self) -> impl Iterator<Item = (&Path, bool)> {
        self.0.iter().map(|(path, is_folder)| (Path::new(path), *is_folder))
    }

    /// The mounts; `empty` is an empty file of the host's.
    pub fn mounts(&self, project: &Path, empty: &Path) -> Vec<Mount> {
        let mount = |(path, is_folder): (&String, &bool)| {
            let target = Some(project.join(path).to_string_lossy().into_owned());
            if *is_folder {
                let options = MountTmpfsOptions { size_bytes: Some(4096), mode: Some(0o555), options: None };
                Mount {
                    typ: Some(MountType::TMPFS),
                    target,
                    read_only: Some(true),
                    tmpfs_options: Some(options),
                    ..Mount::default()
                }
            } else {
                Mount {
                    typ: Some(MountType::BIND),
                    source: Some(empty.to_string_lossy().into_owned()),
                    target,
                    read_only: Some(true),
                    ..Mount::default()
                }
            }
        };
        self.0.iter().map(mount).collect()
    }

    /// How a project differs by now from what a container covers: a line each, none where all is as it was. What is gone may
    /// have been moved to where no cover is.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let new = now.0.iter().filter(|(path, kind)| self.0.get(*path) != Some(kind));
        let new = new.map(|(path, _)| format!("{} is to be hidden and is not", escape(path)));
        let gone = self.0.keys().filter(|path| !now.0.contains_key(*path));
        let gone = gone.map(|path| format!("{} was hidden and is gone, or was moved", escape(path)));
        let mut lines: Vec<String> = new.chain(gone).collect();
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// Says which hidden files can be read by another name.
pub fn other_names(found: &[Ignored]) -> Option<String> {
    let linked: Vec<String> = found
        .iter()
        .filter(|one| one.other_names > 0)
        .map(|one| escape(&one.path.to_string_lossy()))
        .collect();
    let shown = linked.get(..linked.len().min(SHOWN))?.join(", ");
    (!linked.is_empty()).then(|| {
        format!("{shown}: hidden from the agent, but hard links to it may be readable by their other names")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(path: &str, kind: Kind) -> Ignored {
        Ignored { path: path.into(), kind, other_names: 0, awaited: false }
    }

    #[test]
    fn folders_and_files_are_covered_and_links_are_not_followed() {
        let found = [one("a b", Kind::Folder), one(".env", Kind::File), one("l", Kind::Link)];
        let mounts = Covers::of(&found).unwrap().mounts(Path::new("/p"), Path::new("/state/empty"));
        let seen: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.target.as_deref().unwrap(), mount.source.as_deref(), mount.read_only))
            .collect();
        assert_eq!(seen, [("/p/.env", Some("/state/empty"), Some(true)), ("/p/a b", None, Some(true))]);
        assert_eq!(mounts[1].typ, Some(MountType::TMPFS));
    }

    #[test]
    fn what_changed_since_is_told() {
        let was = Covers::of(&[one("moved", Kind::Folder), one("same", Kind::File)]).unwrap();
        let now = Covers::of(&[one("new\u{1b}", Kind::File), one("same", Kind::File)]).unwrap();
        assert!(was.differences(&was).is_empty());
        let told = was.differences(&now);
        assert_eq!(
            told,
            ["new\\u{1b} is to be hidden and is not", "moved was hidden and is gone, or was moved"]
        );
        let label = serde_json::to_string(&was).unwrap();
        assert_eq!(serde_json::from_str::<Covers>(&label).unwrap(), was);
    }

    #[test]
    fn what_can_not_be_hidden_stops_the_start() {
        use std::os::unix::ffi::OsStrExt;
        let many: Vec<_> = (0..=MOST).map(|n| one(&n.to_string(), Kind::File)).collect();
        assert!(matches!(Covers::of(&many), Err(CoverError::TooMany { count: 1_001 })));
        let path = Path::new(std::ffi::OsStr::from_bytes(b"\xff")).to_owned();
        let odd = Ignored { path, kind: Kind::File, other_names: 0, awaited: false };
        assert!(matches!(Covers::of(&[odd]), Err(CoverError::NotText(_))));
    }
}
