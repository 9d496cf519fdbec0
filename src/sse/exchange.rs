//! A request for an event stream as bytes, and the head of its response out of bytes (HTML 9.2.2, RFC 9110 15.2, 15.4).
#![allow(clippy::arithmetic_side_effects, reason = "counts interim responses up to their limit")]

use super::reconnect::Method;
use super::request::request_fields;
use crate::http1::head::{
    BodyFraming, FieldLines, HeadError, HeadLimits, HeadReader, InvalidField, MAX_INTERIM, Slots,
    write_request,
};
use crate::http1::syntax::{elements, is_field_value};
use crate::http1::{RetryAfter, Url};
use alloc::format;
use alloc::vec::Vec;

/// A request for an event stream.
///
/// ```
/// use pushline::http1::{Url, head::FieldLines};
/// use pushline::sse::{Method, SourceRequest};
///
/// let url = Url::parse("http://example.com/feed")?;
/// let fields = FieldLines::new();
/// let request = SourceRequest { url: &url, first: &url, method: Method::Get, fields: &fields, content: None, last_event_id: "7" };
/// let bytes = request.to_bytes()?;
/// assert!(bytes.starts_with(b"GET /feed HTTP/1.1\r\nhost: example.com\r\naccept: text/event-stream\r\n"));
/// assert!(bytes.ends_with(b"\r\nlast-event-id: 7\r\n\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SourceRequest<'r> {
    /// Where it goes now, redirections included.
    pub url: &'r Url,
    /// Where it went at first. To another origin than this, `Authorization`, `Cookie` and `Proxy-Authorization` are not
    /// sent (Fetch 4.4).
    pub first: &'r Url,
    /// How it asks; [`Reconnect::method`](super::Reconnect::method).
    pub method: Method,
    /// The caller's fields.
    pub fields: &'r FieldLines,
    /// What a `POST` sends, with its `Content-Type`. A `GET` leaves it out.
    pub content: Option<(&'r str, &'r [u8])>,
    /// The last event ID; empty if there is none. One that cannot stand in a field is left out.
    pub last_event_id: &'r str,
}

impl SourceRequest<'_> {
    /// The request as it is written, with its content.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] for a `Content-Type` that cannot stand in a field.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidField> {
        let mut fields = FieldLines::new();
        fields.push("host", self.url.host_field().as_bytes())?;
        for (name, value) in request_fields(self.last_event_id) {
            if name != "last-event-id" || is_field_value(value.as_bytes()) {
                fields.push(name, value.as_bytes())?;
            }
        }
        let is_foreign = !self.url.same_origin(self.first);
        for (name, value) in self.fields.iter() {
            if !(is_foreign && is_credential(name)) {
                fields.push(name, value)?;
            }
        }
        let content = self.content.filter(|_| self.method == Method::Post);
        if let Some((content_type, content)) = content {
            fields.push("content-type", content_type)?;
            fields.push("content-length", format!("{}", content.len()))?;
        }
        let mut out = Vec::with_capacity(512);
        let method = self.method.name();
        // Neither the method nor the target of a URL that was read can be wrong.
        let written = write_request(&mut out, method, self.url.target(), &fields);
        debug_assert_eq!(written, Ok(()));
        out.extend_from_slice(content.map_or(&[], |(_, content)| content));
        Ok(out)
    }
}

/// What is meant for one origin and must not be sent to another.
fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The head of a response to a request for an event stream, as far as an event source needs it.
///
/// ```
/// use pushline::http1::head::BodyFraming;
/// use pushline::sse::{SourceResponseReader, Method};
///
/// let mut reader = SourceResponseReader::new(Method::Get);
/// reader.receive(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/event-");
/// assert_eq!(reader.next()?, None);
/// reader.receive(b"stream\r\n\r\ndata: 1\n\n");
/// let answer = reader.next()?.unwrap();
/// assert_eq!((answer.status, answer.body), (200, BodyFraming::UntilClose));
/// assert_eq!(reader.received(), b"data: 1\n\n");
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceResponse {
    /// The status, not of class 1xx.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<Vec<u8>>,
    /// `Location`: where to, [`Url::join_location`] says.
    pub location: Option<Vec<u8>>,
    /// `Retry-After`, if it can be read.
    pub retry_after: Option<RetryAfter>,
    /// Whether there is a `Content-Encoding` other than `identity`.
    pub is_encoded: bool,
    /// How the end of the body is told.
    pub body: BodyFraming,
}

/// Reads the head of a response, past those of class 1xx.
///
/// ```
/// use pushline::sse::{Method, SourceResponseReader};
///
/// let mut reader = SourceResponseReader::new(Method::Get);
/// reader.receive(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-st");
/// assert!(reader.next()?.is_none()); // more bytes are needed
/// reader.receive(b"ream\r\n\r\ndata: 1\n\n");
/// assert_eq!(reader.next()?.map(|response| response.status), Some(200));
/// assert_eq!(reader.received(), b"data: 1\n\n");
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Debug)]
pub struct SourceResponseReader {
    reader: HeadReader,
    method: Method,
    received: Vec<u8>,
    interim: usize,
}

impl SourceResponseReader {
    /// For the response to a request by this method.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self { reader: HeadReader::new(HeadLimits::default()), method, received: Vec::new(), interim: 0 }
    }

    /// Takes bytes that were received.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// What was received and is not part of a head that was read.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }

    /// The head, once it is there: then the bytes behind it are [`received`](Self::received). Of the class 1xx sixteen are
    /// passed over; one more is the answer.
    ///
    /// # Errors
    ///
    /// [`HeadError`] of a head that breaks RFC 9112 or exceeds a limit.
    // It is no iterator: there is one answer.
    #[expect(clippy::should_implement_trait, reason = "there is one answer, and it may fail")]
    pub fn next(&mut self) -> Result<Option<SourceResponse>, HeadError> {
        loop {
            let mut slots = Slots::new();
            let Some(head) = self.reader.read_response(&self.received, &mut slots)? else { return Ok(None) };
            let length = head.len();
            if head.status() / 100 == 1 && self.interim < MAX_INTERIM {
                self.interim += 1;
                self.received.drain(..length);
                continue;
            }
            let own = |name| head.field(name).map(<[u8]>::to_vec);
            let is_encoded = head
                .fields()
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"))
                .flat_map(|(_, value)| elements(value))
                .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
            let answer = SourceResponse {
                status: head.status(),
                content_type: own("content-type"),
                location: own("location"),
                retry_after: head.field("retry-after").and_then(RetryAfter::parse),
                is_encoded,
                body: head.body(self.method.name()),
            };
            self.received.drain(..length);
            return Ok(Some(answer));
        }
    }
}
