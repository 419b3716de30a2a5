//! Both sides of a change as contents to be compared. What a file was when it was copied is not kept: it is the host's
//! file, as long as that is unchanged.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::hold::is_git;
use super::node::{Hash, Node};
use super::plan::{Change, How};
use super::spool::Spool;
use super::text::{self, Line, MAX_TEXT, Style};
use crate::workspace::beneath::Beneath;

/// A content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Absent,
    /// Text.
    Text(Vec<u8>),
    /// No text.
    Binary,
    /// More than is shown.
    Large,
    /// It is not here any more.
    Unknown,
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        if text::is_binary(&bytes) { Self::Binary } else { Self::Text(bytes) }
    }

    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Absent => Some(&[]),
            Self::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn of_read(bytes: io::Result<Vec<u8>>) -> Self {
        match bytes {
            Ok(bytes) => Self::of(bytes),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Self::Large,
            Err(_) => Self::Unknown,
        }
    }
}

/// Both sides.
#[derive(Debug)]
pub struct Sides {
    /// What was copied, or what the host has now.
    pub old: Content,
    /// The agent's.
    pub new: Content,
    /// The host's file is not what was copied.
    pub against_host: bool,
}

impl Sides {
    /// Of a change.
    pub fn of(change: &Change, host: &Beneath, spool: &Spool) -> Self {
        let (old, against_host) = match &change.base {
            Some(Node::File { hash, .. }) => old(host, &change.path, hash),
            other => (plain(other.as_ref()), false),
        };
        let new = match &change.agent {
            Some(Node::File { len, .. }) if *len > MAX_TEXT => Content::Large,
            Some(Node::File { hash, .. }) => new(spool, hash),
            other => plain(other.as_ref()),
        };
        Self { old, new, against_host }
    }

    /// How many lines are added and removed; `None` where they aren't text, or not both known.
    pub fn count(&self, until: Instant) -> Option<(usize, usize)> {
        let (old, new) = self.texts()?;
        Some(text::count(old, new, until))
    }

    /// Whether either is no text.
    pub fn is_binary(&self) -> bool {
        self.old == Content::Binary || self.new == Content::Binary
    }

    fn texts(&self) -> Option<(&[u8], &[u8])> {
        Some((self.old.text()?, self.new.text()?))
    }
}

fn plain(node: Option<&Node>) -> Content {
    match node {
        Some(Node::Link(target)) => Content::Text(target.as_os_str().as_bytes().to_vec()),
        _ => Content::Absent,
    }
}

fn old(host: &Beneath, path: &Path, hash: &Hash) -> (Content, bool) {
    let bytes = host.read(path, MAX_TEXT);
    let differs = bytes.as_ref().is_ok_and(|bytes| Hash::from(Sha256::digest(bytes)) != *hash);
    (Content::of_read(bytes), differs)
}

fn new(spool: &Spool, hash: &Hash) -> Content {
    let Some(mut content) = spool.content(hash) else { return Content::Unknown };
    let mut bytes = Vec::new();
    Content::of_read(content.read_to_end(&mut bytes).map(|_| bytes))
}

/// Appends a change as git would write it.
pub fn render(to: &mut Vec<u8>, style: Style, change: &Change, sides: &Sides, until: Instant) {
    if change.how() == How::Type && !change.path.iter().any(is_git) {
        let part = |base: Option<Node>, agent: Option<Node>, old: Content, new: Content| {
            let sides = Sides { old, new, against_host: sides.against_host };
            (Change { path: change.path.clone(), base, agent }, sides)
        };
        let gone = part(change.base.clone(), None, sides.old.clone(), Content::Absent);
        let come = part(None, change.agent.clone(), Content::Absent, sides.new.clone());
        for (change, sides) in [gone, come] {
            render(to, style, &change, &sides, until);
        }
        return;
    }
    let remark = |to: &mut Vec<u8>, text: &str| {
        style.line(to, Line::Plain, "# ", format!("{} {text}", text::name("", &change.path)).as_bytes());
    };
    let (a, b) = (text::name("a/", &change.path), text::name("b/", &change.path));
    let (was, is) = (change.base.as_ref().and_then(mode), change.agent.as_ref().and_then(mode));
    if change.path.iter().any(is_git) {
        return remark(to, "is git's own, and not shown");
    }
    match (&change.base, &change.agent) {
        (_, Some(Node::Folder)) => return remark(to, "is a new folder, and empty"),
        (Some(Node::Folder), _) => return remark(to, "was a folder"),
        (_, Some(Node::Other)) => return remark(to, "is neither file, folder nor link"),
        _ => {}
    }
    if sides.against_host {
        remark(to, "was changed here as well; this compares it with the project's file as it is now");
    }
    let head = |to: &mut Vec<u8>, text: String| style.line(to, Line::Head, "", text.as_bytes());
    head(to, format!("diff --git {a} {b}"));
    match (was, is) {
        (None, Some(mode)) => head(to, format!("new file mode {mode}")),
        (Some(mode), None) => head(to, format!("deleted file mode {mode}")),
        (Some(was), Some(is)) if was != is => {
            head(to, format!("old mode {was}"));
            head(to, format!("new mode {is}"));
        }
        _ => {}
    }
    if change.how() == How::Mode {
        return;
    }
    match sides.texts() {
        Some((old, new)) if old != new => {
            // As git does it, so that a name with a blank in it ends where it ends.
            let end = if change.path.as_os_str().as_bytes().contains(&b' ') { "\t" } else { "" };
            let side = |name: &str, is_there: bool| match is_there {
                true => format!("{name}{end}"),
                false => "/dev/null".to_owned(),
            };
            head(to, format!("--- {}", side(&a, was.is_some())));
            head(to, format!("+++ {}", side(&b, is.is_some())));
            text::hunks(to, style, old, new, until);
        }
        Some(_) => {}
        None if sides.is_binary() => {
            style.line(to, Line::Plain, "", format!("Binary files {a} and {b} differ").as_bytes());
        }
        None if sides.old == Content::Unknown => remark(to, "is not here any more to be compared with"),
        None => remark(to, "is longer than 4 MB and not shown"),
    }
}

/// A mode as git has it.
fn mode(node: &Node) -> Option<&'static str> {
    match node {
        Node::File { .. } if node.is_executable() => Some("100755"),
        Node::File { .. } => Some("100644"),
        Node::Link(_) => Some("120000"),
        Node::Folder | Node::Other => None,
    }
}
