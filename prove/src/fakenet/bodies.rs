//! Bodies that are fed while they are read: events that go on, bytes in quantity, a call that answers message by message.
//! And the digest of a body, which tells both sides the same.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::HeaderValue;
use ring::digest;
use tokio::sync::mpsc;

/// How much of a body is kept.
const LIMIT: usize = 1 << 20;
const CHUNK: usize = 64 << 10;

/// A body that is fed while it is read.
pub struct Feed(pub mpsc::Receiver<Frame<Bytes>>);

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// A body that was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Whole {
    /// Its beginning.
    pub start: Vec<u8>,
    /// How long it was.
    pub length: u64,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// What came after it.
    pub trailers: Vec<(String, String)>,
    /// Whether it ended as it should.
    pub is_whole: bool,
}

/// Reads a body to its end, keeps its beginning.
pub async fn read(mut body: Incoming) -> Whole {
    let mut whole = Whole { is_whole: true, ..Whole::default() };
    let mut hash = digest::Context::new(&digest::SHA256);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            whole.is_whole = false;
            break;
        };
        if let Some(bytes) = frame.data_ref() {
            whole.start.extend(bytes.iter().take(LIMIT.saturating_sub(whole.start.len())));
            whole.length += bytes.len() as u64;
            hash.update(bytes);
        }
        if let Some(trailers) = frame.trailers_ref() {
            whole.trailers = texts(trailers);
        }
    }
    whole.sha256 = hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    whole
}

/// Headers as text.
pub fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().escape_ascii().to_string();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// Server-sent events, one every so many milliseconds, until the client goes.
pub fn events(every_ms: u64) -> BoxBody<Bytes, Infallible> {
    let (sender, feed) = mpsc::channel(1);
    tokio::spawn(async move {
        for count in 0u64.. {
            let event = Frame::data(Bytes::from(format!("data: {count}\n\n")));
            if sender.send(event).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(every_ms.max(1))).await;
        }
    });
    Feed(feed).boxed()
}

/// So many bytes, of which no two pieces are alike.
pub fn quantity(length: u64) -> BoxBody<Bytes, Infallible> {
    let (sender, feed) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut at = 0;
        while at < length {
            let piece = piece(at, length);
            at += piece.len() as u64;
            if sender.send(Frame::data(piece)).await.is_err() {
                return;
            }
        }
    });
    Feed(feed).boxed()
}

/// The digest of [`quantity`].
pub fn quantity_sha256(length: u64) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut at = 0;
    while at < length {
        let piece = piece(at, length);
        hash.update(&piece);
        at += piece.len() as u64;
    }
    hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A piece: its words say where they are.
fn piece(at: u64, length: u64) -> Bytes {
    let size = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
    let words = (0..size as u64).step_by(8).flat_map(|word| (at + word).to_be_bytes());
    words.take(size).collect::<Vec<u8>>().into()
}

/// Sends back what comes, as it comes, and ends with gRPC's status as a trailer.
pub fn call(mut body: Incoming) -> BoxBody<Bytes, Infallible> {
    let (sender, feed) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(bytes) = frame.into_data()
                && sender.send(Frame::data(bytes)).await.is_err()
            {
                return;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        // A client that is gone misses nothing.
        let _ = sender.send(Frame::trailers(trailers)).await;
    });
    Feed(feed).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_without_a_seam() {
        let length = 8 * 20_000 - 3;
        let first = piece(0, length);
        assert_eq!(first.len(), CHUNK);
        assert_eq!(piece(CHUNK as u64, length)[..8], (CHUNK as u64).to_be_bytes());
        assert_eq!(first[8..16], 8u64.to_be_bytes());
        assert_eq!(piece(2 * CHUNK as u64, length).len() as u64, length - 2 * CHUNK as u64);
    }
}
