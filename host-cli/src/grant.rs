//! Grants: rules that end by themselves. How long one may last, what is left of it, and what can't be granted. The clock
//! is the caller's.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clawker_protocol::duration;
use clawker_protocol::enforcement::GRANT_MAX;
use serde::Serialize;

use crate::exit::Failure;
use crate::policy::{Action, Policy, Rule};

/// The shortest grant.
const LEAST: Duration = Duration::from_secs(1);

/// Milliseconds since 1970, UTC.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// When a grant of this length ends.
///
/// # Errors
/// When the length is out of bounds.
pub fn end(length: Duration, now: u64) -> Result<u64, Failure> {
    if length < LEAST || length > GRANT_MAX {
        return Err(Failure::usage(format!(
            "A grant lasts {} to {}, not {}; for good it is added without --for",
            duration::format(LEAST),
            duration::format(GRANT_MAX),
            duration::format(length)
        )));
    }
    Ok(now.saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)))
}

/// Whether a rule's end, if it has one, has come.
pub fn is_over(expires: Option<u64>, now: u64) -> bool {
    expires.is_some_and(|end| end <= now)
}

/// What is left until an end.
pub fn left(expires: u64, now: u64) -> Duration {
    Duration::from_millis(expires.saturating_sub(now))
}

/// What is left in whole seconds, rounded up: one that runs never shows none.
pub fn left_seconds(expires: u64, now: u64) -> u64 {
    expires.saturating_sub(now).div_ceil(1_000)
}

/// Whether a rule can be a grant under a policy.
///
/// # Errors
/// When its destination is an address, it is open for good, or it is denied by name.
pub fn check(policy: &Policy, grant: &Rule) -> Result<(), Failure> {
    if !grant.dst.is_name() {
        return Err(Failure::usage(
            "--for takes a name; addresses and ranges are added for good, without it",
        ));
    }
    if grant.action == Action::Deny {
        return Err(Failure::usage(
            "--for opens something for a while; a deny is added for good, without it",
        ));
    }
    let Some(rule) = policy.stands_against(grant) else { return Ok(()) };
    Err(Failure::new(format!(
        "{} port {} has a rule already: {rule} [{}, {}]; take that one back first, or leave it as it is",
        grant.dst,
        grant.port_text(),
        rule.layer.as_str(),
        crate::output::escape(&rule.place)
    )))
}

/// What is left of a grant, as programs are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The name or `.name`.
    pub dst: String,
    /// The protocol.
    pub proto: &'static str,
    /// The port or range.
    pub port: String,
    /// Milliseconds since 1970, UTC.
    pub expires: u64,
    /// Whole seconds, rounded up.
    pub left_seconds: u64,
}

/// What is left of a policy's grants.
pub fn all_left(policy: &Policy, now: u64) -> Vec<Left> {
    let grants = policy.grants().into_iter().filter_map(|rule| {
        let expires = rule.expires?;
        let left_seconds = left_seconds(expires, now);
        (left_seconds > 0).then(|| Left {
            dst: rule.dst.to_string(),
            proto: rule.proto.as_str(),
            port: rule.port_text(),
            expires,
            left_seconds,
        })
    });
    let mut grants: Vec<Left> = grants.collect();
    // Of two alike the one that lasts longest, which comes first.
    let mut seen = BTreeSet::new();
    grants.retain(|left| seen.insert((left.dst.clone(), left.proto, left.port.clone())));
    grants.sort_by(|a, b| (a.expires, &a.dst).cmp(&(b.expires, &b.dst)));
    grants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_outside_the_bounds_says_which_they_are() {
        assert_eq!(end(Duration::from_secs(600), 1_000), Ok(601_000));
        assert_eq!(end(GRANT_MAX, 0), Ok(86_400_000));
        for wrong in [Duration::ZERO, Duration::from_millis(999), GRANT_MAX + Duration::from_millis(1)] {
            let failure = end(wrong, 0).unwrap_err();
            assert!(failure.code == 2 && failure.message.contains("1s to 1d"), "{}", failure.message);
        }
    }

    #[test]
    fn what_runs_shows_some_time_and_what_is_over_none() {
        assert_eq!((left_seconds(1_001, 1_000), left_seconds(1_000, 1_000)), (1, 0));
        assert_eq!([None, Some(1_001), Some(1_000)].map(|end| is_over(end, 1_000)), [false, false, true]);
    }
}
