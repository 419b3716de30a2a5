//! Conversations of hand-made bytes, from a file with one a line: what is sent when, over TCP or in TLS, and what came
//! back. All run side by side; nothing that is sent is looked at.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsConnector;

use super::probe::{ProbeError, client_config};

/// How many run at once.
const AT_ONCE: usize = 32;
/// How long the start of a connection and of TLS may take.
const START: Duration = Duration::from_secs(10);
/// As much of an answer as is kept.
const MAX_ANSWER: usize = 256 << 10;

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    /// The name that is resolved and dialled.
    pub name: String,
    /// The port that is dialled.
    pub port: u16,
    /// Dialled in place of the name's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<SocketAddr>,
    /// The session that it happens in, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the client does.
    pub steps: Vec<Step>,
    /// How long the other side may be silent after the last step before the client goes.
    pub quiet_ms: u64,
}

/// What a client says of itself in TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The name that it asks for.
    pub sni: String,
    /// The protocols that it offers.
    pub alpn: Vec<String>,
}

/// What a client does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Sends bytes, in base64.
    Send(String),
    /// Waits for so many milliseconds.
    Pause(u64),
    /// Waits until the answer holds a text; for [`Talk::quiet_ms`] at most.
    Hear(String),
}

impl Step {
    /// Sends these bytes.
    pub fn send(bytes: impl AsRef<[u8]>) -> Self {
        Self::Send(BASE64_STANDARD.encode(bytes))
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The client went.
    Open,
    /// The other side closed it.
    Closed,
    /// It was reset, or TLS failed on the way.
    Reset,
    /// It never began: no address, no connection, no TLS.
    Never,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// How it ended.
    pub end: End,
    /// Why, where that was no orderly end.
    pub why: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    answer: String,
}

impl Heard {
    /// All that the other side said.
    pub fn bytes(&self) -> Vec<u8> {
        BASE64_STANDARD.decode(&self.answer).unwrap_or_default()
    }

    /// Likewise as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

/// Runs all talks of a file, one JSON object a line; what was heard comes back, a line each, in the same order.
///
/// # Errors
/// When the file can't be read or holds no talks.
pub async fn run(file: &str) -> Result<String, ProbeError> {
    let bad = || ProbeError::Odd(file.to_owned());
    let text = std::fs::read_to_string(file).map_err(|_| bad())?;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for line in text.lines() {
        let talk: Talk = serde_json::from_str(line).map_err(|_| bad())?;
        let places = Arc::clone(&places);
        tasks.push(tokio::spawn(async move {
            let _place = places.acquire_owned().await;
            heard(&talk).await
        }));
    }
    let mut lines = Vec::new();
    for task in tasks {
        let heard = task.await.map_err(|_| bad())?;
        lines.push(serde_json::to_string(&heard).map_err(|_| bad())?);
    }
    Ok(lines.join("\n"))
}

async fn heard(talk: &Talk) -> Heard {
    let begun = Instant::now();
    let mut answer = Vec::new();
    let (end, why) = match timeout(START, TcpStream::connect(address(talk))).await {
        Ok(Ok(stream)) => match &talk.tls {
            None => held(stream, talk, &mut answer).await,
            Some(tls) => match timeout(START, opened(stream, talk, tls)).await {
                Ok(Ok(stream)) => held(stream, talk, &mut answer).await,
                Ok(Err(error)) => (End::Never, error.to_string()),
                Err(_) => (End::Never, "TLS took too long".to_owned()),
            },
        },
        Ok(Err(error)) => (End::Never, error.to_string()),
        Err(_) => (End::Never, "nobody took the connection".to_owned()),
    };
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Heard { end, why, millis, answer: BASE64_STANDARD.encode(answer) }
}

/// Where it goes; an address that nobody has where the name has none.
fn address(talk: &Talk) -> SocketAddr {
    let found = || (talk.name.as_str(), talk.port).to_socket_addrs().ok()?.next();
    talk.to.or_else(found).unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
}

async fn opened(
    stream: TcpStream,
    talk: &Talk,
    tls: &Tls,
) -> io::Result<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    let mut config = client_config().map_err(io::Error::other)?;
    config.alpn_protocols = tls.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.enable_sni = !tls.sni.is_empty();
    let name = if tls.sni.is_empty() { &talk.name } else { &tls.sni };
    let server = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(server, stream).await
}

async fn held<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    talk: &Talk,
    answer: &mut Vec<u8>,
) -> (End, String) {
    let quiet = Duration::from_millis(talk.quiet_ms);
    let mut lost = None;
    for step in &talk.steps {
        let outcome = match step {
            Step::Send(bytes) => {
                let bytes = BASE64_STANDARD.decode(bytes).unwrap_or_default();
                match timeout(START, write(&mut stream, &bytes)).await {
                    Ok(written) => written.map(|()| None),
                    Err(_) => Ok(Some(End::Open)),
                }
            }
            Step::Pause(millis) => listen(&mut stream, answer, Duration::from_millis(*millis), "").await,
            Step::Hear(text) => listen(&mut stream, answer, quiet, text).await,
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(end)) => return (end, String::new()),
            Err(error) => {
                // What was said before may still be there to be read.
                lost = Some(error.to_string());
                break;
            }
        }
    }
    loop {
        let before = answer.len();
        match listen(&mut stream, answer, quiet, "").await {
            Ok(None) if answer.len() > before && answer.len() < MAX_ANSWER => {}
            Ok(None) => return (lost.as_ref().map_or(End::Open, |_| End::Reset), lost.unwrap_or_default()),
            Ok(Some(end)) => {
                return (if lost.is_some() { End::Reset } else { end }, lost.unwrap_or_default());
            }
            Err(error) => return (End::Reset, lost.unwrap_or_else(|| error.to_string())),
        }
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads until the time is over, the answer holds the text, or the other side has closed.
async fn listen<S: AsyncRead + Unpin>(
    stream: &mut S,
    answer: &mut Vec<u8>,
    time: Duration,
    text: &str,
) -> io::Result<Option<End>> {
    let end = tokio::time::Instant::now() + time;
    let holds = |answer: &[u8]| {
        !text.is_empty() && answer.windows(text.len()).any(|window| window == text.as_bytes())
    };
    while answer.len() < MAX_ANSWER && !holds(answer) {
        let mut piece = [0; 16 << 10];
        tokio::select! {
            () = sleep_until(end) => break,
            read = stream.read(&mut piece) => match read? {
                0 => return Ok(Some(End::Closed)),
                length => answer.extend(piece.iter().take(length)),
            },
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_waits_for_an_answer_comes_before_the_next() {
        let (client, mut server) = tokio::io::duplex(64);
        let steps = vec![Step::send("one"), Step::Hear("go on".to_owned()), Step::send("two")];
        let talk = Talk { name: String::new(), port: 0, to: None, tls: None, steps, quiet_ms: 2_000 };
        let serving = tokio::spawn(async move {
            let mut first = [0; 3];
            server.read_exact(&mut first).await?;
            server.write_all(b"so go on").await?;
            let mut second = [0; 3];
            server.read_exact(&mut second).await?;
            Ok::<_, io::Error>((first, second))
        });
        let mut answer = Vec::new();
        assert_eq!(held(client, &talk, &mut answer).await, (End::Closed, String::new()));
        assert_eq!(serving.await.unwrap().unwrap(), (*b"one", *b"two"));
        assert_eq!(answer, b"so go on");
    }
}
