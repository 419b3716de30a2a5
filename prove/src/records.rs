//! Reads the fake internet's records and searches them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::record::{Kind, Record};

/// All records of a file, in order; a line that is only half written yet is left out.
pub fn read(path: &Path) -> Vec<Record> {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// All records of some files. Their connections are told apart.
pub fn read_all<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<Record> {
    let mut all = Vec::new();
    for (number, path) in (0u64..).zip(paths) {
        all.extend(read(path).into_iter().map(|mut record| {
            if record.connection != 0 {
                record.connection |= number << 48;
            }
            record
        }));
    }
    all
}

/// The records that hold a text, letter case apart. Of a text that is split over the chunks of one connection, the
/// connection's last chunk.
pub fn with(records: &[Record], text: &str) -> Vec<Record> {
    let wanted = text.to_ascii_lowercase().into_bytes();
    let mut found: Vec<Record> = records.iter().filter(|record| holds(record, &wanted)).cloned().collect();
    let mut streams: BTreeMap<(u64, &str), (Vec<u8>, &Record)> = BTreeMap::new();
    for record in records.iter().filter(|record| record.kind == Kind::Data) {
        let stream = streams.entry((record.connection, &record.what)).or_insert((Vec::new(), record));
        stream.0.extend(record.bytes());
        stream.1 = record;
    }
    for ((connection, _), (bytes, last)) in streams {
        let already = found.iter().any(|record| record.connection == connection);
        if !already && contains(&bytes, &wanted) {
            found.push(last.clone());
        }
    }
    found
}

fn holds(record: &Record, wanted: &[u8]) -> bool {
    let headers = record.headers.iter().flat_map(|(name, value)| [name, value]);
    let texts = [&record.name, &record.what, &record.sni, &record.source, &record.destination];
    texts.into_iter().chain(headers).any(|text| contains(text.as_bytes(), wanted))
        || contains(&record.bytes(), wanted)
}

/// `wanted` is in lower case.
fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty() && bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(connection: u64, bytes: &[u8]) -> Record {
        let mut record = Record::new(Kind::Data).what("tcp").payload(bytes);
        record.connection = connection;
        record
    }

    #[test]
    fn a_text_is_found_wherever_it_hides() {
        let mut header = Record::new(Kind::Http);
        header.headers.push(("x".into(), "my CANARY".into()));
        let records = [
            Record::new(Kind::Dns).name("CaNaRy.example"),
            header,
            Record::new(Kind::Udp).payload(b"\xff\0canary\xfe"),
            chunk(1, b"can"),
            chunk(2, b"other"),
            chunk(1, b"ary"),
        ];
        assert_eq!(with(&records, "canary").len(), 4);
    }

    #[test]
    fn two_connections_are_never_read_as_one() {
        assert!(with(&[chunk(1, b"can"), chunk(2, b"ary")], "canary").is_empty());
        assert!(with(&[chunk(1, b"canary")], "").is_empty());
    }
}
