//! What listens in the twin, and in the plain container beside it: two ports, of which one is published. And who dials.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use super::{Failed, send};

/// The port that the host publishes.
pub const PUBLISHED: u16 = 7778;
/// The port that nobody publishes.
pub const HIDDEN: u16 = 7777;
/// What a server says.
const HELLO: &[u8] = b"clawker prove";

/// Serves both ports from threads that live as long as the process.
///
/// # Errors
/// When a port is taken.
pub fn begin() -> io::Result<()> {
    for port in [PUBLISHED, HIDDEN] {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = (&stream).write_all(HELLO);
            }
        });
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        thread::spawn(move || {
            let mut question = [0; 64];
            while let Ok((_, from)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(HELLO, from);
            }
        });
    }
    Ok(())
}

/// Whether somebody answers a connection.
pub fn answers(to: Ipv4Addr, port: u16) -> Result<String, Failed> {
    let mut said = vec![0; HELLO.len()];
    send::connect((to, port))?.read_exact(&mut said)?;
    greeted(&said)
}

/// Whether somebody answers a datagram.
pub fn answers_udp(to: Ipv4Addr, port: u16) -> Result<String, Failed> {
    greeted(&send::ask_udp((to, port), b"?")?)
}

fn greeted(said: &[u8]) -> Result<String, Failed> {
    match said == HELLO {
        true => Ok("it answered".to_owned()),
        false => Err(Failed::Refused("another answer".to_owned())),
    }
}
