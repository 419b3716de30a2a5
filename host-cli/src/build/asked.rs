//! What of an image's making the user is asked about. A build runs on the host's Docker, as root in its container and
//! outside of every firewall; so each step is shown, and of files that go into it the content counts, not the name.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Sources, hex};
use crate::config::Loaded;
use crate::output::escape;

/// One thing that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// In words.
    pub what: String,
    /// The hash of a file's or folder's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// It does something, and so its going or its place may undo what narrowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub step: bool,
}

/// What the project's own files ask for, in the order of the build. What the user's settings say is not asked about,
/// but for the content of files that lie in the project.
pub fn wanted(loaded: &Loaded, sources: &Sources) -> Vec<Asked> {
    let build = &loaded.config.build;
    let own = |key: &str| !loaded.is_of_user(&format!("build.{key}"));
    let plain = |what: String| Asked { what, content: None, step: false };
    let mut all = Vec::new();
    if let Some(image) = build.image.as_ref().filter(|_| own("image")) {
        all.push(plain(format!("base image {}", escape(image))));
    }
    if let (Some(path), Some(text), true) = (&build.dockerfile, &sources.dockerfile, own("dockerfile")) {
        let what = format!("build from {}", escape(&path.to_string_lossy()));
        all.push(Asked { what, content: Some(hex(&Sha256::digest(text))), step: true });
    }
    let instructions = &build.instructions;
    for (key, what, values) in [
        ("args", "build argument", &instructions.args),
        ("labels", "label", &instructions.labels),
        ("env", "variable of the image", &instructions.env),
    ] {
        let ours = values.iter().filter(|(name, _)| own(&format!("instructions.{key}.{name}")));
        all.extend(ours.map(|(name, value)| plain(format!("{what} {}={}", escape(name), escape(value)))));
    }
    if own("packages") {
        all.extend(build.packages.iter().map(|name| plain(format!("package {}", escape(name)))));
    }
    for source in &sources.copied {
        let owner = source.entry.chown.as_deref().unwrap_or("root");
        let (src, dest) = (escape(&source.entry.src), escape(&source.entry.dest));
        let what = format!("copy {src} into the image as {dest}, owned by {}", escape(owner));
        all.push(Asked { what, content: Some(source.hash.clone()), step: true });
    }
    for (key, who, scripts) in
        [("root_run", "root", &instructions.root_run), ("user_run", "the agent", &instructions.user_run)]
    {
        if own(&format!("instructions.{key}")) {
            let step = |script: &String| Asked {
                what: format!("run in the build as {who}: {}", escape(script)),
                content: None,
                step: true,
            };
            all.extend(scripts.iter().map(step));
        }
    }
    all
}

/// The lines of the question: what is new, steps that go while others stay, and steps that change places.
pub fn widening(old: &[Asked], new: &[Asked]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in new.iter().filter(|one| !old.contains(one)) {
        let known = one.content.is_some() && old.iter().any(|was| was.what == one.what);
        let content = match &one.content {
            Some(hash) if known => format!(" (changed: now {})", short(hash)),
            Some(hash) => format!(" ({})", short(hash)),
            None => String::new(),
        };
        lines.push(format!("+ {}{content}", one.what));
    }
    let stays = |was: &&Asked| new.iter().any(|one| one.what == was.what);
    if !new.is_empty() {
        let gone = old.iter().filter(|was| was.step && !stays(was));
        lines.extend(gone.map(|was| format!("- {}", was.what)));
    }
    let steps = |of: &[Asked], other: &[Asked]| -> Vec<Asked> {
        of.iter().filter(|one| one.step && other.contains(one)).cloned().collect()
    };
    if steps(old, new) != steps(new, old) {
        lines.push("+ the steps of the build in another order, or more often".to_owned());
    }
    lines
}

fn short(hash: &str) -> String {
    format!("content {}", hash.get(..12).unwrap_or(hash))
}
