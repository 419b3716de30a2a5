//! What all listeners share, and the listener that belongs to one name: whatever is sent, it dials that name.

use serde_json::{Value, json};

use super::{cluster, typed};
use crate::plan::{Plan, Stream};

/// Bytes that a connection may keep waiting in each direction.
const BUFFER: u32 = 256 << 10;

/// A listener's frame.
pub fn frame(plan: &Plan, proto: &str, port: u16, listener: u16, name: Option<&str>) -> Value {
    json!({
        "name": format!("{proto}-{listener}"),
        "stat_prefix": format!("{proto}-{listener}"),
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": listener}},
        "per_connection_buffer_limit_bytes": BUFFER,
        // A client that says nothing is let go of after a second.
        "listener_filters_timeout": "1s",
        "continue_on_listener_filters_timeout": false,
        "enable_reuse_port": false,
        "access_log": access_log(plan, proto, port, name),
    })
}

/// One JSON object a connection, when it ends. What the agent chose is escaped by being JSON.
fn access_log(plan: &Plan, proto: &str, port: u16, name: Option<&str>) -> Value {
    let name = name.unwrap_or("%REQUESTED_SERVER_NAME%");
    logged(json!({
        "time": "%START_TIME(%s.%3f)%",
        "policy": plan.id,
        "agent": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "proto": proto,
        "port": port,
        "name": name,
        "verdict": "%FILTER_CHAIN_NAME%",
        "upstream": "%UPSTREAM_HOST%",
        "flags": "%RESPONSE_FLAGS%",
        "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "client_failure": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%",
        "sent": "%BYTES_RECEIVED%",
        "received": "%BYTES_SENT%",
        "millis": "%DURATION%",
    }))
}

/// An access log with these fields, on standard output.
pub fn logged(fields: Value) -> Value {
    json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": typed(
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            json!({"log_format": {"json_format": fields}}),
        ),
    }])
}

/// A listener that dials one name.
pub fn stream(plan: &Plan, stream: &Stream) -> Value {
    let proto = stream.proto.as_str();
    let mut listener = frame(plan, proto, stream.port, stream.listener, Some(&stream.name));
    listener["filter_chains"] = json!([{
        "name": "allow",
        "filters": [
            dial_instead(&stream.name, stream.port),
            dial(plan, stream.port),
            proxy(&cluster::name(plan, &stream.dial), stream.listener),
        ],
    }]);
    listener
}

/// Chooses the name that is resolved, whatever the connection says of itself.
pub fn dial_instead(name: &str, port: u16) -> Value {
    json!({
        "name": "envoy.filters.network.set_filter_state",
        "typed_config": typed(
            "envoy.extensions.filters.network.set_filter_state.v3.Config",
            json!({"on_new_connection": [
                filter_state("envoy.upstream.dynamic_host", name.to_owned()),
                filter_state("envoy.upstream.dynamic_port", port.to_string()),
            ]}),
        ),
    })
}

/// A text for later filters.
pub fn filter_state(key: &str, value: String) -> Value {
    json!({
        "object_key": key,
        "format_string": {"text_format_source": {"inline_string": value}},
    })
}

/// Resolves the name and dials its address at this port.
pub fn dial(plan: &Plan, port: u16) -> Value {
    json!({
        "name": "envoy.filters.network.sni_dynamic_forward_proxy",
        "typed_config": typed(
            "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig",
            json!({"port_value": port, "dns_cache_config": cluster::dns_cache(plan)}),
        ),
    })
}

/// Passes bytes on to a cluster, for as long as either side sends any.
pub fn proxy(cluster: &str, listener: u16) -> Value {
    json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": typed(
            "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            json!({"stat_prefix": format!("proxy-{listener}"), "cluster": cluster, "idle_timeout": "0s"}),
        ),
    })
}
