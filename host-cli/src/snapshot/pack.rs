//! A project as a tar stream: read through folders that are held open, so that nobody who renames beside us leads it out of
//! the project. Memory stays bounded: chunks wait until Docker takes them. What was sent is recorded on the way.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nix::fcntl::OFlag;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc::Sender;

use crate::launch::Interrupt;
use crate::pull::base;
use crate::pull::hold::is_git;
use crate::pull::node::{Hashing, MODE, Node};

/// The folder in the stream that becomes the project; one of its own, so that its owner is set as well.
pub const FOLDER: &str = "project";
/// Bytes a chunk.
const CHUNK: usize = 256 << 10;

/// Why a project can't be copied.
#[derive(Debug, thiserror::Error)]
#[error("Can't copy {}: {source}", .path.display())]
pub struct PackError {
    path: PathBuf,
    source: io::Error,
}

/// What to pack.
pub struct Job<B: Write> {
    /// The project.
    pub root: PathBuf,
    /// What stays out, with all that is in it; from the project's folder.
    pub hidden: BTreeSet<PathBuf>,
    /// To whom everything belongs.
    pub owner: (u32, u32),
    /// Where it is recorded.
    pub base: base::Writer<B>,
}

/// Where the stream goes; says when it is to end.
pub struct Sink {
    sender: Sender<Bytes>,
    interrupt: Interrupt,
    done: Arc<AtomicU64>,
    chunk: Vec<u8>,
}

impl Sink {
    /// `done` counts bytes.
    pub fn new(sender: Sender<Bytes>, interrupt: Interrupt, done: Arc<AtomicU64>) -> Self {
        Self { sender, interrupt, done, chunk: Vec::with_capacity(CHUNK) }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.interrupt.came() {
            return Err(io::Error::other("interrupted"));
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.done.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.sender.blocking_send(Bytes::from(chunk)).map_err(|_| io::Error::other("Docker took no more"))
    }
}

impl<B: Write> Job<B> {
    /// Packs all of it; how many sockets, pipes and devices were left out.
    ///
    /// # Errors
    /// [`PackError`] of the first that can't be read, sent or recorded.
    pub fn pack<W: Write>(self, sink: W) -> Result<u64, PackError> {
        let mut packing =
            Packing { builder: Builder::new(sink), linked: HashMap::new(), skipped: 0, job: self };
        let root = packing.job.root.clone();
        let failed = |source| PackError { path: root.clone(), source };
        let folder = open(&root, OFlag::O_DIRECTORY).map_err(failed)?;
        packing.folder(&folder, Path::new(""))?;
        for path in &packing.job.hidden {
            packing.job.base.hidden(path).map_err(failed)?;
        }
        packing.job.base.finish().map_err(failed)?;
        let mut sink = packing.builder.into_inner().map_err(failed)?;
        sink.flush().map_err(failed)?;
        Ok(packing.skipped)
    }
}

fn open(path: &Path, more: OFlag) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | more;
    OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)
}

struct Packing<W: Write, B: Write> {
    builder: Builder<W>,
    /// Where a file with several names went first, and what it was.
    linked: HashMap<(u64, u64), (PathBuf, Node)>,
    skipped: u64,
    job: Job<B>,
}

impl<W: Write, B: Write> Packing<W, B> {
    /// Records what was packed. What is in a `.git` never comes back as files.
    fn record(&mut self, path: &Path, node: &Node) -> io::Result<()> {
        let in_git = path.parent().is_some_and(|folder| folder.iter().any(is_git));
        if in_git { Ok(()) } else { self.job.base.node(path, node) }
    }

    fn folder(&mut self, folder: &File, path: &Path) -> Result<(), PackError> {
        let shown = self.job.root.join(path);
        let failed = |source| PackError { path: shown.clone(), source };
        let about = folder.metadata().map_err(failed)?;
        let mut header = self.header(&about, EntryType::Directory);
        self.builder.append_data(&mut header, Path::new(FOLDER).join(path), io::empty()).map_err(failed)?;
        self.record(path, &Node::Folder).map_err(failed)?;
        // The kernel's own link to the open folder: what is named behind it is in there, wherever it was moved.
        let here = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        for entry in fs::read_dir(&here).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let below = path.join(&name);
            if !self.job.hidden.contains(&below) {
                self.entry(&here.join(&name), &below)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, real: &Path, path: &Path) -> Result<(), PackError> {
        let shown = self.job.root.join(path);
        let failed = |source| PackError { path: shown.clone(), source };
        let about = match fs::symlink_metadata(real) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            about => about.map_err(failed)?,
        };
        let target = Path::new(FOLDER).join(path);
        if about.is_dir() {
            let folder = open(real, OFlag::O_DIRECTORY).map_err(failed)?;
            return self.folder(&folder, path);
        }
        if about.is_symlink() {
            let leads_to = fs::read_link(real).map_err(failed)?;
            let mut header = self.header(&about, EntryType::Symlink);
            self.builder.append_link(&mut header, target, &leads_to).map_err(failed)?;
            return self.record(path, &Node::Link(leads_to)).map_err(failed);
        }
        if !about.is_file() {
            self.skipped += 1;
            return Ok(());
        }
        let file = open(real, OFlag::empty()).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return Err(failed(io::Error::other("it was replaced meanwhile")));
        }
        let inode = (about.dev(), about.ino());
        if let Some((first, node)) = self.linked.get(&inode).cloned() {
            let mut header = self.header(&about, EntryType::Link);
            self.builder.append_link(&mut header, target, first).map_err(failed)?;
            return self.record(path, &node).map_err(failed);
        }
        let mut header = self.header(&about, EntryType::Regular);
        header.set_size(about.len());
        // One that shrinks meanwhile is filled up: its length has been said.
        let mut content = Hashing::new(file.chain(io::repeat(0)).take(about.len()));
        self.builder.append_data(&mut header, &target, &mut content).map_err(failed)?;
        let (hash, len) = content.finish();
        let node = Node::File { hash, len, mode: about.mode() & MODE };
        self.record(path, &node).map_err(failed)?;
        if about.nlink() > 1 {
            self.linked.insert(inode, (target, node));
        }
        Ok(())
    }

    fn header(&self, about: &Metadata, kind: EntryType) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        // Without set-id bits: the owner is another.
        header.set_mode(about.mode() & 0o1777);
        header.set_uid(self.job.owner.0.into());
        header.set_gid(self.job.owner.1.into());
        header.set_mtime(u64::try_from(about.mtime()).unwrap_or_default());
        header
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn all_but_what_is_hidden_is_packed_as_it_is() {
        let root = std::env::temp_dir().join(format!("clawker-pack-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let long = "d/".repeat(120);
        fs::create_dir_all(root.join(&long)).unwrap();
        fs::create_dir_all(root.join("secrets/deep")).unwrap();
        let odd = Path::new(OsStr::from_bytes(b"n\xff\n"));
        for (name, text) in [(Path::new("a b"), "1"), (odd, "2"), (Path::new("secrets/deep/k"), "3")] {
            fs::write(root.join(name), text).unwrap();
        }
        fs::write(root.join(&long).join("end"), "4").unwrap();
        fs::hard_link(root.join("a b"), root.join("z")).unwrap();
        symlink("/etc/passwd", root.join("out")).unwrap();
        fs::set_permissions(root.join("a b"), fs::Permissions::from_mode(0o4751)).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();

        fs::create_dir_all(root.join(".git/objects")).unwrap();
        fs::write(root.join(".git/HEAD"), "5").unwrap();

        let recorded = root.with_extension("base");
        let base = base::Writer::begin(File::create(&recorded).unwrap(), "7", "image").unwrap();
        let job = Job { root: root.clone(), hidden: ["secrets".into()].into(), owner: (1001, 1002), base };
        let mut bytes = Vec::new();
        assert_eq!(job.pack(&mut bytes).unwrap(), 1);
        let mut seen = HashMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap().map(Result::unwrap) {
            let header = entry.header().clone();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (1001, 1002));
            let path = entry.path().unwrap().strip_prefix(FOLDER).unwrap().to_owned();
            let leads_to = entry.link_name().unwrap().map(|link| link.into_owned());
            let text = io::read_to_string(entry).unwrap();
            seen.insert(path, (header.entry_type(), header.mode().unwrap(), leads_to, text));
        }
        fs::remove_dir_all(&root).unwrap();
        let base = base::Base::load(&recorded).unwrap().unwrap();
        fs::remove_file(recorded).unwrap();
        assert_eq!((base.number.as_str(), base.hidden.len()), ("7", 1));
        assert_eq!(base.tree[Path::new("z")], base.tree[Path::new("a b")], "two names of a file");
        assert_eq!(base.tree[Path::new("out")], Node::Link("/etc/passwd".into()));
        // What is packed is recorded, but for what is in the repository.
        let all: Vec<_> =
            seen.keys().filter(|path| !path.starts_with(".git") || *path == Path::new(".git")).collect();
        assert_eq!(base.tree.len(), all.len());
        assert!(all.iter().all(|path| base.tree.contains_key(*path)));
        assert_eq!(seen[Path::new(".git/HEAD")].3, "5");
        assert_eq!(seen[Path::new("")].0, EntryType::Directory);
        assert_eq!(seen[odd].3, "2");
        assert_eq!(seen[&Path::new(&long).join("end")].3, "4");
        assert_eq!(seen[Path::new("out")].2.as_deref(), Some(Path::new("/etc/passwd")));
        assert!(seen.keys().all(|path| !path.starts_with("secrets") && path != Path::new("pipe")));
        // Whichever of the two names came first holds the content.
        let (one, other) = (&seen[Path::new("a b")], &seen[Path::new("z")]);
        let (file, link) = if one.0 == EntryType::Regular { (one, other) } else { (other, one) };
        assert_eq!((file.1, file.3.as_str(), link.0), (0o751, "1", EntryType::Link));
    }
}
