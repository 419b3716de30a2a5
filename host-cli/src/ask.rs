//! Asks a yes-or-no question on the terminal. Never takes silence for a yes.

use std::io::{BufRead, IsTerminal, Write};

use crate::exit::Failure;
use crate::output::escape_lines;

/// Asks; `yes` answers beforehand, and the question is still shown.
///
/// # Errors
/// When stdin or stderr is not a terminal and `yes` is not given.
pub fn ask(question: &str, yes: bool) -> Result<bool, Failure> {
    let mut stderr = std::io::stderr();
    let stdin = std::io::stdin();
    let _ = write!(stderr, "{}", escape_lines(question));
    if yes {
        let _ = writeln!(stderr);
        return Ok(true);
    }
    if !stdin.is_terminal() || !stderr.is_terminal() {
        let _ = writeln!(stderr);
        return Err(Failure::new(
            "There is no terminal to ask on; read the above and pass --yes to accept it",
        ));
    }
    let _ = write!(stderr, " [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(means_yes(&answer))
}

fn means_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_no() {
        assert!(means_yes("y\n") && means_yes("YES"));
        for answer in ["", "\n", "n", "yep", "no"] {
            assert!(!means_yes(answer), "{answer:?}");
        }
    }
}
