//! Reads `.env` files: names and values with shell-like quoting. Never looks at this process's variables: an agent can
//! write such a file, and `X=$SECRET` in it must not fetch what only the host knows.

/// What is wrong with a file: the line, from 1, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct DotenvError {
    /// From 1.
    pub line: usize,
    /// What.
    pub message: String,
}

/// The variables of a text, in order; of two alike both are there, and the later one counts.
///
/// `NAME=value`, `export NAME=value`, comments after `#`. In `'…'` everything is as it stands; in `"…"` the escapes
/// `\n \r \t \" \\ \$` are read; both may go over lines. Outside of `'…'`, `$NAME`, `${NAME}` and `${NAME:-default}`
/// are values from further up in the same file.
///
/// # Errors
/// [`DotenvError`].
pub fn parse(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
    let mut reader =
        Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, read: Vec::new() };
    while reader.entry()? {}
    Ok(reader.read)
}

/// Whether a text can be a variable's name.
pub fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    read: Vec<(String, String)>,
}

impl Reader<'_> {
    /// Reads one line, or more of them where a quoted value goes on; `false` at the end.
    fn entry(&mut self) -> Result<bool, DotenvError> {
        self.blanks();
        match self.peek() {
            None => return Ok(false),
            Some('\n' | '#') => return self.end_of_line().map(|()| true),
            Some(_) => {}
        }
        let mut name = self.word();
        if name == "export" && self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.blanks();
            name = self.word();
        }
        if !is_name(&name) {
            return Err(self.wrong(format!("{name:?} is no variable's name")));
        }
        self.blanks();
        if self.peek() != Some('=') {
            let hint = "write NAME=VALUE; a variable of this machine is passed on by agent.from_env";
            return Err(self.wrong(format!("{name} has no value: {hint}")));
        }
        self.take();
        self.blanks();
        let value = match self.peek() {
            Some('\'') => self.single()?,
            Some('"') => self.double()?,
            _ => self.plain()?,
        };
        if value.contains('\0') {
            return Err(self.wrong(format!("the value of {name} holds a NUL byte")));
        }
        self.blanks();
        self.end_of_line()?;
        self.read.push((name, value));
        Ok(true)
    }

    fn peek(&self) -> Option<char> {
        // A line's end is one character, however it is written.
        self.rest.chars().next().map(|c| if self.rest.starts_with("\r\n") { '\n' } else { c })
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        let length = if self.rest.starts_with("\r\n") { 2 } else { c.len_utf8() };
        self.rest = self.rest.get(length..).unwrap_or_default();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.take();
        }
    }

    /// Up to a blank, `=` or the line's end.
    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '=')) {
            word.push(c);
            self.take();
        }
        word
    }

    /// Nothing more but a comment.
    fn end_of_line(&mut self) -> Result<(), DotenvError> {
        match self.peek() {
            None | Some('\n') => {}
            Some('#') => {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.take();
                }
            }
            Some(_) => return Err(self.wrong("text behind the closing quote".to_owned())),
        }
        self.take();
        Ok(())
    }

    fn single(&mut self) -> Result<String, DotenvError> {
        let begin = self.line;
        self.take();
        let mut value = String::new();
        loop {
            match self.take() {
                None => return Err(unclosed(begin, '\'')),
                Some('\'') => return Ok(value),
                Some(c) => value.push(c),
            }
        }
    }

    fn double(&mut self) -> Result<String, DotenvError> {
        let begin = self.line;
        self.take();
        let mut value = String::new();
        loop {
            match self.peek() {
                None => return Err(unclosed(begin, '"')),
                Some('$') => value.push_str(&self.variable()?),
                Some(c) => {
                    self.take();
                    match c {
                        '"' => return Ok(value),
                        '\\' => self.escape(&mut value),
                        c => value.push(c),
                    }
                }
            }
        }
    }

    /// What stands behind a backslash; one that escapes nothing stays.
    fn escape(&mut self, value: &mut String) {
        let c = self.take();
        match c {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('t') => value.push('\t'),
            Some(c @ ('"' | '\\' | '$')) => value.push(c),
            // The line goes on.
            Some('\n') => {}
            other => {
                value.push('\\');
                value.extend(other);
            }
        }
    }

    /// Without quotes: up to the line's end or a comment, which begins behind a blank.
    fn plain(&mut self) -> Result<String, DotenvError> {
        let mut value = String::new();
        while let Some(c) = self.peek().filter(|c| *c != '\n') {
            match c {
                '#' if value.is_empty() || value.ends_with([' ', '\t']) => break,
                '$' => value.push_str(&self.variable()?),
                c => {
                    value.push(c);
                    self.take();
                }
            }
        }
        value.truncate(value.trim_end_matches([' ', '\t']).len());
        Ok(value)
    }

    /// `$NAME`, `${NAME}`, `${NAME:-default}`; any other `$` is one.
    fn variable(&mut self) -> Result<String, DotenvError> {
        self.take();
        let braces = self.peek() == Some('{');
        if !braces && !self.peek().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') {
            return Ok("$".to_owned());
        }
        if braces {
            self.take();
        }
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
            self.take();
        }
        let mut default = None;
        if braces {
            let mut inside = String::new();
            while let Some(c) = self.peek().filter(|c| !matches!(c, '}' | '\n')) {
                inside.push(c);
                self.take();
            }
            default = inside.strip_prefix(":-").map(str::to_owned);
            if self.take() != Some('}') || !is_name(&name) || (default.is_none() && !inside.is_empty()) {
                return Err(self.wrong("write ${NAME} or ${NAME:-default}".to_owned()));
            }
        }
        let known = self.read.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value);
        let known = known.filter(|value| default.is_none() || !value.is_empty());
        known.cloned().or(default).ok_or_else(|| {
            self.wrong(format!(
                "{name} is not set further up in this file; a variable of this machine is passed on by \
                 agent.from_env, and '…' keeps a $ as it stands"
            ))
        })
    }

    fn wrong(&self, message: String) -> DotenvError {
        DotenvError { line: self.line, message }
    }
}

fn unclosed(line: usize, quote: char) -> DotenvError {
    DotenvError { line, message: format!("the {quote} that begins here is never closed") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<String, String> {
        let read = parse(text).map_err(|error| error.to_string())?;
        Ok(read.last().map(|(name, value)| format!("{name}={value}")).unwrap_or_default())
    }

    #[test]
    fn values_read_as_a_shell_would_have_them() {
        for (text, expected) in [
            ("A=b", "A=b"),
            ("\u{feff}A=b\r\n", "A=b"),
            ("export A = b c  # comment\n", "A=b c"),
            ("A=b#c", "A=b#c"),
            ("A=", "A="),
            ("A=# comment", "A="),
            ("A='b $X \\n # \"c'", "A=b $X \\n # \"c"),
            ("A=\"b\\n\\\"c\\\" \\$X \\q\" # comment", "A=b\n\"c\" $X \\q"),
            ("A='-----BEGIN\nb\n-----END'\n", "A=-----BEGIN\nb\n-----END"),
            ("A=\"b\\\nc\"", "A=bc"),
            ("X=1\nA=$X${X}-${Y:-2}$", "A=11-2$"),
            ("X=\nA=${X:-d}", "A=d"),
            ("# only\n\n", ""),
            ("A=b=c", "A=b=c"),
            ("A=it's", "A=it's"),
            ("A=ü", "A=ü"),
        ] {
            assert_eq!(one(text).as_deref(), Ok(expected), "{text:?}");
        }
        assert_eq!(parse("A=1\nA=2").unwrap().len(), 2);
    }

    #[test]
    fn what_is_wrong_names_its_line_and_variable() {
        for (text, expected) in [
            ("A=1\nB", "line 2: B has no value"),
            ("A=1\n\nB='x\ny", "line 3: the ' that begins here"),
            ("A=\"x\" y", "line 1: text behind the closing quote"),
            ("1A=x", "line 1: \"1A\" is no variable's name"),
            ("A-B=x", "is no variable's name"),
            ("=x", "is no variable's name"),
            ("A=${B", "write ${NAME}"),
            ("A=${B:?no}", "write ${NAME}"),
            ("A=x\0", "NUL"),
        ] {
            let message = one(text).unwrap_err();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn the_host_s_own_variables_are_never_read() {
        assert!(std::env::var("PATH").is_ok());
        let message = one("A=$PATH").unwrap_err();
        assert!(message.contains("PATH is not set further up"), "{message}");
        assert_eq!(one("A=\"${PATH:-none}\"").as_deref(), Ok("A=none"));
    }
}
