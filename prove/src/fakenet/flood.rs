//! A sender at full speed for a bounded time: datagrams by old and new sockets, and now and then a connection. What the
//! kernel says to any of it does not matter; whether one arrives is for the other side to tell.

use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Datagrams of one socket.
const OF_ONE: usize = 64;
/// Sockets between two connections.
const BETWEEN: usize = 16;
/// How long a connection is waited for.
const TRY: Duration = Duration::from_millis(1);

/// Sends until the time is over; how many datagrams the kernel took.
pub fn run(target: SocketAddr, text: &str, time: Duration) -> u64 {
    let end = Instant::now() + time;
    let mut taken = 0;
    for socket in 0usize.. {
        if Instant::now() >= end {
            break;
        }
        if socket % BETWEEN == 0 {
            let _ = TcpStream::connect_timeout(&target, TRY);
        }
        let Ok(udp) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { continue };
        // Every other one is connected, and keeps its route over a change.
        let connected = socket % 2 == 0 && udp.connect(target).is_ok();
        for _ in 0..OF_ONE {
            let sent =
                if connected { udp.send(text.as_bytes()) } else { udp.send_to(text.as_bytes(), target) };
            taken += u64::from(sent.is_ok());
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_arrives_where_nothing_stands_in_the_way_and_it_ends() {
        let sink = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let taken = run(sink.local_addr().unwrap(), "canary", Duration::from_millis(20));
        let mut buffer = [0; 16];
        assert!(taken > 0);
        assert_eq!(sink.recv(&mut buffer).unwrap(), 6);
    }
}
