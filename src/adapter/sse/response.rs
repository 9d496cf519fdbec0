//! The response that an event stream goes into: its head, and how it is written.

use crate::heartbeat::CLOSE_TIMEOUT;
use crate::http1::head::{FieldLines, InvalidField, Version, write_response};
use crate::sse::RESPONSE_FIELDS;
use core::time::Duration;
use std::vec::Vec;

/// After how long without an event a comment is sent, unless told otherwise (HTML 9.2.7).
pub(in crate::adapter) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// How a server answers with an event stream.
///
/// ```
/// use pushline::adapter::sse::Response;
/// use std::time::Duration;
///
/// let response = Response::new()
///     .field("access-control-allow-origin", "https://example.com")?
///     .keep_alive(Duration::from_secs(10));
/// # let _ = response;
/// # Ok::<(), pushline::http1::head::InvalidField>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Response {
    fields: FieldLines,
    pub(in crate::adapter) keep_alive: Duration,
    pub(in crate::adapter) write_timeout: Duration,
    pub(in crate::adapter) close_timeout: Duration,
    pub(in crate::adapter) max_queued: usize,
}

impl Response {
    /// The defaults: status 200 and the [`RESPONSE_FIELDS`].
    pub const fn new() -> Self {
        Self {
            fields: FieldLines::new(),
            keep_alive: KEEP_ALIVE_INTERVAL,
            write_timeout: Duration::from_secs(60),
            close_timeout: CLOSE_TIMEOUT,
            max_queued: 16 * 1024,
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

    /// After how long without an event a comment is sent, default 15 seconds (HTML 9.2.7).
    ///
    /// Without it proxies drop the connection, and a client that vanished is never noticed.
    pub const fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// How long the client may take nothing of what is written to it, default 60 seconds; over the blocking adapter
    /// that is for the transport to keep.
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

impl Default for Response {
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
            assert_eq!(Response::new().field(name, "x"), Err(InvalidField::Reserved), "{name}");
        }
        assert_eq!(Response::new().field("x", "a\r\nb: c"), Err(InvalidField::Value));
        let response = Response::new().field("vary", "origin").unwrap();
        let head = std::string::String::from_utf8(response.head(Version::Http11)).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{head}");
        assert!(
            head.ends_with("transfer-encoding: chunked\r\nconnection: close\r\nvary: origin\r\n\r\n"),
            "{head}"
        );
        let head = std::string::String::from_utf8(Response::new().head(Version::Http10)).unwrap();
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}
