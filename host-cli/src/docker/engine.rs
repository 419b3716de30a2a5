//! One Docker engine: where it is, which API version both sides know, and its errors in words that help.

use std::io::ErrorKind;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};

use super::address::{Address, Unsupported};
use super::context::{self, ContextError};
use super::raw::{self, Ask};

/// Seconds that a plain call may take.
const CALL_SECONDS: u64 = 120;
/// How long Docker may take to say that it is there. One under load answers late; one that hangs never does.
const PING_TIME: Duration = Duration::from_secs(15);

/// Why Docker did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nothing listens.
    #[error("Docker isn't running at {address}; start it (systemctl start docker) or set DOCKER_HOST")]
    NotRunning {
        /// Where.
        address: Address,
    },
    /// The user may not.
    #[error("No permission to use Docker at {address}; join the docker group or call clawker as root")]
    Forbidden {
        /// Where.
        address: Address,
    },
    /// Something else is in the way.
    #[error("Can't reach Docker at {address}: {source}; check DOCKER_HOST")]
    Unreachable {
        /// Where.
        address: Address,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("The connection to Docker at {address} broke: {source}")]
    Broken {
        /// Where.
        address: Address,
        /// Why.
        source: std::io::Error,
    },
    /// Something else listens.
    #[error("What listens at {address} is not Docker; check DOCKER_HOST")]
    NotDocker {
        /// Where.
        address: Address,
    },
    /// Something listens and says nothing.
    #[error(
        "Docker at {address} does not answer; restart it (systemctl restart docker) or check DOCKER_HOST"
    )]
    Silent {
        /// Where.
        address: Address,
    },
    /// An address of a kind that isn't supported.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The context that the user chose.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Docker's own refusal.
    #[error("Docker refused: {}", trimmed(.message))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// A plain call failed.
    #[error("Docker: {}", plain(.0))]
    Call(bollard::errors::Error),
}

fn trimmed(message: &str) -> String {
    let one_line: Vec<&str> = message.split_whitespace().collect();
    one_line.join(" ").trim_end_matches('.').to_owned()
}

fn plain(error: &bollard::errors::Error) -> String {
    match error {
        bollard::errors::Error::RequestTimeoutError => format!("no answer within {CALL_SECONDS} s"),
        bollard::errors::Error::DockerStreamError { error } => trimmed(error),
        other => trimmed(&other.to_string()),
    }
}

impl From<bollard::errors::Error> for DockerError {
    fn from(error: bollard::errors::Error) -> Self {
        match error {
            bollard::errors::Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { status: status_code, message }
            }
            other => Self::Call(other),
        }
    }
}

impl DockerError {
    /// For a connection that was not made.
    pub fn unreachable(address: &Address, source: std::io::Error) -> Self {
        let address = address.clone();
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Self::NotRunning { address },
            ErrorKind::PermissionDenied => Self::Forbidden { address },
            _ => Self::Unreachable { address, source },
        }
    }

    /// Docker's status code, where it is one of its refusals.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether what was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        self.status() == Some(404)
    }
}

/// A reachable engine.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Plain calls.
    pub api: Docker,
    /// Where it is.
    pub address: Address,
    /// The API version in use.
    pub version: ClientVersion,
}

impl Engine {
    /// Finds Docker and agrees on an API version. Costs one `/_ping`, never `/version`, which makes Docker run
    /// programs.
    ///
    /// # Errors
    /// [`DockerError`] when it can't be reached.
    pub async fn connect(setting: Option<&str>) -> Result<Self, DockerError> {
        let address = Self::place(setting)?;
        let request = Ask { method: "GET", target: "/_ping", body: None, upgrade: false };
        let asked = tokio::time::timeout(PING_TIME, raw::ask(&address, request)).await;
        let (head, _) = asked.unwrap_or_else(|_| Err(DockerError::Silent { address: address.clone() }))?;
        let version = agreed(head.api_version.as_deref())
            .ok_or_else(|| DockerError::NotDocker { address: address.clone() })?;
        let api = match &address {
            Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), CALL_SECONDS, &version),
            Address::Tcp(place) => {
                Docker::connect_with_http(&format!("tcp://{place}"), CALL_SECONDS, &version)
            }
        }?;
        Ok(Self { api, address, version })
    }

    /// Where Docker is: by `DOCKER_HOST`, `DOCKER_CONTEXT`, the setting, or the context that Docker's own command uses,
    /// in this order.
    fn place(setting: Option<&str>) -> Result<Address, DockerError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = variable("DOCKER_HOST");
        let named = variable("DOCKER_CONTEXT");
        let context = if host.is_none() && (named.is_some() || setting.is_none()) {
            context::chosen(named.as_deref(), context::folder().as_deref())?
        } else {
            None
        };
        let setting = context.as_ref().map(|context| context.host.as_str()).or(setting);
        Ok(Address::choose(host.as_deref(), setting)?)
    }

    /// A path with the agreed version before it.
    pub fn path(&self, rest: &str) -> String {
        format!("/v{}.{}{rest}", self.version.major_version, self.version.minor_version)
    }
}

/// The lower of the engine's version and ours.
fn agreed(theirs: Option<&str>) -> Option<ClientVersion> {
    let (major, minor) = theirs?.split_once('.')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    let ours = (API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version);
    let (major_version, minor_version) = ours.min((major, minor));
    Some(ClientVersion { major_version, minor_version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_api_is_spoken() {
        let version = |text| agreed(Some(text)).map(|version| (version.major_version, version.minor_version));
        assert_eq!(version("1.41"), Some((1, 41)));
        assert_eq!(
            version("9.0"),
            Some((API_DEFAULT_VERSION.major_version, API_DEFAULT_VERSION.minor_version))
        );
        assert_eq!(version("nonsense"), None);
        assert!(agreed(None).is_none());
    }

    #[test]
    fn a_silent_docker_and_a_closed_one_get_different_advice() {
        let address = Address::Unix("/x.sock".into());
        let told = |kind: ErrorKind| DockerError::unreachable(&address, kind.into()).to_string();
        assert!(told(ErrorKind::NotFound).contains("isn't running at unix:///x.sock; start it"));
        assert!(told(ErrorKind::PermissionDenied).contains("docker group"));
    }
}
