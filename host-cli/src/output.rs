//! What reaches the user's terminal: data on stdout, notes and progress on stderr, colours only where they are
//! wanted. Text that an agent chose never gets there unescaped.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Long steps say how far they are.
pub trait Progress {
    /// A step begins.
    fn step(&self, text: &str);
    /// All steps are done.
    fn done(&self);
}

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Data as JSON.
    pub json: bool,
    /// No notes, no progress.
    pub quiet: bool,
    /// Colours on stdout.
    pub colour: bool,
}

impl Output {
    /// For these options and this process's stdout; `NO_COLOR` is honoured.
    pub fn new(json: bool, quiet: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !no_colour && !json && std::io::stdout().is_terminal();
        Self { json, quiet, colour }
    }

    /// A line of data.
    ///
    /// # Errors
    /// When stdout can't be written; a reader that went away is not an error (see [`write_stdout`]).
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        write_stdout(format!("{text}\n").as_bytes())
    }

    /// A value as JSON, indented for people only when stdout is a terminal.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn value<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        let text = if std::io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        self.line(&text)
    }

    /// A note for the user.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }
}

impl Progress for Output {
    fn step(&self, text: &str) {
        self.note(text);
    }
    fn done(&self) {}
}

/// Writes `clawker: text` to stderr, whatever becomes of it.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "clawker: {}", escape_lines(text));
}

/// Writes to stdout and flushes. A reader that went away (`clawker ps | head -1`) ends the process quietly.
///
/// # Errors
/// Any other failure.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(format!("Can't write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// One line of text that is safe on a terminal: control, format and bidirectional characters become `\u{…}`.
pub fn escape(text: &str) -> String {
    text.chars().flat_map(|c| Piece::of(c, is_harmless(c))).collect()
}

/// As [`escape`], but newlines stay.
pub fn escape_lines(text: &str) -> String {
    text.chars().flat_map(|c| Piece::of(c, c == '\n' || is_harmless(c))).collect()
}

fn is_harmless(c: char) -> bool {
    let steers = c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !steers
}

/// A character or its escape.
enum Piece {
    Plain(Option<char>),
    Escaped(std::char::EscapeDefault),
}

impl Piece {
    fn of(c: char, harmless: bool) -> Self {
        if harmless { Self::Plain(Some(c)) } else { Self::Escaped(c.escape_default()) }
    }
}

impl Iterator for Piece {
    type Item = char;
    fn next(&mut self) -> Option<char> {
        match self {
            Self::Plain(c) => c.take(),
            Self::Escaped(escape) => escape.next(),
        }
    }
}

/// Lays rows out in columns; the first row is the heading.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_can_not_steer_the_terminal() {
        for (text, expected) in [
            ("plain ü", "plain ü"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\r\nb", "a\\r\\nb"),
            ("a\u{9b}1mb", "a\\u{9b}1mb"),
            ("\u{202e}cod.exe", "\\u{202e}cod.exe"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&rows), "A     B\nlong\n");
    }
}
