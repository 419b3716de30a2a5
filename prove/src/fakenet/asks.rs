//! Many requests in one go, from a file with one a line, and one line about what came of each: for tests that compare
//! hundreds of verdicts. A path is sent as it is written, however odd.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::probe::{ProbeError, client_config};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// As much of an answer as is looked at.
const MAX_ANSWER: usize = 64 << 10;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// `https`, `http`, or what speaks first or answers anything: `ssh`, `tcp`.
    pub scheme: String,
    /// The name that is resolved and dialled.
    pub name: String,
    /// The port that is dialled.
    pub port: u16,
    /// `GET` and such.
    pub method: String,
    /// As it is sent.
    pub path: String,
    /// In place of the name, in TLS; empty for none at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// In place of the name, in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Dialled in place of the name's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SocketAddr>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether the name has an address.
    pub resolved: bool,
    /// The answer's first bytes, as text; or why there is none.
    pub said: Result<String, String>,
}

/// Runs all asks of a file, one JSON object a line; an outcome a line comes back.
///
/// # Errors
/// When the file can't be read or holds no asks.
pub async fn run(file: &str) -> Result<String, ProbeError> {
    let bad = || ProbeError::Odd(file.to_owned());
    let text = std::fs::read_to_string(file).map_err(|_| bad())?;
    let mut lines = Vec::new();
    for line in text.lines() {
        let ask: Ask = serde_json::from_str(line).map_err(|_| bad())?;
        lines.push(serde_json::to_string(&outcome(&ask).await).map_err(|_| bad())?);
    }
    Ok(lines.join("\n"))
}

async fn outcome(ask: &Ask) -> Outcome {
    let found = (ask.name.as_str(), ask.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    let Some(target) = ask.to.or(found) else {
        return Outcome { resolved: false, said: Err("it has no address".to_owned()) };
    };
    let said = match timeout(PATIENCE, talk(ask, target)).await {
        Ok(Ok(answer)) if answer.is_empty() => Err("it was ended without an answer".to_owned()),
        Ok(Ok(answer)) => Ok(String::from_utf8_lossy(&answer).into_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    Outcome { resolved: found.is_some(), said }
}

async fn talk(ask: &Ask, target: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    match ask.scheme.as_str() {
        "http" => exchange(stream, ask).await,
        "https" => {
            let name = ask.sni.as_ref().unwrap_or(&ask.name);
            let mut config = client_config().map_err(io::Error::other)?;
            config.enable_sni = !name.is_empty();
            let name = if name.is_empty() { &ask.name } else { name };
            let server = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
            exchange(TlsConnector::from(Arc::new(config)).connect(server, stream).await?, ask).await
        }
        scheme => {
            if scheme == "tcp" {
                stream.write_all(b"anybody there?\n").await?;
            }
            let mut answer = vec![0; 256];
            let length = stream.read(&mut answer).await?;
            answer.truncate(length);
            Ok(answer)
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, ask: &Ask) -> io::Result<Vec<u8>> {
    let usual = matches!((ask.scheme.as_str(), ask.port), ("https", 443) | ("http", 80));
    let own = if usual { ask.name.clone() } else { format!("{}:{}", ask.name, ask.port) };
    let host = ask.host.as_ref().unwrap_or(&own);
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ask.method, ask.path
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    while answer.len() < MAX_ANSWER && !is_whole(&answer) {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) => break,
            Ok(length) => answer.extend(piece.iter().take(length)),
            Err(error) if answer.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(answer)
}

/// Whether an answer that says how long it is has come in full.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let header =
        |line: &str| Some(line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().to_owned());
    let length = head.lines().find_map(header).and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}
