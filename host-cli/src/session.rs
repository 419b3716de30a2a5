//! One session between the user's terminal or pipes and a program in a container: bytes both ways, resizes,
//! signals. It ends when the program's side does, or when the user's side has to leave.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::demux::{Demux, Stream};
use crate::detach::Watcher;
use crate::docker::Engine;
use crate::docker::raw::{Connection, Duplex};
use crate::exit::Failure;
use crate::terminal;

/// Interrupts without effect until we leave ourselves.
const PATIENCE: u32 = 3;

/// Whom the session is with.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A container's main program.
    Container(String),
    /// An exec, by its id, with the keys that detach from it.
    Exec(String, Option<Watcher>),
}

/// How the session goes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The program has a terminal: one stream of bytes as they are.
    pub tty: bool,
    /// Our standard input goes to it.
    pub stdin: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The program's side closed: it ended, or the user detached.
    Closed,
    /// Our side has to leave, by this signal.
    Signal(i32),
    /// Nobody reads our output any more.
    Unread,
    /// The user detached from an exec, which goes on.
    Detached,
}

/// Runs the session to its end. The terminal is raw meanwhile where both sides have one.
///
/// # Errors
/// When the connection breaks or output can't be written.
pub async fn run(
    engine: &Engine,
    peer: &Peer,
    connection: Connection,
    shape: Shape,
) -> Result<Ended, Failure> {
    let _raw = if shape.tty && shape.stdin && terminal::is_interactive() {
        Some(terminal::Raw::enter()?)
    } else {
        None
    };
    let signals = Signals::new(shape.tty)?;
    let Connection { stream, early } = connection;
    let (reader, writer) = tokio::io::split(stream);
    if shape.tty {
        resize(engine, peer).await;
    }
    let watcher = match peer {
        Peer::Exec(_, watcher) => watcher.clone(),
        Peer::Container(_) => None,
    };
    tokio::select! {
        ended = carry_output(reader, early, shape.tty) => ended,
        ended = carry_input(writer, shape.stdin, watcher) => Ok(ended),
        number = heed(signals, engine, peer, shape.tty) => Ok(Ended::Signal(number)),
    }
}

async fn carry_output(
    mut reader: ReadHalf<Box<dyn Duplex>>,
    mut bytes: Vec<u8>,
    tty: bool,
) -> Result<Ended, Failure> {
    let mut demux = Demux::default();
    loop {
        let written = if tty { write(Stream::Out, &bytes) } else { demux.feed(&bytes, write) };
        match written {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Ended::Unread),
            Err(error) => return Err(Failure::new(format!("Can't write output: {error}"))),
            Ok(()) => {}
        }
        bytes.clear();
        bytes.reserve(32 << 10);
        match reader.read_buf(&mut bytes).await {
            Ok(0) => return Ok(Ended::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(Ended::Closed),
            Err(error) => {
                return Err(Failure::new(format!("The connection to the container broke: {error}")));
            }
        }
    }
}

fn write(stream: Stream, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    match stream {
        Stream::Out => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        }
        Stream::Err => std::io::stderr().lock().write_all(bytes),
    }
}

/// Returns only when the user detaches: else the program's side decides when it is over, also after our input's end.
async fn carry_input(
    mut writer: WriteHalf<Box<dyn Duplex>>,
    stdin: bool,
    mut watcher: Option<Watcher>,
) -> Ended {
    if stdin {
        let mut pieces = read_stdin();
        while let Some(mut piece) = pieces.recv().await {
            if let Some(watcher) = &mut watcher {
                match watcher.feed(&piece) {
                    Some(passed) => piece = passed,
                    None => return Ended::Detached,
                }
            }
            if writer.write_all(&piece).await.is_err() {
                break;
            }
        }
        // Half-close: the program sees the end of its input and may go on writing.
        let _ = writer.shutdown().await;
    }
    let _kept_open = writer;
    std::future::pending().await
}

/// Standard input, piece by piece. Reading blocks, so that it has a thread of its own; the thread ends with the
/// process.
fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut bytes = vec![0; 32 << 10];
        loop {
            match stdin.read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => {
                    let piece = bytes.get(..count).unwrap_or_default().to_vec();
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// The signals that a session heeds.
struct Signals {
    resized: Option<Signal>,
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    quit: Signal,
    user_1: Signal,
    user_2: Signal,
}

impl Signals {
    fn new(tty: bool) -> std::io::Result<Self> {
        Ok(Self {
            resized: tty.then(|| signal(SignalKind::window_change())).transpose()?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            user_1: signal(SignalKind::user_defined1())?,
            user_2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> (SignalKind, &'static str) {
        let resized = async {
            match &mut self.resized {
                Some(resized) => resized.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = resized => (SignalKind::window_change(), "SIGWINCH"),
            _ = self.interrupt.recv() => (SignalKind::interrupt(), "SIGINT"),
            _ = self.terminate.recv() => (SignalKind::terminate(), "SIGTERM"),
            _ = self.hang_up.recv() => (SignalKind::hangup(), "SIGHUP"),
            _ = self.quit.recv() => (SignalKind::quit(), "SIGQUIT"),
            _ = self.user_1.recv() => (SignalKind::user_defined1(), "SIGUSR1"),
            _ = self.user_2.recv() => (SignalKind::user_defined2(), "SIGUSR2"),
        }
    }
}

/// What to do with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    Resize,
    Forward,
    Leave,
}

/// With a terminal, keys travel as bytes and a signal is meant for us; without one it is meant for the program,
/// unless Docker has no way to signal it.
fn reaction(kind: SignalKind, tty: bool, peer: &Peer, interrupts: u32) -> Reaction {
    let leaves = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    if kind == SignalKind::window_change() {
        Reaction::Resize
    } else if !leaves.contains(&kind) {
        Reaction::Forward
    } else if tty || matches!(peer, Peer::Exec(..)) || interrupts >= PATIENCE {
        Reaction::Leave
    } else {
        Reaction::Forward
    }
}

async fn heed(mut signals: Signals, engine: &Engine, peer: &Peer, tty: bool) -> i32 {
    let mut interrupts = 0;
    loop {
        let (kind, name) = signals.next().await;
        if kind == SignalKind::interrupt() || kind == SignalKind::terminate() {
            interrupts += 1;
        }
        match reaction(kind, tty, peer, interrupts) {
            Reaction::Resize => resize(engine, peer).await,
            Reaction::Forward => forward(engine, peer, name).await,
            Reaction::Leave => return kind.as_raw_value(),
        }
    }
}

async fn forward(engine: &Engine, peer: &Peer, name: &str) {
    if let Peer::Container(container) = peer {
        let options = bollard::query_parameters::KillContainerOptions { signal: name.to_owned() };
        // It may have ended meanwhile; its exit is reported anyway.
        let _ = engine.api.kill_container(container, Some(options)).await;
    }
}

/// Gives the program's terminal the size of ours. One that can't be resized stays as it is.
async fn resize(engine: &Engine, peer: &Peer) {
    let Some((rows, columns)) = terminal::size() else { return };
    let (h, w) = (i32::from(rows), i32::from(columns));
    let _ = match peer {
        Peer::Container(container) => {
            let options = bollard::query_parameters::ResizeContainerTTYOptions { h, w };
            engine.api.resize_container_tty(container, options).await
        }
        Peer::Exec(id, _) => {
            let options = bollard::exec::ResizeExecOptions { height: rows, width: columns };
            engine.api.resize_exec(id, options).await
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_for_the_program_unless_it_has_a_terminal() {
        let (container, exec) = (Peer::Container("c".into()), Peer::Exec("e".into(), None));
        let (int, usr1) = (SignalKind::interrupt(), SignalKind::user_defined1());
        for (kind, tty, peer, interrupts, expected) in [
            (int, false, &container, 1, Reaction::Forward),
            (int, false, &container, 3, Reaction::Leave),
            (int, true, &container, 1, Reaction::Leave),
            (int, false, &exec, 1, Reaction::Leave),
            (usr1, false, &container, 0, Reaction::Forward),
            (SignalKind::window_change(), true, &exec, 0, Reaction::Resize),
        ] {
            assert_eq!(reaction(kind, tty, peer, interrupts), expected, "{kind:?} {tty} {peer:?}");
        }
    }
}
