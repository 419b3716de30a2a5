//! The files of a project that its image is made of, read once: what is hashed, asked about and built from is the same
//! bytes. Links are never followed out of the project, and nothing of a file but its bytes and its mode counts, so that
//! a fresh clone is the same as an old one.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Component, Path};

use sha2::{Digest, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use crate::config::Loaded;
use crate::copy::{self, CopyError, Owner, Spot};
use crate::recipe::{self, Base, Copied, Recipe, RecipeError, Wanted};

/// All that one image may be made of, in bytes.
const MAX_LEN: usize = 256 << 20;
/// The Dockerfile's name in the build context.
const DOCKERFILE: &str = "Dockerfile";
/// Where a Dockerfile of the project's own finds what it may copy.
const OWN: &str = ".";

/// Why a project's image can't be described.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A value.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A path that could lead elsewhere.
    #[error("{key}: {path} lies outside of the project; copy it into the project first")]
    Outside {
        /// Which key.
        key: String,
        /// Which path.
        path: String,
    },
    /// A link in the place of a file.
    #[error("{key}: {path} is neither a file nor a folder; name what it leads to")]
    Kind {
        /// Which key.
        key: String,
        /// Which path.
        path: String,
    },
    /// A Dockerfile beside an image.
    #[error("build.image and build.dockerfile can't both be given; name the image in the Dockerfile's FROM")]
    Both,
    /// A Dockerfile that is no text.
    #[error("build.dockerfile: {0} is not UTF-8")]
    NotText(String),
    /// Too much.
    #[error("{key}: {path} makes the image's files larger than {limit} MiB; mount it with -v instead", limit = MAX_LEN >> 20)]
    TooLarge {
        /// Which key.
        key: String,
        /// Which path.
        path: String,
    },
    /// Reading failed.
    #[error("{key}")]
    Copy {
        /// Which key.
        key: String,
        /// Why.
        source: CopyError,
    },
}

/// The files, and what is asked for with them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The text of the project's own Dockerfile.
    pub dockerfile: Option<String>,
    /// One for each entry of `copy`.
    pub copied: Vec<Source>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// What an entry of `copy` names.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it is to be copied, with the file's own name where a folder was named for it.
    pub entry: Copied,
    /// What it holds: hex digits.
    pub hash: String,
    /// By its path below the source, which is empty for the source itself.
    files: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: Vec<u8>,
    kind: EntryType,
    mode: u32,
    link: Vec<u8>,
    content: Vec<u8>,
}

impl Sources {
    /// Reads them.
    ///
    /// # Errors
    /// [`SourceError`], naming the key.
    pub fn read(loaded: &Loaded) -> Result<Self, SourceError> {
        let build = &loaded.config.build;
        let mut sources = Self::default();
        if let Some(path) = &build.dockerfile {
            if build.image.is_some() {
                return Err(SourceError::Both);
            }
            sources.dockerfile = Some(sources.text(loaded, path)?);
        }
        let mut room = MAX_LEN;
        for (index, entry) in build.instructions.copy.iter().enumerate() {
            let key = format!("build.instructions.copy[{index}]");
            let files = sources.entries(&loaded.dir, Path::new(&entry.src), &key, &mut room)?;
            let mut entry = entry.clone();
            let is_file = files.first().is_some_and(|first| first.kind == EntryType::Regular);
            if let (true, true, Some(name)) =
                (is_file, entry.dest.ends_with('/'), Path::new(&entry.src).file_name())
            {
                entry.dest.push_str(&name.to_string_lossy());
            }
            sources.copied.push(Source { hash: hash(&files), entry, files });
        }
        // What can't be said in a Dockerfile is found before anybody is asked anything.
        sources.recipe(loaded, build.image.as_deref().unwrap_or("scratch"))?;
        Ok(sources)
    }

    /// The Dockerfile, upon this image unless the project has one of its own.
    ///
    /// # Errors
    /// [`RecipeError`].
    pub fn recipe(&self, loaded: &Loaded, image: &str) -> Result<Recipe, RecipeError> {
        let build = &loaded.config.build;
        let mut instructions = build.instructions.clone();
        instructions.copy = self.copied.iter().map(|source| source.entry.clone()).collect();
        let base = self.dockerfile.as_deref().map_or(Base::Image(image), Base::Dockerfile);
        recipe::dockerfile(&Wanted { base, packages: &build.packages, instructions: &instructions })
    }

    /// The build context: the Dockerfile and what `copy` names, nothing else of the project's.
    ///
    /// # Errors
    /// None that memory doesn't give.
    pub fn context(&self, dockerfile: &str) -> io::Result<Vec<u8>> {
        let mut builder = Builder::new(Vec::new());
        let mut header = header(EntryType::Regular, 0o644);
        header.set_size(u64::try_from(dockerfile.len()).unwrap_or(u64::MAX));
        builder.append_data(&mut header, DOCKERFILE, dockerfile.as_bytes())?;
        for (index, source) in self.copied.iter().enumerate() {
            append(&mut builder, Path::new(&recipe::staged(index)), &source.files)?;
            // Under its own name as well, for the COPY of such a Dockerfile.
            if self.dockerfile.is_some() {
                append(&mut builder, &Path::new(OWN).join(&source.entry.src), &source.files)?;
            }
        }
        builder.into_inner()
    }

    /// A Dockerfile's text: in the project, or where the user's own settings have it.
    fn text(&mut self, loaded: &Loaded, path: &Path) -> Result<String, SourceError> {
        let key = "build.dockerfile";
        let shown = path.display().to_string();
        let bytes = if loaded.is_of_user(key) {
            std::fs::read(path).map_err(|source| SourceError::Copy {
                key: key.to_owned(),
                source: CopyError::Io { verb: "read", path: path.to_owned(), source },
            })?
        } else {
            let files = self.entries(&loaded.dir, path, key, &mut recipe_room())?;
            match files.into_iter().next() {
                Some(file) if file.kind == EntryType::Regular => file.content,
                _ => return Err(SourceError::Kind { key: key.to_owned(), path: shown }),
            }
        };
        String::from_utf8(bytes).map_err(|_| SourceError::NotText(shown))
    }

    /// What a path of the project holds, the uppermost first.
    fn entries(
        &mut self,
        project: &Path,
        path: &Path,
        key: &str,
        room: &mut usize,
    ) -> Result<Vec<Entry>, SourceError> {
        let shown = path.display().to_string();
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if path.as_os_str().is_empty() || !path.components().all(inside) {
            return Err(SourceError::Outside { key: key.to_owned(), path: shown });
        }
        let failed = |source| SourceError::Copy { key: key.to_owned(), source };
        // Without the dots and the slash at its end: the last part is looked at, not what it leads to.
        let bare: std::path::PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        let bare = if bare.as_os_str().is_empty() { Path::new(".") } else { &bare };
        let spot = Spot::source(bare, project, &[project.to_owned()]).map_err(failed)?;
        let mut packed = Bounded { bytes: Vec::new(), room: *room, full: false };
        let name = OsStr::new("source");
        let left_out = copy::pack(&mut packed, &spot, Some(name), Owner { uid: 0, gid: 0 });
        if packed.full {
            return Err(SourceError::TooLarge { key: key.to_owned(), path: shown });
        }
        self.notes
            .extend(left_out.map_err(failed)?.iter().map(|one| format!("Left out of the image: {one}")));
        *room -= packed.bytes.len();
        let files = unpacked(&packed.bytes, name).map_err(|error| failed(CopyError::Archive(error)))?;
        match files.first().map(|first| first.kind) {
            Some(EntryType::Regular | EntryType::Directory) => Ok(files),
            _ => Err(SourceError::Kind { key: key.to_owned(), path: shown }),
        }
    }
}

/// What a Dockerfile may be long.
fn recipe_room() -> usize {
    4 << 20
}

/// In the order of the paths, whatever order the folder has them in.
fn unpacked(archive: &[u8], name: &OsStr) -> io::Result<Vec<Entry>> {
    let mut files = Vec::new();
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let path = path.strip_prefix(name).unwrap_or(&path).as_os_str().as_encoded_bytes().to_vec();
        let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
        let (kind, mode) = (entry.header().entry_type(), entry.header().mode()?);
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.push(Entry { path, kind, mode, link, content });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Each part with its length before it, so that none runs into the next.
fn hash(files: &[Entry]) -> String {
    let mut hash = Sha256::new();
    for Entry { path, kind, mode, link, content } in files {
        hash.update([kind.as_byte()]);
        hash.update(mode.to_be_bytes());
        for part in [path, link, content] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
    }
    super::hex(&hash.finalize())
}

fn append(builder: &mut Builder<Vec<u8>>, top: &Path, files: &[Entry]) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    for Entry { path, kind, mode, link, content } in files {
        let path = if path.is_empty() { top.to_owned() } else { top.join(OsStr::from_bytes(path)) };
        let mut header = header(*kind, *mode);
        if *kind == EntryType::Symlink {
            builder.append_link(&mut header, &path, Path::new(OsStr::from_bytes(link)))?;
        } else {
            header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
            builder.append_data(&mut header, &path, content.as_slice())?;
        }
    }
    Ok(())
}

/// Of root's, from 1970: Docker's cache goes by content alone.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

/// Memory up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    room: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > self.room {
            self.full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.write(part)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
