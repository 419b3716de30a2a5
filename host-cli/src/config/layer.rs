//! One file as it was written: its values, and which keys it gives at all, so that a nearer file's `false` is told from
//! its silence.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{ConfigError, ProjectConfig};

/// A file.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Which.
    pub file: PathBuf,
    /// Its values; what it does not give is the default.
    pub config: ProjectConfig,
    /// What of it is left out.
    pub warnings: Vec<String>,
    /// The keys that it gives, as `security.firewall.inspect`.
    given: BTreeSet<String>,
}

impl Layer {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        Self::parse(file, &super::text(file)?)
    }

    /// A text as the file of this name.
    ///
    /// # Errors
    /// [`ConfigError::Form`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let (text, warnings) = super::foreign::without(file, text)?;
        let config = super::parse(file, &text)?;
        Ok(Self { warnings, ..Self::new(file, config, &text)? })
    }

    /// With the values that a text was read into.
    fn new(file: &Path, mut config: ProjectConfig, text: &str) -> Result<Self, ConfigError> {
        let firewall = &mut config.security.firewall;
        firewall.add_domains.iter_mut().for_each(|name| file.clone_into(&mut name.file));
        firewall.rules.iter_mut().for_each(|rule| file.clone_into(&mut rule.file));
        let mut given = BTreeSet::new();
        collect(&super::parse::<Value>(file, text)?, String::new(), &mut given);
        Ok(Self { file: file.to_owned(), config, warnings: Vec::new(), given })
    }

    /// The user's settings: a layer of what they say of every project, and their other keys, which mean other things.
    pub(super) fn of_settings(
        file: &Path,
        config: ProjectConfig,
        text: &str,
    ) -> Result<(Self, BTreeSet<String>), ConfigError> {
        let mut layer = Self::new(file, config, text)?;
        let shared = ["agent.", "build.", "security.git_credentials."];
        let of_projects = |key: &String| shared.iter().any(|prefix| key.starts_with(prefix));
        let (given, others) = layer.given.into_iter().partition(of_projects);
        layer.given = given;
        Ok((layer, others))
    }

    /// Whether the file gives a key.
    pub fn gives(&self, key: &str) -> bool {
        self.given.contains(key)
    }

    /// The folder that the file's own paths start from.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

/// Every key with a value, however deep; `key:` with nothing behind it gives nothing.
fn collect(value: &Value, key: String, given: &mut BTreeSet<String>) {
    if let Value::Object(entries) = value {
        for (name, value) in entries {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            collect(value, key, given);
        }
    }
    if !value.is_null() && !key.is_empty() {
        given.insert(key);
    }
}
