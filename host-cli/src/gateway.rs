//! Puts the policies' files where Envoy and CoreDNS read them: checked first, swapped by rename, and confirmed by both.
//! What one of them does not take is put back as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::KillContainerOptions;

use crate::agent::AgentError;
use crate::certs::{self, Authority, CertsError};
use crate::dns::{self, ask};
use crate::docker::DockerError;
use crate::envoy::{self, Kind, Secrets, admin};
use crate::lock::StateLock;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::stack::StackInfo;
use crate::store::{self, StoreError};

mod check;
pub mod fence;

use check::Check;

/// How long Envoy and CoreDNS may take to take a change.
const TIME: Duration = Duration::from_secs(10);

/// Why a policy was not put into force. The old one is.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Envoy's own check.
    #[error("Envoy refuses the new policy, the old one stays in force: {0}")]
    Invalid(String),
    /// Envoy took the files and not their content.
    #[error("Envoy did not take the new policy, the old one stays in force; see docker logs {0}")]
    NotTaken(String),
    /// Envoy is not there.
    #[error("Envoy's admin socket does not answer; try clawker firewall down, then clawker firewall up")]
    NoEnvoy(#[source] io::Error),
    /// The init around Envoy is not there.
    #[error("The init around Envoy does not answer; try clawker firewall down, then clawker firewall up")]
    NoFence(#[source] io::Error),
    /// It is there and refuses.
    #[error("The init around Envoy refuses what the new policy dials, the old one stays in force: {0}")]
    Fence(String),
    /// No secret for it.
    #[error(transparent)]
    Secret(#[from] Box<AgentError>),
    /// CoreDNS.
    #[error(transparent)]
    Dns(#[from] ask::AskError),
    /// Files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Certificates.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// Docker.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// All stored plans.
///
/// # Errors
/// [`StoreError`].
pub fn plans(paths: &Paths) -> Result<Vec<Plan>, StoreError> {
    store::load_all(&paths.plans())
}

/// Files to put, with what stood there before.
#[derive(Debug, Default)]
struct Swap {
    done: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Swap {
    /// Writes a file where it differs.
    fn put(&mut self, path: PathBuf, text: &str) -> Result<(), StoreError> {
        let old = fs::read(&path).ok();
        if old.as_deref() == Some(text.as_bytes()) {
            return Ok(());
        }
        store::write_atomically(&path, text.as_bytes(), 0o600)?;
        self.done.push((path, old));
        Ok(())
    }

    /// Puts everything back.
    fn undo(self) {
        for (path, old) in self.done.into_iter().rev() {
            let _ = match old {
                Some(old) => store::write_atomically(&path, &old, 0o600).is_ok(),
                None => fs::remove_file(&path).is_ok(),
            };
        }
    }
}

/// Writes all files without waiting: for containers that start afterwards.
///
/// # Errors
/// [`GatewayError`].
pub fn write(paths: &Paths, lock: &StateLock, info: &StackInfo, plans: &[Plan]) -> Result<(), GatewayError> {
    let secrets = secrets(paths, lock, plans)?;
    fence::write(paths, &fence::dials(plans, info.subnet))?;
    let mut swap = Swap::default();
    put_dns(&mut swap, paths, plans)?;
    put_envoy(&mut swap, paths, envoy_files(paths, plans, &secrets))?;
    tidy(paths, plans);
    Ok(())
}

/// The certificates that these policies need.
fn secrets(paths: &Paths, lock: &StateLock, plans: &[Plan]) -> Result<Secrets, CertsError> {
    let authority = Authority::load_or_make(paths, lock)?;
    let mut leaves = BTreeMap::new();
    for (name, names) in plans.iter().flat_map(envoy::secrets::leaf_names) {
        let leaf = authority.leaf(paths, lock, &name, &names)?;
        leaves.insert(name, leaf);
    }
    authority.keep_leaves(paths, lock, &leaves.keys().cloned().collect())?;
    Ok(Secrets { leaves, public_roots: certs::public_roots() })
}

/// Removes zones and routes of policies that are gone; what can't be removed harms nobody.
fn tidy(paths: &Paths, plans: &[Plan]) {
    let zones: Vec<String> = plans.iter().map(|plan| dns::zone_file(&plan.id)).collect();
    let listeners = plans.iter().flat_map(|plan| &plan.judged).map(|judged| judged.listener);
    let routes: Vec<String> = listeners.map(envoy::http_routes_file).collect();
    let secrets: Vec<String> =
        plans.iter().flat_map(envoy::secrets::names).map(|name| envoy::secrets::file_name(&name)).collect();
    let (coredns, envoy) = (paths.coredns_dir(), paths.envoy_dir());
    for (folder, prefix, suffix, kept) in [
        (&coredns, "", ".zone", &zones),
        (&envoy, "routes/", ".json", &routes),
        (&envoy, "secrets/", ".json", &secrets),
    ] {
        for entry in fs::read_dir(folder.join(prefix)).into_iter().flatten().flatten() {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if name.ends_with(suffix) && !kept.contains(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Puts the plans of all policies into force and waits until both have taken them. `differs` says that they are known
/// not to be what is in force; what else may have changed is found out here.
///
/// # Errors
/// [`GatewayError`].
pub async fn publish(
    paths: &Paths,
    lock: &StateLock,
    info: &StackInfo,
    plans: &[Plan],
    differs: bool,
) -> Result<(), GatewayError> {
    let secrets = secrets(paths, lock, plans)?;
    let begun = if differs { Some(Check::begin(paths, info, plans, &secrets).await?) } else { None };
    let mut swap = Swap::default();
    let dials = fence::Change::begin(paths, plans, info.subnet)?;
    let swapped = swap_in(&mut swap, paths, info, (plans, &secrets), begun).await;
    let outcome = swapped.and_then(|()| dials.finish(paths));
    if outcome.is_err() {
        if swap.done.iter().any(|(path, _)| path.ends_with(dns::COREFILE)) {
            let _ = mark_reload(paths);
        }
        swap.undo();
        let _ = reload_coredns(&info.docker, paths).await;
        dials.undo(paths);
    }
    outcome
}

async fn swap_in(
    swap: &mut Swap,
    paths: &Paths,
    info: &StackInfo,
    (plans, secrets): (&[Plan], &Secrets),
    begun: Option<Check<'_>>,
) -> Result<(), GatewayError> {
    let run = paths.run_dir();
    // CoreDNS looks for new zones five times a second: it does while Envoy checks. A name that resolves too early only
    // leads to a listener that refuses it.
    put_dns(swap, paths, plans)?;
    reload_coredns(&info.docker, paths).await?;
    // Made meanwhile, put once Envoy has said yes.
    let files = envoy_files(paths, plans, secrets);
    let check = match begun {
        None if is_new_to_envoy(&files) => Some(Check::begin(paths, info, plans, secrets).await?),
        begun => begun,
    };
    if let Some(check) = check {
        check.end().await?;
    }
    let before = admin::taken(&run).map_err(GatewayError::NoEnvoy)?.refusals();
    let expected = put_envoy(swap, paths, files)?;
    for plan in plans {
        ask::wait_for(info.coredns, plan.dns_port, dns::serial(plan.generation), TIME)?;
    }
    wait_for_envoy(paths, &expected, before)
}

fn is_new_to_envoy(files: &[EnvoyFile]) -> bool {
    let differs = |one: &EnvoyFile| fs::read(&one.path).ok().as_deref() != Some(one.file.text.as_bytes());
    files.iter().any(differs)
}

/// One of Envoy's files.
struct EnvoyFile {
    path: PathBuf,
    file: envoy::File,
    /// Its name in the statistics.
    subscription: String,
}

/// In the order in which they are put: what listeners refer to comes first.
fn envoy_files(paths: &Paths, plans: &[Plan], secrets: &Secrets) -> Vec<EnvoyFile> {
    let folder = paths.envoy_dir();
    let resources = envoy::resources(plans, secrets);
    let secrets = resources.secrets.into_iter().map(|(name, secret)| EnvoyFile {
        path: folder.join(envoy::secrets::file_name(&name)),
        file: envoy::file(Kind::Secret, vec![secret]),
        subscription: format!("sds.{name}"),
    });
    let routes = resources.routes.into_iter().map(|(listener, routes)| EnvoyFile {
        path: folder.join(envoy::http_routes_file(listener)),
        file: envoy::file(Kind::Routes, vec![routes]),
        subscription: format!("rds.{}", envoy::routes_name(listener)),
    });
    let mut files: Vec<EnvoyFile> = secrets.chain(routes).collect();
    for (kind, name, resources, subscription) in [
        (Kind::Cluster, envoy::CLUSTERS, resources.clusters, "cluster_manager.cds"),
        (Kind::Listener, envoy::LISTENERS, resources.listeners, "listener_manager.lds"),
    ] {
        let file = envoy::file(kind, resources);
        files.push(EnvoyFile { path: folder.join(name), file, subscription: subscription.to_owned() });
    }
    files
}

/// Puts Envoy's files; the versions to wait for, by their names in the statistics.
fn put_envoy(
    swap: &mut Swap,
    paths: &Paths,
    files: Vec<EnvoyFile>,
) -> Result<Vec<(String, String)>, StoreError> {
    let mut expected = Vec::new();
    for one in files {
        swap.put(one.path, &one.file.text)?;
        expected.push((one.subscription, one.file.version));
    }
    let bootstrap = envoy::bootstrap().to_string();
    swap.put(paths.envoy_dir().join(envoy::BOOTSTRAP), &bootstrap)?;
    Ok(expected)
}

/// Puts CoreDNS's files; a Corefile that changed is due to be read anew.
fn put_dns(swap: &mut Swap, paths: &Paths, plans: &[Plan]) -> Result<(), StoreError> {
    let folder = paths.coredns_dir();
    for plan in plans {
        swap.put(folder.join(dns::zone_file(&plan.id)), &dns::zone(plan))?;
    }
    let (corefile, text) = (folder.join(dns::COREFILE), dns::corefile(plans));
    if fs::read(&corefile).ok().as_deref() != Some(text.as_bytes()) {
        mark_reload(paths)?;
        swap.put(corefile, &text)?;
    }
    Ok(())
}

/// Remembers that CoreDNS is to read its Corefile anew, until it was told to: a command that is killed in between leaves
/// that to the next one.
fn mark_reload(paths: &Paths) -> Result<(), StoreError> {
    store::write_atomically(&paths.reload_due(), b"", 0o600)
}

/// Has CoreDNS read its Corefile, where that is due.
async fn reload_coredns(docker: &Docker, paths: &Paths) -> Result<(), GatewayError> {
    if paths.reload_due().exists() {
        let options = KillContainerOptions { signal: "SIGUSR1".to_owned() };
        let told = docker.kill_container(&paths.coredns_container(), Some(options)).await;
        told.map_err(DockerError::from)?;
        store::remove(&paths.reload_due())?;
    }
    Ok(())
}

fn wait_for_envoy(paths: &Paths, expected: &[(String, String)], refusals: u64) -> Result<(), GatewayError> {
    let run = paths.run_dir();
    let end = Instant::now() + TIME;
    loop {
        let taken = admin::taken(&run).map_err(GatewayError::NoEnvoy)?;
        let is_late = Instant::now() >= end;
        let is_in_force = expected.iter().all(|(name, version)| taken.version(name) == Some(version));
        // What is in force is so, however long the last worker needs to hear of it.
        if is_in_force && (is_late || taken.reached_workers()) {
            return Ok(());
        }
        if !is_in_force && (is_late || taken.refusals() > refusals) {
            return Err(GatewayError::NotTaken(paths.envoy_container()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes the folders that the containers mount.
///
/// # Errors
/// [`StoreError`].
pub fn make_folders(paths: &Paths) -> Result<(), StoreError> {
    let folders = [paths.coredns_dir(), paths.run_dir(), paths.gateway_dir()].into_iter();
    let of_envoy =
        ["clusters", "listeners", "routes", "secrets", "check"].map(|name| paths.envoy_dir().join(name));
    folders.chain(of_envoy).try_for_each(|folder: PathBuf| store::make_folder(Path::new(&folder)))
}
