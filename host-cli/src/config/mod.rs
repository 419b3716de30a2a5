//! The files that users write: `.clawker.yaml` beside a project and `settings.yaml` for all of them, read into types.
//! Unknown keys and wrong values are errors with file, line and column: what is ignored could have narrowed something.

mod error;
mod project;
mod settings;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use project::{Agent, Build, Firewall, Port, ProjectConfig, RawPathRule, RawRule, Security, Telemetry};
pub use settings::{DockerSettings, FirewallSettings, Settings};

use crate::paths::Paths;

/// The project's file.
pub const FILE: &str = ".clawker.yaml";
/// The user's file, in the settings folder.
pub const SETTINGS: &str = "settings.yaml";
/// A configuration past this size is a mistake.
const MAX_LEN: u64 = 4 << 20;

/// A project as its files describe it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its name: `project:`, else the folder's.
    pub project: Name,
    /// Its folder, canonical: where `.clawker.yaml` is, else the one that was asked for.
    pub dir: PathBuf,
    /// `.clawker.yaml`, or the defaults.
    pub config: ProjectConfig,
    /// `settings.yaml`, or the defaults.
    pub settings: Settings,
    /// The file, where there is one.
    pub file: Option<PathBuf>,
}

/// Reads what holds for a folder: the nearest `.clawker.yaml` in it or above, and the user's settings.
///
/// # Errors
/// [`ConfigError`].
pub fn load(cwd: &Path, paths: &Paths) -> Result<Loaded, ConfigError> {
    let cwd = std::fs::canonicalize(cwd).map_err(|error| ConfigError::read(cwd, error))?;
    let settings = settings(paths)?;
    let file = nearest(&cwd)?;
    let (config, dir) = match &file {
        Some(file) => (read::<ProjectConfig>(file)?, file.parent().unwrap_or(&cwd).to_owned()),
        None => (ProjectConfig::default(), cwd),
    };
    let project = match &config.project {
        Some(text) => Name::new(text).map_err(|error| ConfigError::project(file.as_deref(), error))?,
        None => dir
            .file_name()
            .and_then(|name| Name::from_folder(&name.to_string_lossy()))
            .ok_or_else(|| ConfigError::Unnamed(dir.clone()))?,
    };
    Ok(Loaded { project, dir, config, settings, file })
}

/// Reads the user's settings.
///
/// # Errors
/// [`ConfigError`].
pub fn settings(paths: &Paths) -> Result<Settings, ConfigError> {
    let file = paths.config.join(SETTINGS);
    if exists(&file)? { read(&file) } else { Ok(Settings::default()) }
}

/// The project's file in a folder or the closest one above.
fn nearest(cwd: &Path) -> Result<Option<PathBuf>, ConfigError> {
    for folder in cwd.ancestors() {
        let file = folder.join(FILE);
        if exists(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Whether there is anything of this name: a folder, a pipe or a link to nowhere counts, so that reading it fails
/// instead of what it should have narrowed being left out.
fn exists(file: &Path) -> Result<bool, ConfigError> {
    match std::fs::symlink_metadata(file) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(ConfigError::read(file, error)),
    }
}

/// The `docker.host` setting.
///
/// # Errors
/// [`ConfigError`].
pub fn docker_host(paths: &Paths) -> Result<Option<String>, ConfigError> {
    Ok(settings(paths)?.docker.host)
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    let failed = |error| ConfigError::read(file, error);
    let metadata = std::fs::metadata(file).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("not a file; remove it or write one in its place")));
    }
    if metadata.len() > MAX_LEN {
        return Err(failed(std::io::Error::other("larger than 4 MiB")));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| failed(std::io::Error::other("not UTF-8")))?;
    parse(file, &text)
}

/// Parses a text as the file of this name.
///
/// # Errors
/// [`ConfigError::Form`].
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(text).map_err(|error| ConfigError::form(file, &error))
}

#[cfg(test)]
mod tests;
