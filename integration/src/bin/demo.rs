//! `make demo`: the main job on the screen, row by row, on a made-up internet. The exit code is 1 if a row is not as it
//! should be.

use std::io::Write;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clawker_integration::rig::{docker::docker, wait};
use clawker_integration::world::{Said, World, WorldError};

fn main() -> ExitCode {
    let begun = Instant::now();
    let mut show = Show::default();
    match run(&mut show) {
        Ok(()) => {}
        Err(error) => {
            eprintln!("\nThe demo could not go on: {error}");
            return ExitCode::FAILURE;
        }
    }
    println!("\n{}", show.table());
    let wrong = show.rows.iter().filter(|row| !row.right).count();
    println!(
        "{} of {} rows are as they should be ({} s)",
        show.rows.len() - wrong,
        show.rows.len(),
        begun.elapsed().as_secs()
    );
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One thing that was looked at.
struct Row {
    what: String,
    seen: String,
    right: bool,
}

/// What is on the screen, and what was seen so far.
#[derive(Default)]
struct Show {
    rows: Vec<Row>,
}

impl Show {
    fn say(&self, text: &str) {
        println!("\n== {text}");
        let _ = std::io::stdout().flush();
    }

    fn row(&mut self, what: &str, seen: &str, right: bool) {
        let seen = seen.lines().next().unwrap_or_default().chars().take(64).collect::<String>();
        println!("   {} {what}: {seen}", if right { "ok " } else { "NO " });
        let _ = std::io::stdout().flush();
        self.rows.push(Row { what: what.to_owned(), seen, right });
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        let line = |row: &Row| {
            format!("{:<4}{:<width$}  {}\n", if row.right { "ok" } else { "NO" }, row.what, row.seen)
        };
        self.rows.iter().map(line).collect()
    }
}

/// What a command said, in a line.
fn told(said: &Said) -> String {
    let text = if said.out.trim().is_empty() { &said.err } else { &said.out };
    format!("{} (exit {})", text.trim().lines().next_back().unwrap_or_default(), said.code)
}

fn run(show: &mut Show) -> Result<(), WorldError> {
    show.say("A fake internet on 198.51.100.0/24, and the stack: real Envoy, real CoreDNS");
    let world = World::new("demo")?;
    println!("   {}", world.must(&["firewall", "status"])?.replace('\n', "\n   "));

    show.say("clawker run: Claude Code as uid 1001, under clawker-init");
    claude(show, &world)?;

    show.say("What the agent is");
    world.agent("dev")?;
    let who =
        world.sh("dev", "id; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr -s '\\t\\n' '  '")?;
    let nobody = who.out.contains("uid=1001")
        && who.out.contains("CapBnd: 0000000000000000")
        && who.out.contains("NoNewPrivs: 1");
    show.row("uid 1001, no capability, no new privileges", &who.out, nobody);
    let init = docker(&["exec", &world.container("dev"), "cat", "/proc/1/comm"])?;
    show.row("PID 1", &init, init == "clawker-init");

    show.say("What it may reach, and what not");
    shut(show, &world)?;

    show.say("clawker firewall add: one more site");
    let added = world.must(&["firewall", "add", "allowed.example"])?;
    let said = world.sh("dev", "curl -sS --max-time 5 https://allowed.example/")?;
    show.row(&format!("after: {added}"), &told(&said), said.out.contains("host: allowed.example"));

    show.say("clawker firewall bypass 10s: everything, for a moment");
    bypass(show, &world)?;

    show.say("clawker ps and clawker firewall log: what was refused");
    println!("{}", world.must(&["ps"])?);
    println!("{}", world.must(&["firewall", "log", "--denied", "-n", "8"])?);
    let log = world.must(&["firewall", "log", "--denied"])?;
    show.row("the log names the unlisted site", "evil.example", log.contains("evil.example"));
    show.say("Clearing up");
    Ok(())
}

fn claude(show: &mut Show, world: &World) -> Result<(), WorldError> {
    let args = [
        "run",
        "--rm",
        "--yes",
        "--agent",
        "claude",
        "-e",
        "ANTHROPIC_API_KEY=demo",
        "--",
        "claude",
        "-p",
        "hello",
    ];
    let running = world.sandbox.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut tree = String::new();
    wait(Duration::from_secs(60), || {
        tree = docker(&["top", &world.container("claude"), "-eo", "pid,uid,comm"]).unwrap_or_default();
        tree.lines().any(|line| line.contains("claude") && line.contains("1001"))
    });
    let process = tree.lines().find(|line| line.contains("1001")).unwrap_or("no such process").to_owned();
    show.row(
        "a process of uid 1001 under clawker-init",
        process.trim(),
        tree.contains("clawker-init") && process.contains("1001"),
    );
    let said = Said::from(running.wait_with_output()?);
    show.row(
        "claude -p hello finishes a turn through Envoy",
        &told(&said),
        said.code == 0 && said.out.contains("Hello"),
    );
    let asked = world.rig.saw("/v1/messages").len();
    show.row("the fake Messages API was asked", &format!("{asked} records"), asked > 0);
    Ok(())
}

fn shut(show: &mut Show, world: &World) -> Result<(), WorldError> {
    let said = world.sh("dev", "curl -sS --max-time 5 https://api.anthropic.com/")?;
    show.row("a listed site answers", &told(&said), said.code == 0);
    let said = world.probe("dev", &["dns", "198.51.100.10", "evil.example"])?;
    show.row("an unlisted name does not exist", &told(&said), said.out == "NXDOMAIN");
    let said = world.sh(
        "dev",
        "curl -sS --max-time 5 --resolve evil.example:443:198.51.100.133 https://evil.example/shut-sni",
    )?;
    show.row("an unlisted site is reset", &told(&said), said.code == 35 || said.code == 56);
    for (what, words) in [
        ("ping goes nowhere", vec!["icmp", "198.51.100.133", "shut-icmp"]),
        ("UDP goes nowhere", vec!["udp", "198.51.100.133:9999", "shut-udp"]),
        ("TCP to an unlisted address is reset", vec!["tcp", "198.51.100.133:4444", "shut-tcp"]),
    ] {
        let said = world.probe("dev", &words)?;
        show.row(what, &told(&said), said.code != 0);
    }
    let arrived = world.rig.saw("shut-").len();
    show.row("what arrived of all that", &format!("{arrived} packets"), arrived == 0);
    Ok(())
}

fn bypass(show: &mut Show, world: &World) -> Result<(), WorldError> {
    world.must(&["firewall", "bypass", "10s", "--agent", "dev", "--detach"])?;
    let begun = Instant::now();
    for (kind, words) in [
        ("UDP", vec!["udp", "198.51.100.133:9999", "open-udp"]),
        ("ping", vec!["icmp", "198.51.100.133", "open-icmp"]),
        ("TCP", vec!["tcp", "198.51.100.133:4444", "open-tcp"]),
    ] {
        let said = world.probe("dev", &words)?;
        let arrived = words.last().is_some_and(|canary| world.rig.waits_for(canary, Duration::from_secs(2)));
        show.row(&format!("in the bypass {kind} arrives"), &told(&said), arrived);
    }
    println!("   waiting for its end");
    let shut = wait(Duration::from_secs(20), || world.state("dev").is_ok_and(|state| state == "enforcing"));
    let after = begun.elapsed();
    show.row(
        "it shuts by itself",
        &format!("after {:.1} s", after.as_secs_f64()),
        shut && after >= Duration::from_secs(9),
    );
    let said = world.probe("dev", &["tcp", "198.51.100.133:4444", "shut-again"])?;
    show.row("and is shut", &told(&said), said.code != 0 && world.rig.saw("shut-again").is_empty());
    Ok(())
}
