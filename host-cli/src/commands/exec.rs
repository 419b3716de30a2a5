//! `clawker exec`: a program beside the agent, as the agent's user, through the same drop.

use clawker_protocol::places;

use crate::cli::ExecArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exec::{self, Interactive};
use crate::exit::{Failure, Outcome};
use crate::resolve::{self, ResolveError};
use crate::session::Shape;
use crate::{ours, terminal};

/// Runs it.
///
/// # Errors
/// When the agent isn't there or doesn't run.
pub async fn run(ctx: &Context, args: &ExecArgs) -> Outcome {
    let (agent, command) = split(args.agent.as_deref(), &args.words)?;
    let record = resolve::agent(&ctx.paths, &ctx.cwd, agent).map_err(|error| match (error, &args.agent) {
        // `exec -- ls`, by who thinks of the only agent.
        (error @ ResolveError::Unknown { .. }, None) => Failure::new(format!(
            "{error}; the first word is the agent, unless an option names it: clawker exec --agent NAME -- COMMAND"
        )),
        (error, _) => error.into(),
    })?;
    let env = exec::variables(&args.env)?;
    let shape = shape(args.interactive, args.tty)?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::running(&engine, &record).await?;
    let run = Interactive {
        container: &container.id,
        command: entering(&[], command),
        env: env.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        workdir: args.workdir.clone(),
        shape,
        detach_keys: args.detach_keys.clone(),
    };
    exec::interactive(&engine, run).await
}

/// The agent and the command: the first word is the agent unless `--agent` names it.
fn split<'a>(
    agent: Option<&'a str>,
    words: &'a [String],
) -> Result<(Option<&'a str>, &'a [String]), Failure> {
    let (agent, command) = match (agent, words.split_first()) {
        (None, Some((first, rest))) => (Some(first.as_str()), rest),
        (agent, _) => (agent, words),
    };
    let command = match command.split_first() {
        Some((dashes, rest)) if dashes == "--" => rest,
        _ => command,
    };
    if command.is_empty() {
        let agent = agent.unwrap_or("dev");
        return Err(Failure::usage(format!("Nothing to run; write clawker exec {agent} COMMAND")));
    }
    Ok((agent, command))
}

/// Terminal and input: as asked for, else on where we have a terminal.
///
/// # Errors
/// A terminal was asked for and there is none.
pub fn shape(interactive: bool, tty: bool) -> Result<Shape, Failure> {
    let automatic = !interactive && !tty && terminal::is_interactive();
    let shape = Shape { tty: tty || automatic, stdin: interactive || automatic };
    if shape.tty && shape.stdin && !terminal::is_interactive() {
        return Err(Failure::new("Standard input and output are not a terminal; leave out -t"));
    }
    Ok(shape)
}

/// The command that goes through init's drop first.
pub fn entering(options: &[&str], command: &[String]) -> Vec<String> {
    let mut words = vec![places::INIT.to_owned(), "enter".to_owned()];
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words.push("--".to_owned());
    words.extend_from_slice(command);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_the_agent_unless_it_was_named() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (agent, line, expected) in [
            (None, "dev ls -l", Some((Some("dev"), "ls -l"))),
            (None, "dev -- ls -l", Some((Some("dev"), "ls -l"))),
            (Some("dev"), "ls -l", Some((Some("dev"), "ls -l"))),
            (Some("dev"), "-- ls", Some((Some("dev"), "ls"))),
            (None, "dev", None),
            (None, "dev --", None),
        ] {
            let words = words(line);
            let expected =
                expected.map(|(agent, rest)| (agent, rest.split(' ').map(str::to_owned).collect::<Vec<_>>()));
            let got = split(agent, &words).ok().map(|(agent, rest)| (agent, rest.to_vec()));
            assert_eq!(got, expected, "{agent:?} {line}");
        }
    }

    #[test]
    fn no_option_of_the_command_reaches_init() {
        assert_eq!(
            entering(&["--root"], &["--x".to_owned()]),
            [places::INIT, "enter", "--root", "--", "--x"]
        );
    }
}
