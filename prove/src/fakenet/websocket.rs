//! WebSockets (RFC 6455) as far as tests need them: the handshake, and short frames that come back as they went. Also
//! the client that holds one open, and the one that holds a plain stream.

use std::io;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

/// What a server adds to the client's key before it hashes it (RFC 6455, 1.3).
const SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// FIN and the opcode of text.
const TEXT: u8 = 0x81;
/// FIN and the opcode of close.
const CLOSE: u8 = 0x88;
/// Set where the payload is masked, as a client's has to be.
const MASKED: u8 = 0x80;
/// The longest payload whose length stands in one byte.
const SHORT: u8 = 125;
/// How often a client speaks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long it waits to be answered.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a server answers to a client's `Sec-WebSocket-Key`.
pub fn accept(key: &str) -> String {
    let text = format!("{key}{SALT}");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// The server's side: sends every frame back until the client closes.
///
/// # Errors
/// The connection's, or a frame that is too long.
pub async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    while let Some((kind, payload)) = read_frame(&mut stream).await? {
        write_frame(&mut stream, kind, &payload, None).await?;
        if kind == CLOSE {
            break;
        }
    }
    stream.shutdown().await
}

/// The client's side: shakes hands, then says something twenty times a second and wants to hear it again. How often it
/// did.
///
/// # Errors
/// When the server does not shake hands, or falls silent before the time is over.
pub async fn hold<S>(mut stream: S, host: &str, path: &str, time: Duration) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let key = STANDARD.encode(b"sixteen bytes ok");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await??);
    }
    let head = String::from_utf8_lossy(&head);
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains(&accept(&key)) {
        return Err(io::Error::other(head.lines().next().unwrap_or_default().to_owned()));
    }
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let text = count.to_string();
        write_frame(&mut stream, TEXT, text.as_bytes(), Some([1, 2, 3, 4])).await?;
        match timeout(PATIENCE, read_frame(&mut stream)).await?? {
            Some((TEXT, payload)) if payload == text.as_bytes() => count += 1,
            other => return Err(io::Error::other(format!("{other:?} came back"))),
        }
        sleep(PAUSE).await;
    }
    Ok(count)
}

/// Likewise on a stream whose server sends back what it gets, whatever it is.
///
/// # Errors
/// When it falls silent before the time is over.
pub async fn hold_stream<S>(mut stream: S, time: Duration) -> io::Result<u64>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let text = format!("{count}\n");
        stream.write_all(text.as_bytes()).await?;
        let mut heard = vec![0; text.len()];
        timeout(PATIENCE, stream.read_exact(&mut heard)).await??;
        if heard != text.as_bytes() {
            return Err(io::Error::other("something else came back"));
        }
        count += 1;
        sleep(PAUSE).await;
    }
    Ok(count)
}

async fn write_frame<S: AsyncWrite + Unpin>(
    stream: &mut S,
    kind: u8,
    payload: &[u8],
    mask: Option<[u8; 4]>,
) -> io::Result<()> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length <= SHORT);
    let length = length.ok_or_else(|| io::Error::other("A frame is too long"))?;
    let mut frame = vec![kind, length | if mask.is_some() { MASKED } else { 0 }];
    frame.extend(mask.unwrap_or_default().iter().filter(|_| mask.is_some()));
    frame.extend(masked(payload, mask.unwrap_or_default()));
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// The next frame; `None` at the end of the stream.
async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<(u8, Vec<u8>)>> {
    let kind = match stream.read_u8().await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        kind => kind?,
    };
    let length = stream.read_u8().await?;
    if length & !MASKED > SHORT {
        return Err(io::Error::other("A frame is too long"));
    }
    let mut mask = [0; 4];
    if length & MASKED != 0 {
        stream.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; usize::from(length & !MASKED)];
    stream.read_exact(&mut payload).await?;
    Ok(Some((kind, masked(&payload, mask))))
}

fn masked(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_that_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn what_a_client_masks_comes_back_plain() {
        let (mut client, server) = tokio::io::duplex(1024);
        let served = tokio::spawn(echo(server));
        for text in ["", "a", "longer than a mask"] {
            write_frame(&mut client, TEXT, text.as_bytes(), Some([9, 8, 7, 6])).await.unwrap();
            let came = read_frame(&mut client).await.unwrap();
            assert_eq!(came, Some((TEXT, text.as_bytes().to_vec())));
        }
        drop(client);
        served.await.unwrap().unwrap();
    }
}
