//! What the rules for one destination at one protocol and port come to together. Pure.

use ipnet::IpNet;

use super::path::Paths;
use super::rule::{Action, Rule};

/// What holds for a destination at a protocol's port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be reached at all.
    pub action: Action,
    /// The rule that decides: its place among the policy's.
    pub rule: usize,
    /// What holds for which paths; `None` when every path may be asked for.
    pub paths: Option<Paths>,
    /// TLS is opened.
    pub inspect: bool,
    /// Private space that the name may resolve to.
    pub private: Vec<IpNet>,
    /// A wildcard's own name is dialled.
    pub apex: bool,
}

impl Decision {
    /// A rule alone.
    pub fn of(at: usize, rule: &Rule) -> Self {
        Self {
            action: rule.action,
            rule: at,
            paths: rule.paths.clone(),
            inspect: rule.looks_into(),
            private: rule.private.clone(),
            apex: rule.apex,
        }
    }

    /// Takes another rule about the same in: a deny decides; of two that allow, what either opens is open and what one
    /// of them denies of it stays denied.
    pub fn join(&mut self, at: usize, rule: &Rule) {
        if self.action == Action::Deny {
            return;
        }
        if rule.action == Action::Deny {
            *self = Self::of(at, rule);
            return;
        }
        self.paths = match (self.paths.take(), &rule.paths) {
            (None, None) => None,
            (mine, theirs) => {
                let all = Paths { rules: Vec::new(), default: Action::Allow };
                let mut paths = mine.unwrap_or_else(|| all.clone());
                paths.merge(theirs.as_ref().unwrap_or(&all));
                paths.narrows().then_some(paths)
            }
        };
        self.inspect = self.paths.is_some() || self.inspect || rule.inspect;
        self.private.extend(&rule.private);
        self.private.sort();
        self.private.dedup();
        self.apex |= rule.apex;
    }

    /// Denied by a rule, whatever else says.
    pub fn close(&mut self, at: usize, rule: &Rule) {
        *self = Self::of(at, rule);
    }
}
