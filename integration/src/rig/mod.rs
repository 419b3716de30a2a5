//! Brings the fake internet up beside the product, as a container on a network of its own, and takes every trace of
//! it away again. One at a time on a machine: its addresses are fixed.

pub mod docker;
pub mod image;
pub mod lock;
pub mod rules;
pub mod sandbox;
pub mod servers;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fakenet::address;
use crate::fakenet::files;
use crate::fakenet::record::{Kind, Record};
use crate::fakenet::records;
use crate::fakenet::zone::{Entry, Zone};
use docker::{CommandError, docker, remove_labelled};
use lock::Lock;

/// The label of everything that the rig makes in Docker; its value is the instance.
const LABEL: &str = "clawker.fakenet";
/// What the name of a rig's folder below the temporary one starts with.
const FOLDER: &str = "clawker-fakenet-";
/// How long the fake internet may take to answer.
const START: Duration = Duration::from_secs(30);
/// The first Docker whose bridges drop what is routed to a container from elsewhere, unless they are told not to.
const DOCKER_THAT_DROPS_ROUTED: u32 = 28;

/// Why there is no rig.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A file or folder could not be used.
    #[error("Can't use {0}")]
    File(PathBuf, #[source] io::Error),
    /// The binary is not there.
    #[error(
        "There is no {0}: run scripts/build-init -p clawker-integration --bin fakenet -o target/static/fakenet, or set {var}",
        var = image::BINARY_VARIABLE
    )]
    Binary(PathBuf),
    /// It started and ended, or never answered.
    #[error("The fake internet did not start; it said: {0}")]
    Start(String),
    /// The zone can't be written as JSON.
    #[error("Can't write the zone")]
    Zone(#[from] serde_json::Error),
}

/// A running fake internet. Dropping it removes container, network, rules, image and files.
#[derive(Debug)]
pub struct Rig {
    instance: String,
    folder: PathBuf,
    zone: Zone,
    // Last, so that the next rig starts only when this one is gone.
    _lock: Lock,
}

impl Rig {
    /// Brings it up; waits while another one runs on this machine. Whatever a killed run left behind goes first.
    ///
    /// # Errors
    /// [`RigError`]; nothing is left behind then.
    pub fn up(instance: &str) -> Result<Self, RigError> {
        let binary = image::binary();
        if !binary.is_file() {
            return Err(RigError::Binary(binary));
        }
        let lock = Lock::take().map_err(|error| RigError::File(lock::path(), error))?;
        sweep();
        let folder = std::env::temp_dir().join(format!("{FOLDER}{instance}"));
        // From here on a failure drops the rig, and with it what there is of it.
        let rig = Self { instance: instance.to_owned(), folder, zone: Zone::default(), _lock: lock };
        fs::create_dir_all(&rig.folder).map_err(|error| RigError::File(rig.folder.clone(), error))?;
        image::import(&binary, &rig.image())?;
        rig.make_network()?;
        rules::open_the_way()?;
        rig.start()?;
        Ok(rig)
    }

    /// The network's name; a container of a test that is no agent can be put on it.
    pub fn network(&self) -> String {
        format!("clawker-fake-{}", self.instance)
    }

    /// The container's name.
    pub fn container(&self) -> String {
        format!("clawker-fakenet-{}", self.instance)
    }

    /// The label of what goes with this rig, for a container of a benchmark.
    pub fn label(&self) -> String {
        format!("{LABEL}={}", self.instance)
    }

    /// An image that holds nothing but the program, with `probe` as its entry point: a client for tests.
    pub fn image(&self) -> String {
        format!("{}:{}", image::REPOSITORY, self.instance)
    }

    /// The resolver's address, for `firewall.upstream_dns`.
    pub fn dns_address(&self) -> Ipv4Addr {
        address::DNS
    }

    /// The root certificate, for `security.extra_ca`.
    pub fn ca_pem_path(&self) -> PathBuf {
        self.folder.join(files::CA)
    }

    /// The folder whose files the site of this name serves instead of the usual answer; made where it is missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn site(&self, name: &str) -> Result<PathBuf, RigError> {
        let folder = self.folder.join(files::SITES).join(name);
        fs::create_dir_all(&folder).map_err(|error| RigError::File(folder.clone(), error))?;
        Ok(folder)
    }

    /// Gives a name these addresses from the next question on; `*.name` stands for every name below, no address
    /// takes the name away. Names that were never given one lead to a sink.
    ///
    /// # Errors
    /// When the zone file can't be replaced.
    pub fn add_name(&mut self, name: &str, addresses: &[IpAddr]) -> Result<(), RigError> {
        self.zone.names.insert(name.to_ascii_lowercase(), Entry::Addresses(addresses.to_vec()));
        self.write_zone()
    }

    /// Makes a name an alias of another from the next question on.
    ///
    /// # Errors
    /// As [`Rig::add_name`].
    pub fn add_alias(&mut self, name: &str, target: &str) -> Result<(), RigError> {
        self.zone.names.insert(name.to_ascii_lowercase(), Entry::Alias(target.to_owned()));
        self.write_zone()
    }

    /// Forgets every name that [`Rig::add_name`] gave.
    ///
    /// # Errors
    /// As [`Rig::add_name`].
    pub fn reset_names(&mut self) -> Result<(), RigError> {
        self.zone.names = BTreeMap::new();
        self.write_zone()
    }

    /// From here on records name the container that came, not its bridge: of the networks that there are now. Call it
    /// again after another one was made.
    ///
    /// # Errors
    /// When `iptables` refuses.
    pub fn keep_sources(&self) -> Result<(), CommandError> {
        rules::keep_sources()
    }

    /// Everything that has arrived so far.
    pub fn records(&self) -> Vec<Record> {
        records::read(&self.folder.join(files::RECORDS))
    }

    /// Everything that has arrived after so many records, but what IPv6 interfaces tell their link by themselves.
    /// `rig.records().len()` before, and an empty list after, is the proof that nothing came.
    pub fn since(&self, count: usize) -> Vec<Record> {
        self.records().into_iter().skip(count).filter(|record| !record.is_chatter()).collect()
    }

    /// Where in the records a text is, letter case apart: in names, headers and payloads, also split over the
    /// segments of one connection.
    pub fn saw(&self, canary: &str) -> Vec<Record> {
        records::with(&self.records(), canary)
    }

    /// Waits until the text has arrived.
    pub fn waits_for(&self, canary: &str, patience: Duration) -> bool {
        wait(patience, || !self.saw(canary).is_empty())
    }

    /// Runs `fakenet probe` with these arguments in a container of its own on a Docker network, and returns what it
    /// printed.
    ///
    /// # Errors
    /// [`CommandError::Failed`] with what the probe said, when it got no answer.
    pub fn probe_from(&self, network: &str, arguments: &[&str]) -> Result<String, CommandError> {
        let label = format!("{LABEL}={}", self.instance);
        let mount = format!("{}:/ca.pem:ro", self.ca_pem_path().display());
        let run = ["run", "--rm", "--network", network, "--label", &label, "-v", &mount];
        let image = self.image();
        docker(&[&run[..], &["-e", "SSL_CERT_FILE=/ca.pem", &image, "probe"], arguments].concat())
    }

    fn make_network(&self) -> Result<(), CommandError> {
        let (label, name) = (format!("{LABEL}={}", self.instance), self.network());
        let mut arguments = vec!["network", "create", "--label", &label];
        arguments.extend(["--subnet", address::NETWORK, "--ip-range", address::CONTAINERS]);
        let version = docker(&["version", "--format", "{{.Server.Version}}"])?;
        if drops_routed(&version) {
            arguments.extend(["-o", "com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected"]);
        }
        arguments.push(&name);
        docker(&arguments).map(drop)
    }

    fn start(&self) -> Result<(), RigError> {
        let (label, name, network) = (format!("{LABEL}={}", self.instance), self.container(), self.network());
        let (address, image) = (address::DNS.to_string(), self.image());
        let mount = format!("{}:/shared", self.folder.display());
        let mut arguments = vec!["run", "-d", "--name", &name, "--label", &label, "--network", &network];
        arguments.extend(["--ip", &address, "--cap-add", "NET_ADMIN", "--read-only", "-v", &mount]);
        arguments.extend([&image, "serve", "/shared"]);
        docker(&arguments)?;
        let ready =
            wait(START, || self.records().iter().any(|record| record.kind == Kind::Ready) || !self.runs());
        if !ready || !self.runs() {
            return Err(RigError::Start(self.last_words()));
        }
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &name])?;
        rules::catch_all(&pid)?;
        Ok(())
    }

    fn runs(&self) -> bool {
        docker(&["inspect", "--format", "{{.State.Running}}", &self.container()])
            .is_ok_and(|text| text == "true")
    }

    fn last_words(&self) -> String {
        let output = Command::new("docker").args(["logs", "--tail", "5", &self.container()]).output();
        output.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned()).unwrap_or_default()
    }

    fn write_zone(&self) -> Result<(), RigError> {
        let (path, part) = (self.folder.join(files::ZONE), self.folder.join("zone.part"));
        let bytes = serde_json::to_vec(&self.zone)?;
        fs::write(&part, bytes)
            .and_then(|()| fs::rename(&part, &path))
            .map_err(|error| RigError::File(path, error))
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        sweep();
    }
}

/// Removes what any rig made: whoever holds the lock knows that no other one runs.
fn sweep() {
    remove_labelled(LABEL);
    rules::close_the_way();
    image::remove_all();
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(FOLDER) && entry.path().is_dir() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Polls until something is so.
pub fn wait(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The workspace's root, which holds `target`.
pub fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn drops_routed(version: &str) -> bool {
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    major.is_some_and(|major| major >= DOCKER_THAT_DROPS_ROUTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_that_knows_the_option_gets_it() {
        for (version, drops) in
            [("20.10.24+dfsg1", false), ("26.1.5", false), ("28.5.2", true), ("dev", false)]
        {
            assert_eq!(drops_routed(version), drops, "{version}");
        }
    }
}
