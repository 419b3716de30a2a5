//! `make bench-policy`: what a policy costs as it grows, and what its ways cost beside bare parts.
//!
//! `clawker-bench-policy serve FOLDER NAME` and `clawker-bench-policy load TASK` are parts of it that run in containers.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clawker_integration::bench::policy::{growth, load, peers::Peers, plot, report, upstream, ways};
use clawker_integration::rig::docker::docker;
use clawker_integration::rig::workspace;
use clawker_integration::world::World;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Names in the policy.
const NAMES: [usize; 3] = [10, 1_000, 10_000];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["serve", folder, name] => wait_for(upstream::serve(Path::new(folder), name)),
        ["load", task] => load_once(task),
        [] => all(false),
        ["--write"] => all(true),
        _ => Err("clawker-bench-policy takes --write or nothing".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clawker-bench-policy: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wait_for<T, E: Error + 'static>(work: impl Future<Output = std::result::Result<T, E>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work)?)
}

fn load_once(task: &str) -> Result<()> {
    let outcome = wait_for(load::run(serde_json::from_str(task)?))?;
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// What the run is made on.
fn conditions(peers: &Peers) -> Result<report::Conditions> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(report::Conditions {
        cores: std::thread::available_parallelism()?.get(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        docker: docker(&["version", "--format", "{{.Server.Version}}"])?,
        parts: peers.versions()?,
        load: load.split(' ').next().unwrap_or_default().to_owned(),
    })
}

fn all(write: bool) -> Result<()> {
    let mut world = World::new("policy")?;
    let folder = world.project();
    fs::copy(std::env::current_exe()?, folder.join("bench"))?;
    let network = world.stack_name("clawker-net");
    let peers = Peers::start(&mut world.rig, &network, &folder)?;
    world.agent("dev")?;
    let conditions = conditions(&peers)?;
    let roots = [world.rig.ca_pem_path(), peers.ca()];
    let roots: Vec<&Path> = roots.iter().map(AsRef::as_ref).collect();
    let (mut grown, mut ways) = (Vec::new(), Vec::new());
    for names in NAMES {
        eprintln!("Measuring a policy of {names} names");
        grown.push(growth::measure(&world, names, &roots)?);
        let results = ways::measure(&world, &peers)?;
        if let Some(doubt) = ways::doubt(&results) {
            return Err(format!("The figures can't be right: {doubt}").into());
        }
        ways.push(report::ways(names, &results));
    }
    println!("{}\n{}", report::growth(&grown), ways.join("\n"));
    for one in &grown {
        if report::bar(one.names).is_some_and(|bar| one.add.median() > bar) {
            eprintln!("Above its bar: one more rule among {} names", one.names);
        }
    }
    if write {
        let docs = workspace().join("docs");
        fs::write(docs.join("policy-growth.svg"), plot::svg(&report::charts(&grown)))?;
        fs::write(docs.join("policy-growth.md"), report::page(&conditions, &grown, &ways))?;
    }
    Ok(())
}
