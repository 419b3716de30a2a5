//! What a project asks of its image: `build.packages` and `build.instructions`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// `build.instructions:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Instructions {
    /// Build arguments and their defaults; `root_run` and `user_run` see them as variables.
    #[serde(deserialize_with = "args")]
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Variables of the image.
    pub env: BTreeMap<String, String>,
    /// Files and folders of the project that the image gets.
    pub copy: Vec<Copied>,
    /// Shell commands as root, each a step.
    #[serde(deserialize_with = "steps")]
    pub root_run: Vec<String>,
    /// Shell commands as the agent, each a step, after those of root.
    #[serde(deserialize_with = "steps")]
    pub user_run: Vec<String>,
}

/// Steps, each a text or, as the original's files may have them, `cmd: text`.
fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Step {
        Text(String),
        Named(Cmd),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Cmd {
        cmd: String,
    }
    let steps = Vec::<Step>::deserialize(deserializer)?.into_iter();
    Ok(steps
        .map(|step| match step {
            Step::Text(text) | Step::Named(Cmd { cmd: text }) => text,
        })
        .collect())
}

/// Arguments by name or, as the original's files have them, a list of `{name, default}`.
fn args<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Args {
        ByName(BTreeMap<String, String>),
        Listed(Vec<Arg>),
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Arg {
        name: String,
        #[serde(default)]
        default: String,
    }
    Ok(match Args::deserialize(deserializer)? {
        Args::ByName(args) => args,
        Args::Listed(args) => args.into_iter().map(|arg| (arg.name, arg.default)).collect(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_original_s_forms_mean_the_same() {
        let ours = "args: {V: '1'}\nroot_run: [a, 'b: c']\n";
        let theirs = "args:\n  - {name: V, default: '1'}\nroot_run:\n  - cmd: a\n  - 'b: c'\n";
        let read = |text: &str| serde_saphyr::from_str::<Instructions>(text);
        assert_eq!(read(ours).unwrap(), read(theirs).unwrap());
        assert!(read("root_run: [{run: a}]").is_err() && read("args: [a]").is_err());
    }
}
