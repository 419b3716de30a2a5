//! The server behind every way that is measured: TLS and HTTP/1.1 with as little behind it as possible, so that what
//! stands in front of it is what the figures show. It writes nothing down.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fakenet::authority::Authority;

/// The files in the folder that the server shares: its root, and a leaf with its key for a proxy that opens TLS.
pub const CA: &str = "ca.pem";
/// See [`CA`].
pub const LEAF: &str = "leaf.pem";
/// See [`CA`].
pub const KEY: &str = "leaf.key";
/// A path below which a number is the length of the answer.
pub const BYTES: &str = "/bytes/";
/// No request is longer.
const LONGEST: usize = 64 << 10;

/// Serves port 443 for as long as it is polled. The leaf is for `name`.
///
/// # Errors
/// When it can't begin.
pub async fn serve(folder: &Path, name: &str) -> io::Result<()> {
    let authority = Arc::new(Authority::new().map_err(io::Error::other)?);
    let mut config = (*authority.server_config(&[b"http/1.1"]).map_err(io::Error::other)?).clone();
    config.send_tls13_tickets = 0;
    let tls = TlsAcceptor::from(Arc::new(config));
    let (leaf, key) = authority.leaf_pem(name).map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 443)).await?;
    fs::write(folder.join(LEAF), leaf)?;
    fs::write(folder.join(KEY), key)?;
    // The last one: whoever sees it sees all.
    fs::write(folder.join("ca.part"), authority.pem())?;
    fs::rename(folder.join("ca.part"), folder.join(CA))?;
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            // Its end, however it came, is the client's business.
            tokio::spawn(async move { connection(stream, &tls).await });
        }
    }
}

async fn connection(stream: TcpStream, tls: &TlsAcceptor) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = tls.accept(stream).await?;
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    let zeros = vec![0; 64 << 10];
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            read => request.extend(chunk.iter().take(read)),
        }
        if request.len() > LONGEST {
            return Ok(());
        }
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let length = wanted(&request);
        request.clear();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut left = length;
        while left > 0 {
            let part = left.min(zeros.len());
            stream.write_all(zeros.get(..part).unwrap_or_default()).await?;
            left -= part;
        }
        stream.flush().await?;
    }
}

/// How long the answer to a request is to be.
fn wanted(request: &[u8]) -> usize {
    let text = String::from_utf8_lossy(request);
    let path = text.split(' ').nth(1).unwrap_or_default();
    path.strip_prefix(BYTES).and_then(|rest| rest.parse().ok()).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_path_says() {
        assert_eq!(wanted(b"GET /bytes/70000 HTTP/1.1\r\n\r\n"), 70_000);
        assert_eq!(wanted(b"GET /other HTTP/1.1\r\n\r\n"), 2);
        assert_eq!(wanted(b""), 2);
    }
}
