//! Certificates for Envoy: a policy's leaves, in a fixed number of shards so that no change of names changes a chain, and
//! the roots that it trusts. They come from files of their own, which Envoy reads again without touching a connection.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::watched;
use crate::certs::Leaf;
use crate::plan::Plan;
use crate::policy::Proto;

/// Leaves of a policy: each holds a share of the names.
const SHARDS: u8 = 8;

/// A policy's certificates and the public roots, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// By [`leaf_name`].
    pub leaves: BTreeMap<String, Leaf>,
    /// As PEM.
    pub public_roots: String,
}

/// Where a configuration takes its secrets from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Files that Envoy watches.
    Files,
    /// Written into the configuration, for a check.
    Inline(&'a Secrets),
}

/// The name of a policy's shard.
fn leaf_name(plan: &Plan, shard: u8) -> String {
    format!("leaf-{}-{shard}", plan.id)
}

/// The names that each leaf of a policy is for. One without any holds a name that nobody can ask for.
pub fn leaf_names(plan: &Plan) -> BTreeMap<String, BTreeSet<String>> {
    let mut leaves: BTreeMap<String, BTreeSet<String>> =
        (0..SHARDS).map(|shard| (leaf_name(plan, shard), BTreeSet::new())).collect();
    let mut put = |name: String| {
        let shard = Sha256::digest(&name).first().map_or(0, |byte| byte % SHARDS);
        leaves.entry(leaf_name(plan, shard)).or_default().insert(name);
    };
    for judged in plan.judged.iter().filter(|judged| judged.proto == Proto::Tls) {
        judged.exact.iter().filter(|(_, door)| door.inspect).for_each(|(name, _)| put(name.clone()));
        for (name, _) in judged.below.iter().filter(|(_, door)| door.inspect) {
            put(name.clone());
            put(format!("*.{name}"));
        }
    }
    for (shard, names) in &mut leaves {
        if names.is_empty() {
            names.insert(format!("{shard}.invalid"));
        }
    }
    leaves
}

/// The name of the roots that a policy trusts; policies that trust the same share them.
fn trust_name(plan: &Plan) -> String {
    let hash: String =
        Sha256::digest(&plan.extra_ca_pem).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("trust-{hash}")
}

/// The names of all that a policy refers to.
pub fn names(plan: &Plan) -> impl Iterator<Item = String> {
    leaf_names(plan).into_keys().chain([trust_name(plan)])
}

/// The file of a secret.
pub fn file_name(secret: &str) -> String {
    format!("secrets/{secret}.json")
}

/// What an inspecting listener shows.
pub fn certificates(plan: &Plan, source: Source<'_>) -> Value {
    match source {
        Source::Files => {
            let configs: Vec<Value> = leaf_names(plan).into_keys().map(|name| from_file(&name)).collect();
            json!({"tls_certificate_sds_secret_configs": configs})
        }
        Source::Inline(secrets) => {
            let leaves = leaf_names(plan).into_keys().filter_map(|name| secrets.leaves.get(&name));
            json!({"tls_certificates": leaves.map(certificate).collect::<Vec<_>>()})
        }
    }
}

/// What the other side is verified by.
pub fn trust(plan: &Plan, source: Source<'_>) -> Value {
    match source {
        Source::Files => json!({"validation_context_sds_secret_config": from_file(&trust_name(plan))}),
        Source::Inline(secrets) => json!({"validation_context": roots(plan, secrets)}),
    }
}

/// The secrets that policies refer to, by name.
pub fn all(plans: &[Plan], secrets: &Secrets) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for plan in plans {
        for name in leaf_names(plan).into_keys() {
            if let Some(leaf) = secrets.leaves.get(&name) {
                all.insert(name.clone(), json!({"name": name, "tls_certificate": certificate(leaf)}));
            }
        }
        let name = trust_name(plan);
        let context = roots(plan, secrets);
        all.entry(name.clone()).or_insert_with(|| json!({"name": name, "validation_context": context}));
    }
    all
}

fn from_file(name: &str) -> Value {
    let source = json!({"path_config_source": watched(&file_name(name)), "resource_api_version": "V3"});
    json!({"name": name, "sds_config": source})
}

fn certificate(leaf: &Leaf) -> Value {
    json!({
        "certificate_chain": {"inline_string": leaf.chain_pem},
        "private_key": {"inline_string": leaf.key_pem},
    })
}

fn roots(plan: &Plan, secrets: &Secrets) -> Value {
    json!({"trusted_ca": {"inline_string": format!("{}\n{}", secrets.public_roots, plan.extra_ca_pem)}})
}
