//! What a git configuration file says, read as git reads it (git-config(1), config.c), and which of it is worth a look:
//! everything but what is known to run nothing and to lead nowhere else. What can't be read is an error, never nothing.

/// A key as `section.subsection.name`, lower case but for the subsection, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section.
    pub section: String,
    /// The subsection, where there is one.
    pub subsection: Option<String>,
    /// The name.
    pub name: String,
    /// The value; `None` for a name alone, which means true.
    pub value: Option<String>,
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.section)?;
        if let Some(subsection) = &self.subsection {
            write!(f, ".{subsection}")?;
        }
        write!(f, ".{}", self.name)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, " = {value}"))
    }
}

/// Keys of `core` that run nothing.
const HARMLESS_CORE: [&str; 16] = [
    "repositoryformatversion",
    "filemode",
    "bare",
    "logallrefupdates",
    "ignorecase",
    "precomposeunicode",
    "symlinks",
    "autocrlf",
    "eol",
    "safecrlf",
    "abbrev",
    "compression",
    "quotepath",
    "sharedrepository",
    "untrackedcache",
    "splitindex",
];

impl Entry {
    /// Whether it is known to run no program and to read no other file.
    pub fn is_harmless(&self) -> bool {
        let name = self.name.as_str();
        match self.section.as_str() {
            "core" => HARMLESS_CORE.contains(&name),
            "user" => matches!(name, "name" | "email"),
            "branch" => matches!(name, "remote" | "merge" | "rebase" | "description"),
            "remote" => match name {
                // ext::command runs one; so may any helper that is named by its scheme.
                "url" | "pushurl" => !self.value.as_deref().unwrap_or_default().contains("::"),
                "fetch" | "push" | "tagopt" | "prune" => true,
                _ => false,
            },
            "submodule" => match name {
                "url" => !self.value.as_deref().unwrap_or_default().contains("::"),
                "active" => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// Reads a file.
///
/// # Errors
/// The line (from 1) that git would refuse.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, usize> {
    Parser { bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), at: 0, line: 1 }.entries()
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Parser<'_> {
    /// The next character; a carriage return before a newline is none, and the end reads as a newline.
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        if byte == b'\r' && self.bytes.get(self.at) == Some(&b'\n') {
            self.at += 1;
            self.line += 1;
            return Some(b'\n');
        }
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn entries(mut self) -> Result<Vec<Entry>, usize> {
        let mut entries = Vec::new();
        let mut section: Option<(String, Option<String>)> = None;
        while let Some(byte) = self.next() {
            match byte {
                b'#' | b';' => while self.next().is_some_and(|byte| byte != b'\n') {},
                b'[' => section = Some(self.header()?),
                byte if is_space(byte) => {}
                byte if byte.is_ascii_alphabetic() => {
                    let (section, subsection) = section.clone().ok_or(self.line)?;
                    let (name, value) = self.variable(byte)?;
                    entries.push(Entry { section, subsection, name, value });
                }
                _ => return Err(self.line),
            }
        }
        Ok(entries)
    }

    /// After `[`.
    fn header(&mut self) -> Result<(String, Option<String>), usize> {
        let mut name = String::new();
        loop {
            match self.next() {
                Some(b']') => break,
                Some(b' ' | b'\t') => return Ok((name, Some(self.subsection()?))),
                Some(byte) if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' => {
                    name.push(char::from(byte.to_ascii_lowercase()));
                }
                _ => return Err(self.line),
            }
        }
        // The old form, [section.subsection].
        Ok(match name.split_once('.') {
            Some((section, sub)) => (section.to_owned(), Some(sub.to_owned())),
            None => (name, None),
        })
    }

    fn subsection(&mut self) -> Result<String, usize> {
        let mut byte = self.next();
        while matches!(byte, Some(b' ' | b'\t')) {
            byte = self.next();
        }
        if byte != Some(b'"') {
            return Err(self.line);
        }
        let mut text = Vec::new();
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\n') | None => return Err(self.line),
                Some(b'\\') => text.push(self.next().filter(|byte| *byte != b'\n').ok_or(self.line)?),
                Some(byte) => text.push(byte),
            }
        }
        if self.next() != Some(b']') {
            return Err(self.line);
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn variable(&mut self, first: u8) -> Result<(String, Option<String>), usize> {
        let mut name = String::from(char::from(first.to_ascii_lowercase()));
        let mut byte = self.next();
        while let Some(one) = byte.filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
            name.push(char::from(one.to_ascii_lowercase()));
            byte = self.next();
        }
        while matches!(byte, Some(b' ' | b'\t')) {
            byte = self.next();
        }
        match byte {
            None | Some(b'\n') => Ok((name, None)),
            Some(b'=') => Ok((name, Some(self.value()?))),
            _ => Err(self.line),
        }
    }

    fn value(&mut self) -> Result<String, usize> {
        let (mut text, mut quoted, mut comment, mut end) = (Vec::new(), false, false, 0);
        loop {
            match self.next() {
                None | Some(b'\n') if quoted => return Err(self.line),
                None | Some(b'\n') => break,
                Some(_) if comment => {}
                Some(byte) if is_space(byte) && !quoted => {
                    if !text.is_empty() {
                        text.push(byte);
                    }
                }
                Some(b'#' | b';') if !quoted => comment = true,
                Some(b'"') => quoted = !quoted,
                Some(b'\\') => {
                    match self.next() {
                        Some(b'\n') => continue,
                        Some(b't') => text.push(b'\t'),
                        Some(b'b') => text.push(8),
                        Some(b'n') => text.push(b'\n'),
                        Some(byte @ (b'\\' | b'"')) => text.push(byte),
                        _ => return Err(self.line),
                    }
                    end = text.len();
                }
                Some(byte) => {
                    text.push(byte);
                    end = text.len();
                }
            }
        }
        text.truncate(end);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        parse(text.as_bytes()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_form_that_git_reads_is_read() {
        for (text, expected) in [
            ("[core]\n\tfsmonitor = ./x\n", "core.fsmonitor = ./x"),
            ("[CORE] FSMonitor=./x", "core.fsmonitor = ./x"),
            ("[core]fsmonitor=\"./x y\" ; c", "core.fsmonitor = ./x y"),
            ("[core]\r\nfsmonitor = a\\\n b\r\n", "core.fsmonitor = a b"),
            ("\u{feff}[core]\nfsmonitor", "core.fsmonitor"),
            ("[alias.S]\nx = !sh", "alias.s.x = !sh"),
            ("[includeIf \"gitdir:~/\\\"x\"]\npath=p", "includeif.gitdir:~/\"x.path = p"),
            ("# [a]\n[core] # c\n fsmonitor = x#y\n", "core.fsmonitor = x"),
        ] {
            assert_eq!(read(text), [expected], "{text:?}");
        }
    }

    #[test]
    fn what_git_refuses_is_an_error_with_its_line() {
        for (text, line) in [("x = y", 1), ("[a\n", 2), ("[a]\nx = \"y\n", 3), ("[a]\nx y", 2), ("[a]\n=", 2)]
        {
            assert_eq!(parse(text.as_bytes()), Err(line), "{text:?}");
        }
    }

    #[test]
    fn what_runs_a_program_or_leads_elsewhere_is_never_harmless() {
        let harmless =
            "[core]\nbare=false\n[remote \"o\"]\nurl=https://x/y\nfetch=+a:b\n[branch \"m\"]\nmerge=r\n";
        assert!(parse(harmless.as_bytes()).unwrap().iter().all(Entry::is_harmless));
        for text in [
            "[core]\nfsmonitor=x",
            "[core]\nsshCommand=x",
            "[core]\nhooksPath=x",
            "[core]\npager=x",
            "[core]\neditor=x",
            "[core]\nattributesFile=x",
            "[core]\nworktree=/",
            "[core]\ngitProxy=x",
            "[filter \"f\"]\nclean=x",
            "[diff \"d\"]\ncommand=x",
            "[diff \"d\"]\ntextconv=x",
            "[merge \"m\"]\ndriver=x",
            "[credential]\nhelper=x",
            "[alias]\nst=!x",
            "[include]\npath=x",
            "[includeIf \"a\"]\npath=x",
            "[url \"ext::x\"]\ninsteadOf=y",
            "[gpg]\nprogram=x",
            "[remote \"o\"]\nurl=ext::sh -c x",
            "[remote \"o\"]\nuploadpack=x",
            "[remote \"o\"]\nvcs=x",
            "[submodule \"s\"]\nupdate=!x",
            "[extensions]\nworktreeConfig=true",
            "[pager]\nlog=x",
            "[sequence]\neditor=x",
            "[difftool \"x\"]\ncmd=y",
            "[http]\nproxy=x",
            "[uploadpack]\npackObjectsHook=x",
        ] {
            assert!(parse(text.as_bytes()).unwrap().iter().any(|entry| !entry.is_harmless()), "{text}");
        }
    }
}
