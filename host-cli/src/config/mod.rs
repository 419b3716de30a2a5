//! The files that users write: `.clawker.yaml` beside a project and `settings.yaml` for all of them, read into types.
//! Unknown keys and wrong values are errors with file, line and column: what is ignored could have narrowed something.

mod error;
mod find;
mod foreign;
mod layer;
mod limits;
mod merge;
mod project;
mod schema;
mod settings;
mod workspace;
mod written;

use std::io;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;
use serde::de::DeserializeOwned;

pub use error::ConfigError;
pub use layer::Layer;
pub use limits::Limits;
pub use merge::Origins;
pub use project::{Agent, Build, ClaudeCode, ClaudeConfig, Firewall, GitCredentials, Port};
pub use project::{ProjectConfig, RawPathRule, RawRule, Security, Strategy, Telemetry, Uid};
pub use schema::{project_schema, settings_schema};
pub use settings::{DockerSettings, FirewallSettings, Settings};
pub use workspace::{Mode, Workspace};
pub use written::Written;

use crate::paths::Paths;
use crate::workspace as folder;
use crate::worktree;

/// The project's file.
pub const FILE: &str = ".clawker.yaml";
/// What one user adds to the project's file, beside it; not for others.
pub const LOCAL: &str = ".clawker.local.yaml";
/// The user's file, in the settings folder.
pub const SETTINGS: &str = "settings.yaml";
/// A configuration past this size is a mistake.
const MAX_LEN: u64 = 4 << 20;

/// A project as its files describe it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its name: `project:`, else the folder's.
    pub project: Name,
    /// Its folder, canonical: the project's root as its files have it, else the one that was asked for.
    pub dir: PathBuf,
    /// All `.clawker.yaml` and `.clawker.local.yaml` from the folder up to the root, and the user's own, as one.
    pub config: ProjectConfig,
    /// `settings.yaml`, or the defaults.
    pub settings: Settings,
    /// The nearest file, where there is one.
    pub file: Option<PathBuf>,
    /// All of the project's files, the nearest first.
    pub files: Vec<PathBuf>,
    /// The files of `agent.env_file` with links resolved, once: what is asked about is what is read.
    pub env_files: Vec<PathBuf>,
    /// Which file each value comes from.
    pub origins: Origins,
    /// What the user should know and what stops nothing.
    pub warnings: Vec<String>,
}

/// Reads what holds for a folder: the files in it and above, up to the project's root, and the user's settings.
///
/// # Errors
/// [`ConfigError`].
pub fn load(cwd: &Path, paths: &Paths) -> Result<Loaded, ConfigError> {
    let cwd = std::fs::canonicalize(cwd).map_err(|error| ConfigError::read(cwd, error))?;
    // What stands in a worktree is an agent's: the project is that of its record.
    let around =
        worktree::around(paths, &cwd).map_err(|error| ConfigError::read(&cwd, io::Error::other(error)))?;
    let cwd = match around {
        // It may be gone, and what lies above it is no project of the worktree's.
        Some(worktree) => std::fs::canonicalize(&worktree.project_dir)
            .map_err(|error| ConfigError::read(&worktree.project_dir, error))?,
        None => cwd,
    };
    let (settings, of_user, of_settings) = settings_layer(paths)?;
    let find::Found { root: dir, mut layers, unused } = find::find(&cwd, paths)?;
    let files: Vec<PathBuf> = layers.iter().map(|layer| layer.file.clone()).collect();
    layers.extend(of_user);
    let (config, mut origins) = merge::merge(&layers, &dir);
    origins.extend(of_settings);
    let project = match &config.project {
        Some(text) => {
            let file = origins.get("project").and_then(|files| files.first());
            Name::new(text).map_err(|error| ConfigError::project(file.map(PathBuf::as_path), error))?
        }
        None => dir
            .file_name()
            .and_then(|name| Name::from_folder(&name.to_string_lossy()))
            .ok_or_else(|| ConfigError::Unnamed(dir.clone()))?,
    };
    let env_files = config.agent.env_file.iter().map(|path| folder::canonical(&dir.join(path))).collect();
    let left_out = layers.iter().flat_map(|layer| layer.warnings.clone());
    let warnings = unused.iter().map(|file| unused_file(file, &dir)).chain(left_out).collect();
    Ok(Loaded {
        project,
        dir,
        config,
        settings,
        file: files.first().cloned(),
        files,
        env_files,
        origins,
        warnings,
    })
}

impl Loaded {
    /// Whether a key's value is the user's own, which no agent could write.
    pub fn is_of_user(&self, key: &str) -> bool {
        let of_user = |file: &PathBuf| file.file_name().is_some_and(|name| name == SETTINGS);
        self.origins.get(key).is_some_and(|files| files.iter().all(of_user))
    }
}

fn unused_file(file: &Path, dir: &Path) -> String {
    format!("{} is not used: it lies above the project {}", file.display(), dir.display())
}

/// Reads the user's settings.
///
/// # Errors
/// [`ConfigError`].
pub fn settings(paths: &Paths) -> Result<Settings, ConfigError> {
    Ok(settings_layer(paths)?.0)
}

/// The user's settings, what they say of every project, and where their other values come from.
fn settings_layer(paths: &Paths) -> Result<(Settings, Option<Layer>, Origins), ConfigError> {
    let file = paths.config.join(SETTINGS);
    if !find::exists(&file)? {
        return Ok((Settings::default(), None, Origins::new()));
    }
    let text = text(&file)?;
    let settings: Settings = parse(&file, &text)?;
    let config = ProjectConfig {
        agent: settings.agent.clone(),
        build: settings.build.clone(),
        security: Security {
            git_credentials: settings.security.git_credentials.clone(),
            ..Security::default()
        },
        ..ProjectConfig::default()
    };
    let (layer, given) = Layer::of_settings(&file, config, &text)?;
    let origins = given.into_iter().map(|key| (format!("settings.{key}"), vec![file.clone()])).collect();
    Ok((settings, Some(layer), origins))
}

/// The `docker.host` setting.
///
/// # Errors
/// [`ConfigError`].
pub fn docker_host(paths: &Paths) -> Result<Option<String>, ConfigError> {
    Ok(settings(paths)?.docker.host)
}

/// A file's text.
fn text(file: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::read(file, error);
    let metadata = std::fs::metadata(file).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("not a file; remove it or write one in its place")));
    }
    if metadata.len() > MAX_LEN {
        return Err(failed(std::io::Error::other("larger than 4 MiB")));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| failed(std::io::Error::other("not UTF-8")))
}

/// Parses a text as the file of this name.
///
/// # Errors
/// [`ConfigError::Form`].
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(text).map_err(|error| ConfigError::form(file, &error))
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod find_tests;
#[cfg(test)]
mod tests;
