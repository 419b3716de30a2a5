//! Raw HTTP/1.1 connections to Docker, for what the plain calls can't carry: streams in both directions with a
//! real half-close, bytes of a terminal untouched by any framing, and answers whose head must be seen before
//! the next step. One connection, one request.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::address::Address;
use super::engine::DockerError;

/// How long Docker may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection after its answer's head.
pub struct Connection {
    /// What follows.
    pub stream: Box<dyn Duplex>,
    /// What came together with the head.
    pub early: Vec<u8>,
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The API version, where Docker says it.
    pub api_version: Option<String>,
}

impl Head {
    /// Reads a head, without its final empty line.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        words.next().filter(|word| word.starts_with("HTTP/1."))?;
        let status = words.next()?.parse().ok()?;
        let api_version = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
            .map(|(_, value)| value.trim().to_owned());
        Some(Self { status, api_version })
    }
}

/// What to ask.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// A JSON body.
    pub body: Option<&'a str>,
    /// Ask to turn the connection into a plain stream.
    pub upgrade: bool,
}

impl Ask<'_> {
    fn text(&self) -> String {
        let connection =
            if self.upgrade { "Connection: Upgrade\r\nUpgrade: tcp" } else { "Connection: close" };
        let body = self.body.unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        format!(
            "{} {} HTTP/1.1\r\nHost: docker\r\n{connection}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            self.method,
            self.target,
            body.len()
        )
    }
}

/// Sends one request and returns when the head of its answer is here.
///
/// # Errors
/// [`DockerError`] when Docker can't be reached, hangs up, or answers with an error.
pub async fn ask(address: &Address, ask: Ask<'_>) -> Result<(Head, Connection), DockerError> {
    let mut stream = connect(address).await?;
    let broken = |source| DockerError::Broken { address: address.clone(), source };
    stream.write_all(ask.text().as_bytes()).await.map_err(broken)?;
    let mut bytes = Vec::with_capacity(4096);
    let end = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > MAX_HEAD || stream.read_buf(&mut bytes).await.map_err(broken)? == 0 {
            return Err(DockerError::NotDocker { address: address.clone() });
        }
    };
    let early = bytes.split_off(end + 4);
    let head = std::str::from_utf8(&bytes).ok().and_then(Head::parse);
    let head = head.ok_or_else(|| DockerError::NotDocker { address: address.clone() })?;
    let mut connection = Connection { stream, early };
    if head.status >= 400 {
        let mut body = std::mem::take(&mut connection.early);
        let _ = connection.stream.take(MAX_HEAD as u64).read_to_end(&mut body).await;
        return Err(DockerError::Refused { status: head.status, message: message(&body) });
    }
    Ok((head, connection))
}

async fn connect(address: &Address) -> Result<Box<dyn Duplex>, DockerError> {
    let connecting = async {
        match address {
            Address::Unix(path) => {
                UnixStream::connect(path).await.map(|stream| Box::new(stream) as Box<dyn Duplex>)
            }
            Address::Tcp(place) => {
                TcpStream::connect(place).await.map(|stream| Box::new(stream) as Box<dyn Duplex>)
            }
        }
    };
    let connected = tokio::time::timeout(CONNECT_TIME, connecting).await;
    let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    connected.map_err(|source| DockerError::unreachable(address, source))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The JSON text in a body that may come in chunks: everything from the first brace to the last.
pub fn json_in(body: &[u8]) -> Option<serde_json::Value> {
    let first = body.iter().position(|byte| *byte == b'{')?;
    let last = body.iter().rposition(|byte| *byte == b'}')?;
    serde_json::from_slice(body.get(first..=last)?).ok()
}

fn message(body: &[u8]) -> String {
    json_in(body)
        .and_then(|value| value.get("message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| "no reason given".to_owned())
}

/// Percent-encodes a value for a query.
pub fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_status_and_version() {
        let head = Head::parse("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nX: y");
        assert_eq!(head, Some(Head { status: 200, api_version: Some("1.41".to_owned()) }));
        assert_eq!(Head::parse("HTTP/1.1 101 UPGRADED").map(|head| head.status), Some(101));
        for text in ["", "SSH-2.0-x", "HTTP/1.1 abc", "HTTP/1.1"] {
            assert_eq!(Head::parse(text), None, "{text}");
        }
    }

    #[test]
    fn chunks_around_an_answer_do_not_matter() {
        let value = json_in(b"1a\r\n{\"StatusCode\":3}\r\n0\r\n\r\n").unwrap();
        assert_eq!(value["StatusCode"], 3);
        assert_eq!(json_in(b"nothing"), None);
        assert_eq!(message(b"{\"message\":\"no such image\"}"), "no such image");
    }

    #[test]
    fn a_query_can_not_be_broken_out_of() {
        assert_eq!(encode("ctrl-p,ctrl-q"), "ctrl-p%2Cctrl-q");
        assert_eq!(encode("a&b=c d\r\n"), "a%26b%3Dc%20d%0D%0A");
    }
}
