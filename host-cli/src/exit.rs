//! From an error to what the user reads and the process returns. Prints the chain of causes once, on one line.

/// Done.
pub const OK: u8 = 0;
/// We failed.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// `clawker prove`: something could not be proven.
pub const NOT_PROVEN: u8 = 3;
/// We failed where the code is otherwise that of a program in the container.
pub const NOT_THE_PROGRAM: u8 = 125;

/// What a command ends with: its exit code, or why it failed.
pub type Outcome = Result<u8, Failure>;

/// A failure on its way to the user. Not an error type itself, so that every error turns into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One sentence that says what to do next.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    /// A failure of ours.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: FAILED }
    }

    /// A mistake in the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: USAGE }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(chain(&error))
    }
}

/// An error and its causes, each once: a cause that the text before it already ends with is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The process's exit code.
pub fn code(outcome: &Outcome, returns_program_code: bool) -> u8 {
    match outcome {
        Ok(code) => *code,
        Err(_) if returns_program_code => NOT_THE_PROGRAM,
        Err(failure) => failure.code,
    }
}

/// A program's exit code as Docker reports it.
pub fn of_program(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("Can't read {path}")]
    struct Outer {
        path: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        let error = Outer { path: "a", source: std::io::Error::other("no such thing") };
        assert_eq!(Failure::from(error).message, "Can't read a: no such thing");
    }

    #[test]
    fn codes_are_the_program_s_or_say_that_they_are_not() {
        let failed = Err(Failure::new("x"));
        let usage = Err(Failure::usage("x"));
        for (outcome, program, expected) in [
            (&Ok(0), false, 0),
            (&Ok(3), true, 3),
            (&failed, false, 1),
            (&failed, true, 125),
            (&usage, false, 2),
            (&usage, true, 125),
        ] {
            assert_eq!(code(outcome, program), expected, "{outcome:?} {program}");
        }
        assert_eq!((of_program(143), of_program(-1), of_program(300)), (143, 255, 255));
    }
}
