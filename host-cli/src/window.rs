//! A bypass seen from the host: opened, watched until it ends, and what went through it. Watches init's event
//! stream where there is one, else asks for the state from time to time.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use clawker_protocol::control::{Op, StateName, Status};
use clawker_protocol::event::{Event, EventKind, Flow};
use serde::Serialize;

use crate::control::{self, ControlError};
use crate::launch::Interrupt;
use crate::paths::Paths;
use crate::store::AgentRecord;

/// How often the countdown moves.
const TICK: Duration = Duration::from_millis(200);
/// How long after the expected end the state is asked for.
const GRACE: Duration = Duration::from_millis(300);
/// A line of events that is longer is no event.
const MAX_LINE: usize = 64 << 10;

/// How a bypass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By its deadline.
    Deadline,
    /// The user interrupted us.
    Interrupted,
    /// Somebody else changed the state.
    Changed,
    /// The agent ended.
    Gone,
}

impl End {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Interrupted => "interrupted",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// One destination that was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// `tcp`, `udp`, …
    pub proto: String,
    /// Address.
    pub destination: String,
    /// Port, where the protocol has one.
    pub port: Option<u16>,
    /// New flows.
    pub flows: u64,
    /// The uids of the sockets that began them, where the kernel told.
    pub uids: Vec<u32>,
}

impl Opened {
    /// Address and port.
    pub fn place(&self) -> String {
        match self.port {
            Some(port) if self.destination.contains(':') => format!("[{}]:{port}", self.destination),
            Some(port) => format!("{}:{port}", self.destination),
            None => self.destination.clone(),
        }
    }
}

/// A bypass that was opened from here.
#[derive(Debug)]
pub struct Window<'a> {
    paths: &'a Paths,
    record: &'a AgentRecord,
    events: Option<UnixStream>,
    followed: bool,
    unread: Vec<u8>,
    deadline: Instant,
    tally: Tally,
}

impl<'a> Window<'a> {
    /// Opens it. The event stream is opened first, so that nothing is missed.
    ///
    /// # Errors
    /// When init refuses or can't be reached.
    pub fn open(paths: &'a Paths, record: &'a AgentRecord, seconds: u64) -> Result<Self, ControlError> {
        let events = control::events(paths, record).ok();
        let status = control::change(paths, record, Op::Bypass { seconds })?;
        let deadline = Instant::now() + left(&status);
        let followed = events.is_some();
        Ok(Self { paths, record, events, followed, unread: Vec::new(), deadline, tally: Tally::default() })
    }

    /// Watches until it ends; `tick` is told what is left.
    ///
    /// # Errors
    /// When the state can't be asked for.
    pub fn watch(
        &mut self,
        interrupt: &Interrupt,
        tick: &mut dyn FnMut(Duration),
    ) -> Result<End, ControlError> {
        loop {
            if interrupt.came() {
                return Ok(End::Interrupted);
            }
            tick(self.deadline.saturating_duration_since(Instant::now()));
            if let Some(end) = self.listen() {
                return Ok(end);
            }
            if Instant::now() > self.deadline + GRACE {
                match control::status(self.paths, self.record) {
                    Ok(status) if status.state == StateName::Bypass => {
                        self.deadline = Instant::now() + left(&status);
                    }
                    Ok(status) if status.state == StateName::Enforcing => return Ok(End::Deadline),
                    Ok(_) => return Ok(End::Changed),
                    Err(ControlError::NotRunning { .. } | ControlError::Gone { .. }) => return Ok(End::Gone),
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// What was reached, the most used first; `None` when the events could not be followed.
    pub fn opened(&self) -> Option<Vec<Opened>> {
        self.followed.then(|| self.tally.opened())
    }

    /// Takes what events there are within a tick.
    fn listen(&mut self) -> Option<End> {
        let Some(stream) = &mut self.events else {
            std::thread::sleep(TICK);
            return None;
        };
        let mut piece = [0; 4096];
        let read = stream.set_read_timeout(Some(TICK)).and_then(|()| stream.read(&mut piece));
        match read {
            Ok(0) => self.lost(),
            Ok(count) => {
                self.unread.extend_from_slice(piece.get(..count).unwrap_or_default());
                self.take_lines()
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                None
            }
            Err(_) => self.lost(),
        }
    }

    /// The stream ended: init is gone, or cut us; the state tells.
    fn lost(&mut self) -> Option<End> {
        self.events = None;
        match control::status(self.paths, self.record) {
            Ok(_) => None,
            Err(_) => Some(End::Gone),
        }
    }

    fn take_lines(&mut self) -> Option<End> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            // The stream's first line is an answer, not an event.
            let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
            match event.kind {
                EventKind::Opened { flow } => self.tally.add(flow),
                EventKind::State { state, cause, seconds } => match (state.as_str(), cause.as_str()) {
                    ("bypass", _) => {
                        self.deadline = Instant::now() + Duration::from_secs(seconds.unwrap_or_default());
                    }
                    (_, "deadline") => return Some(End::Deadline),
                    _ => return Some(End::Changed),
                },
                EventKind::AgentExited { .. } => return Some(End::Gone),
                _ => {}
            }
        }
        if self.unread.len() > MAX_LINE {
            self.unread.clear();
        }
        None
    }
}

fn left(status: &Status) -> Duration {
    Duration::from_millis(status.bypass_left_millis.unwrap_or_default())
}

/// Flows by destination; bounded, since an agent makes them.
#[derive(Debug, Default)]
struct Tally(BTreeMap<Place, (u64, Vec<u32>)>);

/// Protocol, address, port.
type Place = (String, String, Option<u16>);

impl Tally {
    const MAX_PLACES: usize = 1000;
    const MAX_UIDS: usize = 5;

    fn add(&mut self, flow: Flow) {
        let key = (flow.proto, flow.destination, flow.port);
        if self.0.len() >= Self::MAX_PLACES && !self.0.contains_key(&key) {
            return;
        }
        let (flows, uids) = self.0.entry(key).or_default();
        *flows += 1;
        if let Some(uid) = flow.uid
            && uids.len() < Self::MAX_UIDS
            && !uids.contains(&uid)
        {
            uids.push(uid);
        }
    }

    fn opened(&self) -> Vec<Opened> {
        let mut all: Vec<Opened> = self
            .0
            .iter()
            .map(|((proto, destination, port), (flows, uids))| Opened {
                proto: proto.clone(),
                destination: destination.clone(),
                port: *port,
                flows: *flows,
                uids: uids.clone(),
            })
            .collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.flows));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(destination: &str, uid: Option<u32>) -> Flow {
        Flow { proto: "tcp".into(), destination: destination.into(), port: Some(443), uid, question: None }
    }

    #[test]
    fn the_most_used_destination_comes_first_and_each_uid_once() {
        let mut tally = Tally::default();
        tally.add(flow("198.51.100.1", None));
        for _ in 0..3 {
            tally.add(flow("198.51.100.2", Some(1001)));
        }
        let opened = tally.opened();
        assert_eq!((opened[0].place().as_str(), opened[0].flows), ("198.51.100.2:443", 3));
        assert_eq!(opened[0].uids, [1001]);
        assert_eq!(opened.len(), 2);
    }

    #[test]
    fn an_agent_can_not_fill_our_memory() {
        let mut tally = Tally::default();
        for number in 0..3000 {
            tally.add(flow(&format!("{number}"), Some(number)));
            tally.add(flow("same", Some(number)));
        }
        assert_eq!(tally.0.len(), Tally::MAX_PLACES);
        assert!(tally.opened().iter().all(|one| one.uids.len() <= Tally::MAX_UIDS));
    }

    #[test]
    fn an_ipv6_destination_keeps_its_port_apart() {
        let mut tally = Tally::default();
        tally.add(flow("2001:db8::1", None));
        assert_eq!(tally.opened()[0].place(), "[2001:db8::1]:443");
    }
}
