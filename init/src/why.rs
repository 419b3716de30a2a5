//! `clawker-init why HOST[:PORT][/PATH]`: tells the agent, without any privilege, what its policy says of a
//! destination and whom to ask. Reads only the summary that init published.

use clawker_protocol::paths::{named_length, readings};
use clawker_protocol::places;
use clawker_protocol::summary::{self, SummaryPath, SummaryRule};

use crate::events::now_millis;

/// What the summary says of a destination.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A rule allows it.
    Allowed(&'a SummaryRule),
    /// A rule denies it.
    Denied(&'a SummaryRule),
    /// The name or address is allowed, on other ports.
    OtherPorts(Vec<&'a SummaryRule>),
    /// No rule names it.
    Unlisted,
}

/// How closely a rule's destination names `host`: larger is closer, `None` is not at all.
fn closeness(dst: &str, host: &str) -> Option<usize> {
    if dst == host {
        return Some(usize::MAX);
    }
    if let Some(suffix) = dst.strip_prefix('.') {
        let below = host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        return below.then_some(dst.len());
    }
    let net: ipnet::IpNet = dst.parse().ok()?;
    let address: std::net::IpAddr = host.parse().ok()?;
    net.contains(&address).then_some(usize::from(net.prefix_len()))
}

fn covers(rule: &SummaryRule, port: u16) -> bool {
    let mut ends = rule.port.split('-').map(|end| end.parse::<u16>());
    match (ends.next(), ends.next()) {
        (Some(Ok(only)), None) => only == port,
        (Some(Ok(first)), Some(Ok(last))) => (first..=last).contains(&port),
        _ => false,
    }
}

/// Looks a destination up: the closest rule wins, deny wins among equals.
pub fn look_up<'a>(rules: &'a [SummaryRule], host: &str, port: Option<u16>) -> Answer<'a> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let named: Vec<(usize, &SummaryRule)> =
        rules.iter().filter_map(|rule| Some((closeness(&rule.dst, &host)?, rule))).collect();
    let best = named
        .iter()
        .filter(|(_, rule)| port.is_none_or(|port| covers(rule, port)))
        .min_by_key(|(close, rule)| (std::cmp::Reverse(*close), rule.action != "deny"));
    match best {
        Some((_, rule)) if rule.action == "deny" => Answer::Denied(rule),
        Some((_, rule)) => Answer::Allowed(rule),
        None if named.is_empty() => Answer::Unlisted,
        None => Answer::OtherPorts(named.into_iter().map(|(_, rule)| rule).collect()),
    }
}

/// A destination as it was asked about.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    host: &'a str,
    port: Option<u16>,
    /// With its slash; empty when none was named.
    path: &'a str,
}

/// Splits `HOST[:PORT][/PATH]`, also with `https://` before it.
fn split(text: &str) -> Option<Asked<'_>> {
    let (default, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Some(443), rest),
        Some(("http", rest)) => (Some(80), rest),
        Some(_) => return None,
        None => (None, text),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse().ok()?)),
        _ => (authority, default),
    };
    (!host.is_empty()).then_some(Asked { host, port, path })
}

/// What a rule says of a path.
#[derive(Debug, PartialEq, Eq)]
enum OfPath {
    /// It may be asked for.
    Allowed,
    /// It may not.
    Denied,
    /// A pattern decides, which only the gateway reads.
    Pattern,
}

/// What a rule says of a GET of a path. Each reading of it must be allowed.
fn of_path(rule: &SummaryRule, path: &str) -> OfPath {
    let Some(readings) = readings(path) else { return OfPath::Denied };
    let applies =
        |rule: &&SummaryPath| rule.methods.is_empty() || rule.methods.iter().any(|method| method == "GET");
    if rule.paths.iter().filter(applies).any(|rule| rule.path.starts_with('~')) {
        return OfPath::Pattern;
    }
    let allows = |reading: &String| {
        let named = rule.paths.iter().filter(applies).filter_map(|rule| {
            let deny = rule.action == "deny";
            Some((named_length(reading, &rule.path, deny)?, deny))
        });
        named.max().map_or(rule.path_default == "allow", |(_, deny)| !deny)
    };
    if readings.iter().all(allows) { OfPath::Allowed } else { OfPath::Denied }
}

/// Runs the command: 0 allowed, 1 not allowed, 2 for a mistake.
pub fn command(args: &[String]) -> u8 {
    let Some(Asked { host, port, path }) = (match args {
        [one] => split(one),
        _ => None,
    }) else {
        eprintln!("usage: clawker-init why HOST[:PORT][/PATH]");
        return 2;
    };
    let mut rules = match std::fs::read_to_string(places::POLICY_SUMMARY) {
        Ok(text) => summary::parse(&text),
        Err(error) => {
            eprintln!("clawker-init why: can't read {}: {error}", places::POLICY_SUMMARY);
            return 2;
        }
    };
    let now = now_millis();
    rules.retain(|rule| rule.expires.is_none_or(|end| end > now));
    let shown: String = host.chars().flat_map(char::escape_debug).collect();
    let rule_text =
        |rule: &SummaryRule| format!("{} {} {} port {}", rule.action, rule.proto, rule.dst, rule.port);
    let ask = "This is the owner's policy, not a fault: ask the user, who can run on the host";
    let flag = port.filter(|port| *port != 443).map(|port| format!(" --port {port}")).unwrap_or_default();
    match look_up(&rules, host, port) {
        Answer::Allowed(rule) if rule.path_default.is_empty() => {
            println!("{shown}: allowed by the rule: {}", rule_text(rule));
            return 0;
        }
        Answer::Allowed(rule) => return tell_paths(rule, path, &shown, &rule_text(rule), ask),
        Answer::Denied(rule) => {
            println!("{shown}: denied by the rule: {}\n{ask}: clawker firewall list", rule_text(rule));
        }
        Answer::OtherPorts(rules) => {
            println!("{shown}: not allowed on this port; the rules that name it are:");
            for rule in rules {
                println!("  {}", rule_text(rule));
            }
            println!("{ask}: clawker firewall add {shown}{flag}");
        }
        Answer::Unlisted => {
            println!("{shown}: not allowed: no rule names it.\n{ask}: clawker firewall add {shown}{flag}");
        }
    }
    1
}

/// Tells which paths of a destination may be asked for, and of one whether it may.
fn tell_paths(of: &SummaryRule, path: &str, host: &str, rule: &str, ask: &str) -> u8 {
    let shown: String = path.chars().flat_map(char::escape_debug).collect();
    let verdict = if path.is_empty() { OfPath::Pattern } else { of_path(of, path) };
    match verdict {
        OfPath::Allowed => println!("{host}{shown}: allowed by the rule: {rule}"),
        OfPath::Denied => println!("{host}{shown}: this path is not allowed by the rule: {rule}"),
        OfPath::Pattern => println!("{host}: allowed by the rule: {rule}, but not every path:"),
    }
    if verdict != OfPath::Allowed {
        for rule in &of.paths {
            let methods = if rule.methods.is_empty() { String::new() } else { rule.methods.join(", ") };
            println!("  {} {} {methods}", rule.action, rule.path);
        }
        println!("  {} every other path", of.path_default);
    }
    if verdict == OfPath::Denied {
        println!("{ask}: clawker firewall why https://{host}{shown}");
        return 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(dst: &str, port: &str, action: &str) -> SummaryRule {
        SummaryRule {
            dst: dst.into(),
            proto: "tls".into(),
            port: port.into(),
            action: action.into(),
            ..SummaryRule::default()
        }
    }

    #[test]
    fn the_closest_rule_answers() {
        let rules = [
            rule(".example.com", "443", "deny"),
            rule("api.example.com", "443", "allow"),
            rule("10.0.0.0/8", "5000-6000", "allow"),
        ];
        assert_eq!(look_up(&rules, "API.example.com.", Some(443)), Answer::Allowed(&rules[1]));
        assert_eq!(look_up(&rules, "x.example.com", None), Answer::Denied(&rules[0]));
        assert_eq!(look_up(&rules, "example.com", None), Answer::Denied(&rules[0]));
        assert_eq!(look_up(&rules, "evilexample.com", None), Answer::Unlisted);
        assert_eq!(look_up(&rules, "10.1.2.3", Some(5500)), Answer::Allowed(&rules[2]));
        assert!(matches!(look_up(&rules, "10.1.2.3", Some(80)), Answer::OtherPorts(_)));
    }

    #[test]
    fn addresses_are_read_as_people_paste_them() {
        let asked = |host, port, path| Some(Asked { host, port, path });
        assert_eq!(split("example.com"), asked("example.com", None, ""));
        assert_eq!(split("https://example.com/a:b"), asked("example.com", Some(443), "/a:b"));
        assert_eq!(split("example.com:22"), asked("example.com", Some(22), ""));
        assert_eq!(split("example.com:x"), None);
        assert_eq!(split(""), None);
    }
    #[test]
    fn a_path_is_judged_as_the_gateway_does() {
        let rule = |action: &str, path: &str| SummaryPath {
            path: path.to_owned(),
            methods: Vec::new(),
            action: action.to_owned(),
        };
        let mut paths = SummaryRule {
            path_default: "deny".to_owned(),
            paths: vec![rule("allow", "/repos/"), rule("deny", "/repos/evil")],
            ..SummaryRule::default()
        };
        for (path, expected) in [
            ("/repos/x", OfPath::Allowed),
            ("/repos/EVIL/x", OfPath::Denied),
            ("/gists", OfPath::Denied),
            ("/repos/..%2fgists", OfPath::Denied),
            ("/%ff", OfPath::Denied),
        ] {
            assert_eq!(of_path(&paths, path), expected, "{path}");
        }
        paths.paths.push(rule("deny", "~.*"));
        assert_eq!(of_path(&paths, "/repos/x"), OfPath::Pattern);
    }
}
