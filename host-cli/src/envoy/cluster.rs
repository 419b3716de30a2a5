//! Clusters: one a policy, which dials by name through the policy's own resolvers, and one that leads nowhere.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{NOWHERE, typed};
use crate::plan::Plan;

/// Names that a policy's cache holds at most: a wildcard lets the agent choose them.
const MAX_HOSTS: u32 = 1_024;

/// The name of a policy's cluster and of its name cache. Envoy takes no other resolvers for a cache that exists, so that
/// other resolvers make it another one.
pub fn name(plan: &Plan) -> String {
    let resolvers: Vec<String> = plan.upstream_dns.iter().map(ToString::to_string).collect();
    let hash: String =
        Sha256::digest(resolvers.join(" ")).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("forward-{}-{hash}", plan.id)
}

/// A policy's cluster.
pub fn forward(plan: &Plan) -> Value {
    json!({
        "name": name(plan),
        "connect_timeout": "10s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": typed(
                "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                json!({"dns_cache_config": dns_cache(plan)}),
            ),
        },
    })
}

/// A policy's name cache: IPv4, asked of its resolvers and of no other. The same value wherever it is named.
pub fn dns_cache(plan: &Plan) -> Value {
    let resolvers: Vec<Value> = plan
        .upstream_dns
        .iter()
        .map(|address| json!({"socket_address": {"address": address.to_string(), "port_value": 53}}))
        .collect();
    json!({
        "name": name(plan),
        "dns_lookup_family": "V4_ONLY",
        "max_hosts": MAX_HOSTS,
        "host_ttl": "60s",
        "dns_refresh_rate": "30s",
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "5s"},
        "dns_query_timeout": "5s",
        "typed_dns_resolver_config": {
            "name": "envoy.network.dns_resolver.cares",
            "typed_config": typed(
                "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                json!({"resolvers": resolvers, "dns_resolver_options": {"no_default_search_domain": true}}),
            ),
        },
    })
}

/// A cluster without endpoints.
pub fn nowhere() -> Value {
    json!({
        "name": NOWHERE,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": NOWHERE},
    })
}
