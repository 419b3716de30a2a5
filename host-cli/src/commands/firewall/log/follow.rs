//! `clawker firewall log -f`: goes on where the log ended, until `^C` or until nobody reads any more. A container that
//! is started again, and a file that is cut down, are followed further.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::{Heard, cells, containers, key, records};
use crate::cli::LogArgs;
use crate::config::Settings;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::flowlog::Entry;
use crate::output::write_stdout;
use crate::scope::{Part, Scope};

/// How often the agents' files are read.
const TICK: Duration = Duration::from_millis(100);
/// How long an entry waits for an older one of another witness.
const WINDOW: Duration = Duration::from_millis(500);
/// How long to wait for a container that is not there.
const AGAIN: Duration = Duration::from_millis(500);
/// After so many ticks agents and rules are looked up anew.
const REFRESH: u32 = 10;
/// Lines that wait at most.
const WAITING: usize = 4096;

/// Prints what was heard, then what comes.
pub(super) async fn run(
    ctx: &Context,
    args: &LogArgs,
    engine: &Engine,
    settings: &Settings,
    mut scope: Scope,
    mut heard: Heard,
    entries: Vec<Entry>,
) -> Outcome {
    let (sender, mut lines) = mpsc::channel(WAITING);
    for (part, container) in containers(&ctx.paths) {
        let last = heard.parts.remove(key(part)).unwrap_or_default();
        tokio::spawn(listen(engine.api.clone(), part, container, last, sender.clone()));
    }
    if !ctx.output.json {
        write_stdout(row(&super::COLUMNS.map(str::to_owned)).as_bytes())?;
    }
    print(ctx, &entries)?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = Held { denied: args.denied, waiting: Vec::new() };
    for count in 1u32.. {
        loop {
            tokio::select! {
                _ = &mut interrupted => {
                    print(ctx, &held.due(None))?;
                    return Ok(OK);
                }
                Some((part, line)) = lines.recv() => held.take(scope.of_stack(part, &line)),
                _ = tick.tick() => break,
            }
        }
        if !is_read() {
            return Ok(OK);
        }
        if count % REFRESH == 0 {
            // An agent that went away meanwhile is no error: others may still come.
            if let Ok(records) = records(ctx, args.agent.as_deref()) {
                scope = Scope::load(&ctx.paths, settings, records)?;
            }
        }
        heard.events(&ctx.paths, &scope)?.into_iter().for_each(|entry| held.take(Some(entry)));
        print(ctx, &held.due(Some(Instant::now())))?;
    }
    Ok(OK)
}

/// What came and waits for what is older.
struct Held {
    denied: bool,
    waiting: Vec<(Instant, Entry)>,
}

impl Held {
    fn take(&mut self, entry: Option<Entry>) {
        let wanted = entry.filter(|entry| !self.denied || entry.is_denial());
        self.waiting.extend(wanted.map(|entry| (Instant::now(), entry)));
    }

    /// What has waited long enough, and everything older than that; all of it without a time. In order.
    fn due(&mut self, now: Option<Instant>) -> Vec<Entry> {
        self.waiting.sort_by_key(|(_, entry)| entry.time);
        let long = |came: Instant| now.is_none_or(|now| now.duration_since(came) >= WINDOW);
        let count = self.waiting.iter().rposition(|(came, _)| long(*came)).map_or(0, |at| at + 1);
        self.waiting.drain(..count).map(|(_, entry)| entry).collect()
    }
}

fn print(ctx: &Context, entries: &[Entry]) -> Result<(), Failure> {
    for entry in entries {
        if ctx.output.json {
            ctx.output.entry(entry)?;
        } else {
            write_stdout(row(&cells(entry)).as_bytes())?;
        }
    }
    Ok(())
}

/// A line whose columns stand still as far as they can be told beforehand.
fn row([time, agent, by, verdict, proto, destination, detail]: &[String; 7]) -> String {
    let text =
        format!("{time:<12}  {agent:<16}  {by:<5}  {verdict:<7}  {proto:<5}  {destination:<32}  {detail}");
    format!("{}\n", text.trim_end())
}

/// Whether somebody still reads our output: a pipe tells at once that nobody does, not only at the next line.
fn is_read() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLNVAL;
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(1..) => !fds.iter().any(|fd| fd.revents().is_some_and(|events| events.intersects(gone))),
        _ => true,
    }
}

/// Sends on what a container writes after `last`, also when it was started again or made anew.
async fn listen(
    docker: Docker,
    part: Part,
    container: String,
    mut last: String,
    sender: mpsc::Sender<(Part, String)>,
) {
    loop {
        let options = LogsOptions {
            follow: true,
            stdout: true,
            stderr: true,
            timestamps: true,
            since: seconds(&last),
            ..Default::default()
        };
        let mut pieces = docker.logs(&container, Some(options));
        while let Some(Ok(piece)) = pieces.next().await {
            let text = String::from_utf8_lossy(&piece.into_bytes()).into_owned();
            for line in text.lines() {
                let time = line.split(' ').next().unwrap_or_default();
                // Docker's times have nine digits after the point, so that text sorts as time does.
                if time <= last.as_str() {
                    continue;
                }
                time.clone_into(&mut last);
                if sender.send((part, line.to_owned())).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A time of Docker's in whole seconds, as its API takes it; the beginning where there is none.
fn seconds(time: &str) -> i32 {
    crate::flowlog::millis(time).and_then(|millis| i32::try_from(millis / 1000).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flowlog::of_init;

    fn entry(time: u64, event: &str) -> Option<Entry> {
        of_init(&format!(r#"{{"time":{time},"event":{event}}}"#))
    }

    const DENIED: &str = r#""denied","class":"udp","proto":"udp","destination":"198.51.100.9","port":53"#;

    #[test]
    fn what_comes_late_is_put_in_its_place_within_the_window() {
        let mut held = Held { denied: false, waiting: Vec::new() };
        held.take(entry(2, DENIED));
        held.take(entry(1, r#""policy","generation":3"#));
        assert!(held.due(Some(Instant::now())).is_empty());
        let times: Vec<u64> =
            held.due(Some(Instant::now() + WINDOW)).iter().map(|entry| entry.time).collect();
        assert_eq!(times, [1, 2]);
        assert!(held.due(None).is_empty());
        let mut held = Held { denied: true, waiting: Vec::new() };
        held.take(entry(1, r#""policy","generation":3"#));
        held.take(entry(2, DENIED));
        assert_eq!(held.due(None).len(), 1);
    }

    #[test]
    fn docker_s_time_is_asked_for_in_seconds() {
        assert_eq!(seconds("1970-01-01T00:01:05.900000000Z"), 65);
        assert_eq!(seconds(""), 0);
    }
}
