//! The DNS servers: port 53 of every address, over UDP and TCP. Looks like a recursive resolver that reaches the
//! whole (fake) world; writes down every question, also the second one in a segment.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::dns::Question;
use super::record::{Kind, Record, Recorder};
use super::tcp;
use super::udp::Port;
use super::zone::Zone;

/// The port of DNS.
pub const PORT: u16 = 53;

/// What answers need.
#[derive(Debug)]
pub struct Resolver {
    /// Where questions are written down.
    pub recorder: Arc<Recorder>,
    /// The zone file, read at every question, so that a change counts at once.
    pub zone: Option<PathBuf>,
}

impl Resolver {
    /// Answers one message; `None` for what is no question, which is written down all the same.
    fn answer(&self, message: &[u8], source: SocketAddr, destination: String) -> Option<Vec<u8>> {
        let record = Record::new(Kind::Dns).between(source, destination).payload(message);
        let Some(question) = Question::parse(message) else {
            self.recorder.write(&record.what("malformed"));
            return None;
        };
        self.recorder.write(&record.name(question.name.clone()).what(question.what()));
        let zone = self.zone.as_deref().map(Zone::read).unwrap_or_default();
        Some(question.answer(&zone.lookup(&question.name)))
    }

    /// Serves UDP for as long as it is polled.
    pub async fn serve_udp(self: Arc<Self>, port: Port) {
        loop {
            let Ok(datagram) = port.receive().await else { continue };
            let destination = format!("{}:{PORT}", datagram.destination);
            if let Some(answer) = self.answer(&datagram.bytes, datagram.source.into(), destination) {
                let _ = port.answer(&datagram, &answer).await;
            }
        }
    }

    /// Serves TCP for as long as it is polled.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, source)) = listener.accept().await {
                tokio::spawn(Arc::clone(&self).stream(stream, source));
            }
        }
    }

    async fn stream(self: Arc<Self>, mut stream: TcpStream, source: SocketAddr) -> io::Result<()> {
        let destination = tcp::dialled(&stream)?.to_string();
        loop {
            let length = stream.read_u16().await?;
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await?;
            if let Some(answer) = self.answer(&message, source, destination.clone()) {
                let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
                stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
            }
        }
    }
}
