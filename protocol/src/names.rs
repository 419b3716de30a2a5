//! Names of projects, agents and instances: what is allowed, and the short id made of them.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest project, agent or instance name, in characters.
pub const MAX_LEN: usize = 40;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{}\" is not a valid name: use 1 to {MAX_LEN} lower-case letters, digits, '-' and '_', \
     beginning with a letter or digit",
    .text.escape_default()
)]
pub struct InvalidName {
    text: String,
}

/// A project's, agent's or instance's name. It never holds a dot, so container names split one way only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidName`] unless it is 1 to [`MAX_LEN`] of `[a-z0-9_-]`, beginning with a letter or digit.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if first && text.len() <= MAX_LEN && text.chars().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { text: text.to_owned() })
        }
    }

    /// The nearest name to a folder's: lower case, `-` for what is not allowed. `None` if nothing is left.
    pub fn from_folder(folder: &str) -> Option<Self> {
        let mapped: String = folder
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' { c } else { '-' })
            .collect();
        let trimmed: String = mapped.trim_matches(['-', '_']).chars().take(MAX_LEN).collect();
        Self::new(trimmed.trim_end_matches(['-', '_'])).ok()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// The 8 hex digits that stand for a project's folder and an agent in paths (a socket path has 108 bytes).
///
/// Two projects of the same name in different folders get different ids.
pub fn agent_id(project_dir: &[u8], agent: &Name) -> String {
    let mut hash = Sha256::new();
    hash.update(project_dir);
    hash.update([0]);
    hash.update(agent.as_str());
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_confuse_are_refused() {
        for text in ["", "a b", "A", "a.b", "-a", "_a", "a/b", "ä", "a\n", &"a".repeat(41)] {
            assert!(Name::new(text).is_err(), "{text:?}");
        }
        for text in ["a", "dev", "my-app_2", "0day", &"a".repeat(40)] {
            assert!(Name::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn folders_become_names() {
        assert_eq!(Name::from_folder("My App.v2").unwrap().as_str(), "my-app-v2");
        assert_eq!(Name::from_folder("..."), None);
    }

    #[test]
    fn the_folder_and_the_agent_both_count_in_the_id() {
        let (dev, ops) = (Name::new("dev").unwrap(), Name::new("ops").unwrap());
        assert_ne!(agent_id(b"/a", &dev), agent_id(b"/b", &dev));
        assert_ne!(agent_id(b"/a", &dev), agent_id(b"/a", &ops));
        assert_eq!(agent_id(b"/a", &dev).len(), 8);
    }
}
