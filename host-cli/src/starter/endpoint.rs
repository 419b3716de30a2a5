//! Where something listens, taken out of an address that may hold a password: nothing else of it is kept, nor told.

use url::{Host, Url};

use crate::policy::Proto;

/// A host, a port, and what is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name in lower case, or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What is spoken.
    pub proto: Proto,
}

/// Why an address is no endpoint. The address itself is never part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoEndpoint {
    /// Not an address.
    #[error("its address can't be read")]
    Unreadable,
    /// A folder on this machine.
    #[error("its address is a folder of this machine, which the agent does not see")]
    File,
    /// Something that no rule opens.
    #[error("it is spoken to by a protocol that no rule is about")]
    Scheme,
    /// This machine.
    #[error("it is on this machine itself (localhost), which an agent can't reach")]
    Loopback,
}

impl Endpoint {
    /// TLS on port 443.
    pub fn tls(host: &str) -> Self {
        Self { host: host.to_owned(), port: 443, proto: Proto::Tls }
    }

    /// Of an address as package managers and git write them: `https://…`, `sparse+https://…`, `ssh://git@host:22/x`,
    /// `git@host:x`.
    pub fn of_url(text: &str) -> Result<Self, NoEndpoint> {
        let text = text.trim();
        if text.starts_with(['/', '.', '~']) {
            return Err(NoEndpoint::File);
        }
        let prefixes = ["sparse+", "registry+", "git+", "svn+"];
        let text = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        if !text.contains("://") {
            return Self::of_scp(text).ok_or(NoEndpoint::Unreadable);
        }
        let url = Url::parse(text).map_err(|_| NoEndpoint::Unreadable)?;
        let proto = match url.scheme() {
            "https" => Proto::Tls,
            "http" => Proto::Http,
            "ssh" => Proto::Ssh,
            "git" => Proto::Tcp,
            "file" => return Err(NoEndpoint::File),
            _ => return Err(NoEndpoint::Scheme),
        };
        let host = match url.host().ok_or(NoEndpoint::Unreadable)? {
            Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let git = if proto == Proto::Tcp { Some(9418) } else { None };
        let port = url.port_or_known_default().or(proto.default_port()).or(git);
        Self { host, port: port.ok_or(NoEndpoint::Unreadable)?, proto }.reachable()
    }

    /// `user@host:path`, as git and ssh have it.
    fn of_scp(text: &str) -> Option<Self> {
        let (place, _) = text.split_once(':')?;
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let good = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        let is_name = !host.is_empty() && host.chars().all(good);
        is_name.then(|| Self { host: host.to_ascii_lowercase(), port: 22, proto: Proto::Ssh })
    }

    fn reachable(self) -> Result<Self, NoEndpoint> {
        let address: Option<std::net::IpAddr> = self.host.parse().ok();
        let local = self.host == "localhost" || self.host.ends_with(".localhost");
        if local || address.is_some_and(|address| address.is_loopback() || address.is_unspecified()) {
            return Err(NoEndpoint::Loopback);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_host_port_and_protocol_are_kept() {
        for (text, host, port, proto) in [
            ("https://registry.example/npm/", "registry.example", 443, Proto::Tls),
            ("https://me:s3cret@NPM.example:8443/a?token=s3cret", "npm.example", 8443, Proto::Tls),
            ("http://plain.example", "plain.example", 80, Proto::Http),
            ("http://plain.example:4873/", "plain.example", 4873, Proto::Http),
            ("sparse+https://crates.example/index/", "crates.example", 443, Proto::Tls),
            ("ssh://git@git.example:2222/x.git", "git.example", 2222, Proto::Ssh),
            ("ssh://git@git.example/x.git", "git.example", 22, Proto::Ssh),
            ("git@git.example:me/x.git", "git.example", 22, Proto::Ssh),
            ("git://old.example/x", "old.example", 9418, Proto::Tcp),
            ("https://10.1.2.3:8081/simple", "10.1.2.3", 8081, Proto::Tls),
            ("https://[2001:db8::1]:8081/simple", "2001:db8::1", 8081, Proto::Tls),
        ] {
            let expected = Endpoint { host: host.to_owned(), port, proto };
            assert_eq!(Endpoint::of_url(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_no_rule_can_open_says_why_and_never_the_address() {
        for (text, why) in [
            ("http://localhost:4873/s3cret", NoEndpoint::Loopback),
            ("http://127.0.0.1:4873/s3cret", NoEndpoint::Loopback),
            ("file:///srv/s3cret", NoEndpoint::File),
            ("/srv/s3cret", NoEndpoint::File),
            ("s3://s3cret/x", NoEndpoint::Scheme),
            ("https://a b/s3cret", NoEndpoint::Unreadable),
            ("s3cret", NoEndpoint::Unreadable),
        ] {
            let error = Endpoint::of_url(text).unwrap_err();
            assert_eq!(error, why, "{text}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
