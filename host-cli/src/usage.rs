//! Mistakes in the command line, in one sentence that says what to do next.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::exit::{NOT_THE_PROGRAM, OK, USAGE};
use crate::{output, refused};

/// The verbs whose exit code is otherwise that of a program.
const PROGRAM_VERBS: [&str; 4] = ["run", "exec", "shell", "attach"];

/// Prints help and version to stdout, a mistake to stderr; comes back with the exit code.
pub fn report(error: &clap::Error, args: impl Iterator<Item = OsString>) -> i32 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = output::write_stdout(error.to_string().as_bytes());
            i32::from(OK)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{error}");
            i32::from(USAGE)
        }
        _ => {
            let verb = args.skip(1).find(|word| !word.to_string_lossy().starts_with('-'));
            let verb = verb.map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            let text = refusal(error, &verb).unwrap_or_else(|| sentence(&error.to_string(), &verb));
            output::complain(&text);
            i32::from(if PROGRAM_VERBS.contains(&verb.as_str()) { NOT_THE_PROGRAM } else { USAGE })
        }
    }
}

/// For an option of Docker's that would open the fence: why we have none like it.
fn refusal(error: &clap::Error, verb: &str) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    if !PROGRAM_VERBS.contains(&verb) || error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    Some(refused(option, refused::reason(option)?))
}

/// Names an option and the reason.
pub fn refused(option: &str, reason: &str) -> String {
    let option = option.split_once('=').map_or(option, |(name, _)| name);
    format!("{option} is refused: {reason}")
}

/// The parser's message without its heading, its usage and its layout.
fn sentence(message: &str, verb: &str) -> String {
    let body = message.strip_prefix("error: ").unwrap_or(message);
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|tail| body.find(tail)).min();
    let body = end.and_then(|end| body.get(..end)).unwrap_or(body);
    let words: Vec<&str> = body.split_whitespace().collect();
    // `invalid value 'soon' for '[DURATION]': "soon" is not a duration: …` says it twice.
    let text = words.join(" ").replace(" tip: ", "; ");
    let text = match text.strip_prefix("invalid value ").and_then(|rest| rest.split_once("': ")) {
        Some((_, reason)) if !reason.starts_with("invalid ") => reason.to_owned(),
        _ => text,
    };
    let help = if verb.is_empty() { "clawker --help".to_owned() } else { format!("clawker {verb} --help") };
    format!("{text} (see {help})")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn told(line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        sentence(&Cli::try_parse_from(&words).unwrap_err().to_string(), words.get(1).unwrap_or(&""))
    }

    #[test]
    fn what_would_open_the_fence_is_refused_with_its_reason() {
        let told = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            refusal(&Cli::try_parse_from(&words).unwrap_err(), words.get(1).unwrap_or(&""))
        };
        for (line, option) in [
            ("clawker run --privileged -- sh", "--privileged is refused: "),
            ("clawker run --network host sh", "--network is refused: "),
            ("clawker run --net=host sh", "--net is refused: "),
            ("clawker run --cap-add=ALL", "--cap-add is refused: "),
            ("clawker run --pid host", "--pid is refused: "),
            ("clawker run --rm -u 0 sh", "-u is refused: "),
            ("clawker run -P", "-P is refused: "),
            ("clawker run --security-opt seccomp=unconfined", "--security-opt is refused: "),
        ] {
            assert!(told(line).is_some_and(|text| text.starts_with(option)), "{line}: {:?}", told(line));
        }
        assert_eq!(told("clawker run --frob"), None);
        // Behind the program they are the program's.
        assert!(Cli::try_parse_from(["clawker", "run", "sh", "--privileged"]).is_ok());
    }

    #[test]
    fn a_mistake_is_one_sentence_with_a_next_step() {
        let duration = told("clawker firewall bypass soon --agent dev");
        assert_eq!(
            duration,
            "\"soon\" is not a duration: write a number and a unit, like 30s, 10m or 1h30m (see clawker firewall --help)"
        );
        for line in [
            "clawker frob",
            "clawker run --memory lots",
            "clawker ps --frob",
            "clawker run --frob",
            "clawker exec",
        ] {
            let text = told(line);
            assert!(
                !text.contains('\n')
                    && !text.contains("tip:")
                    && text.contains("--help)")
                    && !text.contains("Usage"),
                "{text}"
            );
        }
    }
}
