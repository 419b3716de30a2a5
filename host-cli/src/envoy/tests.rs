//! The configuration is as written down.

use super::*;
use crate::plan::tests::{expected, plan};

const RULES: [&str; 6] = [
    "allow .example.com tls",
    "deny shut.example.com tls",
    "allow plain.test http",
    "allow .web.test http 8080",
    "allow git.test ssh",
    "allow db.test tcp 5432",
];

#[test]
fn the_configuration_is_as_written_down() {
    let resources = resources(&[plan(&RULES)], &Secrets::default());
    let routes: Vec<&Value> = resources.routes.iter().map(|(_, routes)| routes).collect();
    for (name, actual) in [
        ("envoy-bootstrap.json", bootstrap()),
        ("envoy-clusters.json", json!(resources.clusters)),
        ("envoy-listeners.json", json!(resources.listeners)),
        ("envoy-routes.json", json!(routes)),
    ] {
        let actual = format!("{}\n", serde_json::to_string_pretty(&without_script(actual)).unwrap());
        let expected = expected(name, &actual);
        let first = actual.lines().zip(expected.lines()).position(|(now, then)| now != then);
        assert!(actual == expected, "{name} changed at line {:?}", first.map(|line| line + 1));
    }
}

/// The script has tests of its own.
fn without_script(mut value: Value) -> Value {
    match &mut value {
        Value::String(text) if text.contains("function envoy_on_request") => {
            *text = text.lines().take(1).chain(["judge.lua"]).collect::<Vec<_>>().join("\n");
        }
        Value::Array(list) => list.iter_mut().for_each(|one| *one = without_script(one.take())),
        Value::Object(map) => map.values_mut().for_each(|one| *one = without_script(one.take())),
        _ => {}
    }
    value
}

#[test]
fn a_rule_change_touches_no_chain() {
    let chains = |rules: &[&str]| {
        let listeners = resources(&[plan(rules)], &Secrets::default()).listeners;
        let of_443 = listeners
            .into_iter()
            .find(|one| one["name"].as_str().is_some_and(|name| name.starts_with("tls")));
        of_443.unwrap()["filter_chains"].clone()
    };
    assert_eq!(chains(&["allow a.test tls"]), chains(&["allow b.test tls", "deny .c.test tls"]));
}

/// What is left out of a check is names that are led as others are, and nothing else.
#[test]
fn a_check_has_every_chain_route_and_form_of_entry_and_few_names() {
    let names: Vec<String> = (0..100).map(|number| format!("allow n{number}.test tls")).collect();
    let mut rules: Vec<&str> = RULES.to_vec();
    rules.extend(names.iter().map(String::as_str));
    let plan = plan(&rules);
    for judged in &plan.judged {
        let (whole, sample) = (judged, tls::sample(judged));
        let of = |one: &Judged| judging(&plan, one, http::inline(&plan, one), Source::Files);
        let (whole, sample) = (of(whole), of(&sample));
        assert_eq!(whole["filter_chains"], sample["filter_chains"]);
        let matcher = |listener: &Value| listener["filter_chain_matcher"].clone();
        let map = |listener: &Value| matcher(listener)["matcher_tree"]["exact_match_map"]["map"].clone();
        assert_eq!(matcher(&whole)["on_no_match"], matcher(&sample)["on_no_match"]);
        let entries = |map: &Value| -> std::collections::BTreeSet<String> {
            map.as_object().into_iter().flatten().map(|(_, entry)| entry.to_string()).collect()
        };
        assert_eq!(entries(&map(&whole)), entries(&map(&sample)));
        assert!(map(&sample).as_object().is_none_or(|map| map.len() < 10), "{sample}");
    }
    assert_eq!(plan.judged.iter().filter(|judged| judged.exact.len() > 100).count(), 1);
}

#[test]
fn the_version_follows_the_content() {
    let one = file(Kind::Cluster, vec![json!({"name": "a"})]);
    assert_eq!(one, file(Kind::Cluster, vec![json!({"name": "a"})]));
    assert_ne!(one.version, file(Kind::Cluster, vec![json!({"name": "b"})]).version);
    assert!(one.text.contains("envoy.config.cluster.v3.Cluster"));
}
