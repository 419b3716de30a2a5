//! The listener that judges plain HTTP by its Host. The rules are a route table of its own, so that a change touches no
//! connection; what is refused gets 403 with the rule that would allow it.

use serde_json::{Value, json};

use super::{cluster, http_routes_file, listener, routes_name, typed, watched};
use crate::plan::{Judged, Plan};
use crate::policy::Action;

/// Where the routes come from.
pub fn from_file(listener: u16) -> (&'static str, Value) {
    let source =
        json!({"path_config_source": watched(&http_routes_file(listener)), "resource_api_version": "V3"});
    ("rds", json!({"route_config_name": routes_name(listener), "config_source": source}))
}

/// Likewise, in place.
pub fn inline(plan: &Plan, judged: &Judged) -> (&'static str, Value) {
    ("route_config", routes(plan, judged))
}

/// The listener, with its routes from this source.
pub fn listener(plan: &Plan, judged: &Judged, (source, routes): (&str, Value)) -> Value {
    let mut listener = listener::frame(plan, "http", judged.port, judged.listener, None);
    // The requests are logged, not the connections.
    listener["access_log"] = json!([]);
    let mut manager = json!({
        "stat_prefix": format!("http-{}", judged.listener),
        "codec_type": "AUTO",
        "server_header_transformation": "PASS_THROUGH",
        "strip_trailing_host_dot": true,
        "generate_request_id": false,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "0s",
        "common_http_protocol_options": {"idle_timeout": "3600s", "headers_with_underscores_action": "ALLOW"},
        "http_protocol_options": {"accept_http_10": false},
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "local_reply_config": refusal(judged.port),
        "access_log": access_log(plan, judged.port),
        "http_filters": [
            {
                "name": "envoy.filters.http.dynamic_forward_proxy",
                "typed_config": typed(
                    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
                    json!({"dns_cache_config": cluster::dns_cache(plan)}),
                ),
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": typed(
                    "envoy.extensions.filters.http.router.v3.Router",
                    json!({"suppress_envoy_headers": true}),
                ),
            },
        ],
    });
    manager[source] = routes;
    listener["filter_chains"] = json!([{
        "name": "http",
        "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": typed(
                "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                manager,
            ),
        }],
    }]);
    listener
}

/// The route table: a virtual host for each name, and one that refuses the rest.
pub fn routes(plan: &Plan, judged: &Judged) -> Value {
    let exact = judged.exact.iter().map(|(name, action)| (vec![name.clone()], name.clone(), *action));
    let below = judged.below.iter().map(|(name, action)| {
        let mut names = vec![format!("*.{name}")];
        if !judged.exact.contains_key(name) {
            names.push(name.clone());
        }
        (names, format!(".{name}"), *action)
    });
    let mut hosts: Vec<Value> = exact
        .chain(below)
        .map(|(names, label, action)| {
            let domains: Vec<String> = names.iter().flat_map(|name| with_port(name, judged.port)).collect();
            let route = if action == Action::Allow { forward(plan) } else { refuse() };
            json!({"name": label, "domains": domains, "routes": [route]})
        })
        .collect();
    hosts.push(json!({"name": "unlisted", "domains": ["*"], "routes": [refuse()]}));
    json!({"name": routes_name(judged.listener), "virtual_hosts": hosts, "ignore_port_in_host_matching": false})
}

/// The spellings of a Host that lead to the rule's port and to no other: the proxy dials the port that it names.
fn with_port(name: &str, port: u16) -> Vec<String> {
    if port == 80 { vec![name.to_owned(), format!("{name}:80")] } else { vec![format!("{name}:{port}")] }
}

fn forward(plan: &Plan) -> Value {
    json!({
        "name": "allow",
        "match": {"prefix": "/"},
        "route": {"cluster": cluster::name(plan), "timeout": "0s", "idle_timeout": "3600s"},
    })
}

fn refuse() -> Value {
    json!({"name": "deny", "match": {"prefix": "/"}, "direct_response": {"status": 403}})
}

/// What a refused request is answered with. Only Envoy's own 403 is: an upstream's passes as it is.
fn refusal(port: u16) -> Value {
    let port_option = if port == 80 { String::new() } else { format!(" --port {port}") };
    json!({"mappers": [{
        "filter": {"status_code_filter": {"comparison": {
            "op": "EQ",
            "value": {"default_value": 403, "runtime_key": "clawker.refused"},
        }}},
        "body_format_override": {"json_format": {
            "error": "refused by the firewall's policy",
            "host": "%REQ(:AUTHORITY)%",
            "proto": "http",
            "port": port,
            "allow_with": format!("clawker firewall add HOST --proto http{port_option}"),
            "hint": "This is policy, not a fault: ask the user to allow it; other ways are closed too.",
        }},
    }]})
}

fn access_log(plan: &Plan, port: u16) -> Value {
    listener::logged(json!({
        "time": "%START_TIME(%s.%3f)%",
        "policy": plan.id,
        "agent": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "proto": "http",
        "port": port,
        "name": "%REQ(:AUTHORITY)%",
        "verdict": "%ROUTE_NAME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "sent": "%BYTES_RECEIVED%",
        "received": "%BYTES_SENT%",
        "millis": "%DURATION%",
    }))
}
