//! `clawker pull`: what an agent changed in its copy comes to the project.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::diff::{numbers, word};
use crate::cli::PullArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::output;
use crate::pull::fetch::{self, Careful};
use crate::pull::hold::{Held, Holder};
use crate::pull::node::{Node, Tree};
use crate::pull::plan::{Change, Fate, How, Wish};
use crate::pull::sides::Sides;
use crate::pull::text;
use crate::pull::whose::{self, Whose};
use crate::pull::write::{Item, Project, settle};
use crate::pull::{self, commits, host};
use crate::workspace::beneath::{Beneath, Swap};
use crate::workspace::guard;
use crate::workspace::look::shown;
use crate::{ignored, snapshot};

/// For how long the smallest differences are looked for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change and its fate.
#[derive(Debug, Serialize)]
struct Planned {
    path: String,
    change: How,
    fate: Fate,
    held: Option<Held>,
    beside: Option<String>,
    #[serde(skip)]
    item: Item,
    #[serde(skip)]
    beside_path: Option<PathBuf>,
}

impl Planned {
    fn comes(&self) -> bool {
        self.fate.comes()
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    agent: &'a str,
    /// Whether it was done, not only shown.
    done: bool,
    changes: Vec<&'a Planned>,
    /// New files that `.gitignore` names.
    ignored: usize,
}

/// Brings it.
///
/// # Errors
/// When there is no such copy, it can't be read, or nobody can be asked.
pub async fn run(ctx: &Context, args: &PullArgs) -> Outcome {
    let (agent, words) = whose::split(args.agent.as_deref(), &args.words);
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let whose = Whose::find(ctx, &engine, agent).await?;
    let paths = whose::paths(words, &ctx.cwd, &whose.dir)?;
    let _lock = snapshot::lock(&ctx.paths, &whose.id)?;
    let careful = Careful::begin()?;
    if args.commits {
        if !paths.is_empty() {
            return Err(Failure::usage("--commits brings branches; leave out the paths"));
        }
        return commits::bring(ctx, &engine, &whose, &careful).await;
    }
    let mut base = pull::base(ctx, &whose)?;
    let contents = |seen: &_| fetch::wanted(&base, seen, &paths, args.ignored).0;
    let copy = fetch::read(ctx, &engine, &whose, &base, &careful, &contents).await?;
    careful.end_at_once(true);
    let (changes, left_out) = fetch::wanted(&base, &copy.seen, &paths, args.ignored);
    let root = Beneath::open(&whose.dir)?;
    let patterns = config::load(&whose.dir, &ctx.paths)?.config.workspace.ignore;
    // What is hidden now, and whether all patterns can be read.
    let mut hidden = base.hidden.clone();
    hidden.extend(ignored::find(&whose.dir, &patterns)?.into_iter().map(|one| one.path));
    let mut holder = Holder::new(&root, &copy.seen.tree, &hidden, &patterns, args.with_config);
    let mut planned = Vec::new();
    for change in changes {
        let one = plan(args, &whose, &root, &mut holder, change);
        planned.push(one.map_err(|error| Failure::new(format!("Can't read {}: {error}", ignored::FILE)))?);
    }
    let coming = planned.iter().filter(|one| one.comes()).count();
    let project = Project { host: &root, spool: &copy.spool, owner: root.owner()? };
    let mut listed = list(args, &whose, &project, &planned);
    if !ctx.output.json {
        output::write_stdout(std::mem::take(&mut listed).as_bytes())?;
        tell(ctx, &engine, &whose, &planned, left_out).await;
    }
    if !args.dry_run {
        let what = if coming == 1 { "this change".to_owned() } else { format!("these {coming} changes") };
        let dir = output::escape(&whose.dir.to_string_lossy());
        if coming > 0 && !ctx.ask(&format!("{listed}Write {what} to {dir}?"), args.yes)? {
            return Err(Failure::new("Nothing was written"));
        }
        careful.end_at_once(false);
        apply(ctx, &project, &careful, &mut planned, &mut base.tree, &copy.seen.tree);
        base.save(&snapshot::base_file(&ctx.paths, &whose.id))?;
        if careful.interrupt.came() {
            return Err(Failure::new(
                "Interrupted; what was not written yet comes with the next clawker pull",
            ));
        }
        careful.end_at_once(true);
        guard::notice(ctx);
    }
    let done = !args.dry_run;
    let told: Vec<_> = planned.iter().filter(|one| one.fate != Fate::Same).collect();
    let all_came = told.iter().all(|one| one.comes());
    if ctx.output.json {
        ctx.output.value(&Report { agent: whose.agent.as_str(), done, changes: told, ignored: left_out })?;
    } else if done && coming > 0 {
        let came = told.iter().filter(|one| one.comes()).count();
        ctx.output.note(&format!("Written: {came} of {}", told.len()));
    }
    Ok(if all_came { OK } else { FAILED })
}

fn plan(
    args: &PullArgs,
    whose: &Whose,
    root: &Beneath,
    holder: &mut Holder<'_>,
    change: Change,
) -> io::Result<Planned> {
    let held = holder.held(&change)?;
    let host = if held.is_some() { None } else { host::node(root, &change.path) };
    let wish = Wish { theirs: args.theirs, beside: args.beside };
    let mut fate = if held.is_some() { Fate::Held } else { Fate::of(&change, host.as_ref(), wish) };
    let mut beside_path = None;
    if fate == Fate::Beside {
        beside_path = beside(root, &change.path, whose.agent.as_str());
        let may = match &beside_path {
            Some(path) => holder.by_name(path, false)?.is_none(),
            None => false,
        };
        if !may {
            fate = Fate::Conflict;
        }
    }
    Ok(Planned {
        path: shown(&change.path),
        change: change.how(),
        held,
        beside: beside_path.as_deref().filter(|_| fate == Fate::Beside).map(shown),
        beside_path,
        fate,
        item: Item { change, host },
    })
}

/// `FILE.AGENT`, or a number behind it, that nobody has.
fn beside(root: &Beneath, path: &Path, agent: &str) -> Option<PathBuf> {
    let name = path.file_name()?;
    let numbered = (1..100).map(|number| {
        let mut free = OsString::from(name);
        free.push(format!(".{agent}"));
        if number > 1 {
            free.push(format!("-{number}"));
        }
        path.with_file_name(free)
    });
    numbered.into_iter().find(|free| matches!(root.sort(free), Ok(None)))
}

/// What goes first, the deepest before what it lies in; then what comes, the other way round.
fn order(planned: &[Planned]) -> Vec<usize> {
    let is_gone = |at: &usize| planned.get(*at).is_some_and(|one| one.item.change.agent.is_none());
    let (gone, come): (Vec<usize>, Vec<usize>) = (0..planned.len()).partition(is_gone);
    gone.into_iter().rev().chain(come).collect()
}

/// Writes what comes, until an interrupt; what both sides have then is the base.
fn apply(
    ctx: &Context,
    project: &Project<'_>,
    careful: &Careful,
    planned: &mut [Planned],
    base: &mut Tree,
    agent: &Tree,
) {
    for at in order(planned) {
        let Some(one) = planned.get_mut(at).filter(|_| !careful.interrupt.came()) else { return };
        write(ctx, project, one);
        if one.comes() || one.fate == Fate::Same {
            settle(base, &one.item.change, agent);
        }
        if one.comes() && one.item.change.agent.is_none() {
            project.clear_folders(&one.item.change.path, agent);
        }
    }
}

fn write(ctx: &Context, project: &Project<'_>, one: &mut Planned) {
    let written = match (&one.fate, &one.beside_path, &one.item.change.agent) {
        (Fate::Taken | Fate::Theirs, _, _) => project.take(&one.item),
        (Fate::Beside, Some(path), Some(agent)) => project.put_beside(path, agent),
        _ => return,
    };
    let name = text::name("", &one.item.change.path);
    match written {
        Ok(Swap::Done) => {}
        Ok(Swap::Changed) => {
            ctx.output
                .note(&format!("{} is something else by now, or something is in its way; it stays", name));
            one.fate = Fate::Conflict;
        }
        Err(error) => {
            ctx.output.note(&format!("Can't write {name}: {error}"));
            one.fate = Fate::Failed;
        }
    }
}

/// What would be done, for people.
fn list(args: &PullArgs, whose: &Whose, project: &Project<'_>, planned: &[Planned]) -> String {
    let until = Instant::now() + PATIENCE;
    let rows = |wanted: &dyn Fn(&Planned) -> bool, why: &dyn Fn(&Planned) -> String| {
        let row = |one: &Planned| {
            let mut name = text::name("", &one.item.change.path);
            if let Some(Node::Link(target)) = &one.item.change.agent {
                name.push_str(&format!(" -> {}", text::name("", target)));
            }
            vec![format!("  {}", word(one.change)), name, why(one)]
        };
        let rows: Vec<_> = planned.iter().filter(|one| wanted(one)).map(row).collect();
        if rows.is_empty() { None } else { Some(output::table(&rows)) }
    };
    let numbers = |one: &Planned| {
        let change = &one.item.change;
        numbers(change, &Sides::of(change, project.host, project.spool), until)
    };
    let mut text = String::new();
    let mut part = |head: &str, rows: Option<String>| {
        if let Some(rows) = rows {
            text.push_str(&format!("{head}\n{rows}"));
        }
    };
    let agent = &whose.agent;
    part(&format!("From agent {agent}:"), rows(&|one| one.fate == Fate::Taken, &numbers));
    part("Over your own change, which is lost:", rows(&|one| one.fate == Fate::Theirs, &numbers));
    let to = |one: &Planned| one.beside_path.as_deref().map(|path| format!("as {}", text::name("", path)));
    part(
        "Changed by you as well, so that the agent's comes under another name:",
        rows(&|one| one.fate == Fate::Beside, &|one| to(one).unwrap_or_default()),
    );
    let hint = match args.theirs || args.beside {
        true => "",
        false => " (--beside writes the agent's under another name, --theirs over it)",
    };
    part(
        &format!("Changed by you as well, so that yours stays{hint}:"),
        rows(&|one| one.fate == Fate::Conflict, &numbers),
    );
    let why = |one: &Planned| one.held.map(Held::why).unwrap_or_default().to_owned();
    part("Held back:", rows(&|one| one.fate == Fate::Held, &why));
    text
}

async fn tell(ctx: &Context, engine: &Engine, whose: &Whose, planned: &[Planned], left_out: usize) {
    let agent = &whose.agent;
    if left_out > 0 {
        ctx.output
            .note(&format!("{left_out} new files that .gitignore names stay there; --ignored brings them"));
    }
    if planned.iter().all(|one| one.fate == Fate::Same) {
        ctx.output.note(&format!("Agent {agent} changed nothing that isn't in the project already"));
    } else if whose.runs(engine).await {
        ctx.output.note(&format!("Agent {agent} runs: what it is writing right now may come half"));
    }
}
