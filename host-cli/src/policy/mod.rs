//! What an agent may reach, as one value: the built-in floor, the project's rules and the agent's, and the question
//! what they say of a request. Knows nothing of Envoy, CoreDNS or netlink.

mod direct;
mod dst;
mod rule;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use direct::direct;
pub use direct::is_reserved;
pub use dst::{Dst, DstError};
pub use rule::{Action, Layer, Proto, Rule, RuleError};

/// Names that Claude Code itself needs: its API, its login. Nothing else is ever built in.
const FLOOR: [&str; 4] =
    ["api.anthropic.com", "platform.claude.com", "claude.com", "mcp-proxy.anthropic.com"];

/// Why rules can't hold together.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Two of one layer about the same thing.
    #[error("{second}: {key} is listed at {first} already; remove one of the two")]
    Twice {
        /// Where it stands first.
        first: String,
        /// Where again.
        second: String,
        /// What.
        key: String,
    },
    /// Two protocols at one port of one name.
    #[error("\"{first}\" and \"{second}\" name the same port in two protocols; remove one of them")]
    Clash {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
}

/// The rules that hold for an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    /// The rule that decides for a destination's text, by protocol and port.
    deciding: BTreeMap<(Proto, u16), HashMap<String, usize>>,
}

impl Policy {
    /// The floor and these rules, in any order. Of two alike in different layers both stay: deny wins.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, PolicyError> {
        let mut all: Vec<Rule> = FLOOR.iter().filter_map(|name| Rule::floor(name)).collect();
        let mut seen: BTreeMap<(Layer, String), String> = BTreeMap::new();
        for rule in rules {
            let key = rule.key();
            if let Some(first) = seen.insert((rule.layer, key.clone()), rule.place.clone()) {
                return Err(PolicyError::Twice { first, second: rule.place, key });
            }
            all.push(rule);
        }
        all.sort_by_cached_key(|rule| (rule.layer, rule.key()));
        let policy = Self { deciding: deciding(&all), rules: all };
        policy.refuse_clashes()?;
        Ok(policy)
    }

    /// A name's port leads to one listener, so that two protocols can't share it.
    fn refuse_clashes(&self) -> Result<(), PolicyError> {
        let mut seen: HashMap<(String, u16), &Rule> = HashMap::new();
        for rule in self.rules.iter().filter(|rule| rule.dst.is_name()) {
            let other = seen.entry((rule.dst.to_string(), rule.ports.first())).or_insert(rule);
            if other.proto != rule.proto {
                return Err(PolicyError::Clash { first: other.to_string(), second: rule.to_string() });
            }
        }
        Ok(())
    }

    /// All rules, by layer.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the policy says of a name: the rule that decides, and `None` where no rule names it.
    ///
    /// The most specific destination wins (an exact name over a wildcard, a longer wildcard over a shorter); among
    /// equals deny wins, in whichever layer it stands.
    pub fn decide(&self, name: &str, proto: Proto, port: u16) -> Option<&Rule> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let table = self.deciding.get(&(proto, port))?;
        let at = table.get(&name).or_else(|| covering(&name).find_map(|wildcard| table.get(&wildcard)))?;
        self.rules.get(*at)
    }

    /// Likewise of a destination: of an exact name, or of the names below a wildcard that nothing else names.
    pub fn decide_dst(&self, dst: &Dst, proto: Proto, port: u16) -> Option<&Rule> {
        match dst {
            Dst::Name(name) => self.decide(name, proto, port),
            // No rule's name holds an asterisk.
            Dst::Below(name) => self.decide(&format!("*.{name}"), proto, port),
            Dst::Net(_) => None,
        }
    }

    /// The names and wildcards with rules of this protocol and port, each with the action that holds for it.
    pub fn names(&self, proto: Proto, port: u16) -> BTreeMap<&Dst, Action> {
        let rules = self.deciding.get(&(proto, port)).into_iter().flat_map(HashMap::values);
        rules.filter_map(|at| self.rules.get(*at)).map(|rule| (&rule.dst, rule.action)).collect()
    }

    /// The protocols and ports at which there are rules for names.
    pub fn doors(&self) -> impl Iterator<Item = (Proto, u16)> {
        self.deciding.keys().copied()
    }

    /// Every name and wildcard that a rule is about.
    pub fn dsts(&self) -> BTreeSet<&Dst> {
        self.rules.iter().map(|rule| &rule.dst).filter(|dst| dst.is_name()).collect()
    }
}

fn deciding(rules: &[Rule]) -> BTreeMap<(Proto, u16), HashMap<String, usize>> {
    let mut deciding: BTreeMap<(Proto, u16), HashMap<String, usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.dst.is_name()) {
        let table = deciding.entry((rule.proto, rule.ports.first())).or_default();
        let first = table.entry(rule.dst.to_string()).or_insert(at);
        if rule.action == Action::Deny {
            *first = at;
        }
    }
    deciding
}

/// The wildcards that cover a name, closest first: `.a.b`, `.b` for `a.b`.
pub fn covering(name: &str) -> impl Iterator<Item = String> {
    let starts = std::iter::once(0).chain(name.match_indices('.').map(|(at, _)| at + 1));
    starts.filter_map(|at| name.get(at..)).map(|rest| format!(".{rest}"))
}

#[cfg(test)]
mod tests;
