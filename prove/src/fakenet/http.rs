//! The web server behind every name: says which host and path it was asked for, and has a few endpoints that
//! tests need. Every request is written down whole, up to a bound.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};

use super::bodies::{self, Whole};
use super::messages;
use super::pages::{Page, Pages};
use super::record::{Kind, Recorder};
use super::tap::{Place, Tap};
use super::websocket;
use super::zone::MESSAGES_API;

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

/// What a gRPC call says it is.
const GRPC: &str = "application/grpc";

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
    let content = head.headers.get(header::CONTENT_TYPE);
    // A call is answered while it comes.
    let is_call = content.is_some_and(|content| content.as_bytes().starts_with(GRPC.as_bytes()));
    let (call, body) =
        if is_call { (Some(body), Whole::default()) } else { (None, bodies::read(body).await) };
    let in_header = head.headers.get(header::HOST).map(|value| value.as_bytes().escape_ascii().to_string());
    let host = head.uri.authority().map(ToString::to_string).or(in_header).unwrap_or_default();
    let path = head.uri.path_and_query().map_or("*", |path| path.as_str()).to_owned();
    let mut record = place.record(Kind::Http).name(host.clone()).payload(&body.start);
    record.what = format!("{} {path}", head.method);
    site.sni.clone_into(&mut record.sni);
    record.headers = bodies::texts(&head.headers);
    site.recorder.write(&record);

    if let Some(call) = call {
        return answer(StatusCode::OK, GRPC, bodies::call(call));
    }
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
        messages_api(&head.method, head.uri.path(), &body.start)
    } else {
        match site.pages.find(name, head.uri.path()) {
            Page::File(kind, bytes) => answer(StatusCode::OK, kind, Full::new(Bytes::from(bytes)).boxed()),
            Page::Missing => whole(StatusCode::NOT_FOUND, "text/plain", "No such page\n".to_owned()),
            Page::NoSite => any_site(&host, head.uri.path(), head.uri.query().unwrap_or_default(), &body),
        }
    };
    if head.method == Method::HEAD {
        *answer.body_mut() = Full::new(Bytes::new()).boxed();
    }
    answer
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
fn any_site(host: &str, path: &str, query: &str, body: &Whole) -> Answer {
    let argument = |key: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(k, _)| *k == key))
            .map(|(_, value)| value)
    };
    let number = |key: &str| argument(key).and_then(|value| value.parse::<u64>().ok());
    match path {
        "/stream" => {
            answer(StatusCode::OK, "text/event-stream", bodies::events(number("ms").unwrap_or(1000)))
        }
        "/download" => {
            answer(StatusCode::OK, "application/octet-stream", bodies::quantity(number("bytes").unwrap_or(0)))
        }
        "/hash" => whole(StatusCode::OK, "text/plain", format!("{} {}\n", body.length, body.sha256)),
        "/unchanged" => {
            let mut answer = whole(StatusCode::NOT_MODIFIED, "text/plain", String::new());
            answer.headers_mut().insert(header::ETAG, header::HeaderValue::from_static("\"same\""));
            answer
        }
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
