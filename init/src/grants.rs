//! Services that end by themselves: the host names their end on the wall clock, and from then on only
//! CLOCK_BOOTTIME counts, which nobody can set. Values in, values out; it reads no clock and touches no kernel.

use std::net::Ipv4Addr;
use std::time::Duration;

use clawker_protocol::enforcement::{Enforcement, GRANT_MAX, Service};

/// Two clocks read at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970, UTC.
    pub wall_millis: u64,
    /// CLOCK_BOOTTIME.
    pub boot: Duration,
}

/// A service with an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// As the host sent it.
    service: Service,
    /// When it ends, on CLOCK_BOOTTIME.
    until: Duration,
    /// Its flows have been ended, too.
    over: bool,
}

/// The services with an end of an enforcement, also those whose end has come: a clock that is set back must not
/// bring one back to life.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// Of an enforcement. What was already counting keeps its end; what is past when it arrives never begins.
    pub fn of(enforcement: &Enforcement, before: &Self, now: Moment) -> Self {
        let known = |service: &Service| {
            let same = |grant: &&Grant| {
                let known = &grant.service;
                (known.address, known.port, known.expires) == (service.address, service.port, service.expires)
            };
            before.0.iter().find(same)
        };
        let grant = |service: &Service| {
            let expires = service.expires?;
            let left = Duration::from_millis(expires.saturating_sub(now.wall_millis)).min(GRANT_MAX);
            let fresh = Grant { service: service.clone(), until: now.boot + left, over: left.is_zero() };
            Some(known(service).map_or(fresh, |known| Grant { service: service.clone(), ..*known }))
        };
        Self(enforcement.services.iter().filter_map(grant).collect())
    }

    /// What has time left.
    pub fn running(&self, now: Duration) -> Running {
        let mut grants: Vec<Timed> = Vec::new();
        for grant in self.0.iter().filter(|grant| !grant.over && grant.until > now) {
            let Service { address, port, listener, .. } = grant.service;
            // Of two, the first counts, as among services without an end.
            if grants.iter().all(|first| (first.address, first.port) != (address, port)) {
                grants.push(Timed { address, port, listener, left: grant.until - now });
            }
        }
        if grants.is_empty() { Running::default() } else { Running { at: now, grants } }
    }

    /// The next end that has not been seen to.
    pub fn next_end(&self) -> Option<Duration> {
        self.0.iter().filter(|grant| !grant.over).map(|grant| grant.until).min()
    }

    /// The services whose end has come and has not been seen to.
    pub fn due(&self, now: Duration) -> Vec<Service> {
        let due = self.0.iter().filter(|grant| !grant.over && grant.until <= now);
        due.map(|grant| grant.service.clone()).collect()
    }

    /// Their ends have been seen to.
    pub fn mark_over(&mut self, now: Duration) {
        for grant in self.0.iter_mut().filter(|grant| grant.until <= now) {
            grant.over = true;
        }
    }

    /// An enforcement without the services whose end has come.
    pub fn in_force(&self, enforcement: &Enforcement, now: Duration) -> Enforcement {
        let mut enforcement = enforcement.clone();
        if !self.0.is_empty() {
            let runs = |service: &Service| {
                self.0.iter().any(|grant| grant.service == *service && !grant.over && grant.until > now)
            };
            enforcement.services.retain(|service| service.expires.is_none() || runs(service));
        }
        enforcement
    }
}

/// What has time left, and how much, as of a reading of CLOCK_BOOTTIME.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Running {
    /// The reading.
    pub at: Duration,
    /// The services.
    pub grants: Vec<Timed>,
}

impl Running {
    /// The listeners, each once, with the time that they have left.
    pub fn listeners(&self) -> Vec<(u16, Duration)> {
        let mut listeners: Vec<(u16, Duration)> = Vec::new();
        for grant in &self.grants {
            match listeners.iter_mut().find(|(listener, _)| *listener == grant.listener) {
                Some((_, left)) => *left = grant.left.min(*left),
                None => listeners.push((grant.listener, grant.left)),
            }
        }
        listeners
    }
}

/// A service and the time that it has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// The name's virtual address.
    pub address: Ipv4Addr,
    /// The port that the agent dials.
    pub port: u16,
    /// The Envoy listener's port, which is this service's alone.
    pub listener: u16,
    /// From the reading on.
    pub left: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn at(wall_millis: u64, boot: u64) -> Moment {
        Moment { wall_millis, boot: Duration::from_millis(boot) }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn enforcement(expires: &[Option<u64>]) -> Enforcement {
        let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,
                       "open_dns_port":5300}"#;
        let service = |(port, expires): (u16, &Option<u64>)| Service {
            address: [198, 18, 0, 5].into(),
            port,
            listener: 10_000 + port,
            expires: *expires,
        };
        Enforcement {
            services: (1..).zip(expires).map(service).collect(),
            ..serde_json::from_str(text).unwrap()
        }
    }

    fn lefts(grants: &Grants, boot: u64) -> Vec<(u16, u64)> {
        let running = grants.running(millis(boot));
        running.grants.iter().map(|grant| (grant.port, grant.left.as_millis() as u64)).collect()
    }

    #[test]
    fn what_is_past_never_begins_and_nothing_lasts_longer_than_a_day() {
        let sent = enforcement(&[None, Some(HOUR), Some(HOUR - 1), Some(HOUR + 500), Some(u64::MAX)]);
        let grants = Grants::of(&sent, &Grants::default(), at(HOUR, 1_000));
        assert_eq!(lefts(&grants, 1_000), [(4, 500), (5, 24 * HOUR)]);
        assert_eq!(grants.next_end(), Some(millis(1_500)));
        let ports = |now| {
            let in_force = grants.in_force(&sent, millis(now));
            in_force.services.iter().map(|service| service.port).collect::<Vec<_>>()
        };
        assert_eq!(ports(1_499), [1, 4, 5]);
        assert_eq!(ports(1_500), [1, 5], "its time is up, seen to or not");
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_no_end_that_counts_already() {
        let sent = enforcement(&[Some(HOUR)]);
        let grants = Grants::of(&sent, &Grants::default(), at(HOUR - 500, 1_000));
        let again = Grants::of(&sent, &grants, at(0, 1_200));
        assert_eq!(lefts(&again, 1_200), [(1, 300)]);
        let ended = Grants::of(&sent, &again, at(0, 9_000));
        assert_eq!(lefts(&ended, 9_000), [], "it came back to life");
        let longer = Grants::of(&enforcement(&[Some(HOUR + 1)]), &ended, at(HOUR, 9_000));
        assert_eq!(lefts(&longer, 9_000), [(1, 1)], "another end is another grant");
    }

    #[test]
    fn each_end_is_due_once() {
        let sent = enforcement(&[Some(100), Some(200)]);
        let mut grants = Grants::of(&sent, &Grants::default(), at(0, 0));
        let due = |grants: &Grants, now| {
            grants.due(millis(now)).iter().map(|service| service.port).collect::<Vec<_>>()
        };
        assert_eq!(due(&grants, 99), Vec::<u16>::new());
        assert_eq!(due(&grants, 150), [1]);
        grants.mark_over(millis(150));
        assert_eq!((due(&grants, 160), grants.next_end()), (vec![], Some(millis(200))));
        // Also across a swap.
        let mut swapped = Grants::of(&sent, &grants, at(0, 250));
        assert_eq!(due(&swapped, 250), [2]);
        swapped.mark_over(millis(250));
        assert_eq!(swapped.next_end(), None);
    }
}
