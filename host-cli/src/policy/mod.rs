//! What an agent may reach, as one value: the built-in floor, the user's, the project's and the agent's rules, and the
//! question what they say of a request. Knows nothing of Envoy, CoreDNS or netlink.

mod decision;
mod direct;
mod dst;
mod floor;
mod grants;
mod path;
mod pattern;
mod rule;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

pub use decision::Decision;
pub use direct::{direct, is_reserved};
pub use dst::{Dst, DstError};
pub use floor::{Telemetry, rules as built_in};
pub use path::{MAX_READINGS, MAX_RULES, PathError, PathRule, PathVerdict, Paths, Pattern, readings};
pub use rule::{Action, Layer, MAX_RANGE, Proto, Rule, RuleError};

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
    /// What holds for a destination's text, by protocol and port; of the rules without an end.
    deciding: BTreeMap<(Proto, u16), HashMap<String, Decision>>,
}

/// What an agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// A name or an address.
    pub host: &'a str,
    /// How.
    pub proto: Proto,
    /// At which port.
    pub port: u16,
    /// Method and path, where they are known.
    pub http: Option<(&'a str, &'a str)>,
}

/// What the policy says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The rule for the destination decides.
    Dst(&'a Rule),
    /// The rule lets the destination through; what holds for the path decides.
    Path(&'a Rule, PathVerdict<'a>),
    /// No rule names the destination.
    Unlisted,
    /// No rule could.
    Never,
}

impl Verdict<'_> {
    /// What comes of it.
    pub fn action(&self) -> Action {
        match self {
            Self::Dst(rule) => rule.action,
            Self::Path(_, verdict) => verdict.action(),
            Self::Unlisted | Self::Never => Action::Deny,
        }
    }
}

impl Policy {
    /// The floor and these rules, in any order. Of two alike in different layers both stay: deny wins.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, PolicyError> {
        let rules = floor::rules().chain(rules);
        let mut keyed: Vec<(Layer, String, Rule)> =
            rules.map(|rule| (rule.layer, rule.key(), rule)).collect();
        // Stable: of two alike the one that came first stays first.
        keyed.sort_by(|(a, one, _), (b, other, _)| (a, one).cmp(&(b, other)));
        // Files are joined, so that only what one of them says twice is a mistake.
        let mut seen = HashMap::new();
        for (layer, key, rule) in &keyed {
            if let Some(first) = seen.insert((layer, key, file(&rule.place)), rule) {
                let (first, second) = (first.place.clone(), rule.place.clone());
                return Err(PolicyError::Twice { first, second, key: key.clone() });
            }
        }
        let all: Vec<Rule> = keyed.into_iter().map(|(_, _, rule)| rule).collect();
        let policy = Self { deciding: deciding(&all), rules: all };
        policy.refuse_clashes()?;
        Ok(policy)
    }

    /// A name's port leads to one listener, so that two protocols can't share it.
    fn refuse_clashes(&self) -> Result<(), PolicyError> {
        let mut seen: HashMap<(&str, u16), (Proto, usize)> = HashMap::new();
        for ((proto, port), table) in &self.deciding {
            for (dst, decision) in table {
                let rule = self.rules.get(decision.rule);
                if rule.is_some_and(is_final) {
                    continue;
                }
                let (other, at) = *seen.entry((dst, *port)).or_insert((*proto, decision.rule));
                if other != *proto {
                    let text = |at: usize| self.rules.get(at).map(ToString::to_string).unwrap_or_default();
                    return Err(PolicyError::Clash { first: text(at), second: text(decision.rule) });
                }
            }
        }
        Ok(())
    }

    /// All rules, by layer.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule that a decision names.
    pub fn rule_of(&self, decision: &Decision) -> Option<&Rule> {
        self.rules.get(decision.rule)
    }

    /// What the policy says of a request.
    ///
    /// The most specific destination wins (an exact name over a wildcard, a longer wildcard or prefix over a shorter);
    /// among equals deny wins, in whichever layer it stands. A user's denies are final.
    pub fn judge(&self, request: &Request<'_>) -> Verdict<'_> {
        if let Ok(address) = request.host.parse::<IpAddr>() {
            return self.judge_address(address, request.port);
        }
        let dst = Dst::Name(request.host.to_ascii_lowercase());
        if let Some(rule) = self.granted(&dst, request.proto, request.port) {
            return Verdict::Dst(rule);
        }
        let decision = self.decide(request.host, request.proto, request.port);
        let Some((decision, rule)) = decision.and_then(|one| Some((one, self.rules.get(one.rule)?))) else {
            return Verdict::Unlisted;
        };
        match (&decision.paths, request.http) {
            (Some(paths), Some((method, path))) if decision.action == Action::Allow => {
                Verdict::Path(rule, paths.decide(method, path))
            }
            _ => Verdict::Dst(rule),
        }
    }

    fn judge_address(&self, address: IpAddr, port: u16) -> Verdict<'_> {
        if is_reserved(address) {
            return Verdict::Never;
        }
        let covering = self.rules.iter().filter_map(|rule| match rule.dst {
            Dst::Net(net) if net.contains(&address) && (rule.everywhere || rule.ports.contains(port)) => {
                Some((is_final(rule), net.prefix_len(), rule.action == Action::Deny, rule))
            }
            _ => None,
        });
        let closest = covering.max_by_key(|(is_final, length, deny, _)| (*is_final, *length, *deny));
        closest.map_or(Verdict::Unlisted, |(_, _, _, rule)| Verdict::Dst(rule))
    }

    /// What holds for a name, and `None` where no rule names it.
    pub fn decide(&self, name: &str, proto: Proto, port: u16) -> Option<&Decision> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let table = self.deciding.get(&(proto, port))?;
        table.get(&name).or_else(|| covering(&name).find_map(|wildcard| table.get(&wildcard)))
    }

    /// Likewise for a destination: for an exact name, or for the names below a wildcard that nothing else names.
    pub fn decide_dst(&self, dst: &Dst, proto: Proto, port: u16) -> Option<&Decision> {
        match dst {
            Dst::Name(name) => self.decide(name, proto, port),
            // No rule's name holds an asterisk.
            Dst::Below(name) => self.decide(&format!("*.{name}"), proto, port),
            Dst::Net(_) => None,
        }
    }

    /// The names and wildcards with rules of this protocol and port, each with what holds for it.
    pub fn names(&self, proto: Proto, port: u16) -> BTreeMap<&str, &Decision> {
        let table = self.deciding.get(&(proto, port));
        table.into_iter().flatten().map(|(dst, decision)| (dst.as_str(), decision)).collect()
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

/// The file of a place, `file:line`; of another place nothing, so that all those count as one.
fn file(place: &str) -> &str {
    let split = place.rsplit_once(':').filter(|(_, line)| line.parse::<u64>().is_ok());
    split.map_or("", |(file, _)| file)
}

/// Whether no other rule opens what this one closes.
fn is_final(rule: &Rule) -> bool {
    rule.layer == Layer::User && rule.action == Action::Deny
}

fn deciding(rules: &[Rule]) -> BTreeMap<(Proto, u16), HashMap<String, Decision>> {
    let mut deciding: BTreeMap<(Proto, u16), HashMap<String, Decision>> = BTreeMap::new();
    let lasting = |rule: &Rule| rule.dst.is_name() && rule.expires.is_none();
    let named = || rules.iter().enumerate().filter(|(_, rule)| lasting(rule));
    for (at, rule) in named().filter(|(_, rule)| !is_final(rule)) {
        for port in rule.each_port() {
            let table = deciding.entry((rule.proto, port)).or_default();
            match table.entry(rule.dst.to_string()) {
                Entry::Occupied(mut there) => there.get_mut().join(at, rule),
                Entry::Vacant(place) => drop(place.insert(Decision::of(at, rule))),
            }
        }
    }
    for (at, rule) in named().filter(|(_, rule)| is_final(rule)) {
        for ((proto, port), table) in &mut deciding {
            if rule.everywhere || (rule.proto == *proto && rule.ports.contains(*port)) {
                table
                    .iter_mut()
                    .filter(|(dst, _)| rule.dst.covers(dst))
                    .for_each(|(_, one)| one.close(at, rule));
                table.entry(rule.dst.to_string()).or_insert_with(|| Decision::of(at, rule));
            }
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
mod properties;
#[cfg(test)]
mod tests;
