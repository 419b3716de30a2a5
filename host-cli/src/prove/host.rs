//! A service of the host's on the twin's network: what an agent would find at the gateway's address. It only writes down
//! what comes, and goes with the run.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clawker_prove::record::{Kind, Record, Recorder};

use crate::exit::Failure;

/// How long a client may take to say something.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of it is taken.
const LIMIT: usize = 2048;

/// Listens at the gateway's address, TCP and UDP at one port, from threads that live as long as the process. `None` where
/// that address is not this machine's: Docker's may be another.
///
/// # Errors
/// When the file of the records can't be made.
pub fn listen(gateway: Ipv4Addr, file: &Path) -> Result<Option<SocketAddrV4>, Failure> {
    let recorder = Arc::new(Recorder::new(Some(file))?);
    let Ok(tcp) = TcpListener::bind((gateway, 0)) else { return Ok(None) };
    let at = SocketAddrV4::new(gateway, tcp.local_addr()?.port());
    let Ok(udp) = UdpSocket::bind(at) else { return Ok(None) };
    let of_udp = Arc::clone(&recorder);
    thread::spawn(move || {
        let mut bytes = [0; LIMIT];
        while let Ok((length, from)) = udp.recv_from(&mut bytes) {
            let said = bytes.get(..length).unwrap_or_default();
            of_udp.write(&Record::new(Kind::Udp).between(from, at).payload(said));
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let from = stream.peer_addr().map(|from| from.to_string()).unwrap_or_default();
            let mut bytes = [0; LIMIT];
            let read = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.read(&mut bytes));
            let said = bytes.get(..read.unwrap_or_default()).unwrap_or_default();
            recorder.write(&Record::new(Kind::Tcp).between(from, at).payload(said));
        }
    });
    Ok(Some(at))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use clawker_prove::records;

    use super::*;

    #[test]
    fn what_is_said_to_it_is_written_down() {
        let file = std::env::temp_dir().join(format!("clawker-prove-host-{}", std::process::id()));
        let at = listen(Ipv4Addr::LOCALHOST, &file).unwrap().unwrap();
        TcpStream::connect(at).unwrap().write_all(b"canary-tcp").unwrap();
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().send_to(b"canary-udp", at).unwrap();
        let both = || ["canary-tcp", "canary-udp"].map(|one| records::with(&records::read(&file), one).len());
        let all = (0..200).any(|_| {
            both() == [1, 1] || {
                thread::sleep(Duration::from_millis(20));
                false
            }
        });
        std::fs::remove_file(&file).unwrap();
        assert!(all);
    }

    #[test]
    fn an_address_of_another_machine_s_is_none() {
        let file = std::env::temp_dir().join(format!("clawker-prove-none-{}", std::process::id()));
        let none = listen(Ipv4Addr::new(203, 0, 113, 1), &file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(none, None);
    }
}
