//! One stream of verdicts from three witnesses: init's events, CoreDNS's answers, Envoy's access log, joined by
//! the agent's address. Pure: lines in, entries out. All of it holds text that an agent chose; escape it.

use std::net::Ipv4Addr;

use clawker_protocol::event::{Event, EventKind, Flow};
use serde::Serialize;

use crate::lent::Use;

/// What CoreDNS's lines begin with, after its own level.
const DNS_MARK: &str = "clawker-dns ";

/// What is said of an entry that is there because the firewall was off.
pub const OPEN: &str = "firewall open";

/// One verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub time: u64,
    /// `project/agent`.
    pub agent: String,
    /// `init`, `dns`, `proxy`; `lent` is the helper that lends the user's credentials.
    pub witness: &'static str,
    /// `deny`, `allow`, or what else happened.
    pub verdict: String,
    /// Protocol, or the question's type.
    pub proto: String,
    /// Name or address.
    pub target: String,
    /// Port, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The listed name that a virtual address stands for, or the one that a question to another resolver asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A request's method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The rule that says the same now, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The uid of the socket that sent a packet, where init knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Class, path, response code: whatever the witness knows besides.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Entry {
    /// Whether something was refused.
    pub fn is_denial(&self) -> bool {
        self.verdict == "deny"
    }

    /// An entry with nothing in it but what every witness knows.
    fn new(time: u64, witness: &'static str, verdict: &str, target: String) -> Self {
        Self {
            time,
            agent: String::new(),
            witness,
            verdict: verdict.to_owned(),
            proto: "-".to_owned(),
            target,
            port: None,
            name: None,
            method: None,
            path: None,
            rule: None,
            uid: None,
            detail: String::new(),
        }
    }

    /// The columns shown to people.
    pub fn cells(&self) -> [String; 7] {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let name = self.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let known = Some(self.detail.clone()).filter(|text| !text.is_empty());
        let uid = self.uid.map(|uid| format!("uid {uid}"));
        let rule = self.rule.as_ref().map(|rule| format!("by \"{rule}\""));
        let detail: Vec<String> = [known, uid, rule].into_iter().flatten().collect();
        [
            clock(self.time),
            self.agent.clone(),
            self.witness.to_owned(),
            self.verdict.clone(),
            self.proto.clone(),
            format!("{}{port}{name}", self.target),
            detail.join("; "),
        ]
    }
}

/// An event of init's.
pub fn of_init(line: &str) -> Option<Entry> {
    let event: Event = serde_json::from_str(line).ok()?;
    let flow = |verdict: &str, flow: Flow, class: &str| Entry {
        proto: flow.proto,
        port: flow.port,
        name: flow.question,
        uid: flow.uid,
        detail: class.to_owned(),
        ..Entry::new(event.time, "init", verdict, flow.destination)
    };
    let happened = |verdict: &str, target: String, detail: String| Entry {
        detail,
        ..Entry::new(event.time, "init", verdict, target)
    };
    Some(match event.kind {
        EventKind::Denied { class, flow: denied } => flow("deny", denied, class.as_str()),
        EventKind::Opened { flow: opened } => flow("allow", opened, OPEN),
        EventKind::State { state, cause, .. } => happened("state", state, cause),
        EventKind::Healed { what } => happened("healed", "-".to_owned(), what),
        EventKind::PeerRefused { pid, uid, why } => {
            happened("deny", "control socket".to_owned(), format!("pid {pid} uid {uid}: {why}"))
        }
        EventKind::Policy { generation } => {
            happened("policy", format!("generation {generation}"), String::new())
        }
        EventKind::GrantEnded { address, port } => {
            Entry { port: Some(port), ..happened("ended", address.to_string(), "its time was up".to_owned()) }
        }
        EventKind::AgentStarted { pid } => happened("started", format!("pid {pid}"), String::new()),
        EventKind::AgentExited { code } => happened("exited", format!("code {code}"), String::new()),
    })
}

/// A use of what an agent is lent, or an attempt.
pub fn of_lent(line: &str) -> Option<Entry> {
    let used: Use = serde_json::from_str(line).ok()?;
    let host = if used.host.is_empty() { "-".to_owned() } else { used.host };
    let verdict = if used.granted { "allow" } else { "deny" };
    Some(Entry {
        proto: used.what,
        port: used.port,
        detail: used.detail,
        ..Entry::new(used.time, "lent", verdict, host)
    })
}

/// A line of CoreDNS's log with Docker's time before it, if it is about this agent:
/// `TIME [INFO] clawker-dns POLICY policy|open ADDRESS TYPE RCODE NAME`.
pub fn of_dns(line: &str, agent: Ipv4Addr) -> Option<Entry> {
    let (time, rest) = line.split_once(' ')?;
    let at = rest.find(DNS_MARK)?;
    let mut words = rest.get(at + DNS_MARK.len()..)?.split_whitespace();
    let _policy = words.next()?;
    let zone = words.next()?;
    if words.next()? != agent.to_string() {
        return None;
    }
    let (kind, code) = (words.next()?, words.next()?);
    // The rest is the name, spaces and all.
    let name = words.collect::<Vec<_>>().join(" ");
    let verdict = if code == "NXDOMAIN" && zone == "policy" { "deny" } else { "allow" };
    let detail = if zone == "open" { format!("{code} {OPEN}") } else { code.to_owned() };
    Some(Entry {
        proto: kind.to_owned(),
        detail,
        ..Entry::new(millis(time)?, "dns", verdict, name.trim_end_matches('.').to_owned())
    })
}

/// A line of Envoy's access log with Docker's time before it, if it is about this agent.
pub fn of_proxy(line: &str, agent: Ipv4Addr) -> Option<Entry> {
    let (time, rest) = line.split_once(' ')?;
    let value: serde_json::Value = serde_json::from_str(rest.trim()).ok()?;
    let text = |key: &str| match value.get(key) {
        Some(serde_json::Value::String(text)) if text != "-" => Some(text.clone()),
        Some(serde_json::Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    if text("agent")? != agent.to_string() {
        return None;
    }
    let detail = [text("method"), text("path"), text("status"), text("flags"), text("rule")];
    let target = text("name").unwrap_or_else(|| "(no name)".to_owned());
    Some(Entry {
        proto: text("proto").unwrap_or_else(|| "-".to_owned()),
        port: text("port").and_then(|port| port.parse().ok()),
        method: text("method"),
        path: text("path"),
        detail: detail.into_iter().flatten().collect::<Vec<_>>().join(" "),
        ..Entry::new(millis(time)?, "proxy", &text("verdict")?, target)
    })
}

/// Milliseconds since 1970 of `2026-11-25T13:57:06.123456789Z`.
pub fn millis(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| time.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fraction: String = time.get(20..)?.chars().take_while(char::is_ascii_digit).take(3).collect();
    let thousandths = format!("{fraction:0<3}").parse::<u64>().ok()?;
    // Days from 1970, by counting years from March so that a leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day).checked_sub(719_469)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + thousandths)
}

/// The time of day, UTC.
fn clock(time: u64) -> String {
    let seconds = time / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, time % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 9);

    #[test]
    fn docker_s_times_are_read() {
        assert_eq!(millis("1970-01-01T00:00:00.000000000Z"), Some(0));
        assert_eq!(millis("2000-02-29T12:34:56.789012345Z"), Some(951_827_696_789));
        assert_eq!(millis("2026-11-25T13:57:06.5Z"), Some(1_795_615_026_500));
        assert_eq!(millis("nonsense"), None);
        assert_eq!(clock(1_795_615_026_500), "13:57:06.500");
    }

    #[test]
    fn a_name_that_does_not_exist_is_a_denial_of_this_agent_only() {
        let line =
            "2026-11-25T13:57:06.5Z [INFO] clawker-dns ab12 policy 172.20.0.9 A NXDOMAIN evil.example.";
        let entry = of_dns(line, AGENT).unwrap();
        assert_eq!((entry.verdict.as_str(), entry.target.as_str()), ("deny", "evil.example"));
        assert_eq!(of_dns(line, Ipv4Addr::new(172, 20, 0, 1)), None);
        let open = line.replace(" policy ", " open ");
        assert!(!of_dns(&open, AGENT).unwrap().is_denial());
        assert_eq!(of_dns("2026-11-25T13:57:06.5Z CoreDNS-1.15.0", AGENT), None);
    }

    #[test]
    fn a_line_of_the_proxy_needs_the_agent_s_address() {
        let line = r#"2026-11-25T13:57:06.5Z {"log":"clawker-envoy","agent":"172.20.0.9","verdict":"deny","proto":"tls","name":"evil.example","port":443}"#;
        let entry = of_proxy(line, AGENT).unwrap();
        assert!(entry.is_denial());
        assert_eq!((entry.target.as_str(), entry.port), ("evil.example", Some(443)));
        assert_eq!(of_proxy(line, Ipv4Addr::new(172, 20, 0, 1)), None);
        assert_eq!(of_proxy("2026-11-25T13:57:06.5Z [info] starting", AGENT), None);
    }

    #[test]
    fn init_s_denials_keep_their_class_and_whose_they_were() {
        let line = r#"{"time":5,"event":"denied","class":"udp","proto":"udp","destination":"198.51.100.9","port":53,"uid":1001}"#;
        let entry = of_init(line).unwrap();
        assert!(entry.is_denial());
        assert_eq!((entry.port, entry.detail.as_str(), entry.uid), (Some(53), "udp", Some(1001)));
        assert_eq!(entry.cells()[6], "udp; uid 1001");
        let untold = of_init(&line.replace(",\"uid\":1001", "")).unwrap();
        assert_eq!(untold.cells()[6], "udp");
    }
}
