//! What Docker sends piece by piece, read by a thread.

use std::io::{self, Read};

use tokio::sync::mpsc::Receiver;

/// The pieces, as a reader.
#[derive(Debug)]
pub struct Incoming {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Incoming {
    /// From this channel, to its end.
    pub fn new(receiver: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self { receiver, piece: io::Cursor::default() }
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.piece.read(buffer)? {
                0 if !buffer.is_empty() => match self.receiver.blocking_recv() {
                    Some(piece) => self.piece = io::Cursor::new(piece?),
                    None => return Ok(0),
                },
                count => return Ok(count),
            }
        }
    }
}
