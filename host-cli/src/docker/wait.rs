//! Waits for a container's end. The wait is registered before the start, so that no end is missed, not even of
//! a container that Docker removes by itself.

use tokio::io::AsyncReadExt;

use super::engine::{DockerError, Engine};
use super::raw::{self, Ask, Connection};

/// A registered wait.
pub struct Wait {
    connection: Connection,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It is not running, now or later.
    NotRunning,
    /// Its next end.
    NextExit,
    /// It was removed.
    Removed,
}

impl Wait {
    /// Registers; Docker has taken it when this returns.
    ///
    /// # Errors
    /// [`DockerError`].
    pub async fn register(engine: &Engine, container: &str, until: Until) -> Result<Self, DockerError> {
        let condition = match until {
            Until::NotRunning => "not-running",
            Until::NextExit => "next-exit",
            Until::Removed => "removed",
        };
        let target =
            engine.path(&format!("/containers/{}/wait?condition={condition}", raw::encode(container)));
        let request = Ask { method: "POST", target: &target, body: None, upgrade: false };
        let (_, connection) = raw::ask(&engine.address, request).await?;
        Ok(Self { connection })
    }

    /// The exit code.
    ///
    /// # Errors
    /// [`DockerError`] when Docker goes away before.
    pub async fn finish(mut self, engine: &Engine) -> Result<i64, DockerError> {
        let mut body = std::mem::take(&mut self.connection.early);
        loop {
            if let Some(code) = exit_code(&body) {
                return Ok(code);
            }
            match self.connection.stream.read_buf(&mut body).await {
                Ok(0) => {
                    let source = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(DockerError::Broken { address: engine.address.clone(), source });
                }
                Ok(_) => {}
                Err(source) => return Err(DockerError::Broken { address: engine.address.clone(), source }),
            }
        }
    }
}

fn exit_code(body: &[u8]) -> Option<i64> {
    raw::json_in(body)?.get("StatusCode")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_not_an_exit() {
        assert_eq!(exit_code(b"22\r\n{\"Error\":null,\"StatusCo"), None);
        assert_eq!(exit_code(b"22\r\n{\"Error\":null,\"StatusCode\":143}\n\r\n"), Some(143));
        assert_eq!(exit_code(b"{\"Error\":{\"Message\":\"x\"},\"StatusCode\":1}"), Some(1));
    }
}
