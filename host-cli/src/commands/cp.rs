//! `clawker cp`: files between the host and an agent. What comes in is the agent's; what comes out is the user's.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bollard::query_parameters::{
    ContainerArchiveInfoOptions, DownloadFromContainerOptions, UploadToContainerOptions,
};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{Sender, channel};

use crate::cli::CpArgs;
use crate::config;
use crate::context::Context;
use crate::copy::{CopyError, Incoming, Owner, Place, Spot, pack, unpack};
use crate::docker::{DockerError, Engine};
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::idmap::Placed;
use crate::store::{self, AgentRecord};
use crate::{ours, resolve};

/// Pieces of an archive on their way.
const PIECES: usize = 4;
/// The size of a piece, in bytes.
const PIECE: usize = 64 << 10;
/// Where clawker's own files lie in a container.
const OURS: &str = "/run/clawker";
/// Bits of a mode as Docker tells them (Go's `io/fs`).
const IS_FOLDER: u32 = 1 << 31;
const IS_LINK: u32 = 1 << 27;

/// Copies.
///
/// # Errors
/// When either end isn't there, or leads where it should not.
pub async fn run(ctx: &Context, args: &CpArgs) -> Outcome {
    let left_out = match (Place::parse(&args.from), Place::parse(&args.to)) {
        (Place::Agent { agent, path }, Place::Host(to)) => copy_out(ctx, &agent, &path, &to).await?,
        (Place::Host(from), Place::Agent { agent, path }) => copy_in(ctx, &from, &agent, &path).await?,
        (Place::Host(_), Place::Host(_)) => {
            return Err(Failure::usage("Neither end is an agent's; write it as AGENT:PATH"));
        }
        (Place::Agent { .. }, Place::Agent { .. }) => {
            return Err(Failure::usage("One end has to be on this machine; copy in two steps"));
        }
    };
    left_out.iter().for_each(|one| ctx.output.note(&format!("Left out {one}")));
    Ok(if left_out.is_empty() { OK } else { FAILED })
}

async fn container(ctx: &Context, agent: &str) -> Result<(Engine, AgentRecord, String), Failure> {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, Some(agent))?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let id = ours::find(&engine, &record).await?.id;
    Ok((engine, record, id))
}

/// The folders that agents write to.
fn projects(ctx: &Context) -> Result<Vec<PathBuf>, Failure> {
    Ok(store::agents(&ctx.paths)?.into_iter().map(|record| record.workspace().to_owned()).collect())
}

async fn copy_out(ctx: &Context, agent: &str, path: &str, to: &Path) -> Result<Vec<String>, Failure> {
    let (engine, record, id) = container(ctx, agent).await?;
    // Docker binds the workspace a second time, for itself.
    let _placed = Placed::place(&ctx.paths, &record, false)?;
    let name = if path.ends_with("/.") { None } else { Path::new(path).file_name().map(OsStr::to_owned) };
    let spot = Spot::target(to, name, &ctx.cwd, &projects(ctx)?)?;
    let options = DownloadFromContainerOptions { path: path.to_owned() };
    let mut archive = Box::pin(engine.api.download_from_container(&id, Some(options)));
    // A path that isn't there is told before anything is made.
    let first = archive.next().await.transpose().map_err(DockerError::from)?;
    let (sender, receiver) = channel(PIECES);
    let unpacking = tokio::task::spawn_blocking(move || unpack(Incoming::new(receiver), &spot));
    let mut pieces = stream::iter(first.map(Ok)).chain(archive);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map(|bytes| bytes.to_vec()).map_err(io::Error::other);
        // The unpacker went away: it says why.
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    Ok(unpacking.await??)
}

async fn copy_in(ctx: &Context, from: &Path, agent: &str, path: &str) -> Result<Vec<String>, Failure> {
    let (engine, record, id) = container(ctx, agent).await?;
    let _placed = Placed::place(&ctx.paths, &record, false)?;
    let spot = Spot::source(from, &ctx.cwd, &projects(ctx)?)?;
    let (folder, name) = into(&engine, &id, path, spot.name.as_deref()).await?;
    let (sender, receiver) = channel(PIECES);
    let owner = Owner { uid: record.run.uid, gid: record.run.gid };
    let packing = tokio::task::spawn_blocking(move || {
        let mut outgoing = Outgoing { sender, piece: Vec::with_capacity(PIECE) };
        let packed = pack(&mut outgoing, &spot, name.as_deref(), owner);
        // Half an archive must not look like a whole one.
        let last = packed.as_ref().map(|_| ()).map_err(|_| io::Error::other("broken off"));
        let flushed = last.and_then(|()| outgoing.flush());
        if let Err(error) = flushed {
            let _ = outgoing.sender.blocking_send(Err(error));
        }
        packed
    });
    let body = stream::unfold(receiver, |mut receiver| async move {
        let piece: io::Result<Vec<u8>> = receiver.recv().await?;
        Some((piece.map(Into::into), receiver))
    });
    let options = UploadToContainerOptions {
        path: folder,
        no_overwrite_dir_non_dir: Some("true".to_owned()),
        copy_uidgid: None,
    };
    let sent = engine.api.upload_to_container(&id, Some(options), bollard::body_try_stream(body)).await;
    let packed = packing.await?;
    match (packed, sent) {
        // Our own mistake is what Docker's complaint comes from.
        (Err(error), _) if !matches!(error, CopyError::Archive(_)) => Err(error.into()),
        (_, Err(error)) => Err(DockerError::from(error).into()),
        (packed, Ok(())) => Ok(packed?),
    }
}

/// The folder in the container, and the name in it: the source's in a folder that is there, else the path's own.
async fn into(
    engine: &Engine,
    id: &str,
    path: &str,
    source: Option<&OsStr>,
) -> Result<(String, Option<OsString>), Failure> {
    match folder(engine, id, path).await? {
        Some(folder) => Ok((folder, source.map(OsStr::to_owned))),
        None => {
            let path = Path::new(path);
            let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
                return Err(Failure::new(format!("{} is not a folder there", path.display())));
            };
            let parent = parent.to_string_lossy();
            let parent = folder(engine, id, &parent)
                .await?
                .ok_or_else(|| Failure::new(format!("There is no folder {parent} in the container")))?;
            Ok((parent, Some(name.to_owned())))
        }
    }
}

/// A folder of the container with links followed; `None` where there is none. Never one of our own, also not by a link
/// that the agent made.
async fn folder(engine: &Engine, id: &str, path: &str) -> Result<Option<String>, Failure> {
    let ask = |path: String| async move {
        let options = ContainerArchiveInfoOptions { path };
        engine.api.get_container_archive_info(id, Some(options)).await.map_err(DockerError::from)
    };
    let mut path = path.to_owned();
    let mut found = match ask(path.clone()).await {
        Ok(found) => found,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if found.file_mode & IS_LINK != 0 && !found.link_target.is_empty() {
        path = found.link_target.clone();
        found = ask(path.clone()).await?;
    }
    if Path::new(&path).starts_with(OURS) {
        return Err(Failure::new(format!("{OURS} in the container is clawker's own; copy elsewhere")));
    }
    Ok((found.file_mode & IS_FOLDER != 0).then_some(path))
}

/// A thread's pieces, for Docker.
struct Outgoing {
    sender: Sender<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
}

impl Write for Outgoing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
