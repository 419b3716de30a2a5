//! From what a project asks of its image to the text of a Dockerfile. A pure function: it looks at no file and no
//! image, so the same values always give the same text, which can be shown before anything is built.
//!
//! One recipe fits Debian, Ubuntu and Alpine bases: which package manager is there is asked in the build, by a shell
//! `if`, because neither a base's name nor its absence from this machine says so reliably.

mod instructions;
mod quote;

use std::fmt::Write as _;

pub use instructions::{Copied, Instructions};

/// The agent's uid and gid.
const AGENT: u32 = 1001;
/// Makes sure that the agent's uid has an account with a home, with what every base has: a shell and grep.
/// A uid that the base gave to someone keeps its name.
const ACCOUNT: &str = include_str!("account.sh");
/// Installs its arguments with the base's package manager.
const PACKAGES: &str = include_str!("packages.sh");

/// Why there is no recipe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// A line break, or another control character.
    #[error(
        "{key} holds a control character or a line break, which a Dockerfile can't say there; write a file in root_run instead"
    )]
    Control {
        /// Which key.
        key: String,
    },
    /// Something that its place can't hold.
    #[error("{key}: {value:?} is not {wanted}")]
    Form {
        /// Which key.
        key: String,
        /// What stands there.
        value: String,
        /// What has to.
        wanted: &'static str,
    },
    /// Past what builders read.
    #[error("{key} is longer than the 64 KiB that a Dockerfile's line may have; copy a script and run that")]
    Long {
        /// Which key.
        key: String,
    },
}

/// What is built upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base<'a> {
    /// An image, by its reference.
    Image(&'a str),
    /// A Dockerfile's text.
    Dockerfile(&'a str),
}

/// What a recipe is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// What is built upon.
    pub base: Base<'a>,
    /// Packages of the base's distribution.
    pub packages: &'a [String],
    /// The rest.
    pub instructions: &'a Instructions,
}

/// Where the build context has the `index`th entry of `copy`: no name of the project's stands in the recipe, so that
/// none is taken for a pattern.
pub fn staged(index: usize) -> String {
    format!("copy/{index}")
}

/// A Dockerfile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Its text.
    pub text: String,
    /// The key that each of its last instructions comes from; after a Dockerfile of the project's own, only those that
    /// follow it.
    pub keys: Vec<String>,
}

/// The Dockerfile.
///
/// # Errors
/// [`RecipeError`], naming the key.
pub fn dockerfile(wanted: &Wanted<'_>) -> Result<Recipe, RecipeError> {
    let Instructions { args, labels, env, copy, root_run, user_run } = wanted.instructions;
    let mut recipe = Recipe::default();
    match wanted.base {
        Base::Image(reference) => {
            let base = "an image's reference, like debian:13 or debian@sha256:...";
            form("build.image", reference, base, is_reference)?;
            recipe.line("build.image", &format!("FROM {reference}"))?;
        }
        Base::Dockerfile(text) => recipe.text = complete(text)?,
    }
    recipe.line(OURS, "USER 0:0")?;
    for (verb, key, values) in [("ARG", "args", args), ("LABEL", "labels", labels), ("ENV", "env", env)] {
        for (name, value) in values {
            let key = format!("build.instructions.{key}.{name}");
            let (wanted, is_right): (_, fn(&str) -> bool) = match verb {
                "LABEL" => ("a label: letters, digits, '.', '-', '_' and '/'", is_label),
                _ => ("a variable's name: letters, digits and '_', no digit first", is_variable),
            };
            form(&key, name, wanted, is_right)?;
            recipe.line(&key, &format!("{verb} {name}={}", quote::word(&key, value)?))?;
        }
    }
    for name in wanted.packages {
        let wanted = "a package's name, like jq, g++ or nodejs=22.1-r0";
        form("build.packages", name, wanted, is_package)?;
    }
    if !wanted.packages.is_empty() {
        let mut words = vec!["/bin/sh", "-ec", PACKAGES, "packages"];
        words.extend(wanted.packages.iter().map(String::as_str));
        recipe.line("build.packages", &format!("RUN {}", quote::json(&words)))?;
    }
    recipe.line(OURS, &format!("RUN {}", quote::json(&["/bin/sh", "-ec", ACCOUNT])))?;
    for (index, one) in copy.iter().enumerate() {
        recipe.copy(index, one)?;
    }
    for (index, script) in root_run.iter().enumerate() {
        recipe.run("root_run", index, script)?;
    }
    if !user_run.is_empty() {
        recipe.line(OURS, &format!("USER {AGENT}:{AGENT}"))?;
        for (index, script) in user_run.iter().enumerate() {
            recipe.run("user_run", index, script)?;
        }
        recipe.line(OURS, "USER 0:0")?;
    }
    Ok(recipe)
}

/// The key of what we add by ourselves.
const OURS: &str = "build";

/// A Dockerfile of the project's own, to which instructions can be added.
fn complete(text: &str) -> Result<String, RecipeError> {
    let form = |wanted| {
        let value = text.lines().last().unwrap_or_default().to_owned();
        Err(RecipeError::Form { key: "build.dockerfile".to_owned(), value, wanted })
    };
    // Another escape character would hold for our lines, too.
    let directive = |line: &str| {
        let bare: String = line.to_ascii_lowercase().split_whitespace().collect();
        bare.starts_with("#escape=") && bare != "#escape=\\"
    };
    if text.lines().take_while(|line| line.trim_start().starts_with('#')).any(directive) {
        return form("a Dockerfile whose escape character is a backslash");
    }
    if text.trim_end().ends_with('\\') {
        return form("a Dockerfile whose last instruction ends");
    }
    Ok(format!("{}\n", text.trim_end()))
}

impl Recipe {
    fn line(&mut self, key: &str, line: &str) -> Result<(), RecipeError> {
        if line.len() > quote::MAX_LINE {
            return Err(RecipeError::Long { key: key.to_owned() });
        }
        let _infallible = writeln!(self.text, "{line}");
        self.keys.push(key.to_owned());
        Ok(())
    }

    fn run(&mut self, key: &str, index: usize, script: &str) -> Result<(), RecipeError> {
        let key = format!("build.instructions.{key}[{index}]");
        // Docker ends an argument at a NUL.
        form(&key, script, "a shell script without NUL", |script| !script.contains('\0'))?;
        self.line(&key, &format!("RUN {}", quote::json(&["/bin/sh", "-ec", script])))
    }

    fn copy(&mut self, index: usize, one: &Copied) -> Result<(), RecipeError> {
        let key = format!("build.instructions.copy[{index}]");
        form(&key, &one.dest, "an absolute path", |path| path.starts_with('/'))?;
        let owner = one.chown.as_deref().unwrap_or("0:0");
        form(&key, owner, "user or user:group", is_owner)?;
        // COPY expands variables in its words, in the JSON form too.
        let dest = quote::word(&key, &one.dest)?;
        self.line(&key, &format!("COPY --chown={owner} {}", quote::json(&[&staged(index), &dest])))
    }
}

fn form(
    key: &str,
    value: &str,
    wanted: &'static str,
    is_right: impl Fn(&str) -> bool,
) -> Result<(), RecipeError> {
    if is_right(value) {
        return Ok(());
    }
    Err(RecipeError::Form { key: key.to_owned(), value: value.to_owned(), wanted })
}

/// Begins with a letter or a digit and goes on with those and `more`.
fn is_of(value: &str, more: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

fn is_reference(value: &str) -> bool {
    is_of(value, "._-/:@")
}

fn is_label(name: &str) -> bool {
    is_of(name, "._-/")
}

fn is_package(name: &str) -> bool {
    is_of(name, "._-+:=~")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_owner(value: &str) -> bool {
    let (user, group) = value.split_once(':').unwrap_or((value, value));
    is_of(user, "._-") && is_of(group, "._-")
}

#[cfg(test)]
mod tests;
