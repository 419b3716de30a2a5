//! The fake internet's image: its static binary and nothing else.

use std::path::{Path, PathBuf};

use super::RigError;
use super::docker::{docker, run_with_input};

/// Names the binary, where it isn't in its usual place.
pub const BINARY_VARIABLE: &str = "CLAWKER_FAKENET_BIN";

/// Where the binary is: the variable's value, else `target/static/fakenet`.
pub fn binary() -> PathBuf {
    std::env::var_os(BINARY_VARIABLE)
        .map_or_else(|| super::workspace().join("target/static/fakenet"), PathBuf::from)
}

/// The images' name before the colon.
pub const REPOSITORY: &str = "clawker-fakenet";

/// Makes the image from the binary.
///
/// # Errors
/// When the binary can't be read, or Docker refuses.
pub fn import(binary: &Path, name: &str) -> Result<(), RigError> {
    let archive = archive(binary).map_err(|error| RigError::File(binary.to_owned(), error))?;
    run_with_input("docker", &["import", "--change", "ENTRYPOINT [\"/fakenet\"]", "-", name], &archive)?;
    Ok(())
}

/// Removes the images of all rigs, and what still runs from them.
pub fn remove_all() {
    for id in docker(&["image", "ls", "-q", REPOSITORY]).unwrap_or_default().lines() {
        let from_it = format!("ancestor={id}");
        for container in docker(&["ps", "-aq", "--filter", &from_it]).unwrap_or_default().lines() {
            let _ = docker(&["rm", "-f", container]);
        }
        let _ = docker(&["image", "rm", "-f", id]);
    }
}

fn archive(binary: &Path) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_path_with_name(binary, "fakenet")?;
    archive.into_inner()
}
