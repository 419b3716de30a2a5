//! Envoy's and CoreDNS's containers: no capability, no writable root, the uid that owns the state, fixed addresses.
//! Envoy runs under an init, whose rules let it dial only what is public or listed; the container's own capabilities
//! are that init's, and Envoy has none of them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountType, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptions, LogsOptions, RemoveContainerOptions};
use clawker_protocol::places;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{PartHealth, StackError, StackInfo};
use crate::docker::DockerError;
use crate::docker::create::CAPABILITIES;
use crate::paths::{Paths, PathsError};
use crate::{dns, envoy};

/// The label with a hash of all that a container was made of.
const MADE_OF: &str = "clawker.config";
/// Bytes of memory: Envoy's bound on its own heap lies below.
const ENVOY_MEMORY: i64 = 1 << 30;
const COREDNS_MEMORY: i64 = 512 << 20;
/// Threads and processes.
const MAX_PIDS: i64 = 256;

/// One of the two as it should be.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its container's name.
    pub name: String,
    body: ContainerCreateBody,
    made_of: String,
}

/// One of the two as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No container.
    Absent,
    /// Made of something else.
    Outdated,
    /// As it should be, but it does not run.
    Stopped,
    /// As it should be.
    Current,
}

impl Found {
    /// Whether nothing is to be done.
    pub fn is_current(self) -> bool {
        self == Self::Current
    }
}

/// Envoy as it should be. What it may dial stands in its init's config and is no part of it: a change needs no other
/// container.
///
/// # Errors
/// When there is no init to mount.
pub fn envoy(paths: &Paths, info: &StackInfo, image: &str) -> Result<Part, PathsError> {
    let mounts = vec![
        bind(&paths.init_binary()?, places::INIT, true),
        bind(&paths.gateway_dir(), places::HOST_DIR, false),
        bind(&paths.gateway_config(), places::GATEWAY_CONFIG, true),
        bind(&paths.envoy_dir(), envoy::FOLDER, true),
        bind(&paths.run_dir(), envoy::RUN, false),
    ];
    // Init reads what runs from its config; the rest is for `docker ps`.
    let arguments = ["--profile", "gateway"].map(str::to_owned).into_iter().chain(envoy::command());
    let kind =
        Kind { role: "envoy", name: paths.envoy_container(), address: info.envoy, memory: ENVOY_MEMORY };
    let body = body(info, &kind, image, arguments.collect(), mounts);
    Ok(part(paths, kind, under_init(body)))
}

/// CoreDNS as it should be.
pub fn coredns(paths: &Paths, info: &StackInfo, image: &str) -> Part {
    let arguments = vec!["-conf".to_owned(), format!("{}/{}", dns::FOLDER, dns::COREFILE)];
    let mounts = vec![bind(&paths.coredns_dir(), dns::FOLDER, true)];
    let kind = Kind {
        role: "coredns",
        name: paths.coredns_container(),
        address: info.coredns,
        memory: COREDNS_MEMORY,
    };
    let body = body(info, &kind, image, arguments, mounts);
    part(paths, kind, body)
}

/// What differs between the two.
struct Kind {
    role: &'static str,
    name: String,
    address: Ipv4Addr,
    memory: i64,
}

fn body(
    info: &StackInfo,
    kind: &Kind,
    image: &str,
    arguments: Vec<String>,
    mounts: Vec<Mount>,
) -> ContainerCreateBody {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let ipam = EndpointIpamConfig { ipv4_address: Some(kind.address.to_string()), ..Default::default() };
    let endpoint = EndpointSettings { ipam_config: Some(ipam), ..EndpointSettings::default() };
    ContainerCreateBody {
        image: Some(image.to_owned()),
        user: Some(format!("{uid}:{gid}")),
        cmd: Some(arguments),
        // Docker takes a signal sent through it for a wish to stop, unless another one is named as that.
        stop_signal: Some("SIGTERM".to_owned()),
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(host_config(info, kind.memory, mounts)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(info.network.clone(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// The same container with our init as its PID 1, and with what that needs.
fn under_init(body: ContainerCreateBody) -> ContainerCreateBody {
    let host_config = body.host_config.map(|config| HostConfig {
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        tmpfs: Some(HashMap::from([(
            places::RUN_DIR.to_owned(),
            "mode=0700,size=1m,nosuid,nodev,noexec".to_owned(),
        )])),
        ..config
    });
    ContainerCreateBody {
        user: Some("0:0".to_owned()),
        // Whatever the image's own is.
        entrypoint: Some(vec![places::INIT.to_owned()]),
        host_config,
        ..body
    }
}

fn part(paths: &Paths, kind: Kind, mut body: ContainerCreateBody) -> Part {
    let made_of = hash(&body);
    body.labels = Some(HashMap::from([
        ("clawker.role".to_owned(), kind.role.to_owned()),
        ("clawker.instance".to_owned(), paths.instance_label()),
        ("clawker.owner".to_owned(), nix::unistd::geteuid().to_string()),
        ("clawker.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        (MADE_OF.to_owned(), made_of.clone()),
    ]));
    Part { name: kind.name, body, made_of }
}

fn host_config(info: &StackInfo, memory: i64, mounts: Vec<Mount>) -> HostConfig {
    HostConfig {
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        readonly_rootfs: Some(true),
        // An engine whose default is its own init would put that in place of ours.
        init: Some(false),
        mounts: Some(mounts),
        network_mode: Some(info.network.clone()),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(MAX_PIDS),
        // Not "unless stopped": Docker counts the signal by which CoreDNS reloads as a stop, and would not bring it
        // back after a crash or a reboot.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::ALWAYS),
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

fn bind(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount {
        source: Some(source.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    }
}

/// Of a request's JSON with its keys in order.
fn hash(body: &ContainerCreateBody) -> String {
    let text = serde_json::to_value(body).map(|value| value.to_string()).unwrap_or_default();
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Part {
    /// How it is.
    pub async fn find(&self, docker: &Docker) -> Result<Found, StackError> {
        let found = match docker.inspect_container(&self.name, None).await.map_err(DockerError::from) {
            Ok(found) => found,
            Err(error) if error.is_missing() => return Ok(Found::Absent),
            Err(error) => return Err(error.into()),
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let running = found.state.and_then(|state| state.running) == Some(true);
        match labels.get(MADE_OF) {
            None => Err(StackError::Stranger(self.name.clone())),
            Some(made_of) if *made_of != self.made_of => Ok(Found::Outdated),
            Some(_) if running => Ok(Found::Current),
            Some(_) => Ok(Found::Stopped),
        }
    }

    /// Makes and starts it; nothing is left of one that does not start.
    pub async fn make(&self, docker: &Docker) -> Result<(), StackError> {
        let options = CreateContainerOptions { name: Some(self.name.clone()), ..Default::default() };
        docker.create_container(Some(options), self.body.clone()).await.map_err(DockerError::from)?;
        if let Err(error) = self.start(docker).await {
            let _ = self.remove(docker).await;
            return Err(error);
        }
        Ok(())
    }

    /// Starts it.
    pub async fn start(&self, docker: &Docker) -> Result<(), StackError> {
        docker.start_container(&self.name, None).await.map_err(DockerError::from)?;
        Ok(())
    }

    /// Removes it.
    pub async fn remove(&self, docker: &Docker) -> Result<(), StackError> {
        remove(docker, &self.name).await
    }

    /// Its last line, for an error.
    pub async fn last_words(&self, docker: &Docker) -> String {
        let options = LogsOptions { stdout: true, stderr: true, tail: "3".to_owned(), ..Default::default() };
        let mut log = docker.logs(&self.name, Some(options));
        let mut words = String::new();
        while let Some(Ok(LogOutput::StdErr { message } | LogOutput::StdOut { message })) = log.next().await {
            words.push_str(&String::from_utf8_lossy(&message));
        }
        let words: Vec<&str> = words.split_whitespace().collect();
        if words.is_empty() {
            "it said nothing".to_owned()
        } else {
            words.join(" ").chars().take(300).collect()
        }
    }
}

/// Removes a container of ours, whether or not it runs.
pub async fn remove(docker: &Docker, name: &str) -> Result<(), StackError> {
    let found = match docker.inspect_container(name, None).await.map_err(DockerError::from) {
        Ok(found) => found,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    if !labels.contains_key(MADE_OF) {
        return Err(StackError::Stranger(name.to_owned()));
    }
    let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    match docker.remove_container(name, Some(options)).await.map_err(DockerError::from) {
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(()),
    }
}

/// How a container is.
pub async fn health(
    docker: &Docker,
    name: String,
    address: Option<Ipv4Addr>,
    answers: bool,
) -> Result<PartHealth, StackError> {
    let found = match docker.inspect_container(&name, None).await.map_err(DockerError::from) {
        Ok(found) => found,
        Err(error) if error.is_missing() => {
            return Ok(PartHealth { container: name, state: "absent", image: None, address: None });
        }
        Err(error) => return Err(error.into()),
    };
    let running = found.state.and_then(|state| state.running) == Some(true);
    let state = match (running, answers) {
        (false, _) => "stopped",
        (true, false) => "deaf",
        (true, true) => "healthy",
    };
    let image = found.config.and_then(|config| config.image);
    Ok(PartHealth { container: name, state, image, address })
}
