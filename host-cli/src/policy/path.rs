//! Paths of requests: how a rule names them, and the readings that servers may give one. A request is let through only
//! where every reading is. Pure.

use std::fmt;

use clawker_protocol::paths::{self, decode};
pub use clawker_protocol::paths::{MAX_READINGS, readings};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{Action, pattern};
use crate::config::RawPathRule;

/// The longest path of a rule.
const MAX_RULE: usize = 1_024;
/// The most rules for paths of one destination.
pub const MAX_RULES: usize = 200;

/// Why a path rule can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not a path.
    #[error("path \"{}\": {why}", .text.escape_debug())]
    Path {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// The action.
    #[error("action \"{}\": use allow or deny", .0.escape_debug())]
    Action(String),
    /// A method.
    #[error("method \"{}\": write it like GET or POST", .0.escape_debug())]
    Method(String),
    /// Too many.
    #[error("A destination takes {MAX_RULES} path rules at most; use a pattern (~...) for many alike")]
    TooMany,
}

/// Which paths.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Pattern {
    /// This path and all below it; with a slash at its end only what is below.
    Prefix(String),
    /// The whole path matches: as it is written, and (for a deny) in any letter case.
    Regex(Box<[Regex; 2]>, String),
}

impl Pattern {
    /// Reads `/prefix` or `~pattern`.
    ///
    /// # Errors
    /// [`PathError::Path`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let wrong = |why: String| PathError::Path { text: text.to_owned(), why };
        let no = |why: &str| Err(wrong(why.to_owned()));
        if text.len() > MAX_RULE {
            return no("longer than 1024 characters");
        }
        if text.chars().any(char::is_control) {
            return no("it holds a control character");
        }
        if let Some(pattern) = text.strip_prefix('~') {
            let pattern = pattern.trim_start();
            let [plain, any_case] = [false, true].map(|any_case| pattern::compile(pattern, any_case));
            let (plain, any_case) = (plain.map_err(wrong)?, any_case.map_err(wrong)?);
            return Ok(Self::Regex(Box::new([plain, any_case]), pattern.to_owned()));
        }
        if !text.starts_with('/') {
            return no("it starts with / (or with ~ for a pattern)");
        }
        if text.contains(['?', '#']) {
            return no("the query is no part of a path; leave it out");
        }
        // Also in an escape: the rule is kept as it is shown, decoded, and must read the same again.
        if decode(text).is_some_and(|decoded| decoded.contains('*')) {
            return no("it is a prefix as it is; use ~ for a pattern");
        }
        match readings(text).as_deref() {
            Some([one]) if decode(text).as_ref() == Some(one) => Ok(Self::Prefix(one.clone())),
            _ => no("it can be read in more than one way; write it plainly"),
        }
    }

    /// How much of a path it names: `None` when not at all. A pattern names all of it. A deny ignores letter case, and
    /// with a slash at its end also names the path without it.
    fn length(&self, path: &str, action: Action) -> Option<usize> {
        match self {
            Self::Prefix(prefix) => paths::named_length(path, prefix, action == Action::Deny),
            Self::Regex(compiled, _) => {
                let [plain, any_case] = &**compiled;
                let regex = if action == Action::Deny { any_case } else { plain };
                regex.is_match(path).then(|| path.trim_end_matches('/').len())
            }
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => f.write_str(prefix),
            Self::Regex(_, source) => write!(f, "~{source}"),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

impl TryFrom<String> for Pattern {
    type Error = PathError;
    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

/// A rule for paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathRule {
    /// Which paths.
    pub path: Pattern,
    /// For these methods only; for all when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What it does.
    pub action: Action,
}

impl PathRule {
    fn parse(raw: &RawPathRule) -> Result<Self, PathError> {
        let action = action(raw.action.as_deref(), Action::Allow)?;
        let mut methods = Vec::new();
        for method in &raw.methods {
            let plain = !method.is_empty()
                && method.len() <= 32
                && method.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-' || byte == b'_');
            if !plain {
                return Err(PathError::Method(method.clone()));
            }
            methods.push(method.to_ascii_uppercase());
        }
        methods.sort();
        methods.dedup();
        Ok(Self { path: Pattern::parse(&raw.path)?, methods, action })
    }

    /// A deny reads a method in any letter case: some servers do.
    fn has_method(&self, method: &str) -> bool {
        let same = |own: &String| match self.action {
            Action::Allow => own == method,
            Action::Deny => own.eq_ignore_ascii_case(method),
        };
        self.methods.is_empty() || self.methods.iter().any(same)
    }
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.as_str(), self.path)?;
        if self.methods.is_empty() { Ok(()) } else { write!(f, " ({})", self.methods.join(", ")) }
    }
}

/// `allow`, `deny` or what stands for neither.
fn action(text: Option<&str>, otherwise: Action) -> Result<Action, PathError> {
    match text {
        None => Ok(otherwise),
        Some("allow") => Ok(Action::Allow),
        Some("deny") => Ok(Action::Deny),
        Some(other) => Err(PathError::Action(other.to_owned())),
    }
}

/// What holds for the paths of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// Rules, in the order in which they are tried: the first that names a path decides.
    pub rules: Vec<PathRule>,
    /// What holds for the rest.
    pub default: Action,
}

/// What is said of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathVerdict<'a> {
    /// A rule decides.
    By(&'a PathRule),
    /// None names it.
    Default(Action),
    /// Servers may read it in ways of which one can't be judged.
    Unreadable,
}

impl PathVerdict<'_> {
    /// What comes of it.
    pub fn action(self) -> Action {
        match self {
            Self::By(rule) => rule.action,
            Self::Default(action) => action,
            Self::Unreadable => Action::Deny,
        }
    }
}

impl Paths {
    /// Reads what was written; `None` where nothing was.
    ///
    /// # Errors
    /// [`PathError`].
    pub fn parse(rules: Option<&[RawPathRule]>, default: Option<&str>) -> Result<Option<Self>, PathError> {
        if rules.is_none() && default.is_none() {
            return Ok(None);
        }
        let rules = rules.unwrap_or_default().iter().map(PathRule::parse).collect::<Result<Vec<_>, _>>()?;
        let mut paths = Self { rules, default: action(default, Action::Deny)? };
        if paths.rules.len() > MAX_RULES {
            return Err(PathError::TooMany);
        }
        paths.order();
        Ok(Some(paths))
    }

    /// Brings the rules into the order in which they are tried and drops what is there twice.
    fn order(&mut self) {
        self.rules.sort_by_cached_key(|rule| (rule.rank(), rule.to_string()));
        self.rules.dedup();
    }

    /// Two rules about one destination at once: what either allows is allowed, unless one denies the path itself.
    pub fn merge(&mut self, other: &Self) {
        self.rules.extend(other.rules.iter().cloned());
        if other.default == Action::Allow {
            self.default = Action::Allow;
        }
        self.order();
    }

    /// Whether it says anything but "every path".
    pub fn narrows(&self) -> bool {
        self.default == Action::Deny || self.rules.iter().any(|rule| rule.action == Action::Deny)
    }

    /// What is said of a request. The longest named part wins (a pattern names the whole path), deny among equals; every
    /// reading of the path must be allowed.
    pub fn decide(&self, method: &str, path: &str) -> PathVerdict<'_> {
        let Some(readings) = readings(path) else { return PathVerdict::Unreadable };
        let mut verdict = PathVerdict::Default(self.default);
        for reading in &readings {
            verdict = self.decide_reading(method, reading);
            if verdict.action() == Action::Deny {
                break;
            }
        }
        verdict
    }

    fn decide_reading(&self, method: &str, path: &str) -> PathVerdict<'_> {
        let named = self.rules.iter().filter(|rule| rule.has_method(method)).filter_map(|rule| {
            Some((rule.path.length(path, rule.action)?, rule.action == Action::Deny, rule))
        });
        let best = named.max_by_key(|(length, deny, _)| (*length, *deny));
        best.map_or(PathVerdict::Default(self.default), |(_, _, rule)| PathVerdict::By(rule))
    }
}

impl PathRule {
    /// Patterns first, then longer prefixes before shorter ones; deny before allow.
    fn rank(&self) -> (bool, std::cmp::Reverse<usize>, bool) {
        let allows = self.action == Action::Allow;
        match &self.path {
            Pattern::Regex(..) => (false, std::cmp::Reverse(0), allows),
            Pattern::Prefix(prefix) => (true, std::cmp::Reverse(prefix.trim_end_matches('/').len()), allows),
        }
    }
}

#[cfg(test)]
mod tests;
