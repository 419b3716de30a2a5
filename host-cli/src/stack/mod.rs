//! The network, Envoy and CoreDNS: made where they are missing, left alone where they are well. A stack that is up
//! costs three questions to Docker, one to Envoy and one to CoreDNS.

mod containers;
mod network;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bollard::Docker;
use ipnet::Ipv4Net;
use serde::Serialize;

use crate::config::Settings;
use crate::dns::{self, ask};
use crate::docker::DockerError;
use crate::envoy::admin;
use crate::gateway::{self, GatewayError};
use crate::images::{self, ImagesError};
use crate::lock::{LockError, StateLock};
use crate::output::Progress;
use crate::paths::{Paths, PathsError};
use crate::store::{self, StoreError};

use containers::{Found, Part};

/// How long Envoy and CoreDNS may take to come up.
const UP: Duration = Duration::from_secs(20);

/// Why the stack is not there.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Docker.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The init around Envoy.
    #[error(transparent)]
    Init(#[from] PathsError),
    /// Images.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The files of Envoy and CoreDNS.
    #[error(transparent)]
    Gateway(Box<GatewayError>),
    /// A network of that name that is not ours.
    #[error("A Docker network named {0} exists that is not clawker's; remove it: docker network rm {0}")]
    NotOurs(String),
    /// Another user's.
    #[error(
        "Network {network} belongs to uid {owner}; set CLAWKER_INSTANCE to a name of your own to have one beside it"
    )]
    Owner {
        /// Which.
        network: String,
        /// Whose.
        owner: String,
    },
    /// A container of that name that is not ours.
    #[error("A container named {0} exists that is not clawker's; remove or rename it")]
    Stranger(String),
    /// Docker gave no subnet that can be used.
    #[error(
        "Docker offers no subnet for {0} that holds enough addresses; see default-address-pools in daemon.json"
    )]
    Subnet(String),
    /// The network holds no more agents.
    #[error("All {0} addresses of {1} are taken; remove agents that are needed no more: clawker rm")]
    Full(usize, String),
    /// It was started and does not answer.
    #[error("{name} was started and does not answer: {said}; see docker logs {name}")]
    NotUp {
        /// Which container.
        name: String,
        /// Its last words.
        said: String,
    },
}

impl From<GatewayError> for StackError {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(Box::new(error))
    }
}

/// Where everything is.
#[derive(Debug, Clone)]
pub struct StackInfo {
    /// The network's name.
    pub network: String,
    /// Its subnet.
    pub subnet: Ipv4Net,
    /// The bridge's own address.
    pub gateway: Ipv4Addr,
    /// Envoy's address.
    pub envoy: Ipv4Addr,
    /// CoreDNS's address.
    pub coredns: Ipv4Addr,
    /// The engine that it is on.
    pub docker: Docker,
}

/// How one of the two is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartHealth {
    /// Its container's name.
    pub container: String,
    /// `absent`, `stopped`, `deaf` or `healthy`.
    pub state: &'static str,
    /// Its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
}

/// How the stack is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackHealth {
    /// The network's name.
    pub network: String,
    /// Its subnet, where it exists.
    pub subnet: Option<Ipv4Net>,
    /// Envoy.
    pub envoy: PartHealth,
    /// CoreDNS.
    pub coredns: PartHealth,
    /// Policies in force.
    pub policies: usize,
    /// Agents that are recorded.
    pub agents: usize,
}

impl StackHealth {
    /// Whether both answer.
    pub fn is_healthy(&self) -> bool {
        self.envoy.state == "healthy" && self.coredns.state == "healthy"
    }
}

/// Sees to it that the stack is up.
///
/// # Errors
/// [`StackError`].
pub async fn ensure(
    docker: &Docker,
    paths: &Paths,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<StackInfo, StackError> {
    let images = images::stack(paths, settings, progress).await?;
    if let Some(info) = network::find(docker, paths).await? {
        let (envoy, coredns) = parts(paths, &info, &images)?;
        let (envoy, coredns) = tokio::join!(envoy.find(docker), coredns.find(docker));
        if envoy?.is_current() && coredns?.is_current() && answers(paths, &info) {
            return Ok(info);
        }
    }
    raise(docker, paths, settings, progress, &images).await
}

fn parts(paths: &Paths, info: &StackInfo, images: &images::Stack) -> Result<(Part, Part), StackError> {
    let envoy = containers::envoy(paths, info, &images.envoy)?;
    Ok((envoy, containers::coredns(paths, info, &images.coredns)))
}

fn answers(paths: &Paths, info: &StackInfo) -> bool {
    admin::is_ready(&paths.run_dir()) && ask::answers(info.coredns, dns::HEALTH_PORT)
}

/// Makes and starts what is missing, under the lock.
async fn raise(
    docker: &Docker,
    paths: &Paths,
    settings: &Settings,
    progress: &dyn Progress,
    images: &images::Stack,
) -> Result<StackInfo, StackError> {
    images::make(docker, paths, settings, images, progress).await?;
    let lock = StateLock::acquire(paths)?;
    let info = match network::find(docker, paths).await? {
        Some(info) => info,
        None => {
            progress.step(&format!("Making the network {}", paths.network()));
            network::make(docker, paths, progress).await?
        }
    };
    gateway::make_folders(paths)?;
    let plans = current_plans(paths)?;
    gateway::write(paths, &lock, &info, &plans)?;
    let (envoy, coredns) = parts(paths, &info, images)?;
    for part in [&envoy, &coredns] {
        match part.find(docker).await? {
            Found::Current => {}
            Found::Stopped => part.start(docker).await?,
            Found::Absent => {
                progress.step(&format!("Starting {}", part.name));
                part.make(docker).await?;
            }
            Found::Outdated => {
                progress.step(&format!("Replacing {}", part.name));
                part.remove(docker).await?;
                part.make(docker).await?;
            }
        }
    }
    wait_for(docker, paths, &info, &[envoy, coredns]).await?;
    // An Envoy that ran all along was told nothing by the file.
    gateway::fence::tell(paths, &gateway::fence::dials(&plans, info.subnet))?;
    Ok(info)
}

/// Plans of projects that still have agents; the others' are forgotten.
fn current_plans(paths: &Paths) -> Result<Vec<crate::plan::Plan>, StackError> {
    let agents = store::agents(paths)?;
    let (kept, gone): (Vec<_>, Vec<_>) = gateway::plans(paths)?
        .into_iter()
        .partition(|plan| agents.iter().any(|agent| agent.project_dir == plan.project_dir));
    for plan in gone {
        let _ = std::fs::remove_file(paths.plan(&plan.id));
    }
    Ok(kept)
}

async fn wait_for(
    docker: &Docker,
    paths: &Paths,
    info: &StackInfo,
    parts: &[Part; 2],
) -> Result<(), StackError> {
    let end = Instant::now() + UP;
    while !answers(paths, info) {
        if Instant::now() >= end {
            let silent = if admin::is_ready(&paths.run_dir()) { &parts[1] } else { &parts[0] };
            return Err(StackError::NotUp {
                name: silent.name.clone(),
                said: silent.last_words(docker).await,
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The stack as it is, where its network exists; changes nothing.
///
/// # Errors
/// [`StackError`].
pub async fn find(docker: &Docker, paths: &Paths) -> Result<Option<StackInfo>, StackError> {
    network::find(docker, paths).await
}

/// Whether both answer.
pub fn is_up(paths: &Paths, info: &StackInfo) -> bool {
    answers(paths, info)
}

/// What [`down`] left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The network stays, for the agents that are on it.
    pub network: bool,
    /// How many those are.
    pub agents: usize,
}

/// Removes Envoy and CoreDNS, and the network unless agents need it.
///
/// # Errors
/// [`StackError`].
pub async fn down(docker: &Docker, paths: &Paths) -> Result<Left, StackError> {
    let lock = StateLock::acquire(paths)?;
    for name in [paths.envoy_container(), paths.coredns_container()] {
        containers::remove(docker, &name).await?;
    }
    let agents = store::agents(paths)?.len();
    let left = agents > 0 || !network::remove(docker, paths).await?;
    drop(lock);
    Ok(Left { network: left, agents })
}

/// How the stack is.
///
/// # Errors
/// [`StackError`].
pub async fn health(docker: &Docker, paths: &Paths) -> Result<StackHealth, StackError> {
    let info = network::find(docker, paths).await?;
    let envoy_answers = admin::is_ready(&paths.run_dir());
    let coredns_answers = info.as_ref().is_some_and(|info| ask::answers(info.coredns, dns::HEALTH_PORT));
    let envoy = containers::health(
        docker,
        paths.envoy_container(),
        info.as_ref().map(|info| info.envoy),
        envoy_answers,
    );
    let coredns = containers::health(
        docker,
        paths.coredns_container(),
        info.as_ref().map(|info| info.coredns),
        coredns_answers,
    );
    let (envoy, coredns) = tokio::join!(envoy, coredns);
    Ok(StackHealth {
        network: paths.network(),
        subnet: info.map(|info| info.subnet),
        envoy: envoy?,
        coredns: coredns?,
        policies: gateway::plans(paths)?.len(),
        agents: store::agents(paths)?.len(),
    })
}

/// A fixed address for a new agent, which no record has.
///
/// # Errors
/// [`StackError::Full`].
pub fn free_agent_address(
    paths: &Paths,
    info: &StackInfo,
    _lock: &StateLock,
) -> Result<Ipv4Addr, StackError> {
    let taken: Vec<Ipv4Addr> = store::agents(paths)?.into_iter().map(|record| record.address).collect();
    network::Layout::of(info.subnet)
        .and_then(|layout| layout.agents().find(|address| !taken.contains(address)))
        .ok_or_else(|| StackError::Full(taken.len(), info.network.clone()))
}
