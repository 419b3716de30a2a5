//! The configuration is as written down.

use super::*;
use crate::plan::tests::plan;

/// The checked-in file of this name; `CLAWKER_WRITE_EXPECTED=1` writes it anew, to be read before it is committed.
pub(crate) fn expected(name: &str, actual: &Value) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected").join(name);
    if std::env::var_os("CLAWKER_WRITE_EXPECTED").is_some() {
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(actual).unwrap())).unwrap();
    }
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) const RULES: [&str; 6] = [
    "allow .example.com tls",
    "deny shut.example.com tls",
    "allow plain.test http",
    "allow .web.test http 8080",
    "allow git.test ssh",
    "allow db.test tcp 5432",
];

#[test]
fn the_configuration_is_as_written_down() {
    let resources = resources(&[plan(&RULES)]);
    let routes: Vec<&Value> = resources.routes.iter().map(|(_, routes)| routes).collect();
    for (name, actual) in [
        ("envoy-bootstrap.json", bootstrap()),
        ("envoy-clusters.json", json!(resources.clusters)),
        ("envoy-listeners.json", json!(resources.listeners)),
        ("envoy-routes.json", json!(routes)),
    ] {
        assert_eq!(expected(name, &actual), actual, "{name} changed; see CLAWKER_WRITE_EXPECTED");
    }
}

#[test]
fn a_rule_change_touches_no_chain() {
    let chains = |rules: &[&str]| {
        let listeners = resources(&[plan(rules)]).listeners;
        let of_443 = listeners
            .into_iter()
            .find(|one| one["name"].as_str().is_some_and(|name| name.starts_with("tls")));
        of_443.unwrap()["filter_chains"].clone()
    };
    assert_eq!(chains(&["allow a.test tls"]), chains(&["allow b.test tls", "deny .c.test tls"]));
}

#[test]
fn the_version_follows_the_content() {
    let one = file(Kind::Cluster, vec![json!({"name": "a"})]);
    assert_eq!(one, file(Kind::Cluster, vec![json!({"name": "a"})]));
    assert_ne!(one.version, file(Kind::Cluster, vec![json!({"name": "b"})]).version);
    assert!(one.text.contains("envoy.config.cluster.v3.Cluster"));
}
