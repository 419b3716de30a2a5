//! What PID 1 attends to besides its child: the control socket, the deadline, refusals, and the watcher over
//! our tables. It is where requests meet the states.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use clawker_protocol::control::{self, ErrorCode, Network, Op, Request, Response, Status, Versions};
use clawker_protocol::enforcement::Service;
use clawker_protocol::event::EventKind;
use clawker_protocol::secret;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::control::{Arrival, Control, RefusedPeer};
use crate::events::{Events, now_millis};
use crate::fence::{Fence, Policy};
use crate::netfilter::{LoggedFlow, Netfilter};
use crate::network;
use crate::quota::Quota;
use crate::resolv::ResolvConf;
use crate::state::{Change, Machine, Refused};
use crate::supervisor::{Attendant, Interest};

/// So many refused peers are recorded at once,
const REFUSED_PEERS: u32 = 20;
/// and then one in this time.
const REFUSED_PEERS_EVERY: Duration = Duration::from_secs(5);

/// The clock of every deadline here: it goes on while a laptop sleeps and can't be set.
pub fn boot_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// Everything that PID 1 attends to.
#[derive(Debug)]
pub struct Keeper {
    machine: Machine<Netfilter, Option<ResolvConf>>,
    control: Control,
    events: Events,
    network: Network,
    timer: TimerFd,
    since: u64,
    heals: u64,
    refused_peers: Quota,
    agent_pid: Option<i32>,
}

impl Keeper {
    /// Takes over what the boot made.
    ///
    /// # Errors
    /// When the kernel gives no timer.
    pub fn new(
        machine: Machine<Netfilter, Option<ResolvConf>>,
        control: Control,
        mut events: Events,
        network: Network,
    ) -> std::io::Result<Self> {
        let timer =
            TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        events.record(EventKind::State {
            state: machine.state().as_str().to_owned(),
            cause: "boot".to_owned(),
            seconds: None,
        });
        Ok(Self {
            machine,
            control,
            events,
            network,
            timer,
            since: now_millis(),
            heals: 0,
            refused_peers: Quota::new(REFUSED_PEERS, REFUSED_PEERS_EVERY),
            agent_pid: None,
        })
    }

    /// Of a bypass, or of a service with an end.
    fn next_deadline(&self) -> Option<Duration> {
        [self.machine.deadline(), self.machine.next_end()].into_iter().flatten().min()
    }

    fn arm(&self) {
        let set = match self.next_deadline() {
            Some(deadline) => self.timer.set(
                Expiration::OneShot(TimeSpec::from(deadline.max(Duration::from_nanos(1)))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            ),
            None => self.timer.unset(),
        };
        if let Err(error) = set {
            // `timeout` still wakes the loop, so that the deadline holds.
            crate::log::line(&format!("can't set the deadline's timer: {error}"));
        }
    }

    fn note(&mut self, change: Change) {
        self.since = now_millis();
        self.events.record(EventKind::State {
            state: change.state.as_str().to_owned(),
            cause: change.cause.to_owned(),
            seconds: change.seconds,
        });
    }

    fn deadline(&mut self, now: Duration) {
        match self.machine.tick(now) {
            Ok(Some(change)) => self.note(change),
            Ok(None) => {}
            Err(error) => crate::log::line(&format!("can't end the bypass, trying again: {error}")),
        }
        match self.machine.end_services(now) {
            Ok(ended) => ended.into_iter().for_each(|Service { address, port, .. }| {
                self.events.record(EventKind::GrantEnded { address, port });
            }),
            Err(error) => crate::log::line(&format!("can't end a service, trying again: {error}")),
        }
    }

    fn netfilter(&mut self) {
        for flow in self.machine.fence().read_flows() {
            self.events.record(match flow {
                LoggedFlow::Refused { class, flow } => EventKind::Denied { class, flow },
                LoggedFlow::Opened { flow } => EventKind::Opened { flow },
            });
        }
        for what in self.machine.fence().watch() {
            self.heals += 1;
            self.events.record(EventKind::Healed { what });
        }
    }

    fn requests(&mut self, ready: &[RawFd], now: Duration) {
        for arrival in self.control.turn(ready, now) {
            match arrival {
                Arrival::Request { client, request } => {
                    let streams = request.op == Op::Events;
                    let response = self.carry_out(request);
                    self.control.answer(client, &response);
                    if streams && response.ok {
                        self.control.stream_to(client);
                    }
                }
                Arrival::Refused(peer) => self.peer_refused(&peer, now),
            }
        }
    }

    /// A flood of them must not push refusals and changes of state out of the log.
    fn peer_refused(&mut self, peer: &RefusedPeer, now: Duration) {
        let Some(unrecorded) = self.refused_peers.admit(now) else { return };
        let why = match unrecorded {
            0 => peer.why.to_owned(),
            more => format!("{} ({more} more before it)", peer.why),
        };
        self.events.record(EventKind::PeerRefused { pid: peer.pid, uid: peer.uid, why });
    }

    fn carry_out(&mut self, request: Request) -> Response {
        let now = boot_time();
        let is_gateway = matches!(self.machine.policy(), Policy::Gateway(_));
        let changed = match request.op {
            Op::Status | Op::Events => return self.status(request.id),
            Op::Version => return respond(request.id, &versions()),
            Op::Gateway { gateway } if is_gateway => return self.swap(request.id, (*gateway).into()),
            Op::Policy { enforcement, summary, extra_ca_pem } if !is_gateway => {
                let response = self.swap(request.id, (*enforcement).into());
                if !response.ok {
                    return response;
                }
                if let Err(error) = crate::boot::publish_summary(&summary) {
                    crate::log::line(&format!("can't publish the policy's summary: {error}"));
                }
                if let Some(Err(error)) = extra_ca_pem.as_deref().map(crate::ca::publish_again) {
                    crate::log::line(&format!("can't publish the roots: {error}"));
                }
                return response;
            }
            _ if is_gateway => return not_here(request.id, "Envoy", "it has one state"),
            Op::Gateway { .. } | Op::Policy { .. } => {
                return not_here(request.id, "an agent", "it has no gateway");
            }
            Op::Enable => self.machine.enable(now, "enable"),
            Op::Disable => self.machine.disable(now),
            Op::Bypass { seconds } => self.machine.bypass(now, seconds),
            Op::BypassStop => self.machine.bypass_stop(now),
        };
        self.arm();
        match changed {
            Ok(change) => {
                self.note(change);
                self.status(request.id)
            }
            Err(error) => refuse(request.id, error),
        }
    }

    fn swap(&mut self, id: u64, policy: Policy) -> Response {
        // Held to what the boot config is: nobody's connections go to a stranger.
        if let Err(error) = network::find(&policy) {
            return Response::refused(id, ErrorCode::OutOfRange, error.to_string());
        }
        if let Err(error) = self.machine.swap(policy) {
            return refuse(id, error);
        }
        self.events.record(EventKind::Policy { generation: self.generation() });
        self.status(id)
    }

    /// What the gateway dials has none: the host sends the whole of it each time.
    fn generation(&self) -> u64 {
        match self.machine.policy() {
            Policy::Agent(enforcement) => enforcement.generation,
            Policy::Gateway(_) => 0,
        }
    }

    fn status(&mut self, id: u64) -> Response {
        let refused = match self.machine.fence().refused() {
            Ok(refused) => refused,
            Err(error) => return Response::refused(id, ErrorCode::Failed, error.to_string()),
        };
        let text = match self.machine.policy() {
            Policy::Agent(enforcement) => serde_json::to_string(enforcement),
            Policy::Gateway(gateway) => serde_json::to_string(gateway),
        };
        let text = text.unwrap_or_default();
        let left = match self.machine.state() {
            control::StateName::Bypass => self.machine.deadline(),
            _ => None,
        };
        let status = Status {
            state: self.machine.state(),
            since: self.since,
            bypass_left_millis: left.map(|deadline| {
                u64::try_from(deadline.saturating_sub(boot_time()).as_millis()).unwrap_or(u64::MAX)
            }),
            generation: self.generation(),
            policy_hash: secret::hash(&text).chars().take(16).collect(),
            refused,
            heals: self.heals,
            last_denials: self.events.last_denials(),
            agent_pid: self.agent_pid,
            network: Some(self.network.clone()),
            versions: versions(),
        };
        respond(id, &status)
    }
}

fn respond(id: u64, result: &impl serde::Serialize) -> Response {
    match serde_json::to_value(result) {
        Ok(value) => Response::done(id, value),
        Err(error) => Response::refused(id, ErrorCode::Failed, error.to_string()),
    }
}

fn not_here(id: u64, whose: &str, why: &str) -> Response {
    Response::refused(id, ErrorCode::UnknownOp, format!("this init is around {whose}: {why}"))
}

fn refuse(id: u64, error: Refused) -> Response {
    Response::refused(id, error.code, error.message)
}

/// What is running.
pub fn versions() -> Versions {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Versions {
        init: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: control::VERSION,
        kernel: kernel.trim().to_owned(),
    }
}

impl Attendant for Keeper {
    fn interests(&self, into: &mut Vec<Interest>) {
        self.control.interests(into);
        into.push(Interest { fd: self.timer.as_fd().as_raw_fd(), read: true, write: false });
        for fd in self.machine.fence_ref().raw_fds() {
            into.push(Interest { fd, read: true, write: false });
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if self.control.has_more() {
            return Some(Duration::ZERO);
        }
        let now = boot_time();
        let deadline = self.next_deadline().map(|deadline| deadline.saturating_sub(now));
        [self.control.timeout(now), deadline].into_iter().flatten().min()
    }

    fn attend(&mut self, ready: &[RawFd]) {
        let now = boot_time();
        // The deadline first: whatever else waits, an open fence is shut on time.
        self.deadline(now);
        self.netfilter();
        self.requests(ready, now);
        self.arm();
        let lines = self.events.take_pending();
        if !lines.is_empty() {
            self.control.broadcast(&lines);
        }
    }

    fn agent_started(&mut self, pid: i32) {
        self.agent_pid = Some(pid);
        self.events.record(EventKind::AgentStarted { pid });
    }

    fn agent_exited(&mut self, code: i32) {
        self.agent_pid = None;
        self.events.record(EventKind::AgentExited { code });
    }
}
