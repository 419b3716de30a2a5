//! The variables that an agent is given: those of `agent.env_file`, over them `agent.from_env`, `agent.env` and `-e`.
//! What only the host knows is named to the user, never shown.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::config::Loaded;
use crate::dotenv::{self, DotenvError};

/// A file past this size holds no variables.
const MAX_LEN: u64 = 1 << 20;

/// Why the variables can't be had.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A file of `agent.env_file`.
    #[error("Can't read {path}, which agent.env_file names", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its text.
    #[error("{path}, {source}", path = .path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// What.
        source: DotenvError,
    },
    /// A variable of `agent.from_env`.
    #[error("Variable {0}, which agent.from_env names, is not set here; set it or take it out of the list")]
    Unset(String),
    /// Not a name.
    #[error("agent.{0}: {1:?} is no variable's name")]
    Name(&'static str, String),
}

/// The variables, and which of them the agent could not have read in the project's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// All.
    pub variables: BTreeMap<String, String>,
    /// Names with where each comes from: a file, `from_env` or `-e`.
    pub handed_over: BTreeMap<String, String>,
}

impl Environment {
    /// A line for the user; `None` where nothing is handed over. Holds names only.
    pub fn note(&self) -> Option<String> {
        let names: Vec<String> =
            self.handed_over.iter().map(|(name, from)| format!("{name} ({from})")).collect();
        (!names.is_empty()).then(|| format!("The agent holds these variables of yours: {}", names.join(", ")))
    }
}

/// The variables for an agent; `given` are those of `-e`, `here` looks one of this machine up.
///
/// # Errors
/// [`EnvironmentError`]: what is missing is named.
pub fn of(
    loaded: &Loaded,
    given: Vec<(String, String)>,
    here: impl Fn(&str) -> Option<String>,
) -> Result<Environment, EnvironmentError> {
    let agent = &loaded.config.agent;
    let mut all = Environment::default();
    for path in &loaded.env_files {
        let shown = path.strip_prefix(&loaded.dir).unwrap_or(path).display().to_string();
        for (name, value) in read(path)? {
            all.handed_over.insert(name.clone(), shown.clone());
            all.variables.insert(name, value);
        }
    }
    for name in &agent.from_env {
        named("from_env", name)?;
        let value = here(name).ok_or_else(|| EnvironmentError::Unset(name.clone()))?;
        all.handed_over.insert(name.clone(), "from_env".to_owned());
        all.variables.insert(name.clone(), value);
    }
    for (name, value) in &agent.env {
        named("env", name)?;
        all.handed_over.remove(name);
        all.variables.insert(name.clone(), value.clone());
    }
    for (name, value) in given {
        all.handed_over.insert(name.clone(), "-e".to_owned());
        all.variables.insert(name, value);
    }
    Ok(all)
}

fn named(key: &'static str, name: &str) -> Result<(), EnvironmentError> {
    // Any name that a process can hold: some programs want dots and dashes.
    let fine = !name.is_empty() && !name.contains(['=', '\0']);
    if fine { Ok(()) } else { Err(EnvironmentError::Name(key, name.to_owned())) }
}

/// Reads a file that was resolved when the configuration was: it must still be that one, for the user was asked about
/// it, and the agent could have put a link in its place.
fn read(path: &Path) -> Result<Vec<(String, String)>, EnvironmentError> {
    let failed = |source| EnvironmentError::Read { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    // A pipe must not hold us up.
    options.read(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits());
    let file = options.open(path).map_err(failed)?;
    let text = text(path, file).map_err(failed)?;
    dotenv::parse(&text).map_err(|source| EnvironmentError::Form { path: path.to_owned(), source })
}

fn text(path: &Path, file: File) -> io::Result<String> {
    let real = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    if real != path {
        return Err(io::Error::other("it was replaced meanwhile; call again"));
    }
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut text = String::new();
    file.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::paths::Paths;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("clawker-env-{name}-{}", std::process::id()));
            std::fs::create_dir_all(root.join("p")).unwrap();
            Self(root.canonicalize().unwrap())
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }

        fn of(&self, given: &[(&str, &str)]) -> Result<Environment, String> {
            let folder = |name: &str| self.0.join(name);
            let (state, config, cache) = (folder("state"), folder("config"), folder("cache"));
            let paths = Paths { state, config, cache, instance: None };
            let loaded = config::load(&self.0.join("p"), &paths).unwrap();
            let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let here = |name: &str| name.starts_with("HOST").then(|| "host".to_owned());
            of(&loaded, given, here).map_err(|error| crate::exit::chain(&error))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_stands_closer_to_the_command_wins_and_only_names_are_told() {
        let folder = Folder::new("order");
        folder.write("p/.env", "A=file\nB=file\nC=file\nHOST_D=file\n");
        folder.write("second.env", "A=second\n");
        folder.write(
            "p/.clawker.yaml",
            "agent:\n  env_file: [.env, ../second.env]\n  from_env: [HOST_D, HOST_E]\n  env: {C: config, HOST_E: config}\n",
        );
        let all = folder.of(&[("B", "command")]).unwrap();
        let shown: Vec<_> = all.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["A=second", "B=command", "C=config", "HOST_D=host", "HOST_E=config"]);
        let note = all.note().unwrap();
        let second = folder.0.join("second.env");
        let expected = format!("A ({}), B (-e), HOST_D (from_env)", second.display());
        assert!(note.ends_with(&expected), "{note}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = Folder::new("missing");
        for (text, expected) in [
            ("agent: {env_file: [absent.env]}\n", "p/absent.env, which agent.env_file names: No such file"),
            ("agent: {env_file: [.]}\n", "not a file"),
            ("agent: {env_file: [bad.env]}\n", "p/bad.env, line 2: B has no value"),
            ("agent: {from_env: [GONE]}\n", "Variable GONE, which agent.from_env names, is not set here"),
            ("agent: {from_env: [\"A=B\"]}\n", "agent.from_env: \"A=B\" is no variable's name"),
        ] {
            folder.write("p/bad.env", "A=1\nB\n");
            folder.write("p/.clawker.yaml", text);
            let message = folder.of(&[]).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
        folder.write("p/.clawker.yaml", "agent: {from_env: [HOST_A]}\n");
        assert!(folder.of(&[]).is_ok());
    }

    #[test]
    fn a_file_that_became_another_meanwhile_is_not_read() {
        let folder = Folder::new("replaced");
        folder.write("p/.env", "A=1\n");
        let path = folder.0.join("p/.env");
        assert!(read(&path).is_ok());
        folder.write("secret", "S=1\n");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.0.join("secret"), &path).unwrap();
        assert!(read(&path).is_err(), "a link in its place");
        // A link in the place of a folder on the way.
        std::fs::create_dir(folder.0.join("other")).unwrap();
        folder.write("other/.env", "S=1\n");
        std::fs::remove_dir_all(folder.0.join("p")).unwrap();
        std::os::unix::fs::symlink(folder.0.join("other"), folder.0.join("p")).unwrap();
        let message = read(&path).map_err(|error| crate::exit::chain(&error)).unwrap_err();
        assert!(message.contains("replaced meanwhile"), "{message}");
    }
}
