//! How much of what others can cause at will is recorded: a few at once, then one in a while, and how many were
//! left out in between. Knows no clock.

use std::time::Duration;

/// A bucket of admissions that refills with time.
#[derive(Debug)]
pub struct Quota {
    burst: u32,
    every: Duration,
    left: u32,
    refilled: Duration,
    unrecorded: u64,
}

impl Quota {
    /// Full: `burst` at once, then one in `every`, which must not be zero.
    pub fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, left: burst, refilled: Duration::ZERO, unrecorded: 0 }
    }

    /// Whether one more is admitted, and then how many were not since the last that was. `now` is a reading of
    /// any clock that goes forward.
    pub fn admit(&mut self, now: Duration) -> Option<u64> {
        while self.left < self.burst && now.saturating_sub(self.refilled) >= self.every {
            self.left += 1;
            self.refilled += self.every;
        }
        if self.left == self.burst {
            self.refilled = now;
        }
        if self.left == 0 {
            self.unrecorded += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_a_trickle_passes() {
        let at = Duration::from_secs;
        let mut quota = Quota::new(3, at(5));
        assert_eq!([1, 1, 1, 1, 1].map(|s| quota.admit(at(s))), [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(quota.admit(at(5)), None);
        assert_eq!(quota.admit(at(6)), Some(3));
        assert_eq!(quota.admit(at(6)), None);
        // A long silence refills it, never past the burst.
        assert_eq!([0, 0, 0, 0].map(|_| quota.admit(at(1_000))), [Some(1), Some(0), Some(0), None]);
    }
}
