//! Where faults are tried: a user with a project, and images whose environment names the fault.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::{Mutant, Said};
use crate::rig::docker::docker;
use crate::rig::workspace;

/// As `clawker_init::nft::mutants` has it.
const VARIABLE: &str = "CLAWKER_MUTANT";
/// What `scripts/mutants` builds: a command whose init can have faults, and that init.
const COMMAND: &str = "target/mutants/clawker";
const INIT: &str = "target/mutants/clawker-init";
/// The images that faults are put into; `scripts/images` names them so.
const AGENT: &str = "clawker-base:latest";
const ENVOY: &str = "clawker-envoy:latest";
const COREDNS: &str = "clawker-coredns:latest";
/// What says whose rules a run is about, where it is about nobody's.
const NONE: &str = "";

/// The place; gone afterwards.
#[derive(Debug)]
pub struct Place {
    instance: String,
    root: PathBuf,
}

impl Place {
    /// Makes it; `number` tells places of one run apart.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn new(number: usize) -> io::Result<Self> {
        let instance = format!("mut{}x{number}", std::process::id());
        let root = std::env::temp_dir().join(format!("clawker-sandbox-{instance}"));
        fs::create_dir_all(root.join("project"))?;
        fs::create_dir_all(root.join("config/clawker"))?;
        fs::write(root.join("project/.clawker.yaml"), "project: mutants\n")?;
        Ok(Self { instance, root })
    }

    /// Runs the attacks with a fault; only some of them where any are named.
    ///
    /// # Errors
    /// When an image can't be made or the command can't be run.
    pub fn prove(&self, mutant: &str, only: &[&str]) -> io::Result<Said> {
        let agent = self.image("agent", AGENT, mutant)?;
        let envoy = self.image("envoy", ENVOY, mutant)?;
        let settings = format!("firewall:\n  envoy_image: {envoy}\n  coredns_image: {COREDNS}\n");
        fs::write(self.root.join("config/clawker/settings.yaml"), settings)?;
        let output = self.command(&agent, only).output()?;
        Ok(said(&output))
    }

    /// All faults that the rules of a run can have; the run, which has none, must hold.
    ///
    /// # Errors
    /// When it does not.
    pub fn mutants(&self) -> io::Result<Vec<Mutant>> {
        let copies = ["boot.json", "gateway.json"].map(|name| self.root.join(name));
        thread::scope(|scope| {
            let run = scope.spawn(|| self.prove(NONE, &[]));
            while !run.is_finished() {
                for copy in &copies {
                    if let Some(name) = copy.file_name() {
                        // What is in force at the end counts: the gateway starts without any rule's addresses.
                        find(&self.root.join("state"), Path::new(name)).map(|found| fs::copy(found, copy));
                    }
                }
                thread::sleep(Duration::from_millis(100));
            }
            match run.join() {
                Ok(Ok(Said::Held)) => Ok(()),
                Ok(Ok(said)) => Err(io::Error::other(format!("Without any fault: {}", said.words()))),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(io::Error::other("The run without any fault came to no end")),
            }
        })?;
        let mut all = Vec::new();
        for copy in &copies {
            let output = Command::new(workspace().join(INIT)).arg("mutants").arg(copy).output()?;
            let found = super::parse(&String::from_utf8_lossy(&output.stdout));
            if found.is_empty() {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(io::Error::other(format!("No faults for {}: {why}", copy.display())));
            }
            all.extend(found);
        }
        Ok(all)
    }

    fn command(&self, image: &str, only: &[&str]) -> Command {
        let mut command = Command::new(workspace().join(COMMAND));
        command.args(["prove", "--json", "--image", image]);
        if !only.is_empty() {
            command.args(["--only", &only.join(",")]);
        }
        command.current_dir(self.root.join("project")).stdin(Stdio::null());
        command.env("CLAWKER_INSTANCE", &self.instance).env("HOME", &self.root);
        for (name, folder) in [("CONFIG", "config"), ("STATE", "state"), ("CACHE", "cache")] {
            command.env(format!("XDG_{name}_HOME"), self.root.join(folder));
        }
        command
    }

    /// An image like another, with the fault in its environment.
    fn image(&self, role: &str, from: &str, mutant: &str) -> io::Result<String> {
        let name = self.name(role);
        let mut build = Command::new("docker");
        build.args(["build", "--quiet", "--tag", &name, "-"]);
        let mut build = build.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        if let Some(mut stdin) = build.stdin.take() {
            stdin.write_all(format!("FROM {from}\nENV {VARIABLE}={mutant}\n").as_bytes())?;
        }
        if build.wait()?.success() { Ok(name) } else { Err(io::Error::other(format!("Can't make {name}"))) }
    }

    fn name(&self, role: &str) -> String {
        format!("clawker-mutant-{role}:{}", self.instance)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for role in ["agent", "envoy"] {
            let _ = docker(&["image", "rm", "--force", &self.name(role)]);
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn said(output: &Output) -> Said {
    Said::of(output.status.code(), &output.stdout, &String::from_utf8_lossy(&output.stderr))
}

/// The first file of a name below a folder.
fn find(folder: &Path, name: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        // The gateway's policy has the same name and stands beside its folder.
        let is_config = !folder.ends_with("state") && path.is_file();
        if is_config && path.file_name() == Some(name.as_os_str()) {
            return Some(path);
        }
        let below = if path.is_dir() { find(&path, name) } else { None };
        if below.is_some() {
            return below;
        }
    }
    None
}
