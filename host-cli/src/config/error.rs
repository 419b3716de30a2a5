//! What is wrong with a configuration file: file, line, column, key, and what to write instead.

use std::io;
use std::path::{Path, PathBuf};

use clawker_protocol::names::InvalidName;

/// Keys that people try and that are none here, each with what to write instead: named, and never ignored.
const NEVER: [(&str, &str); 3] = [
    ("for", "a timed rule is made by a command: clawker firewall add HOST --for 10m"),
    ("methods", "methods stand in path_rules, beside their path"),
    ("insecure_skip_tls_verify", "certificates are always verified; security.extra_ca adds a root"),
];

/// Why a configuration is not used. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("Can't read {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text is not what it must be.
    #[error("{path}:{line}:{column}: {message}", path = .path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// What.
        message: String,
    },
    /// The project's name is none.
    #[error("{path}: project: {source}", path = .path.display())]
    Project {
        /// Which file.
        path: PathBuf,
        /// What.
        source: InvalidName,
    },
    /// The folder's name can't be a project's.
    #[error("{path} can't be a project's name; write one into {file}: project: my-project", path = .0.display(), file = super::FILE)]
    Unnamed(PathBuf),
}

impl ConfigError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(super) fn project(path: Option<&Path>, source: InvalidName) -> Self {
        Self::Project { path: path.unwrap_or(Path::new(super::FILE)).to_owned(), source }
    }

    pub(super) fn form(path: &Path, error: &serde_saphyr::Error) -> Self {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let text = error.without_snippet().to_string();
        let place = format!(" at line {line}, column {column}");
        let message = explain(text.trim_end_matches(&place));
        Self::Form { path: path.to_owned(), line, column, message }
    }

    /// A value that parsed and still can't be meant.
    pub fn at(path: &Path, line: u64, column: u64, message: impl Into<String>) -> Self {
        Self::Form { path: path.to_owned(), line, column, message: message.into() }
    }
}

/// The parser's sentences that speak of its own insides, and what a user has to write.
const PLAINER: [(&str, &str); 6] = [
    ("expected sequence start", "a list is expected here, like [a, b]"),
    ("expected string scalar", "a text is expected here; quote it"),
    ("expected mapping start", "keys with values are expected here, like key: value"),
    ("multiple YAML documents", "one YAML document only; remove what follows"),
    ("invalid IPv4 address syntax", "an IPv4 address is expected here"),
    ("recursion limit exceeded", "nested too deeply"),
];

fn plain(message: &str) -> String {
    if let Some((_, plain)) = PLAINER.iter().find(|(parser, _)| message.starts_with(parser)) {
        return (*plain).to_owned();
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        return format!("the key {key} is missing");
    }
    first_line(message.split(", set DuplicateKeyPolicy").next().unwrap_or(message))
}

/// Says of an unknown key what was probably meant.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return plain(message) };
    let Some((key, rest)) = rest.split_once('`') else { return first_line(message) };
    if let Some((_, why)) = NEVER.iter().find(|(never, _)| *never == key) {
        return format!("{key}: {why}");
    }
    let expected = rest.rsplit_once("expected ").map_or("", |(_, list)| list);
    let names: Vec<&str> = expected
        .trim_start_matches("one of ")
        .split(", ")
        .map(|name| name.trim_matches('`'))
        .filter(|name| !name.is_empty())
        .collect();
    match names.iter().min_by_key(|name| distance(key, name)) {
        Some(nearest) if distance(key, nearest) <= 3 => format!("unknown key {key}: did you mean {nearest}?"),
        _ => format!("unknown key {key}: the keys here are {}", names.join(", ")),
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let replace = get(&row, j) + usize::from(left != *right);
            next.push(replace.min(get(&row, j + 1) + 1).min(get(&next, j) + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
