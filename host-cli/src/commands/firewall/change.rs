//! What the rules of commands come to when one is added or taken back. Pure: the stored list and the wish in, the new
//! list out.

use clawker_protocol::names::Name;

use crate::config::{RawPathRule, RawRule};
use crate::policy::{Action, Layer, Rule, RuleError};
use crate::project::CliRule;

/// Why a change makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// It is no rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// It is there.
    #[error("\"{0}\" is there already; see clawker firewall list")]
    There(String),
    /// It is not.
    #[error("\"{0}\" has no rule for {1} from clawker firewall add; see clawker firewall list")]
    NoPath(String, String),
    /// All of it is allowed or denied.
    #[error("\"{0}\" is about every path already; take it back first: clawker firewall remove {1}")]
    Whole(String, String),
}

/// Adds a rule. One with paths joins what a command said of the same destination before.
///
/// # Errors
/// [`ChangeError`].
pub fn add(rules: &[CliRule], rule: &RawRule, agent: Option<&Name>) -> Result<Vec<CliRule>, ChangeError> {
    let parsed = Rule::parse(rule, Layer::Cli, "")?;
    let mut rules = rules.to_vec();
    // What was there for a while is there for good now.
    rules.retain(|old| old.expires.is_none() || !is_same(old, &parsed, agent));
    let Some(old) = rules.iter_mut().find(|old| is_same(old, &parsed, agent)) else {
        rules.push(CliRule { rule: rule.clone(), agent: agent.cloned(), expires: None });
        return Ok(rules);
    };
    let Some(new) = &rule.path_rules else { return Err(ChangeError::There(parsed.to_string())) };
    if Rule::parse(&old.rule, Layer::Cli, "")?.action == Action::Deny {
        return Err(ChangeError::Whole(parsed.to_string(), parsed.dst.to_string()));
    }
    let denies = |path: &RawPathRule| path.action.as_deref() == Some("deny");
    let kept = match &mut old.rule.path_rules {
        Some(kept) => kept,
        // It allows every path: only a deny says anything.
        none if new.iter().all(denies) => {
            old.rule.path_default = Some("allow".to_owned());
            none.insert(Vec::new())
        }
        None => return Err(ChangeError::Whole(parsed.to_string(), parsed.dst.to_string())),
    };
    for path in new {
        let is_same = |other: &RawPathRule| other.path == path.path && other.methods == path.methods;
        match kept.iter_mut().find(|other| is_same(other)) {
            Some(other) if denies(other) == denies(path) => {
                return Err(ChangeError::There(format!("{parsed} {}", path.path)));
            }
            Some(other) => *other = path.clone(),
            None => kept.push(path.clone()),
        }
    }
    old.rule.inspect |= rule.inspect;
    Rule::parse(&old.rule, Layer::Cli, "")?;
    Ok(rules)
}

/// Adds a rule that ends by itself, in place of one whose end was another.
///
/// # Errors
/// [`ChangeError`].
pub fn grant(
    rules: &[CliRule],
    rule: &RawRule,
    agent: Option<&Name>,
    expires: u64,
) -> Result<Vec<CliRule>, ChangeError> {
    let parsed = Rule::parse(rule, Layer::Cli, "")?;
    let (same, mut others): (Vec<_>, Vec<_>) =
        rules.iter().cloned().partition(|old| is_same(old, &parsed, agent));
    if same.iter().any(|old| old.expires.is_none()) {
        return Err(ChangeError::There(parsed.to_string()));
    }
    others.push(CliRule { rule: rule.clone(), agent: agent.cloned(), expires: Some(expires) });
    Ok(others)
}

/// Takes a rule back, or of one with paths those that are named; `None` when no command added it.
///
/// # Errors
/// [`ChangeError`].
pub fn remove(
    rules: &[CliRule],
    rule: &RawRule,
    agent: Option<&Name>,
) -> Result<Option<Vec<CliRule>>, ChangeError> {
    let parsed =
        Rule::parse(&RawRule { path_rules: None, path_default: None, ..rule.clone() }, Layer::Cli, "")?;
    let Some(at) = rules.iter().position(|old| is_same(old, &parsed, agent)) else { return Ok(None) };
    let mut rules = rules.to_vec();
    let Some(paths) = &rule.path_rules else {
        rules.remove(at);
        return Ok(Some(rules));
    };
    for path in paths {
        let kept = rules.get_mut(at).and_then(|old| old.rule.path_rules.as_mut());
        let before = kept.as_ref().map_or(0, |kept| kept.len());
        let methods = |other: &RawPathRule| path.methods.is_empty() || other.methods == path.methods;
        let left = kept.map_or(0, |kept| {
            kept.retain(|other| other.path != path.path || !methods(other));
            kept.len()
        });
        if left == before {
            return Err(ChangeError::NoPath(parsed.to_string(), path.path.clone()));
        }
        if left == 0 {
            rules.remove(at);
            break;
        }
    }
    Ok(Some(rules))
}

/// Whether a stored rule says the same for the same agents.
fn is_same(stored: &CliRule, rule: &Rule, agent: Option<&Name>) -> bool {
    let parsed = Rule::parse(&stored.rule, Layer::Cli, "");
    stored.agent.as_ref() == agent && parsed.is_ok_and(|parsed| parsed.key() == rule.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(dst: &str, paths: &[(&str, &str)]) -> RawRule {
        let path_rules: Vec<RawPathRule> = paths
            .iter()
            .map(|(action, path)| RawPathRule {
                path: (*path).to_owned(),
                action: Some((*action).to_owned()),
                methods: Vec::new(),
            })
            .collect();
        let all_denied = !paths.is_empty() && paths.iter().all(|(action, _)| *action == "deny");
        RawRule {
            dst: dst.to_owned(),
            path_rules: (!paths.is_empty()).then_some(path_rules),
            path_default: all_denied.then(|| "allow".to_owned()),
            ..RawRule::default()
        }
    }

    fn shown(rules: &[CliRule]) -> Vec<String> {
        let parts = rules.iter().flat_map(|one| Rule::parse(&one.rule, Layer::Cli, "").unwrap().parts());
        parts.map(|(_, text)| text).collect()
    }

    #[test]
    fn paths_join_what_is_there_and_leave_it_one_by_one() {
        let one = add(&[], &rule("a.test", &[("allow", "/x")]), None).unwrap();
        let two = add(&one, &rule("a.test", &[("allow", "/y")]), None).unwrap();
        assert_eq!(shown(&two), ["tls a.test port 443: allow /x", "tls a.test port 443: allow /y"]);
        assert!(matches!(add(&two, &rule("a.test", &[("allow", "/y")]), None), Err(ChangeError::There(_))));
        assert!(matches!(add(&two, &rule("a.test", &[]), None), Err(ChangeError::There(_))));
        let other = add(&two, &rule("a.test", &[("deny", "/y")]), None).unwrap();
        assert!(shown(&other).contains(&"tls a.test port 443: deny /y".to_owned()));
        let left = remove(&two, &rule("a.test", &[("allow", "/x")]), None).unwrap().unwrap();
        assert_eq!(shown(&left), ["tls a.test port 443: allow /y"]);
        assert_eq!(remove(&left, &rule("a.test", &[("allow", "/y")]), None).unwrap().unwrap(), Vec::new());
        assert!(matches!(
            remove(&left, &rule("a.test", &[("allow", "/z")]), None),
            Err(ChangeError::NoPath(..))
        ));
        assert_eq!(remove(&two, &rule("a.test", &[]), None).unwrap().unwrap(), Vec::new());
        assert_eq!(remove(&two, &rule("b.test", &[]), None).unwrap(), None);
    }

    #[test]
    fn another_time_replaces_the_first_and_for_good_replaces_any() {
        let raw = rule("a.test", &[]);
        let ends = |rules: &[CliRule]| rules.iter().map(|one| one.expires).collect::<Vec<_>>();
        let first = grant(&[], &raw, None, 5).unwrap();
        let second = grant(&first, &raw, None, 3).unwrap();
        assert_eq!(ends(&second), [Some(3)]);
        let agent = Name::new("dev").unwrap();
        assert_eq!(ends(&grant(&second, &raw, Some(&agent), 7).unwrap()), [Some(3), Some(7)]);
        let lasting = add(&second, &raw, None).unwrap();
        assert_eq!(ends(&lasting), [None]);
        assert!(matches!(grant(&lasting, &raw, None, 9), Err(ChangeError::There(_))));
        assert_eq!(remove(&second, &raw, None).unwrap().unwrap(), Vec::new());
    }

    #[test]
    fn a_denied_path_narrows_a_name_that_was_open() {
        let open = add(&[], &rule("a.test", &[]), None).unwrap();
        assert!(matches!(add(&open, &rule("a.test", &[("allow", "/x")]), None), Err(ChangeError::Whole(..))));
        let narrowed = add(&open, &rule("a.test", &[("deny", "/x")]), None).unwrap();
        assert!(shown(&narrowed).contains(&"tls a.test port 443: deny /x".to_owned()));
        let agent = Name::new("dev").unwrap();
        assert_eq!(add(&open, &rule("a.test", &[]), Some(&agent)).unwrap().len(), 2);
    }
}
