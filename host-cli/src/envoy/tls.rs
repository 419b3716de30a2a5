//! The listener that judges TLS by its SNI. What is to be looked into is opened; the rest is passed on as it came. Its
//! chains change only with the kinds of dialling that rules ask for; what changes with the names is the matcher that
//! chooses between them, so that no such change drains a connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::secrets::{self, Source};
use super::{NOWHERE, cluster, http, listener, typed};
use crate::plan::{Dial, Door, Judged, Plan};
use crate::policy::{Action, Proto};

/// The chains' names; the access log's verdict. A kind of dialling stands behind the first.
const PASS: &str = "allow";
const DENY: &str = "deny";
const INSPECT: &str = "inspect";
/// Names as hosts have them (RFC 1123, and the underscore): what else a label may hold is no host's.
const HOST_NAME: &str = r"([a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}";

/// The listener, with its routes and secrets from these sources.
pub fn listener(plan: &Plan, judged: &Judged, routes: (&str, Value), secrets: Source<'_>) -> Value {
    let mut listener = listener::frame(plan, "tls", judged.port, judged.listener, None);
    listener["listener_filters"] = json!([{
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", json!({})),
    }]);
    listener["filter_chain_matcher"] = matcher(judged);
    let mut chains: Vec<Value> =
        passes(judged).into_iter().map(|(name, dial)| pass(plan, judged, &name, &dial)).collect();
    chains.push(json!({
        "name": INSPECT,
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": typed(
                "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                json!({"common_tls_context": tls(plan, secrets)}),
            ),
        },
        "transport_socket_connect_timeout": "10s",
        "filters": [http::manager(plan, judged, routes)],
    }));
    chains.push(json!({"name": DENY, "filters": [listener::proxy(NOWHERE, judged.listener)]}));
    listener["filter_chains"] = json!(chains);
    listener
}

fn tls(plan: &Plan, secrets: Source<'_>) -> Value {
    let mut context = secrets::certificates(plan, secrets);
    context["alpn_protocols"] = json!(["h2", "http/1.1"]);
    context["tls_params"] = json!({"tls_minimum_protocol_version": "TLSv1_2"});
    context
}

/// The kinds of dialling, by their chains' names. The plain one is always there.
fn passes(judged: &Judged) -> BTreeMap<String, Dial> {
    let below = judged.below.iter().map(|(_, door)| door);
    let doors = judged.exact.values().chain(below);
    let passed = doors.filter(|door| door.action == Action::Allow && !door.inspect);
    let mut passes: BTreeMap<String, Dial> = passed.map(|door| (chain_of(door), door.dial.clone())).collect();
    passes.insert(PASS.to_owned(), Dial::default());
    passes
}

fn pass(plan: &Plan, judged: &Judged, name: &str, dial: &Dial) -> Value {
    let instead = dial.name.iter().map(|name| listener::dial_instead(name, judged.port));
    let onwards =
        [listener::dial(plan, judged.port), listener::proxy(&cluster::name(plan, dial), judged.listener)];
    let filters: Vec<Value> = instead.chain(onwards).collect();
    json!({"name": name, "filters": filters})
}

/// The chain that a name is led to.
fn chain_of(door: &Door) -> String {
    match door {
        Door { action: Action::Deny, .. } => DENY.to_owned(),
        Door { inspect: true, .. } => INSPECT.to_owned(),
        Door { dial, .. } => {
            let space = dial.private.as_ref().map(|private| format!(" private {}", private.tos));
            let name = dial.name.as_ref().map(|name| format!(" as {name}"));
            format!("{PASS}{}{}", space.unwrap_or_default(), name.unwrap_or_default())
        }
    }
}

/// A listener that has every form of entry and every chain, route and certificate, and of the exact names that are passed
/// on or refused unopened one for each chain. The others differ in the matcher's key alone, in which Envoy takes any text.
pub fn sample(judged: &Judged) -> Judged {
    let mut seen = BTreeSet::new();
    let has_routes = |door: &Door| judged.proto == Proto::Http || door.inspect;
    let exact = judged.exact.iter().filter(|(_, door)| has_routes(door) || seen.insert(chain_of(door)));
    let exact = exact.map(|(name, door)| (name.clone(), door.clone())).collect();
    let below = judged.below.clone();
    Judged { proto: judged.proto, port: judged.port, listener: judged.listener, exact, below }
}

/// Exact names first, then wildcards from the closest on, then no. Of thousands of names all but a few lead to the same
/// chains, and a large value is moved, never given to `json!`, which copies it.
fn matcher(judged: &Judged) -> Value {
    let mut chains: HashMap<String, Value> = HashMap::new();
    let mut lead = |door: &Door| {
        let chain = chain_of(door);
        chains.entry(chain).or_insert_with_key(|chain| choose(chain)).clone()
    };
    let mut exact: Map<String, Value> =
        judged.exact.iter().map(|(name, door)| (name.clone(), lead(door))).collect();
    for (name, door) in &judged.below {
        exact.entry(name.clone()).or_insert_with(|| lead(door));
    }
    // Below a wildcard the agent chooses, and what it chooses is asked of a resolver.
    let odd = json!({
        "predicate": {"not_matcher": {"single_predicate": {
            "input": server_name(),
            "value_match": {"safe_regex": {"google_re2": {}, "regex": HOST_NAME}},
        }}},
        "on_match": choose(DENY),
    });
    let below: Vec<Value> = std::iter::once(odd)
        .chain(judged.below.iter().map(|(name, door)| {
            json!({
                "predicate": {"single_predicate": {
                    "input": server_name(),
                    "value_match": {"suffix": format!(".{name}")},
                }},
                "on_match": lead(door),
            })
        }))
        .collect();
    let otherwise = if judged.below.is_empty() {
        choose(DENY)
    } else {
        json!({"matcher": {"matcher_list": {"matchers": below}, "on_no_match": choose(DENY)}})
    };
    if exact.is_empty() {
        return json!({"on_no_match": otherwise});
    }
    let mut matcher = json!({
        "matcher_tree": {"input": server_name(), "exact_match_map": {}},
        "on_no_match": otherwise,
    });
    matcher["matcher_tree"]["exact_match_map"]["map"] = Value::Object(exact);
    matcher
}

fn server_name() -> Value {
    json!({
        "name": "sni",
        "typed_config": typed("envoy.extensions.matching.common_inputs.network.v3.ServerNameInput", json!({})),
    })
}

fn choose(chain: &str) -> Value {
    json!({"action": {"name": chain, "typed_config": typed("google.protobuf.StringValue", json!({"value": chain}))}})
}
