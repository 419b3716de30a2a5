//! `clawker doctor`: runs the checks in order, prints each, and fails when one does.

use crate::cli::DoctorArgs;
use crate::commands::leftovers;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::doctor::{Check, Verdict, certs, docker, host, kernel, version};
use crate::exit::{self, FAILED, OK, Outcome};
use crate::stack::{self, PartHealth};
use crate::{config, control, output, store};

/// Runs the checks.
///
/// # Errors
/// When stdout can't be written. What a check finds is its result, not an error.
pub async fn run(ctx: &Context, args: &DoctorArgs) -> Outcome {
    let mut checks = vec![
        host::state(&ctx.paths),
        host::init(&ctx.paths),
        host::inotify(),
        host::idmap(&ctx.cwd),
        host::forwarding(),
        certs::authority(&ctx.paths, time::OffsetDateTime::now_utc()),
    ];
    match engine(ctx).await {
        Err(error) => {
            checks.push(Check::fail("docker", error.to_string(), "systemctl start docker"));
        }
        Ok(engine) => checks.extend(behind(ctx, &engine, args.fix).await),
    }
    checks.extend(agents(ctx));
    if ctx.output.json {
        ctx.output.value(&checks)?;
    } else {
        output::write_stdout(text(&checks, ctx.output.colour).as_bytes())?;
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed { FAILED } else { OK })
}

async fn engine(ctx: &Context) -> Result<Engine, DockerError> {
    let setting = config::docker_host(&ctx.paths).ok().flatten();
    Engine::connect(setting.as_deref()).await
}

/// What only a reachable engine can tell.
async fn behind(ctx: &Context, engine: &Engine, fix: bool) -> Vec<Check> {
    let info = match engine.api.info().await {
        Ok(info) => info,
        Err(error) => {
            return vec![Check::fail(
                "docker",
                DockerError::from(error).to_string(),
                "systemctl restart docker",
            )];
        }
    };
    let release = info.kernel_version.clone().unwrap_or_default();
    let mut checks = vec![
        docker::api(engine, &info),
        docker::users(&info),
        docker::cgroup(&info),
        kernel::features(&release),
        kernel::nf_tables(&release),
    ];
    checks.push(bridge(ctx, engine).await);
    checks.extend(leftovers::check(ctx, engine, fix).await);
    if fix {
        checks.extend(bring_up(ctx, engine).await);
    }
    checks.push(network(ctx, engine).await);
    checks.extend(stack(ctx, engine).await);
    checks
}

/// Firewalls of the host that would cut the bridge off.
async fn bridge(ctx: &Context, engine: &Engine) -> Check {
    let found = engine.api.inspect_network(&ctx.paths.network(), None).await.ok();
    let id = found.and_then(|found| found.id).unwrap_or_default();
    host::bridge(id.get(..12).map(|id| format!("br-{id}")).as_deref())
}

/// A stack that agents need and that is not up; where nobody needs it there is nothing to mend.
async fn bring_up(ctx: &Context, engine: &Engine) -> Option<Check> {
    const NAME: &str = "stack";
    let needed = store::agents(&ctx.paths).is_ok_and(|agents| !agents.is_empty());
    let healthy = stack::health(&engine.api, &ctx.paths).await.is_ok_and(|health| health.is_healthy());
    if !needed || healthy {
        return None;
    }
    let settings = match config::settings(&ctx.paths) {
        Ok(settings) => settings,
        Err(error) => return Some(Check::fail(NAME, error.to_string(), "Correct settings.yaml")),
    };
    match stack::ensure(&engine.api, &ctx.paths, &settings, &ctx.output).await {
        Ok(_) => Some(Check::ok(NAME, "brought up")),
        Err(error) => Some(Check::fail(NAME, exit::chain(&error), "clawker firewall up")),
    }
}

async fn network(ctx: &Context, engine: &Engine) -> Check {
    const NAME: &str = "network";
    let network = ctx.paths.network();
    match engine.api.inspect_network(&network, None).await.map_err(DockerError::from) {
        Ok(found) => {
            let owner = found.labels.unwrap_or_default().remove("clawker.owner");
            let me = nix::unistd::geteuid().to_string();
            match owner {
                Some(owner) if owner == me => Check::ok(NAME, network),
                Some(owner) => Check::fail(
                    NAME,
                    format!("{network} belongs to uid {owner}"),
                    "Set CLAWKER_INSTANCE to a name of your own",
                ),
                None => Check::fail(
                    NAME,
                    format!("{network} is not clawker's"),
                    format!("docker network rm {network}, then clawker firewall up"),
                ),
            }
        }
        Err(error) if error.is_missing() => {
            Check::warn(NAME, format!("{network} does not exist yet"), "clawker firewall up")
        }
        Err(error) => Check::fail(NAME, error.to_string(), "systemctl restart docker"),
    }
}

/// Envoy and CoreDNS, and the images that they run from.
async fn stack(ctx: &Context, engine: &Engine) -> Vec<Check> {
    const NAME: &str = "stack";
    const MEND: &str = "clawker firewall up";
    let health = match stack::health(&engine.api, &ctx.paths).await {
        Ok(health) => health,
        Err(error) => return vec![Check::fail(NAME, exit::chain(&error), MEND)],
    };
    let part = |part: &PartHealth| {
        let image = part.image.as_deref().unwrap_or("no image");
        let seen = format!("{} is {} ({image})", part.container, part.state);
        if part.state == "healthy" { Check::ok(NAME, seen) } else { Check::warn(NAME, seen, MEND) }
    };
    vec![part(&health.envoy), part(&health.coredns)]
}

/// Whether each agent's init answers on its socket.
fn agents(ctx: &Context) -> Vec<Check> {
    const NAME: &str = "agents";
    let records = match store::agents(&ctx.paths) {
        Ok(records) => records,
        Err(error) => {
            return vec![Check::fail(NAME, error.to_string(), "clawker rm -f the agent that is named")];
        }
    };
    let mut checks = Vec::new();
    for record in &records {
        let agent = format!("{}/{}", record.project, record.agent);
        // Nobody listens where the agent is stopped: nothing to mend.
        let socket = ctx.paths.agent_dir(&record.id).join("control.sock");
        if !socket.exists() {
            continue;
        }
        match control::quick_status(&ctx.paths, record) {
            Ok(status) => {
                let ours = env!("CARGO_PKG_VERSION");
                checks.extend(version::of_agent(&agent, &status.versions.init, ours));
                checks.push(Check::ok(NAME, format!("{agent} answers: {}", status.state)));
            }
            Err(control::ControlError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                checks.push(Check::warn(NAME, error.to_string(), format!("clawker stop {}", record.agent)))
            }
        }
    }
    if checks.is_empty() {
        vec![Check::ok(NAME, format!("{} known, none running", records.len()))]
    } else {
        checks
    }
}

fn text(checks: &[Check], colour: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for check in checks {
        let (before, after) = match (colour, check.verdict) {
            (false, _) => ("", ""),
            (true, Verdict::Ok) => ("\x1b[32m", "\x1b[0m"),
            (true, Verdict::Warn) => ("\x1b[33m", "\x1b[0m"),
            (true, Verdict::Fail) => ("\x1b[31m", "\x1b[0m"),
        };
        let seen = output::escape(&check.seen);
        text.push_str(&format!(
            "{before}{:<4}{after}  {:<width$}  {seen}\n",
            check.verdict.as_str(),
            check.name
        ));
        if let Some(mend) = &check.mend {
            text.push_str(&format!("      {:<width$}  -> {}\n", "", output::escape(mend)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_shows_what_mends_it() {
        let checks = [Check::ok("a", "fine"), Check::fail("long", "bad\u{1b}", "do it")];
        assert_eq!(text(&checks, false), "ok    a     fine\nfail  long  bad\\u{1b}\n            -> do it\n");
    }
}
