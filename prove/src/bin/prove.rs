//! `prove sink FOLDER` is the internet that attacks are aimed at, `prove run BATCH` the attacker, `prove route GATEWAY
//! HARDWARE` leads the network namespace that it runs in there.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clawker_prove::attacks::{self, flood, later, nets, send_handed, serve, try_apart};
use clawker_prove::fakenet::{self, address, six};
use clawker_prove::task::Batch;

const USAGE: &str =
    "Usage: prove sink FOLDER | loopback FILE | run BATCH | route GATEWAY HARDWARE | flood FILE ADDRESS";
/// When a child that was left behind sends.
const LATER: Duration = Duration::from_millis(700);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match obey(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("{error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn obey(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    match arguments {
        ["sink", folder] => {
            // Where there is no IPv6, nobody sends it either: the attacks say so.
            if let Err(error) = six::take() {
                eprintln!("The made-up internet has no IPv6: {error}");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(fakenet::serve(Some(Path::new(folder)), &nets()))?)
        }
        ["run", batch] => {
            let batch: Batch = serde_json::from_str(batch)?;
            attacks::run(&batch, |outcome| {
                let line = serde_json::to_string(&outcome).unwrap_or_default();
                // Without a reader there is nobody to tell.
                let _ = writeln!(std::io::stdout(), "{line}");
            });
            // Attacks that came to no end go with the process.
            std::process::exit(0)
        }
        ["loopback", file] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(fakenet::loopback::serve(Path::new(file)))?)
        }
        ["route", gateway, hardware] => {
            let gateway = gateway.parse()?;
            address::lead(gateway)?;
            let hardware = six::hardware(hardware).ok_or(USAGE)?;
            if let Err(error) = six::lead(gateway, &hardware) {
                eprintln!("This network has no IPv6: {error}");
            }
            Ok(())
        }
        ["flood", file, sink] => {
            serve::begin()?;
            flood::run(Path::new(file), sink.parse()?)
        }
        ["later", canary] => {
            std::thread::sleep(LATER);
            Ok(later(canary)?)
        }
        ["handed", canary] => Ok(send_handed(canary)?),
        ["apart", what] => Ok(try_apart(what)?),
        ["serve"] => {
            serve::begin()?;
            loop {
                std::thread::sleep(Duration::from_secs(3600));
            }
        }
        _ => Err(USAGE.into()),
    }
}
