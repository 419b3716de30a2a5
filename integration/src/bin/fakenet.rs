//! `fakenet serve [FOLDER]` is the fake internet, for a container or network namespace of its own; `fakenet probe`
//! is a client for it that needs nothing else.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use clawker_integration::fakenet::{self, probe};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match arguments.split_first() {
        Some((verb, rest)) if verb == "serve" && rest.len() <= 1 => {
            let folder = rest.first().map(Path::new);
            match runtime.block_on(fakenet::serve(folder, &[fakenet::address::HOSTS])) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(&error),
            }
        }
        Some((verb, rest)) if verb == "probe" => match runtime.block_on(probe::run(rest)) {
            Ok(answer) => {
                println!("{}", answer.trim_end());
                ExitCode::SUCCESS
            }
            Err(error @ probe::ProbeError::Usage) => {
                fail(&error);
                ExitCode::from(2)
            }
            Err(error) => fail(&error),
        },
        _ => {
            eprintln!("Usage:\nfakenet serve [FOLDER]\n{}", probe::USAGE);
            ExitCode::from(2)
        }
    }
}

/// Prints the chain of causes once.
fn fail(error: &dyn Error) -> ExitCode {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push_str(&format!(": {error}"));
        cause = error.source();
    }
    eprintln!("fakenet: {chain}");
    ExitCode::FAILURE
}
