//! The one loop of PID 1: signals, exits, and whatever else asked to be waited for.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::child::{self, Child, Plan, Start};
use crate::reaper::{self, Left};
use crate::shutdown::{self, Act, Rest, Shutdown};
use crate::signals::{self, Route, Signals};
use crate::{exit_code, log, privileges, sys};

/// A descriptor that an [`Attendant`] wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// The descriptor.
    pub fd: RawFd,
    /// Wait for it to become readable.
    pub read: bool,
    /// Wait for it to become writable.
    pub write: bool,
}

/// Everything in the loop that is not signals and children: control socket, refusals, deadlines. None of its
/// calls may block.
pub trait Attendant {
    /// Adds what it waits for.
    fn interests(&self, into: &mut Vec<Interest>);
    /// How long the loop may sleep at most; `None` for as long as nothing happens.
    fn timeout(&self) -> Option<Duration>;
    /// Called after every wake-up with the descriptors that are ready (also errors and hang-ups).
    fn attend(&mut self, ready: &[RawFd]);
    /// The agent was started.
    fn agent_started(&mut self, pid: i32);
    /// The agent ended with this exit code; what it left behind is cleaned up next.
    fn agent_exited(&mut self, code: i32);
}

/// Nothing besides signals and children: `clawker-init supervise`.
#[derive(Debug, Default)]
pub struct Alone;

impl Attendant for Alone {
    fn interests(&self, _into: &mut Vec<Interest>) {}
    fn timeout(&self) -> Option<Duration> {
        None
    }
    fn attend(&mut self, _ready: &[RawFd]) {}
    fn agent_started(&mut self, _pid: i32) {}
    fn agent_exited(&mut self, _code: i32) {}
}

/// How often what is no child of ours is looked at while PID 1 waits for it to end.
const DRAIN_STEP: Duration = Duration::from_millis(20);

/// What the loop does besides waiting.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// From the first TERM or INT to KILL.
    pub grace: Duration,
    /// The capabilities that we keep once the child is forked; `None` changes nothing. With it the process is
    /// also hidden from other users.
    pub keep: Option<&'static [u32]>,
}

/// Closes every descriptor above 2 that was inherited. The second act of `main`, before anything owns one.
pub fn close_inherited() {
    if sys::close_range(3, false).is_ok() {
        return;
    }
    // Linux before 5.9.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<RawFd> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.into_iter().filter(|fd| *fd > 2).for_each(sys::close_inherited);
}

/// Starts the plan's process, hands it signals, collects every child, and comes back with its exit code when it
/// has ended and what it left behind is gone. [`signals::block_all`] must have been called.
pub fn run(plan: Plan, options: Options, attendant: &mut dyn Attendant) -> u8 {
    log::prepare();
    match Loop::start(plan, options) {
        Ok(mut this) => this.run(attendant),
        Err(error) => {
            log::line(&format!("Can't start the command: {error}"));
            exit_code::SETUP_FAILED
        }
    }
}

struct Loop {
    signals: Signals,
    child: Child,
    shutdown: Shutdown,
    rest: Rest,
    /// The child's exit code, once it has ended.
    code: Option<u8>,
    left: Left,
}

impl Loop {
    fn start(plan: Plan, options: Options) -> io::Result<Self> {
        let signals = Signals::open()?;
        let rest = Rest::own();
        if rest == Rest::Descendants {
            nix::sys::prctl::set_child_subreaper(true)?;
        }
        let child = child::spawn(plan)?;
        if let Some(keep) = options.keep
            && let Err(error) =
                privileges::shrink_pid1(keep).map_err(io::Error::other).and(privileges::hide())
        {
            let _ = sys::kill(child.pid, libc::SIGKILL);
            return Err(error);
        }
        // No mount stays busy because of us.
        let _ = nix::unistd::chdir("/");
        Ok(Self {
            signals,
            child,
            shutdown: Shutdown::new(options.grace),
            rest,
            code: None,
            left: Left::Some,
        })
    }

    fn run(&mut self, attendant: &mut dyn Attendant) -> u8 {
        let mut interests = Vec::new();
        let mut fds = Vec::new();
        let mut ready = Vec::new();
        // Children may have ended before their SIGCHLD was blocked.
        self.reap(attendant);
        loop {
            if let Some(code) = self.code
                && self.left == Left::None
                && !self.rest.lives()
            {
                return code;
            }
            interests.clear();
            attendant.interests(&mut interests);
            fds.clear();
            fds.extend([pollfd(self.signals.fd(), libc::POLLIN)]);
            fds.extend(self.child.report_fd().map(|fd| pollfd(fd, libc::POLLIN)));
            let own = fds.len();
            fds.extend(interests.iter().map(|interest| pollfd(interest.fd, events(*interest))));
            let timeout = [self.timeout(), attendant.timeout()].into_iter().flatten().min();
            if let Err(error) = sys::poll(&mut fds, timeout.map(millis)) {
                // Out of memory: no reason to leave, and the next turn may find some.
                log::line(&format!("Can't wait for events: {error}"));
            }
            while let Some((signal, code)) = self.signals.take() {
                if self.signal(signal, code, attendant) == Act::Leave {
                    return self.leave();
                }
            }
            self.look_at_start(attendant);
            ready.clear();
            ready.extend(fds.iter().skip(own).filter(|fd| fd.revents != 0).map(|fd| fd.fd));
            attendant.attend(&ready);
            if self.code.is_some() && self.left == Left::None {
                // Not ours, so nothing tells when one of them ends.
                self.reap(attendant);
            }
            match self.shutdown.due(now()) {
                Act::Leave => return self.leave(),
                Act::Kill => self.kill("it did not end within its grace"),
                _ => {}
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let deadline = self.shutdown.deadline().map(|until| until.saturating_sub(now()));
        match self.left {
            Left::None => deadline.map(|left| left.min(DRAIN_STEP)),
            Left::Some => deadline,
        }
    }

    fn signal(&mut self, signal: i32, code: i32, attendant: &mut dyn Attendant) -> Act {
        match signals::route(signal, code) {
            Route::Reap => self.reap(attendant),
            Route::Forward => self.send(signal),
            Route::Drop => {}
            Route::Stop => match self.shutdown.stop(now()) {
                Act::Ask => self.ask(signal),
                Act::Kill => self.kill("it was asked to stop again"),
                other => return other,
            },
        }
        Act::Nothing
    }

    /// Hands TERM or INT on, and sees that it is acted on: a stopped process must be continued for that, and an
    /// interactive shell ignores TERM but ends on HUP. Only on a terminal, so that a program that cleans up
    /// after TERM is not cut short.
    fn ask(&self, signal: i32) {
        self.send(signal);
        self.send(libc::SIGCONT);
        if signal == libc::SIGTERM && self.child.on_terminal && shutdown::ignores_term(self.child.pid) {
            self.send(libc::SIGHUP);
        }
    }

    fn kill(&self, why: &str) {
        log::line(&format!("Killing the command: {why}"));
        self.send(libc::SIGKILL);
    }

    /// To the child's group; to the child alone while it has none yet. What can't be sent is a message, never
    /// an end.
    fn send(&self, signal: i32) {
        // Once collected, the number may be another's.
        if self.code.is_some() {
            return;
        }
        let mut sent = sys::kill(-self.child.pid, signal);
        if matches!(&sent, Err(error) if error.raw_os_error() == Some(libc::ESRCH)) {
            sent = sys::kill(self.child.pid, signal);
        }
        if let Err(error) = sent {
            log::line(&format!("Can't send signal {signal} to the command: {error}"));
        }
    }

    fn look_at_start(&mut self, attendant: &mut dyn Attendant) {
        if self.child.report_fd().is_none() {
            return;
        }
        match self.child.start() {
            Start::Pending => {}
            Start::Running => attendant.agent_started(self.child.pid),
            Start::Failed(failure) => log::line(&failure.to_string()),
        }
    }

    fn reap(&mut self, attendant: &mut dyn Attendant) {
        let mut ended = None;
        let agent = self.child.pid;
        self.left = reaper::reap(|pid, status| {
            if pid == agent {
                ended = exit_code::from_wait_status(status);
            }
        });
        if self.code.is_none()
            && let Some(code) = ended
        {
            self.look_at_start(attendant);
            self.code = Some(code);
            self.shutdown.ended(now());
            attendant.agent_exited(code.into());
            self.rest.terminate();
            if self.rest == Rest::Descendants && self.child.on_terminal {
                child::take_back();
            }
        }
    }

    fn leave(&self) -> u8 {
        self.rest.kill();
        self.code.unwrap_or(exit_code::SETUP_FAILED)
    }
}

fn pollfd(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

fn events(interest: Interest) -> i16 {
    let flag = |wanted, flag| if wanted { flag } else { 0 };
    flag(interest.read, libc::POLLIN) | flag(interest.write, libc::POLLOUT)
}

/// Rounded up: a wait that ends early would be followed by one of no time at all.
fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
}

/// The clock of the loop.
fn now() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from)
}
