//! Two contents as a unified diff, as git writes it. Whatever an agent wrote, a terminal shows it as text.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use similar::{ChangeTag, TextDiff, TextDiffConfig};

use crate::output::escape;

/// A longer content is named, not shown.
pub const MAX_TEXT: u64 = 4 << 20;
/// Lines around a change.
const CONTEXT: usize = 3;
/// Where a NUL makes a content binary, as for git.
const LOOKED_AT: usize = 8000;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Bytes as they are: for a program, never for a terminal.
    pub raw: bool,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// About the file.
    Head,
    /// Where a hunk is.
    Place,
    /// Added.
    Added,
    /// Removed.
    Removed,
    /// As it was, or a remark.
    Plain,
}

impl Style {
    /// Appends a line; `text` has no newline at its end.
    pub fn line(self, to: &mut Vec<u8>, kind: Line, mark: &str, text: &[u8]) {
        let colour = match kind {
            Line::Head => "\x1b[1m",
            Line::Place => "\x1b[36m",
            Line::Added => "\x1b[32m",
            Line::Removed => "\x1b[31m",
            Line::Plain => "",
        };
        let colour = Some(colour).filter(|colour| self.colour && !colour.is_empty());
        to.extend_from_slice(colour.unwrap_or_default().as_bytes());
        to.extend_from_slice(mark.as_bytes());
        if self.raw {
            to.extend_from_slice(text);
        } else {
            to.extend_from_slice(harmless(text).as_bytes());
        }
        to.extend_from_slice(if colour.is_some() { b"\x1b[m\n" } else { b"\n" });
    }
}

/// Text that is safe on a terminal, in which tabs stay; bytes that are no text become `\xNN`.
fn harmless(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for (at, part) in chunk.valid().split('\t').enumerate() {
            if at > 0 {
                text.push('\t');
            }
            text.push_str(&escape(part));
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A path as git names it, in quotes where it holds what could be taken for something else.
pub fn name(prefix: &str, path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let plain = path.to_str().filter(|text| escape(text) == **text && !text.contains(['"', '\\']));
    if let Some(plain) = plain {
        return format!("{prefix}{plain}");
    }
    let mut text = format!("\"{prefix}");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
    text.push('"');
    text
}

/// Whether a content is no text.
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(LOOKED_AT).any(|byte| *byte == 0)
}

fn compare<'a>(old: &'a [u8], new: &'a [u8], until: Instant) -> TextDiff<'a, 'a, [u8]> {
    // By newlines alone: the library's own lines also end at a lone carriage return.
    let lines = |bytes: &'a [u8]| bytes.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    TextDiffConfig::default().deadline(until).diff_slices(&lines(old), &lines(new))
}

/// How many lines are added and removed. Past `until` it may be more than need be.
pub fn count(old: &[u8], new: &[u8], until: Instant) -> (usize, usize) {
    let diff = compare(old, new, until);
    diff.iter_all_changes().fold((0, 0), |(added, removed), change| match change.tag() {
        ChangeTag::Insert => (added + 1, removed),
        ChangeTag::Delete => (added, removed + 1),
        ChangeTag::Equal => (added, removed),
    })
}

/// Appends the hunks. Past `until` they may be larger than need be.
pub fn hunks(to: &mut Vec<u8>, style: Style, old: &[u8], new: &[u8], until: Instant) {
    let diff = compare(old, new, until);
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        style.line(to, Line::Place, "", format!("@@ -{} +{} @@", range(&old), range(&new)).as_bytes());
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (kind, mark) = match change.tag() {
                ChangeTag::Insert => (Line::Added, "+"),
                ChangeTag::Delete => (Line::Removed, "-"),
                ChangeTag::Equal => (Line::Plain, " "),
            };
            let value: &[u8] = change.value();
            match value.strip_suffix(b"\n") {
                Some(line) => style.line(to, kind, mark, line),
                None => {
                    style.line(to, kind, mark, value);
                    style.line(to, Line::Plain, "", b"\\ No newline at end of file");
                }
            }
        }
    }
}

fn range(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        1 => (range.start + 1).to_string(),
        0 => format!("{},0", range.start),
        length => format!("{},{length}", range.start + 1),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PLAIN: Style = Style { colour: false, raw: false };

    fn diff(style: Style, old: &str, new: &str) -> String {
        let mut text = Vec::new();
        hunks(&mut text, style, old.as_bytes(), new.as_bytes(), Instant::now() + Duration::from_secs(60));
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn hunks_are_as_git_writes_them() {
        let old: String = (1..=20).map(|line| format!("{line}\n")).collect();
        let new = old.replace("5\n6\n", "5\nfive and a half\n6\n").replace("20\n", "20");
        assert_eq!(
            diff(PLAIN, &old, &new),
            "@@ -3,6 +3,7 @@\n 3\n 4\n 5\n+five and a half\n 6\n 7\n 8\n\
             @@ -17,4 +18,4 @@\n 17\n 18\n 19\n-20\n+20\n\\ No newline at end of file\n"
        );
        assert_eq!(diff(PLAIN, "", "a\n"), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff(PLAIN, "a\n", ""), "@@ -1 +0,0 @@\n-a\n");
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(count(old.as_bytes(), new.as_bytes(), until), (2, 1));
    }

    #[test]
    fn no_content_steers_a_terminal_and_a_program_gets_it_as_it_is() {
        let shown = diff(PLAIN, "", "\ta\u{1b}[2J\u{202e}b\r\n");
        assert_eq!(shown, "@@ -0,0 +1 @@\n+\ta\\u{1b}[2J\\u{202e}b\\r\n");
        assert_eq!(harmless(b"\xffa"), "\\xffa");
        let raw = diff(Style { raw: true, ..PLAIN }, "", "a\u{1b}\r\n");
        assert!(raw.ends_with("+a\u{1b}\r\n"));
        let colour = diff(Style { colour: true, ..PLAIN }, "", "a\n");
        assert_eq!(colour, "\u{1b}[36m@@ -0,0 +1 @@\u{1b}[m\n\u{1b}[32m+a\u{1b}[m\n");
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        use std::ffi::OsStr;
        for (bytes, expected) in [
            (&b"a b/\xc3\xbc"[..], "a/a b/\u{fc}"),
            (b"n\n\xff\"", "\"a/n\\012\\377\\\"\""),
            (b"\xe2\x80\xae", "\"a/\\342\\200\\256\""),
        ] {
            assert_eq!(name("a/", Path::new(OsStr::from_bytes(bytes))), expected);
        }
    }

    #[test]
    fn contents_made_to_be_slow_are_given_up_in_time() {
        let line = |seed: u64| format!("{}\n", seed.wrapping_mul(6_364_136_223_846_793_005) >> 60);
        let text = |from: u64| (from..from + 40_000).map(line).collect::<String>();
        let begun = Instant::now();
        let (old, new) = (text(1), text(1_000_000));
        let (added, removed) = count(old.as_bytes(), new.as_bytes(), begun + Duration::from_millis(200));
        assert!(added > 0 && removed > 0);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}
