//! The `clawker` binary: reads the command line, does it, says in one line why not, and returns the exit code.

use std::process::exit;

use clap::Parser;
use clawker::cli::Cli;
use clawker::{commands, exit, output, refused, terminal, usage};

fn main() {
    terminal::install_panic_hook();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => exit(usage::report(&error, std::env::args_os())),
    };
    let dashes = std::env::args_os().any(|word| word == "--");
    if let Some(option) = cli.command.stray_option(dashes) {
        let unknown = || format!("Unknown option {option}; write -- before what is the program's");
        output::complain(
            &refused::reason(option).map_or_else(unknown, |reason| usage::refused(option, reason)),
        );
        exit(i32::from(exit::NOT_THE_PROGRAM));
    }
    let returns_program_code = cli.command.returns_program_code();
    let outcome = std::panic::catch_unwind(|| commands::dispatch(cli));
    terminal::restore();
    let code = match outcome {
        Ok(outcome) => {
            if let Err(failure) = &outcome {
                output::complain(&failure.message);
            }
            exit::code(&outcome, returns_program_code)
        }
        // The hook has said where.
        Err(_) if returns_program_code => exit::NOT_THE_PROGRAM,
        Err(_) => exit::FAILED,
    };
    // Threads that still read standard input must not keep the process.
    exit(i32::from(code));
}
