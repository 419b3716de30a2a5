//! Copies between the host and an agent's container, for `clawker cp`. Both ends may hold what an agent made to lead a
//! copy astray: links in a project's folder, links and odd files in an archive. Each file is opened from the folder
//! above it and never through a link, so that nothing is read or written outside of what was named, whatever the agent
//! changes meanwhile.

mod incoming;
mod pack;
mod place;
mod tree;
mod unpack;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use incoming::Incoming;
pub use pack::{Owner, pack};
pub use place::{Place, Spot, open_folder};
pub use unpack::unpack;

/// Why a copy was not made, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file or folder of the host.
    #[error("Can't {verb} {path}", path = .path.display())]
    Io {
        /// `read`, `write`, `open`.
        verb: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A link that the agent could have made.
    #[error("{path} leads out of the project by a link; name the place that it leads to", path = .0.display())]
    LeadsOut(PathBuf),
    /// A link where a folder should be.
    #[error("{path} is a link or a file where a folder should be; remove it or copy elsewhere", path = .0.display())]
    InTheWay(PathBuf),
    /// Folders within folders.
    #[error("{path} lies too deep", path = .0.display())]
    TooDeep(PathBuf),
    /// Docker's archive breaks off.
    #[error("The copy broke off")]
    Archive(#[source] std::io::Error),
}

impl CopyError {
    fn io(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(nix::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { verb, path, source: error.into() }
    }
}
