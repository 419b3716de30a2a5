//! `clawker firewall why HOST[:PORT][/PATH]`: what would happen, by which rule, and the exact command that would change it.

use std::net::IpAddr;

use clawker_protocol::names::Name;
use serde_json::json;

use super::bypass::rounded;
use crate::cli::WhyArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::grant;
use crate::output::escape;
use crate::policy::{Action, Dst, PathVerdict, Policy, Proto, Request, Rule, Verdict};
use crate::project::Project;
use crate::step::Pending;

mod hint;

/// A request as it was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    host: String,
    proto: Proto,
    port: u16,
    method: String,
    path: Option<String>,
}

/// Tells it; the exit code is 0 when it would be let through, else 1.
///
/// # Errors
/// When the destination is none, or state can't be read.
pub async fn run(ctx: &Context, args: &WhyArgs) -> Outcome {
    let asked = parse(&args.destination, &args.method)?;
    let agent = args.agent.as_deref().map(Name::new).transpose()?;
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let policy = Project::load(&ctx.paths, &loaded.dir)?.policy(&loaded.settings, agent.as_ref())?;
    let now = grant::now();
    if let Some(pending) = Pending::left_behind(&ctx.paths)? {
        ctx.output.note(&pending.note());
    }
    let (asked, verdict) = judge(&policy, asked);
    let allowed = verdict.action() == Action::Allow;
    let command = hint::change(&policy, &verdict, &asked, agent.as_ref());
    if ctx.output.json {
        let rule = hint::rule(&verdict).map(|rule| {
            json!({
                "rule": rule.to_string(), "layer": rule.layer, "from": rule.place, "expires": rule.expires,
                "left_seconds": rule.expires.map(|end| grant::left_seconds(end, now)),
            })
        });
        let path_rule = match &verdict {
            Verdict::Path(_, PathVerdict::By(rule)) => Some(rule.to_string()),
            _ => None,
        };
        ctx.output.value(&json!({
            "host": asked.host,
            "proto": asked.proto,
            "port": asked.port,
            "path": asked.path,
            "allowed": allowed,
            "rule": rule,
            "path_rule": path_rule,
            "change": command,
        }))?;
    } else {
        ctx.output.line(&sentence(&policy, &verdict, &asked, now))?;
        if let Some(command) = command {
            ctx.output.line(&format!("To change that: {command}"))?;
        }
    }
    Ok(if allowed { OK } else { FAILED })
}

/// Reads `HOST[:PORT][/PATH]`, or an address as people paste it.
fn parse(text: &str, method: &str) -> Result<Asked, Failure> {
    let wrong = || Failure::usage(format!("\"{}\" is no HOST[:PORT][/PATH]", escape(text)));
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let path = Some(path.to_owned()).filter(|path| path.starts_with('/'));
    let method = method.to_owned();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse().map_err(|_| wrong())?)),
        _ => (authority, None),
    };
    let proto = match (scheme, port) {
        (Some("https" | "wss"), _) | (None, None | Some(443)) => Proto::Tls,
        (Some("http" | "ws"), _) | (None, Some(80)) => Proto::Http,
        (Some("ssh"), _) | (None, Some(22)) => Proto::Ssh,
        (Some("tcp"), Some(_)) => Proto::Tcp,
        (Some(_), _) => {
            return Err(Failure::usage(
                "Only https, http, wss, ws, ssh and tcp with a port can be asked about",
            ));
        }
        (None, Some(_)) => Proto::Tcp,
    };
    let port = port.or(proto.default_port()).filter(|port| *port > 0).ok_or_else(wrong)?;
    if host.starts_with('.') {
        return Err(Failure::usage("Ask about one name; a wildcard is a rule and no destination"));
    }
    match Dst::parse(host) {
        Ok(dst) => Ok(Asked { host: dst.to_string(), proto, port, method, path }),
        // An address that no rule may open is still a question.
        Err(_) if host.parse::<IpAddr>().is_ok() => {
            Ok(Asked { host: host.to_owned(), proto, port, method, path })
        }
        Err(error) => Err(Failure::usage(error.to_string())),
    }
}

/// What the policy says. A port that says nothing of its protocol may have a rule of any.
fn judge(policy: &Policy, asked: Asked) -> (Asked, Verdict<'_>) {
    for proto in [asked.proto, Proto::Tls, Proto::Http, Proto::Ssh, Proto::Tcp] {
        let http = asked.path.as_deref().map(|path| (asked.method.as_str(), path));
        let verdict = policy.judge(&Request { host: &asked.host, proto, port: asked.port, http });
        if verdict != Verdict::Unlisted {
            return (Asked { proto, ..asked }, verdict);
        }
    }
    (asked, Verdict::Unlisted)
}

fn sentence(policy: &Policy, verdict: &Verdict<'_>, asked: &Asked, now: u64) -> String {
    let path = asked.path.as_deref().map(|path| format!(" {} {}", asked.method, escape(path)));
    let place =
        format!("{} port {} ({}){}", asked.host, asked.port, asked.proto.as_str(), path.unwrap_or_default());
    let by = |rule: &Rule| format!("{rule} [{}, {}]", rule.layer.as_str(), escape(&rule.place));
    let more = hint::beyond(policy, verdict, asked);
    match verdict {
        Verdict::Dst(rule) if rule.action == Action::Allow => {
            let left = rule.expires.map(|end| format!(", {} left", rounded(grant::left(end, now))));
            format!("{place} is allowed by: {}{}{more}", by(rule), left.unwrap_or_default())
        }
        Verdict::Dst(rule) => format!("{place} is denied by: {}", by(rule)),
        Verdict::Path(rule, PathVerdict::By(path)) => {
            let verb = if path.action == Action::Allow { "allowed" } else { "denied" };
            format!("{place} is {verb} by: {path}, of {}", by(rule))
        }
        Verdict::Path(rule, PathVerdict::Default(Action::Allow)) => {
            format!("{place} is allowed: no path rule denies it, of {}", by(rule))
        }
        Verdict::Path(rule, PathVerdict::Default(Action::Deny)) => {
            format!("{place} is refused: no path rule lists it, of {}", by(rule))
        }
        Verdict::Path(_, PathVerdict::Unreadable) => {
            format!("{place} is refused: servers may read this path in ways of which one can't be judged")
        }
        Verdict::Unlisted => format!("{place} is refused: no rule lists it"),
        Verdict::Never => format!("{place} is refused: no rule can open this address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RawPathRule, RawRule};
    use crate::policy::Layer;

    fn policy() -> Policy {
        let rule = |dst: &str, proto: &str, port: Option<&str>, action: &str, layer| {
            let raw = RawRule {
                dst: dst.into(),
                proto: Some(proto.into()),
                port: port.map(|port| port.parse().unwrap()),
                action: Some(action.into()),
                ..RawRule::default()
            };
            Rule::parse(&raw, layer, ".clawker.yaml:7").unwrap()
        };
        Policy::new([
            rule(".good.test", "tls", None, "allow", Layer::Cli),
            rule("evil.good.test", "tls", None, "deny", Layer::Project),
            rule("git.test", "ssh", None, "allow", Layer::Cli),
            rule("odd.test", "tls", Some("8443"), "allow", Layer::Cli),
            with_paths("api.test", &["/repos/"], &["/repos/evil"]),
            rule("10.0.0.0/8", "tcp", Some("5432"), "allow", Layer::Cli),
            rule("10.1.0.0/16", "tcp", Some("5432"), "deny", Layer::Project),
            Rule { expires: Some(61_000), ..rule("once.test", "tls", None, "allow", Layer::Cli) },
        ])
        .unwrap()
    }

    fn with_paths(dst: &str, allowed: &[&str], denied: &[&str]) -> Rule {
        let path = |action: &'static str| {
            move |path: &&str| RawPathRule {
                path: (*path).to_owned(),
                methods: Vec::new(),
                action: Some(action.to_owned()),
            }
        };
        let paths = allowed.iter().map(path("allow")).chain(denied.iter().map(path("deny")));
        let raw = RawRule { dst: dst.to_owned(), path_rules: Some(paths.collect()), ..RawRule::default() };
        Rule::parse(&raw, Layer::Cli, "clawker firewall add").unwrap()
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
            (
                "once.test",
                "allowed by: allow tls once.test port 443 [cli, .clawker.yaml:7], 1m left",
                Some("clawker firewall remove once.test"),
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
            (
                "https://api.test/repos/x",
                "allowed by: allow /repos/",
                Some("clawker firewall remove api.test --path /repos/"),
            ),
            (
                "https://api.test/repos/evil/x",
                "denied by: deny /repos/evil",
                Some("clawker firewall add api.test --path /repos/evil/x"),
            ),
            (
                "https://api.test/gists?a=b",
                "no path rule lists it",
                Some("clawker firewall add api.test --path /gists"),
            ),
            ("https://api.test/a%252fb", "no path rule lists it", None),
            ("https://api.test/%ff", "can't be judged", None),
            (
                "api.test",
                "(only some paths: deny /repos/evil, allow /repos/)",
                Some("clawker firewall remove api.test"),
            ),
            ("169.254.169.254:80", "no rule can open this address", None),
            ("api.anthropic.com", "allowed by: allow tls api.anthropic.com", None),
        ] {
            let (asked, verdict) = judge(&policy, parse(text, "GET").unwrap());
            let said = sentence(&policy, &verdict, &asked, 1_000);
            assert!(said.contains(expected), "{text}: {said}");
            assert_eq!(hint::change(&policy, &verdict, &asked, None).as_deref(), command, "{text}");
        }
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in ["", "a b", ".good.test", "x:0", "x:99999", "ftp://x", "a\u{1b}[0m"] {
            assert_eq!(parse(text, "GET").map_err(|failure| failure.code), Err(2), "{text:?}");
        }
    }
}
