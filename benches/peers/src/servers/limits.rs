//! What is possible: frames echoed by hand with one write a read, and bytes sent back as they come.

use super::RESPONSE;
use pushline::raw::apply_mask;
use std::cell::RefCell;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers the load generator's request, for those who leave the handshake to an HTTP server.
pub async fn handshake(mut stream: TcpStream) -> Option<TcpStream> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    stream.write_all(RESPONSE).await.ok()?;
    Some(stream)
}

const SCRATCH: usize = 256 * 1024;

thread_local! {
    static BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = RefCell::new((vec![0; SCRATCH], Vec::new()));
}

/// The buffers are the thread's; only a partial frame is kept with the connection.
pub async fn hand_written(stream: TcpStream) -> Option<()> {
    let mut stream = handshake(stream).await?;
    let mut partial = Vec::new();
    loop {
        stream.readable().await.ok()?;
        let unwritten = BUFFERS.with_borrow_mut(|(input, output)| {
            input[..partial.len()].copy_from_slice(&partial);
            let n = match stream.try_read(&mut input[partial.len()..]) {
                Ok(0) => return None,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return None,
            };
            let end = partial.len() + n;
            output.clear();
            let taken = echo(&input[..end], output);
            partial.clear();
            partial.extend_from_slice(&input[taken..end]);
            let written = if output.is_empty() { 0 } else { stream.try_write(output).unwrap_or(0) };
            Some(output[written..].to_vec())
        })?;
        if !unwritten.is_empty() {
            stream.write_all(&unwritten).await.ok()?;
        }
    }
}

/// The answers to all whole frames of `input`, and how many bytes those take.
fn echo(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut rest = input;
    while let [first, second, after @ ..] = rest {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((len, after)) = after.split_at_checked(extended) else { break };
        let Some((key, after)) = after.split_at_checked(4) else { break };
        let payload_len = match extended {
            0 => usize::from(second & 0x7f),
            _ => len.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
        };
        let Some((payload, after)) = after.split_at_checked(payload_len) else { break };
        output.extend([*first, second & 0x7f]);
        output.extend_from_slice(len);
        let start = output.len();
        output.extend_from_slice(payload);
        apply_mask(&mut output[start..], [key[0], key[1], key[2], key[3]]);
        rest = after;
    }
    input.len() - rest.len()
}

pub async fn raw_tcp(stream: TcpStream) -> Option<()> {
    let mut stream = handshake(stream).await?;
    let mut buffer = vec![0; SCRATCH];
    loop {
        let n = stream.read(&mut buffer).await.ok()?;
        if n == 0 {
            return None;
        }
        stream.write_all(&buffer[..n]).await.ok()?;
    }
}
