//! Reads an agent's copy out of its volume, through a container that never runs: no program of the agent's has a part in
//! it, and whether the agent runs makes no difference.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bollard::query_parameters::DownloadFromContainerOptions;
use futures_util::StreamExt;
use tokio::sync::mpsc::channel;

use super::archive::{self, ArchiveError, Keep, Seen};
use super::base::Base;
use super::node::{Hash, Node, Tree};
use super::plan::{self, Change};
use super::spool::Spool;
use super::whose::Whose;
use crate::config;
use crate::context::Context;
use crate::copy::Incoming;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::images;
use crate::launch::{self, Interrupt};
use crate::snapshot::{self, FOLDER, PLACE};

/// Pieces of an archive on their way.
const PIECES: usize = 8;
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(500);
/// How long reading may take.
const TIME: Duration = Duration::from_secs(6 * 60 * 60);

/// Ends us at an interrupt, but while something is under way that has to be cleared away first.
#[derive(Debug)]
pub struct Careful {
    /// Whether one came meanwhile.
    pub interrupt: Interrupt,
    at_once: Arc<AtomicBool>,
}

impl Careful {
    /// From now on.
    ///
    /// # Errors
    /// When the handlers can't be set.
    pub fn begin() -> io::Result<Self> {
        let at_once = Arc::new(AtomicBool::new(false));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&at_once))?;
        }
        Ok(Self { interrupt: Interrupt::watch()?, at_once })
    }

    /// Whether an interrupt ends us at once from now on.
    pub fn end_at_once(&self, at_once: bool) {
        self.at_once.store(at_once, Ordering::Relaxed);
    }
}

/// An agent's copy as it is now.
#[derive(Debug)]
pub struct Copy {
    /// Its tree, and its `.gitignore` files.
    pub seen: Seen,
    /// Contents of what changed.
    pub spool: Spool,
}

/// Reads it, with the contents of all that `wanted` picks of what changed.
///
/// # Errors
/// When it can't be read, or the agent changes it all the time.
pub async fn read(
    ctx: &Context,
    engine: &Engine,
    whose: &Whose,
    base: &Base,
    careful: &Careful,
    wanted: &dyn Fn(&Seen) -> Vec<Change>,
) -> Result<Copy, Failure> {
    let image = image(ctx, engine, whose, base).await?;
    let helper = snapshot::make_helper(engine, &whose.container, &image, true).await?;
    let read = read_through(ctx, engine, &helper, base, careful, wanted, whose.runs(engine).await).await;
    snapshot::remove_helper(engine, &whose.container).await;
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() && !ctx.output.quiet {
        let _ = write!(stderr, "\r\x1b[K");
    }
    if careful.interrupt.came() { Err(launch::interrupted()) } else { read }
}

async fn read_through(
    ctx: &Context,
    engine: &Engine,
    helper: &str,
    base: &Base,
    careful: &Careful,
    wanted: &dyn Fn(&Seen) -> Vec<Change>,
    runs: bool,
) -> Result<Copy, Failure> {
    let spool = Spool::new(&ctx.paths.state.join("snapshots"))?;
    let tree = Arc::new(base.tree.clone());
    let (mut seen, mut spool) =
        pass(ctx, engine, helper, Kept::Small(Arc::clone(&tree)), spool, careful).await?;
    let changes = wanted(&seen);
    let missing = missing(&changes, &spool);
    let deletes = changes.iter().any(|change| change.agent.is_none());
    // What a running agent moves meanwhile could be missed in both places.
    if !missing.is_empty() || deletes && runs {
        let (again, more) = pass(ctx, engine, helper, Kept::These(Arc::new(missing)), spool, careful).await?;
        spool = more;
        for change in changes.iter().filter(|change| change.agent.is_none()) {
            if let Some(node) = again.tree.get(&change.path) {
                restore(&mut seen.tree, &change.path, node);
            }
        }
        if let Some(change) = wanted(&seen).iter().find(|change| lacks(change, &spool)) {
            let path = crate::output::escape(&change.path.to_string_lossy());
            return Err(Failure::new(format!(
                "The agent changes {path} while it is read; try again, or have it stand still: clawker pause {}",
                helper.rsplit_once(".copy").map_or(helper, |(container, _)| container)
            )));
        }
    }
    Ok(Copy { seen, spool })
}

fn restore(tree: &mut Tree, path: &Path, node: &Node) {
    for folder in path.ancestors().skip(1) {
        tree.entry(folder.to_owned()).or_insert(Node::Folder);
    }
    tree.insert(path.to_owned(), node.clone());
}

fn lacks(change: &Change, spool: &Spool) -> bool {
    change.agent.as_ref().and_then(Node::hash).is_some_and(|hash| !spool.has(hash))
}

/// Contents that are not here yet. Where only the mode changed it is wanted as well: the file is written anew.
fn missing(changes: &[Change], spool: &Spool) -> HashMap<Hash, u64> {
    let files =
        changes.iter().filter(|change| lacks(change, spool)).filter_map(|change| match change.agent {
            Some(Node::File { hash, len, .. }) => Some((hash, len)),
            _ => None,
        });
    files.collect()
}

/// As [`Keep`], for a thread.
enum Kept {
    Small(Arc<Tree>),
    These(Arc<HashMap<Hash, u64>>),
}

/// Reads all of it once.
async fn pass(
    ctx: &Context,
    engine: &Engine,
    helper: &str,
    kept: Kept,
    mut spool: Spool,
    careful: &Careful,
) -> Result<(Seen, Spool), Failure> {
    let api = engine.api.clone().with_timeout(TIME);
    let options = DownloadFromContainerOptions { path: format!("{PLACE}/{FOLDER}") };
    let mut pieces = Box::pin(api.download_from_container(helper, Some(options)));
    let (sender, receiver) = channel(PIECES);
    let reading = tokio::task::spawn_blocking(move || {
        let keep = match &kept {
            Kept::Small(tree) => Keep::Small(tree),
            Kept::These(hashes) => Keep::These(hashes),
        };
        archive::read(Incoming::new(receiver), &keep, &mut spool).map(|seen| (seen, spool))
    });
    let (mut bytes, mut shown) = (0_u64, Instant::now());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map(|bytes| bytes.to_vec()).map_err(io::Error::other);
        bytes += piece.as_ref().map_or(0, Vec::len) as u64;
        if shown.elapsed() > TICK {
            shown = Instant::now();
            show(ctx, bytes);
        }
        // The reader went away: it says why.
        if careful.interrupt.came() || sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    let read: Result<_, ArchiveError> = reading.await?;
    Ok(read?)
}

fn show(ctx: &Context, bytes: u64) {
    let mut stderr = std::io::stderr();
    if !ctx.output.quiet && stderr.is_terminal() {
        let text = format!("\r\x1b[KReading the agent's copy: {} MB", bytes / 1_000_000);
        let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
    }
}

/// An image that is here. Nothing of it is run.
async fn image(ctx: &Context, engine: &Engine, whose: &Whose, base: &Base) -> Result<String, Failure> {
    let of_agent = whose.record.as_ref().map(|record| record.image.clone());
    let of_stack = images::stack(&ctx.paths, &config::settings(&ctx.paths)?, &ctx.output).await;
    let of_stack = of_stack.ok().map(|stack| stack.coredns);
    for image in of_agent.into_iter().chain([base.image.clone()]).chain(of_stack) {
        match engine.api.inspect_image(&image).await.map_err(DockerError::from) {
            Ok(_) => return Ok(image),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new(
        "No image is here through which the copy could be read; bring the stack up: clawker firewall up",
    ))
}

/// All that changed, of these paths (of all, if there are none), but new names that `.gitignore` means; and how many
/// those are.
pub fn wanted(
    base: &Base,
    seen: &Seen,
    paths: &[std::path::PathBuf],
    ignored_too: bool,
) -> (Vec<Change>, usize) {
    let mut ignores = crate::ignored::Levels::default();
    if !ignored_too {
        for (path, text) in &seen.ignores {
            ignores.add(path.parent().unwrap_or(Path::new("")), Some(text));
        }
    }
    let asked = |path: &Path| paths.is_empty() || paths.iter().any(|one| path.starts_with(one));
    let (left_out, changes): (Vec<_>, Vec<_>) = plan::changes(&base.tree, &seen.tree)
        .into_iter()
        .filter(|change| asked(&change.path))
        .partition(|change| {
            let is_folder = change.agent == Some(Node::Folder);
            change.base.is_none() && ignores.name(&change.path, is_folder)
        });
    (changes, left_out.len())
}
