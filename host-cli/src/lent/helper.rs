//! The process on the host that answers for one agent, from its container's start to its end. It listens on sockets
//! in the agent's folder and nowhere else.

use std::fs::Permissions;
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::uses::Uses;
use super::{Lending, Lent, https, known, listed, ssh};
use crate::context::Context;
use crate::docker::wait::{Until, Wait};
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::paths::Paths;
use crate::store::{self, AgentRecord};
use crate::{config, ours};

/// What a caller waits for.
pub const READY: &str = "ready";
/// Clients at a time; more wait.
const AT_ONCE: usize = 16;
/// How long one may take altogether.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the policy is looked at for hosts that ssh must know.
const LOOK: Duration = Duration::from_secs(1);
/// How long after its end a container may be started again by Docker, as `docker restart` does.
const RESTART: Duration = Duration::from_secs(15);

struct Served {
    paths: Paths,
    record: AgentRecord,
    uses: Uses,
    places: Semaphore,
    ssh_agent: Option<PathBuf>,
}

/// Serves an agent until its container ends; prints `ready` once it listens. A second helper leaves at once.
///
/// # Errors
/// When the agent is not there, or its sockets can't be made.
pub async fn serve(ctx: &Context, id: &str) -> Outcome {
    // Not the terminal's: ^C there is for the agent.
    let _ = nix::unistd::setsid();
    let record = store::agents(&ctx.paths)?.into_iter().find(|record| record.id == id);
    let record = record.ok_or_else(|| Failure::new("No such agent"))?;
    let folder = ctx.paths.agent_dir(id);
    let lock = std::fs::File::create(folder.join("lent.lock"))?;
    let Ok(_lock) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) else { return said_ready() };
    let lent = store::load::<Lent>(&folder.join("lent.json"))?.unwrap_or_default();
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::find(&engine, &record).await?.id;
    let wait = Wait::register(&engine, &container, Until::NextExit).await?;

    let place = folder.join("lent");
    let served = Rc::new(Served {
        uses: Uses::in_folder(&folder),
        paths: ctx.paths.clone(),
        places: Semaphore::new(AT_ONCE),
        ssh_agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
        record,
    });
    let local = LocalSet::new();
    if lent.has(Lending::GitHttps) {
        let listener = listen(&place.join("git.sock"))?;
        local.spawn_local(accept(Rc::clone(&served), listener, git));
    }
    if lent.has(Lending::GitSsh) {
        let file = place.join("known_hosts");
        let hosts = listed::ssh(&listed::policy(&served.paths, &served.record)?);
        write_known(&file, &hosts).await?;
        local.spawn_local(keep_known(Rc::clone(&served), file, hosts));
        let listener = listen(&place.join("ssh.sock"))?;
        local.spawn_local(accept(Rc::clone(&served), listener, sign));
    }
    said_ready()?;
    local.run_until(until_it_ends(&engine, &container, wait)).await;
    for name in ["git.sock", "ssh.sock"] {
        let _ = std::fs::remove_file(place.join(name));
    }
    Ok(OK)
}

/// What the user's ssh knows of the hosts that the policy lists.
async fn write_known(file: &Path, hosts: &[(String, u16)]) -> Result<(), store::StoreError> {
    let lines: String = known::look_up(hosts).await.iter().map(known::Known::lines).collect();
    store::write_atomically(file, lines.as_bytes(), 0o644)
}

/// Rules come and go while the agent runs.
async fn keep_known(served: Rc<Served>, file: PathBuf, mut hosts: Vec<(String, u16)>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(policy) = listed::policy(&served.paths, &served.record) else { continue };
        let now = listed::ssh(&policy);
        if now != hosts && write_known(&file, &now).await.is_ok() {
            hosts = now;
        }
    }
}

fn said_ready() -> Outcome {
    let mut out = io::stdout();
    writeln!(out, "{READY}").and_then(|()| out.flush())?;
    Ok(OK)
}

/// Everybody in the container may connect; on the host the folder above is the user's own.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn accept<F: Future<Output = ()> + 'static>(
    served: Rc<Served>,
    listener: UnixListener,
    talk: impl Fn(Rc<Served>, UnixStream) -> F,
) {
    loop {
        // Too many files are open, say: a moment later they are fewer.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let talk = talk(Rc::clone(&served), stream);
        let served = Rc::clone(&served);
        tokio::task::spawn_local(async move {
            if let Ok(_place) = served.places.acquire().await {
                let _ = tokio::time::timeout(PATIENCE, talk).await;
            }
        });
    }
}

async fn git(served: Rc<Served>, mut stream: UnixStream) {
    let _ = https::talk(&served.paths, &served.record, &served.uses, &mut stream).await;
}

async fn sign(served: Rc<Served>, mut stream: UnixStream) {
    if let Some(of_user) = &served.ssh_agent {
        let _ = ssh::talk(&served.paths, &served.record, &served.uses, &mut stream, of_user).await;
    }
}

/// Until the container has ended and stays so, or is gone.
async fn until_it_ends(engine: &Engine, container: &str, mut wait: Wait) {
    loop {
        let _ = wait.finish(engine).await;
        let deadline = tokio::time::Instant::now() + RESTART;
        loop {
            match engine.api.inspect_container(container, None).await.map_err(DockerError::from) {
                Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => break,
                Ok(_) if tokio::time::Instant::now() < deadline => {}
                // An engine that is restarted itself takes a while to answer.
                Err(error) if !error.is_missing() && tokio::time::Instant::now() < deadline => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        match Wait::register(engine, container, Until::NotRunning).await {
            Ok(registered) => wait = registered,
            Err(_) => return,
        }
    }
}
