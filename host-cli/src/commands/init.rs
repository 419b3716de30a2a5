//! `clawker init`: writes a project's first `.clawker.yaml` and `.clawkerignore`. What they open takes effect at the
//! next `run`, which asks; here they are shown before they are written.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;

use crate::cli::InitArgs;
use crate::config::{self, FILE, ProjectConfig};
use crate::context::Context;
use crate::exit::{FAILED, Failure, OK, Outcome};
use crate::starter::{self, Draft, Language, Machine, Wishes};
use crate::{output, store, workspace};

/// The file that says what agents don't see.
const IGNORE: &str = ".clawkerignore";
/// Both are for everybody who works on the project.
const MODE: u32 = 0o644;

/// Writes both files, or none.
///
/// # Errors
/// When one is there already and `--force` isn't given, or the folder can't be a project.
pub fn run(ctx: &Context, args: &InitArgs) -> Outcome {
    let dir = &ctx.cwd;
    let own = [&ctx.paths.state, &ctx.paths.config, &ctx.paths.cache].map(|own| workspace::canonical(own));
    let own: Vec<_> = own.iter().map(|own| (own.as_path(), "clawker's own files")).collect();
    workspace::check(dir, &own)?;
    let files = [dir.join(FILE), dir.join(IGNORE)];
    if !args.print && !args.force {
        files.iter().try_for_each(|file| absent(file))?;
    }
    let folder = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = Name::from_folder(&folder)
        .ok_or_else(|| Failure::new(format!("No project can be named after {}", dir.display())))?;
    let wishes = Wishes { vcs: args.vcs.clone(), ssh: args.ssh };
    let draft = Draft::of(dir, name, &wishes, &Machine).map_err(|error| Failure::usage(error.to_string()))?;
    let yaml = starter::yaml(&draft);
    draft.check()?;
    config::parse::<ProjectConfig>(&files[0], &yaml)?;
    let texts = [yaml, starter::ignore_file(&draft.languages)];
    if args.print {
        show(ctx, &draft, &texts[0], &[])?;
        return Ok(OK);
    }
    let question = format!("{}\nWrite this to {}, and {IGNORE} beside it?", texts[0], files[0].display());
    if !ctx.ask(&question, args.yes)? {
        return Ok(FAILED);
    }
    write(&files, &texts, args.force)?;
    show(ctx, &draft, &texts[0], &files)?;
    ctx.output.note("Next: clawker run");
    Ok(OK)
}

fn show(ctx: &Context, draft: &Draft, yaml: &str, written: &[PathBuf]) -> Result<(), Failure> {
    if ctx.output.json {
        let rules: Vec<_> = draft
            .lines
            .iter()
            .map(|line| serde_json::json!({ "rule": line.rule, "why": line.why }))
            .collect();
        return ctx.output.value(&serde_json::json!({
            "project": draft.project, "languages": draft.languages, "rules": rules, "notes": draft.notes,
            "written": written,
        }));
    }
    if written.is_empty() {
        return output::write_stdout(yaml.as_bytes());
    }
    let languages: Vec<_> = draft.languages.iter().map(|language| Language::as_str(*language)).collect();
    if !languages.is_empty() {
        ctx.output.note(&format!("Seen here: {}", languages.join(", ")));
    }
    written.iter().try_for_each(|file| ctx.output.line(&output::escape(&file.to_string_lossy())))
}

fn absent(file: &Path) -> Result<(), Failure> {
    // A link to nowhere counts.
    if std::fs::symlink_metadata(file).is_err() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is there already; look at what init would write: clawker init --print; or write it \
        over: clawker init --force",
        file.display()
    )))
}

/// Without force nothing is ever written over, also not what appears meanwhile.
fn write(files: &[PathBuf; 2], texts: &[String; 2], force: bool) -> Result<(), Failure> {
    for (at, (file, text)) in files.iter().zip(texts).enumerate() {
        if force {
            store::write_atomically(file, text.as_bytes(), MODE)?;
        } else if let Err(error) = create(file, text) {
            // What was written a moment ago is ours.
            files.iter().take(at).for_each(|file| drop(std::fs::remove_file(file)));
            return Err(Failure::new(format!("Can't write {}: {error}", file.display())));
        }
    }
    Ok(())
}

/// A whole new file, or none: written beside, then given its name, which fails where there is one.
fn create(file: &Path, text: &str) -> std::io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = file.with_file_name(format!("{name}.{}", std::process::id()));
    let new = |file: &Path| {
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(MODE).open(file);
        made.and_then(|mut handle| handle.write_all(text.as_bytes()))
    };
    let linked = new(&beside).and_then(|()| std::fs::hard_link(&beside, file));
    let _ = std::fs::remove_file(&beside);
    match linked {
        // Some file systems know no second name.
        Err(error)
            if error.kind() == ErrorKind::Unsupported || error.kind() == ErrorKind::PermissionDenied =>
        {
            new(file)
        }
        other => other,
    }
}
