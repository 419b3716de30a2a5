//! `clawker firewall why HOST[:PORT]`: what would happen, by which rule, and the exact command that would change it.

use std::net::IpAddr;

use clawker_protocol::names::Name;
use serde_json::json;

use crate::cli::WhyArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::output::escape;
use crate::policy::{Action, Dst, Layer, Policy, Proto, Rule, is_reserved};
use crate::project::Project;

/// A destination as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    host: String,
    proto: Proto,
    port: u16,
}

/// What would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict<'a> {
    /// A rule decides.
    By(&'a Rule),
    /// No rule says anything.
    Unlisted,
    /// No rule could.
    Never,
}

/// Tells it; the exit code is 0 when it would be let through, else 1.
///
/// # Errors
/// When the destination is none, or state can't be read.
pub async fn run(ctx: &Context, args: &WhyArgs) -> Outcome {
    let asked = parse(&args.destination)?;
    let agent = args.agent.as_deref().map(Name::new).transpose()?;
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let policy = Project::load(&ctx.paths, &loaded.dir)?.policy(agent.as_ref())?;
    let verdict = judge(&policy, &asked);
    let allowed = matches!(verdict, Verdict::By(rule) if rule.action == Action::Allow);
    let command = change(verdict, &asked, agent.as_ref());
    if ctx.output.json {
        let rule = match verdict {
            Verdict::By(rule) => json!({ "rule": rule.to_string(), "layer": rule.layer, "from": rule.place }),
            _ => json!(null),
        };
        ctx.output.value(&json!({
            "host": asked.host,
            "proto": asked.proto,
            "port": asked.port,
            "allowed": allowed,
            "rule": rule,
            "change": command,
        }))?;
    } else {
        ctx.output.line(&sentence(verdict, &asked))?;
        if let Some(command) = command {
            ctx.output.line(&format!("To change that: {command}"))?;
        }
    }
    Ok(if allowed { OK } else { FAILED })
}

/// Reads `HOST`, `HOST:PORT`, or an address as people paste it.
fn parse(text: &str) -> Result<Asked, Failure> {
    let wrong = || Failure::usage(format!("\"{}\" is no HOST[:PORT]", escape(text)));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse().map_err(|_| wrong())?)),
        _ => (authority, None),
    };
    let proto = match (scheme, port) {
        (Some("https" | "wss"), _) | (None, None | Some(443)) => Proto::Tls,
        (Some("http" | "ws"), _) | (None, Some(80)) => Proto::Http,
        (Some("ssh"), _) | (None, Some(22)) => Proto::Ssh,
        (Some(_), _) => return Err(Failure::usage("Only https, http, wss, ws and ssh can be asked about")),
        (None, Some(_)) => Proto::Tcp,
    };
    let port = port.or(proto.default_port()).filter(|port| *port > 0).ok_or_else(wrong)?;
    if host.starts_with('.') {
        return Err(Failure::usage("Ask about one name; a wildcard is a rule and no destination"));
    }
    match Dst::parse(host) {
        Ok(dst) => Ok(Asked { host: dst.to_string(), proto, port }),
        // An address that no rule may open is still a question.
        Err(_) if host.parse::<IpAddr>().is_ok() => Ok(Asked { host: host.to_owned(), proto, port }),
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}

fn judge<'a>(policy: &'a Policy, asked: &Asked) -> Verdict<'a> {
    if let Ok(address) = asked.host.parse::<IpAddr>() {
        if is_reserved(address) {
            return Verdict::Never;
        }
        let covering = policy.rules().iter().filter_map(|rule| match rule.dst {
            Dst::Net(net) if net.contains(&address) && rule.ports.contains(asked.port) => {
                Some((net.prefix_len(), rule.action == Action::Deny, rule))
            }
            _ => None,
        });
        let closest = covering.max_by_key(|(length, deny, _)| (*length, *deny));
        return closest.map_or(Verdict::Unlisted, |(_, _, rule)| Verdict::By(rule));
    }
    // A port that says nothing of its protocol may have a rule of any.
    let protos = [asked.proto, Proto::Tls, Proto::Http, Proto::Ssh, Proto::Tcp];
    let mut decided = protos.iter().filter_map(|proto| policy.decide(&asked.host, *proto, asked.port));
    decided.next().map_or(Verdict::Unlisted, Verdict::By)
}

fn sentence(verdict: Verdict<'_>, asked: &Asked) -> String {
    let place = format!("{} port {} ({})", asked.host, asked.port, asked.proto.as_str());
    match verdict {
        Verdict::By(rule) if rule.action == Action::Allow => {
            format!("{place} is allowed by: {rule} [{}, {}]", rule.layer.as_str(), escape(&rule.place))
        }
        Verdict::By(rule) => {
            format!("{place} is denied by: {rule} [{}, {}]", rule.layer.as_str(), escape(&rule.place))
        }
        Verdict::Unlisted => format!("{place} is refused: no rule lists it"),
        Verdict::Never => format!("{place} is refused: no rule can open this address"),
    }
}

/// The command that turns the answer round; `None` where none does.
fn change(verdict: Verdict<'_>, asked: &Asked, agent: Option<&Name>) -> Option<String> {
    let of_agent = agent.map(|agent| format!(" --agent {agent}")).unwrap_or_default();
    let rule_options = |proto: Proto, port: u16| {
        let port = if proto.default_port() == Some(port) { String::new() } else { format!(" --port {port}") };
        let proto = if proto == Proto::Tls { String::new() } else { format!(" --proto {}", proto.as_str()) };
        format!("{proto}{port}")
    };
    match verdict {
        Verdict::Unlisted => Some(format!(
            "clawker firewall add {}{}{of_agent}",
            asked.host,
            rule_options(asked.proto, asked.port)
        )),
        Verdict::By(rule) if matches!(rule.layer, Layer::Cli | Layer::Agent) => {
            let of_rule = if rule.layer == Layer::Agent { of_agent } else { String::new() };
            let options = rule_options(rule.proto, rule.ports.first());
            Some(format!("clawker firewall remove {}{options}{of_rule}", rule.dst))
        }
        Verdict::By(rule) if rule.layer == Layer::Project => {
            Some(format!("edit {}, then clawker firewall reload", escape(&rule.place)))
        }
        Verdict::By(_) | Verdict::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawRule;

    fn policy() -> Policy {
        let rule = |dst: &str, proto: &str, port: Option<&str>, action: &str, layer| {
            let raw = RawRule {
                dst: dst.into(),
                proto: Some(proto.into()),
                port: port.map(|port| port.parse().unwrap()),
                action: Some(action.into()),
            };
            Rule::parse(&raw, layer, ".clawker.yaml:7").unwrap()
        };
        Policy::new([
            rule(".good.test", "tls", None, "allow", Layer::Cli),
            rule("evil.good.test", "tls", None, "deny", Layer::Project),
            rule("git.test", "ssh", None, "allow", Layer::Cli),
            rule("odd.test", "tls", Some("8443"), "allow", Layer::Cli),
            rule("10.0.0.0/8", "tcp", Some("5432"), "allow", Layer::Cli),
            rule("10.1.0.0/16", "tcp", Some("5432"), "deny", Layer::Project),
        ])
        .unwrap()
    }

    #[test]
    fn the_rule_that_decides_is_named_with_the_command_that_changes_it() {
        let policy = policy();
        for (text, expected, command) in [
            ("a.good.test", "allowed by: allow tls .good.test", Some("clawker firewall remove .good.test")),
            (
                "https://evil.good.test/x",
                "denied by: deny tls evil.good.test",
                Some("edit .clawker.yaml:7, then clawker firewall reload"),
            ),
            (
                "git.test:22",
                "allowed by: allow ssh git.test",
                Some("clawker firewall remove git.test --proto ssh"),
            ),
            (
                "odd.test:8443",
                "allowed by: allow tls odd.test",
                Some("clawker firewall remove odd.test --port 8443"),
            ),
            ("new.test", "no rule lists it", Some("clawker firewall add new.test")),
            ("http://new.test", "no rule lists it", Some("clawker firewall add new.test --proto http")),
            (
                "new.test:5432",
                "no rule lists it",
                Some("clawker firewall add new.test --proto tcp --port 5432"),
            ),
            (
                "10.2.0.1:5432",
                "allowed by: allow tcp 10.0.0.0/8",
                Some("clawker firewall remove 10.0.0.0/8 --proto tcp --port 5432"),
            ),
            (
                "10.1.0.1:5432",
                "denied by: deny tcp 10.1.0.0/16",
                Some("edit .clawker.yaml:7, then clawker firewall reload"),
            ),
            ("169.254.169.254:80", "no rule can open this address", None),
            ("api.anthropic.com", "allowed by: allow tls api.anthropic.com", None),
        ] {
            let asked = parse(text).unwrap();
            let verdict = judge(&policy, &asked);
            let said = sentence(verdict, &asked);
            assert!(said.contains(expected), "{text}: {said}");
            assert_eq!(change(verdict, &asked, None).as_deref(), command, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in ["", "a b", ".good.test", "x:0", "x:99999", "ftp://x", "a\u{1b}[0m"] {
            assert_eq!(parse(text).map_err(|failure| failure.code), Err(2), "{text:?}");
        }
    }
}
