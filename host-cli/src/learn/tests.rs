//! What is learnt, and what is not.

use super::*;
use crate::config::RawRule;
use crate::flowlog::{of_dns, of_init, of_proxy};
use crate::policy::Rule;
use std::net::Ipv4Addr;

const AGENT: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 9);

/// `second zone type code name`.
fn dns(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let [second, zone, kind, code, name] = words[..] else { panic!("{line}") };
    let line =
        format!("1970-01-01T00:00:{second:0>2}.0Z [INFO] clawker-dns p {zone} {AGENT} {kind} {code} {name}.");
    of_dns(&line, AGENT).unwrap()
}

/// `second event address port`.
fn flow(line: &str) -> Entry {
    let words: Vec<&str> = line.split(' ').collect();
    let [second, event, address, port] = words[..] else { panic!("{line}") };
    let class = if event == "denied" { r#","class":"tcp""# } else { "" };
    let line = format!(
        r#"{{"time":{second}000,"event":"{event}"{class},"proto":"tcp","destination":"{address}","port":{port}}}"#
    );
    of_init(&line).unwrap()
}

fn proxy(verdict: &str, proto: &str, name: &str, port: u16) -> Entry {
    let line = format!(
        r#"1970-01-01T00:00:09.0Z {{"agent":"{AGENT}","verdict":"{verdict}","proto":"{proto}","name":"{name}","port":{port}}}"#
    );
    of_proxy(&line, AGENT).unwrap()
}

fn policy() -> Policy {
    let rule = |dst: &str, action: &str, layer| {
        let raw = RawRule { dst: dst.into(), action: Some(action.into()), ..RawRule::default() };
        Rule::parse(&raw, layer, "settings.yaml:3").unwrap()
    };
    Policy::new([
        rule("listed.example", "allow", Layer::Cli),
        rule(".wild.example", "allow", Layer::Cli),
        rule(".never.example", "deny", Layer::User),
        rule("shut.example", "deny", Layer::Project),
    ])
    .unwrap()
}

fn learnt(entries: &[Entry]) -> Vec<(String, Ground)> {
    let own = "172.20.0.0/16".parse().ok();
    let learned = learn(entries, &policy(), own);
    learned.proposals.iter().map(|one| (one.command(None), one.ground)).collect()
}

fn commands(commands: &[(&str, Ground)]) -> Vec<(String, Ground)> {
    commands.iter().map(|(text, ground)| (format!("clawker firewall add {text}"), *ground)).collect()
}

#[test]
fn a_name_that_did_not_exist_is_taken_for_a_site_and_said_to_be() {
    let entries = [
        dns("1 policy A NXDOMAIN a.new.example"),
        dns("1 policy AAAA NXDOMAIN a.new.example"),
        dns("2 policy A NXDOMAIN b.new.example"),
        dns("2 policy TXT NXDOMAIN told.example"),
        dns("2 policy A NXDOMAIN search"),
    ];
    let expected = [("a.new.example", Ground::PortAssumed), ("b.new.example", Ground::PortAssumed)];
    assert_eq!(learnt(&entries), commands(&expected), "and no wildcard for the two");
}

#[test]
fn what_was_seen_says_protocol_and_port() {
    let mut virtual_address = flow("4 denied 198.18.0.7 22");
    virtual_address.name = Some("git.example".to_owned());
    let entries = [
        dns("1 policy A NXDOMAIN plain.example"),
        proxy("deny", "http", "plain.example:8080", 8080),
        proxy("deny", "tls", "odd.example", 8443),
        virtual_address,
        flow("5 denied 203.0.113.9 5432"),
        flow("5 denied 172.20.0.3 10001"),
    ];
    let expected = [
        ("203.0.113.9 --proto tcp --port 5432", Ground::Seen),
        ("git.example --proto ssh", Ground::Seen),
        ("odd.example --port 8443", Ground::Seen),
        ("plain.example --proto http --port 8080", Ground::Seen),
    ];
    assert_eq!(learnt(&entries), commands(&expected));
}

#[test]
fn a_bypass_joins_addresses_with_the_names_asked_for_before() {
    let entries = [
        dns("1 open A NOERROR git.example"),
        dns("1 open AAAA NOERROR git.example"),
        flow("2 opened 203.0.113.1 22"),
        dns("3 open A NOERROR site.example"),
        flow("4 opened 203.0.113.2 443"),
        flow("30 opened 203.0.113.1 22"),
        flow("40 opened 203.0.113.3 9000"),
        dns("41 open A NXDOMAIN typo.example"),
        dns("42 open A NOERROR listed.example"),
        flow("43 opened 203.0.113.4 443"),
    ];
    let expected =
        [("git.example --proto ssh", Ground::JoinedByTime), ("site.example", Ground::JoinedByTime)];
    assert_eq!(learnt(&entries), commands(&expected));
    let left = learn(&entries, &policy(), None).left_out;
    assert_eq!((left.len(), left[0].dst.as_str()), (1, "203.0.113.3"), "an address without a name");
}

#[test]
fn what_is_allowed_is_left_out_in_silence_and_what_is_denied_by_name() {
    let entries = [
        dns("1 policy A NXDOMAIN listed.example"),
        proxy("deny", "tls", "x.wild.example", 443),
        proxy("deny", "tls", "x.never.example", 443),
        proxy("deny", "tls", "shut.example", 443),
        flow("5 denied 169.254.169.254 80"),
    ];
    let learned = learn(&entries, &policy(), None);
    assert_eq!(learned.proposals, []);
    let left: Vec<(&str, bool)> =
        learned.left_out.iter().map(|one| (one.dst.as_str(), one.why.contains("settings.yaml:3"))).collect();
    assert_eq!(left, [("169.254.169.254", false), ("shut.example", true), ("x.never.example", true)]);
}

#[test]
fn a_name_with_anything_in_it_makes_no_command() {
    let entries = [
        proxy("deny", "tls", "a$(id).example", 443),
        proxy("deny", "http", "a.example;id", 80),
        proxy("deny", "tls", "(no name)", 443),
        proxy("deny", "tls", "--yes.example", 443),
    ];
    for (command, _) in learnt(&entries) {
        let word = command.strip_prefix("clawker firewall add ").unwrap();
        assert!(!word.contains(['$', ';', '(', ' ']) && !word.starts_with('-'), "{command}");
    }
}
