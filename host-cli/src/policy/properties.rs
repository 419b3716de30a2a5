//! What must hold for any policy and any request.

use proptest::prelude::*;

use super::*;
use crate::config::{RawPathRule, RawRule};

const NAMES: [&str; 6] = ["a.test", "b.a.test", "c.b.a.test", ".a.test", ".b.a.test", "other.test"];
const HOSTS: [&str; 8] =
    ["a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "x.a.test", "other.test", "xa.test", "test"];
const PATHS: [&str; 6] = ["/a", "/a/", "/a/b", "/a/b/c", "/d", "/"];

fn any_path_rule() -> impl Strategy<Value = RawPathRule> {
    (0..PATHS.len(), any::<bool>(), any::<bool>()).prop_map(|(path, deny, only_post)| RawPathRule {
        path: PATHS[path].to_owned(),
        methods: if only_post { vec!["POST".to_owned()] } else { Vec::new() },
        action: Some(if deny { "deny" } else { "allow" }.to_owned()),
    })
}

fn any_rule() -> impl Strategy<Value = (RawRule, Layer)> {
    let paths = prop::option::of((prop::collection::vec(any_path_rule(), 0..4), any::<bool>()));
    (0..NAMES.len(), any::<bool>(), paths, 0..4usize).prop_map(|(name, deny, paths, layer)| {
        let paths = paths.filter(|_| !deny);
        let raw = RawRule {
            dst: NAMES[name].to_owned(),
            action: Some(if deny { "deny" } else { "allow" }.to_owned()),
            path_default: paths.as_ref().map(|(_, open)| if *open { "allow" } else { "deny" }.to_owned()),
            path_rules: paths.map(|(rules, _)| rules),
            ..RawRule::default()
        };
        (raw, [Layer::User, Layer::Project, Layer::Cli, Layer::Agent][layer])
    })
}

/// A policy's rules; of two with one key in one layer the first.
fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    prop::collection::vec(any_rule(), 0..8).prop_map(|list| {
        let mut rules: Vec<Rule> = Vec::new();
        for (raw, layer) in list {
            let rule = Rule::parse(&raw, layer, "here").unwrap();
            if rules.iter().all(|other| other.layer != layer || other.key() != rule.key()) {
                rules.push(rule);
            }
        }
        rules
    })
}

fn allows(rules: &[Rule], host: &str, method: &str, path: &str) -> bool {
    let policy = Policy::new(rules.to_vec()).unwrap();
    let request = Request { host, proto: Proto::Tls, port: 443, http: Some((method, path)) };
    policy.judge(&request).action() == Action::Allow
}

fn each(mut check: impl FnMut(&str, &str, &str) -> Result<(), TestCaseError>) -> Result<(), TestCaseError> {
    for host in HOSTS {
        for path in PATHS {
            for method in ["GET", "POST"] {
                check(host, method, path)?;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rules_says_nothing(rules in any_rules()) {
        let backwards: Vec<Rule> = rules.iter().rev().cloned().collect();
        each(|host, method, path| {
            prop_assert_eq!(allows(&rules, host, method, path), allows(&backwards, host, method, path));
            Ok(())
        })?;
    }

    #[test]
    fn one_more_deny_of_a_name_opens_nothing(rules in any_rules(), name in 0..NAMES.len()) {
        let raw = RawRule {
            dst: NAMES[name].to_owned(),
            action: Some("deny".to_owned()),
            ..RawRule::default()
        };
        let deny = Rule::parse(&raw, Layer::Telemetry, "there").unwrap();
        let more: Vec<Rule> = rules.iter().cloned().chain([deny]).collect();
        each(|host, method, path| {
            prop_assert!(allows(&rules, host, method, path) || !allows(&more, host, method, path));
            Ok(())
        })?;
    }

    #[test]
    fn what_the_user_denies_no_rule_opens(rules in any_rules(), name in 0..NAMES.len()) {
        let raw = RawRule {
            dst: NAMES[name].to_owned(),
            action: Some("deny".to_owned()),
            ..RawRule::default()
        };
        let deny = Rule::parse(&raw, Layer::User, "settings").unwrap();
        let others = rules.iter().filter(|rule| rule.layer != Layer::User);
        let all: Vec<Rule> = others.cloned().chain([deny.clone()]).collect();
        each(|host, method, path| {
            prop_assert!(!deny.dst.covers(host) || !allows(&all, host, method, path));
            Ok(())
        })?;
    }

    #[test]
    fn no_escape_of_a_letter_opens_a_denied_path(
        rules in prop::collection::vec(any_path_rule(), 0..5),
        open in any::<bool>(),
        path in 0..PATHS.len(),
        at in 1..6usize,
        twice in any::<bool>(),
    ) {
        let default = if open { "allow" } else { "deny" };
        let paths = Paths::parse(Some(&rules), Some(default)).unwrap().unwrap();
        let plain = PATHS[path];
        if let Some(byte) = plain.as_bytes().get(at).filter(|byte| **byte != b'/') {
            let percent = if twice { "%25" } else { "%" };
            let odd = format!("{}{percent}{byte:02x}{}", &plain[..at], &plain[at + 1..]);
            for method in ["GET", "POST"] {
                let denied = paths.decide(method, plain).action() == Action::Deny;
                prop_assert!(!denied || paths.decide(method, &odd).action() == Action::Deny, "{}", odd);
            }
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(path in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = readings(&path);
        let _ = readings(&format!("/{}", String::from_utf8_lossy(&bytes)));
        let _ = Pattern::parse(&path);
    }
}
