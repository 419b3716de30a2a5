//! The web server behind every name: says which host and path it was asked for, and has a few endpoints that
//! tests need. Every request is written down whole, up to a bound.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::messages;
use super::pages::{Page, Pages};
use super::record::{Kind, Recorder};
use super::tap::{Place, Tap};
use super::websocket;
use super::zone::MESSAGES_API;

/// How much of a body is kept.
const BODY_LIMIT: usize = 1 << 20;
const CHUNK: usize = 64 << 10;

/// What a web server on one connection is given.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where requests are written down.
    pub recorder: Arc<Recorder>,
    /// Sites that tests made.
    pub pages: Pages,
    /// The name that TLS was asked for.
    pub sni: String,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Serves HTTP/1 and HTTP/2 on a connection until it ends.
///
/// # Errors
/// What ended it, where that was no orderly end.
pub async fn serve<S>(tap: Tap<S>, site: Site) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = tap.place().clone();
    let service = service_fn(move |request| {
        let (place, site) = (place.clone(), site.clone());
        async move { Ok::<_, Infallible>(request_came(request, &place, &site).await) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    builder.serve_connection_with_upgrades(TokioIo::new(tap), service).await.map_err(io::Error::other)
}

async fn request_came(mut request: Request<Incoming>, place: &Place, site: &Site) -> Answer {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let body = read_body(body).await;
    let in_header = head.headers.get(header::HOST).map(|value| value.as_bytes().escape_ascii().to_string());
    let host = head.uri.authority().map(ToString::to_string).or(in_header).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("*", |path| path.as_str()).to_owned();
    let mut record = place.record(Kind::Http).name(host.clone()).payload(&body);
    record.what = format!("{} {path}", head.method);
    site.sni.clone_into(&mut record.sni);
    let text = |value: &header::HeaderValue| value.as_bytes().escape_ascii().to_string();
    record.headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    site.recorder.write(&record);

    if let Some(key) = head.headers.get(header::SEC_WEBSOCKET_KEY) {
        tokio::spawn(async move {
            // Its end, however it came, is the client's business.
            let Ok(stream) = upgrade.await else { return Ok(()) };
            websocket::echo(TokioIo::new(stream)).await
        });
        return switching(&key.as_bytes().escape_ascii().to_string());
    }
    let name = host.split(':').next().unwrap_or_default();
    let mut answer = if name.eq_ignore_ascii_case(MESSAGES_API) {
        messages_api(&head.method, head.uri.path(), &body)
    } else {
        match site.pages.find(name, head.uri.path()) {
            Page::File(kind, bytes) => answer(StatusCode::OK, kind, Full::new(Bytes::from(bytes)).boxed()),
            Page::Missing => whole(StatusCode::NOT_FOUND, "text/plain", "No such page\n".to_owned()),
            Page::NoSite => any_site(&host, head.uri.path(), head.uri.query().unwrap_or_default()),
        }
    };
    if head.method == Method::HEAD {
        *answer.body_mut() = Full::new(Bytes::new()).boxed();
    }
    answer
}

/// Reads a body to its end, keeps its beginning.
async fn read_body(mut body: Incoming) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(bytes) = frame.data_ref() {
            kept.extend(bytes.iter().take(BODY_LIMIT.saturating_sub(kept.len())));
        }
    }
    kept
}

/// The answer that turns a connection into a WebSocket.
fn switching(key: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()).boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    if let Ok(accepted) = header::HeaderValue::from_str(&websocket::accept(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    }
    answer
}

/// Any host but the Messages API and those with files.
fn any_site(host: &str, path: &str, query: &str) -> Answer {
    let argument = |key: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key))
            .map(|(_, value)| value)
    };
    let number = |key: &str| argument(key).and_then(|value| value.parse::<u64>().ok());
    match path {
        "/stream" => streaming(number("ms").unwrap_or(1000)),
        "/download" => download(number("bytes").unwrap_or(0)),
        "/redirect" => {
            let mut answer = whole(StatusCode::FOUND, "text/plain", String::new());
            if let Some(Ok(target)) = argument("to").map(header::HeaderValue::from_str) {
                answer.headers_mut().insert(header::LOCATION, target);
            }
            answer
        }
        _ => whole(StatusCode::OK, "text/plain", format!("fakenet\nhost: {host}\npath: {path}\n")),
    }
}

fn messages_api(method: &Method, path: &str, body: &[u8]) -> Answer {
    if *method == Method::POST && path == "/v1/messages" {
        return match messages::Call::parse(body) {
            Some(call) if call.stream => whole(StatusCode::OK, "text/event-stream", call.events()),
            Some(call) => whole(StatusCode::OK, "application/json", call.message().to_string()),
            None => whole(StatusCode::BAD_REQUEST, "application/json", messages::BAD_REQUEST.to_owned()),
        };
    }
    whole(StatusCode::OK, "application/json", "{}".to_owned())
}

fn whole(status: StatusCode, kind: &'static str, body: String) -> Answer {
    answer(status, kind, Full::new(Bytes::from(body)).boxed())
}

fn answer(status: StatusCode, kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}

/// Server-sent events, one every so many milliseconds, until the client goes.
fn streaming(every_ms: u64) -> Answer {
    let (sender, feed) = mpsc::channel(1);
    tokio::spawn(async move {
        for count in 0u64.. {
            if sender.send(Bytes::from(format!("data: {count}\n\n"))).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(every_ms.max(1))).await;
        }
    });
    answer(StatusCode::OK, "text/event-stream", Feed(feed).boxed())
}

fn download(mut left: u64) -> Answer {
    let (sender, feed) = mpsc::channel(4);
    let zeros = Bytes::from(vec![0; CHUNK]);
    tokio::spawn(async move {
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            if sender.send(zeros.slice(..length)).await.is_err() {
                return;
            }
            left -= length as u64;
        }
    });
    answer(StatusCode::OK, "application/octet-stream", Feed(feed).boxed())
}

/// A body that is fed while it is read.
struct Feed(mpsc::Receiver<Bytes>);

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|bytes| Ok(Frame::data(bytes))))
    }
}
