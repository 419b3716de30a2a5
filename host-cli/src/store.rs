//! Files on the host: written beside and renamed, so that a reader and a crash find the old or the new one. And the
//! agents' records.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clawker_protocol::boot::Run;
use clawker_protocol::enforcement::Published;
use clawker_protocol::names::Name;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::lock::StateLock;
use crate::paths::Paths;

/// Why state can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder.
    #[error("Can't {verb} {path}", path = .path.display())]
    Io {
        /// `read`, `write` or `remove`.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{path} is damaged; move it away to begin anew", path = .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl StoreError {
    /// A file that can't be written.
    pub fn io(path: &Path, source: io::Error) -> Self {
        io_error("write", path)(source)
    }
}

fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { verb, path, source }
}

/// Writes a file with this mode, beside and by rename, on disk before it is renamed. Missing folders are made, 0700.
///
/// # Errors
/// [`StoreError::Io`]; the old file is still there then.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreError> {
    let failed = || io_error("write", path);
    let folder = path.parent().unwrap_or(Path::new("/"));
    make_folder(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(failed())
}

/// Removes a file; that there is none is as good.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes what a killed command had written beside and not renamed. Everything in these folders is written under the
/// lock, so that nobody is at it now; what can't be removed harms nobody.
pub fn sweep(paths: &Paths, _lock: &StateLock) {
    let mut folders =
        vec![paths.state.clone(), paths.projects(), paths.plans(), paths.agents(), paths.coredns_dir()];
    for parent in [paths.agents(), paths.envoy_dir()] {
        let below = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
        folders.extend(below.filter(|path| path.is_dir()));
    }
    folders.push(paths.envoy_dir());
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten()) {
        if is_beside(&entry.file_name().to_string_lossy()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file's name is one that [`write_atomically`] writes to first: `.name.pid`.
fn is_beside(name: &str) -> bool {
    let pid = name.strip_prefix('.').and_then(|name| name.rsplit_once('.')).map(|(_, pid)| pid);
    pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Writes a value as JSON, for nobody else to read.
///
/// # Errors
/// [`StoreError`].
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    write_atomically(path, &serde_json::to_vec_pretty(value).map_err(damaged)?, 0o600)
}

/// Likewise, but leaves a file alone that holds it already.
///
/// # Errors
/// [`StoreError`].
pub fn save_where_it_differs<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    let bytes = serde_json::to_vec_pretty(value).map_err(damaged)?;
    if fs::read(path).ok().as_deref() == Some(&bytes) {
        return Ok(());
    }
    write_atomically(path, &bytes, 0o600)
}

/// Reads a value; `None` where there is no such file.
///
/// # Errors
/// [`StoreError`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| StoreError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// What the host remembers of an agent. Never mounted anywhere: it holds the control secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// 8 hex digits of project folder and agent.
    pub id: String,
    /// The project's name.
    pub project: Name,
    /// Its folder, canonical.
    pub project_dir: PathBuf,
    /// The agent's name.
    pub agent: Name,
    /// Its container's name.
    pub container: String,
    /// The name that it was made with, where it has another by now: its id and its volumes go by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_as: Option<Name>,
    /// Its container's name before it was renamed: the container still has it where that was not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// The control secret.
    pub secret: String,
    /// Its address on clawker-net: the key that joins the logs.
    pub address: Ipv4Addr,
    /// Published ports.
    pub published: Vec<Published>,
    /// What init runs.
    pub run: Run,
    /// The image's reference.
    pub image: String,
    /// Milliseconds since 1970.
    pub created: u64,
    /// It holds Docker's socket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub docker_socket: bool,
    /// The worktree that it works in, where that is not the project's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<PathBuf>,
    /// Folders of the repository that are mounted for it, from the project's: others can replace them, so that each start
    /// makes sure of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounted: Vec<PathBuf>,
}

impl AgentRecord {
    /// The name that it was made with.
    pub fn first_name(&self) -> &Name {
        self.made_as.as_ref().unwrap_or(&self.agent)
    }

    /// What its volumes are named after: the container's name as it was made.
    pub fn volumes(&self, paths: &Paths) -> String {
        paths.agent_container(&self.project, self.first_name())
    }

    /// The folder that it works in.
    pub fn workspace(&self) -> &Path {
        self.worktree.as_deref().unwrap_or(&self.project_dir)
    }
}

/// All agents of this instance, by project and name.
///
/// # Errors
/// [`StoreError`].
pub fn agents(paths: &Paths) -> Result<Vec<AgentRecord>, StoreError> {
    let mut records: Vec<AgentRecord> = load_all(&paths.agents())?;
    records.sort_by(|a, b| (&a.project, &a.agent).cmp(&(&b.project, &b.agent)));
    Ok(records)
}

/// Every `.json` file of a folder, in the order of their names; none where there is no such folder.
///
/// # Errors
/// [`StoreError`].
pub fn load_all<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("read", folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io_error("read", folder))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "json") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    // One that went away meanwhile is skipped.
    files.iter().filter_map(|path| load(path).transpose()).collect()
}

/// Makes a folder, 0700, and those above it.
///
/// # Errors
/// [`StoreError::Io`].
pub fn make_folder(folder: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error("write", folder))
}

/// Writes an agent's record and makes its folder.
///
/// # Errors
/// [`StoreError`].
pub fn save_agent(paths: &Paths, _lock: &StateLock, record: &AgentRecord) -> Result<(), StoreError> {
    make_folder(&paths.agent_dir(&record.id))?;
    save(&paths.agent_record(&record.id), record)
}

/// Forgets an agent: its folder first, so that a record without one is never left to be found running.
///
/// # Errors
/// [`StoreError`].
pub fn delete_agent(paths: &Paths, _lock: &StateLock, id: &str) -> Result<(), StoreError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let (folder, record) = (paths.agent_dir(id), paths.agent_record(id));
    gone(fs::remove_dir_all(&folder)).map_err(io_error("remove", &folder))?;
    gone(fs::remove_file(&record)).map_err(io_error("remove", &record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_beside_is_swept() {
        for (name, beside) in
            [(".a.json.12", true), (".a.zone.7", true), ("a.12", false), (".a.json", false), (".a.", false)]
        {
            assert_eq!(is_beside(name), beside, "{name}");
        }
    }

    #[test]
    fn a_file_has_the_mode_that_was_asked_for_and_nothing_stays_beside_it() {
        let folder = std::env::temp_dir().join(format!("clawker-store-{}", std::process::id()));
        let path = folder.join("deep/value.json");
        save(&path, &vec![1, 2]).unwrap();
        save(&path, &vec![3]).unwrap();
        assert_eq!(load::<Vec<u8>>(&path).unwrap(), Some(vec![3]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(load::<Vec<u8>>(&folder.join("none")).unwrap(), None);
        remove(&folder.join("none")).unwrap();
        fs::write(&path, "{").unwrap();
        assert!(load::<Vec<u8>>(&path).unwrap_err().to_string().contains("damaged"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
