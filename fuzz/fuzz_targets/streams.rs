//! What comes piece by piece: Docker's frames and answers, CoreDNS's answers, and an event file that init cuts down under
//! its reader. However it is cut, it says the same.

#![no_main]

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;

use clawker::demux::{Demux, Stream};
use clawker::docker::raw::{Head, json_in};
use clawker::{dns, tail::Tail};
use libfuzzer_sys::fuzz_target;

/// What is done to a file at most: each step is a few calls of the kernel.
const STEPS: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let (size, bytes) =
        bytes.split_first().map_or((1, bytes), |(size, rest)| (usize::from(*size).max(1), rest));
    assert_eq!(frames(bytes, size), frames(bytes, bytes.len().max(1)));
    let _ = json_in(bytes);
    let _ = dns::ask::parse(bytes, 7);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Head::parse(text);
    }
    if bytes.len() <= STEPS {
        follow(bytes);
    }
});

fn frames(bytes: &[u8], size: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut demux = Demux::default();
    for piece in bytes.chunks(size) {
        let fed = demux.feed(piece, |stream, run| {
            match stream {
                Stream::Out => out.extend_from_slice(run),
                Stream::Err => err.extend_from_slice(run),
            }
            Ok::<(), ()>(())
        });
        assert_eq!(fed, Ok(()));
    }
    (out, err)
}

/// Each byte does something to the file: a digit is written, `c` cuts it down to nothing, anything else ends a line.
fn follow(bytes: &[u8]) {
    // Without a name from here on, so that nothing is left whatever ends the fuzzer; it is still read by its descriptor.
    let path = std::env::temp_dir().join(format!("clawker-fuzz-tail-{}", std::process::id()));
    let mut file = OpenOptions::new().append(true).create(true).open(&path).expect("a file can be made");
    std::fs::remove_file(path).expect("its name can be taken away");
    let mut tail = Tail::new(format!("/proc/self/fd/{}", file.as_raw_fd()).into());
    for byte in bytes {
        match byte {
            b'0'..=b'9' => file.write_all(&[*byte]),
            b'c' => file.set_len(0),
            _ => file.write_all(b"\n"),
        }
        .expect("it can be written");
        for line in tail.lines().expect("it can be read") {
            assert!(line.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
