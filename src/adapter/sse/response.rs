//! The response that an event stream goes into: its head, and how it is written.

use crate::heartbeat::{CLOSE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use crate::http1::head::{FieldLines, InvalidField, Version, write_response};
use crate::sse::RESPONSE_FIELDS;
use core::time::Duration;
use std::vec::Vec;

/// After how long without an event a comment is sent, unless told otherwise (HTML 9.2.7).
pub(in crate::adapter) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How long a client may take nothing, unless told otherwise.
pub(in crate::adapter) const WRITE_TIMEOUT: Duration = PING_INTERVAL.saturating_add(PING_TIMEOUT);

/// An interval at which something can be done.
pub(in crate::adapter) const fn not_zero(interval: Option<Duration>) -> Option<Duration> {
    match interval {
        Some(interval) if interval.is_zero() => None,
        interval => interval,
    }
}

/// The options of a response that is an event stream: status, fields, times.
///
/// ```
/// use pushline::adapter::sse::EventResponse;
/// use std::time::Duration;
///
/// let response = EventResponse::new()
///     .field("access-control-allow-origin", "https://example.com")?
///     .keep_alive(Some(Duration::from_secs(10)));
/// # let _ = response;
/// # Ok::<(), pushline::http1::head::InvalidField>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct EventResponse {
    fields: FieldLines,
    /// Never zero.
    pub(in crate::adapter) keep_alive: Option<Duration>,
    pub(in crate::adapter) write_timeout: Duration,
    pub(in crate::adapter) close_timeout: Duration,
    pub(in crate::adapter) max_queued: usize,
    pub(in crate::adapter) max_received: usize,
}

impl EventResponse {
    /// The defaults: status 200 and the [`RESPONSE_FIELDS`].
    pub const fn new() -> Self {
        Self {
            fields: FieldLines::new(),
            keep_alive: Some(KEEP_ALIVE_INTERVAL),
            write_timeout: WRITE_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            max_queued: 16 * 1024,
            max_received: 64 * 1024,
        }
    }

    /// One more field, for example of CORS.
    ///
    /// # Errors
    ///
    /// The field cannot be written, or is one that the response has anyway: those of [`RESPONSE_FIELDS`], and those
    /// that say where the body ends.
    pub fn field(mut self, name: &str, value: &str) -> Result<Self, InvalidField> {
        let framing = ["transfer-encoding", "content-length", "connection", "content-encoding", "trailer"];
        let taken = framing.into_iter().chain(RESPONSE_FIELDS.map(|(name, _)| name));
        if taken.into_iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
            return Err(InvalidField::Reserved);
        }
        self.fields.push(name, value)?;
        Ok(self)
    }

    /// After how long without an event a comment is sent, default 15 seconds (HTML 9.2.7). `None` sends none; an
    /// interval of zero, which no comments could keep, counts as `None`, and so does one that never ends, such as
    /// [`Duration::MAX`].
    ///
    /// Without it proxies drop the connection, and a client that vanished is never noticed.
    pub const fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.keep_alive = not_zero(interval);
        self
    }

    /// How long the client may take nothing of what is written to it, counted from the last byte that it took. Default
    /// 50 seconds, the [ping interval](crate::heartbeat::PING_INTERVAL) and the
    /// [ping timeout](crate::heartbeat::PING_TIMEOUT) together. Over the blocking adapter the transport has to keep it
    /// (`TcpStream::set_write_timeout`).
    ///
    /// Without it a client that does not read holds its connection, and what feeds it, for ever.
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long the client has to close at the end, default 5 seconds.
    ///
    /// Without it a client that does not close holds its connection for ever.
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// How many bytes may wait to be written before the next event has to, default 16 KiB. The queue exceeds it by
    /// one event at most.
    ///
    /// Without it a client that reads slowly grows the queue without end.
    pub const fn max_queued(mut self, bytes: usize) -> Self {
        self.max_queued = bytes;
        self
    }

    /// How many bytes the client may send behind its request, default 64 KiB: they are read, to notice the client's
    /// end, and dropped. With one more it counts as a client that left. Not for the blocking adapter, which reads
    /// nothing.
    ///
    /// Without it a client keeps the server busy with what nobody wants.
    pub const fn max_received(mut self, bytes: usize) -> Self {
        self.max_received = bytes;
        self
    }

    /// The head, for a request of this version.
    pub(super) fn head(&self, version: Version) -> Vec<u8> {
        let mut fields = FieldLines::new();
        // RFC 9112 6.1: no transfer coding for HTTP/1.0. The connection serves nothing else afterwards: what a
        // client sends meanwhile is read only to notice that it left.
        let framing = match version {
            Version::Http10 => None,
            Version::Http11 => Some(("transfer-encoding", "chunked")),
        };
        let set = RESPONSE_FIELDS.into_iter().chain(framing).chain([("connection", "close")]);
        let mut out = Vec::with_capacity(256);
        let mut written = Ok(());
        for (name, value) in set {
            written = written.and(fields.push(name, value));
        }
        for (name, value) in self.fields.iter() {
            written = written.and(fields.push(name, value));
        }
        debug_assert_eq!(written, Ok(()), "all are checked or known");
        let written = write_response(&mut out, 200, &fields);
        debug_assert_eq!(written, Ok(()), "the status is known");
        out
    }
}

impl Default for EventResponse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_is_not_the_callers() {
        for name in ["Transfer-Encoding", "content-length", "Connection", "Content-Type", "cache-control"] {
            assert_eq!(EventResponse::new().field(name, "x"), Err(InvalidField::Reserved), "{name}");
        }
        assert_eq!(EventResponse::new().field("x", "a\r\nb: c"), Err(InvalidField::Value));
        let response = EventResponse::new().field("vary", "origin").unwrap();
        let head = std::string::String::from_utf8(response.head(Version::Http11)).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head}");
        assert!(
            head.ends_with("transfer-encoding: chunked\r\nconnection: close\r\nvary: origin\r\n\r\n"),
            "{head}"
        );
        let head = std::string::String::from_utf8(EventResponse::new().head(Version::Http10)).unwrap();
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}
