//! `workspace:`: how the project reaches an agent, and what of it does not.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the project reaches the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The folder itself, writable.
    #[default]
    Bind,
    /// A copy in a volume of the agent's own; nothing flows back.
    Snapshot,
}

/// `workspace:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Workspace {
    /// `bind`, the default, or `snapshot`.
    pub default_mode: Option<Mode>,
    /// Patterns of what is hidden from agents, as in a `.clawkerignore` in the project's folder.
    pub ignore: Vec<String>,
}
