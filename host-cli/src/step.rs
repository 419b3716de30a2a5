//! A change of a project's rules as one step, whatever becomes of the command that makes it: a mark is written before
//! its first effect and removed after its last. A command that was killed leaves the mark, and the next one that takes
//! the lock brings the change to its end, or takes it back where that can't be done.

use bollard::Docker;
use serde::{Deserialize, Serialize};

use crate::apply::{self, Applied, ApplyError};
use crate::config::Settings;
use crate::exit;
use crate::lock::StateLock;
use crate::output::{complain, escape};
use crate::paths::Paths;
use crate::project::Project;
use crate::store::{self, StoreError};

/// Why a change was not made. What was in force still is, or will be after the next command.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It was taken back, or did not reach an agent.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Neither could an interrupted change be finished nor taken back.
    #[error(
        "An earlier change ({command}) was interrupted and can't be finished now: {why}; try clawker doctor"
    )]
    Stuck {
        /// The command that was interrupted.
        command: String,
        /// Why.
        why: String,
    },
}

/// The mark of a change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The command that makes it, for people.
    pub command: String,
    /// The project as it was.
    before: Project,
}

impl Pending {
    /// The mark that was left behind. `None` where there is none, or where a command is at work on its change.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn left_behind(paths: &Paths) -> Result<Option<Self>, StoreError> {
        let found = store::load(&paths.pending())?;
        Ok(found.filter(|_| !StateLock::is_held(paths)))
    }

    /// What to tell of it.
    pub fn note(&self) -> String {
        format!(
            "A change was interrupted and may not be in force everywhere ({}); finish it: clawker firewall up",
            escape(&self.command)
        )
    }

    fn begin(paths: &Paths, before: &Project) -> Result<(), StoreError> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let pending = Self { command: words.join(" "), before: before.clone() };
        store::save(&paths.pending(), &pending)
    }

    fn end(paths: &Paths, _lock: &StateLock) -> Result<(), StoreError> {
        store::remove(&paths.pending())
    }
}

/// Stores a project's new rules and brings them to its agents; where that fails the old ones are in force again.
///
/// # Errors
/// [`StepError`].
pub async fn make(
    docker: &Docker,
    paths: &Paths,
    lock: &StateLock,
    settings: &Settings,
    (before, after): (&Project, &Project),
) -> Result<Applied, StepError> {
    Pending::begin(paths, before)?;
    after.save(paths, lock)?;
    match apply::apply(docker, paths, lock, settings, &after.dir).await {
        Ok(applied) => {
            Pending::end(paths, lock)?;
            Ok(applied)
        }
        Err(error @ ApplyError::Unreached(..)) => {
            Pending::end(paths, lock)?;
            Err(error.into())
        }
        Err(error) => {
            // Where that fails too, the mark stays and says that there is still something to mend.
            let _ = take_back(docker, paths, lock, settings, before).await;
            Err(error.into())
        }
    }
}

/// Finishes what a killed command left; does nothing where none did.
///
/// # Errors
/// [`StepError::Stuck`]; the mark stays then.
pub async fn settle(
    docker: &Docker,
    paths: &Paths,
    lock: &StateLock,
    settings: &Settings,
) -> Result<(), StepError> {
    let Some(pending) = store::load::<Pending>(&paths.pending())? else { return Ok(()) };
    let command = escape(&pending.command);
    store::sweep(paths, lock);
    let applied = apply::apply(docker, paths, lock, settings, &pending.before.dir).await;
    match applied {
        Ok(_) | Err(ApplyError::Unreached(..)) => {
            Pending::end(paths, lock)?;
            complain(&format!("An earlier change that was interrupted is settled: {command}"));
            applied.map(drop).or_else(|error| {
                complain(&exit::chain(&error));
                Ok(())
            })
        }
        Err(error) => {
            let why = exit::chain(&error);
            take_back(docker, paths, lock, settings, &pending.before)
                .await
                .map_err(|_| StepError::Stuck { command: command.clone(), why: why.clone() })?;
            complain(&format!("An earlier change that was interrupted is taken back ({command}): {why}"));
            Ok(())
        }
    }
}

async fn take_back(
    docker: &Docker,
    paths: &Paths,
    lock: &StateLock,
    settings: &Settings,
    before: &Project,
) -> Result<(), StepError> {
    before.save(paths, lock)?;
    match apply::apply(docker, paths, lock, settings, &before.dir).await {
        Ok(_) | Err(ApplyError::Unreached(..)) => Ok(Pending::end(paths, lock)?),
        Err(error) => Err(error.into()),
    }
}
