//! An agent's container as Docker is told to make it: one value in, one request out. Everything that fences the
//! container from outside is decided here and nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountType, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use clawker_protocol::places;

use super::extras::Extras;
use crate::docker_socket;
use crate::kept;
use crate::publish::Publish;
use crate::workspace::git::Place;

/// What init needs, and nothing besides. DAC_OVERRIDE and CHOWN serve once, for its socket in a folder of the
/// host's user and for the agent's descriptors; init drops all that it needs no more before the agent runs.
pub const CAPABILITIES: [&str; 7] =
    ["NET_ADMIN", "SETUID", "SETGID", "SETPCAP", "KILL", "DAC_OVERRIDE", "CHOWN"];

/// A container to make.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Image reference or id.
    pub image: String,
    /// Program and arguments; init reads them from its boot config, Docker only shows them.
    pub argv: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The static init on the host.
    pub init: PathBuf,
    /// The agent's folder on the host; holds `boot.json`.
    pub agent_dir: PathBuf,
    /// The project, mounted at the same path.
    pub project_dir: PathBuf,
    /// Where Docker finds it, where that is not the folder itself.
    pub idmapped: Option<PathBuf>,
    /// What lies over parts of it.
    pub places: Vec<Place>,
    /// The volume that holds a copy of it, in place of the folder itself.
    pub snapshot: Option<String>,
    /// What hides parts of the project.
    pub covers: Vec<Mount>,
    /// The network.
    pub network: String,
    /// The fixed address on it.
    pub address: Ipv4Addr,
    /// What Docker's own resolver asks; reachable only while the firewall is off.
    pub dns: Vec<Ipv4Addr>,
    /// Ports that the host publishes.
    pub publish: Vec<Publish>,
    /// What the user asked for besides.
    pub extras: Extras,
    /// Docker's socket, where the agent holds it.
    pub docker_socket: Option<PathBuf>,
    /// The container's name, where the agent has a volume of its own.
    pub keeps: Option<String>,
    /// A terminal.
    pub tty: bool,
    /// Standard input stays open.
    pub stdin: bool,
    /// Docker removes the container when it ends.
    pub auto_remove: bool,
}

impl Spec {
    /// The request.
    pub fn body(&self) -> ContainerCreateBody {
        let mut body = ContainerCreateBody {
            image: Some(self.image.clone()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec![places::INIT.to_owned()]),
            cmd: Some(self.argv.clone()),
            working_dir: Some(text(&self.project_dir)),
            labels: Some(self.labels.clone().into_iter().collect()),
            tty: Some(self.tty),
            open_stdin: Some(self.stdin),
            stdin_once: Some(self.stdin && !self.tty),
            attach_stdin: Some(self.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            // A health check would run as the container's root, beside the fence.
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            exposed_ports: Some(self.publish.iter().map(Publish::key).collect()),
            host_config: Some(self.host_config()),
            networking_config: Some(self.networking()),
            ..ContainerCreateBody::default()
        };
        self.extras.add_to(&mut body);
        body
    }

    fn host_config(&self) -> HostConfig {
        HostConfig {
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            privileged: Some(false),
            // An engine whose default is its own init would put that in place of ours.
            init: Some(false),
            mounts: Some(self.mounts()),
            tmpfs: Some(HashMap::from([
                (places::RUN_DIR.to_owned(), "mode=0700,size=1m,nosuid,nodev,noexec".to_owned()),
                (places::PUBLIC_DIR.to_owned(), "mode=0755,size=16m,nosuid,nodev,noexec".to_owned()),
            ])),
            network_mode: Some(self.network.clone()),
            dns: Some(self.dns.iter().map(Ipv4Addr::to_string).collect()),
            port_bindings: Some(self.port_bindings()),
            auto_remove: Some(self.auto_remove),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(HashMap::from([
                    ("max-size".to_owned(), "10m".to_owned()),
                    ("max-file".to_owned(), "3".to_owned()),
                ])),
            }),
            ..HostConfig::default()
        }
    }

    fn mounts(&self) -> Vec<Mount> {
        let mut mounts = vec![
            bind(&self.init, Path::new(places::INIT), true),
            bind(&self.agent_dir, Path::new(places::HOST_DIR), false),
            bind(&self.agent_dir.join("boot.json"), Path::new(places::BOOT_CONFIG), true),
            bind(&self.agent_dir.join("lent"), Path::new(places::LENT), true),
            self.project(),
        ];
        let socket = self.docker_socket.as_deref();
        mounts.extend(socket.map(|path| bind(path, Path::new(docker_socket::TARGET), false)));
        mounts.extend(self.keeps.as_deref().map(kept::mount));
        mounts.extend(self.places.iter().map(|place| bind(&place.source, &place.target, place.read_only)));
        mounts.extend(self.covers.iter().cloned());
        mounts
    }

    fn project(&self) -> Mount {
        match &self.snapshot {
            Some(volume) => crate::snapshot::mount(volume, &self.project_dir),
            None => bind(self.idmapped.as_ref().unwrap_or(&self.project_dir), &self.project_dir, false),
        }
    }

    fn networking(&self) -> NetworkingConfig {
        let ipam = EndpointIpamConfig { ipv4_address: Some(self.address.to_string()), ..Default::default() };
        let endpoint = EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.network.clone(), endpoint)])) }
    }

    fn port_bindings(&self) -> HashMap<String, Option<Vec<PortBinding>>> {
        let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
        for publish in &self.publish {
            let binding = PortBinding {
                host_ip: Some(publish.host_ip.map(|ip| ip.to_string()).unwrap_or_default()),
                host_port: Some(publish.host_port.map(|port| port.to_string()).unwrap_or_default()),
            };
            bindings.entry(publish.key()).or_default().get_or_insert_default().push(binding);
        }
        bindings
    }
}

fn bind(source: &Path, target: &Path, read_only: bool) -> Mount {
    Mount {
        source: Some(text(source)),
        target: Some(text(target)),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec() -> Spec {
        Spec {
            image: "sha256:00".into(),
            argv: vec!["sleep".into(), "9".into()],
            labels: BTreeMap::from([("clawker.id".into(), "01234567".into())]),
            init: "/state/init/ab/clawker-init".into(),
            agent_dir: "/state/agents/01234567".into(),
            project_dir: "/home/u/p:1".into(),
            idmapped: None,
            places: Vec::new(),
            snapshot: None,
            covers: Vec::new(),
            network: "clawker-net".into(),
            address: Ipv4Addr::new(172, 20, 128, 1),
            dns: vec![Ipv4Addr::new(198, 51, 100, 10)],
            publish: vec![crate::publish::parse("127.0.0.1:8080:80").unwrap()],
            extras: Extras {
                limits: crate::limits::Limits { memory: 1 << 30, nano_cpus: 0, pids: 4_096 },
                ..Extras::default()
            },
            docker_socket: None,
            keeps: Some("clawker.p.dev".into()),
            tty: false,
            stdin: true,
            auto_remove: true,
        }
    }

    #[test]
    fn the_request_is_as_written_down() {
        let body = serde_json::to_value(spec().body()).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/expected/create.json")).unwrap();
        assert_eq!(body, expected, "{}", serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn one_port_may_be_published_twice() {
        let mut spec = spec();
        spec.publish =
            ["80:80", "81:80", "53:53/udp"].map(|text| crate::publish::parse(text).unwrap()).to_vec();
        let bindings = spec.port_bindings();
        assert_eq!(bindings["80/tcp"].as_ref().map(Vec::len), Some(2));
        assert_eq!(bindings["53/udp"].as_ref().map(Vec::len), Some(1));
    }
}
