//! The client of the load measurements: asks one thing again and again for a few seconds, checks every answer, and says
//! how often and how fast it came. It runs in the container whose way out is measured, and never longer than it is told.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::fakenet::{dns, probe};

/// How long one answer may take before it counts as an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// No measurement is longer, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A name's address.
    Dns,
    /// A TLS connection, from its first packet to the end of the handshake.
    Hello,
    /// A request on an open connection.
    Http,
    /// A large body; the rate is in bytes.
    Bulk,
}

/// One measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// What.
    pub kind: Kind,
    /// `ADDRESS:PORT`, or `NAME:PORT` as the container resolves it.
    pub place: String,
    /// The name in the question, in TLS and in the Host.
    pub name: String,
    /// The request's path.
    #[serde(default)]
    pub path: String,
    /// How many ask at once.
    pub lanes: usize,
    /// For how long.
    pub millis: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Right answers.
    pub count: u64,
    /// Wrong ones, and none in time.
    pub errors: u64,
    /// Right answers a second; bytes a second of a large body.
    pub rate: f64,
    /// Microseconds until a right answer.
    pub median_us: u64,
    /// The slowest of nineteen in twenty.
    pub p95_us: u64,
}

/// Measures.
///
/// # Errors
/// When nothing can be asked at all.
pub async fn run(task: Task) -> io::Result<Outcome> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let place = task.place.to_socket_addrs()?.find(SocketAddr::is_ipv4).ok_or_else(none)?;
    let time = Duration::from_millis(task.millis).min(LONGEST);
    let tls = match task.kind {
        Kind::Dns => None,
        _ => Some(connector()?),
    };
    let task = Arc::new(task);
    let begun = Instant::now();
    let end = begun + time;
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..task.lanes.max(1) {
        let (task, tls) = (Arc::clone(&task), tls.clone());
        lanes.spawn(async move {
            let mut lane = Lane { place, task, tls, open: Open::Nothing, tally: Tally::default() };
            while Instant::now() < end {
                lane.once().await;
            }
            lane.tally
        });
    }
    let mut all = Tally::default();
    while let Some(tally) = lanes.join_next().await {
        all.add(tally.map_err(io::Error::other)?);
    }
    Ok(all.outcome(begun.elapsed()))
}

fn connector() -> io::Result<TlsConnector> {
    let mut config = probe::client_config().map_err(io::Error::other)?;
    // Each handshake is a whole one.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug, Default)]
struct Tally {
    times: Vec<Duration>,
    errors: u64,
    bytes: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.errors += other.errors;
        self.bytes += other.bytes;
    }

    fn outcome(mut self, elapsed: Duration) -> Outcome {
        self.times.sort_unstable();
        let at = |percent: usize| {
            let index = self.times.len().saturating_sub(1) * percent / 100;
            let time = self.times.get(index).copied().unwrap_or_default();
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        };
        let count = self.times.len() as u64;
        let amount = if self.bytes > 0 { self.bytes } else { count };
        #[allow(clippy::cast_precision_loss)]
        let rate = amount as f64 / elapsed.as_secs_f64();
        Outcome { count, errors: self.errors, rate, median_us: at(50), p95_us: at(95) }
    }
}

enum Open {
    Nothing,
    Udp(UdpSocket),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One that asks, one thing after another.
struct Lane {
    place: SocketAddr,
    task: Arc<Task>,
    tls: Option<TlsConnector>,
    open: Open,
    tally: Tally,
}

impl Lane {
    async fn once(&mut self) {
        // What is not measured: the connection that requests share.
        if matches!(self.task.kind, Kind::Http | Kind::Bulk) && matches!(self.open, Open::Nothing) {
            match self.hello().await {
                Ok(stream) => self.open = Open::Tls(Box::new(stream)),
                Err(_) => return self.failed().await,
            }
        }
        let begun = Instant::now();
        let outcome = timeout(PATIENCE * 5, self.ask()).await;
        match outcome {
            Ok(Ok(bytes)) => {
                self.tally.times.push(begun.elapsed());
                self.tally.bytes += bytes;
            }
            _ => self.failed().await,
        }
    }

    async fn failed(&mut self) {
        self.open = Open::Nothing;
        self.tally.errors += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    async fn ask(&mut self) -> io::Result<u64> {
        match self.task.kind {
            Kind::Dns => self.question().await.map(|()| 0),
            Kind::Hello => self.hello().await.map(|_| 0),
            Kind::Http => self.request().await.map(|_| 0),
            Kind::Bulk => self.request().await,
        }
    }

    async fn question(&mut self) -> io::Result<()> {
        let socket = match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Udp(socket) => socket,
            _ => {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
                socket.connect(self.place).await?;
                socket
            }
        };
        let message = dns::query(&self.task.name, "A").ok_or(io::ErrorKind::InvalidInput)?;
        socket.send(&message).await?;
        let mut answer = [0; 1232];
        let length =
            timeout(PATIENCE, socket.recv(&mut answer)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        self.open = Open::Udp(socket);
        match dns::read_answer(answer.get(..length).unwrap_or_default()) {
            Some((0, addresses)) if addresses.len() == 1 => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn hello(&self) -> io::Result<TlsStream<TcpStream>> {
        let tls = self.tls.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let name = ServerName::try_from(self.task.name.clone()).map_err(io::Error::other)?;
        let talk = async {
            let stream = TcpStream::connect(self.place).await?;
            stream.set_nodelay(true)?;
            tls.connect(name, stream).await
        };
        timeout(PATIENCE, talk).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// One request; the length of the answer's body.
    async fn request(&mut self) -> io::Result<u64> {
        let (path, name) = (&self.task.path, &self.task.name);
        let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n");
        let Open::Tls(stream) = &mut self.open else { return Err(io::ErrorKind::NotConnected.into()) };
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        let mut chunk = vec![0; 64 << 10];
        let (length, mut have) = loop {
            let read = stream.read(&mut chunk).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.extend(chunk.iter().take(read));
            if let Some((length, begins)) = answer(&head)? {
                break (length, (head.len() - begins) as u64);
            }
        };
        while have < length {
            match stream.read(&mut chunk).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => have += read as u64,
            }
        }
        Ok(length)
    }
}

/// Of a right answer's head: how long its body is, and where that begins. `None` for half a head.
fn answer(head: &[u8]) -> io::Result<Option<(u64, usize)>> {
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8_lossy(head.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    match length {
        Some(length) if text.starts_with("http/1.1 200 ") => Ok(Some((length, end + 4))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_right_answer_counts() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(answer(head).unwrap(), Some((2, head.len() - 2)));
        assert_eq!(answer(&head[..20]).unwrap(), None);
        assert!(answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n").is_err());
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_rate_is_of_bytes_where_bytes_came() {
        let times = vec![Duration::from_micros(10), Duration::from_micros(30), Duration::from_micros(20)];
        let tally = Tally { times: times.clone(), errors: 1, bytes: 0 };
        let outcome = tally.outcome(Duration::from_secs(3));
        assert_eq!((outcome.count, outcome.errors, outcome.median_us), (3, 1, 20));
        assert!((outcome.rate - 1.0).abs() < 1e-9);
        let bulk = Tally { times, errors: 0, bytes: 600 }.outcome(Duration::from_secs(3));
        assert!((bulk.rate - 200.0).abs() < 1e-9);
    }
}
