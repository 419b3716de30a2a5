//! Where a run of `clawker prove` keeps what it makes, on the host and in Docker, and how all of it goes again.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, ListNetworksOptions, LogsOptions, RemoveContainerOptions,
    RemoveImageOptions,
};
use clawker_protocol::names::Name;
use futures_util::StreamExt;
use nix::fcntl::{Flock, FlockArg};

use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::paths::Paths;

/// The label on all that a run makes in Docker; the product's own label of an instance.
const LABEL: &str = "clawker.instance";
/// What a run's instance begins with.
const PREFIX: &str = "prove-";
/// How long a container of one step may take.
const STEP: Duration = Duration::from_secs(60);

/// Where a run keeps what it makes; held by a lock, so that what a killed run left can be told.
#[derive(Debug)]
pub struct Place {
    instance: Name,
    folder: PathBuf,
    cache: PathBuf,
    docker_host: Option<String>,
    _lock: Flock<File>,
}

impl Place {
    /// Takes a new one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn new(ctx: &Context) -> Result<Self, Failure> {
        let number: String = super::batch::canary()?.chars().skip(1).take(8).collect();
        Self::take(ctx, &Name::new(&format!("{PREFIX}{number}"))?)
    }

    fn take(ctx: &Context, instance: &Name) -> Result<Self, Failure> {
        let all = ctx.paths.state.join("prove");
        let folder = all.join(instance.as_str());
        fs::create_dir_all(&folder)?;
        let file = File::open(&folder)?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| Failure::new(format!("Can't lock {}: {error}", folder.display())))?;
        Ok(Self {
            instance: instance.clone(),
            folder,
            cache: ctx.paths.cache.clone(),
            docker_host: config::docker_host(&ctx.paths)?,
            _lock: lock,
        })
    }

    /// Clears away what runs that were killed left.
    pub async fn clear_others(ctx: &Context) {
        let found = fs::read_dir(ctx.paths.state.join("prove"));
        for entry in found.into_iter().flatten().flatten() {
            let name = entry.file_name().to_str().and_then(|name| Name::new(name).ok());
            // One that is held belongs to a run that lives: ours, or another.
            if let Some(Ok(place)) = name.map(|name| Self::take(ctx, &name)) {
                place.clear().await;
            }
        }
    }

    /// The twin's folders and names.
    pub fn paths(&self) -> Paths {
        Paths {
            state: self.folder.join("state"),
            config: self.folder.join("config"),
            cache: self.cache.clone(),
            instance: Some(self.instance.clone()),
        }
    }

    /// The twin's project.
    pub fn project(&self) -> PathBuf {
        self.folder.join("project")
    }

    /// The folder that the sink shares with us.
    pub fn sink_folder(&self) -> PathBuf {
        self.folder.join("sink")
    }

    /// The image of the probe.
    pub fn image(&self) -> String {
        format!("clawker-prove:{}", self.instance)
    }

    /// A container of the run, with nothing but an image and a program.
    pub fn body(&self, image: &str, program: Vec<String>) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(image.to_owned()),
            user: Some("0:0".to_owned()),
            entrypoint: Some(program.iter().take(1).cloned().collect()),
            cmd: Some(program.into_iter().skip(1).collect()),
            labels: Some([(LABEL.to_owned(), self.instance.to_string())].into()),
            ..ContainerCreateBody::default()
        }
    }

    /// Makes and starts a container of the run; its id.
    ///
    /// # Errors
    /// Docker's.
    pub async fn start(
        &self,
        engine: &Engine,
        role: &str,
        body: ContainerCreateBody,
    ) -> Result<String, Failure> {
        let name = Some(format!("clawker-{role}-{}", self.instance));
        let options = CreateContainerOptions { name, ..CreateContainerOptions::default() };
        let id = engine.api.create_container(Some(options), body).await.map_err(DockerError::from)?.id;
        engine.api.start_container(&id, None).await.map_err(DockerError::from)?;
        Ok(id)
    }

    /// Runs a program of the probe's image to its end; its exit code and what it wrote.
    ///
    /// # Errors
    /// Docker's, or that it came to no end.
    pub async fn run(
        &self,
        engine: &Engine,
        role: &str,
        body: ContainerCreateBody,
    ) -> Result<(i64, String), Failure> {
        let id = self.start(engine, role, body).await?;
        let ended = tokio::time::timeout(STEP, ended(engine, &id)).await;
        let ended =
            ended.unwrap_or_else(|_| Err(Failure::new(format!("The container {role} came to no end"))));
        self.remove(engine, &id).await;
        ended
    }

    /// Removes a container of the run.
    pub async fn remove(&self, engine: &Engine, id: &str) {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        let _ = engine.api.remove_container(id, Some(options)).await;
    }

    /// Removes all that carries the run's label, its image and its files. What fails is left for the next run.
    pub async fn clear(&self) {
        let Ok(engine) = Engine::connect(self.docker_host.as_deref()).await else { return };
        let filters = [("label".to_owned(), vec![format!("{LABEL}={}", self.instance)])];
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters.clone().into()),
            ..ListContainersOptions::default()
        };
        for container in engine.api.list_containers(Some(options)).await.unwrap_or_default() {
            self.remove(&engine, &container.id.unwrap_or_default()).await;
        }
        let options = ListNetworksOptions { filters: Some(filters.into()) };
        for network in engine.api.list_networks(Some(options)).await.unwrap_or_default() {
            let _ = engine.api.remove_network(&network.id.unwrap_or_default()).await;
        }
        let _ = engine.api.remove_image(&self.image(), None::<RemoveImageOptions>, None).await;
        let _ = fs::remove_dir_all(&self.folder);
        // Fails while another run has a place there.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// Waits for a container's end; its exit code, and what it wrote.
async fn ended(engine: &Engine, id: &str) -> Result<(i64, String), Failure> {
    let code = loop {
        let found = engine.api.inspect_container(id, None).await.map_err(DockerError::from)?;
        let state = found.state.unwrap_or_default();
        if state.running != Some(true) {
            break state.exit_code.unwrap_or(-1);
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    };
    let options =
        LogsOptions { stdout: true, stderr: true, tail: "all".to_owned(), ..LogsOptions::default() };
    let mut text = String::new();
    let mut log = engine.api.logs(id, Some(options));
    while let Some(piece) = log.next().await {
        text.push_str(&String::from_utf8_lossy(&piece.map_err(DockerError::from)?.into_bytes()));
    }
    Ok((code, text))
}
