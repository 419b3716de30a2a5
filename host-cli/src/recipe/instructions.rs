//! What a project asks of its image: `build.packages` and `build.instructions`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `build.instructions:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Instructions {
    /// Build arguments and their defaults; `root_run` and `user_run` see them as variables.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Variables of the image.
    pub env: BTreeMap<String, String>,
    /// Files and folders of the project that the image gets.
    pub copy: Vec<Copied>,
    /// Shell commands as root, each a step.
    pub root_run: Vec<String>,
    /// Shell commands as the agent, each a step, after those of root.
    pub user_run: Vec<String>,
}

/// An entry of `copy:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copied {
    /// File or folder of the project, relative to this file.
    pub src: String,
    /// Absolute path in the image: the copy's own, or with a slash at its end the folder that a file goes into.
    pub dest: String,
    /// Whom it belongs to: `user` or `user:group`, names or numbers; root without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chown: Option<String>,
}
