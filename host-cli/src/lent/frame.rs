//! The ssh-agent's protocol as far as it is passed on: a length, and that many bytes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// OpenSSH's own bound.
const MAX_LEN: usize = 256 << 10;

/// The next message; `None` at the end.
///
/// # Errors
/// When it is longer than the protocol allows, or cut off.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let len = match from.read_u32().await {
        Ok(len) => usize::try_from(len).unwrap_or(usize::MAX),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if len == 0 || len > MAX_LEN {
        return Err(io::Error::other("not a message of an ssh-agent's"));
    }
    let mut message = vec![0; len];
    from.read_exact(&mut message).await?;
    Ok(Some(message))
}

/// Sends one.
///
/// # Errors
/// When it can't be sent.
pub async fn write(to: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    let len = u32::try_from(message.len()).map_err(io::Error::other)?;
    to.write_u32(len).await?;
    to.write_all(message).await?;
    to.flush().await
}
