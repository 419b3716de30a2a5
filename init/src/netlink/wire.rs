//! Netlink's framing: messages and attributes, written into one growing buffer and read out of foreign bytes.
//! Reading never panics and never trusts a length; what doesn't fit ends the iteration.

/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// `NLA_TYPE_MASK`.
const TYPE_MASK: u16 = 0x3fff;

fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

/// Builds messages. A length that can't be (an attribute of 64 kB) is written as the largest one, which the
/// kernel refuses.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.buffer.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// One message; `body` writes what follows the header.
    pub fn message(&mut self, kind: u16, flags: u16, sequence: u32, body: impl FnOnce(&mut Self)) {
        let start = self.buffer.len();
        self.raw(&[0; 4]);
        self.raw(&kind.to_ne_bytes());
        self.raw(&flags.to_ne_bytes());
        self.raw(&sequence.to_ne_bytes());
        self.raw(&[0; 4]);
        body(self);
        let length = u32::try_from(self.buffer.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// Sets more flags in the message that begins at `start`.
    pub fn add_flags(&mut self, start: usize, flags: u16) {
        let old = self.buffer.get(start + 6..start + 8).and_then(|bytes| bytes.try_into().ok());
        let flags = old.map_or(0, u16::from_ne_bytes) | flags;
        self.patch(start + 6, &flags.to_ne_bytes());
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn pad(&mut self) {
        self.buffer.resize(align(self.buffer.len()), 0);
    }

    fn attribute_of(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.buffer.len();
        self.raw(&[0; 2]);
        self.raw(&kind.to_ne_bytes());
        body(self);
        let length = u16::try_from(self.buffer.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// One attribute.
    pub fn attribute(&mut self, kind: u16, bytes: &[u8]) {
        self.attribute_of(kind, |writer| writer.raw(bytes));
    }

    /// An attribute that holds others.
    pub fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.attribute_of(kind | NESTED, body);
    }

    /// Text with its final NUL.
    pub fn text(&mut self, kind: u16, text: &str) {
        self.attribute_of(kind, |writer| {
            writer.raw(text.as_bytes());
            writer.raw(&[0]);
        });
    }

    /// A number in network order.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_be_bytes());
    }

    /// A number in network order.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attribute(kind, &value.to_be_bytes());
    }
}

/// One message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// `nlmsg_pid`: in a notification, whose request caused it.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages in a buffer. One that claims more than is there ends it.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(ne32(rest, 0)?).ok()?;
        let message = Message {
            kind: ne16(rest, 4)?,
            flags: ne16(rest, 6)?,
            sequence: ne32(rest, 8)?,
            port: ne32(rest, 12)?,
            payload: rest.get(HEADER..length)?,
        };
        rest = rest.get(align(length)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in a message's payload, each as its type (without flags) and its bytes.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(ne16(rest, 0)?);
        let kind = ne16(rest, 2)? & TYPE_MASK;
        let value = rest.get(ATTRIBUTE_HEADER..length)?;
        rest = rest.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a type.
pub fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// An attribute inside nested ones.
pub fn nested<'a>(bytes: &'a [u8], path: &[u16]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| attribute(bytes, *kind))
}

/// Text up to its NUL.
pub fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.split(|byte| *byte == 0).next()?).ok()
}

/// Bytes of a fixed length at an offset.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A number in the machine's order.
pub fn ne16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

/// A number in the machine's order.
pub fn ne32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

/// A number in network order.
pub fn be16(bytes: &[u8]) -> Option<u16> {
    array(bytes, 0).map(u16::from_be_bytes)
}

/// A number in network order.
pub fn be32(bytes: &[u8]) -> Option<u32> {
    array(bytes, 0).map(u32::from_be_bytes)
}

/// A number in network order.
pub fn be64(bytes: &[u8]) -> Option<u64> {
    array(bytes, 0).map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::new();
        writer.message(7, 3, 9, |writer| {
            writer.raw(&[1, 2, 3, 4]);
            writer.text(1, "abc");
            writer.nest(2, |writer| writer.be32(5, 0xdead_beef));
        });
        writer.message(8, 0, 10, |writer| writer.attribute(1, &[9]));
        let all: Vec<_> = messages(writer.bytes()).collect();
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].kind, all[0].flags, all[0].sequence), (7, 3, 9));
        let body = &all[0].payload[4..];
        assert_eq!(attribute(body, 1).and_then(text), Some("abc"));
        assert_eq!(nested(body, &[2, 5]).and_then(be32), Some(0xdead_beef));
        assert_eq!(attribute(all[1].payload, 1), Some(&[9u8][..]));
    }

    #[test]
    fn no_length_leads_out_of_the_buffer_or_loops() {
        let mut writer = Writer::new();
        writer.message(7, 0, 1, |writer| writer.attribute(1, b"0123456789"));
        let good = writer.bytes().to_vec();
        for cut in 0..good.len() {
            assert_eq!(messages(&good[..cut]).count(), 0, "{cut}");
        }
        for at in 0..good.len() {
            for value in [0, 1, 3, 4, 15, 16, 17, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                for message in messages(&bad).take(100) {
                    assert!(attributes(message.payload).take(100).count() < 100);
                }
            }
        }
    }
}
