//! The only caller of `waitpid`. Collects every child that has ended, ours or adopted; stopped ones are left
//! alone, because they have not ended.

use crate::sys;

/// Whether children are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Some live.
    Some,
    /// None.
    None,
}

/// Collects all that have ended and tells each one's pid and wait status. SIGCHLD coalesces, so one signal may
/// stand for many.
pub fn reap(mut ended: impl FnMut(i32, i32)) -> Left {
    loop {
        match sys::wait_any() {
            Ok(Some((pid, status))) => ended(pid, status),
            Ok(None) => return Left::Some,
            // ECHILD; nothing else can come back.
            Err(_) => return Left::None,
        }
    }
}
