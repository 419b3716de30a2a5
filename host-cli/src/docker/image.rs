//! What an image says of itself, and getting one that is not here yet.

use std::time::Duration;

use bollard::query_parameters::CreateImageOptions;
use futures_util::StreamExt;

use super::engine::{DockerError, Engine};
use crate::output::Progress;

/// How long a registry may stay silent before a pull is given up.
const FIRST_WORD: Duration = Duration::from_secs(10);

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not here, and no registry gave it.
    #[error(
        "Image {reference} is not on this machine and can't be pulled ({reason}); load or build it, or check its name"
    )]
    Missing {
        /// Which.
        reference: String,
        /// Why not.
        reason: String,
    },
    /// Docker failed.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// What an image says of itself, as far as we heed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its content's id.
    pub id: String,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// PATH of its ENV.
    pub path: Option<String>,
}

/// Looks an image up, pulling it when it is not here.
///
/// # Errors
/// [`ImageError`].
pub async fn find(engine: &Engine, reference: &str, progress: &dyn Progress) -> Result<Image, ImageError> {
    if let Some(image) = inspect(engine, reference).await? {
        return Ok(image);
    }
    progress.step(&format!("Pulling {reference}"));
    let missing = |reason: String| ImageError::Missing { reference: reference.to_owned(), reason };
    pull(engine, reference).await.map_err(missing)?;
    inspect(engine, reference).await?.ok_or_else(|| missing("the pull left nothing".to_owned()))
}

/// Looks an image up; `None` when it is not here.
///
/// # Errors
/// [`DockerError`].
pub async fn inspect(engine: &Engine, reference: &str) -> Result<Option<Image>, DockerError> {
    match engine.api.inspect_image(reference).await.map_err(DockerError::from) {
        Ok(found) => {
            let config = found.config.unwrap_or_default();
            Ok(Some(Image {
                id: found.id.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                cmd: config.cmd.unwrap_or_default(),
                path: path_of(config.env.as_deref().unwrap_or_default()),
            }))
        }
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Pulls an image although it may be here: there may be a newer one.
///
/// # Errors
/// [`ImageError::Missing`] when no registry gives it.
pub async fn renew(engine: &Engine, reference: &str, progress: &dyn Progress) -> Result<(), ImageError> {
    progress.step(&format!("Pulling {reference}"));
    let missing = |reason: String| ImageError::Missing { reference: reference.to_owned(), reason };
    pull(engine, reference).await.map_err(missing)
}

/// A label of an image; `None` when it or the image is not here.
///
/// # Errors
/// [`DockerError`].
pub async fn label(engine: &Engine, reference: &str, name: &str) -> Result<Option<String>, DockerError> {
    match engine.api.inspect_image(reference).await.map_err(DockerError::from) {
        Ok(found) => Ok(found.config.and_then(|config| config.labels?.get(name).cloned())),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn path_of(variables: &[String]) -> Option<String> {
    variables.iter().find_map(|variable| variable.strip_prefix("PATH=")).map(str::to_owned)
}

/// Pulls; the registry's first word must come soon, so that a machine without one does not hang.
async fn pull(engine: &Engine, reference: &str) -> Result<(), String> {
    let (name, tag) = split(reference);
    let options = CreateImageOptions {
        from_image: Some(name.to_owned()),
        tag: tag.map(str::to_owned),
        ..Default::default()
    };
    let mut stream = engine.api.create_image(Some(options), None, None);
    let mut first = true;
    loop {
        let next = stream.next();
        let item = if first {
            let silent = |_| format!("no registry answered within {} s", FIRST_WORD.as_secs());
            tokio::time::timeout(FIRST_WORD, next).await.map_err(silent)?
        } else {
            next.await
        };
        first = false;
        match item {
            None => return Ok(()),
            Some(Err(error)) => return Err(short(&DockerError::from(error).to_string())),
            Some(Ok(info)) => {
                if let Some(detail) = info.error_detail.and_then(|detail| detail.message) {
                    return Err(short(&detail));
                }
            }
        }
    }
}

fn short(reason: &str) -> String {
    let reason = reason.strip_prefix("Docker refused: ").unwrap_or(reason);
    reason.chars().take(160).collect()
}

/// Name and tag; a digest stays with the name, and no tag means `latest` rather than all of them.
pub fn split(reference: &str) -> (&str, Option<&str>) {
    if reference.contains('@') {
        return (reference, None);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, Some("latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(split("alpine"), ("alpine", Some("latest")));
        assert_eq!(split("alpine:3"), ("alpine", Some("3")));
        assert_eq!(split("host:5000/alpine"), ("host:5000/alpine", Some("latest")));
        assert_eq!(split("a@sha256:00"), ("a@sha256:00", None));
    }
}
