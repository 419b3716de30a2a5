//! Clusters: those that dial by name through a policy's own resolvers, plainly or over TLS, and one that leads nowhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::secrets::{self, Source};
use super::{NOWHERE, typed};
use crate::plan::{Dial, Plan};
use crate::policy::Proto;

/// Names that a policy's cache holds at most: a wildcard lets the agent choose them.
const MAX_HOSTS: u32 = 1_024;
/// Connections and requests under way at most, of a cluster.
const MAX_AT_ONCE: u32 = 16_384;
/// `IPPROTO_IP` and `IP_TOS` of linux/in.h.
const IP_TOS: (u8, u8) = (0, 1);

/// Which HTTP is spoken to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1: for connections that switch to another protocol.
    One,
    /// What the other side chooses (ALPN).
    Negotiated,
}

/// The name of a policy's name cache. Envoy takes no other resolvers for a cache that exists, so that other resolvers
/// make it another one.
fn cache_name(plan: &Plan) -> String {
    let resolvers: Vec<String> = plan.upstream_dns.iter().map(ToString::to_string).collect();
    let hash: String =
        Sha256::digest(resolvers.join(" ")).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("forward-{}-{hash}", plan.id)
}

/// The name of the cluster that dials names of this kind.
pub fn name(plan: &Plan, dial: &Dial) -> String {
    let space = dial.private.as_ref().map(|private| format!("-private{}", private.tos)).unwrap_or_default();
    format!("{}{space}", cache_name(plan))
}

/// Likewise over TLS, with the other side's certificate verified.
pub fn over_tls(plan: &Plan, dial: &Dial, http: Http) -> String {
    let suffix = match http {
        Http::One => "tls1",
        Http::Negotiated => "tls",
    };
    format!("{}-{suffix}", name(plan, dial))
}

/// A policy's clusters.
pub fn all(plan: &Plan, secrets: Source<'_>) -> Vec<Value> {
    // What names are resolved as makes no other cluster.
    let plain = |dial: &Dial| Dial { private: dial.private.clone(), name: None };
    let kinds: BTreeSet<Dial> = plan.dials().map(plain).chain([Dial::default()]).collect();
    let has_tls = plan.judged.iter().any(|judged| judged.proto == Proto::Tls);
    kinds
        .iter()
        .flat_map(|dial| {
            let tls = [Http::Negotiated, Http::One].into_iter().filter(|_| has_tls);
            std::iter::once(forward(plan, dial)).chain(tls.map(|http| tls_cluster(plan, dial, http, secrets)))
        })
        .collect()
}

fn forward(plan: &Plan, dial: &Dial) -> Value {
    let mut cluster = json!({
        "name": name(plan, dial),
        "connect_timeout": "10s",
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": {"thresholds": [{
            "max_connections": MAX_AT_ONCE, "max_pending_requests": MAX_AT_ONCE, "max_requests": MAX_AT_ONCE,
        }]},
        "cluster_type": {
            "name": "envoy.clusters.dynamic_forward_proxy",
            "typed_config": typed(
                "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
                json!({"dns_cache_config": dns_cache(plan)}),
            ),
        },
    });
    if let Some(private) = &dial.private {
        // The gateway's rules let this byte into the space that goes with it.
        let (level, option) = IP_TOS;
        cluster["upstream_bind_config"] = json!({"socket_options": [{
            "description": "private space",
            "level": level,
            "name": option,
            "int_value": private.tos,
            "state": "STATE_PREBIND",
        }]});
    }
    cluster
}

fn tls_cluster(plan: &Plan, dial: &Dial, http: Http, secrets: Source<'_>) -> Value {
    let mut cluster = forward(plan, dial);
    cluster["name"] = json!(over_tls(plan, dial, http));
    cluster["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            json!({"common_tls_context": secrets::trust(plan, secrets)}),
        ),
    });
    let mut options = json!({
        "upstream_http_protocol_options": {"auto_sni": true, "auto_san_validation": true},
        "common_http_protocol_options": {"idle_timeout": "300s"},
    });
    match http {
        Http::One => options["explicit_http_config"] = json!({"http_protocol_options": {}}),
        Http::Negotiated => {
            options["auto_config"] = json!({"http_protocol_options": {}, "http2_protocol_options": {}});
        }
    }
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
            typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", options),
    });
    cluster
}

/// A policy's name cache: IPv4, asked of its resolvers and of no other. The same value wherever it is named.
pub fn dns_cache(plan: &Plan) -> Value {
    let resolvers: Vec<Value> = plan
        .upstream_dns
        .iter()
        .map(|address| json!({"socket_address": {"address": address.to_string(), "port_value": 53}}))
        .collect();
    json!({
        "name": cache_name(plan),
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
