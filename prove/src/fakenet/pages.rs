//! Files that a test puts in a site's place: what a registry, a proxy of modules or a repository is made of, as far as
//! its client only reads. Paths are taken as they came, so that `%2f` in one is a character of a file's name.

use std::path::{Path, PathBuf};

/// The folder with a folder a site.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    folder: Option<PathBuf>,
}

/// What a site has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// This site has no files: it answers as every other.
    NoSite,
    /// It has, and none there.
    Missing,
    /// A file, and its media type.
    File(&'static str, Vec<u8>),
}

impl Pages {
    /// The sites of a folder; none without one.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// What `host` has at `path`. A path that ends with a slash is its `index.html`.
    pub fn find(&self, host: &str, path: &str) -> Page {
        let host = host.to_ascii_lowercase();
        let Some(site) = self.folder.as_ref().map(|folder| folder.join(&host)) else { return Page::NoSite };
        if host.is_empty() || host.starts_with('.') || host.contains('/') || !site.is_dir() {
            return Page::NoSite;
        }
        let Some(relative) = path.strip_prefix('/') else { return Page::Missing };
        if relative.split('/').any(|part| part == "..") || relative.starts_with('/') {
            return Page::Missing;
        }
        let mut file = site.join(relative);
        if relative.is_empty() || relative.ends_with('/') {
            file.push("index.html");
        }
        std::fs::read(&file).map_or(Page::Missing, |bytes| Page::File(media_type(&file), bytes))
    }
}

fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_serves_its_files_and_nothing_beside_them() {
        let folder = std::env::temp_dir().join(format!("clawker-pages-{}", std::process::id()));
        let site = folder.join("a.test");
        std::fs::create_dir_all(site.join("simple/x")).unwrap();
        for (file, text) in [("@s%2fn", "scoped"), ("simple/x/index.html", "list"), ("../secret", "no")] {
            std::fs::write(site.join(file), text).unwrap();
        }
        let pages = Pages::new(Some(folder.clone()));
        let find = |path| pages.find("A.test", path);
        assert_eq!(find("/@s%2fn"), Page::File("application/octet-stream", b"scoped".to_vec()));
        assert_eq!(find("/simple/x/"), Page::File("text/html", b"list".to_vec()));
        for path in ["/none", "/", "/simple/x", "/../secret", "//secret", "*", "/simple/../../secret"] {
            assert_eq!(find(path), Page::Missing, "{path}");
        }
        for host in ["b.test", "", "..", "a.test/simple"] {
            assert_eq!(pages.find(host, "/"), Page::NoSite, "{host}");
        }
        assert_eq!(Pages::default().find("a.test", "/"), Page::NoSite);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
