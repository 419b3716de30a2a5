//! The control socket: who may speak, how long and how much. It reads requests and hands them out; what they
//! do is not its business. Nothing here blocks.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use clawker_protocol::control::{
    ErrorCode, MAX_LINE, MAX_SHORT_LINE, Op, Request, Response, holds_secret, parse_request,
};
use clawker_protocol::secret;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use crate::supervisor::Interest;
use crate::sys;

/// Clients at one time.
const MAX_CLIENTS: usize = 32;
/// From a request's first byte to its newline.
const REQUEST_TIME: Duration = Duration::from_secs(1);
/// Without a request, and without a stream.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// What may wait to be read by one client.
const MAX_OUTPUT: usize = 256 << 10;
/// Accepted in one go, so that a flood of clients can't keep the loop here.
const ACCEPT_BURST: usize = 64;

/// A client that was cut because of who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedPeer {
    /// Its pid, as seen from here.
    pub pid: i32,
    /// Its uid.
    pub uid: u32,
    /// Why.
    pub why: &'static str,
}

/// What came of a turn.
#[derive(Debug)]
pub enum Arrival {
    /// A request from an accepted peer with the right secret. Answer with [`Control::answer`].
    Request {
        /// Whom to answer.
        client: u64,
        /// What is asked.
        request: Request,
    },
    /// A peer that was cut.
    Refused(RefusedPeer),
}

/// The listening socket and its clients.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    secret_sha256: String,
    clients: Vec<Client>,
    next: u64,
}

#[derive(Debug)]
struct Client {
    key: u64,
    stream: UnixStream,
    pid: i32,
    uid: u32,
    input: Vec<u8>,
    output: VecDeque<u8>,
    /// When it is cut.
    deadline: Duration,
    streaming: bool,
    /// It sends no more, and may still wait for its answer, as `nc -N` does.
    ended: bool,
    /// A request of its has been handed out and not been answered.
    asked: bool,
    /// It has shown the secret.
    proved: bool,
    /// Answer what is pending, then close.
    closing: bool,
}

impl Control {
    /// Listens at `path`, in place of what an earlier start left there.
    ///
    /// # Errors
    /// When the socket can't be made or given its mode.
    pub fn listen(path: &Path, secret_sha256: &str) -> std::io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        // The folders on both sides decide who reaches it; the host's user has another uid than ours.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, secret_sha256: secret_sha256.to_owned(), clients: Vec::new(), next: 1 })
    }

    /// What to wait for.
    pub fn interests(&self, into: &mut Vec<Interest>) {
        into.push(Interest { fd: self.listener.as_raw_fd(), read: true, write: false });
        into.extend(self.clients.iter().map(|client| Interest {
            fd: client.stream.as_raw_fd(),
            read: !client.closing && !client.ended,
            write: !client.output.is_empty(),
        }));
    }

    /// How long until a client is due to be cut.
    pub fn timeout(&self, now: Duration) -> Option<Duration> {
        let waiting = self.clients.iter().filter(|client| !client.is_streaming());
        waiting.map(|client| client.deadline.saturating_sub(now)).min()
    }

    /// Takes what is ready and cuts who is late. `now` is a reading of any clock that goes forward.
    pub fn turn(&mut self, ready: &[RawFd], now: Duration) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        if ready.contains(&self.listener.as_raw_fd()) {
            self.accept(now, &mut arrivals);
        }
        let secret_sha256 = &self.secret_sha256;
        for client in &mut self.clients {
            if ready.contains(&client.stream.as_raw_fd()) {
                client.read(now);
            }
            client.forget_if_gone();
            if let Some(request) = client.next_request(now, secret_sha256) {
                arrivals.push(client.judge(request, secret_sha256));
            }
            client.expire(now);
            client.flush();
        }
        self.clients.retain(|client| !client.is_done());
        arrivals
    }

    /// Whether a request that already arrived waits behind the one just answered.
    pub fn has_more(&self) -> bool {
        let waits =
            |client: &Client| client.input.contains(&b'\n') || client.ended && !client.input.is_empty();
        self.clients.iter().any(|client| !client.closing && waits(client))
    }

    /// Sends an answer.
    pub fn answer(&mut self, key: u64, response: &Response) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.key == key) {
            client.asked = false;
            client.send(response);
            client.flush();
        }
        self.clients.retain(|client| !client.is_done());
    }

    /// From now on this client gets the events.
    pub fn stream_to(&mut self, key: u64) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.key == key) {
            client.streaming = true;
        }
    }

    /// Sends lines to whoever streams; one that doesn't read is cut.
    pub fn broadcast(&mut self, lines: &VecDeque<String>) {
        for client in self.clients.iter_mut().filter(|client| client.streaming) {
            for line in lines {
                client.output.extend(line.as_bytes());
            }
            client.flush();
        }
        self.clients.retain(|client| client.output.len() <= MAX_OUTPUT);
    }

    fn accept(&mut self, now: Duration, arrivals: &mut Vec<Arrival>) {
        for _ in 0..ACCEPT_BURST {
            let Ok((stream, _)) = self.listener.accept() else { return };
            let Ok(peer) = getsockopt(&stream, PeerCredentials) else { continue };
            if !accepted(peer.pid(), peer.uid()) {
                let why = "neither outside the container nor root in it";
                arrivals.push(Arrival::Refused(RefusedPeer { pid: peer.pid(), uid: peer.uid(), why }));
                continue;
            }
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let client = Client {
                key: self.next,
                stream,
                pid: peer.pid(),
                uid: peer.uid(),
                input: Vec::new(),
                output: VecDeque::new(),
                deadline: now + IDLE_TIME,
                streaming: false,
                ended: false,
                asked: false,
                proved: false,
                closing: false,
            };
            self.next += 1;
            if self.clients.len() >= MAX_CLIENTS {
                // The place of one that only waits, so that silent clients can't keep `enable` out.
                let silent = self.clients.iter().position(|client| !client.proved);
                let mut gone = match silent {
                    Some(oldest) => {
                        let gone = self.clients.remove(oldest);
                        self.clients.push(client);
                        gone
                    }
                    None => client,
                };
                gone.fail(0, ErrorCode::Busy, "too many clients: try again");
                gone.flush();
            } else {
                self.clients.push(client);
            }
        }
    }
}

/// Whether a peer may speak at all. A pid of 0 is outside this pid namespace; either way the secret decides.
fn accepted(pid: i32, uid: u32) -> bool {
    pid == 0 || uid == 0
}

impl Client {
    fn read(&mut self, now: Duration) {
        let mut chunk = [0; 4096];
        // Bounded, so that one client that sends without end does not hold the loop.
        for _ in 0..64 {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    self.ended = true;
                    return;
                }
                Ok(length) => {
                    if self.closing || self.streaming {
                        continue;
                    }
                    if self.input.is_empty() {
                        self.deadline = now + REQUEST_TIME;
                    }
                    self.input.extend(chunk.iter().take(length));
                    if self.input.len() > MAX_LINE {
                        self.fail(0, ErrorCode::TooLong, "the line is too long");
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.output.clear();
                    self.closing = true;
                    return;
                }
            }
        }
    }

    /// A request whose sender is gone is not carried out: it gave up waiting, as on a container that was paused, and
    /// told its user that nothing was done. One that only sends no more still listens, and is not gone.
    fn forget_if_gone(&mut self) {
        if self.input.is_empty() || self.closing {
            return;
        }
        let mut fds = [libc::pollfd { fd: self.stream.as_raw_fd(), events: 0, revents: 0 }];
        let asked = sys::poll(&mut fds, Some(0));
        if asked.is_ok() && fds.iter().any(|fd| fd.revents & libc::POLLHUP != 0) {
            self.input = Vec::new();
            self.output.clear();
            self.closing = true;
        }
    }

    /// Takes the next whole line. A mistake is answered here.
    fn next_request(&mut self, now: Duration, secret_sha256: &str) -> Option<Request> {
        let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
            if self.ended && !self.input.is_empty() {
                self.fail(0, ErrorCode::BadRequest, "the request has no newline at its end");
            }
            return None;
        };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        if self.input.is_empty() {
            self.input.shrink_to_fit();
        }
        self.deadline = now + if self.input.is_empty() { IDLE_TIME } else { REQUEST_TIME };
        if line.len() > MAX_SHORT_LINE && !holds_secret(&line, secret_sha256) {
            // Before it is read as a whole: a long text of a stranger's would take many times its length.
            self.fail(0, ErrorCode::Forbidden, "a line this long must hold the agent's control secret");
            return None;
        }
        match parse_request(&line) {
            Ok(request) if line.len() > MAX_SHORT_LINE && !matches!(request.op, Op::Policy { .. }) => {
                self.fail(request.id, ErrorCode::TooLong, "the line is too long for this operation");
                None
            }
            Ok(request) => Some(request),
            Err(response) => {
                self.send(&response);
                None
            }
        }
    }

    fn judge(&mut self, request: Request, secret_sha256: &str) -> Arrival {
        if secret::matches(&request.secret, secret_sha256) {
            self.asked = true;
            self.proved = true;
            return Arrival::Request { client: self.key, request };
        }
        let message = "the agent's control secret is missing or wrong: use clawker on the host, \
                       or clawker shell --root";
        self.fail(request.id, ErrorCode::Forbidden, message);
        Arrival::Refused(RefusedPeer { pid: self.pid, uid: self.uid, why: "wrong control secret" })
    }

    fn expire(&mut self, now: Duration) {
        if now < self.deadline || self.is_streaming() {
            return;
        }
        if self.closing || self.ended {
            self.output.clear();
            self.closing = true;
        } else if self.input.is_empty() {
            self.closing = true;
        } else {
            self.fail(0, ErrorCode::Timeout, "the request took too long to arrive");
        }
        self.deadline = now + REQUEST_TIME;
    }

    fn fail(&mut self, id: u64, code: ErrorCode, message: &str) {
        self.send(&Response::refused(id, code, message));
        self.input = Vec::new();
        self.closing = true;
    }

    fn send(&mut self, response: &Response) {
        if let Ok(text) = serde_json::to_vec(response) {
            self.output.extend(text);
            self.output.push_back(b'\n');
        }
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            let (front, _) = self.output.as_slices();
            match self.stream.write(front) {
                Ok(0) => break,
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.output.clear();
                    self.closing = true;
                }
            }
        }
        self.output.shrink_to_fit();
    }

    /// One that sends no more can't be told from one that is gone, so it does not stream.
    fn is_streaming(&self) -> bool {
        self.streaming && !self.closing && !self.ended
    }

    fn is_done(&self) -> bool {
        let nothing_more = self.ended && !self.asked && self.input.is_empty();
        self.output.is_empty() && (self.closing || nothing_more)
    }
}

#[cfg(test)]
mod tests;
