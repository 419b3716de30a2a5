//! `clawker diff`: what an agent changed in its copy of the project.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::DiffArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::output;
use crate::pull::fetch::{self, Careful};
use crate::pull::hold::{Held, Holder};
use crate::pull::node::Node;
use crate::pull::plan::{Change, How};
use crate::pull::sides::{Sides, render};
use crate::pull::text::{self, MAX_TEXT, Style};
use crate::pull::whose::{self, Whose};
use crate::workspace::beneath::Beneath;
use crate::workspace::look::shown;
use crate::{ignored, pull, snapshot};

/// For how long the smallest differences are looked for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes in one, as disks are sold.
const MEGABYTE: u64 = 1_000_000;
/// As much is gathered before it is written.
const PIECE: usize = 1 << 16;

/// A change, for `--json`.
#[derive(Debug, Serialize)]
struct Shown {
    path: String,
    change: How,
    kind: &'static str,
    binary: bool,
    added: Option<usize>,
    removed: Option<usize>,
    compared_with_host: bool,
    held: Option<Held>,
}

/// Shows it.
///
/// # Errors
/// When there is no such copy, or it can't be read.
pub async fn run(ctx: &Context, args: &DiffArgs) -> Outcome {
    if args.raw && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "--raw is for a file or a program: the agent's bytes could steer the terminal",
        ));
    }
    let (agent, words) = whose::split(args.agent.as_deref(), &args.words);
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let whose = Whose::find(ctx, &engine, agent).await?;
    let paths = whose::paths(words, &ctx.cwd, &whose.dir)?;
    let _lock = snapshot::lock(&ctx.paths, &whose.id)?;
    let base = pull::base(ctx, &whose)?;
    let careful = Careful::begin()?;
    let small = |change: &Change| match change.agent {
        Some(Node::File { len, .. }) => !args.name_only && len <= MAX_TEXT,
        _ => true,
    };
    let contents = |seen: &_| {
        let (changes, _) = fetch::wanted(&base, seen, &paths, args.ignored);
        changes.into_iter().filter(|change| small(change)).collect()
    };
    let copy = fetch::read(ctx, &engine, &whose, &base, &careful, &contents).await?;
    careful.end_at_once(true);
    let (changes, left_out) = fetch::wanted(&base, &copy.seen, &paths, args.ignored);
    let host = Beneath::open(&whose.dir)?;
    let until = Instant::now() + PATIENCE;
    let sides = |change: &Change| Sides::of(change, &host, &copy.spool);
    if ctx.output.json {
        let loaded = config::load(&whose.dir, &ctx.paths)?;
        let mut holder =
            Holder::new(&host, &copy.seen.tree, &base.hidden, &loaded.config.workspace.ignore, false);
        let all = changes.iter().map(|change| json(change, &sides(change), until, &mut holder));
        ctx.output.value(&all.collect::<Result<Vec<_>, Failure>>()?)?;
    } else if args.name_only {
        changes.iter().try_for_each(|change| ctx.output.line(&text::name("", &change.path)))?;
    } else if args.stat {
        stat(ctx, &changes, &sides, until)?;
    } else {
        let style = Style { colour: ctx.output.colour, raw: args.raw };
        let mut text = Vec::new();
        for change in &changes {
            render(&mut text, style, change, &sides(change), until);
            if text.len() > PIECE {
                output::write_stdout(&std::mem::take(&mut text))?;
            }
        }
        output::write_stdout(&text)?;
    }
    if left_out > 0 {
        ctx.output
            .note(&format!("{left_out} new files that .gitignore names are not shown; --ignored shows them"));
    }
    if changes.is_empty() {
        ctx.output.note(&format!("Agent {} changed nothing that isn't in the project already", whose.agent));
    }
    Ok(if args.exit_code && !changes.is_empty() { FAILED } else { OK })
}

fn json(change: &Change, sides: &Sides, until: Instant, holder: &mut Holder<'_>) -> Result<Shown, Failure> {
    let count = sides.count(until);
    Ok(Shown {
        path: shown(&change.path),
        change: change.how(),
        kind: kind(change),
        binary: sides.is_binary(),
        added: count.map(|(added, _)| added),
        removed: count.map(|(_, removed)| removed),
        compared_with_host: sides.against_host,
        held: holder
            .held(change)
            .map_err(|error| Failure::new(format!("Can't read {}: {error}", ignored::FILE)))?,
    })
}

/// What it is, or was.
pub(super) fn kind(change: &Change) -> &'static str {
    match change.agent.as_ref().or(change.base.as_ref()) {
        Some(Node::Folder) => "folder",
        Some(Node::File { .. }) => "file",
        Some(Node::Link(_)) => "link",
        Some(Node::Other) | None => "special",
    }
}

/// In numbers, for people.
pub(super) fn numbers(change: &Change, sides: &Sides, until: Instant) -> String {
    if kind(change) == "link" {
        return "link".to_owned();
    }
    match (sides.count(until), change.how()) {
        (_, How::Mode) => {
            let now = change.agent.as_ref().is_some_and(Node::is_executable);
            if now { "can be run" } else { "can't be run any more" }.to_owned()
        }
        (Some((added, 0)), _) if added > 0 => format!("+{added}"),
        (Some((0, removed)), _) if removed > 0 => format!("-{removed}"),
        (Some((0, 0)), _) if kind(change) == "file" => "empty".to_owned(),
        (Some((0, 0)), _) => kind(change).to_owned(),
        (Some((added, removed)), _) => format!("+{added} -{removed}"),
        (None, _) => match change.agent.as_ref().or(change.base.as_ref()) {
            Some(Node::File { len, .. }) if *len > MEGABYTE => format!("{} MB", len / MEGABYTE),
            Some(Node::File { len, .. }) => format!("{len} bytes"),
            _ => "not shown".to_owned(),
        },
    }
}

/// In what way, in a word.
pub(super) fn word(how: How) -> &'static str {
    match how {
        How::Added => "new",
        How::Deleted => "deleted",
        How::Modified | How::Mode => "changed",
        How::Type => "replaced",
    }
}

fn stat(
    ctx: &Context,
    changes: &[Change],
    sides: &dyn Fn(&Change) -> Sides,
    until: Instant,
) -> Result<(), Failure> {
    let row = |change: &Change| {
        let name = text::name("", &change.path);
        vec![word(change.how()).to_owned(), name, numbers(change, &sides(change), until)]
    };
    let rows: Vec<_> = changes.iter().map(row).collect();
    output::write_stdout(output::table(&rows).as_bytes())?;
    if !rows.is_empty() {
        ctx.output.line(&format!("{} changed", rows.len()))?;
    }
    Ok(())
}
