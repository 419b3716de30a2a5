//! What the host's project has of a name.

use std::io;
use std::path::Path;

use super::node::{Hashing, MODE, Node};
use crate::workspace::beneath::{Beneath, Sort};

/// What is there; `Other` also where it can't be told, or a link leads to it, so that it counts as nobody's to write.
pub fn node(host: &Beneath, path: &Path) -> Option<Node> {
    if path.as_os_str().is_empty() {
        return Some(Node::Folder);
    }
    match host.sort(path) {
        Ok(None) => None,
        Ok(Some(sort)) => Some(read(host, path, sort).unwrap_or(Node::Other)),
        Err(_) => Some(Node::Other),
    }
}

fn read(host: &Beneath, path: &Path, sort: Sort) -> io::Result<Node> {
    Ok(match sort {
        Sort::Folder => Node::Folder,
        Sort::Link => Node::Link(host.target(path)?),
        Sort::Other => Node::Other,
        Sort::File => {
            let file = host.file(path)?;
            let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata()?) & MODE;
            let mut content = Hashing::new(file);
            io::copy(&mut content, &mut io::sink())?;
            let (hash, len) = content.finish();
            Node::File { hash, len, mode }
        }
    })
}
