//! A real client of HTTP/1.1 and HTTP/2 in TLS: several requests over one connection, bodies in quantity, calls with
//! messages both ways. From a file with a connection a line; all are made side by side, and a line comes back for each.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::bodies::{self, Feed};
use super::probe::{ProbeError, client_config, connect, resolve};

/// How long an answer may take, and a message of a call.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a call's message is.
const MESSAGE: &str = "\0\0\0\0\x05hello";

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The name that is dialled and asked for, at port 443.
    pub name: String,
    /// HTTP/2, on which all is asked at once; else HTTP/1.1, one after the other.
    pub h2: bool,
    /// What is asked.
    pub requests: Vec<Wish>,
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// `GET` and such.
    pub method: String,
    /// The path.
    pub path: String,
    /// The host that is asked for, where it is not the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// More headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Bytes of [`bodies::quantity`] that are sent.
    #[serde(default)]
    pub upload: u64,
    /// Messages of a call, each of which is sent when the one before has come back.
    #[serde(default)]
    pub messages: u32,
    /// The answer is read for so long and no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// Why there is no whole answer; else empty.
    pub error: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The trailers.
    pub trailers: Vec<(String, String)>,
    /// The body's beginning.
    pub start: String,
    /// The body's length.
    pub length: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Messages that came back.
    pub messages: u32,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

type Body = BoxBody<Bytes, Infallible>;

/// A connection that takes requests.
enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

impl Sender {
    async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// Runs all fetches of a file.
///
/// # Errors
/// When the file can't be read, holds no fetches, or a connection can't be made.
pub async fn run(file: &str) -> Result<String, ProbeError> {
    let bad = || ProbeError::Odd(file.to_owned());
    let text = std::fs::read_to_string(file).map_err(|_| bad())?;
    let mut tasks = Vec::new();
    for line in text.lines() {
        let fetch: Fetch = serde_json::from_str(line).map_err(|_| bad())?;
        tasks.push(tokio::spawn(fetched(fetch)));
    }
    let mut lines = Vec::new();
    for task in tasks {
        let all = task.await.map_err(|_| bad())??;
        lines.push(serde_json::to_string(&all).map_err(|_| bad())?);
    }
    Ok(lines.join("\n"))
}

/// Asks all that is wished of a connection; what came back, in the same order.
async fn fetched(fetch: Fetch) -> Result<Vec<Got>, ProbeError> {
    let fetch = Arc::new(fetch);
    let mut all = Vec::new();
    match opened(&fetch).await? {
        Sender::One(sender) => {
            let mut sender = Sender::One(sender);
            for wish in &fetch.requests {
                all.push(in_time(&mut sender, &fetch, wish).await);
            }
        }
        Sender::Two(sender) => {
            let mut tasks = Vec::new();
            for wish in fetch.requests.clone() {
                let (mut sender, fetch) = (Sender::Two(sender.clone()), Arc::clone(&fetch));
                tasks.push(tokio::spawn(async move { in_time(&mut sender, &fetch, &wish).await }));
            }
            for task in tasks {
                all.push(task.await.map_err(|_| ProbeError::Odd(fetch.name.clone()))?);
            }
        }
    }
    Ok(all)
}

async fn in_time(sender: &mut Sender, fetch: &Fetch, wish: &Wish) -> Got {
    let begun = Instant::now();
    let mut got = match timeout(PATIENCE, got(sender, fetch, wish)).await {
        Ok(Ok(got)) => got,
        Ok(Err(error)) => Got { error, ..Got::default() },
        Err(_) => Got { error: "no answer in time".to_owned(), ..Got::default() },
    };
    got.millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    got
}

async fn opened(fetch: &Fetch) -> Result<Sender, ProbeError> {
    let odd = || ProbeError::Odd(fetch.name.clone());
    let target = resolve(&format!("{}:443", fetch.name))?;
    let mut config = client_config()?;
    config.alpn_protocols = vec![if fetch.h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    let server =
        ServerName::try_from(fetch.name.clone()).map_err(|_| ProbeError::Name(fetch.name.clone()))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(server, connect(target).await?);
    let stream = stream.await.map_err(|error| ProbeError::Refused(target, error))?;
    // Its end is seen in the requests that it carries.
    if fetch.h2 {
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(odd());
        }
        let made = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|_| odd())?;
        tokio::spawn(connection);
        Ok(Sender::Two(sender))
    } else {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| odd())?;
        tokio::spawn(connection);
        Ok(Sender::One(sender))
    }
}

async fn got(sender: &mut Sender, fetch: &Fetch, wish: &Wish) -> Result<Got, String> {
    let host = wish.host.as_ref().unwrap_or(&fetch.name);
    let mut request = Request::builder().method(wish.method.as_str());
    request = if fetch.h2 {
        request.uri(format!("https://{host}{}", wish.path))
    } else {
        request.uri(&wish.path).header("host", host)
    };
    for (name, value) in &wish.headers {
        request = request.header(name, value);
    }
    let (feeder, body) = match (wish.upload, wish.messages) {
        (0, 0) => (None, Full::new(Bytes::new()).boxed()),
        (length, 0) => (None, bodies::quantity(length)),
        _ => {
            let (feeder, feed) = mpsc::channel(1);
            (Some(feeder), Feed(feed).boxed())
        }
    };
    let request = request.body(body).map_err(|error| error.to_string())?;
    let response = sender.send(request).await;
    let (head, mut body) = response.map_err(|error| format!("{error:?}"))?.into_parts();
    let mut got =
        Got { status: head.status.as_u16(), headers: bodies::texts(&head.headers), ..Got::default() };
    if let Some(feeder) = feeder {
        got.messages = exchanged(feeder, &mut body, wish.messages).await?;
    }
    if let Some(millis) = wish.for_ms {
        let reading = read_on(&mut body, &mut got);
        return match timeout(Duration::from_millis(millis), reading).await {
            Ok(()) => Err(format!("it ended after {} bytes", got.length)),
            Err(_) => Ok(got),
        };
    }
    let whole = bodies::read(Response::from_parts(head, body).into_body()).await;
    got.error = if whole.is_whole { String::new() } else { "the body broke off".to_owned() };
    got.start = String::from_utf8_lossy(whole.start.get(..1024).unwrap_or(&whole.start)).into_owned();
    (got.length, got.sha256, got.trailers) = (whole.length, whole.sha256, whole.trailers);
    Ok(got)
}

/// Sends a message, waits for it, sends the next; then says that there is no more.
async fn exchanged(
    feeder: mpsc::Sender<Frame<Bytes>>,
    body: &mut Incoming,
    messages: u32,
) -> Result<u32, String> {
    for count in 0..messages {
        let message = Frame::data(Bytes::from_static(MESSAGE.as_bytes()));
        feeder.send(message).await.map_err(|_| format!("no more after {count}"))?;
        let mut came = Vec::new();
        while came.len() < MESSAGE.len() {
            match body.frame().await {
                Some(Ok(frame)) => came.extend(frame.into_data().unwrap_or_default()),
                _ => return Err(format!("no more after {count}")),
            }
        }
        if came != MESSAGE.as_bytes() {
            return Err(format!("{count} came back as {came:?}"));
        }
    }
    Ok(messages)
}

async fn read_on(body: &mut Incoming, got: &mut Got) {
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.into_data().unwrap_or_default();
        got.length += bytes.len() as u64;
        got.start.push_str(&String::from_utf8_lossy(&bytes));
    }
}
