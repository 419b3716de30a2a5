//! Follows a file of lines that grows, is cut down in place, or is replaced by another one: every whole line once.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file that is followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    inode: u64,
    /// Where the next line begins.
    offset: u64,
    /// The line before it, by which it is seen that the file was cut down.
    last: Vec<u8>,
}

impl Tail {
    /// Begins at the file's start, also where there is none yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, inode: 0, offset: 0, last: Vec::new() }
    }

    /// The whole lines that came since; none where there is no file.
    ///
    /// # Errors
    /// When it is there and can't be read.
    pub fn lines(&mut self) -> io::Result<Vec<String>> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => file?,
        };
        let metadata = file.metadata()?;
        if metadata.ino() != self.inode {
            (self.inode, self.offset) = (metadata.ino(), 0);
            self.last.clear();
        }
        if self.goes_on(&mut file)? {
            let bytes = self.rest(&mut file)?;
            return Ok(self.take(&bytes));
        }
        // Cut down in place: the newer half is there again, and of it everything after the last line is new.
        self.offset = 0;
        let bytes = self.rest(&mut file)?;
        let known = self.last.len();
        let after = (0..=bytes.len().saturating_sub(known)).rev().find(|at| {
            let begins = *at == 0 || bytes.get(*at - 1) == Some(&b'\n');
            begins && bytes.get(*at..*at + known) == Some(self.last.as_slice())
        });
        let skip = after.map_or(0, |at| at + known);
        if after.is_none() {
            // Nothing stands before what comes next: there may be no whole line in it yet.
            self.last.clear();
        }
        self.offset = skip as u64;
        Ok(self.take(bytes.get(skip..).unwrap_or_default()))
    }

    /// Whether the last line still stands where it was read.
    fn goes_on(&self, file: &mut File) -> io::Result<bool> {
        let mut before = vec![0; self.last.len()];
        file.seek(SeekFrom::Start(self.offset - self.last.len() as u64))?;
        match file.read_exact(&mut before) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| before == self.last),
        }
    }

    fn rest(&self, file: &mut File) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The whole lines of what was read; a half one is read again.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole = bytes.get(..=end).unwrap_or_default();
        self.offset += whole.len() as u64;
        if let Some(last) = whole.split_inclusive(|byte| *byte == b'\n').next_back() {
            self.last = last.to_vec();
        }
        String::from_utf8_lossy(whole).lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_was_emptied_is_followed_on() {
        let path = std::env::temp_dir().join(format!("clawker-tail-emptied-{}", std::process::id()));
        fs::write(&path, "1\n2\n").unwrap();
        let mut tail = Tail::new(path.clone());
        assert_eq!(tail.lines().unwrap(), ["1", "2"]);
        for half in ["", "3"] {
            fs::write(&path, half).unwrap();
            assert!(tail.lines().unwrap().is_empty());
            assert!(tail.lines().unwrap().is_empty());
        }
        fs::write(&path, "3\n4\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["3", "4"]);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn every_whole_line_comes_once_whatever_becomes_of_the_file() {
        let path = std::env::temp_dir().join(format!("clawker-tail-{}", std::process::id()));
        let mut tail = Tail::new(path.clone());
        assert!(tail.lines().unwrap().is_empty(), "there is no file yet");
        fs::write(&path, "1\n2\n3\nhal").unwrap();
        assert_eq!(tail.lines().unwrap(), ["1", "2", "3"]);
        assert!(tail.lines().unwrap().is_empty());
        fs::write(&path, "1\n2\n3\nhalf\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["half"]);
        // The newer half stays, in place, and more comes.
        fs::write(&path, "3\nhalf\n4\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["4"]);
        // As long as before or longer, and yet cut down.
        fs::write(&path, "4\n5\n6\n7\n8\n9\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["5", "6", "7", "8", "9"]);
        // All that was known is gone.
        fs::write(&path, "77\n").unwrap();
        assert_eq!(tail.lines().unwrap(), ["77"]);
        fs::remove_file(&path).unwrap();
        assert!(tail.lines().unwrap().is_empty());
        let beside = path.with_extension("new");
        fs::write(&beside, "77\n78\n").unwrap();
        fs::rename(&beside, &path).unwrap();
        assert_eq!(tail.lines().unwrap().last().map(String::as_str), Some("78"), "another file");
        fs::remove_file(&path).unwrap();
    }
}
