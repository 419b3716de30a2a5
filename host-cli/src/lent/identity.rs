//! Who the user is to git: name and address, and nothing else that their configuration holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What goes along.
const KEYS: [&str; 2] = ["user.name", "user.email"];

/// The user's own, of their global configuration; empty where git is not there or knows none.
pub fn of_user() -> BTreeMap<String, String> {
    let values = KEYS.iter().filter_map(|key| Some(((*key).to_owned(), ask(key)?)));
    values.collect()
}

/// Outside of every repository: what lies in the project's own was written by who knows whom.
fn ask(key: &str) -> Option<String> {
    let mut command = Command::new("git");
    command.args(["config", "--global", "--includes", "--get", key]).current_dir(Path::new("/"));
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let value = String::from_utf8(output.stdout).ok()?;
    let value = value.trim();
    (output.status.success() && !value.is_empty()).then(|| value.to_owned())
}
