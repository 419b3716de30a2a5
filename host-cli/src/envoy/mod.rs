//! Envoy's configuration, made of the plans of all policies: pure functions from values to JSON. Chains, clusters and
//! listeners are fixed in form; a rule change alters only a matcher or a route table, which Envoy takes in place.

pub mod admin;
mod bootstrap;
mod cluster;
mod http;
mod judge;
mod listener;
mod routes;
pub mod secrets;
mod tls;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use bootstrap::bootstrap;
pub use secrets::{Secrets, Source};

use crate::plan::{Judged, Plan};
use crate::policy::Proto;

/// Where the files are in the container.
pub const FOLDER: &str = "/etc/envoy";
/// Where the folder with the admin socket is; not below init's own, which is root's alone.
pub const RUN: &str = "/run/clawker-envoy";
/// The program, looked up in the image's PATH.
pub const PROGRAM: &str = "envoy";
/// The admin socket's name there.
pub const ADMIN: &str = "envoy.sock";
/// The bootstrap's file name.
pub const BOOTSTRAP: &str = "envoy.json";
/// The file that is checked before a change.
pub const CHECK: &str = "check/envoy.json";
/// The resources' file names: clusters, listeners, and (see [`http_routes_file`]) routes.
pub const CLUSTERS: &str = "clusters/clusters.json";
/// See [`CLUSTERS`].
pub const LISTENERS: &str = "listeners/listeners.json";

/// How Envoy is started.
pub fn command() -> Vec<String> {
    let bootstrap = format!("{FOLDER}/{BOOTSTRAP}");
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).to_string();
    [
        PROGRAM,
        "-c",
        &bootstrap,
        "--disable-hot-restart",
        "--reject-unknown-dynamic-fields",
        "--concurrency",
        &threads,
        "--log-level",
        "warning",
        "--file-flush-interval-msec",
        "500",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// A cluster that leads nowhere: a connection to it is reset.
const NOWHERE: &str = "nowhere";

/// Every resource, as Envoy names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// Clusters.
    pub clusters: Vec<Value>,
    /// Listeners; routes come from their own files.
    pub listeners: Vec<Value>,
    /// Route tables, with the listener port that each belongs to.
    pub routes: Vec<(u16, Value)>,
    /// Certificates, by name.
    pub secrets: BTreeMap<String, Value>,
}

/// All that Envoy needs for these policies.
pub fn resources(plans: &[Plan], secrets: &Secrets) -> Resources {
    let mut clusters = vec![cluster::nowhere()];
    let mut listeners = Vec::new();
    let mut routes = Vec::new();
    for plan in plans {
        clusters.extend(cluster::all(plan, Source::Files));
        for judged in &plan.judged {
            listeners.push(judging(plan, judged, http::from_file(judged.listener), Source::Files));
            routes.push((judged.listener, routes::table(plan, judged)));
        }
        listeners.extend(plan.streams.iter().map(|stream| listener::stream(plan, stream)));
    }
    Resources { clusters, listeners, routes, secrets: secrets::all(plans, secrets) }
}

fn judging(plan: &Plan, judged: &Judged, routes: (&str, Value), secrets: Source<'_>) -> Value {
    match judged.proto {
        Proto::Http => http::listener(plan, judged, routes),
        _ => tls::listener(plan, judged, routes, secrets),
    }
}

/// All in one file, for `--mode validate`: Envoy does not look into files that a bootstrap points to. Of names that are
/// led alike by their SNI one stands for all, so that a check is as quick for thousands as for one.
pub fn inlined(plans: &[Plan], secrets: &Secrets) -> Value {
    let mut whole = bootstrap();
    let source = Source::Inline(secrets);
    let mut clusters = vec![cluster::nowhere()];
    let mut listeners = Vec::new();
    for plan in plans {
        clusters.extend(cluster::all(plan, source));
        let judged = plan.judged.iter().map(tls::sample);
        listeners.extend(judged.map(|one| judging(plan, &one, http::inline(plan, &one), source)));
        listeners.extend(plan.streams.iter().map(|stream| listener::stream(plan, stream)));
    }
    if let Some(whole) = whole.as_object_mut() {
        whole.remove("dynamic_resources");
        // Checked beside the running one: it must not take its socket.
        whole.remove("admin");
        let lists = [("clusters", clusters), ("listeners", listeners)];
        let lists = lists.map(|(key, list)| (key.to_owned(), Value::Array(list)));
        whole.insert("static_resources".to_owned(), Value::Object(lists.into_iter().collect()));
    }
    whole
}

/// The file of a kind of resources. Its version is its content's hash, which shows what Envoy has taken.
pub fn file(kind: Kind, resources: Vec<Value>) -> File {
    let typed: Vec<Value> = resources
        .into_iter()
        .map(|mut resource| {
            if let Some(fields) = resource.as_object_mut() {
                fields.insert("@type".to_owned(), json!(kind.type_url()));
            }
            resource
        })
        .collect();
    let content = serde_json::to_string(&typed).unwrap_or_default();
    let version: String = Sha256::digest(&content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    // Written around what is text already: a policy may have megabytes of it.
    let text = format!("{{\"resources\":{content},\"version_info\":\"{version}\"}}");
    File { version, text }
}

/// A file and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What the statistics show once it was taken.
    pub version: String,
    /// Its text.
    pub text: String,
}

/// Kinds of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// CDS.
    Cluster,
    /// LDS.
    Listener,
    /// RDS.
    Routes,
    /// SDS.
    Secret,
}

impl Kind {
    fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Routes => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        }
    }
}

/// The file name of the routes of the listener at this port.
pub fn http_routes_file(listener: u16) -> String {
    format!("routes/{listener}.json")
}

/// The name of the routes, and in the statistics.
pub fn routes_name(listener: u16) -> String {
    format!("routes-{listener}")
}

/// A typed extension.
fn typed(url: &str, mut config: Value) -> Value {
    if let Some(fields) = config.as_object_mut() {
        fields.insert("@type".to_owned(), json!(format!("type.googleapis.com/{url}")));
    }
    config
}

/// A path that Envoy watches: it reads the file again when something is renamed in its folder.
fn watched(file: &str) -> Value {
    let path = format!("{FOLDER}/{file}");
    let folder = path.rsplit_once('/').map_or(FOLDER, |(folder, _)| folder);
    json!({"path": path, "watched_directory": {"path": folder}})
}

#[cfg(test)]
mod tests;
