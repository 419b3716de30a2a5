//! Our images: which references they have, and making those that are missing, with the recipes that the binary carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bollard::Docker;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::config::{Loaded, Settings};
use crate::docker::DockerError;
use crate::output::Progress;
use crate::paths::{Paths, PathsError, carries_init};
use crate::store::{self, StoreError};

/// Every file below `dockerfile/`.
const RECIPES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));
/// The script that knows what to do with them.
const SCRIPT: &str = "assemble.sh";
/// The file with the references, beside the recipes.
const REFS: &str = "refs.json";

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The script failed.
    #[error("Can't make the image {image}: {said}")]
    Assemble {
        /// Which.
        image: String,
        /// Its last words.
        said: String,
    },
    /// It can't be run.
    #[error("Can't run bash for the image recipes; install bash")]
    NoBash(#[source] std::io::Error),
    /// It said something else than references.
    #[error("The image recipes name no reference for {0}")]
    NoReference(String),
    /// An image of the settings.
    #[error("Image {0} of settings.yaml is not on this machine; load or pull it: docker pull {0}")]
    NotHere(String),
    /// Files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The init.
    #[error(transparent)]
    Init(#[from] PathsError),
    /// Docker.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// The stack's images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Envoy's reference.
    pub envoy: String,
    /// CoreDNS's.
    pub coredns: String,
}

/// The references of the stack's images: the settings', else ours.
///
/// # Errors
/// [`ImagesError`].
pub async fn stack(
    paths: &Paths,
    settings: &Settings,
    _progress: &dyn Progress,
) -> Result<Stack, ImagesError> {
    let firewall = &settings.firewall;
    if let (Some(envoy), Some(coredns)) = (&firewall.envoy_image, &firewall.coredns_image) {
        return Ok(Stack { envoy: envoy.clone(), coredns: coredns.clone() });
    }
    let recipes = Recipes::unpack(paths, settings)?;
    let refs = recipes.refs().await?;
    let of = |image: &str, setting: &Option<String>| match setting {
        Some(reference) => Ok(reference.clone()),
        None => refs.get(image).cloned().ok_or_else(|| ImagesError::NoReference(image.to_owned())),
    };
    Ok(Stack { envoy: of("envoy", &firewall.envoy_image)?, coredns: of("coredns", &firewall.coredns_image)? })
}

/// Makes those that are missing.
///
/// # Errors
/// [`ImagesError`].
pub async fn make(
    docker: &Docker,
    paths: &Paths,
    settings: &Settings,
    stack: &Stack,
    progress: &dyn Progress,
) -> Result<(), ImagesError> {
    let mut missing = Vec::new();
    for (image, reference, setting) in [
        ("envoy", &stack.envoy, &settings.firewall.envoy_image),
        ("coredns", &stack.coredns, &settings.firewall.coredns_image),
    ] {
        if is_here(docker, reference).await? {
            continue;
        }
        if setting.is_some() {
            return Err(ImagesError::NotHere(reference.clone()));
        }
        missing.push(image);
    }
    if missing.is_empty() {
        return Ok(());
    }
    Recipes::unpack(paths, settings)?.assemble(&missing, progress).await
}

/// The image that an agent runs in or that its own is built upon: the project's, else ours, made where it is missing.
///
/// # Errors
/// [`ImagesError`].
pub async fn agent_image(
    docker: &Docker,
    paths: &Paths,
    loaded: &Loaded,
    progress: &dyn Progress,
) -> Result<String, ImagesError> {
    let reference = agent_reference(paths, loaded).await?;
    if loaded.config.build.image.is_none() && !is_here(docker, &reference).await? {
        Recipes::unpack(paths, &loaded.settings)?.assemble(&["agent"], progress).await?;
    }
    Ok(reference)
}

/// Its reference; whether it is there isn't looked at.
///
/// # Errors
/// [`ImagesError`].
pub async fn agent_reference(paths: &Paths, loaded: &Loaded) -> Result<String, ImagesError> {
    if let Some(reference) = &loaded.config.build.image {
        return Ok(reference.clone());
    }
    if !carries_init() {
        return Err(PathsError::NoInit.into());
    }
    let refs = Recipes::unpack(paths, &loaded.settings)?.refs().await?;
    refs.get("agent").cloned().ok_or_else(|| ImagesError::NoReference("agent".to_owned()))
}

async fn is_here(docker: &Docker, reference: &str) -> Result<bool, DockerError> {
    match docker.inspect_image(reference).await.map_err(DockerError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The recipes, unpacked into the cache under their content's hash.
struct Recipes {
    folder: PathBuf,
    cache: PathBuf,
    init: Option<PathBuf>,
    docker_host: Option<String>,
}

impl Recipes {
    fn unpack(paths: &Paths, settings: &Settings) -> Result<Self, ImagesError> {
        let init = carries_init().then(|| paths.init_binary()).transpose()?;
        let mut hash = Sha256::new();
        for (name, text) in RECIPES {
            hash.update(format!("{name}\0{}\0{text}", text.len()));
        }
        hash.update(init.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default());
        let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let folder = paths.cache.join("recipes").join(key);
        // The script comes last: where it is, everything is.
        if !folder.join(SCRIPT).is_file() {
            let (script, others): (Vec<_>, Vec<_>) = RECIPES.iter().partition(|(name, _)| *name == SCRIPT);
            for (name, text) in others.into_iter().chain(script) {
                store::write_atomically(&folder.join(name), text.as_bytes(), 0o755)?;
            }
        }
        Ok(Self { folder, cache: paths.cache.clone(), init, docker_host: settings.docker.host.clone() })
    }

    /// The reference of each image. The script is asked once; its answer depends on the recipes alone.
    async fn refs(&self) -> Result<BTreeMap<String, String>, ImagesError> {
        let file = self.folder.join(REFS);
        if let Some(refs) = store::load(&file)? {
            return Ok(refs);
        }
        let mut images = vec!["base", "envoy", "coredns"];
        if self.init.is_some() {
            images.push("agent");
        }
        let mut command = self.command(&["--refs"], &images);
        let output = command.stdin(Stdio::null()).output().await.map_err(ImagesError::NoBash)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(ImagesError::Assemble { image: "references".to_owned(), said });
        }
        let refs: BTreeMap<String, String> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(image, reference)| (image.to_owned(), reference.to_owned()))
            .collect();
        store::save(&file, &refs)?;
        Ok(refs)
    }

    /// Makes images, passing on what the script says.
    async fn assemble(&self, images: &[&str], progress: &dyn Progress) -> Result<(), ImagesError> {
        progress.step(&format!("Making {} (once)", images.join(" and ")));
        let mut command = self.command(&[], images);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(ImagesError::NoBash)?;
        let mut last = String::new();
        if let Some(stderr) = child.stderr.take() {
            let mut lines = BufReader::new(stderr.take(16 << 20)).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                progress.step(&line);
                last = line;
            }
        }
        let status = child.wait().await.map_err(ImagesError::NoBash)?;
        if !status.success() {
            let said = last.trim_start_matches("assemble: ").to_owned();
            return Err(ImagesError::Assemble { image: images.join(", "), said });
        }
        Ok(())
    }

    fn command(&self, options: &[&str], images: &[&str]) -> Command {
        let mut command = Command::new("bash");
        command
            .arg(self.folder.join(SCRIPT))
            .args(options)
            .args(images)
            .env("CLAWKER_CACHE", Path::new(&self.cache));
        if let Some(init) = &self.init {
            command.env("CLAWKER_INIT_BIN", init);
        }
        if let (Some(host), None) = (&self.docker_host, std::env::var_os("DOCKER_HOST")) {
            command.env("DOCKER_HOST", host);
        }
        command
    }
}
