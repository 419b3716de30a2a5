//! Frames of HTTP/2 (RFC 9113), with headers that are written out (RFC 7541, 6.2.2) however odd they are; and what a
//! server answers, as far as its status.

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types.
pub const DATA: u8 = 0;
/// See [`DATA`].
pub const HEADERS: u8 = 1;
/// See [`DATA`].
pub const RST_STREAM: u8 = 3;
/// See [`DATA`].
const SETTINGS: u8 = 4;
/// See [`DATA`].
pub const GOAWAY: u8 = 7;
/// See [`DATA`].
pub const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const SETTINGS_HEADER_TABLE_SIZE: u16 = 1;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [length.get(1..).unwrap_or_default(), &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first. The server is told to keep no table of headers, so that each answer can be read alone.
pub fn start() -> Vec<u8> {
    let setting = [&SETTINGS_HEADER_TABLE_SIZE.to_be_bytes()[..], &0u32.to_be_bytes()].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &setting)].concat()
}

/// A request's headers, in one frame.
pub fn headers(stream: u32, fields: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let flags = END_HEADERS | if ends { END_STREAM } else { 0 };
    frame(HEADERS, flags, stream, &block(fields))
}

/// Likewise, in two frames.
pub fn headers_in_two(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = block(fields);
    let (first, second) = block.split_at(block.len() / 2);
    [frame(HEADERS, END_STREAM, stream, first), frame(CONTINUATION, END_HEADERS, stream, second)].concat()
}

/// A piece of a body.
pub fn data(stream: u32, bytes: &[u8], ends: bool) -> Vec<u8> {
    frame(DATA, if ends { END_STREAM } else { 0 }, stream, bytes)
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let length = text.len();
        // An integer with a prefix of seven bits (RFC 7541, 5.1); nothing here needs a third byte.
        let mut bytes = match u8::try_from(length) {
            Ok(length) if length < 127 => vec![length],
            _ => {
                let rest = length - 127;
                vec![
                    127,
                    u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80,
                    u8::try_from(rest >> 7).unwrap_or(127),
                ]
            }
        };
        bytes.extend(text.bytes());
        bytes
    };
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The frames in an answer; one that is cut off is left out.
pub fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        frames.push(Frame { kind: *kind, flags: *flags, stream, payload: payload.to_vec() });
        bytes = rest;
    }
    frames
}

/// What became of a stream: its status, or 0 where it was reset or the connection was given up; nothing where there was
/// no answer.
pub fn status(frames: &[Frame], stream: u32) -> Option<u16> {
    frames.iter().find_map(|frame| match frame.kind {
        HEADERS if frame.stream == stream => Some(status_of(&frame.payload).unwrap_or(1)),
        RST_STREAM if frame.stream == stream => Some(0),
        GOAWAY => Some(0),
        _ => None,
    })
}

/// `:status`, which comes first: one of the static table, or a number in Huffman's code, whose digits have five or six
/// bits.
fn status_of(block: &[u8]) -> Option<u16> {
    const FIRST: u8 = 8;
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    match block.get(at..)? {
        [byte, ..] if byte & 0x80 != 0 => KNOWN.get(usize::from((byte & 0x7f).checked_sub(FIRST)?)).copied(),
        [byte, length, text @ ..] if byte & 0x0f == FIRST => {
            let text = text.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                return std::str::from_utf8(text).ok()?.parse().ok();
            }
            let bits: Vec<u16> = text
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
                .collect();
            let number = |bits: &[u16]| bits.iter().fold(0, |sum, bit| sum * 2 + bit);
            let (mut at, mut status) = (0, 0);
            for _ in 0..3 {
                let short = number(bits.get(at..at + 5)?);
                let (digit, width) = if short < 3 {
                    (short, 5)
                } else {
                    (number(bits.get(at..at + 6)?).checked_sub(0x16)?, 6)
                };
                status = status * 10 + digit;
                at += width;
            }
            Some(status)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_from_the_table_and_from_huffmans_code() {
        // 302 and 307 are of RFC 7541, C.6.
        for (block, status) in [
            (&[0x88][..], Some(200)),
            (&[0x8c], Some(400)),
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x20, 0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x08, 3, b'4', b'2', b'1'], Some(421)),
            (&[0x40], None),
            (&[], None),
        ] {
            assert_eq!(status_of(block), status, "{block:x?}");
        }
    }

    #[test]
    fn frames_come_back_as_they_went() {
        let long = "x".repeat(300);
        let bytes = [headers(1, &[("a", &long)], true), data(3, b"body", false)].concat();
        let read = frames(&bytes);
        assert_eq!((read[0].kind, read[0].flags, read[0].stream), (HEADERS, 5, 1));
        assert_eq!(read[0].payload[..6], [0, 1, b'a', 127, 0xad, 0x01]);
        assert_eq!(read[1], Frame { kind: DATA, flags: 0, stream: 3, payload: b"body".to_vec() });
        assert_eq!(frames(&bytes[..bytes.len() - 1]).len(), 1);
    }
}
