//! What a listener does with a name that it was asked for, and how that name is dialled.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::alloc::{Alloc, AllocError};
use crate::policy::{Action, Decision, Paths};

/// What a listener does with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// Whether it lets it through.
    pub action: Action,
    /// TLS is opened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inspect: bool,
    /// What holds for which paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Paths>,
    /// How it is dialled.
    #[serde(default, skip_serializing_if = "Dial::is_plain")]
    pub dial: Dial,
}

/// How a name is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dial {
    /// Private space that it may resolve to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<Private>,
    /// This name is resolved, whichever was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Private space that connections of a kind may go to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The type of service that they carry.
    pub tos: u8,
    /// Where to.
    pub nets: Vec<IpNet>,
}

impl Dial {
    /// By the name itself, to public addresses.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Door {
    /// What a decision comes to; `below` is the wildcard's name that it is about.
    pub(super) fn of(
        decision: &Decision,
        below: Option<&str>,
        alloc: &mut Alloc,
    ) -> Result<Self, AllocError> {
        if decision.action == Action::Deny {
            return Ok(Self { action: Action::Deny, inspect: false, paths: None, dial: Dial::default() });
        }
        let name = below.filter(|_| decision.apex).map(str::to_owned);
        Ok(Self {
            action: decision.action,
            inspect: decision.inspect,
            paths: decision.paths.clone(),
            dial: Dial { private: private(&decision.private, alloc)?, name },
        })
    }
}

/// The space of a rule; `None` where it has none.
pub(super) fn private(nets: &[IpNet], alloc: &mut Alloc) -> Result<Option<Private>, AllocError> {
    if nets.is_empty() {
        return Ok(None);
    }
    Ok(Some(Private { tos: alloc.private(nets)?, nets: nets.to_vec() }))
}
