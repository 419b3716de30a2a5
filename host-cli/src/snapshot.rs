//! A copy of the project in a volume of the agent's own, for `--mode snapshot`: kept with the agent's name, used again by
//! the next agent of that name, and marked as whole only once it is. Nothing flows back.

mod pack;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions, VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptions, RemoveContainerOptions, RemoveVolumeOptions, UploadToContainerOptions,
};
use nix::fcntl::{Flock, FlockArg};

use crate::agent;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::ignored::Ignored;
use crate::launch::{self, Interrupt};
use crate::paths::Paths;
use crate::pull::base;
use crate::store::{self, StoreError};

pub use pack::FOLDER;

/// Where the volume lies in the container that is only copied into and never runs.
pub const PLACE: &str = "/clawker-copy";
/// The label that tells one copy from another.
const COPY_LABEL: &str = "clawker.copy";
/// The label that says what something in Docker is for, and what it says of the container that a volume is copied through.
const ROLE_LABEL: &str = "clawker.role";
const HELPER_ROLE: &str = "copy";
/// How long a copy may take.
const COPY_TIME: Duration = Duration::from_secs(6 * 60 * 60);
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(500);

/// What to copy, and for whom.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The agent's id.
    pub id: &'a str,
    /// The agent's container; the volume is named after it.
    pub container: &'a str,
    /// The project.
    pub project: &'a Path,
    /// What isn't copied.
    pub hidden: &'a [Ignored],
    /// An image that is here: its container is never started.
    pub image: &'a str,
    /// To whom the copy belongs.
    pub owner: (u32, u32),
    /// Begin again.
    pub fresh: bool,
}

/// The volume's name.
pub fn volume(container: &str) -> String {
    format!("{container}.snapshot")
}

/// The project's mount.
pub fn mount(volume: &str, project: &Path) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.to_owned()),
        target: Some(project.to_string_lossy().into_owned()),
        // What an image has at that place is none of the project's.
        volume_options: Some(MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..Mount::default()
    }
}

/// Says where the mark of a whole copy is: beside the agents, whose folders go with them.
fn mark(paths: &Paths, id: &str) -> PathBuf {
    paths.state.join("snapshots").join(format!("{id}.json"))
}

/// Says where it is recorded what the copy began with.
pub fn base_file(paths: &Paths, id: &str) -> PathBuf {
    mark(paths, id).with_extension("base")
}

/// Keeps other commands from an agent's copy.
///
/// # Errors
/// When one is at it.
pub fn lock(paths: &Paths, id: &str) -> Result<Flock<File>, Failure> {
    let path = mark(paths, id).with_extension("lock");
    store::make_folder(&paths.state.join("snapshots"))?;
    // Never renamed over: a lock is on the file, not on its name.
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = open.map_err(|error| StoreError::io(&path, error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        Failure::new("Another clawker command is at this agent's copy of the project; wait for it")
    })
}

/// The number of an agent's copy, if there is one and it is whole.
///
/// # Errors
/// [`DockerError`].
pub async fn whole(
    paths: &Paths,
    engine: &Engine,
    container: &str,
    id: &str,
) -> Result<Option<String>, DockerError> {
    let marked = std::fs::read_to_string(mark(paths, id)).ok();
    let found = find(engine, &volume(container)).await?.filter(|found| found.id.as_deref() == Some(id));
    Ok(found.and_then(|found| found.copy).filter(|copy| marked.as_ref() == Some(copy)))
}

/// The agent's volume: the one that it has, if that is whole, else a new copy.
///
/// # Errors
/// When it can't be copied or was interrupted; nothing is left behind then.
pub async fn ensure(
    ctx: &Context,
    engine: &Engine,
    wanted: &Wanted<'_>,
    interrupt: &Interrupt,
) -> Result<String, Failure> {
    let name = volume(wanted.container);
    let mark = mark(&ctx.paths, wanted.id);
    let _lock = lock(&ctx.paths, wanted.id)?;
    if let Some(found) = find(engine, &name).await? {
        if found.id.as_deref() != Some(wanted.id) {
            return Err(Failure::new(format!(
                "A volume named {name} exists that is not this agent's; remove it (docker volume rm {name}) or choose another --agent"
            )));
        }
        let marked = std::fs::read_to_string(&mark).ok();
        if !wanted.fresh && found.copy.is_some() && marked == found.copy {
            return Ok(name);
        }
        remove_helper(engine, wanted.container).await;
        // The volume first: a container may still hold it, and then the copy in it stays whole. A mark without it is of no
        // harm, for its number fits no other.
        engine.api.remove_volume(&name, None::<RemoveVolumeOptions>).await.map_err(DockerError::from)?;
    }
    store::remove(&mark)?;
    let base = base_file(&ctx.paths, wanted.id);
    store::remove(&base)?;
    let number = agent::new_secret()?;
    let labels = [("clawker.role", "snapshot".to_owned()), ("clawker.id", wanted.id.to_owned())]
        .into_iter()
        .chain([("clawker.instance", ctx.paths.instance_label())])
        .chain([("clawker.dir", wanted.project.to_string_lossy().into_owned()), (COPY_LABEL, number.clone())])
        .map(|(name, value)| (name.to_owned(), value));
    let request = VolumeCreateRequest {
        name: Some(name.clone()),
        labels: Some(labels.collect()),
        ..VolumeCreateRequest::default()
    };
    engine.api.create_volume(request).await.map_err(DockerError::from)?;
    let copied = copy(ctx, engine, wanted, &number, interrupt).await;
    remove_helper(engine, wanted.container).await;
    let copied = copied.and_then(|()| if interrupt.came() { Err(launch::interrupted()) } else { Ok(()) });
    let marked = copied.and_then(|()| Ok(store::write_atomically(&mark, number.as_bytes(), 0o600)?));
    if let Err(failure) = marked {
        let _ = store::remove(&base);
        let _ = engine.api.remove_volume(&name, None::<RemoveVolumeOptions>).await;
        return Err(failure);
    }
    Ok(name)
}

/// Removes an agent's volume. Whether there was one.
///
/// # Errors
/// When Docker does not.
pub async fn remove(paths: &Paths, engine: &Engine, container: &str, id: &str) -> Result<bool, Failure> {
    let name = volume(container);
    let was = exists(engine, container, id).await?;
    if was {
        let _lock = lock(paths, id)?;
        remove_helper(engine, container).await;
        engine.api.remove_volume(&name, None::<RemoveVolumeOptions>).await.map_err(DockerError::from)?;
    }
    store::remove(&mark(paths, id))?;
    store::remove(&base_file(paths, id))?;
    Ok(was)
}

/// Whether an agent has one.
///
/// # Errors
/// [`DockerError`].
pub async fn exists(engine: &Engine, container: &str, id: &str) -> Result<bool, DockerError> {
    Ok(find(engine, &volume(container)).await?.is_some_and(|found| found.id.as_deref() == Some(id)))
}

struct Found {
    id: Option<String>,
    /// Which copy: Docker's own date of a volume changes.
    copy: Option<String>,
}

async fn find(engine: &Engine, name: &str) -> Result<Option<Found>, DockerError> {
    match engine.api.inspect_volume(name).await.map_err(DockerError::from) {
        Ok(found) => Ok(Some(Found {
            id: found.labels.get("clawker.id").cloned(),
            copy: found.labels.get(COPY_LABEL).cloned(),
        })),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The container through which a volume is written and read, and which never runs.
fn helper(container: &str) -> String {
    format!("{container}.copy")
}

/// Makes it, and takes one away that a killed command left: the lock says that none is at work.
///
/// # Errors
/// When the volume or the image isn't there.
pub async fn make_helper(
    engine: &Engine,
    container: &str,
    image: &str,
    read_only: bool,
) -> Result<String, DockerError> {
    remove_helper(engine, container).await;
    let volume = Mount {
        read_only: Some(read_only),
        ..mount(&volume(container), &Path::new(PLACE).join(pack::FOLDER))
    };
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        entrypoint: Some(vec!["/none".to_owned()]),
        labels: Some(HashMap::from([(ROLE_LABEL.to_owned(), HELPER_ROLE.to_owned())])),
        host_config: Some(HostConfig {
            mounts: Some(vec![volume]),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let helper = helper(container);
    let options = CreateContainerOptions { name: Some(helper.clone()), ..Default::default() };
    engine.api.create_container(Some(options), body).await?;
    Ok(helper)
}

/// Takes it away, and nothing else that has its name.
pub async fn remove_helper(engine: &Engine, container: &str) {
    let helper = helper(container);
    let found = engine.api.inspect_container(&helper, None).await.ok();
    let labels = found.and_then(|found| found.config).and_then(|config| config.labels).unwrap_or_default();
    if labels.get(ROLE_LABEL).map(String::as_str) == Some(HELPER_ROLE) {
        let remove = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
        let _ = engine.api.remove_container(&helper, Some(remove)).await;
    }
}

/// Streams the project into the volume, through a container that never runs.
async fn copy(
    ctx: &Context,
    engine: &Engine,
    wanted: &Wanted<'_>,
    number: &str,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let helper = make_helper(engine, wanted.container, wanted.image, false).await?;
    let base = base_file(&ctx.paths, wanted.id);
    let record = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&base);
    let begun = record.and_then(|file| base::Writer::begin(BufWriter::new(file), number, wanted.image));
    let begun = begun.map_err(|error| StoreError::io(&base, error))?;

    let (sender, receiver) = tokio::sync::mpsc::channel(8);
    let done = Arc::new(AtomicU64::new(0));
    let job = pack::Job {
        root: wanted.project.to_owned(),
        hidden: wanted.hidden.iter().map(|one| one.path.clone()).collect(),
        owner: wanted.owner,
        base: begun,
    };
    let sink = pack::Sink::new(sender, interrupt.clone(), Arc::clone(&done));
    let packing = tokio::task::spawn_blocking(move || job.pack(sink));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let api = engine.api.clone().with_timeout(COPY_TIME);
    let options = UploadToContainerOptions { path: PLACE.to_owned(), ..Default::default() };
    let upload = api.upload_to_container(&helper, Some(options), bollard::body_stream(stream));
    tokio::pin!(upload);
    let uploaded = loop {
        tokio::select! {
            uploaded = &mut upload => break uploaded,
            () = tokio::time::sleep(TICK) => show(ctx, done.load(Ordering::Relaxed), false),
        }
    };
    show(ctx, done.load(Ordering::Relaxed), true);
    // A copy that ended early looks whole to Docker, so that the packer's word comes first.
    let packed = packing.await.map_err(|_| Failure::new("Copying the project failed"))?;
    if interrupt.came() {
        return Err(launch::interrupted());
    }
    let skipped = match (packed, uploaded) {
        (_, Err(error)) => return Err(DockerError::from(error).into()),
        (Err(error), _) => return Err(error.into()),
        (Ok(skipped), Ok(())) => skipped,
    };
    if skipped > 0 {
        ctx.output.note(&format!("{skipped} sockets, pipes or devices were not copied"));
    }
    Ok(())
}

fn show(ctx: &Context, bytes: u64, end: bool) {
    let mut stderr = std::io::stderr();
    if ctx.output.quiet || !stderr.is_terminal() {
        return;
    }
    let text = if end {
        "\r\x1b[K".to_owned()
    } else {
        format!("\r\x1b[KCopying the project: {} MB", bytes / 1_000_000)
    };
    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::test_folder;

    #[test]
    fn two_commands_are_never_at_the_same_copy() {
        let folder = test_folder("copy-lock");
        let paths =
            Paths { state: folder.clone(), config: folder.clone(), cache: folder.clone(), instance: None };
        let first = lock(&paths, "a").unwrap();
        assert!(lock(&paths, "a").is_err());
        assert!(lock(&paths, "b").is_ok(), "another agent's");
        drop(first);
        assert!(lock(&paths, "a").is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
