//! `clawker-init`: the order of events.

use std::ffi::OsString;
use std::process::ExitCode;

use clawker_init::{exit_code, log, signals, supervise, supervisor};

fn main() -> ExitCode {
    signals::block_all();
    supervisor::close_inherited();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let code = match args.split_first() {
        Some((verb, rest)) if verb == "supervise" => supervise::command(rest),
        _ => {
            log::line("Unknown command; try clawker-init supervise --help");
            exit_code::SETUP_FAILED
        }
    };
    ExitCode::from(code)
}
