//! `make bench`: the first figures, each beside a peer in the same run and beside its bar.
//!
//! `clawker-bench stamp [COMMAND]` and `clawker-bench rules SERVICES TOGGLES` are parts of it that run in namespaces.

use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clawker_integration::bench::figures::{Figures, Row, table};
use clawker_integration::bench::{command, rules, start};
use clawker_integration::rig::workspace;
use clawker_integration::world::World;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["stamp", ..] => start::stamp(args.get(1..).unwrap_or_default()).map_err(Into::into),
        ["rules", services, toggles] => match (services.parse(), toggles.parse()) {
            (Ok(services), Ok(toggles)) => rules::inside(services, toggles),
            _ => Err("rules takes two numbers".into()),
        },
        ["transaction", services, _] => match services.parse() {
            Ok(services) => rules::transaction(services),
            Err(_) => Err("transaction takes a number".into()),
        },
        [] => all(),
        _ => Err("clawker-bench takes no arguments".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clawker-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Outcome<()> {
    let mut rows = Vec::new();
    eprintln!("Measuring init by itself");
    size(&mut rows)?;
    starts(&mut rows)?;
    eprintln!("Measuring the rules");
    transactions(&mut rows)?;
    eprintln!("Measuring whole commands");
    commands(&mut rows)?;
    println!("{}", table(&rows));
    Ok(())
}

fn init() -> PathBuf {
    workspace().join("target/init/clawker-init")
}

fn size(rows: &mut Vec<Row>) -> Outcome<()> {
    let bytes = fs::metadata(init())?.len();
    rows.push(Row::value(
        "clawker-init, static, stripped",
        format!("{bytes} B"),
        "<= 1,000,000 B",
        Some(bytes <= 1_000_000),
    ));
    Ok(())
}

fn times(of: Vec<Duration>) -> Outcome<Figures> {
    Figures::of(of).ok_or_else(|| "nothing was measured".into())
}

fn starts(rows: &mut Vec<Row>) -> Outcome<()> {
    let folder = Path::new("/tmp").join(format!("clawker-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = starts_in(&folder, rows);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn starts_in(folder: &Path, rows: &mut Vec<Row>) -> Outcome<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let place = start::Start {
        stamp: folder.join("clawker-bench"),
        boot: folder.join("boot.json"),
        resolv: folder.join("resolv.conf"),
    };
    fs::copy(std::env::current_exe()?, &place.stamp)?;
    fs::set_permissions(&place.stamp, fs::Permissions::from_mode(0o755))?;
    fs::write(&place.resolv, "nameserver 172.30.0.3\n")?;
    let boot = serde_json::json!({
        "v": 1,
        "project": "bench",
        "agent": "bench",
        "enforcement": rules::enforcement(10),
        "secret_sha256": "0".repeat(64),
        "run": {"uid": 1001, "gid": 1001, "command": [place.stamp, "stamp"]},
    });
    fs::write(&place.boot, boot.to_string())?;
    let (ours, tini) = place.compare(&init(), 40)?.ok_or("nothing was measured")?;
    let delay = ours.median().saturating_sub(tini.median());
    rows.push(Row::times("start to the agent's first instruction: tini", &tini, "", None));
    rows.push(Row::times("the same: clawker-init, rules included", &ours, "", None));
    let held = delay <= Duration::from_millis(5);
    rows.push(Row::value(
        "start delay over tini, of the medians",
        clawker_integration::bench::figures::millis(delay),
        "<= 5 ms",
        Some(held),
    ));
    Ok(())
}

fn transactions(rows: &mut Vec<Row>) -> Outcome<()> {
    let collect = |name: &str, services: u32, times: usize| -> Outcome<Figures> {
        let mut all = Vec::new();
        for _ in 0..times {
            all.extend(rules::run(name, services, 0)?);
        }
        self::times(all)
    };
    for (services, what, runs, bar) in [
        (10, "default policy", 30, Duration::from_millis(1)),
        (10_000, "10,000 services", 10, Duration::from_millis(50)),
    ] {
        let alone = collect("transaction", services, runs)?;
        let held = alone.median() <= bar;
        let bar = format!("<= {} ms", bar.as_millis());
        rows.push(Row::times(&format!("rules, {what}: the transaction"), &alone, &bar, Some(held)));
        let whole = collect("install", services, runs)?;
        rows.push(Row::times(&format!("rules, {what}: compiled, sent, read back"), &whole, "", None));
    }
    let mut shell = Vec::new();
    for _ in 0..10 {
        shell.push(rules::script(rules::IPTABLES)?);
    }
    rows.push(Row::times("about the same by 13 calls of iptables", &times(shell)?, "", None));
    let opened = times(rules::run("open", 10, 200)?)?;
    rows.push(Row::times("open the fence, in the kernel", &opened, "", None));
    let closed = times(rules::run("close", 10, 200)?)?;
    rows.push(Row::times("close it, flows cut", &closed, "", None));
    Ok(())
}

fn commands(rows: &mut Vec<Row>) -> Outcome<()> {
    let world = World::new("bench")?;
    world.agent("dev")?;
    let pid = world.pid("dev")?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kilobytes = |name: &str| -> u64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX)
    };
    let (rss, anonymous) = (kilobytes("Rss:"), kilobytes("Anonymous:"));
    rows.push(Row::value("PID 1 idle, resident", format!("{rss} kB"), "<= 1,536 kB", Some(rss <= 1_536)));
    rows.push(Row::value(
        "PID 1 idle, anonymous",
        format!("{anonymous} kB"),
        "<= 300 kB",
        Some(anonymous <= 300),
    ));

    let mut disable = Vec::new();
    let mut exec = Vec::new();
    for _ in 0..40 {
        disable.push(command::once(&mut world.sandbox.command(&["firewall", "disable", "--agent", "dev"]))?);
        command::once(&mut world.sandbox.command(&["firewall", "enable", "--agent", "dev"]))?;
        exec.push(command::once(Command::new("docker").args(["exec", &world.container("dev"), "true"]))?);
    }
    let disable = times(disable)?;
    let held = disable.median() <= Duration::from_millis(15);
    rows.push(Row::times("clawker firewall disable, as a process", &disable, "<= 15 ms", Some(held)));
    rows.push(Row::times("docker exec CONTAINER true", &times(exec)?, "", None));

    let image = "clawker-base:latest";
    let (mut ours, mut docker) = (Vec::new(), Vec::new());
    for round in 0..15 {
        let agent = format!("run{round}");
        let args = ["run", "--rm", "--yes", "--agent", &agent, "--image", image, "--", "true"];
        ours.push(command::once(&mut world.sandbox.command(&args))?);
        docker.push(command::once(Command::new("docker").args(["run", "--rm", image, "true"]))?);
    }
    let (ours, docker) = (times(ours)?, times(docker)?);
    let ratio = ours.median().as_secs_f64() / docker.median().as_secs_f64();
    rows.push(Row::times("docker run --rm IMAGE true", &docker, "", None));
    rows.push(Row::times("clawker run --rm --image IMAGE true", &ours, "", None));
    rows.push(Row::value("ratio of the medians", format!("{ratio:.2}x"), "<= 1.25x", Some(ratio <= 1.25)));
    Ok(())
}
