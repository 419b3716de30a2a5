//! Asks CoreDNS for a zone's serial number: what it answers with is what it has taken.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long one question waits for its answer.
const ONE_ANSWER: Duration = Duration::from_millis(250);

/// Why no serial came back.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer in time.
    #[error("CoreDNS at {0} does not answer; see docker logs of its container")]
    Silent(SocketAddr),
    /// It answers with an older zone.
    #[error("CoreDNS at {0} keeps an older zone; see docker logs of its container")]
    Old(SocketAddr),
    /// The socket.
    #[error("Can't ask CoreDNS at {0}")]
    Io(SocketAddr, #[source] io::Error),
}

/// Waits until the block at this port serves this serial.
///
/// # Errors
/// [`AskError`] when it doesn't in time.
pub fn wait_for(server: Ipv4Addr, port: u16, serial: u32, time: Duration) -> Result<(), AskError> {
    let place = SocketAddr::from((server, port));
    let end = Instant::now() + time;
    let mut error = AskError::Silent(place);
    loop {
        match ask(place).map_err(|source| AskError::Io(place, source))? {
            Some(Answer { serial: Some(found), .. }) if found == serial => return Ok(()),
            Some(_) => error = AskError::Old(place),
            None => {}
        }
        if Instant::now() >= end {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether CoreDNS answers at all.
pub fn answers(server: Ipv4Addr, port: u16) -> bool {
    (0..2).any(|_| matches!(ask(SocketAddr::from((server, port))), Ok(Some(_))))
}

/// An answer, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The serial of its SOA record, where it has one.
    pub serial: Option<u32>,
}

/// One question; `None` when no answer came.
fn ask(place: SocketAddr) -> io::Result<Option<Answer>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(ONE_ANSWER))?;
    socket.connect(place)?;
    let id = u16::try_from(std::process::id() & 0xffff).unwrap_or(1);
    let mut buffer = [0; 1232];
    let answer = socket.send(&question(id)).and_then(|_| socket.recv(&mut buffer));
    match answer {
        Ok(length) => Ok(buffer.get(..length).and_then(|message| parse(message, id))),
        // A port without a listener, or a container that is not up yet.
        Err(error) if is_absent(&error) => {
            std::thread::sleep(Duration::from_millis(10));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionRefused
            | Kind::WouldBlock
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
    )
}

/// `. IN SOA` (RFC 1035, 4.1), without recursion.
fn question(id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    message.extend([0, 0, 6, 0, 1]);
    message
}

/// Reads an answer to the question with this id; `None` where it is none.
pub fn parse(message: &[u8], id: u16) -> Option<Answer> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    if word(0)? != id || word(2)? & 0x8000 == 0 {
        return None;
    }
    Some(Answer { serial: serial(message) })
}

/// The serial of the first answer.
fn serial(message: &[u8]) -> Option<u32> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    if word(6)? == 0 {
        return None;
    }
    let at = skip_name(message, 12)? + 4;
    let at = skip_name(message, at)?;
    if word(at)? != 6 {
        return None;
    }
    let at = skip_name(message, at + 10)?;
    let at = skip_name(message, at)?;
    let bytes = message.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// The place behind a name.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_is_read_and_nonsense_is_not() {
        let mut message = question(7);
        message[2] = 0x84;
        message[7] = 1;
        message.extend([0, 0, 6, 0, 1, 0, 0, 0, 5, 0, 38]);
        message.extend(b"\x07clawker\x00\xc0\x1c\x00\x00\x01\x02rest");
        assert_eq!(parse(&message, 7), Some(Answer { serial: Some(258) }));
        assert_eq!(parse(&message, 8), None);
        for length in 0..message.len() {
            assert_ne!(parse(&message[..length.min(40)], 7), Some(Answer { serial: Some(258) }));
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_silent() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = wait_for(Ipv4Addr::LOCALHOST, free, 1, Duration::from_millis(30)).unwrap_err();
        assert!(matches!(error, AskError::Silent(_)), "{error}");
    }
}
