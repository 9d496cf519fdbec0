//! HTTP: which path gives what, and one connection from its first request to its last or to an upgrade.

use std::io;
use std::time::Duration;

use pushline::http1::head::{
    Body, FieldLines, HeadError, Limits, Reader, RequestHead, Slots, Version, write_response,
};
use pushline::ws::Negotiated;
use pushline::ws::handshake::accept_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::page::PAGE;
use crate::server::{Server, Stop};
use crate::ws;

/// Time for a request's head, and how long a connection may be idle before it.
const HEAD_WITHIN: Duration = Duration::from_secs(15);

/// Time for the peer to take a response.
const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// Time that the peer has to close behind a last response, and the bytes it may still send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 256 * 1024;

/// What a request is answered with.
struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

/// What follows the answer.
enum Then {
    /// The next request; this one took so many bytes.
    Next(usize),
    /// The end.
    Close,
    /// A WebSocket, behind so many bytes.
    WebSocket(usize, Negotiated),
}

/// Serves one connection until it ends.
pub async fn serve(mut stream: TcpStream, server: &Server, mut stop: Stop) {
    // Ends of connections are nobody's concern here: the room has noticed.
    let _ = stream.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        let answer = tokio::select! {
            answer = timeout(HEAD_WITHIN, request(&mut stream, &mut received, server)) => answer,
            () = stop.wait() => return,
        };
        let Ok(Ok(answer)) = answer else { return };
        let Ok(Ok(())) = timeout(WRITE_WITHIN, stream.write_all(&answer.bytes)).await else { return };
        match answer.then {
            Then::Next(length) => drop(received.drain(..length)),
            Then::Close => return linger(stream).await,
            Then::WebSocket(length, negotiated) => {
                let _ = ws::serve(stream, &received[length..], negotiated, server, stop).await;
                return;
            }
        }
    }
}

/// Reads until there is a request, and answers it.
async fn request(stream: &mut TcpStream, received: &mut Vec<u8>, server: &Server) -> io::Result<Answer> {
    let mut reader = Reader::new(Limits::default());
    loop {
        match reader.read_request(received, &mut Slots::new()) {
            Ok(Some(head)) => return route(&head, server),
            Ok(None) => {}
            Err(error) => return refuse(error),
        }
        // The reader's limits bound what is kept.
        received.reserve(2048);
        if stream.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn route(head: &RequestHead<'_, '_>, server: &Server) -> io::Result<Answer> {
    if head.path() == "/ws" {
        return Ok(match accept_request(&server.handshake, head) {
            Ok(accepted) => Answer {
                bytes: accepted.to_bytes(),
                then: Then::WebSocket(head.len(), accepted.negotiated()),
            },
            Err(rejection) => Answer { bytes: rejection.to_bytes(), then: Then::Close },
        });
    }
    let (status, fields, body) = match (head.path(), head.method()) {
        ("/", "GET" | "HEAD") => {
            let policy = ("Content-Security-Policy", server.policy.as_str());
            (200, vec![HTML, policy, ("Referrer-Policy", "no-referrer"), ("Cache-Control", "no-cache")], PAGE)
        }
        ("/favicon.ico", "GET" | "HEAD") => (204, vec![("Cache-Control", "max-age=86400")], ""),
        ("/" | "/favicon.ico", _) => {
            (405, vec![TEXT, ("Allow", "GET, HEAD")], "This is to be read, with GET.\n")
        }
        _ => (404, vec![TEXT], "There is nothing here. The chat is at /.\n"),
    };
    // A body would have to be read before the next request: it is not worth it.
    let keep = head.keep_alive() && head.version() == Version::Http11 && head.body() == Body::None;
    let mut lines = FieldLines::new();
    for (name, value) in fields {
        lines.push(name, value).map_err(io::Error::other)?;
    }
    let then = if keep { Then::Next(head.len()) } else { Then::Close };
    let body = if head.method() == "HEAD" { Content::Omitted(body.len()) } else { Content::Sent(body) };
    respond(status, lines, body, then)
}

fn refuse(error: HeadError) -> io::Result<Answer> {
    let mut lines = FieldLines::new();
    lines.push(TEXT.0, TEXT.1).map_err(io::Error::other)?;
    respond(error.status(), lines, Content::Sent(&format!("{error}\n")), Then::Close)
}

/// A response's content: sent, or only its length told (RFC 9110 9.3.2).
enum Content<'c> {
    Sent(&'c str),
    Omitted(usize),
}

fn respond(status: u16, mut lines: FieldLines, content: Content<'_>, then: Then) -> io::Result<Answer> {
    let (length, sent) = match content {
        Content::Sent(text) => (text.len(), text),
        Content::Omitted(length) => (length, ""),
    };
    let mut push = |name, value: &str| lines.push(name, value).map_err(io::Error::other);
    push("X-Content-Type-Options", "nosniff")?;
    // RFC 9110 8.6: no Content-Length in a 204.
    if status != 204 {
        push("Content-Length", &length.to_string())?;
    }
    if matches!(then, Then::Close) {
        push("Connection", "close")?;
    }
    let mut bytes = Vec::with_capacity(512 + sent.len());
    write_response(&mut bytes, status, &lines).map_err(io::Error::other)?;
    bytes.extend_from_slice(sent.as_bytes());
    Ok(Answer { bytes, then })
}

const TEXT: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");
const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

/// Ends the connection so that the peer has the last response whatever it still sends (RFC 9112 9.6).
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
