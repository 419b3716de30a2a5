//! Published ports as Docker's users type them: `[[HOST_IP:]HOST_PORT:]PORT[/udp]`.

use std::net::Ipv4Addr;

use clawker_protocol::enforcement::{Published, Transport};

/// A port of the container that the host may be dialled on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Where the host listens; every address when `None`.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port; Docker chooses one when `None`.
    pub host_port: Option<u16>,
    /// The container's side.
    pub inner: Published,
}

impl Publish {
    /// The container's side as Docker writes it: `80/tcp`.
    pub fn key(&self) -> String {
        let transport = match self.inner.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        format!("{}/{transport}", self.inner.port)
    }
}

/// Reads one.
///
/// # Errors
/// A sentence that shows the form.
pub fn parse(text: &str) -> Result<Publish, String> {
    read(text).ok_or_else(|| {
        let text = text.escape_default();
        format!("\"{text}\" is not a port to publish: write 8080:80, 127.0.0.1:8080:80 or 8080:80/udp")
    })
}

fn read(text: &str) -> Option<Publish> {
    let (ports, transport) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Transport::Tcp),
        Some((ports, "udp")) => (ports, Transport::Udp),
        Some(_) => return None,
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let parts: Vec<&str> = ports.split(':').collect();
    let (host_ip, host_port, inner) = match parts.as_slice() {
        [inner] => (None, None, port(inner)?),
        [outer, inner] => (None, Some(port(outer)?), port(inner)?),
        [ip, "", inner] => (Some(ip.parse().ok()?), None, port(inner)?),
        [ip, outer, inner] => (Some(ip.parse().ok()?), Some(port(outer)?), port(inner)?),
        _ => return None,
    };
    Some(Publish { host_ip, host_port, inner: Published { transport, port: inner } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_forms_are_read() {
        for (text, ip, outer, key) in [
            ("80", None, None, "80/tcp"),
            ("8080:80", None, Some(8080), "80/tcp"),
            ("8080:80/tcp", None, Some(8080), "80/tcp"),
            ("53:5353/udp", None, Some(53), "5353/udp"),
            ("127.0.0.1:8080:80", Some(Ipv4Addr::LOCALHOST), Some(8080), "80/tcp"),
            ("127.0.0.1::80", Some(Ipv4Addr::LOCALHOST), None, "80/tcp"),
        ] {
            let publish = parse(text).unwrap();
            assert_eq!(
                (publish.host_ip, publish.host_port, publish.key().as_str()),
                (ip, outer, key),
                "{text}"
            );
        }
        for text in
            ["", "0", "65536", "a:80", "80:", ":80", "80/sctp", "1:2:3:4", "8080-8090:80", "80/tcp/tcp"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
