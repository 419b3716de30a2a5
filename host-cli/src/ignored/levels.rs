//! Patterns of several folders, asked about names that need not be there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::literal_braces;

/// The folders' patterns. Paths are taken from the folder that all of them lie in.
#[derive(Debug, Default)]
pub struct Levels {
    /// The patterns that hold first for all, and each folder's own.
    first: Option<Gitignore>,
    folders: BTreeMap<PathBuf, Option<Gitignore>>,
}

impl Levels {
    /// With these patterns, which every folder's own decide over.
    pub fn new(first: &[String]) -> Self {
        Self { first: compile(Path::new(""), first.iter().map(String::as_str)), folders: BTreeMap::new() }
    }

    /// Whether a folder is known.
    pub fn has(&self, folder: &Path) -> bool {
        self.folders.contains_key(folder)
    }

    /// Adds a folder's patterns. A line that can't be read is passed over, as git does.
    pub fn add(&mut self, folder: &Path, text: Option<&[u8]>) {
        let text = text.map(String::from_utf8_lossy);
        let patterns = text.and_then(|text| {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            compile(folder, text.lines())
        });
        self.folders.insert(folder.to_owned(), patterns);
    }

    /// Whether a name, or a folder that it is in, is meant.
    pub fn name(&self, path: &Path, is_folder: bool) -> bool {
        let above = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        above.into_iter().any(|above| self.names_itself(above, true)) || self.names_itself(path, is_folder)
    }

    /// The nearest folder that says something decides, and in it the last line.
    fn names_itself(&self, path: &Path, is_folder: bool) -> bool {
        let own = path.ancestors().skip(1).filter_map(|folder| self.folders.get(folder)?.as_ref());
        let path = rooted(path);
        own.chain(&self.first)
            .find_map(|level| match level.matched(&path, is_folder) {
                Match::None => None,
                Match::Ignore(_) => Some(true),
                Match::Whitelist(_) => Some(false),
            })
            .unwrap_or(false)
    }
}

/// The library wants to see what a path is relative to.
fn rooted(path: &Path) -> PathBuf {
    Path::new(OsStr::new("/")).join(path)
}

fn compile<'a>(folder: &Path, lines: impl Iterator<Item = &'a str>) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new(rooted(folder));
    for line in lines {
        let _ = builder.add_line(None, &literal_braces(line));
    }
    builder.build().ok().filter(|patterns| !patterns.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_decides_and_what_is_in_a_folder_that_is_meant_is_meant() {
        let mut levels = Levels::new(&["*.key".to_owned()]);
        levels.add(Path::new(""), Some(b"/target\nlogs/\n*.tmp\n[\n"));
        levels.add(Path::new("sub"), Some(b"!*.tmp\n/only\n"));
        levels.add(Path::new("bare"), None);
        for (path, is_folder, meant) in [
            ("target", true, true),
            ("target/debug/x", false, true),
            ("sub/target", true, false),
            ("a/logs/x", false, true),
            ("a/logs", false, false),
            ("x.tmp", false, true),
            ("sub/x.tmp", false, false),
            ("sub/only", false, true),
            ("only", false, false),
            ("sub/deep/k.key", false, true),
        ] {
            assert_eq!(levels.name(Path::new(path), is_folder), meant, "{path}");
        }
    }
}
