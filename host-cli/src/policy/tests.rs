//! Which rule wins.

use std::net::IpAddr;

use clawker_protocol::enforcement::Direct;
use ipnet::IpNet;

use super::*;
use crate::config::RawRule;

fn rule_in(layer: Layer, text: &str) -> Result<Rule, RuleError> {
    let words: Vec<&str> = text.split(' ').collect();
    let word = |at: usize| words.get(at).filter(|word| **word != "-").map(|word| (*word).to_owned());
    let port = word(3).and_then(|port| port.parse().ok());
    let dst = word(1).unwrap_or_default();
    let raw = RawRule { dst, proto: word(2), port, action: word(0), ..RawRule::default() };
    Rule::parse(&raw, layer, text)
}

fn rule(text: &str) -> Rule {
    rule_in(Layer::Project, text).unwrap()
}

fn policy(rules: &[&str]) -> Policy {
    Policy::new(rules.iter().map(|text| rule(text))).unwrap()
}

#[test]
fn the_most_specific_destination_wins_and_deny_among_equals() {
    let rules = [
        "deny .example.com -",
        "allow api.example.com -",
        "allow .deep.example.com -",
        "deny x.deep.example.com -",
        "allow plain.test http",
        "allow other.test tls 8443",
    ];
    for order in [rules.to_vec(), rules.iter().rev().copied().collect()] {
        let policy = policy(&order);
        for (name, proto, port, expected) in [
            ("api.example.com", Proto::Tls, 443, Some(Action::Allow)),
            ("API.Example.com.", Proto::Tls, 443, Some(Action::Allow)),
            ("www.example.com", Proto::Tls, 443, Some(Action::Deny)),
            ("example.com", Proto::Tls, 443, Some(Action::Deny)),
            ("a.deep.example.com", Proto::Tls, 443, Some(Action::Allow)),
            ("x.deep.example.com", Proto::Tls, 443, Some(Action::Deny)),
            ("y.x.deep.example.com", Proto::Tls, 443, Some(Action::Allow)),
            ("evilexample.com", Proto::Tls, 443, None),
            ("plain.test", Proto::Http, 80, Some(Action::Allow)),
            ("plain.test", Proto::Tls, 443, None),
            ("other.test", Proto::Tls, 443, None),
            ("other.test", Proto::Tls, 8443, Some(Action::Allow)),
            ("api.anthropic.com", Proto::Tls, 443, Some(Action::Allow)),
            ("statsig.com", Proto::Tls, 443, None),
        ] {
            assert_eq!(policy.decide(name, proto, port).map(|one| one.action), expected, "{name} {port}");
        }
    }
}

#[test]
fn a_deny_in_any_layer_closes_what_the_floor_opens() {
    let policy = Policy::new([rule_in(Layer::Agent, "deny api.anthropic.com -").unwrap()]).unwrap();
    let decision = policy.decide("api.anthropic.com", Proto::Tls, 443).unwrap();
    assert_eq!(policy.rule_of(decision).unwrap().layer, Layer::Agent);
}

#[test]
fn the_same_key_twice_in_a_layer_names_both_places() {
    let error = Policy::new([rule("allow a.test -"), rule("deny a.test -")]).unwrap_err().to_string();
    assert!(error.contains("allow a.test -") && error.contains("deny a.test -"), "{error}");
}

#[test]
fn a_port_of_a_name_speaks_one_protocol() {
    let error =
        Policy::new([rule("allow a.test tls 443"), rule("deny a.test tcp 443")]).unwrap_err().to_string();
    assert!(error.contains("two protocols"), "{error}");
    assert!(Policy::new([rule("allow a.test tls 443"), rule("allow .a.test http 443")]).is_ok());
}

#[test]
fn what_can_t_be_enforced_is_refused() {
    for text in [
        "allow a.test udp 53",
        "allow a.test tcp",
        "allow .a.test ssh",
        "allow .a.test tcp 5432",
        "allow a.test tls 9000-9256",
        "permit a.test tls",
        "allow a.test quic",
    ] {
        assert!(rule_in(Layer::Project, text).is_err(), "{text}");
    }
}

#[test]
fn listed_addresses_lose_what_is_denied_and_what_no_rule_may_open() {
    let own: IpNet = "172.20.0.0/16".parse().unwrap();
    let opens = |list: &[Direct], address: &str, port: u16| {
        let address: IpAddr = address.parse().unwrap();
        list.iter().any(|direct| direct.net.contains(&address) && direct.ports.contains(port))
    };
    let list = direct(
        &policy(&[
            "allow 0.0.0.0/0 tcp 443",
            "allow 10.0.0.0/8 tcp 5000-6000",
            "deny 10.1.0.0/16 tcp 5432",
            "allow 10.1.2.0/24 tcp 5432",
        ]),
        own,
    );
    for (address, port, expected) in [
        ("8.8.8.8", 443, true),
        ("8.8.8.8", 80, false),
        ("127.0.0.1", 443, false),
        ("127.0.0.11", 443, false),
        ("169.254.169.254", 443, false),
        ("198.18.0.5", 443, false),
        ("172.20.0.2", 443, false),
        ("172.21.0.2", 443, true),
        ("10.2.0.1", 5432, true),
        ("10.1.9.9", 5432, false),
        ("10.1.9.9", 5433, true),
        ("10.1.9.9", 5431, true),
        ("10.1.2.3", 5432, true),
    ] {
        assert_eq!(opens(&list, address, port), expected, "{address}:{port}");
    }
}
