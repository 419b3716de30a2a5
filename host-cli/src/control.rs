//! Speaks to an agent's init: through its socket in the agent's folder, and where that can't be reached through
//! `docker exec … clawker-init ctl`. The socket's way needs no Docker, no async and a few milliseconds.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clawker_protocol::control::{ErrorCode, Op, Request, Response, Status, VERSION};

use crate::docker::DockerError;
use crate::paths::Paths;
use crate::store::AgentRecord;

mod by_exec;

/// How long an answer may take; a policy of 10,000 services fits many times.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The longest answer.
const MAX_ANSWER: u64 = 4 << 20;
/// What fits into a socket's address, its end included.
const MAX_SOCKET_PATH: usize = 107;

/// Why init did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// No init to speak to.
    #[error("Agent {agent} isn't running; start it: clawker start {agent}")]
    NotRunning {
        /// Which.
        agent: String,
    },
    /// No container.
    #[error("Agent {agent} has no container any more; clear it away: clawker rm {agent}")]
    Gone {
        /// Which.
        agent: String,
    },
    /// Someone else's container has its name.
    #[error("Container {container} is not clawker's; remove or rename it, then clawker rm {agent}")]
    NotOurs {
        /// Which.
        container: String,
        /// The agent.
        agent: String,
    },
    /// The socket is there and can't be used.
    #[error("Can't speak to the init of {agent}: {source}; try clawker doctor")]
    Io {
        /// Which.
        agent: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not an answer.
    #[error(
        "The init of {agent} answers with what clawker does not understand; restart it: clawker stop {agent} && clawker start {agent}"
    )]
    Garbled {
        /// Which.
        agent: String,
    },
    /// An init of another clawker, whose protocol is another.
    #[error(
        "Agent {agent} was made by another version of clawker, whose init this one can't speak to; use that one, or make \
         the agent anew: clawker rm -f {agent}, then clawker run --agent {agent}"
    )]
    Version {
        /// Which.
        agent: String,
    },
    /// Init refused.
    #[error("Agent {agent}: {}", crate::output::escape(.message))]
    Refused {
        /// Which.
        agent: String,
        /// For programs.
        code: ErrorCode,
        /// For people.
        message: String,
    },
    /// Docker failed on the other way.
    #[error(transparent)]
    Docker(#[from] DockerError),
}

/// One operation's result. Tries the socket, then `docker exec`.
///
/// # Errors
/// [`ControlError`].
pub fn call(paths: &Paths, record: &AgentRecord, op: Op) -> Result<serde_json::Value, ControlError> {
    let agent = record.agent.as_str();
    let line = request(record, op)?;
    let answer = match exchange(&paths.agent_dir(&record.id), &line) {
        Ok(answer) => answer,
        Err(error) if is_out_of_reach(&error) => by_exec::exchange(record, line)?,
        Err(source) => return Err(ControlError::Io { agent: agent.to_owned(), source }),
    };
    result(agent, &answer)
}

/// As [`call`], for what answers with the status.
///
/// # Errors
/// [`ControlError`].
pub fn change(paths: &Paths, record: &AgentRecord, op: Op) -> Result<Status, ControlError> {
    let value = call(paths, record, op)?;
    serde_json::from_value(value).map_err(|_| ControlError::Garbled { agent: record.agent.to_string() })
}

/// Init's status.
///
/// # Errors
/// [`ControlError`].
pub fn status(paths: &Paths, record: &AgentRecord) -> Result<Status, ControlError> {
    change(paths, record, Op::Status)
}

/// As [`status`], by the socket only: for lists, where an agent that does not answer is shown as such.
///
/// # Errors
/// [`ControlError`].
pub fn quick_status(paths: &Paths, record: &AgentRecord) -> Result<Status, ControlError> {
    let agent = record.agent.to_string();
    let line = request(record, Op::Status)?;
    let answer = exchange(&paths.agent_dir(&record.id), &line)
        .map_err(|source| ControlError::Io { agent: agent.clone(), source })?;
    let value = result(&agent, &answer)?;
    serde_json::from_value(value).map_err(|_| ControlError::Garbled { agent })
}

/// Opens the stream of events: what comes after the first line are events, one a line.
///
/// # Errors
/// The socket's own.
pub fn events(paths: &Paths, record: &AgentRecord) -> std::io::Result<UnixStream> {
    let stream = connect(&paths.agent_dir(&record.id))?;
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    let line = request(record, Op::Events).map_err(std::io::Error::other)?;
    (&stream).write_all(&line)?;
    Ok(stream)
}

/// One operation of the init that has this folder and this secret, by its socket only.
///
/// # Errors
/// The socket's own.
pub fn ask(dir: &Path, secret: &str, op: Op) -> std::io::Result<Response> {
    let request = Request { v: VERSION, id: 1, secret: secret.to_owned(), op };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    Ok(serde_json::from_slice(&exchange(dir, &line)?)?)
}

fn request(record: &AgentRecord, op: Op) -> Result<Vec<u8>, ControlError> {
    let request = Request { v: VERSION, id: 1, secret: record.secret.clone(), op };
    let mut line = serde_json::to_vec(&request)
        .map_err(|error| ControlError::Io { agent: record.agent.to_string(), source: error.into() })?;
    line.push(b'\n');
    Ok(line)
}

fn exchange(agent_dir: &Path, line: &[u8]) -> std::io::Result<Vec<u8>> {
    let stream = connect(agent_dir)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.set_write_timeout(Some(ANSWER_TIME))?;
    (&stream).write_all(line)?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    let mut limited = (&stream).take(MAX_ANSWER);
    while !answer.ends_with(b"\n") {
        match limited.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let why = "it does not answer, as in a container that is paused (clawker unpause)";
                return Err(std::io::Error::new(ErrorKind::TimedOut, why));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// A folder that is too deep for a socket's address is reached through a descriptor of it.
fn connect(agent_dir: &Path) -> std::io::Result<UnixStream> {
    let path = agent_dir.join("control.sock");
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return UnixStream::connect(path);
    }
    let folder = std::fs::File::open(agent_dir)?;
    UnixStream::connect(PathBuf::from(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd())))
}

/// Whether Docker may still have a way: the socket is missing, or nobody listens.
fn is_out_of_reach(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::ConnectionRefused
            | ErrorKind::PermissionDenied
            | ErrorKind::Unsupported
    )
}

fn result(agent: &str, answer: &[u8]) -> Result<serde_json::Value, ControlError> {
    let agent = agent.to_owned();
    let Ok(response) = serde_json::from_slice::<Response>(answer) else {
        return Err(ControlError::Garbled { agent });
    };
    match (response.ok, response.result, response.error) {
        (true, Some(result), _) => Ok(result),
        (false, _, Some(error)) if error.code == ErrorCode::BadVersion => {
            Err(ControlError::Version { agent })
        }
        (false, _, Some(error)) => {
            Err(ControlError::Refused { agent, code: error.code, message: error.message })
        }
        _ => Err(ControlError::Garbled { agent }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_is_done_refused_or_garbled() {
        assert_eq!(result("dev", b"{\"id\":1,\"ok\":true,\"result\":{\"a\":1}}\n").unwrap()["a"], 1);
        let refused = result("dev", br#"{"id":1,"ok":false,"error":{"code":"not_in_bypass","message":"x"}}"#);
        assert!(matches!(refused, Err(ControlError::Refused { code: ErrorCode::NotInBypass, .. })));
        let newer = result("dev", br#"{"id":1,"ok":false,"error":{"code":"bad_version","message":"x"}}"#);
        assert!(newer.unwrap_err().to_string().contains("made by another version of clawker"));
        for answer in [&b""[..], b"{}", b"[]", b"{\"id\":1,\"ok\":true}", b"{\"id\":1,\"ok\":tr"] {
            assert!(matches!(result("dev", answer), Err(ControlError::Garbled { .. })));
        }
    }

    #[test]
    fn a_deep_folder_still_reaches_its_socket() {
        let deep = std::env::temp_dir().join(format!("clawker-{}-{}", std::process::id(), "d".repeat(120)));
        std::fs::create_dir_all(&deep).unwrap();
        let folder = std::fs::File::open(&deep).unwrap();
        let listener =
            UnixListener::bind(format!("/proc/self/fd/{}/control.sock", folder.as_raw_fd())).unwrap();
        let server = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(b"answer\n").unwrap();
            line
        });
        assert_eq!(exchange(&deep, b"ask\n").unwrap(), b"answer\n");
        assert_eq!(server.join().unwrap(), "ask\n");
        std::fs::remove_dir_all(&deep).unwrap();
    }

    #[test]
    fn a_missing_socket_is_out_of_reach_and_a_slow_one_is_not() {
        let missing = exchange(Path::new("/nonexistent"), b"x\n").unwrap_err();
        assert!(is_out_of_reach(&missing));
        assert!(!is_out_of_reach(&ErrorKind::WouldBlock.into()));
    }
}
