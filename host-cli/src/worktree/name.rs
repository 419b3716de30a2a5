//! What a user types for a worktree, `BRANCH[:BASE]`, and the folder's name that is made of a branch's: a function of the
//! text alone, by which no two branches share a folder.

use clawker_protocol::names::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::output::escape;

/// The longest part of a branch between two `/`, in bytes: git puts `.lock` behind it, and a file's name ends at 255.
const MAX_PART: usize = 200;
/// The longest branch, in bytes.
const MAX_BRANCH: usize = 400;
/// The longest name of a folder that is the branch's own; a longer one is cut.
const MAX_FOLDER: usize = 60;
/// As much of a branch's name is readable in a folder's that is not the branch's own.
const READABLE: usize = 40;
/// Hexadecimal digits that tell such folders apart.
const DIGITS: usize = 12;

/// A branch's name, as git takes it (git-check-ref-format(1)).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Branch(String);

/// Why a text is no branch's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is not a branch's name: {reason}", escape(.text))]
pub struct InvalidBranch {
    text: String,
    reason: &'static str,
}

impl Branch {
    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidBranch`] with the rule that it breaks.
    pub fn new(text: &str) -> Result<Self, InvalidBranch> {
        match flaw(text) {
            None => Ok(Self(text.to_owned())),
            Some(reason) => Err(InvalidBranch { text: text.to_owned(), reason }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The reference in full.
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }

    /// The folder's name: the branch's own where that is plain, else its readable part and a digest. A plain one never ends
    /// as those with a digest do. Capitals are not plain: some file systems don't tell them from small letters.
    pub fn folder(&self) -> String {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let begins = self.0.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if begins && self.0.len() <= MAX_FOLDER && self.0.chars().all(is_plain) && !ends_in_digest(&self.0) {
            return self.0.clone();
        }
        let lower = self.0.chars().map(|c| c.to_ascii_lowercase());
        let mapped: String = lower.map(|c| if is_plain(c) { c } else { '-' }).take(READABLE).collect();
        let readable = mapped.trim_matches(['.', '-', '_']);
        let digest = Sha256::digest(self.0.as_bytes());
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}-{}", if readable.is_empty() { "branch" } else { readable }, &digits[..DIGITS])
    }

    /// The name of the agent that works on it, where none is given.
    pub fn agent(&self) -> Option<Name> {
        Name::from_folder(&self.0)
    }
}

impl std::fmt::Display for Branch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for Branch {
    type Error = InvalidBranch;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Branch> for String {
    fn from(branch: Branch) -> Self {
        branch.0
    }
}

fn ends_in_digest(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(_, end)| {
        end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    })
}

fn flaw(text: &str) -> Option<&'static str> {
    let forbidden = |c: char| c == ' ' || "~^:?*[\\".contains(c);
    match text {
        "" => return Some("it is empty"),
        "@" | "HEAD" => return Some("git has another meaning for it"),
        _ if text.starts_with('-') => return Some("it begins with a dash"),
        _ if text.len() > MAX_BRANCH => return Some("it is too long"),
        _ if text.contains(forbidden) => return Some("it holds a space or one of ~ ^ : ? * [ \\"),
        // What steers a terminal is no part of a name that is shown in every list.
        _ if escape(text) != text => return Some("it holds a control or formatting character"),
        _ if text.contains("..") || text.contains("@{") => return Some("it holds .. or @{"),
        _ if text.ends_with('.') => return Some("it ends with a dot"),
        _ => {}
    }
    text.split('/').find_map(|part| match part {
        "" => Some("it begins or ends with / or holds //"),
        _ if part.starts_with('.') => Some("a part of it begins with a dot"),
        _ if part.ends_with(".lock") => Some("a part of it ends with .lock"),
        _ if part.len() > MAX_PART => Some("a part of it is too long"),
        _ => None,
    })
}

/// A branch, and where it begins if it is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The branch.
    pub branch: Branch,
    /// What git takes for a commit: a branch, a tag, `HEAD~2`.
    pub base: Option<String>,
}

/// Reads `BRANCH[:BASE]`. No branch's name holds a colon.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse(text: &str) -> Result<Wanted, String> {
    let (branch, base) = match text.split_once(':') {
        Some((branch, base)) => (branch, Some(base)),
        None => (text, None),
    };
    let branch = Branch::new(branch).map_err(|error| error.to_string())?;
    let is_good = |base: &str| {
        !base.is_empty()
            && !base.starts_with('-')
            && base.len() <= MAX_BRANCH
            && escape(base) == base
            && !base.contains([':', ' '])
    };
    match base {
        Some(base) if !is_good(base) => {
            Err(format!("\"{}\" is no branch, tag or commit to begin from", escape(base)))
        }
        base => Ok(Wanted { branch, base: base.map(str::to_owned) }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;

    const GOOD: [&str; 15] = [
        "feature-x",
        "feature/x",
        "feature-x-0123456789ab",
        "Feature-x",
        "a",
        "a.b",
        "größe",
        "日本",
        "x@y",
        "a-b/c",
        "a/b-c",
        "_",
        "$(x)",
        "a;b",
        "refs/heads/x",
    ];
    const BAD: [&str; 23] = [
        "", "-x", "--detach", "..", "a..b", "a b", "a\tb", "a\nb", "/a", "a/", "a//b", ".a", "a/.b",
        "a.lock", "a.lock/b", "a.", "HEAD", "a@{1}", "a~1", "a^", "a?b*[", "a\\b", "a\u{7f}",
    ];

    #[test]
    fn a_branch_s_name_is_what_git_takes_for_one() {
        let git = |name: &str| {
            let words = ["check-ref-format", "--branch", name];
            Command::new("git").args(words).output().unwrap().status.success()
        };
        for name in GOOD.iter() {
            assert!(Branch::new(name).is_ok() && git(name), "{name}");
        }
        for name in BAD {
            assert!(Branch::new(name).is_err() && !git(name), "{name:?}");
        }
        // What git takes, and a person would not see.
        for name in ["@", "a\u{202e}b", "a\u{200b}", &"a/".repeat(300), &"a".repeat(220)] {
            assert!(Branch::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_branch_has_a_folder_of_its_own_which_is_one_name() {
        let mut folders = BTreeSet::new();
        let names = GOOD.iter();
        for name in names.copied().chain(["feature-X", "feature_x", "größE", "a_b/c", "a--b-c"]) {
            let folder = Branch::new(name).unwrap().folder();
            assert!(!folder.starts_with(['.', '-']) && folder.len() <= 60, "{folder}");
            assert!(
                folder.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
            );
            assert!(folders.insert(folder.clone()), "{name} shares {folder}");
            // Nor may another branch be called as the folder is.
            let twin = Branch::new(&folder).unwrap().folder();
            assert!(folder == name || twin != folder, "{name}: {folder}");
        }
        assert_eq!(Branch::new("feature-x").unwrap().folder(), "feature-x");
        assert!(Branch::new("feature/x").unwrap().folder().starts_with("feature-x-"));
    }

    #[test]
    fn the_base_follows_the_first_colon() {
        let read = |text: &str| parse(text).map(|wanted| (wanted.branch.to_string(), wanted.base));
        assert_eq!(read("x"), Ok(("x".into(), None)));
        assert_eq!(read("x:main"), Ok(("x".into(), Some("main".into()))));
        assert_eq!(read("x/y:origin/main~2"), Ok(("x/y".into(), Some("origin/main~2".into()))));
        for text in ["", ":", ":main", "x:", "x:-f", "x:--all", "x:a:b", "x:a b", "x:a\u{1b}[2J", "-x:main"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(!parse("a\u{1b}[2J").unwrap_err().contains('\u{1b}'));
    }

    #[test]
    fn the_agent_is_called_as_the_branch_is() {
        for (branch, agent) in [("feature/X", Some("feature-x")), ("a", Some("a")), ("日本", None)] {
            assert_eq!(Branch::new(branch).unwrap().agent().as_ref().map(Name::as_str), agent);
        }
    }
}
