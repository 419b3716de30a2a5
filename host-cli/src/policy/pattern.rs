//! Patterns for paths: in the syntax that the proxy's engine (RE2) and ours have in common, so that both read one alike.
//! What only one of them knows is refused.

use regex::Regex;

/// Compiles a pattern that must match a whole path.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn compile(pattern: &str, any_case: bool) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("a pattern stands behind ~".to_owned());
    }
    let ascii = ascii_classes(pattern)?;
    let flags = if any_case { "i" } else { "" };
    Regex::new(&format!("^(?{flags}:{ascii})$")).map_err(|error| {
        let said = error.to_string();
        said.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// The pattern with `\d`, `\w` and `\s` spelt out: in RE2 they are ASCII, in ours they would not be.
fn ascii_classes(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => {
                let escaped = rest.next().ok_or("a backslash stands at its end")?;
                out.push_str(&escape(escaped, in_class)?);
                if escaped == 'b' && rest.peek() == Some(&'{') {
                    return Err("\\b{...} is not known to RE2".to_owned());
                }
            }
            '[' if in_class => return Err("[ in a class is written \\[".to_owned()),
            '[' => {
                in_class = true;
                out.push(letter);
                // A bracket that closes nothing yet is a plain one.
                for first in ['^', ']'] {
                    if rest.next_if_eq(&first).is_some() {
                        out.push_str(if first == ']' { "\\]" } else { "^" });
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(letter);
            }
            '&' | '~' if in_class && rest.peek() == Some(&letter) => {
                return Err(format!("{letter}{letter} in a class is not known to RE2"));
            }
            '-' if in_class && rest.peek() == Some(&'-') => {
                return Err("-- in a class is not known to RE2".to_owned());
            }
            '(' if !in_class && rest.peek() == Some(&'?') => {
                let group: String = rest.clone().take(3).collect();
                if !(group.starts_with("?:") || group == "?i)" || group == "?i:") {
                    return Err("groups are (...), (?:...), (?i) or (?i:...)".to_owned());
                }
                out.push(letter);
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

fn escape(letter: char, in_class: bool) -> Result<String, String> {
    let class = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'b' if !in_class => return Ok(format!("(?-u:\\{letter})")),
        _ if letter.is_ascii_punctuation() && !matches!(letter, '<' | '>') => {
            return Ok(format!("\\{letter}"));
        }
        _ => return Err(format!("\\{letter} is not known to both engines")),
    };
    match (in_class, letter.is_ascii_uppercase()) {
        (true, true) => Err(format!("\\{letter} in a class; write what it means")),
        (true, false) => Ok(class.to_owned()),
        (false, negated) => Ok(format!("[{}{class}]", if negated { "^" } else { "" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii() {
        let whole = |pattern: &str, text: &str| compile(pattern, false).unwrap().is_match(text);
        assert!(whole(r"/\w+/[\w.-]+", "/a_1/b.c-d"));
        assert!(!whole(r"/\w+", "/\u{e9}"));
        assert!(!whole(r"/\d", "/\u{0663}"));
        assert!(whole(r"/\D", "/\u{0663}"));
        assert!(!whole(r"/a", "/a/b"), "the whole path");
        assert!(!whole("/a|/b", "/a/b"), "an alternative stays inside");
        assert!(whole(r"/[]x]\bcd?", "/]c") || !whole(r"/[]x]", "/a"));
        assert!(compile("/A", true).unwrap().is_match("/a"));
    }

    #[test]
    fn what_only_one_engine_knows_is_refused() {
        for pattern in [
            "",
            r"\pL",
            r"[a&&b]",
            r"[a--b]",
            r"(?x)a",
            r"(?u:a)",
            r"(",
            r"[[:alpha:]]",
            r"\b{start}a",
            r"a\",
            r"\Qa",
            r"(?=a)",
            r"\<a",
            r"[\D]",
        ] {
            assert!(compile(pattern, false).is_err(), "{pattern}");
        }
    }
}
