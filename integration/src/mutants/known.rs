//! The list of faults and what finds each, `integration/mutants.tsv`: the fault's name, what finds it or `-`, and for
//! `-` the reason why nothing can.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::{Mutant, Said};
use crate::rig::workspace;

/// What is known of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// These find it: attacks and needs, with commas.
    By(String),
    /// With it no container starts.
    NoTwin,
    /// Nothing can, for this reason.
    Reason(String),
}

impl Known {
    /// The attacks that find it; a need is tried in any run.
    pub fn attacks(&self) -> Vec<&str> {
        match self {
            Self::By(names) => names.split(',').filter(|name| !name.starts_with("need-")).collect(),
            Self::NoTwin | Self::Reason(_) => Vec::new(),
        }
    }
}

/// The list.
pub type List = BTreeMap<String, Known>;

fn file() -> PathBuf {
    workspace().join("integration/mutants.tsv")
}

/// Reads it.
///
/// # Errors
/// When there is none, or a line is none of it.
pub fn read() -> io::Result<List> {
    let text = std::fs::read_to_string(file())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| parse(line).ok_or_else(|| io::Error::other(format!("Not a fault: {line}")))).collect()
}

fn parse(line: &str) -> Option<(String, Known)> {
    let mut parts = line.split('\t');
    let (id, by, reason) = (parts.next()?, parts.next()?, parts.next());
    let known = match (by, reason) {
        ("-", Some(reason)) => Known::Reason(reason.to_owned()),
        ("-", None) => return None,
        ("no-twin", _) => Known::NoTwin,
        (by, _) => Known::By(by.to_owned()),
    };
    Some((id.to_owned(), known))
}

/// Writes what was found, with the reasons that were there.
///
/// # Errors
/// The file's.
pub fn write(found: &[(Mutant, Said)], before: &List) -> io::Result<()> {
    let mut list = before.clone();
    for (mutant, said) in found {
        let known = match (said, before.get(&mutant.id)) {
            (Said::Held, Some(Known::Reason(reason))) => Known::Reason(reason.clone()),
            (Said::Held, _) => Known::Reason("no reason is known".to_owned()),
            (Said::Found(by), _) => Known::By(by.iter().take(MOST).cloned().collect::<Vec<_>>().join(",")),
            (Said::NoTwin(_), _) => Known::NoTwin,
        };
        list.insert(mutant.id.clone(), known);
    }
    let mut text = String::from("# fault\tfound by\treason why nothing finds it\n");
    for (id, known) in &list {
        let _ = match known {
            Known::By(by) => writeln!(text, "{id}\t{by}"),
            Known::NoTwin => writeln!(text, "{id}\tno-twin"),
            Known::Reason(reason) => writeln!(text, "{id}\t-\t{reason}"),
        };
    }
    std::fs::write(file(), text)
}

/// As many attacks as are kept of a fault.
const MOST: usize = 4;
