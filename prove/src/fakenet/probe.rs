//! A client for images that have none: one connection, datagram, ping or question, and what came back. It is the
//! positive control of every attack, and it runs in an empty image.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{asks, dns, fetch, flood, talk, websocket};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the probe is called.
pub const USAGE: &str = "\
fakenet probe tcp ADDRESS:PORT [TEXT]
fakenet probe udp ADDRESS:PORT TEXT
fakenet probe icmp ADDRESS [TEXT]
fakenet probe dns SERVER[:PORT] NAME [TYPE]
fakenet probe http ADDRESS:PORT HOST PATH [BODY]
fakenet probe https ADDRESS:PORT NAME PATH [BODY]   (trusts the roots in $SSL_CERT_FILE)
fakenet probe asks FILE                             (likewise; one JSON object a line)
fakenet probe talks FILE                            (likewise: hand-made bytes)
fakenet probe flood ADDRESS:PORT TEXT SECONDS       (datagrams and connections at full speed)
fakenet probe fetches FILE                          (likewise: a real client of HTTP/1.1 and HTTP/2)
fakenet probe hold ADDRESS:PORT SECONDS             (a stream whose server repeats what it hears)
fakenet probe ws ADDRESS:PORT HOST PATH SECONDS     (likewise in a WebSocket)";

/// Why a probe has nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The arguments are none of [`USAGE`].
    #[error("Usage:\n{USAGE}")]
    Usage,
    /// The target has no address.
    #[error("{0} has no address")]
    Address(String, #[source] io::Error),
    /// It was refused, reset or not routed.
    #[error("{0} can't be reached")]
    Refused(SocketAddr, #[source] io::Error),
    /// Nothing came back.
    #[error("{0} did not answer")]
    Silent(String),
    /// What came back is not what this protocol sends.
    #[error("{0} answered with something else")]
    Odd(String),
    /// The roots can't be read.
    #[error("Can't read the roots in {0}; set SSL_CERT_FILE to a PEM file")]
    Roots(PathBuf),
    /// The name can't be a server's.
    #[error("{0} can't be a server's name")]
    Name(String),
}

/// Runs one probe and returns what came back, as text.
///
/// # Errors
/// [`ProbeError`] when nothing did.
pub async fn run(arguments: &[String]) -> Result<String, ProbeError> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tcp", target] => tcp(target, "").await,
        ["tcp", target, text] => tcp(target, text).await,
        ["udp", target, text] => {
            let answer = datagram(resolve(target)?, text.as_bytes()).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        }
        ["icmp", target] => ping(target, "ping"),
        ["icmp", target, text] => ping(target, text),
        ["dns", server, name] => question(server, name, "A").await,
        ["dns", server, name, kind] => question(server, name, kind).await,
        ["http", target, host, path] => http(target, host, path, "").await,
        ["http", target, host, path, body] => http(target, host, path, body).await,
        ["asks", file] => asks::run(file).await,
        ["talks", file] => talk::run(file).await,
        ["fetches", file] => fetch::run(file).await,
        ["https", target, name, path] => https(target, name, path, "").await,
        ["https", target, name, path, body] => https(target, name, path, body).await,
        ["flood", target, text, seconds] => {
            Ok(flood::run(resolve(target)?, text, seconds_of(seconds)?).to_string())
        }
        ["hold", target, seconds] => {
            let (target, time) = (resolve(target)?, seconds_of(seconds)?);
            held(target, websocket::hold_stream(connect(target).await?, time).await)
        }
        ["ws", target, host, path, seconds] => {
            let (target, time) = (resolve(target)?, seconds_of(seconds)?);
            held(target, websocket::hold(connect(target).await?, host, path, time).await)
        }
        _ => Err(ProbeError::Usage),
    }
}

fn seconds_of(text: &str) -> Result<Duration, ProbeError> {
    text.parse().map(Duration::from_secs).map_err(|_| ProbeError::Usage)
}

fn held(target: SocketAddr, outcome: io::Result<u64>) -> Result<String, ProbeError> {
    outcome.map(|count| format!("{count} came back")).map_err(|error| ProbeError::Refused(target, error))
}

pub(super) fn resolve(target: &str) -> Result<SocketAddr, ProbeError> {
    let none = || io::Error::from(io::ErrorKind::NotFound);
    let found = target.to_socket_addrs().and_then(|mut all| all.next().ok_or_else(none));
    found.map_err(|error| ProbeError::Address(target.to_owned(), error))
}

pub(super) async fn connect(target: SocketAddr) -> Result<TcpStream, ProbeError> {
    match timeout(PATIENCE, TcpStream::connect(target)).await {
        Ok(stream) => stream.map_err(|error| ProbeError::Refused(target, error)),
        Err(_) => Err(ProbeError::Silent(target.to_string())),
    }
}

/// Sends a text and returns the first bytes; without a text the server has to speak first.
async fn tcp(target: &str, text: &str) -> Result<String, ProbeError> {
    let target = resolve(target)?;
    let mut stream = connect(target).await?;
    let talk = async {
        stream.write_all(text.as_bytes()).await?;
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).await?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    heard(target, timeout(PATIENCE, talk).await)
}

/// A time-out and an empty answer are both silence.
fn heard<T>(
    target: SocketAddr,
    outcome: Result<io::Result<T>, tokio::time::error::Elapsed>,
) -> Result<T, ProbeError>
where
    T: AsRef<[u8]>,
{
    let answer = outcome.map_err(|_| ProbeError::Silent(target.to_string()))?;
    let answer = answer.map_err(|error| ProbeError::Refused(target, error))?;
    if answer.as_ref().is_empty() { Err(ProbeError::Silent(target.to_string())) } else { Ok(answer) }
}

async fn datagram(target: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, ProbeError> {
    let talk = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(target).await?;
        socket.send(bytes).await?;
        let mut answer = vec![0; 65_536];
        let length = socket.recv(&mut answer).await?;
        answer.truncate(length);
        Ok::<_, io::Error>(answer)
    };
    heard(target, timeout(PATIENCE, talk).await)
}

async fn question(server: &str, name: &str, kind: &str) -> Result<String, ProbeError> {
    let server = if server.contains(':') { server.to_owned() } else { format!("{server}:53") };
    let message = dns::query(name, kind).ok_or_else(|| ProbeError::Name(name.to_owned()))?;
    let answer = datagram(resolve(&server)?, &message).await?;
    match dns::read_answer(&answer).ok_or(ProbeError::Odd(server))? {
        (0, addresses) if addresses.is_empty() => Ok("NODATA".to_owned()),
        (0, addresses) => Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
        (3, _) => Ok("NXDOMAIN".to_owned()),
        (code, _) => Ok(format!("RCODE{code}")),
    }
}

/// Any status is an answer: the first line of the output is the server's status line.
async fn http(target: &str, host: &str, path: &str, body: &str) -> Result<String, ProbeError> {
    let target = resolve(target)?;
    heard(target, timeout(PATIENCE, exchange(connect(target).await?, host, path, body)).await)
}

async fn https(target: &str, name: &str, path: &str, body: &str) -> Result<String, ProbeError> {
    let target = resolve(target)?;
    let config = client_config()?;
    let server = ServerName::try_from(name.to_owned()).map_err(|_| ProbeError::Name(name.to_owned()))?;
    let stream = connect(target).await?;
    let talk = async {
        let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await?;
        exchange(stream, name, path, body).await
    };
    heard(target, timeout(PATIENCE, talk).await)
}

/// A client that trusts the roots in `$SSL_CERT_FILE`.
///
/// # Errors
/// [`ProbeError::Roots`].
pub fn client_config() -> Result<rustls::ClientConfig, ProbeError> {
    let file = PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap_or_default());
    let pem = fs::read(&file).map_err(|_| ProbeError::Roots(file.clone()))?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| ProbeError::Roots(file))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn exchange<S>(mut stream: S, host: &str, path: &str, body: &str) -> io::Result<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let method = if body.is_empty() { "GET" } else { "POST" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Sends one echo request. The socket is the unprivileged kind where the kernel grants it, else a raw one.
fn ping(target: &str, text: &str) -> Result<String, ProbeError> {
    let socket_address = resolve(&format!("{target}:0"))?;
    let IpAddr::V4(address) = socket_address.ip() else {
        return Err(ProbeError::Odd(target.to_owned()));
    };
    let refused = |errno: nix::Error| ProbeError::Refused(socket_address, errno.into());
    let open = |kind| socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp);
    let (fd, header) = match open(SockType::Datagram) {
        Ok(fd) => (fd, 0),
        Err(_) => (open(SockType::Raw).map_err(refused)?, 20),
    };
    let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&fd, sockopt::ReceiveTimeout, &patience).map_err(refused)?;
    let destination = SockaddrIn::from(std::net::SocketAddrV4::new(address, 0));
    sendto(fd.as_raw_fd(), &echo_request(text.as_bytes()), &destination, MsgFlags::empty())
        .map_err(refused)?;
    let mut answer = [0; 2048];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(|errno| match errno {
        nix::Error::EAGAIN => ProbeError::Silent(target.to_owned()),
        other => refused(other),
    })?;
    let message = answer.get(header..length).unwrap_or_default();
    match message {
        [0, 0, _, _, _, _, _, _, payload @ ..] => Ok(String::from_utf8_lossy(payload).into_owned()),
        _ => Err(ProbeError::Odd(target.to_owned())),
    }
}

/// ICMP type 8 with the checksum of RFC 1071.
pub(crate) fn echo_request(payload: &[u8]) -> Vec<u8> {
    let mut message = vec![8, 0, 0, 0, 0x43, 0x4c, 0, 1];
    message.extend(payload);
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_would_be_dropped_by_the_kernel() {
        for payload in [&b""[..], b"odd", b"even", &[0xff; 1400]] {
            let message = echo_request(payload);
            let words =
                message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
            let mut sum = words.sum::<u32>();
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            assert_eq!(sum, 0xffff);
        }
    }
}
