//! A place in which the `clawker` command can be run as by a user who has just installed it: home, settings, state
//! and a project of its own, all gone afterwards, together with what it made in Docker.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::docker::{docker, remove_labelled};
use super::{Rig, workspace};

/// Names the command, where it isn't in its usual place.
pub const BINARY_VARIABLE: &str = "CLAWKER_BIN";
/// The label on everything that the product makes in Docker.
const LABEL: &str = "clawker.instance";

/// The agent's uid and gid in an image that says nothing else.
const AGENT: u32 = 1001;

/// The command: what the environment names, else the one that was built as the running program was. Tests so need no
/// second build of everything; demo and benchmarks run the one that users have.
pub fn binary() -> PathBuf {
    let built = if cfg!(debug_assertions) { "debug" } else { "release" };
    let beside = || workspace().join("target").join(built).join("clawker");
    std::env::var_os(BINARY_VARIABLE).map_or_else(beside, PathBuf::from)
}

/// The place.
#[derive(Debug)]
pub struct Sandbox {
    instance: String,
    project_name: String,
    folder: PathBuf,
    root: PathBuf,
    /// A second project's place is part of the first one's, which takes it away.
    is_part: bool,
}

impl Sandbox {
    /// Makes it. `instance` keeps it apart from any other clawker on this engine, so it is one per test, and short:
    /// it stands in the path of a socket. Settings lead to the rig's resolver, and the project named `project`
    /// trusts the rig's root.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn new(rig: &Rig, instance: &str, project: &str) -> io::Result<Self> {
        let root = std::env::temp_dir().join(format!("clawker-sandbox-{instance}"));
        let sandbox = Self {
            instance: instance.to_owned(),
            project_name: project.to_owned(),
            folder: root.join("project"),
            root,
            is_part: false,
        };
        sandbox.sweep();
        for folder in [sandbox.home(), sandbox.root.join("config/clawker"), sandbox.state()] {
            fs::create_dir_all(folder)?;
        }
        let settings = format!("firewall:\n  upstream_dns: [{}]\n", rig.dns_address());
        fs::write(sandbox.root.join("config/clawker/settings.yaml"), settings)?;
        sandbox.begin_project(rig)?;
        Ok(sandbox)
    }

    /// Another project of the same user, beside this one: the same home, settings, state and stack. It goes with this
    /// one.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn beside(&self, rig: &Rig, project: &str) -> io::Result<Self> {
        let other = Self {
            instance: self.instance.clone(),
            project_name: project.to_owned(),
            folder: self.root.join(format!("project-{project}")),
            root: self.root.clone(),
            is_part: true,
        };
        other.begin_project(rig)?;
        Ok(other)
    }

    /// Its folder, which belongs to the agent's uid as an ordinary user's would, and its file, which trusts the rig's
    /// root.
    fn begin_project(&self, rig: &Rig) -> io::Result<()> {
        fs::create_dir_all(self.project())?;
        self.write_project_file(&format!(
            "project: {}\nsecurity:\n  extra_ca: [{}]\n",
            self.project_name,
            rig.ca_pem_path().display()
        ))?;
        chown(self.project(), Some(AGENT), Some(AGENT))
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The project's folder.
    pub fn project(&self) -> PathBuf {
        self.folder.clone()
    }

    /// `$XDG_STATE_HOME`.
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// `$XDG_CONFIG_HOME/clawker/settings.yaml`.
    pub fn settings_file(&self) -> PathBuf {
        self.root.join("config/clawker/settings.yaml")
    }

    /// The instance, which is the suffix of the names in Docker.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Replaces the project's `.clawker.yaml`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_project_file(&self, text: &str) -> io::Result<()> {
        fs::write(self.project().join(".clawker.yaml"), text)
    }

    /// The command, ready to be run in the project's folder; a test may still change its streams.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.project())
            .env("CLAWKER_INSTANCE", &self.instance)
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.root.join("config"))
            .env("XDG_STATE_HOME", self.state())
            .env("XDG_CACHE_HOME", self.root.join("cache"))
            .env("XDG_RUNTIME_DIR", self.root.join("runtime"))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// When it can't be started: it isn't built, for one.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> io::Result<Output> {
        self.command(arguments).output()
    }

    /// The full name of a part of the stack: `clawker-envoy`, `clawker-coredns`, `clawker-net`.
    pub fn stack_name(&self, part: &str) -> String {
        format!("{part}-{}", self.instance)
    }

    /// The name of an agent's container.
    pub fn agent_container(&self, agent: &str) -> String {
        format!("clawker.{}.{agent}.{}", self.project_name, self.instance)
    }

    /// Removes what carries the instance's label, and the files.
    fn sweep(&self) {
        remove_labelled(&format!("{LABEL}={}", self.instance));
        remove(&self.root);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if self.is_part {
            return;
        }
        if std::thread::panicking() {
            self.say_what_there_was();
        }
        self.sweep();
    }
}

impl Sandbox {
    /// A failed test shows what ran, and what it said last.
    fn say_what_there_was(&self) {
        let filter = format!("label={LABEL}={}", self.instance);
        for name in
            docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]).unwrap_or_default().lines()
        {
            let state = docker(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name]);
            eprintln!("--- {name}: {}", state.unwrap_or_default());
            let _ = Command::new("docker").args(["logs", "--tail", "30", name]).stdout(io::stderr()).status();
        }
    }
}

fn remove(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
}
