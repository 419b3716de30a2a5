//! Why a child never became its program: a few bytes in the pipe, a line for people, an exit code.

use std::ffi::{OsStr, OsString};
use std::io;

use crate::exit_code;
use crate::privileges::{DropError, Step};

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A step of the drop.
    Drop(Step),
    /// Tying the child's life to ours.
    ParentDeath,
    /// Entering the working directory.
    Directory,
    /// exec.
    Exec,
}

impl Stage {
    const OTHERS: [Self; 3] = [Self::ParentDeath, Self::Directory, Self::Exec];

    fn code(self) -> u8 {
        match self {
            Self::ParentDeath => 0,
            Self::Directory => 1,
            Self::Exec => 2,
            Self::Drop(step) => 16 + step as u8,
        }
    }

    fn from_code(code: u8) -> Self {
        let drops = Step::ALL.into_iter().map(Self::Drop);
        // Only our own child writes codes, so there is always one.
        Self::OTHERS.into_iter().chain(drops).find(|stage| stage.code() == code).unwrap_or(Self::Exec)
    }
}

/// A start that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was being done.
    pub stage: Stage,
    /// The system's error; 0 where there is none.
    errno: i32,
    program: OsString,
}

impl Failure {
    /// The length of the encoded form.
    pub const BYTES: usize = 5;

    /// Allocates nothing.
    pub(super) fn new(stage: Stage, error: &io::Error) -> Self {
        Self { stage, errno: error.raw_os_error().unwrap_or(0), program: OsString::new() }
    }

    pub(super) fn named(mut self, program: &OsStr) -> Self {
        self.program = program.to_owned();
        self
    }

    pub(super) fn encode(&self) -> [u8; Self::BYTES] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        [self.stage.code(), a, b, c, d]
    }

    pub(super) fn decode([code, a, b, c, d]: [u8; Self::BYTES]) -> Self {
        Self {
            stage: Stage::from_code(code),
            errno: i32::from_ne_bytes([a, b, c, d]),
            program: OsString::new(),
        }
    }

    /// 127, 126, or 125 where it was not exec that failed.
    pub fn exit_code(&self) -> u8 {
        match self.stage {
            Stage::Exec => exit_code::from_exec_errno(self.errno),
            _ => exit_code::SETUP_FAILED,
        }
    }
}

impl From<DropError> for Failure {
    fn from(error: DropError) -> Self {
        Self::new(Stage::Drop(error.step), &error.source)
    }
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let program = self.program.display();
        if self.stage == Stage::Exec && self.errno == libc::ENOENT {
            let is_path = self.program.as_encoded_bytes().contains(&b'/');
            let why =
                if is_path { "no such file, or its interpreter is missing" } else { "not found in PATH" };
            return write!(f, "Can't run {program}: {why}");
        }
        let why = match self.errno {
            0 => "the kernel did not do it",
            errno => nix::errno::Errno::from_raw(errno).desc(),
        };
        match self.stage {
            Stage::Exec => write!(f, "Can't run {program}: {why}"),
            Stage::Drop(step) => write!(f, "Can't start {program}: can't {}: {why}", step.describe()),
            Stage::ParentDeath => write!(f, "Can't start {program}: can't tie it to init: {why}"),
            Stage::Directory => write!(f, "Can't start {program}: can't enter its working directory: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_survives_the_pipe() {
        let stages = Stage::OTHERS.into_iter().chain(Step::ALL.into_iter().map(Stage::Drop));
        for stage in stages {
            let failure = Failure::new(stage, &io::Error::from_raw_os_error(libc::EACCES));
            assert_eq!(Failure::decode(failure.encode()), failure);
            assert_eq!(failure.exit_code(), if stage == Stage::Exec { 126 } else { 125 });
        }
    }

    #[test]
    fn the_message_names_the_program() {
        let failure = |errno, program: &str| {
            Failure::new(Stage::Exec, &io::Error::from_raw_os_error(errno))
                .named(OsStr::new(program))
                .to_string()
        };
        assert_eq!(failure(libc::ENOENT, "foo"), "Can't run foo: not found in PATH");
        assert!(failure(libc::ENOENT, "/foo").contains("/foo: no such file"));
        assert!(failure(libc::EACCES, "foo").contains("Permission denied"));
    }
}
