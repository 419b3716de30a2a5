//! The image of a project that asks for more than an image's name: its recipe, built by the host's Docker with the
//! builder that every version has, and found again under the hash of all that went into it.

mod asked;
mod engine;
mod sources;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

pub use asked::{Asked, wanted, widening};
pub use engine::StepFailed;
pub use sources::{SourceError, Sources};

use crate::config::{Build, Loaded};
use crate::docker::image::{self, ImageError};
use crate::docker::{DockerError, Engine};
use crate::images::{self, ImagesError};
use crate::output::Progress;
use crate::paths::Paths;
use crate::project::Project;
use crate::recipe::{Recipe, RecipeError};
use crate::store::StoreError;

/// The image's label with the whole hash: a tag has room for a part of it only.
const LABEL: &str = "clawker.build";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Asking comes first.
    #[error(
        "What the project asks of its image is not accepted, or changed meanwhile; see and take it: clawker build"
    )]
    NotAccepted,
    /// The configuration.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An argument that nothing takes.
    #[error("--build-arg {0}: build.instructions.args has no such argument; add it there")]
    NoArgument(String),
    /// The base.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Ours.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step.
    #[error(transparent)]
    Step(#[from] StepFailed),
    /// Docker.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The context.
    #[error("Can't pack the image's files")]
    Pack(#[source] std::io::Error),
}

impl From<RecipeError> for BuildError {
    fn from(error: RecipeError) -> Self {
        Self::Source(error.into())
    }
}

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Values of build arguments, over the project's.
    pub args: BTreeMap<String, String>,
    /// Every step anew.
    pub no_cache: bool,
    /// Ask the registry for a newer base.
    pub pull: bool,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its reference.
    pub reference: String,
    /// It was there before.
    pub known: bool,
}

/// Whether there is anything to build, beyond an image's name.
pub fn is_needed(build: &Build) -> bool {
    let Build { image: _, dockerfile, packages, instructions } = build;
    dockerfile.is_some() || !packages.is_empty() || *instructions != Default::default()
}

/// The image that an agent runs in: the one that was asked for, else the project's, built where it is missing, else
/// ours. Of the project only what was accepted is used: call it after the question.
///
/// # Errors
/// [`BuildError`].
pub async fn agent_image(
    engine: &Engine,
    paths: &Paths,
    given: Option<&str>,
    loaded: &Loaded,
    progress: &dyn Progress,
) -> Result<String, BuildError> {
    match given {
        Some(reference) => Ok(reference.to_owned()),
        None => Ok(make(engine, paths, loaded, &Options::default(), progress).await?.reference),
    }
}

/// Makes the project's image, unless the same was made before.
///
/// # Errors
/// [`BuildError`].
pub async fn make(
    engine: &Engine,
    paths: &Paths,
    loaded: &Loaded,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Built, BuildError> {
    let sources = Sources::read(loaded)?;
    // These bytes are what was accepted, or nothing is done with them.
    let accepted = Project::load(paths, &loaded.dir)?.accepted.unwrap_or_default();
    if accepted.build != wanted(loaded, &sources) {
        return Err(BuildError::NotAccepted);
    }
    let unknown = |name: &&String| !loaded.config.build.instructions.args.contains_key(*name);
    if let (None, Some(name)) = (&sources.dockerfile, options.args.keys().find(unknown)) {
        return Err(BuildError::NoArgument(name.clone()));
    }
    if !is_needed(&loaded.config.build) {
        let reference = images::agent_image(&engine.api, paths, loaded, progress).await?;
        if options.pull && loaded.config.build.image.is_some() {
            image::renew(engine, &reference, progress).await?;
        }
        return Ok(Built { reference, known: true });
    }
    sources.notes.iter().for_each(|note| progress.step(note));
    let (recipe, base) = match &sources.dockerfile {
        Some(_) => (sources.recipe(loaded, "")?, String::new()),
        None => {
            let reference = images::agent_image(&engine.api, paths, loaded, progress).await?;
            if options.pull && loaded.config.build.image.is_some() {
                image::renew(engine, &reference, progress).await?;
            }
            let base = image::find(engine, &reference, progress).await?;
            (sources.recipe(loaded, &reference)?, base.id)
        }
    };
    let hash = hash(&recipe, &base, &options.args, &sources);
    let reference = format!("{}:{}", repository(loaded.project.as_str()), hash.get(..12).unwrap_or(&hash));
    let fresh = options.no_cache || options.pull && sources.dockerfile.is_some();
    if !fresh && image::label(engine, &reference, LABEL).await?.as_ref() == Some(&hash) {
        return Ok(Built { reference, known: true });
    }
    progress.step(&format!("Building {reference}"));
    let text = format!("{}LABEL {LABEL}=\"{hash}\"\n", recipe.text);
    let context = sources.context(&text).map_err(BuildError::Pack)?;
    let keys = [recipe.keys, vec!["build".to_owned()]].concat();
    engine::build(engine, context, (&reference, &hash), &keys, options, progress).await?;
    Ok(Built { reference, known: false })
}

/// All that goes into an image.
fn hash(recipe: &Recipe, base: &str, args: &BTreeMap<String, String>, sources: &Sources) -> String {
    let mut hash = Sha256::new();
    let args = args.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let copied = sources.copied.iter().map(|source| source.hash.as_str());
    for part in [recipe.text.as_str(), base].into_iter().chain(copied).chain(["args"]).chain(args) {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// An image's name knows fewer forms than a project's: no dash or underscore at its end, not three in a row.
fn repository(project: &str) -> String {
    let words: Vec<&str> = project.split(['-', '_']).filter(|word| !word.is_empty()).collect();
    format!("clawker-{}", words.join("-"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
