//! The `docker` command, as the rig uses it. The rig looks at the product from outside, so it shares no Docker code
//! with it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Why a command gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be run.
    #[error("Can't run {0}")]
    Start(String, #[source] std::io::Error),
    /// It ran and failed.
    #[error("{0} failed: {1}")]
    Failed(String, String),
}

/// Runs a command and returns its stdout without the final newline.
///
/// # Errors
/// [`CommandError`], with what it said on stderr.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, CommandError> {
    let mut command = Command::new(program);
    text_of(&shown(program, arguments), command.args(arguments).stdin(Stdio::null()).output())
}

/// Runs a command with bytes on its stdin.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(program: &str, arguments: &[&str], input: &[u8]) -> Result<String, CommandError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut finish = || {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that ends early says why itself.
            let _ = stdin.write_all(input);
        }
        child.wait_with_output()
    };
    text_of(&shown(program, arguments), finish())
}

/// Runs `docker`.
///
/// # Errors
/// As [`run`].
pub fn docker(arguments: &[&str]) -> Result<String, CommandError> {
    run("docker", arguments)
}

/// Removes every container, then network, then volume that carries a label. What is gone already is no error.
pub fn remove_labelled(label: &str) {
    let filter = format!("label={label}");
    let kinds: [(&[&str], &[&str]); 3] = [
        (&["ps", "-aq", "--filter", &filter], &["rm", "-f", "-v"]),
        (&["network", "ls", "-q", "--filter", &filter], &["network", "rm"]),
        (&["volume", "ls", "-q", "--filter", &filter], &["volume", "rm"]),
    ];
    for (list, remove) in kinds {
        // Side by side: most of a removal is waiting.
        std::thread::scope(|scope| {
            for id in docker(list).unwrap_or_default().lines() {
                let words = [remove, &[id]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
                scope.spawn(move || docker(&words.iter().map(String::as_str).collect::<Vec<_>>()).is_ok());
            }
        });
    }
}

fn shown(program: &str, arguments: &[&str]) -> String {
    std::iter::once(program).chain(arguments.iter().copied()).take(4).collect::<Vec<_>>().join(" ")
}

fn text_of(shown: &str, output: std::io::Result<Output>) -> Result<String, CommandError> {
    let output = output.map_err(|error| CommandError::Start(shown.to_owned(), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(CommandError::Failed(
        shown.to_owned(),
        if said.is_empty() { output.status.to_string() } else { said },
    ))
}
