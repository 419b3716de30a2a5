//! The listener that judges TLS by its SNI and passes it on unopened. Its two chains never change; what changes is the
//! matcher that chooses between them, so that no rule change drains a connection.

use serde_json::{Map, Value, json};

use super::{NOWHERE, cluster, listener, typed};
use crate::plan::{Judged, Plan};
use crate::policy::Action;

/// The chains' names; the access log's verdict.
const PASS: &str = "allow";
const DENY: &str = "deny";

/// The listener.
pub fn listener(plan: &Plan, judged: &Judged) -> Value {
    let mut listener = listener::frame(plan, "tls", judged.port, judged.listener, None);
    listener["listener_filters"] = json!([{
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", json!({})),
    }]);
    listener["filter_chain_matcher"] = matcher(judged);
    listener["filter_chains"] = json!([
        {
            "name": PASS,
            "filters": [
                listener::dial(plan, judged.port),
                listener::proxy(&cluster::name(plan), judged.listener),
            ],
        },
        {"name": DENY, "filters": [listener::proxy(NOWHERE, judged.listener)]},
    ]);
    listener
}

/// Exact names first, then wildcards from the closest on, then no.
fn matcher(judged: &Judged) -> Value {
    let mut exact: Map<String, Value> =
        judged.exact.iter().map(|(name, action)| (name.clone(), choose(*action))).collect();
    for (name, action) in &judged.below {
        exact.entry(name.clone()).or_insert_with(|| choose(*action));
    }
    let below: Vec<Value> = judged
        .below
        .iter()
        .map(|(name, action)| {
            json!({
                "predicate": {"single_predicate": {
                    "input": server_name(),
                    "value_match": {"suffix": format!(".{name}")},
                }},
                "on_match": choose(*action),
            })
        })
        .collect();
    let otherwise = if below.is_empty() {
        choose(Action::Deny)
    } else {
        json!({"matcher": {"matcher_list": {"matchers": below}, "on_no_match": choose(Action::Deny)}})
    };
    if exact.is_empty() {
        return json!({"on_no_match": otherwise});
    }
    json!({
        "matcher_tree": {"input": server_name(), "exact_match_map": {"map": exact}},
        "on_no_match": otherwise,
    })
}

fn server_name() -> Value {
    json!({
        "name": "sni",
        "typed_config": typed("envoy.extensions.matching.common_inputs.network.v3.ServerNameInput", json!({})),
    })
}

fn choose(action: Action) -> Value {
    let chain = match action {
        Action::Allow => PASS,
        Action::Deny => DENY,
    };
    json!({"action": {"name": chain, "typed_config": typed("google.protobuf.StringValue", json!({"value": chain}))}})
}
