//! `-v`: what an agent gets to see of the host besides its project, and what it must never see: clawker's own folders,
//! Docker's, sockets, devices, and whatever contains one of them.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Component, Path, PathBuf};

use clawker_protocol::places;

use crate::docker::Engine;
use crate::docker::address::Address;
use crate::paths::Paths;
use crate::workspace::canonical;

/// Folders in which the host's kernel and daemons are reached.
const SYSTEM: [(&str, &str); 6] = [
    ("/run", "where the host's daemons listen"),
    ("/proc", "where the host's kernel and processes are steered"),
    ("/sys", "where the host's kernel is steered"),
    ("/dev", "where the host's devices are"),
    ("/var/lib/containerd", "where other containers lie"),
    ("/etc/docker", "where Docker is configured"),
];

/// Names of volumes that begin like this are clawker's.
const OWN: &str = "clawker";

/// What is mounted where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// What.
    pub source: Source,
    /// Where in the container.
    pub target: String,
    /// Nobody writes to it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder or file of the host, as it was typed.
    Host(PathBuf),
    /// One of Docker's volumes; a new one without a name.
    Volume(Option<String>),
}

/// Why something is not mounted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// It is not there.
    #[error("Can't mount {}: {reason}", .path.display())]
    Missing {
        /// What.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file that leads elsewhere.
    #[error("Can't mount {}: it is {what}, which leads past the fence", .path.display())]
    Special {
        /// What.
        path: PathBuf,
        /// Its type.
        what: &'static str,
    },
    /// Docker's own socket.
    #[error(
        "Can't mount {}: whoever holds Docker's socket is root on the host; security.docker_socket decides about that",
        .0.display()
    )]
    Docker(PathBuf),
    /// It holds, or lies in, what agents never see.
    #[error(
        "Can't mount {}: it {} {}, {what}",
        .path.display(),
        if *.inside { "lies inside" } else { "contains" },
        .place.display()
    )]
    Kept {
        /// What.
        path: PathBuf,
        /// What is kept.
        place: PathBuf,
        /// What it is.
        what: &'static str,
        /// Which way round.
        inside: bool,
    },
    /// The agent could put a link in its place.
    #[error("Can't mount {}: it lies in the project, where the agent sees it anyway and could replace it", .0.display())]
    OfProject(PathBuf),
    /// It isn't what it was.
    #[error("{} is a link by now, to {}; remove the agent and make it again: clawker rm, then clawker run", .was.display(), .is.display())]
    Moved {
        /// What was mounted.
        was: PathBuf,
        /// Where it leads.
        is: PathBuf,
    },
    /// A volume of clawker's.
    #[error("Can't mount the volume {0}: names that begin with clawker are its own; choose another")]
    OwnVolume(String),
}

/// Reads `SOURCE:TARGET[:OPTIONS]` or `TARGET`.
///
/// # Errors
/// A sentence that shows the form, or says why a target isn't the agent's.
pub fn parse(text: &str) -> Result<Volume, String> {
    let wrong = || {
        let text = text.escape_default();
        format!("\"{text}\" is not a mount: write /data:/data, ./data:/data:ro or cache:/cache")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target_text, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] if !source.is_empty() => (*source, *target, ""),
        [source, target, options] if !source.is_empty() => (*source, *target, *options),
        _ => return Err(wrong()),
    };
    let mut read_only = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => read_only = true,
            // SELinux' relabelling is left to the engine's defaults; the mount is what the user wants.
            "rw" | "z" | "Z" => {}
            _ => return Err(wrong()),
        }
    }
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let source = if source.is_empty() {
        Source::Volume(None)
    } else if source.starts_with(['/', '.']) {
        Source::Host(PathBuf::from(source))
    } else if is_name(source) {
        Source::Volume(Some(source.to_owned()))
    } else {
        return Err(wrong());
    };
    Ok(Volume { source, target: target(target_text)?, read_only })
}

/// A place in the container that a mount may cover.
///
/// # Errors
/// A sentence, where it is none or init's or the kernel's.
pub fn target(text: &str) -> Result<String, String> {
    let path = Path::new(text);
    let shown = text.escape_default();
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("\"{shown}\" is not a place in the container: begin it with /, without .."));
    }
    // Docker takes away doubled and trailing slashes, too.
    let path: PathBuf = path.components().collect();
    let kept = [
        places::RUN_DIR,
        places::PUBLIC_DIR,
        places::LENT,
        places::KEPT,
        places::INIT,
        "/proc",
        "/sys",
        "/dev",
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/hostname",
    ];
    if path == Path::new("/") || kept.iter().any(|kept| path.starts_with(kept)) {
        return Err(format!("Nothing can be mounted at {shown}: init or the kernel is there"));
    }
    Ok(path.to_string_lossy().into_owned())
}

/// What no mount may reach.
#[derive(Debug, Clone)]
pub struct Kept {
    project: PathBuf,
    sockets: Vec<PathBuf>,
    places: Vec<(PathBuf, &'static str)>,
}

impl Kept {
    /// For a project's agents on this engine. `docker_root` is where the engine keeps what it has.
    pub fn new(paths: &Paths, engine: &Engine, docker_root: Option<&str>, project: &Path) -> Self {
        let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
        if let Address::Unix(socket) = &engine.address {
            sockets.push(socket.clone());
        }
        Self::of(paths, sockets, docker_root, project)
    }

    fn of(paths: &Paths, sockets: Vec<PathBuf>, docker_root: Option<&str>, project: &Path) -> Self {
        let mut places = vec![
            (paths.state.clone(), "where clawker keeps its state"),
            (paths.config.clone(), "where clawker keeps its settings"),
            (paths.cache.clone(), "where clawker keeps its cache"),
            (PathBuf::from(docker_root.unwrap_or("/var/lib/docker")), "where other containers lie"),
        ];
        places.extend(paths.worktrees().ok().map(|folder| (folder, "where clawker keeps worktrees")));
        places.extend(SYSTEM.map(|(place, what)| (PathBuf::from(place), what)));
        Self {
            project: canonical(project),
            sockets: sockets.iter().map(|socket| canonical(socket)).collect(),
            places: places.into_iter().map(|(place, what)| (canonical(&place), what)).collect(),
        }
    }

    /// The canonical path of something of the host, once it is known to be harmless.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn check(&self, source: &Path) -> Result<PathBuf, VolumeError> {
        let missing = |error: io::Error| VolumeError::Missing {
            path: source.to_owned(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => "it does not exist; make it first".to_owned(),
                _ => error.to_string(),
            },
        };
        let path = fs::canonicalize(source).map_err(missing)?;
        if path.to_str().is_none() {
            return Err(missing(io::Error::other("its name is not UTF-8")));
        }
        if self.sockets.contains(&path) {
            return Err(VolumeError::Docker(path));
        }
        for (place, what) in &self.places {
            let inside = path.starts_with(place);
            if inside || place.starts_with(&path) {
                return Err(VolumeError::Kept { path, place: place.clone(), what, inside });
            }
        }
        if let Some(socket) = self.sockets.iter().find(|socket| socket.starts_with(&path)) {
            let what = "Docker's socket, by which one is root on the host";
            return Err(VolumeError::Kept { path, place: socket.clone(), what, inside: false });
        }
        if path.starts_with(&self.project) {
            return Err(VolumeError::OfProject(path));
        }
        if self.project.starts_with(&path) {
            let (place, what) =
                (self.project.clone(), "whose protected files would be open to writing by another way");
            return Err(VolumeError::Kept { path, place, what, inside: false });
        }
        let kind = fs::metadata(&path).map_err(missing)?.file_type();
        let special = [
            (kind.is_socket(), "a socket"),
            (kind.is_fifo(), "a pipe"),
            (kind.is_block_device() || kind.is_char_device(), "a device"),
        ];
        match special.iter().find(|(is, _)| *is) {
            Some((_, what)) => Err(VolumeError::Special { path, what }),
            None => Ok(path),
        }
    }

    /// Looks again at what a container mounts, before its next start: Docker follows links at each.
    ///
    /// # Errors
    /// [`VolumeError`].
    pub fn check_again(&self, source: &Path) -> Result<(), VolumeError> {
        let now = self.check(source)?;
        if now == source { Ok(()) } else { Err(VolumeError::Moved { was: source.to_owned(), is: now }) }
    }

    /// As [`Self::check`] for every one, with typed paths taken from `cwd`.
    ///
    /// # Errors
    /// [`VolumeError`] of the first that isn't harmless.
    pub fn check_all(&self, volumes: &[Volume], cwd: &Path) -> Result<Vec<Volume>, VolumeError> {
        let one = |volume: &Volume| {
            let source = match &volume.source {
                Source::Host(path) => Source::Host(self.check(&cwd.join(path))?),
                Source::Volume(Some(name)) if name.starts_with(OWN) => {
                    return Err(VolumeError::OwnVolume(name.clone()));
                }
                Source::Volume(name) => Source::Volume(name.clone()),
            };
            Ok(Volume { source, ..volume.clone() })
        };
        volumes.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests;
