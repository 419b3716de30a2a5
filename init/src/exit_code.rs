//! Exit codes: what a wait status, a failed exec or a failure of our own becomes. Pure, so that the whole table
//! is a test.

/// We could not set up what was asked for, as Docker uses it.
pub const SETUP_FAILED: u8 = 125;
/// The program is there but can't be run.
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
pub const NOT_FOUND: u8 = 127;

/// The exit code for a wait status: the program's own, or 128 + n where signal n ended it. `None` for a
/// process that only stopped or went on.
pub fn from_wait_status(status: i32) -> Option<u8> {
    let signal = status & 0x7f;
    match signal {
        0 => u8::try_from((status >> 8) & 0xff).ok(),
        // Stopped (0x7f) and continued (0xffff) are no exits.
        0x7f => None,
        n => u8::try_from(128 + n).ok(),
    }
}

/// The exit code where exec failed, as shells give it.
pub fn from_exec_errno(errno: i32) -> u8 {
    match errno {
        libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_wait_status_has_its_code() {
        let table = [
            (0x0000, Some(0)),
            (0x0300, Some(3)),
            (0xff00, Some(255)),
            (0x000f, Some(143)),
            (0x0009, Some(137)),
            (0x008b, Some(139)), // SEGV with a core
            (0x0040, Some(192)), // signal 64
            (0x137f, None),      // stopped by STOP
            (0xffff, None),      // continued
        ];
        for (status, code) in table {
            assert_eq!(from_wait_status(status), code, "{status:#x}");
        }
    }

    #[test]
    fn a_missing_program_is_127_and_one_that_cannot_run_126() {
        for errno in [libc::ENOENT, libc::ENOTDIR, libc::ENAMETOOLONG] {
            assert_eq!(from_exec_errno(errno), 127);
        }
        for errno in [libc::EACCES, libc::EPERM, libc::ENOEXEC, libc::EISDIR, libc::E2BIG, libc::ENOMEM] {
            assert_eq!(from_exec_errno(errno), 126);
        }
    }
}
