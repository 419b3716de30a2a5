//! `clawker-init why HOST[:PORT]`: tells the agent, without any privilege, what its policy says of a
//! destination and whom to ask. Reads only the summary that init published.

use clawker_protocol::boot::SummaryRule;
use clawker_protocol::places;

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

/// Splits `HOST[:PORT]`, also with `https://` before it and a path behind.
fn split(text: &str) -> Option<(&str, Option<u16>)> {
    let (default, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Some(443), rest),
        Some(("http", rest)) => (Some(80), rest),
        Some(_) => return None,
        None => (None, text),
    };
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port.parse().ok()?)),
        _ => (authority, default),
    };
    (!host.is_empty()).then_some((host, port))
}

/// Runs the command: 0 allowed, 1 not allowed, 2 for a mistake.
pub fn command(args: &[String]) -> u8 {
    let Some((host, port)) = (match args {
        [one] => split(one),
        _ => None,
    }) else {
        eprintln!("usage: clawker-init why HOST[:PORT]");
        return 2;
    };
    let mut rules: Vec<SummaryRule> = match std::fs::read(places::POLICY_SUMMARY)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
    {
        Ok(rules) => rules,
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
        Answer::Allowed(rule) => {
            println!("{shown}: allowed by the rule: {}", rule_text(rule));
            return 0;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(dst: &str, port: &str, action: &str) -> SummaryRule {
        SummaryRule {
            dst: dst.into(),
            proto: "tls".into(),
            port: port.into(),
            action: action.into(),
            expires: None,
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
        assert_eq!(split("example.com"), Some(("example.com", None)));
        assert_eq!(split("https://example.com/a:b"), Some(("example.com", Some(443))));
        assert_eq!(split("example.com:22"), Some(("example.com", Some(22))));
        assert_eq!(split("example.com:x"), None);
        assert_eq!(split(""), None);
    }
}
