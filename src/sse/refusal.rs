//! What a server says in the body of a response that is no event stream.
#![allow(clippy::arithmetic_side_effects, reason = "the body never grows past `max`")]
#![allow(clippy::indexing_slicing, reason = "up to what is left of the body and of the room for it")]

use super::exchange::SourceResponse;
use super::framing::Framing;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A response that is no event stream, with the start of its body: what an API says of a bad request, for example.
///
/// ```
/// use pushline::sse::{SourceResponseReader, Method, RefusedResponseReader};
///
/// let mut reader = SourceResponseReader::new(Method::Post);
/// reader.receive(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\nno model");
/// let answer = reader.next()?.unwrap();
/// let mut body = RefusedResponseReader::new(&answer, 1024);
/// body.receive(reader.received());
/// assert!(!body.is_finished());
/// body.receive(b"!");
/// assert!(body.is_finished());
/// let refusal = body.finish();
/// assert_eq!((refusal.status, &*refusal.text(), refusal.is_complete), (400, "no model!", true));
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedResponse {
    /// The status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<Vec<u8>>,
    /// The body, or its start.
    pub body: Vec<u8>,
    /// Whether that is all of it: it was neither cut nor over the limit.
    pub is_complete: bool,
}

impl RefusedResponse {
    /// The body as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> alloc::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// The most characters of a body that its `Debug` shows: 500.
const SHOWN: usize = 500;

/// The body as text, and no more of it than a log has room for.
impl fmt::Debug for RefusedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content_type = self.content_type.as_deref().map(String::from_utf8_lossy);
        let text = self.text();
        let (shown, more) = match text.char_indices().nth(SHOWN) {
            Some((at, _)) => (&text[..at], " .."),
            None => (&*text, ""),
        };
        f.debug_struct("RefusedResponse")
            .field("status", &self.status)
            .field("content_type", &content_type)
            .field("body", &format_args!("{shown:?}{more}"))
            .field("is_complete", &self.is_complete)
            .finish()
    }
}

/// Reads the body of a refusal, up to a limit.
///
/// ```
/// use pushline::sse::{Method, RefusedResponseReader, SourceResponseReader};
///
/// let mut reader = SourceResponseReader::new(Method::Get);
/// reader.receive(b"HTTP/1.1 503 Service Unavailable\r\n\r\noverloaded");
/// let mut body = RefusedResponseReader::new(&reader.next()?.unwrap(), 4);
/// body.receive(reader.received());
/// let refusal = body.finish();
/// assert_eq!((&*refusal.text(), refusal.is_complete), ("over", false)); // no more than was asked for
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Debug)]
pub struct RefusedResponseReader {
    framing: Framing,
    max: usize,
    /// The end was cut, or is over the limit.
    is_short: bool,
    refusal: RefusedResponse,
}

impl RefusedResponseReader {
    /// For what follows the head of this answer; `max` is how many bytes of it are kept.
    #[must_use]
    pub fn new(answer: &SourceResponse, max: usize) -> Self {
        let refusal = RefusedResponse {
            status: answer.status,
            content_type: answer.content_type.clone(),
            body: Vec::new(),
            is_complete: false,
        };
        Self { framing: Framing::new(answer.body), max, is_short: false, refusal }
    }

    /// Takes bytes that were received.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_finished() {
            let Ok((before, data)) = self.framing.find(bytes) else {
                self.is_short = true;
                return;
            };
            let (data, rest) = bytes[before..].split_at(data);
            bytes = rest;
            let room = self.max - self.refusal.body.len();
            self.refusal.body.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                self.is_short = true;
                self.framing.end();
            }
        }
    }

    /// The transport has ended, or nothing more is wanted.
    pub fn receive_eof(&mut self) {
        self.is_short |= self.framing.receive_eof().is_err();
    }

    /// Whether nothing more is to be read.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_short || self.framing.is_ended()
    }

    /// What was read.
    #[must_use]
    pub fn finish(self) -> RefusedResponse {
        RefusedResponse { is_complete: self.framing.is_ended() && !self.is_short, ..self.refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::head::BodyFraming;

    fn read(body: BodyFraming, max: usize, pieces: &[&[u8]], eof: bool) -> (Vec<u8>, bool, bool) {
        let answer = SourceResponse {
            status: 500,
            content_type: None,
            location: None,
            retry_after: None,
            is_encoded: false,
            body,
        };
        let mut reader = RefusedResponseReader::new(&answer, max);
        for piece in pieces {
            reader.receive(piece);
        }
        if eof {
            reader.receive_eof();
        }
        let is_finished = reader.is_finished();
        let refusal = reader.finish();
        (refusal.body, refusal.is_complete, is_finished)
    }

    #[test]
    fn every_framing_at_the_limit() {
        let chunked = &b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\nmore"[..];
        let framings = [
            (BodyFraming::Length(5), &b"abcdemore"[..]),
            (BodyFraming::Chunked, chunked),
            (BodyFraming::UntilClose, b"abcde"),
        ];
        for (body, wire) in framings {
            for (max, kept, is_complete) in
                [(4, &b"abcd"[..], false), (5, b"abcde", true), (6, b"abcde", true)]
            {
                let bytes: Vec<&[u8]> = wire.chunks(1).collect();
                for pieces in [&[wire][..], &bytes] {
                    assert_eq!(
                        read(body, max, pieces, true),
                        (kept.to_vec(), is_complete, true),
                        "{body:?} {max}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_log_can_be_read() {
        let mut refusal = RefusedResponse {
            status: 400,
            content_type: Some(b"text/plain".to_vec()),
            body: b"no\nmod\xffel".to_vec(),
            is_complete: true,
        };
        assert_eq!(
            alloc::format!("{refusal:?}"),
            "RefusedResponse { status: 400, content_type: Some(\"text/plain\"), body: \"no\\nmod\u{fffd}el\", \
             is_complete: true }"
        );
        for (length, shown, more) in
            [(SHOWN - 1, SHOWN - 1, ""), (SHOWN, SHOWN, ""), (SHOWN + 1, SHOWN, " ..")]
        {
            refusal.body = "\u{e4}".repeat(length).into_bytes();
            let text = alloc::format!("{refusal:?}");
            assert!(text.contains(&alloc::format!("body: \"{}\"{more},", "\u{e4}".repeat(shown))), "{text}");
        }
    }

    #[test]
    fn what_is_cut_is_not_complete() {
        assert_eq!(read(BodyFraming::Length(5), 9, &[b"ab"], true), (b"ab".to_vec(), false, true));
        assert_eq!(read(BodyFraming::Chunked, 9, &[b"2\r\nab"], true), (b"ab".to_vec(), false, true));
        assert_eq!(read(BodyFraming::Chunked, 9, &[b"2\r\nabxx"], false), (b"ab".to_vec(), false, true));
        assert_eq!(read(BodyFraming::UntilClose, 9, &[b"ab"], false), (b"ab".to_vec(), false, false));
        assert_eq!(read(BodyFraming::None, 9, &[b"ab"], false), (Vec::new(), true, true));
    }
}
