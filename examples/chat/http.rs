//! HTTP: one connection, from its first request to its last or to an upgrade.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pushline::http1::head::{Body, Reader, Slots};
use pushline::ws::Negotiated;
use pushline::ws::handshake::accept_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::held::{self, WRITE_WITHIN, Wire};
use crate::protocol::MAX_REQUEST;
use crate::reply::Reply;
use crate::request::{LIMITS, Request};
use crate::routes::{self, Route};
use crate::server::{Server, Stop};
use crate::ws;

/// Time for a request, and how long a connection may be idle before it.
const REQUEST_WITHIN: Duration = Duration::from_secs(15);

/// Time that the peer has to close behind a last response, and the bytes it may still send.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 256 * 1024;

/// What came.
enum Next {
    Request(Request),
    /// An upgrade: to be answered with these bytes, and to be gone on with behind so many that were received.
    WebSocket(Vec<u8>, usize, Negotiated),
    /// Nothing that can be served: to be answered with these bytes.
    Refused(Vec<u8>),
}

/// Serves one connection until it ends.
pub async fn serve(mut stream: TcpStream, server: &Arc<Server>, mut stop: Stop) {
    // Ends of connections are nobody's concern here: the room has noticed.
    let _ = stream.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        let next = tokio::select! {
            next = timeout(REQUEST_WITHIN, next(&mut stream, &mut received, server)) => next,
            () = stop.wait() => return,
        };
        match next {
            Ok(Ok(Next::Request(request))) => {
                let mut wire = Wire { stream: &mut stream, received: &mut received, stop: &mut stop };
                match answer(&mut wire, &request, server).await {
                    Ok(()) if request.keep => {}
                    Ok(()) => return linger(stream).await,
                    Err(_) => return,
                }
            }
            Ok(Ok(Next::WebSocket(response, length, negotiated))) => {
                if write(&mut stream, &response).await.is_ok() {
                    let _ = ws::serve(stream, &received[length..], negotiated, server, stop).await;
                }
                return;
            }
            Ok(Ok(Next::Refused(response))) => {
                if write(&mut stream, &response).await.is_ok() {
                    linger(stream).await;
                }
                return;
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Reads a request, and takes it out of `received`.
async fn next(stream: &mut TcpStream, received: &mut Vec<u8>, server: &Server) -> io::Result<Next> {
    let mut reader = Reader::new(LIMITS);
    let (mut request, head, body) = loop {
        match reader.read_request(received, &mut Slots::new()) {
            Ok(Some(head)) => {
                let request = Request::new(&head);
                if request.path == "/ws" && server.options.offers("ws") {
                    // The handshake is told to take any origin: those that may are known here.
                    let origins =
                        head.fields().filter(|(name, _)| name.eq_ignore_ascii_case("origin")).count();
                    if origins > 1 || !server.access.check(&request).is_allowed {
                        return Ok(Next::Refused(forbidden().to_bytes(head.method(), false)));
                    }
                    return Ok(match accept_request(&server.handshake, &head) {
                        Ok(accepted) => {
                            Next::WebSocket(accepted.to_bytes(), head.len(), accepted.negotiated())
                        }
                        Err(rejection) => Next::Refused(rejection.to_bytes()),
                    });
                }
                break (request, head.len(), head.body());
            }
            Ok(None) => {}
            Err(error) => {
                return Ok(Next::Refused(
                    Reply::text(error.status(), format!("{error}\n")).to_bytes("", false),
                ));
            }
        }
        // The reader's limits bound what is kept.
        read(stream, received).await?;
    };
    let length = match body {
        Body::None => 0,
        Body::Length(length) if length <= MAX_REQUEST as u64 => {
            usize::try_from(length).unwrap_or(MAX_REQUEST)
        }
        Body::Length(_) => {
            return Ok(Next::Refused(Reply::text(413, "That is too long.\n").to_bytes("", false)));
        }
        _ => return Ok(Next::Refused(Reply::text(411, "How long is it?\n").to_bytes("", false))),
    };
    while received.len() < head + length {
        read(stream, received).await?;
    }
    request.body = received[head..head + length].to_vec();
    received.drain(..head + length);
    Ok(Next::Request(request))
}

async fn read(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<()> {
    received.reserve(2048);
    if stream.read_buf(received).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Answers it.
async fn answer(wire: &mut Wire<'_>, request: &Request, server: &Arc<Server>) -> io::Result<()> {
    if let Some(granted) = (request.method == "OPTIONS").then(|| server.access.preflight(request)).flatten() {
        let status = if granted.is_allowed { 204 } else { 403 };
        return reply(wire, &Reply::new(status).fields(&granted.fields), request).await;
    }
    let granted = server.access.check(request);
    if !granted.is_allowed {
        return reply(wire, &forbidden().fields(&granted.fields), request).await;
    }
    match routes::route(request, server, wire.stop) {
        Route::Reply(answer) => reply(wire, &answer.fields(&granted.fields), request).await,
        Route::Poll(visit, since) => {
            let waiting = visit.request(since, false);
            let callback = routes::callback(request).filter(|_| request.path == "/jsonp");
            match held::poll(wire, waiting, callback).await {
                Some(answer) => reply(wire, &answer.fields(&granted.fields), request).await,
                None => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Route::Stream(visit, since, stream, head) => {
            let waiting = visit.request(since, true);
            held::stream(wire, waiting, *stream, head.fields(&granted.fields).open(request)).await
        }
        Route::Events(place) => {
            held::events(wire, *place, server, held::event_stream().fields(&granted.fields).open(request))
                .await
        }
        Route::TurnedAway(told) => {
            let open = held::event_stream().fields(&granted.fields).open(request);
            wire.write(&held::whole(&told, open)?).await
        }
    }
}

fn forbidden() -> Reply {
    Reply::text(403, "Pages of that origin may not use this server.\n")
}

async fn reply(wire: &mut Wire<'_>, reply: &Reply, request: &Request) -> io::Result<()> {
    wire.write(&reply.to_bytes(&request.method, request.keep)).await
}

async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(WRITE_WITHIN, stream.write_all(bytes)).await?
}

/// Ends the connection so that the peer has the last response whatever it still sends (RFC 9112 9.6).
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_BYTES);
        let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
