//! The files that users write: `.clawker.yaml` beside a project and `settings.yaml` for all of them, read into types.
//! Unknown keys and wrong values are errors with file, line and column: what is ignored could have narrowed something.

mod error;
mod project;
mod settings;

use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use project::{Agent, Build, Firewall, Port, ProjectConfig, RawRule, Security};
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
    let file = cwd.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file());
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
    if file.is_file() { read(&file) } else { Ok(Settings::default()) }
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
    if std::fs::metadata(file).map_err(failed)?.len() > MAX_LEN {
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
