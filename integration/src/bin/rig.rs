//! `rig [INSTANCE]` brings the fake internet up for work by hand, says where everything is, and takes it down again at
//! Ctrl-C.

use std::error::Error;
use std::process::ExitCode;

use clawker_integration::fakenet::files;
use clawker_integration::rig::Rig;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let instance = std::env::args().nth(1).unwrap_or_else(|| "hand".to_owned());
    match hold(&instance) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rig: {error}");
            ExitCode::FAILURE
        }
    }
}

fn hold(instance: &str) -> Result<(), Box<dyn Error>> {
    let rig = Rig::up(instance)?;
    let root = rig.ca_pem_path();
    println!("network   {}", rig.network());
    println!("container {}", rig.container());
    println!("resolver  {}", rig.dns_address());
    println!("root      {}", root.display());
    println!("zone      {}", root.with_file_name(files::ZONE).display());
    println!("records   {}", root.with_file_name(files::RECORDS).display());
    eprintln!("The fake internet is up; Ctrl-C takes it down");
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok(())
    })
}
