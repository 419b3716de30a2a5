//! Every TCP port: finds out from the first bytes what the client speaks and answers in kind. TLS and HTTP work on
//! any port, port 22 speaks first, anything else is sent back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;

use super::http;
use super::pages::Pages;
use super::record::{Kind, Recorder};
use super::tap::{Place, Tap};

/// The port where redirected connections come in.
pub const CATCH_ALL: u16 = 60_000;
/// The ports that are open when nothing redirects.
pub const PORTS: [u16; 10] = [22, 80, 443, 853, 5353, 5355, 8080, 8443, 8853, 9000];

/// A name that belongs to the names below it, whose servers know no HTTP/2, as most behind a gateway.
const HTTP1: &str = ".http1.test";
const SSH: u16 = 22;
const BANNER: &[u8] = b"SSH-2.0-fakenet\r\n";
/// How much of a connection is written down: as it came, and again as decrypted.
const LIMIT: usize = 64 << 10;

/// What every connection needs.
#[derive(Debug)]
pub struct Servers {
    /// Where arrivals are written down.
    pub recorder: Arc<Recorder>,
    /// What TLS servers speak.
    pub tls: Arc<rustls::ServerConfig>,
    /// Likewise of those that know no HTTP/2.
    pub tls_http1: Arc<rustls::ServerConfig>,
    /// Sites that tests made.
    pub pages: Pages,
    /// Counts connections.
    pub connections: AtomicU64,
}

/// What a client's first bytes speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// A TLS handshake record.
    Tls,
    /// HTTP/1 or HTTP/2.
    Http,
    /// Anything else.
    Other,
}

impl Speaks {
    /// Judges the first bytes.
    pub fn of(first: &[u8]) -> Self {
        const METHODS: [&[u8]; 10] = [
            b"GET ",
            b"HEAD ",
            b"POST ",
            b"PUT ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"CONNECT ",
            b"TRACE ",
            b"PRI ",
        ];
        match first {
            [0x16, 0x03, ..] => Self::Tls,
            _ if METHODS.iter().any(|method| first.starts_with(method)) => Self::Http,
            _ => Self::Other,
        }
    }
}

/// The address and port that the client dialled, also where a rule redirected it.
///
/// # Errors
/// The kernel's.
pub fn dialled(stream: &TcpStream) -> io::Result<SocketAddr> {
    let local = stream.local_addr()?;
    if local.port() != CATCH_ALL {
        return Ok(local);
    }
    match getsockopt(stream, sockopt::OriginalDst) {
        Ok(address) => {
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Ok(SocketAddr::from((ip, u16::from_be(address.sin_port))))
        }
        Err(_) => Ok(local),
    }
}

impl Servers {
    /// Serves a listener for as long as it is polled.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            if let Ok((stream, source)) = listener.accept().await {
                let servers = Arc::clone(&self);
                // Its end, however it came, is the client's business.
                tokio::spawn(async move { servers.connection(stream, source).await });
            }
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream, source: SocketAddr) -> io::Result<()> {
        let destination = dialled(&stream)?;
        let place = Place {
            connection: self.connections.fetch_add(1, Ordering::Relaxed) + 1,
            source: source.to_string(),
            destination: destination.to_string(),
            layer: "tcp",
        };
        self.recorder.write(&place.record(Kind::Tcp));
        stream.set_nodelay(true)?;
        if destination.port() == SSH {
            stream.write_all(BANNER).await?;
        }
        let mut tap = Tap::new(stream, place, Arc::clone(&self.recorder), LIMIT);
        match Speaks::of(tap.first_bytes().await?) {
            Speaks::Tls => self.tls(tap).await,
            Speaks::Http => http::serve(tap, self.site(String::new())).await,
            Speaks::Other => echo(tap).await,
        }
    }

    /// What a web server on one connection is given.
    fn site(&self, sni: String) -> http::Site {
        http::Site { recorder: Arc::clone(&self.recorder), pages: self.pages.clone(), sni }
    }

    async fn tls(self: Arc<Self>, tap: Tap<TcpStream>) -> io::Result<()> {
        let (place, quota) = (tap.place().clone(), tap.quota());
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tap).await?;
        // From here on it is ciphertext, which tells nothing.
        quota.store(0, Ordering::Relaxed);
        let hello = start.client_hello();
        let sni = hello.server_name().unwrap_or_default().to_owned();
        let offered = hello.alpn().into_iter().flatten().map(|name| name.escape_ascii().to_string());
        let alpn = offered.collect::<Vec<_>>().join(",");
        self.recorder.write(&place.record(Kind::Tls).name(sni.clone()).what(alpn));
        let config = if sni.ends_with(HTTP1) { &self.tls_http1 } else { &self.tls };
        let stream = start.into_stream(Arc::clone(config)).await?;
        let place = Place { layer: "tls", ..place };
        let mut tap = Tap::new(stream, place, Arc::clone(&self.recorder), LIMIT);
        match Speaks::of(tap.first_bytes().await?) {
            Speaks::Http => http::serve(tap, self.site(sni)).await,
            Speaks::Tls | Speaks::Other => echo(tap).await,
        }
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return stream.shutdown().await,
            length => {
                stream.write_all(&chunk[..length]).await?;
                stream.flush().await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_a_client_speaks() {
        for (first, speaks) in [
            (&b"\x16\x03\x01\x02"[..], Speaks::Tls),
            (b"GET /x HTTP/1.1\r\n", Speaks::Http),
            (b"PRI * HTTP/2.0\r\n", Speaks::Http),
            (b"SSH-2.0-client\r\n", Speaks::Other),
            (b"canary", Speaks::Other),
            (b"", Speaks::Other),
        ] {
            assert_eq!(Speaks::of(first), speaks, "{first:?}");
        }
    }
}
