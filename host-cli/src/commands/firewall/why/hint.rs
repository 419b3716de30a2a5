//! The exact command that turns an answer round, and what an answer about a name leaves open. A command that would not
//! work is not shown.

use clawker_protocol::names::Name;

use super::Asked;
use crate::output::escape;
use crate::policy::{Action, Layer, PathRule, PathVerdict, Pattern, Policy, Proto, Rule, Verdict, readings};

/// The rule that a verdict rests on.
pub(super) fn rule<'a>(verdict: &Verdict<'a>) -> Option<&'a Rule> {
    match verdict {
        Verdict::Dst(rule) | Verdict::Path(rule, _) => Some(rule),
        Verdict::Unlisted | Verdict::Never => None,
    }
}

/// What "allowed" does not say of a name: which paths, or that all of them are.
pub(super) fn beyond(policy: &Policy, verdict: &Verdict<'_>, asked: &Asked) -> String {
    let decision = policy.decide(&asked.host, asked.proto, asked.port);
    match (verdict, decision.and_then(|one| one.paths.as_ref()), &asked.path) {
        (Verdict::Dst(_), Some(paths), None) => {
            let rules: Vec<String> = paths.rules.iter().map(ToString::to_string).collect();
            let rest = if paths.default == Action::Allow { "all paths but some" } else { "only some paths" };
            format!(" ({rest}: {})", escape(&rules.join(", ")))
        }
        (Verdict::Dst(_), None, Some(_)) if asked.proto == Proto::Tls => " (whatever the path)".to_owned(),
        _ => String::new(),
    }
}

/// The command that turns the answer round; `None` where none does.
pub(super) fn change(
    policy: &Policy,
    verdict: &Verdict<'_>,
    asked: &Asked,
    agent: Option<&Name>,
) -> Option<String> {
    let of_agent = agent.map(|agent| format!(" --agent {agent}")).unwrap_or_default();
    match verdict {
        Verdict::Unlisted => {
            let options = options(asked.proto, &asked.port.to_string());
            Some(format!("clawker firewall add {}{options}{of_agent}", asked.host))
        }
        Verdict::Dst(rule) => take_back(rule, None, &of_agent),
        Verdict::Path(rule, PathVerdict::Default(Action::Deny)) => open(rule, asked, 0, &of_agent),
        Verdict::Path(rule, PathVerdict::By(path)) if path.action == Action::Deny => {
            // A longer path wins over a denied prefix; over a pattern nothing does.
            match &path.path {
                Pattern::Prefix(prefix) => open(rule, asked, prefix.trim_end_matches('/').len(), &of_agent),
                Pattern::Regex(..) => None,
            }
            .or_else(|| take_back(stating(policy, rule, path)?, Some(path), &of_agent))
        }
        Verdict::Path(rule, PathVerdict::By(path)) => {
            take_back(stating(policy, rule, path)?, Some(path), &of_agent)
        }
        Verdict::Path(..) | Verdict::Never => None,
    }
}

/// The rule that states a path rule: of several about one destination it need not be the one that decides.
fn stating<'a>(policy: &'a Policy, rule: &Rule, path: &PathRule) -> Option<&'a Rule> {
    let states = |other: &&Rule| other.paths.as_ref().is_some_and(|paths| paths.rules.contains(path));
    let same = |other: &&Rule| other.dst == rule.dst && other.proto == rule.proto;
    policy.rules().iter().filter(same).find(states)
}

fn take_back(rule: &Rule, path: Option<&PathRule>, of_agent: &str) -> Option<String> {
    match rule.layer {
        Layer::Cli | Layer::Agent => {
            let of_rule = if rule.layer == Layer::Agent { of_agent } else { "" };
            let path = match path {
                Some(path) => format!(" --path {}", quoted(&path.path.to_string())?),
                None => String::new(),
            };
            let options = options(rule.proto, &rule.port_text());
            Some(format!("clawker firewall remove {}{options}{path}{of_rule}", rule.dst))
        }
        Layer::Project | Layer::Telemetry => {
            Some(format!("edit {}, then clawker firewall reload", escape(&rule.place)))
        }
        Layer::User => Some(format!("edit {}, then clawker firewall reload", escape(&rule.place))),
        Layer::Floor => None,
    }
}

/// Opens a path of the rule's destination: a rule for the name alone would take the wildcard's other paths from it.
fn open(rule: &Rule, asked: &Asked, longer_than: usize, of_agent: &str) -> Option<String> {
    let list = readings(asked.path.as_deref()?)?;
    let [path] = list.as_slice() else { return None };
    if path.trim_end_matches('/').len() <= longer_than || Pattern::parse(path).is_err() {
        return None;
    }
    let options = options(rule.proto, &rule.port_text());
    Some(format!("clawker firewall add {}{options} --path {}{of_agent}", rule.dst, quoted(path)?))
}

fn options(proto: Proto, port: &str) -> String {
    let is_default = proto.default_port().is_some_and(|default| default.to_string() == port);
    let port = if is_default { String::new() } else { format!(" --port {port}") };
    let proto = if proto == Proto::Tls { String::new() } else { format!(" --proto {}", proto.as_str()) };
    format!("{proto}{port}")
}

/// A text as a shell's word; `None` where it would not be plain to see what it is.
fn quoted(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-@+=:,%".contains(&byte);
    if text.bytes().all(plain) {
        return Some(text.to_owned());
    }
    let visible = text.chars().all(|letter| !letter.is_control() && letter.is_ascii() && letter != '\'');
    visible.then(|| format!("'{text}'"))
}
