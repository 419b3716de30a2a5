//! The plain ways of sending: a datagram, a stream.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::Failed;

/// How long a connection may take.
pub const CONNECT: Duration = Duration::from_millis(1500);
/// How long an answer is waited for, so that what was sent is on its way before the socket goes.
pub const ANSWER: Duration = Duration::from_millis(600);

/// Sends a datagram.
pub fn udp(target: impl Into<SocketAddr>, bytes: &[u8]) -> Result<String, Failed> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.send_to(bytes, target.into())?;
    socket.set_read_timeout(Some(ANSWER))?;
    let mut answer = [0; 2048];
    Ok(match socket.recv(&mut answer) {
        Ok(length) => format!("{length} bytes came back"),
        Err(_) => "sent, nothing came back".to_owned(),
    })
}

/// Sends a datagram; what comes back first.
pub fn ask_udp(target: impl Into<SocketAddr>, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(target.into())?;
    socket.set_read_timeout(Some(CONNECT))?;
    socket.send(bytes)?;
    let mut answer = vec![0; 2048];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// Opens a stream.
pub fn connect(target: impl Into<SocketAddr>) -> Result<TcpStream, Failed> {
    let stream = TcpStream::connect_timeout(&target.into(), CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends bytes over a stream and reads what comes first.
pub fn tcp(target: impl Into<SocketAddr>, bytes: &[u8]) -> Result<String, Failed> {
    talk(connect(target)?, bytes)
}

/// Says something on a stream and reads what comes first.
pub fn talk(mut stream: impl Read + Write, bytes: &[u8]) -> Result<String, Failed> {
    stream.write_all(bytes)?;
    stream.flush()?;
    hear(&mut stream)
}

/// Reads what comes first.
pub fn hear(stream: &mut impl Read) -> Result<String, Failed> {
    let mut answer = [0; 512];
    match stream.read(&mut answer) {
        Ok(0) => Err(Failed::Refused("the connection was ended".to_owned())),
        Ok(length) => {
            let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned();
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        Err(error) => Err(error.into()),
    }
}

/// The address that the system has for a name.
pub fn resolve(name: &str, port: u16) -> Result<SocketAddr, Failed> {
    let none = || Failed::Refused(format!("{name} has no address"));
    (name, port).to_socket_addrs().map_err(|_| none())?.find(SocketAddr::is_ipv4).ok_or_else(none)
}
