//! Gathers what the `clawker` binary carries: the init for its architecture, as `OUT_DIR/clawker-init`, and the image
//! recipes, as `OUT_DIR/recipes.rs`. Without an init the file is empty, and the CLI says so when it needs one.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().ok_or("The crate stands in no workspace")?;
    gather_init(workspace, &out)?;
    gather_recipes(&workspace.join("dockerfile"), &out)
}

/// Copies the init that `CLAWKER_INIT_BIN` names, else the one that `scripts/build-init` leaves in `target/init`.
fn gather_init(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=CLAWKER_INIT_BIN");
    let named = env::var_os("CLAWKER_INIT_BIN").filter(|name| !name.is_empty()).map(PathBuf::from);
    let init = named.clone().unwrap_or_else(|| workspace.join("target/init/clawker-init"));
    println!("cargo:rerun-if-changed={}", init.display());

    let copy = out.join("clawker-init");
    match fs::read(&init) {
        Ok(bytes) => fs::write(copy, bytes)?,
        // A path that was named must be right; the usual place may still be empty, for `cargo check`.
        Err(error) if named.is_some() => {
            return Err(format!("Can't read CLAWKER_INIT_BIN {}: {error}", init.display()).into());
        }
        Err(_) => {
            println!(
                "cargo:warning=No target/init/clawker-init: this clawker carries no init; run scripts/build-init"
            );
            fs::write(copy, [])?;
        }
    }
    Ok(())
}

/// Writes a slice expression of (path, text) for every file below `dockerfile/`.
fn gather_recipes(folder: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    walk(folder, &mut files)?;
    files.sort();

    let mut source = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(folder)?.to_str().ok_or("A recipe's name is not UTF-8")?;
        let path = file.to_str().ok_or("A recipe's path is not UTF-8")?;
        writeln!(source, "    ({name:?}, include_str!({path:?})),")?;
    }
    source.push_str("]\n");
    fs::write(out.join("recipes.rs"), source)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
