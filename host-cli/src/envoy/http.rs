//! What judges requests: the listener for plain HTTP, by its Host, and the connection manager that it shares with
//! inspected TLS. The rules are a route table of its own, so that a change touches no connection; what is refused gets
//! 403 with the rule that would allow it.

use serde_json::{Value, json};

use super::{cluster, http_routes_file, judge, listener, routes, routes_name, typed, watched};
use crate::plan::{Judged, Plan};
use crate::policy::Proto;

/// The filter that chooses which name is resolved.
const DIAL_INSTEAD: &str = "envoy.filters.http.set_filter_state";

/// Where the routes come from.
pub fn from_file(listener: u16) -> (&'static str, Value) {
    let source =
        json!({"path_config_source": watched(&http_routes_file(listener)), "resource_api_version": "V3"});
    ("rds", json!({"route_config_name": routes_name(listener), "config_source": source}))
}

/// Likewise, in place.
pub fn inline(plan: &Plan, judged: &Judged) -> (&'static str, Value) {
    ("route_config", routes::table(plan, judged))
}

/// The listener for plain HTTP, with its routes from this source.
pub fn listener(plan: &Plan, judged: &Judged, source: (&str, Value)) -> Value {
    let mut listener = listener::frame(plan, "http", judged.port, judged.listener, None);
    // The requests are logged, not the connections.
    listener["access_log"] = json!([]);
    listener["filter_chains"] = json!([{"name": "http", "filters": [manager(plan, judged, source)]}]);
    listener
}

/// The filter that reads requests and judges each.
pub fn manager(plan: &Plan, judged: &Judged, (source, routes): (&str, Value)) -> Value {
    let proto = judged.proto.as_str();
    let mut manager = json!({
        "stat_prefix": format!("{proto}-{}", judged.listener),
        "codec_type": "AUTO",
        "server_header_transformation": "PASS_THROUGH",
        "strip_trailing_host_dot": true,
        "generate_request_id": false,
        "normalize_path": true,
        "merge_slashes": true,
        // The filter judges what it stands for; package registries need it as it is.
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
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
        "local_reply_config": failures(judged),
        "access_log": access_log(plan, judged),
        "http_filters": [
            {
                "name": DIAL_INSTEAD,
                "typed_config": typed("envoy.extensions.filters.http.set_filter_state.v3.Config", json!({})),
            },
            {
                "name": "envoy.filters.http.dynamic_forward_proxy",
                "typed_config": typed(
                    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
                    json!({
                        "dns_cache_config": cluster::dns_cache(plan),
                        "allow_dynamic_host_from_filter_state": true,
                    }),
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
    if let Some(filters) = manager["http_filters"].as_array_mut() {
        filters.splice(0..0, judge::filters(judged));
    }
    manager[source] = routes;
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            manager,
        ),
    })
}

/// A route's option: this name is resolved, whatever the Host says.
pub fn dial_instead(name: &str) -> Value {
    let value = listener::filter_state("envoy.upstream.dynamic_host", name.to_owned());
    json!({DIAL_INSTEAD: typed(
        "envoy.extensions.filters.http.set_filter_state.v3.Config",
        json!({"on_request_headers": [value]}),
    )})
}

/// What is answered where Envoy itself has to: the request was allowed, and could not be sent on; or it is none.
fn failures(judged: &Judged) -> Value {
    json!({"mappers": [
        {
            "filter": {"response_flag_filter": {"flags": ["UF", "UC", "UH", "DF", "LR", "UR"]}},
            "body_format_override": {"json_format": {
                "error": "allowed, but the other side can't be reached",
                "reason": "%RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%",
                "host": "%REQ(:AUTHORITY)%",
                "proto": judged.proto.as_str(),
                "port": judged.port,
                "hint": "The policy allows this name. Where its certificate is refused, somebody else answers for it, or a root that nobody trusts yet: security.extra_ca adds one.",
            }},
        },
    ]})
}

fn access_log(plan: &Plan, judged: &Judged) -> Value {
    let mut fields = json!({
        "time": "%START_TIME(%s.%3f)%",
        "policy": plan.id,
        // Who it is, whatever it says in X-Forwarded-For.
        "agent": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
        "proto": judged.proto.as_str(),
        "port": judged.port,
        "name": "%REQ(:AUTHORITY)%",
        "verdict": "%DYNAMIC_METADATA(clawker:verdict)%",
        "why": "%DYNAMIC_METADATA(clawker:why)%",
        "route": "%ROUTE_NAME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(:PATH)%",
        "status": "%RESPONSE_CODE%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "sent": "%BYTES_RECEIVED%",
        "received": "%BYTES_SENT%",
        "millis": "%DURATION%",
    });
    if judged.proto == Proto::Tls {
        fields["sni"] = json!("%REQUESTED_SERVER_NAME%");
    }
    listener::logged(fields)
}
