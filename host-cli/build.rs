//! Gathers what the `clawker` binary carries: the init and the probe of `clawker prove` for its architecture, as
//! `OUT_DIR/clawker-init` and `OUT_DIR/prove`, and the image recipes, as `OUT_DIR/recipes.rs`. Without an init or a
//! probe the file is empty, and the CLI says so when it needs one.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let workspace = manifest.parent().ok_or("The crate stands in no workspace")?;
    gather(&INIT, workspace, &out)?;
    gather(&PROBE, workspace, &out)?;
    gather_recipes(&workspace.join("dockerfile"), &out)
}

/// A static program that the binary carries.
struct Carried {
    /// Names it, where it isn't in its usual place.
    variable: &'static str,
    /// Its usual place in the workspace, where `scripts/build` leaves it.
    place: &'static str,
    /// Its name in `OUT_DIR`.
    name: &'static str,
}

const INIT: Carried =
    Carried { variable: "CLAWKER_INIT_BIN", place: "target/init/clawker-init", name: "clawker-init" };
const PROBE: Carried = Carried { variable: "CLAWKER_PROVE_BIN", place: "target/static/prove", name: "prove" };

/// Copies the program that the variable names, else the one in its usual place.
fn gather(carried: &Carried, workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let Carried { variable, place, name } = carried;
    println!("cargo:rerun-if-env-changed={variable}");
    let named = env::var_os(variable).filter(|named| !named.is_empty()).map(PathBuf::from);
    let file = named.clone().unwrap_or_else(|| workspace.join(place));
    println!("cargo:rerun-if-changed={}", file.display());

    let copy = out.join(name);
    match fs::read(&file) {
        Ok(bytes) => fs::write(copy, bytes)?,
        // A path that was named must be right; the usual place may still be empty, for `cargo check`.
        Err(error) if named.is_some() => {
            return Err(format!("Can't read {variable} {}: {error}", file.display()).into());
        }
        Err(_) => {
            println!("cargo:warning=No {place}: this clawker carries no {name}; run scripts/build");
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
