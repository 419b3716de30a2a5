//! The upstream side on an address of the host's: a resolver to which every name is that address, and servers that say on
//! which port they were reached and then repeat what they hear.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

/// Serves until the process ends; false where port 53 can't be had.
pub fn serve(address: Ipv4Addr) -> bool {
    let Ok(resolver) = UdpSocket::bind((address, 53)) else { return false };
    thread::spawn(move || resolve(&resolver, address));
    for port in [22, 80, 443, 5432, 8443] {
        let listener = TcpListener::bind((address, port)).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || repeat(stream, port));
            }
        });
    }
    true
}

fn resolve(socket: &UdpSocket, address: Ipv4Addr) {
    let mut buffer = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let Some(name_end) = buffer[12..length].iter().position(|byte| *byte == 0) else { continue };
        let question_end = 12 + name_end + 5;
        let is_a = buffer[question_end - 4..question_end - 2] == [0, 1];
        let mut answer = buffer[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        answer.extend(&buffer[12..question_end]);
        if is_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        let _ = socket.send_to(&answer, from);
    }
}

fn repeat(mut stream: TcpStream, port: u16) {
    let mut buffer = [0; 4096];
    let mut greeted = false;
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let answer = match port {
            // Envoy keeps the connection for the next request, which wants an answer of its own.
            80 => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec(),
            _ if greeted => buffer.get(..length).unwrap_or_default().to_vec(),
            _ => format!("upstream {port}").into_bytes(),
        };
        greeted = true;
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}
