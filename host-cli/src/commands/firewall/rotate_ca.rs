//! `clawker firewall rotate-ca`: a new certificate authority in the old one's place, brought to Envoy and to every
//! agent. What the old one signed is worth nothing from then on.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clawker_protocol::names::Name;
use serde::Serialize;

use crate::apply;
use crate::certs::Authority;
use crate::cli::RotateCaArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::lock::StateLock;
use crate::step;
use crate::store;

/// What is asked.
const QUESTION: &str = "\
A new certificate authority takes the place of this host's. Envoy shows its certificates where a rule looks
inside TLS, and every agent of yours trusts it. Programs that run in an agent may keep to the old one until
they are started again.
Make it?";

/// What was done.
#[derive(Debug, Serialize)]
struct Rotated {
    /// The new certificate's SHA-256.
    fingerprint: String,
    /// Running agents that trust it now, as `project/agent`.
    running: Vec<String>,
    /// Stopped ones that will at their next start.
    stopped: Vec<String>,
}

/// Makes it and brings it to everybody.
///
/// # Errors
/// When it was not agreed to, can't be made, or does not reach Envoy or an agent; the new one is in place all the same
/// in the last case, and the command can be called again.
pub async fn run(ctx: &Context, args: &RotateCaArgs) -> Outcome {
    let settings = config::settings(&ctx.paths)?;
    let engine = Engine::connect(settings.docker.host.as_deref()).await?;
    if !ctx.ask(QUESTION, args.yes)? {
        return Err(Failure::new("Nothing was changed"));
    }
    let lock = StateLock::acquire(&ctx.paths)?;
    step::settle(&engine.api, &ctx.paths, &lock, &settings).await?;
    let authority = Authority::rotate(&ctx.paths, &lock)?;
    let mut rotated =
        Rotated { fingerprint: authority.fingerprint(), running: Vec::new(), stopped: Vec::new() };
    let mut failed = Vec::new();
    for (dir, project) in projects(ctx)? {
        let full = |agent: String| format!("{project}/{agent}");
        match apply::apply(&engine.api, &ctx.paths, &lock, &settings, &dir).await {
            Ok(applied) => {
                rotated.running.extend(applied.running.into_iter().map(full));
                rotated.stopped.extend(applied.stopped.into_iter().map(full));
            }
            Err(error) => failed.push(format!("{}: {}", dir.display(), Failure::from(error).message)),
        }
    }
    if !failed.is_empty() {
        let failed = failed.join("; ");
        return Err(Failure::new(format!(
            "The new authority is made but did not reach everybody: {failed}; mend that, then call clawker firewall rotate-ca again"
        )));
    }
    tell(ctx, &rotated)?;
    Ok(OK)
}

/// The folders and names of all projects with agents.
fn projects(ctx: &Context) -> Result<BTreeMap<PathBuf, Name>, store::StoreError> {
    let records = store::agents(&ctx.paths)?.into_iter();
    Ok(records.map(|record| (record.project_dir, record.project)).collect())
}

fn tell(ctx: &Context, rotated: &Rotated) -> Result<(), Failure> {
    if ctx.output.json {
        return ctx.output.value(rotated);
    }
    let shown: String = rotated.fingerprint.chars().take(16).collect();
    ctx.output.line(&format!("The new authority is {shown}"))?;
    if !rotated.running.is_empty() {
        ctx.output.note(&format!(
            "Programs that start from now on trust it in {}; to start all of them again: clawker stop, then clawker start",
            rotated.running.join(", ")
        ));
    }
    Ok(())
}
