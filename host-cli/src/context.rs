//! What every command is given: where state lies, how to print, where the user stands.

use std::path::PathBuf;

use crate::config::Loaded;
use crate::exit::Failure;
use crate::output::Output;
use crate::paths::Paths;

/// What every command is given.
#[derive(Debug)]
pub struct Context {
    /// State, config and cache folders; the instance.
    pub paths: Paths,
    /// How to print.
    pub output: Output,
    /// The folder that the command was called in.
    pub cwd: PathBuf,
}

impl Context {
    /// From this process's environment.
    ///
    /// # Errors
    /// When a folder is missing or not the user's.
    pub fn from_env(output: Output) -> Result<Self, Failure> {
        let cwd = std::env::current_dir().and_then(std::fs::canonicalize).map_err(|error| {
            Failure::new(format!("Can't tell the current folder: {error}; cd somewhere else"))
        })?;
        Ok(Self { paths: Paths::from_env()?, output, cwd })
    }

    /// Says what the user should know of the configuration.
    pub fn warn(&self, loaded: &Loaded) {
        loaded.warnings.iter().for_each(|warning| self.output.note(warning));
    }

    /// Asks the user, on the terminal; `yes` answers beforehand.
    ///
    /// # Errors
    /// When there is no terminal to ask on.
    pub fn ask(&self, question: &str, yes: bool) -> Result<bool, Failure> {
        crate::ask::ask(question, yes)
    }
}
