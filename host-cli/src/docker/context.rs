//! The Docker context that the user chose with `docker context use` or `DOCKER_CONTEXT`: where its engine listens.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The name that stands for no context.
const NONE: &str = "default";

/// Why a context can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// It isn't there, or names no engine.
    #[error("Docker's context {name} can't be read at {path}; choose another: docker context use", path = .path.display())]
    Unknown {
        /// Which.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It needs a client's certificate.
    #[error(
        "Docker's context {0} uses TLS, which clawker does not speak to Docker; choose another: docker context use"
    )]
    Tls(String),
}

/// A context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerContext {
    /// Its name.
    pub name: String,
    /// Its engine's address, as it is written there.
    pub host: String,
}

/// The context in force for a user: the variable's, else the current one of Docker's own configuration; none where
/// that is the default.
///
/// # Errors
/// [`ContextError`].
pub fn chosen(variable: Option<&str>, folder: Option<&Path>) -> Result<Option<DockerContext>, ContextError> {
    let Some(folder) = folder else { return Ok(None) };
    let current = || json(&folder.join("config.json"))?.get("currentContext")?.as_str().map(str::to_owned);
    let name = variable.filter(|name| !name.is_empty()).map(str::to_owned).or_else(current);
    let Some(name) = name.filter(|name| !name.is_empty() && name != NONE) else { return Ok(None) };
    // Docker names the folder so.
    let id: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    if folder.join("contexts/tls").join(&id).join("docker").exists() {
        return Err(ContextError::Tls(name));
    }
    let path = folder.join("contexts/meta").join(&id).join("meta.json");
    let host =
        json(&path).and_then(|meta| Some(meta.pointer("/Endpoints/docker/Host")?.as_str()?.to_owned()));
    match host {
        Some(host) => Ok(Some(DockerContext { name, host })),
        None => Err(ContextError::Unknown { name, path }),
    }
}

/// Where Docker's own configuration lies.
pub fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
    given.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker")))
}

fn json(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_s_context_wins_over_the_current_one() {
        let folder = std::env::temp_dir().join(format!("clawker-context-{}", std::process::id()));
        let id = |name: &str| -> String {
            Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
        };
        let make = |name: &str, host: &str| {
            let meta = folder.join("contexts/meta").join(id(name));
            std::fs::create_dir_all(&meta).unwrap();
            let text = format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            std::fs::write(meta.join("meta.json"), text).unwrap();
        };
        make("rootless", "unix:///run/user/1/docker.sock");
        make("far", "tcp://far:2375");
        make("safe", "tcp://safe:2376");
        std::fs::create_dir_all(folder.join("contexts/tls").join(id("safe")).join("docker")).unwrap();
        let host = |variable: Option<&str>| {
            chosen(variable, Some(&folder)).map(|context| context.map(|context| context.host))
        };
        assert_eq!(host(None).unwrap(), None, "no configuration");
        std::fs::write(folder.join("config.json"), r#"{"currentContext":"rootless"}"#).unwrap();
        assert_eq!(host(None).unwrap().as_deref(), Some("unix:///run/user/1/docker.sock"));
        assert_eq!(host(Some("far")).unwrap().as_deref(), Some("tcp://far:2375"));
        assert_eq!(host(Some("default")).unwrap(), None);
        assert!(matches!(host(Some("gone")), Err(ContextError::Unknown { .. })));
        assert!(matches!(host(Some("safe")), Err(ContextError::Tls(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
