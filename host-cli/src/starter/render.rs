//! A draft as `.clawker.yaml`, with a comment behind each line that says where it comes from.

use super::{Draft, Line};
use crate::config::RawRule;

/// The column at which the comments of add_domains begin, where names are short enough.
const COMMENTS: usize = 44;

/// The file's text.
pub fn yaml(draft: &Draft) -> String {
    let mut text = String::from(
        "# What clawker's agents of this project are and may do; all keys: clawker config schema\n",
    );
    text.push_str(&format!("project: {}\n", scalar(draft.project.as_str())));
    let (names, rules): (Vec<&Line>, Vec<&Line>) =
        draft.lines.iter().partition(|line| line.rule.proto.is_none() && line.rule.port.is_none());
    text.push_str("\nsecurity:\n  firewall:\n");
    text.push_str(
        "    # Names, for TLS on port 443. More: clawker firewall add NAME, or clawker firewall learn\n",
    );
    if names.is_empty() {
        text.push_str("    add_domains: []\n");
    } else {
        text.push_str("    add_domains:\n");
    }
    for line in names {
        push(&mut text, format!("      - {}", scalar(&line.rule.dst)), &line.why);
    }
    if !rules.is_empty() {
        text.push_str("    # Other ports and protocols\n    rules:\n");
    }
    for line in rules {
        push(&mut text, format!("      - {}", flow(&line.rule)), &line.why);
    }
    if !draft.notes.is_empty() {
        text.push_str("\n# Not opened by itself:\n");
        draft.notes.iter().for_each(|note| text.push_str(&format!("# - {}\n", comment(note))));
    }
    text
}

fn push(text: &mut String, line: String, why: &str) {
    text.push_str(&format!("{line:<COMMENTS$}  # {}\n", comment(why)));
}

/// `{ dst: …, proto: …, port: … }`
fn flow(rule: &RawRule) -> String {
    let mut parts = vec![format!("dst: {}", scalar(&rule.dst))];
    parts.extend(rule.proto.as_ref().map(|proto| format!("proto: {proto}")));
    parts.extend(rule.port.map(|port| format!("port: {}", port.0.first())));
    format!("{{ {} }}", parts.join(", "))
}

/// A name as YAML can't misread it: quoted unless it can't be a number, a word of YAML's own, or broken off.
fn scalar(text: &str) -> String {
    let plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c));
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
    let is_word = matches!(text, "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n");
    if plain && begins && !is_word { text.to_owned() } else { format!("\"{text}\"") }
}

/// One line, whatever it was.
fn comment(text: &str) -> String {
    crate::output::escape(text)
}
