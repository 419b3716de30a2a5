//! How a project reaches an agent: bound, with covers over what is hidden, or copied without it.

use std::collections::BTreeMap;
use std::path::Path;

use bollard::models::Mount;
use clawker_protocol::names::{Name, agent_id};

use crate::config::{Loaded, Mode};
use crate::context::Context;
use crate::covers::{self, Covers};
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::ignored::{self, IgnoreError, Ignored};
use crate::launch::{self, Interrupt};
use crate::placeholder;
use crate::snapshot;
use crate::store::{self, AgentRecord};

/// The label of an agent that works on a copy.
const COPIED: &str = "copy";

/// How.
#[derive(Debug, Clone)]
pub enum Reached {
    /// The folder itself.
    Bound(Covers),
    /// A copy in the volume of this name.
    Copied(String),
}

/// Who is to reach it.
#[derive(Debug)]
pub struct For<'a> {
    /// The agent's name.
    pub agent: &'a Name,
    /// Its image.
    pub image: &'a str,
    /// Its uid and gid.
    pub owner: (u32, u32),
    /// `--fresh`
    pub fresh: bool,
    /// The worktree that it works in.
    pub worktree: Option<&'a Path>,
}

impl Reached {
    /// Bound, with what is hidden covered.
    ///
    /// # Errors
    /// When it can't be told what is to be hidden, or not all of it can be.
    pub fn bound(ctx: &Context, loaded: &Loaded) -> Result<Self, Failure> {
        Self::bound_at(ctx, loaded, &loaded.dir)
    }

    /// Likewise, for one of its worktrees.
    ///
    /// # Errors
    /// As [`Self::bound`].
    pub fn bound_at(ctx: &Context, loaded: &Loaded, dir: &Path) -> Result<Self, Failure> {
        let found = hidden(loaded, dir)?;
        covers::other_names(&found).iter().for_each(|note| ctx.output.note(note));
        Ok(Self::Bound(Covers::of(&found)?))
    }

    /// As asked for, else as configured.
    ///
    /// # Errors
    /// As [`Self::bound`], or when it can't be copied.
    pub async fn choose(
        ctx: &Context,
        engine: &Engine,
        loaded: &Loaded,
        mode: Option<Mode>,
        who: &For<'_>,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        if let Some(dir) = who.worktree {
            // A worktree is its own already: it is bound, unless a copy was asked for by name.
            if mode == Some(Mode::Snapshot) || who.fresh {
                return Err(Failure::usage("A worktree is bound; leave out --mode snapshot and --fresh"));
            }
            return Self::bound_at(ctx, loaded, dir);
        }
        match mode.or(loaded.config.workspace.default_mode).unwrap_or_default() {
            Mode::Bind if who.fresh => {
                Err(Failure::usage("--fresh is for --mode snapshot: a bound project is no copy"))
            }
            Mode::Bind => Self::bound(ctx, loaded),
            Mode::Snapshot => {
                // Before anything is copied.
                launch::check_name(ctx, engine, loaded, who.agent).await?;
                let wanted = snapshot::Wanted {
                    id: &agent_id(loaded.dir.as_os_str().as_encoded_bytes(), who.agent),
                    container: &ctx.paths.agent_container(&loaded.project, who.agent),
                    project: &loaded.dir,
                    hidden: &ignored::find(&loaded.dir, &loaded.config.workspace.ignore)?,
                    image: who.image,
                    owner: who.owner,
                    fresh: who.fresh,
                };
                Ok(Self::Copied(snapshot::ensure(ctx, engine, &wanted, interrupt).await?))
            }
        }
    }

    /// The volume with the copy, where it is one.
    pub fn volume(&self) -> Option<String> {
        match self {
            Self::Bound(_) => None,
            Self::Copied(volume) => Some(volume.clone()),
        }
    }

    /// Whether the agent works in the folder itself.
    pub fn is_bound(&self) -> bool {
        matches!(self, Self::Bound(_))
    }

    /// What hides parts of the project, all of which is there then.
    ///
    /// # Errors
    /// When that or the empty file that covers others can't be made.
    pub fn covers(&self, ctx: &Context, project: &Path) -> Result<Vec<Mount>, Failure> {
        let Self::Bound(covers) = self else { return Ok(Vec::new()) };
        let empty = ctx.paths.state.join("empty");
        if !covers.is_empty() {
            store::write_atomically(&empty, b"", 0o444)?;
            placeholder::make(ctx, project, covers)?;
        }
        Ok(covers.mounts(project, &empty))
    }

    /// Labels that say what was hidden.
    ///
    /// # Errors
    /// serde's.
    pub fn label(&self, mut labels: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
        let text = match self {
            Self::Bound(covers) => serde_json::to_string(covers)?,
            Self::Copied(_) => COPIED.to_owned(),
        };
        labels.insert(covers::LABEL.to_owned(), text);
        Ok(labels)
    }
}

/// What is hidden in a project's folder, or in a worktree of it: there also what the main checkout's file names, which need
/// not be of the branch.
fn hidden(loaded: &Loaded, dir: &Path) -> Result<Vec<Ignored>, IgnoreError> {
    let mut patterns = loaded.config.workspace.ignore.clone();
    if dir != loaded.dir {
        patterns.extend(ignored::lines(&loaded.dir)?);
    }
    ignored::find(dir, &patterns)
}

/// Looks before a later start whether all that is to be hidden is; a container's mounts can't be changed, so that the user
/// is asked where it isn't.
///
/// # Errors
/// When the user does not want that, or Docker can't be asked.
pub async fn check_again(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    record: &AgentRecord,
    yes: bool,
) -> Result<(), Failure> {
    let found = engine.api.inspect_container(&record.container, None).await.map_err(DockerError::from)?;
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    // An agent of an older version has nothing hidden.
    let was: Covers = match labels.get(covers::LABEL).map(String::as_str) {
        Some(COPIED) => return Ok(()),
        Some(label) => serde_json::from_str(label)?,
        None => Covers::default(),
    };
    let now = Covers::of(&hidden(loaded, record.workspace())?)?;
    let lines = was.differences(&now);
    let agent = &record.agent;
    if lines.is_empty() {
        return placeholder::make(ctx, record.workspace(), &was);
    }
    let question = format!(
        "What is hidden was settled when agent {agent} was made, and has changed:\n  {}\n\
         To hide it, remove the agent and make it again. Start it as it is?",
        lines.join("\n  ")
    );
    match ctx.ask(&question, yes)? {
        true => placeholder::make(ctx, record.workspace(), &was),
        false => {
            Err(Failure::new(format!("Not started; make it again: clawker rm {agent}, then clawker run")))
        }
    }
}
