//! A connection that writes down what the client sends, chunk by chunk, as it comes; and that can be looked at
//! before it is decided what it speaks.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::record::{Kind, Record, Recorder};

/// Which connection, and which side of TLS, a tap sits on.
#[derive(Debug, Clone)]
pub struct Place {
    /// The connection's number.
    pub connection: u64,
    /// The client.
    pub source: String,
    /// What it dialled.
    pub destination: String,
    /// `tcp`, or `tls` for what was decrypted.
    pub layer: &'static str,
}

impl Place {
    /// A record of `kind` from here.
    pub fn record(&self, kind: Kind) -> Record {
        let mut record = Record::new(kind).between(&self.source, &self.destination);
        record.connection = self.connection;
        record
    }
}

/// The connection.
#[derive(Debug)]
pub struct Tap<S> {
    inner: S,
    place: Place,
    recorder: Arc<Recorder>,
    left: Arc<AtomicUsize>,
    seen: Vec<u8>,
    given: usize,
}

impl<S: AsyncRead + Unpin> Tap<S> {
    /// Taps a connection; after `limit` bytes it writes nothing more down.
    pub fn new(inner: S, place: Place, recorder: Arc<Recorder>, limit: usize) -> Self {
        Self { inner, place, recorder, left: Arc::new(AtomicUsize::new(limit)), seen: Vec::new(), given: 0 }
    }

    /// Where it sits.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// How many more bytes it writes down; whoever holds it can end that.
    pub fn quota(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.left)
    }

    /// Waits for the first bytes and keeps them for the reader; empty at the end of the stream.
    ///
    /// # Errors
    /// The connection's.
    pub async fn first_bytes(&mut self) -> io::Result<&[u8]> {
        let mut chunk = [0; 4096];
        let length = self.inner.read(&mut chunk).await?;
        self.note(&chunk[..length]);
        self.seen.extend(&chunk[..length]);
        Ok(&self.seen)
    }

    fn note(&self, bytes: &[u8]) {
        let left = self.left.load(Ordering::Relaxed);
        let noted = &bytes[..bytes.len().min(left)];
        self.left.store(left - noted.len(), Ordering::Relaxed);
        if !noted.is_empty() {
            self.recorder.write(&self.place.record(Kind::Data).what(self.place.layer).payload(noted));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let tap = self.get_mut();
        let kept = &tap.seen[tap.given..];
        if !kept.is_empty() {
            let length = kept.len().min(buf.remaining());
            buf.put_slice(&kept[..length]);
            tap.given += length;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let ready = Pin::new(&mut tap.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = ready {
            tap.note(&buf.filled()[before..]);
        }
        ready
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_looked_at_is_read_again_and_only_the_quota_is_written_down() {
        let place = Place { connection: 1, source: "a".into(), destination: "b".into(), layer: "tcp" };
        let file = std::env::temp_dir().join(format!("fakenet-tap-{}", std::process::id()));
        let recorder = Arc::new(Recorder::new(Some(&file)).unwrap());
        let mut tap = Tap::new(&b"GET / and the rest"[..], place, recorder, 4);
        assert!(tap.first_bytes().await.unwrap().starts_with(b"GET "));
        let mut all = Vec::new();
        tap.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"GET / and the rest");
        let written = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert!(written.contains("\"GET \"") && !written.contains("rest"), "{written}");
    }
}
