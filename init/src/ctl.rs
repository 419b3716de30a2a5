//! `clawker-init ctl <op>`: speaks to the control socket from inside, for a debugging shell and for the host
//! where a host path can't carry a socket. Prints the answer's line as it came.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use clawker_protocol::control::{Op, Request, VERSION};
use clawker_protocol::{duration, places};

/// The variable that holds the secret; argv would show it to every process in the container.
pub const SECRET_VARIABLE: &str = "CLAWKER_CONTROL_SECRET";
/// How long an answer may take: a policy of 10,000 services fits many times.
const ANSWER_TIME: Duration = Duration::from_secs(10);

const USAGE: &str = "usage: clawker-init ctl status|enable|disable|bypass DURATION|bypass_stop|events|version\n\
                     \x20      clawker-init ctl policy|gateway\n\
                     The secret comes from CLAWKER_CONTROL_SECRET; policy and gateway read their JSON from standard input.";

/// The operation that the arguments name. `stdin` is read for `policy` and `gateway` only.
///
/// # Errors
/// One sentence, or the usage.
pub fn operation(args: &[String], stdin: &mut dyn Read) -> Result<Op, String> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["status"] => Ok(Op::Status),
        ["enable"] => Ok(Op::Enable),
        ["disable"] => Ok(Op::Disable),
        ["bypass", "--stop"] | ["bypass_stop"] => Ok(Op::BypassStop),
        ["bypass", text] => match duration::parse(text) {
            Ok(length) => Ok(Op::Bypass { seconds: length.as_secs() }),
            Err(error) => Err(error.to_string()),
        },
        ["events"] => Ok(Op::Events),
        ["version"] => Ok(Op::Version),
        ["policy"] => read(stdin, Op::policy),
        ["gateway"] => read(stdin, Op::gateway),
        _ => Err(USAGE.to_owned()),
    }
}

fn read(stdin: &mut dyn Read, parse: fn(&[u8]) -> serde_json::Result<Op>) -> Result<Op, String> {
    let mut text = Vec::new();
    stdin.read_to_end(&mut text).map_err(|error| error.to_string())?;
    parse(&text).map_err(|error| format!("on standard input: {error}"))
}

/// Runs the command; 0 when init did it, 1 when it refused, 2 for a mistake in the arguments.
pub fn command(args: &[String]) -> u8 {
    let op = match operation(args, &mut std::io::stdin().lock()) {
        Ok(op) => op,
        Err(message) => {
            eprintln!("clawker-init ctl: {message}");
            return 2;
        }
    };
    match exchange(op) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("clawker-init ctl: can't speak to init at {}: {error}", places::CONTROL_SOCKET);
            1
        }
    }
}

fn exchange(op: Op) -> std::io::Result<bool> {
    let streams = op == Op::Events;
    let secret = std::env::var(SECRET_VARIABLE).unwrap_or_default();
    let mut line = serde_json::to_vec(&Request { v: VERSION, id: 1, secret, op })?;
    line.push(b'\n');
    let stream = UnixStream::connect(places::CONTROL_SOCKET)?;
    stream.set_read_timeout((!streams).then_some(ANSWER_TIME))?;
    (&stream).write_all(&line)?;
    let mut lines = BufReader::new(&stream);
    let mut answer = String::new();
    lines.read_line(&mut answer)?;
    /// All that is looked at; the rest is for whoever reads the line.
    #[derive(serde::Deserialize)]
    struct Answer {
        ok: bool,
    }
    let Answer { ok } = serde_json::from_str(&answer)?;
    let mut stdout = std::io::stdout();
    stdout.write_all(answer.as_bytes())?;
    stdout.flush()?;
    if streams && ok {
        for line in lines.split(b'\n') {
            stdout.write_all(&line?)?;
            stdout.write_all(b"\n")?;
            stdout.flush()?;
        }
    }
    Ok(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(words: &[&str]) -> Result<Op, String> {
        let args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        operation(&args, &mut "{\"enforcement\":1}".as_bytes())
    }

    #[test]
    fn words_become_operations() {
        assert_eq!(op(&["status"]), Ok(Op::Status));
        assert_eq!(op(&["bypass", "2m"]), Ok(Op::Bypass { seconds: 120 }));
        assert_eq!(op(&["bypass", "--stop"]), Ok(Op::BypassStop));
        for wrong in [&["bypass"][..], &["bypass", "soon"], &["explode"], &[], &["policy"], &["gateway"]] {
            assert!(op(wrong).is_err(), "{wrong:?}");
        }
    }
}
