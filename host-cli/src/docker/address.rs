//! Where Docker listens: `unix:///path` or `tcp://host:port`.

use std::path::PathBuf;

/// Docker's place when nothing names another.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Where Docker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp(String),
}

/// An address that clawker does not speak to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Docker's address \"{}\" is not supported; set DOCKER_HOST to unix:///path or tcp://host:port", .0.escape_default())]
pub struct Unsupported(String);

impl Address {
    /// `DOCKER_HOST` first, then the settings, then Docker's own place.
    ///
    /// # Errors
    /// [`Unsupported`].
    pub fn choose(variable: Option<&str>, setting: Option<&str>) -> Result<Self, Unsupported> {
        let chosen = variable.filter(|text| !text.is_empty()).or(setting).unwrap_or(DEFAULT);
        let unsupported = || Unsupported(chosen.to_owned());
        match chosen.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", place)) => {
                let place = place.trim_end_matches('/');
                if place.is_empty() || place.contains('/') {
                    return Err(unsupported());
                }
                // The colons of a bare IPv6 address stand in brackets.
                match place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
                    None => Ok(Self::Tcp(format!("{place}:2375"))),
                    Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                        Ok(Self::Tcp(place.to_owned()))
                    }
                    Some(_) => Err(unsupported()),
                }
            }
            _ => Err(unsupported()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_setting() {
        for (variable, setting, expected) in [
            (None, None, DEFAULT),
            (Some(""), None, DEFAULT),
            (None, Some("unix:///a"), "unix:///a"),
            (Some("tcp://h:1"), Some("unix:///a"), "tcp://h:1"),
            (Some("tcp://h"), None, "tcp://h:2375"),
            (Some("tcp://[::1]"), None, "tcp://[::1]:2375"),
            (Some("tcp://[::1]:1/"), None, "tcp://[::1]:1"),
        ] {
            assert_eq!(Address::choose(variable, setting).unwrap().to_string(), expected);
        }
        for text in [
            "ssh://host",
            "unix://relative",
            "nonsense",
            "tcp://",
            "tcp://h:99999",
            "tcp://:1",
            "npipe:////./x",
        ] {
            assert!(Address::choose(Some(text), None).is_err(), "{text}");
        }
    }
}
