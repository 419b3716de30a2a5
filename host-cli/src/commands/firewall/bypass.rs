//! `clawker firewall bypass`: opens a window, counts down beside it, and sums up what went through. The window
//! is init's: it ends by itself, whatever becomes of this process.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clawker_protocol::control::Op;
use clawker_protocol::duration;

use super::super::block_on;
use super::{learn, toggle};
use crate::cli::BypassArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::launch::Interrupt;
use crate::learn::Learned;
use crate::store::AgentRecord;
use crate::window::{End, Opened, Window};
use crate::{control, output, resolve};

/// The shortest window.
const LEAST: Duration = Duration::from_secs(1);
/// How much earlier than the window's begin, as it is seen from here, the log may have it.
const SLACK: Duration = Duration::from_secs(2);

/// Opens the window, or ends it.
///
/// # Errors
/// When the agent isn't there, the length is out of bounds, or init refuses.
pub fn run(ctx: &Context, args: &BypassArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.as_deref())?;
    if args.stop {
        let status = control::change(&ctx.paths, &record, Op::BypassStop)?;
        toggle::tell(ctx, &record, &status)?;
        return Ok(OK);
    }
    let settings = config::settings(&ctx.paths)?;
    let length = args.duration.unwrap_or(settings.firewall.bypass_default);
    let seconds = seconds(length, settings.firewall.bypass_max)?;
    if args.detach {
        let status = control::change(&ctx.paths, &record, Op::Bypass { seconds })?;
        toggle::tell(ctx, &record, &status)?;
        return Ok(OK);
    }
    let interrupt = Interrupt::watch()?;
    let begin = Instant::now();
    let mut window = Window::open(&ctx.paths, &record, seconds)?;
    let agent = record.agent.as_str();
    let counts_down = std::io::stderr().is_terminal() && !ctx.output.quiet;
    if !counts_down {
        let length = duration::format(Duration::from_secs(seconds));
        ctx.output.note(&format!("Everything is open to {agent} for {length}; ^C ends it"));
    }
    let mut shown = String::new();
    let end = window.watch(&interrupt, &mut |left| {
        let text = countdown(agent, left);
        if counts_down && text != shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
            shown = text;
        }
    });
    if counts_down {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let end = end?;
    if end == End::Interrupted {
        control::change(&ctx.paths, &record, Op::BypassStop)?;
    }
    ctx.output.note(&ending(agent, end));
    // What the log holds of it is good to know; that it can't be read changes nothing of what was done.
    let time = begin.elapsed() + SLACK;
    let learned = block_on(learn::since(ctx, &record, time)).ok();
    summary(ctx, &record, end, window.opened().as_deref(), learned.as_ref())?;
    Ok(OK)
}

/// Whole seconds within bounds; a fraction counts as one more.
fn seconds(length: Duration, most: Duration) -> Result<u64, Failure> {
    if length < LEAST || length > most {
        let (least, most) = (duration::format(LEAST), duration::format(most));
        return Err(Failure::new(format!(
            "A bypass lasts {least} to {most}, not {}; firewall.bypass_max in settings.yaml sets the most",
            duration::format(length)
        )));
    }
    Ok(length.as_secs() + u64::from(length.subsec_nanos() > 0))
}

/// A duration in whole seconds, rounded up, as a countdown shows it.
pub fn rounded(left: Duration) -> String {
    duration::format(Duration::from_secs(left.as_secs() + u64::from(left.subsec_millis() > 0)))
}

fn countdown(agent: &str, left: Duration) -> String {
    format!("Everything is open to {agent}: {} left, ^C ends it", rounded(left))
}

fn ending(agent: &str, end: End) -> String {
    match end {
        End::Deadline => format!("The bypass is over: the firewall of {agent} is on"),
        End::Interrupted => format!("The bypass was ended early: the firewall of {agent} is on"),
        End::Changed => format!("The bypass of {agent} was ended from elsewhere; see clawker ps"),
        End::Gone => format!("Agent {agent} ended during the bypass; it will start with the firewall on"),
    }
}

fn summary(
    ctx: &Context,
    record: &AgentRecord,
    end: End,
    opened: Option<&[Opened]>,
    learned: Option<&Learned>,
) -> Result<(), Failure> {
    let agent = record.agent.as_str();
    if ctx.output.json {
        return ctx.output.value(&serde_json::json!({
            "agent": record.agent, "project": record.project, "end": end.as_str(), "opened": opened,
            "sufficient": learned.map(|learned| learn::proposals(learned, None)),
        }));
    }
    let Some(opened) = opened else {
        ctx.output.note("What was reached is not known: init's socket can't be reached from here");
        return Ok(());
    };
    if opened.is_empty() {
        return ctx.output.line("Nothing new was reached meanwhile");
    }
    let mut rows = vec![["REACHED", "PROTO", "FLOWS", "UID"].map(str::to_owned).to_vec()];
    for one in opened {
        let uids: Vec<String> = one.uids.iter().map(u32::to_string).collect();
        rows.push(vec![
            output::escape(&one.place()),
            output::escape(&one.proto),
            one.flows.to_string(),
            uids.join(", "),
        ]);
    }
    output::write_stdout(output::table(&rows).as_bytes())?;
    for (number, proposal) in learned.iter().flat_map(|learned| &learned.proposals).enumerate() {
        if number == 0 {
            ctx.output.line("These rules would have sufficed:")?;
        }
        ctx.output.line(&format!("  {}", proposal.command(None)))?;
    }
    if learned.is_some_and(|learned| !learned.proposals.is_empty()) {
        ctx.output.note(&format!("Add them all: clawker firewall learn --agent {agent}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_outside_the_bounds_says_which_they_are() {
        let hour = Duration::from_secs(3600);
        assert_eq!(seconds(Duration::from_secs(30), hour), Ok(30));
        assert_eq!(seconds(Duration::from_millis(1500), hour), Ok(2));
        for wrong in [Duration::ZERO, Duration::from_millis(999), hour + LEAST] {
            let failure = seconds(wrong, hour).unwrap_err();
            assert_eq!(failure.code, 1);
            assert!(failure.message.contains("1s to 1h"), "{}", failure.message);
        }
    }

    #[test]
    fn the_countdown_never_shows_less_than_is_left() {
        assert_eq!(rounded(Duration::from_millis(29_001)), "30s");
        assert_eq!(rounded(Duration::from_millis(29_000)), "29s");
        assert_eq!(
            countdown("dev", Duration::from_millis(61_200)),
            "Everything is open to dev: 1m2s left, ^C ends it"
        );
    }
}
