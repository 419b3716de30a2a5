//! The peers: a bare Envoy and a bare CoreDNS from the product's own images, a server behind all, and a client beside
//! them that nothing guards. They carry the rig's label, and go with it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::load::{Outcome, Task};
use super::upstream;
use crate::rig::docker::docker;
use crate::rig::{Rig, wait};
use crate::world::WorldError;

/// The server's address in the fake internet.
pub const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// The name that is passed on unopened.
pub const PASSED: &str = "passed.bench.example";
/// The name whose requests are judged.
pub const JUDGED: &str = "judged.bench.example";
/// The path that is asked for there.
pub const PATH: &str = "/api/items/7";
/// Bare Envoy's ports: passing on, and opening TLS.
pub const PASS: u16 = 8443;
/// See [`PASS`].
pub const OPEN: u16 = 9443;
/// Bare CoreDNS's port.
pub const DNS: u16 = 5353;
/// How long a peer may take to come up.
const START: Duration = Duration::from_secs(20);

/// All of them, as containers.
#[derive(Debug)]
pub struct Peers {
    folder: PathBuf,
    client: String,
    envoy_container: String,
    coredns_container: String,
    /// Bare Envoy's address.
    pub envoy: String,
    /// Bare CoreDNS's address.
    pub coredns: String,
}

impl Peers {
    /// Starts them: the server in the fake internet, the others on the product's network.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn start(rig: &mut Rig, network: &str, folder: &Path) -> Result<Self, WorldError> {
        let shared = folder.join("peers");
        fs::create_dir_all(&shared)?;
        fs::copy(std::env::current_exe()?, shared.join("bench"))?;
        for name in [PASSED, JUDGED] {
            rig.add_name(name, &[UPSTREAM.into()])?;
        }
        let (label, mount) = (rig.label(), format!("{}:/shared", shared.display()));
        let run = |name: &str, network: &str, more: &[&str]| {
            let name = format!("{}-{name}", rig.container());
            let begin = ["run", "-d", "--name", &name, "--label", &label, "--network", network, "-v", &mount];
            docker(&[&begin[..], more].concat()).map(|_| name)
        };
        let upstream = UPSTREAM.to_string();
        let base = "clawker-base:latest";
        let serve = ["--ip", &upstream, base, "/shared/bench", "serve", "/shared", PASSED];
        run("upstream", &rig.network(), &serve)?;
        wait(START, || shared.join(upstream::CA).exists());
        fs::write(shared.join("envoy.json"), envoy().to_string())?;
        fs::write(shared.join("Corefile"), format!(".:{DNS} {{\n    file /shared/zone .\n}}\n"))?;
        let zone =
            format!("$TTL 5\n. IN SOA bare. bare. 1 60 60 60 5\n. IN NS bare.\n{PASSED}. IN A {UPSTREAM}\n");
        fs::write(shared.join("zone"), zone)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4).to_string();
        let mut words = vec!["--entrypoint", "envoy", "clawker-envoy:latest", "-c", "/shared/envoy.json"];
        words.extend(["--disable-hot-restart", "--concurrency", &threads, "--log-level", "warning"]);
        let envoy_container = run("envoy", network, &words)?;
        let coredns_container =
            run("coredns", network, &["clawker-coredns:latest", "-conf", "/shared/Corefile"])?;
        let trust = format!("SSL_CERT_FILE=/shared/{}", upstream::CA);
        let client = run("client", network, &["-e", &trust, base, "sleep", "3600"])?;
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = |name: &str| docker(&["inspect", "--format", format, name]);
        let (envoy, coredns) = (address(&envoy_container)?, address(&coredns_container)?);
        Ok(Self { folder: shared, client, envoy_container, coredns_container, envoy, coredns })
    }

    /// The server's root.
    pub fn ca(&self) -> PathBuf {
        self.folder.join(upstream::CA)
    }

    /// The versions of the parts, which are the product's as well.
    ///
    /// # Errors
    /// When they don't tell.
    pub fn versions(&self) -> Result<String, WorldError> {
        // `CoreDNS-1.15.0` and two more lines; `envoy  version: COMMIT/1.40.0/Clean/…`.
        let coredns = docker(&["exec", &self.coredns_container, "/coredns", "-version"])?;
        let envoy = docker(&["exec", &self.envoy_container, "envoy", "--version"])?;
        let coredns = coredns.lines().next().unwrap_or_default().replace('-', " ");
        Ok(format!("Envoy {}, {coredns}", envoy.split('/').rev().nth(3).unwrap_or("of no version")))
    }

    /// Measures from the client that nothing guards.
    ///
    /// # Errors
    /// When it can't.
    pub fn ask(&self, task: &Task) -> Result<Outcome, WorldError> {
        let task = serde_json::to_string(task).map_err(std::io::Error::from)?;
        let said = docker(&["exec", &self.client, "/shared/bench", "load", &task])?;
        Ok(serde_json::from_str(&said).map_err(std::io::Error::from)?)
    }
}

/// As plain as an Envoy can be: one listener that passes on, one that opens TLS and makes it anew.
fn envoy() -> Value {
    let typed = |url: &str, mut value: Value| {
        value["@type"] = json!(format!("type.googleapis.com/{url}"));
        value
    };
    let listen = |port: u16| json!({"socket_address": {"address": "0.0.0.0", "port_value": port}});
    let upstream = |name: &str| {
        json!({"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": UPSTREAM.to_string(), "port_value": 443}
            }}}]}],
        }})
    };
    let trust = json!({
        "trusted_ca": {"filename": format!("/shared/{}", upstream::CA)},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": PASSED}}],
    });
    let mut over_tls = upstream("over-tls");
    over_tls["transport_socket"] = json!({"name": "tls", "typed_config": typed(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        json!({"sni": PASSED, "common_tls_context": {"validation_context": trust}}),
    )});
    let certificate = json!({
        "certificate_chain": {"filename": format!("/shared/{}", upstream::LEAF)},
        "private_key": {"filename": format!("/shared/{}", upstream::KEY)},
    });
    let proxy = typed(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        json!({"stat_prefix": "pass", "cluster": "plain"}),
    );
    let router = typed("envoy.extensions.filters.http.router.v3.Router", json!({}));
    let manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "open",
            "http_filters": [{"name": "router", "typed_config": router}],
            "route_config": {"virtual_hosts": [{
                "name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "over-tls", "timeout": "0s"}}],
            }]},
        }),
    );
    let opens = typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        json!({"common_tls_context": {"tls_certificates": [certificate]}}),
    );
    json!({"static_resources": {
        "clusters": [upstream("plain"), over_tls],
        "listeners": [
            {"name": "pass", "address": listen(PASS),
             "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}]},
            {"name": "open", "address": listen(OPEN), "filter_chains": [{
                "transport_socket": {"name": "tls", "typed_config": opens},
                "filters": [{"name": "http", "typed_config": manager}],
            }]},
        ],
    }})
}
