//! Docker's framing of stdout and stderr on one connection: 8 bytes of head (stream, length), then the bytes.
//! Pure, and fed in whatever pieces the connection gives.

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output (and an echoed standard input, which Docker never sends).
    Out,
    /// Standard error.
    Err,
}

/// Takes frames apart.
#[derive(Debug, Default)]
pub struct Demux {
    head: [u8; 8],
    filled: usize,
    left: usize,
}

impl Demux {
    /// Feeds a piece; calls `sink` for every run of bytes in it.
    ///
    /// # Errors
    /// The sink's own.
    pub fn feed<E>(
        &mut self,
        mut piece: &[u8],
        mut sink: impl FnMut(Stream, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !piece.is_empty() {
            if self.left > 0 {
                let (now, later) = piece.split_at(self.left.min(piece.len()));
                self.left -= now.len();
                piece = later;
                sink(self.stream(), now)?;
                continue;
            }
            let wanted = self.head.len() - self.filled;
            let (now, later) = piece.split_at(wanted.min(piece.len()));
            if let Some(place) = self.head.get_mut(self.filled..self.filled + now.len()) {
                place.copy_from_slice(now);
            }
            self.filled += now.len();
            piece = later;
            if self.filled == self.head.len() {
                let [_, _, _, _, a, b, c, d] = self.head;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.filled = 0;
            }
        }
        Ok(())
    }

    fn stream(&self) -> Stream {
        if self.head[0] == 2 { Stream::Err } else { Stream::Out }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut demux = Demux::default();
        for piece in bytes.chunks(size) {
            demux
                .feed(piece, |stream, bytes| {
                    match stream {
                        Stream::Out => out.extend_from_slice(bytes),
                        Stream::Err => err.extend_from_slice(bytes),
                    }
                    Ok::<(), ()>(())
                })
                .unwrap();
        }
        (out, err)
    }

    #[test]
    fn streams_come_apart_however_they_are_cut() {
        let mut bytes = vec![1, 0, 0, 0, 0, 0, 0, 3];
        bytes.extend_from_slice(b"out");
        bytes.extend_from_slice(&[2, 0, 0, 0, 0, 0, 0, 4]);
        bytes.extend_from_slice(b"\x01err");
        bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 1, b'!']);
        for size in 1..bytes.len() {
            assert_eq!(split(&bytes, size), (b"out!".to_vec(), b"\x01err".to_vec()), "{size}");
        }
    }
}
