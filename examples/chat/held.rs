//! Responses that wait or go on: the poll that is held, the stream, the event stream. Writes what it is told to a
//! connection until the client, the room or the clock ends it.

use std::io;
use std::time::Duration;

use pushline::comet::jsonp::{self, Callback};
use pushline::comet::{JSON_FIELDS, Stream};
use pushline::heartbeat::Heartbeat;
use pushline::http1::chunked::Encoder;
use pushline::sse::{Block, KEEP_ALIVE, RESPONSE_FIELDS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hub::Place;
use crate::reply::{NOSNIFF, Reply};
use crate::request::LIMITS;
use crate::room::End;
use crate::server::{Server, Stop};
use crate::told::Told;
use crate::visit::{self, bye};

/// Time for the peer to take what is written at once.
pub const WRITE_WITHIN: Duration = Duration::from_secs(15);

/// How long one response goes on. The client then asks again; without this, one that vanished without a word would be
/// held for as long as the system's buffers take what it is sent.
const STREAM_FOR: Duration = Duration::from_secs(60);

/// The longest silence of an event stream.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(15);

/// How soon a browser reconnects an event stream.
const RECONNECT: Duration = Duration::from_millis(250);

/// A connection while it is answered: what comes meanwhile is kept, so that its end is seen.
pub struct Wire<'c> {
    pub stream: &'c mut TcpStream,
    pub received: &'c mut Vec<u8>,
    pub stop: &'c mut Stop,
}

impl Wire<'_> {
    /// Waits for `work`, but not when the client has gone or the server ends: then `None`.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let gone = async {
            // A client may send its next requests already; one that sends more than that is not read further.
            while self.received.len() < LIMITS.head {
                if !matches!(self.stream.read_buf(self.received).await, Ok(1..)) {
                    return;
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = gone => None,
            () = self.stop.wait() => None,
        }
    }

    /// Writes all of it.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(WRITE_WITHIN, self.stream.write_all(bytes)).await?
    }
}

/// Holds a poll until there is news; gives the response, or nothing if nobody waits for it any more.
pub async fn poll(
    wire: &mut Wire<'_>,
    mut waiting: visit::Request,
    callback: Option<Callback<'_>>,
) -> Option<Reply> {
    let answered = waiting.next(|answer| {
        let mut body = Vec::new();
        match (answer, callback) {
            (Some(answer), Some(callback)) => {
                jsonp::write(callback, answer, &mut body);
                Reply::new(200).fields(&jsonp::FIELDS).body(body)
            }
            // A script that calls nothing: the page has asked anew.
            (None, Some(_)) => Reply::new(200).fields(&jsonp::FIELDS),
            (Some(answer), None) if answer.status() != 204 => {
                answer.write_json(&mut body);
                Reply::new(answer.status()).fields(&JSON_FIELDS).body(body)
            }
            (_, None) => Reply::new(204).fields(&JSON_FIELDS[1..]),
        }
    });
    wire.during(answered).await
}

/// Streams a visit's messages. What was told at once leaves as one chunk, in one write.
pub async fn stream(
    wire: &mut Wire<'_>,
    mut waiting: visit::Request,
    mut stream: Stream,
    (mut out, mut encoder): (Vec<u8>, Encoder),
) -> io::Result<()> {
    let end = Instant::now() + STREAM_FOR;
    let mut body = Vec::new();
    stream.open(&mut body);
    let mut goes_on = true;
    loop {
        encoder.put(&body, &mut out).map_err(io::Error::other)?;
        wire.write(&out).await?;
        body.clear();
        out.clear();
        if !goes_on {
            break;
        }
        let next = waiting.next(|answer| answer.is_some_and(|answer| stream.write(answer, &mut body)));
        let next = async {
            tokio::select! {
                goes_on = next => goes_on,
                () = sleep_until(end) => false,
            }
        };
        goes_on = wire.during(next).await.ok_or(io::ErrorKind::ConnectionAborted)?;
    }
    encoder.finish(&[], &mut out).map_err(io::Error::other)?;
    wire.write(&out).await
}

/// The response of an event stream.
pub fn event_stream() -> Reply {
    Reply::new(200).fields(&RESPONSE_FIELDS).fields(&[NOSNIFF])
}

/// An event stream for a connection that has its place in the room. Each event is a chunk.
pub async fn events(
    wire: &mut Wire<'_>,
    place: Place<Told>,
    server: &Server,
    open: (Vec<u8>, Encoder),
) -> io::Result<()> {
    let seat = place.seat;
    let done = tell(wire, place, open).await;
    server.hub.release(seat, End::Cut, server.now());
    done
}

async fn tell(wire: &mut Wire<'_>, place: Place<Told>, open: (Vec<u8>, Encoder)) -> io::Result<()> {
    let Place { welcome, missed, mut queue, mut farewell, .. } = place;
    let (mut out, mut encoder) = open;
    let mut retry = Vec::new();
    Block::new().retry(RECONNECT).encode(&mut retry).map_err(io::Error::other)?;
    encoder.put(&retry, &mut out).map_err(io::Error::other)?;
    for told in std::iter::once(welcome).chain(missed) {
        encoder.put(told.block(), &mut out).map_err(io::Error::other)?;
    }
    let end = sleep(STREAM_FOR);
    let mut end = std::pin::pin!(end);
    let mut heartbeat = Heartbeat::one_way(KEEP_ALIVE_AFTER, Instant::now());
    loop {
        wire.write(&out).await?;
        heartbeat.touch(Instant::now());
        out.clear();
        if encoder.is_finished() {
            return Ok(());
        }
        let next = async {
            tokio::select! {
                biased;
                Ok(farewell) = &mut farewell => {
                    let (code, text) = farewell.code_and_text();
                    encoder.put(bye(code, text).block(), &mut out)?;
                    encoder.finish(&[], &mut out)
                }
                Some(told) = queue.recv() => {
                    encoder.put(told.block(), &mut out)?;
                    while let Ok(told) = queue.try_recv() {
                        encoder.put(told.block(), &mut out)?;
                    }
                    Ok(())
                }
                () = &mut end => encoder.finish(&[], &mut out),
                () = sleep_until(heartbeat.next_deadline()) => encoder.put(KEEP_ALIVE, &mut out),
            }
        };
        let done = wire.during(next).await.ok_or(io::ErrorKind::ConnectionAborted)?;
        done.map_err(io::Error::other)?;
    }
}

/// An event stream of these and no more.
pub fn whole(told: &[Told], (mut out, mut encoder): (Vec<u8>, Encoder)) -> io::Result<Vec<u8>> {
    for told in told {
        encoder.put(told.block(), &mut out).map_err(io::Error::other)?;
    }
    encoder.finish(&[], &mut out).map_err(io::Error::other)?;
    Ok(out)
}
