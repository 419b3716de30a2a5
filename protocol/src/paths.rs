//! Paths of requests: the readings that servers may give one, and what a rule's prefix names. Host and init judge paths
//! by these alone. Pure.

/// How often a path is decoded until nothing changes; one that still does then is refused.
const MAX_ROUNDS: usize = 4;
/// The most ways in which a path may be read; one that may be in more is refused.
pub const MAX_READINGS: usize = 4;

/// How much of a path a prefix names, without the slash at its end; `None` when it doesn't. A prefix ends at a segment's
/// end. A deny ignores letter case, and with a slash at its end also names the path without it.
pub fn named_length(path: &str, prefix: &str, deny: bool) -> Option<usize> {
    let named = if deny {
        let (path, prefix) = (path.to_ascii_lowercase(), prefix.to_ascii_lowercase());
        is_below(&path, &prefix) || prefix.strip_suffix('/') == Some(&path)
    } else {
        is_below(path, prefix)
    };
    named.then(|| prefix.trim_end_matches('/').len())
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
}

/// The ways in which a server may read a path: decoded once, and again until nothing changes; each also with what stands
/// behind `;` in a segment cut off, and behind a decoded `?` or `#`. `None` where that has no end or is no text.
pub fn readings(path: &str) -> Option<Vec<String>> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return None;
    }
    let mut text = as_sent(path);
    let mut list: Vec<String> = Vec::new();
    for _ in 0..=MAX_ROUNDS {
        let decoded = decode(&text)?;
        for reading in [normal(&decoded, false), normal(&decoded, true)] {
            if !list.contains(&reading) {
                list.push(reading);
            }
        }
        if list.len() > MAX_READINGS {
            return None;
        }
        if decoded == text {
            return Some(list);
        }
        text = decoded;
    }
    None
}

/// The path that the proxy sends on, and judges: dot segments are resolved as a URL has them (RFC 3986, 5.2.4: an empty
/// segment is one), after that several slashes are one.
fn as_sent(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split(['/', '\\']).skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut sent = String::new();
    for (at, segment) in kept.iter().enumerate() {
        if !segment.is_empty() || at + 1 == kept.len() {
            sent.push('/');
            sent.push_str(segment);
        }
    }
    if sent.is_empty() { "/".to_owned() } else { sent }
}

/// Percent-decodes once; what is no escape stays. `None` for control characters and what is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = (*byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        let escape = escape.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    let text = String::from_utf8(decoded).ok()?;
    (!text.bytes().any(|byte| byte < 0x20 || byte == 0x7f)).then_some(text)
}

/// Backslashes are slashes, several are one, dot segments are resolved.
fn normal(path: &str, cut: bool) -> String {
    let path = if cut { path.split(['?', '#']).next().unwrap_or_default() } else { path };
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_open = false;
    for segment in path.split(['/', '\\']) {
        let segment = if cut { segment.split(';').next().unwrap_or_default() } else { segment };
        ends_open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if ends_open && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_has_one_reading_and_an_odd_one_several_or_none() {
        assert_eq!(readings("/a/b?c=/d"), Some(vec!["/a/b".to_owned()]));
        assert_eq!(readings("/a/./b/../c//d/"), Some(vec!["/a/c/d/".to_owned()]));
        assert_eq!(readings("/a;x/b"), Some(vec!["/a;x/b".to_owned(), "/a/b".to_owned()]));
        assert_eq!(readings("/%2561"), Some(vec!["/%61".to_owned(), "/a".to_owned()]));
        for none in ["", "a", "*", "/%00", "/%ff", "/%25252525252561"] {
            assert_eq!(readings(none), None, "{none}");
        }
    }

    #[test]
    fn a_prefix_names_whole_segments() {
        assert_eq!(named_length("/a/b", "/a", false), Some(2));
        assert_eq!(named_length("/ab", "/a", false), None);
        assert_eq!(named_length("/a", "/a/", false), None);
        assert_eq!(named_length("/A", "/a/", true), Some(2));
        assert_eq!(named_length("/", "/", false), Some(0));
    }
}
