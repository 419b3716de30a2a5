//! The doctor's checks: each looks at one thing and says whether it is well, and if not, which command mends
//! it. Looks only; what `--fix` mends, the command does.

pub mod certs;
pub mod docker;
pub mod host;
pub mod kernel;
pub mod leftovers;
pub mod version;

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Well.
    Ok,
    /// Works, with less than all.
    Warn,
    /// Does not work.
    Fail,
}

impl Verdict {
    /// The word shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// The command, or the step, that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    /// It is well.
    pub fn ok(name: &'static str, seen: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, seen: seen.into(), mend: None }
    }

    /// It works, with less than all.
    pub fn warn(name: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, seen: seen.into(), mend: Some(mend.into()) }
    }

    /// It does not work.
    pub fn fail(name: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, seen: seen.into(), mend: Some(mend.into()) }
    }
}
