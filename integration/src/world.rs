//! The product on the fake internet, for tests, demo and benchmarks: a rig, a sandbox, and agents in it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fakenet::fetch::{Fetch, Got};
use crate::fakenet::talk::{Heard, Talk};
use crate::rig::docker::{CommandError, docker};
use crate::rig::sandbox::Sandbox;
use crate::rig::{Rig, RigError, image};

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// No fake internet.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// A command of Docker's.
    #[error(transparent)]
    Docker(#[from] CommandError),
    /// A file, or a program that can't be run.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// `clawker` failed where it must not.
    #[error("clawker {0}: {1}")]
    Clawker(String, String),
}

/// What a command said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; -1 where a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

/// The world. The sandbox goes first, so that nothing of the product's outlives the fake internet.
#[derive(Debug)]
pub struct World {
    /// Where `clawker` runs.
    pub sandbox: Sandbox,
    /// Where everything arrives.
    pub rig: Rig,
}

impl World {
    /// Brings rig and stack up. `instance` is short and unique to the test.
    ///
    /// # Errors
    /// [`WorldError`]; nothing is left behind then.
    pub fn new(instance: &str) -> Result<Self, WorldError> {
        let rig = Rig::up(instance)?;
        let sandbox = Sandbox::new(&rig, instance, "demo")?;
        let world = Self { sandbox, rig };
        world.sandbox.bring_client()?;
        world.must(&["firewall", "up"])?;
        world.rig.keep_sources()?;
        Ok(world)
    }

    /// The state of an agent's firewall, as `clawker ps` tells it.
    ///
    /// # Errors
    /// When it can't be told.
    pub fn state(&self, agent: &str) -> Result<String, WorldError> {
        let text = self.must(&["ps", "--all", "--json"])?;
        let list: serde_json::Value = serde_json::from_str(&text).map_err(io::Error::from)?;
        let one = list.as_array().into_iter().flatten().find(|one| one["agent"] == agent);
        Ok(one.and_then(|one| one["firewall"].as_str()).unwrap_or_default().to_owned())
    }

    /// Another project of the same user, on the same stack. It goes with the world.
    ///
    /// # Errors
    /// When its files can't be written.
    pub fn beside(&self, project: &str) -> io::Result<Sandbox> {
        let other = self.sandbox.beside(&self.rig, project)?;
        other.bring_client()?;
        Ok(other)
    }
}

/// What is done in a world is done in its project.
impl Deref for World {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.sandbox
    }
}

impl Sandbox {
    /// Puts the fake internet's client into the project's folder, where agents find it.
    fn bring_client(&self) -> io::Result<()> {
        fs::copy(image::binary(), self.project().join("fakenet")).map(drop)
    }

    /// Runs `clawker`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn clawker<S: AsRef<OsStr>>(&self, args: &[S]) -> io::Result<Said> {
        Ok(self.run(args)?.into())
    }

    /// Runs `clawker`, which must succeed; what it said on standard output.
    ///
    /// # Errors
    /// [`WorldError::Clawker`].
    pub fn must(&self, args: &[&str]) -> Result<String, WorldError> {
        let said = self.clawker(args)?;
        if said.code == 0 { Ok(said.out) } else { Err(WorldError::Clawker(args.join(" "), said.err)) }
    }

    /// Starts an agent in the background that only sleeps.
    ///
    /// # Errors
    /// [`WorldError::Clawker`].
    pub fn agent(&self, name: &str) -> Result<(), WorldError> {
        self.must(&["run", "--agent", name, "--detach", "--yes", "--", "sleep", "3600"]).map(drop)
    }

    /// Runs a shell script beside an agent, as the agent.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn sh(&self, agent: &str, script: &str) -> io::Result<Said> {
        self.clawker(&["exec", "--agent", agent, "--", "sh", "-c", script])
    }

    /// Runs the fake internet's own client beside an agent, as the agent.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn probe(&self, agent: &str, args: &[&str]) -> io::Result<Said> {
        let client = self.project().join("fakenet");
        let client = client.to_string_lossy();
        self.clawker(&[&["exec", "--agent", agent, "--", &*client, "probe"], args].concat())
    }

    /// Has conversations of hand-made bytes beside an agent, side by side; what was heard, in their order.
    ///
    /// # Errors
    /// [`WorldError`], when any is missing.
    pub fn talks(&self, agent: &str, talks: &[Talk]) -> Result<Vec<Heard>, WorldError> {
        self.batch(agent, "talks", talks)
    }

    /// Has a real client ask over connections of its own, side by side, beside an agent; what came of each request.
    ///
    /// # Errors
    /// [`WorldError`], when any connection can't be made.
    pub fn fetches(&self, agent: &str, fetches: &[Fetch]) -> Result<Vec<Vec<Got>>, WorldError> {
        self.batch(agent, "fetches", fetches)
    }

    fn batch<T: Serialize, U: DeserializeOwned>(
        &self,
        agent: &str,
        verb: &str,
        all: &[T],
    ) -> Result<Vec<U>, WorldError> {
        let file = self.project().join(format!("{verb}.jsonl"));
        let lines: Result<Vec<String>, _> = all.iter().map(serde_json::to_string).collect();
        fs::write(&file, lines.map_err(io::Error::from)?.join("\n"))?;
        let said = self.probe(agent, &[verb, &file.to_string_lossy()])?;
        let outcomes: Result<Vec<U>, _> = said.out.lines().map(serde_json::from_str).collect();
        match outcomes {
            Ok(outcomes) if said.code == 0 && outcomes.len() == all.len() => Ok(outcomes),
            _ => {
                Err(WorldError::Clawker(format!("exec probe {verb}"), format!("{}\n{}", said.err, said.out)))
            }
        }
    }

    /// Runs a program in an agent's container as any user, past clawker: what an attacker on the inside would be.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn inside(&self, agent: &str, user: &str, args: &[&str]) -> io::Result<Said> {
        let container = self.container(agent);
        let all = [&["exec", "-u", user, &container], args].concat();
        Ok(Command::new("docker").args(all).stdin(Stdio::null()).output()?.into())
    }

    /// An agent's container.
    pub fn container(&self, agent: &str) -> String {
        self.agent_container(agent)
    }

    /// PID 1 of an agent's container, as the host sees it.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn pid(&self, agent: &str) -> Result<String, CommandError> {
        docker(&["inspect", "--format", "{{.State.Pid}}", &self.container(agent)])
    }

    /// Runs a program of the host's in an agent's network namespace.
    ///
    /// # Errors
    /// When it can't be started or there is no such agent.
    pub fn in_network(&self, agent: &str, args: &[&str]) -> Result<Said, WorldError> {
        let pid = self.pid(agent)?;
        Ok(Command::new("nsenter").args(["-t", &pid, "-n"]).args(args).stdin(Stdio::null()).output()?.into())
    }

    /// The folder that holds an agent's control socket on the host.
    pub fn state_folder(&self) -> PathBuf {
        self.state().join(format!("clawker-{}", self.instance()))
    }
}
