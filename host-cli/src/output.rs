//! What reaches the user's terminal: data on stdout, notes and progress on stderr, colours only where they are
//! wanted. Text that an agent chose never gets there unescaped.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::format::Format;

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
    /// What data is printed by, instead of as JSON.
    pub format: Option<&'static Format>,
}

impl Output {
    /// For what the command line says.
    ///
    /// # Errors
    /// A template that can't be read.
    pub fn of(cli: &Cli) -> Result<Self, Failure> {
        let template = cli.format.as_deref().filter(|template| *template != "json");
        let format = template.map(Format::parse).transpose()?;
        // As long as the process, as all of the output is.
        let format = format.map(|format| &*Box::leak(Box::new(format)));
        Ok(Self { format, ..Self::new(cli.json || cli.format.is_some(), cli.quiet) })
    }

    /// For these options and this process's stdout; `NO_COLOR` is honoured.
    pub fn new(json: bool, quiet: bool) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = !no_colour && !json && std::io::stdout().is_terminal();
        Self { json, quiet, colour, format: None }
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
        if self.format.is_none() && std::io::stdout().is_terminal() {
            self.line(&escape_json(&serde_json::to_string_pretty(value)?))
        } else {
            self.entry(value)
        }
    }

    /// A value as JSON in one line, or by the user's template.
    ///
    /// # Errors
    /// As [`Self::line`], and where the template does not fit.
    pub fn entry<T: Serialize>(&self, value: &T) -> Result<(), Failure> {
        match self.format {
            None => self.line(&json(value)?),
            Some(format) => {
                format.lines(&serde_json::to_value(value)?)?.iter().try_for_each(|line| self.line(line))
            }
        }
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

/// A value as one line of JSON that is safe on a terminal.
///
/// # Errors
/// serde's.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    serde_json::to_string(value).map(|text| escape_json(&text))
}

/// JSON may hold anything above U+001F as it is: what steers a terminal becomes `\uXXXX`, which reads the same. Such
/// characters stand only inside of its texts, newlines only between.
fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || is_harmless(c) {
            escaped.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}")));
        }
    }
    escaped
}

/// Whether a character is one that is seen and leaves those around it alone: no control (Cc), no line's or paragraph's end
/// (Zl, Zp), none of the formatting ones (Cf) that are not part of a script, nor a tag.
fn is_harmless(c: char) -> bool {
    let steers = c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
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
            ("gith\u{ad}ub\u{e0041}", "gith\\u{ad}ub\\u{e0041}"),
        ] {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn nor_by_json_which_reads_the_same() {
        let text = "a\u{9b}1m\u{7f}\u{202e}\u{e0041}\n\"ü\\";
        let json = json(text).unwrap();
        assert_eq!(json, r#""a\u009b1m\u007f\u202e\udb40\udc41\n\"ü\\""#);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        let pretty = escape_json(&serde_json::to_string_pretty(&[text]).unwrap());
        assert_eq!(serde_json::from_str::<[String; 1]>(&pretty).unwrap(), [text]);
        assert_eq!(pretty.lines().count(), 3);
    }

    #[test]
    fn columns_line_up_and_end_without_blanks() {
        let rows = [vec!["A".to_owned(), "B".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&rows), "A     B\nlong\n");
    }
}
