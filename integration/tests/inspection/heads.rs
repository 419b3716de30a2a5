//! Reads what arrived at servers of HTTP/1.1 as the strictest of them would, for servers that read more into it are many.

use std::collections::BTreeMap;

use clawker_integration::fakenet::record::{Kind, Record};

/// Whatever no strict server would take, or would take for fewer requests than the lenient one did.
pub fn odd(records: &[Record]) -> Vec<String> {
    let mut streams: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut requests: BTreeMap<u64, usize> = BTreeMap::new();
    for record in records {
        match record.kind {
            Kind::Data => streams.entry(record.connection).or_default().extend(record.bytes()),
            Kind::Http => *requests.entry(record.connection).or_default() += 1,
            _ => {}
        }
    }
    // HTTP/2, and TLS that is passed on and whose hello alone was written down.
    streams.retain(|_, bytes| !bytes.starts_with(b"PRI ") && !bytes.starts_with(&[0x16]));
    assert!(!streams.is_empty(), "nobody spoke HTTP/1.1");
    let mut wrong = Vec::new();
    for (connection, bytes) in streams {
        match count(&bytes) {
            Err(why) => wrong.push(format!("{why}: {}", bytes.escape_ascii())),
            // Fewer are answered where the connection ends first.
            Ok(count) if requests.get(&connection).copied().unwrap_or(0) > count => {
                wrong.push(format!("{count} requests were taken for more: {}", bytes.escape_ascii()));
            }
            Ok(_) => {}
        }
    }
    wrong
}

/// How many requests there are in a connection's bytes, up to where it becomes something else or ends within a body.
fn count(mut bytes: &[u8]) -> Result<usize, String> {
    let mut count = 0;
    while !bytes.is_empty() {
        let end = find(bytes, b"\r\n\r\n").ok_or("no end of a head")?;
        let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
        bytes = &bytes[end + 4..];
        count += 1;
        let mut lines = head.split("\r\n");
        let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
        let [_, path, "HTTP/1.1"] = words.as_slice() else { return Err(format!("a first line {words:?}")) };
        if !path.starts_with('/') || path.contains(|c: char| c.is_control()) {
            return Err(format!("a path {path:?}"));
        }
        let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in lines {
            let (name, value) =
                line.split_once(": ").or(line.strip_suffix(':').map(|name| (name, ""))).ok_or(line)?;
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.is_empty()
                || !name.chars().all(is_token)
                || value.contains(|c: char| c.is_control() && c != '\t')
            {
                return Err(format!("a header {line:?}"));
            }
            headers.entry(name).or_default().push(value);
        }
        let of = |name: &str| headers.get(name).map(Vec::as_slice).unwrap_or_default();
        if of("host").len() != 1 {
            return Err(format!("hosts {:?}", of("host")));
        }
        if !of("upgrade").is_empty() {
            return Ok(count);
        }
        match (of("content-length"), of("transfer-encoding")) {
            ([], []) => {}
            ([length], []) => {
                let length: usize = length.parse().map_err(|_| format!("a length {length:?}"))?;
                bytes = bytes.get(length..).unwrap_or_default();
            }
            ([], ["chunked"]) => bytes = behind_chunks(bytes)?,
            both => return Err(format!("a body that ends in two ways {both:?}")),
        }
    }
    Ok(count)
}

/// What follows the last chunk; nothing where there is none.
fn behind_chunks(mut bytes: &[u8]) -> Result<&[u8], String> {
    while let Some(end) = find(bytes, b"\r\n") {
        let size = std::str::from_utf8(&bytes[..end]).unwrap_or("no text");
        let is_size = !size.is_empty() && size.chars().all(|c| c.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| is_size);
        let size = size.ok_or("a chunk's size that is none")?;
        let Some((_, rest)) = bytes[end + 2..].split_at_checked(size) else { break };
        if rest.is_empty() {
            break;
        }
        bytes = rest.strip_prefix(b"\r\n").ok_or("no end of a chunk")?;
        if size == 0 {
            return Ok(bytes);
        }
    }
    Ok(&[])
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
