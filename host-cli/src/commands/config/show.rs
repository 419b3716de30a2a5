//! `clawker config show`: every value that holds for this folder and the file that gives it. Of variables that only
//! the host knows (`from_env`, `env_file`) it shows the names, never a value.

use serde::Serialize;

use crate::accepted;
use crate::config::{self, Loaded};
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::output;
use crate::project::Project;

/// Prints it.
///
/// # Errors
/// When a file is wrong.
pub fn run(ctx: &Context) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    let values = values(&loaded)?;
    let pending = accepted::pending(&Project::load(&ctx.paths, &loaded.dir)?, &loaded)?;
    if ctx.output.json {
        ctx.output.value(&serde_json::json!({
            "project": loaded.project, "dir": loaded.dir, "files": loaded.files, "values": values,
            "pending": pending,
        }))?;
        return Ok(OK);
    }
    let mut rows = vec![["KEY", "VALUE", "FROM"].map(str::to_owned).to_vec()];
    for value in &values {
        let from: Vec<_> = value.from.iter().map(|file| output::escape(&file.to_string_lossy())).collect();
        let from = if from.is_empty() { "default".to_owned() } else { from.join(", ") };
        rows.push(vec![output::escape(&value.key), output::json(&value.value)?, from]);
    }
    output::write_stdout(output::table(&rows).as_bytes())?;
    if !pending.is_empty() {
        ctx.output.note(&format!(
            "The files ask for more than was accepted; see and take it: clawker firewall reload\n  {}",
            pending.join("\n  ")
        ));
    }
    Ok(OK)
}

/// A value and where it comes from.
#[derive(Debug, Serialize)]
struct Shown {
    key: String,
    value: serde_json::Value,
    /// The files that give it, the nearest first; none of a default.
    from: Vec<std::path::PathBuf>,
}

/// By key. What has no value is left out.
fn values(loaded: &Loaded) -> Result<Vec<Shown>, Failure> {
    let mut shown = Vec::new();
    let mut all = serde_json::to_value(&loaded.config)?;
    // What the user's settings say of every project has been merged already.
    let mut settings = serde_json::to_value(&loaded.settings)?;
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, _| key != "agent" && key != "build");
    }
    if let Some(all) = all.as_object_mut() {
        all.insert("settings".to_owned(), settings);
        all.insert("project".to_owned(), serde_json::to_value(&loaded.project)?);
    }
    flatten(String::new(), all, &mut |key, value| {
        let from = loaded.origins.get(&key).cloned().unwrap_or_default();
        shown.push(Shown { key, value, from });
    });
    Ok(shown)
}

fn flatten(key: String, value: serde_json::Value, each: &mut dyn FnMut(String, serde_json::Value)) {
    match value {
        serde_json::Value::Null => {}
        serde_json::Value::Object(entries) => {
            for (name, value) in entries {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, value, each);
            }
        }
        value => each(key, value),
    }
}
