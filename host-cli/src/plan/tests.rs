//! What resolves, and where it leads.

use super::*;
use crate::config::RawRule;
use crate::policy::{Layer, Rule};

pub(crate) fn policy(rules: &[&str]) -> Policy {
    let rules = rules.iter().map(|text| {
        let mut words = text.split(' ').map(str::to_owned);
        let (action, dst, proto) = (words.next(), words.next().unwrap(), words.next());
        let port = words.next().map(|port| port.parse().unwrap());
        Rule::parse(&RawRule { dst, proto, port, action, ..RawRule::default() }, Layer::Project, *text)
            .unwrap()
    });
    Policy::new(rules).unwrap()
}

pub(crate) fn plan(rules: &[&str]) -> Plan {
    let upstream = [Ipv4Addr::new(198, 51, 100, 10)];
    let owner =
        Owner { id: "0a1b2c3d", project_dir: "/p".as_ref(), upstream_dns: &upstream, extra_ca_pem: "" };
    let mut plan = Plan::new(owner, &policy(rules), &mut Alloc::default()).unwrap();
    plan.generation = 7;
    plan
}

/// The checked-in file of this name; `CLAWKER_WRITE_EXPECTED=1` writes it anew, to be read before it is committed.
pub(crate) fn expected(name: &str, actual: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("CLAWKER_WRITE_EXPECTED").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    std::fs::read_to_string(path).unwrap()
}

/// A resolver as RFC 4592 has it: the closest existing name's own wildcard, and no other.
fn resolve(plan: &Plan, question: &str) -> Option<Ipv4Addr> {
    let find = |name: &str| plan.zone.iter().find(|answer| answer.name == name);
    if let Some(answer) = find(question) {
        return answer.address;
    }
    let exists = |name: &str| {
        plan.zone.iter().any(|answer| answer.name == name || answer.name.ends_with(&format!(".{name}")))
    };
    let mut name = question;
    if exists(name) {
        return None;
    }
    while let Some((_, rest)) = name.split_once('.') {
        if exists(rest) {
            return find(&format!("*.{rest}")).and_then(|answer| answer.address);
        }
        name = rest;
    }
    None
}

#[test]
fn a_name_resolves_exactly_where_a_rule_lets_it_be_reached() {
    let rules = [
        "allow .example.com tls",
        "allow api.example.com http",
        "deny .deep.example.com tls",
        "allow in.deep.example.com tls",
        "deny a.b.c.example.com tls",
        "deny shut.example.com tls",
        "deny odd.example.com tls 8443",
        "allow ent.deep.below.example.com tls",
        "deny lonely.test tls",
        "allow only.below.test tls",
    ];
    let (plan, policy) = (plan(&rules), policy(&rules));
    for name in [
        "example.com",
        "www.example.com",
        "a.www.example.com",
        "api.example.com",
        "x.api.example.com",
        "deep.example.com",
        "x.deep.example.com",
        "in.deep.example.com",
        "x.in.deep.example.com",
        "c.example.com",
        "b.c.example.com",
        "a.b.c.example.com",
        "x.a.b.c.example.com",
        "x.b.c.example.com",
        "shut.example.com",
        "x.shut.example.com",
        "odd.example.com",
        "x.odd.example.com",
        "deep.below.example.com",
        "below.example.com",
        "x.below.example.com",
        "x.deep.below.example.com",
        "lonely.test",
        "x.lonely.test",
        "below.test",
        "x.below.test",
        "x.only.below.test",
        "com",
        "test",
        "evilexample.com",
        "claude.com",
        "x.claude.com",
    ] {
        let reachable = policy.doors().any(|(proto, port)| {
            policy.decide(name, proto, port).is_some_and(|one| one.action == Action::Allow)
        });
        assert_eq!(resolve(&plan, name).is_some(), reachable, "{name}: {:#?}", plan.zone);
    }
}

#[test]
fn a_name_leads_to_every_port_that_it_may_reach_and_no_other() {
    let plan = plan(&[
        "allow git.test ssh",
        "allow git.test tls",
        "allow db.test tcp 5432",
        "allow .web.test http",
        "deny db.test tcp 5433",
        "allow api.web.test tls 8443",
    ]);
    let leads = |name: &str, port: u16| {
        let address = resolve(&plan, name).unwrap();
        plan.services
            .iter()
            .find(|service| service.address == address && service.port == port)
            .map(|one| one.listener)
    };
    let judged = |proto, port| {
        plan.judged.iter().find(|one| one.proto == proto && one.port == port).map(|one| one.listener)
    };
    let stream = |name: &str| plan.streams.iter().find(|one| one.name == name).map(|one| one.listener);
    assert_eq!(leads("git.test", 22), stream("git.test"));
    assert_eq!(leads("git.test", 443), judged(Proto::Tls, 443));
    assert_eq!(leads("db.test", 5432), stream("db.test"));
    assert_eq!((leads("db.test", 5433), leads("db.test", 443)), (None, None));
    assert_eq!(leads("x.web.test", 80), judged(Proto::Http, 80));
    assert_eq!(leads("api.web.test", 8443), judged(Proto::Tls, 8443));
    assert_eq!(leads("api.web.test", 80), judged(Proto::Http, 80), "the wildcard lends it");
    assert_ne!(resolve(&plan, "api.web.test"), resolve(&plan, "x.web.test"));
}

#[test]
fn ten_thousand_names_take_no_time_to_speak_of() {
    let rules: Vec<String> = (0..10_000).map(|number| format!("allow n{number}.example.com tls")).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let begin = std::time::Instant::now();
    assert_eq!(plan(&rules).zone.len(), 10_006);
    assert!(begin.elapsed() < std::time::Duration::from_secs(20));
}
