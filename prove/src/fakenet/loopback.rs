//! Somebody on a namespace's own loopback: who dials that for a name which answers with it is written down.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;

use super::authority::Authority;
use super::pages::Pages;
use super::record::{Kind, Record, Recorder};
use super::tcp::Servers;
use super::{FakenetError, files};

/// The port of TLS.
const PORT: u16 = 443;

/// Serves loopback's addresses until it is killed, and writes down what comes in a file of its own.
///
/// # Errors
/// [`FakenetError`] when the port is taken or the file can't be made.
pub async fn serve(file: &Path) -> Result<(), FakenetError> {
    let recorder = Recorder::new(Some(file)).map_err(|error| FakenetError::Write(file.to_owned(), error))?;
    let recorder = Arc::new(recorder);
    let authority = Arc::new(Authority::new()?);
    let servers = Arc::new(Servers {
        recorder: Arc::clone(&recorder),
        tls: authority.server_config(&[b"h2", b"http/1.1"])?,
        tls_http1: authority.server_config(&[b"http/1.1"])?,
        pages: Pages::new(file.parent().map(|folder| folder.join(files::SITES))),
        connections: AtomicU64::new(0),
    });
    let four: SocketAddr = (Ipv4Addr::LOCALHOST, PORT).into();
    let listener = TcpListener::bind(four).await.map_err(|error| FakenetError::Port(PORT, error))?;
    tokio::spawn(Arc::clone(&servers).serve(listener));
    // Where there is no IPv6 nobody dials it.
    if let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, PORT)).await {
        tokio::spawn(servers.serve(listener));
    }
    recorder.write(&Record::new(Kind::Ready));
    std::future::pending().await
}
