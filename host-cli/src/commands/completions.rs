//! `clawker completions`: a shell's script; and what that script asks at each press of the key.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, Shell, WordsArgs};
use crate::complete;
use crate::context::Context;
use crate::exit::{OK, Outcome};
use crate::output;

const BASH: &str = include_str!("../complete/clawker.bash");
const ZSH: &str = include_str!("../complete/clawker.zsh");
const FISH: &str = include_str!("../complete/clawker.fish");

/// Prints the script.
///
/// # Errors
/// When standard output can't be written.
pub fn run(args: &CompletionsArgs) -> Outcome {
    let script = match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    output::write_stdout(script.as_bytes())?;
    Ok(OK)
}

/// Prints what could stand in place of the last word, a candidate and its help a line, apart by a tab.
///
/// # Errors
/// When standard output can't be written.
pub fn words(ctx: &Context, args: &WordsArgs) -> Outcome {
    let mut root = Cli::command();
    root.build();
    let known = complete::of_host(ctx);
    for one in complete::complete(&root, &args.words, &known) {
        ctx.output.line(&format!("{}\t{}", output::escape(&one.word), output::escape(&one.help)))?;
    }
    Ok(OK)
}
