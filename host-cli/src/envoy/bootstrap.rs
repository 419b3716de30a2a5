//! What Envoy starts with: where the rest comes from, its admin socket, and bounds that keep one agent's flood from
//! taking the others' gateway down.

use serde_json::{Value, json};

use super::{ADMIN, CLUSTERS, LISTENERS, RUN, typed, watched};

/// Connections from all agents together.
const MAX_CONNECTIONS: u64 = 20_000;
/// Memory that Envoy's heap may grow to, in bytes; the container's own limit lies above it.
pub const MAX_HEAP: u64 = 768 << 20;

/// The bootstrap.
pub fn bootstrap() -> Value {
    json!({
        "node": {"id": "clawker", "cluster": "clawker"},
        "admin": {"address": {"pipe": {"path": format!("{RUN}/{ADMIN}"), "mode": 0o600}}},
        "dynamic_resources": {
            "cds_config": {"path_config_source": watched(CLUSTERS), "resource_api_version": "V3"},
            "lds_config": {"path_config_source": watched(LISTENERS), "resource_api_version": "V3"},
        },
        "overload_manager": {
            "refresh_interval": "0.25s",
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.fixed_heap",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                        json!({"max_heap_size_bytes": MAX_HEAP}),
                    ),
                },
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": typed(
                        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        json!({"max_active_downstream_connections": MAX_CONNECTIONS}),
                    ),
                },
            ],
            "actions": [
                {
                    "name": "envoy.overload_actions.shrink_heap",
                    "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": 0.9}}],
                },
                {
                    "name": "envoy.overload_actions.stop_accepting_requests",
                    "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": 0.95}}],
                },
                {
                    "name": "envoy.overload_actions.stop_accepting_connections",
                    "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": 0.98}}],
                },
            ],
        },
    })
}
