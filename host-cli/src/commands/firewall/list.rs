//! `clawker firewall list`: the rules that hold, by layer, and where each comes from.

use clawker_protocol::names::Name;

use super::bypass::rounded;
use crate::cli::ListArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{OK, Outcome};
use crate::grant;
use crate::output;
use crate::policy::Rule;
use crate::project::{Accepted, Project};
use crate::step::Pending;

/// Lists the project's rules.
///
/// # Errors
/// When its state can't be read.
pub async fn run(ctx: &Context, args: &ListArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let agent = args.agent.as_deref().map(Name::new).transpose()?;
    let project = Project::load(&ctx.paths, &loaded.dir)?;
    let policy = project.policy(&loaded.settings, agent.as_ref())?;
    let now = grant::now();
    if ctx.output.json {
        let rules: Vec<_> = policy.rules().iter().map(|rule| value(rule, now)).collect();
        ctx.output.value(&rules)?;
    } else {
        let mut rows =
            vec![["ACTION", "PROTO", "DESTINATION", "PORT", "LAYER", "FROM"].map(str::to_owned).to_vec()];
        let timed = policy.rules().iter().any(|rule| rule.expires.is_some());
        rows.first_mut().filter(|_| timed).into_iter().for_each(|head| head.push("LEFT".to_owned()));
        for rule in policy.rules() {
            let mut cells = row(rule);
            if timed {
                let left = rule.expires.map(|end| rounded(grant::left(end, now)));
                cells.push(left.unwrap_or_else(|| "-".to_owned()));
            }
            rows.push(cells);
            rows.extend(below(rule).into_iter().map(|text| vec![String::new(), String::new(), text]));
        }
        output::write_stdout(output::table(&rows).as_bytes())?;
    }
    if let Some(pending) = Pending::left_behind(&ctx.paths)? {
        ctx.output.note(&pending.note());
    }
    let wanted = Accepted::wanted(&loaded)?;
    if wanted != project.accepted.clone().unwrap_or_default() {
        ctx.output
            .note("The project's file has changed since it was accepted; take it: clawker firewall reload");
    }
    let apart: Vec<&str> =
        project.cli.iter().filter_map(|rule| rule.agent.as_ref()).map(Name::as_str).collect();
    if agent.is_none() && !apart.is_empty() {
        ctx.output.note(&format!("Some agents have rules of their own: --agent {}", apart.join(" | ")));
    }
    Ok(OK)
}

fn value(rule: &Rule, now: u64) -> serde_json::Value {
    serde_json::json!({
        "dst": rule.dst.to_string(), "proto": rule.proto, "port": rule.port_text(), "action": rule.action,
        "layer": rule.layer, "from": rule.place, "wildcard": rule.dst.is_wildcard(),
        "path_rules": rule.paths.as_ref().map(|paths| &paths.rules),
        "path_default": rule.paths.as_ref().map(|paths| paths.default),
        "inspect": rule.looks_into(), "private": rule.private,
        "resolve_as": rule.apex.then_some("apex"),
        "expires": rule.expires, "left_seconds": rule.expires.map(|end| grant::left_seconds(end, now)),
    })
}

fn row(rule: &Rule) -> Vec<String> {
    let dst = rule.dst.to_string();
    [
        rule.action.as_str(),
        rule.proto.as_str(),
        &dst,
        &rule.port_text(),
        rule.layer.as_str(),
        &output::escape(&rule.place),
    ]
    .map(str::to_owned)
    .to_vec()
}

/// What narrows or widens a rule, a line each.
fn below(rule: &Rule) -> Vec<String> {
    let paths = rule.paths.iter().flat_map(|paths| {
        let rest = format!("  {} every other path", paths.default.as_str());
        paths.rules.iter().map(|rule| format!("  {}", output::escape(&rule.to_string()))).chain([rest])
    });
    let inspect = rule.inspect.then(|| "  inspected".to_owned());
    let private = rule.private.iter().map(|net| format!("  may resolve to {net}"));
    let apex = rule.apex.then(|| "  dialled by its own name".to_owned());
    paths.chain(inspect).chain(private).chain(apex).collect()
}
