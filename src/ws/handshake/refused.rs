//! A client that was refused: why, and what the server said to it, the body within limits (RFC 6455 4.1, RFC 9112 6.3).
#![allow(clippy::arithmetic_side_effects, reason = "no more than is left of the body and of the room for it")]
#![allow(clippy::indexing_slicing, reason = "up to what is left of the body")]

use alloc::vec::Vec;
use core::fmt;

use super::client::HandshakeResponse;
use super::verify::ClientError;
use crate::http1::chunked::{self, Piece};
use crate::http1::head::BodyFraming;

/// The most bytes of a refusal's body that a client reads unless [told otherwise](super::ClientOptions::max_body): 16 KiB.
/// Without it, a server could have a client that it refuses read and keep any amount.
pub const MAX_REFUSED_BODY: usize = 16 * 1024;

/// The reason why a client did not get its connection, with what the server said.
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::handshake::{ClientHandshake, ClientError, ClientOptions, Failure, Opening, OpeningStep, Uri};
/// use std::time::Duration;
///
/// let mut opening = Opening::client(ClientHandshake::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]));
/// let (mut inbox, now) = (Inbox::new(), Duration::ZERO);
/// let mut server: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\nno such room";
/// loop {
///     match opening.step(&mut inbox, now) {
///         OpeningStep::Write => opening.written(opening.outgoing().len()),
///         OpeningStep::Flush => opening.flushed(),
///         OpeningStep::Read => {
///             let n = std::io::Read::read(&mut server, inbox.space())?;
///             inbox.filled(n);
///         }
///         _ => break,
///     }
/// }
/// let Err(Failure::Handshake(refused)) = opening.finish() else { panic!("404 is a refusal") };
/// assert_eq!(refused.error, ClientError::UnexpectedStatus(404));
/// assert_eq!(refused.body, b"no such room");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeError {
    /// Why.
    pub error: ClientError,
    /// The response's head, if it was read: the Location of a redirect, the challenge of a 401.
    pub response: Option<HandshakeResponse>,
    /// The body of a response whose status is the reason, without its chunks: up to
    /// [`max_body`](super::ClientOptions::max_body), and as much as had come when the time was over.
    pub body: Vec<u8>,
}

/// The body as text: it mostly says why.
impl fmt::Debug for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeError")
            .field("error", &self.error)
            .field("response", &self.response)
            .field("body", &format_args!("\"{}\"", self.body.escape_ascii()))
            .finish()
    }
}

impl HandshakeError {
    pub(super) const fn new(error: ClientError) -> Self {
        Self { error, response: None, body: Vec::new() }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        // What is inside has spoken for itself already: see `Display`.
        self.error.source()
    }
}

/// A body that is being read to be handed out whole.
#[derive(Debug)]
pub(super) struct RefusedBody {
    framing: Framing,
    data: Vec<u8>,
    most: usize,
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked(chunked::ChunkedDecoder),
    UntilClose,
    Ended,
}

impl RefusedBody {
    pub(super) fn new(body: BodyFraming, most: usize) -> Self {
        let framing = match body {
            _ if most == 0 => Framing::Ended,
            BodyFraming::None | BodyFraming::Length(0) => Framing::Ended,
            BodyFraming::Length(length) => Framing::Length(length),
            BodyFraming::Chunked => {
                Framing::Chunked(chunked::ChunkedDecoder::new(chunked::ChunkedLimits::default()))
            }
            BodyFraming::UntilClose => Framing::UntilClose,
        };
        Self { framing, data: Vec::new(), most }
    }

    /// Takes what is the body's; how many bytes that were.
    pub(super) fn take(&mut self, received: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest) = received.get(taken..).filter(|rest| !rest.is_empty()) {
            let (consumed, data) = match &mut self.framing {
                Framing::Ended => break,
                Framing::UntilClose => (rest.len(), rest),
                Framing::Length(left) => {
                    let length = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    if *left == 0 {
                        self.framing = Framing::Ended;
                    }
                    (length, &rest[..length])
                }
                Framing::Chunked(decoder) => match decoder.decode(rest) {
                    Ok((consumed, Some(Piece::Data(data)))) => (consumed, data),
                    Ok((consumed, None)) => (consumed, &[][..]),
                    // A body with a fault ends there: the refusal stands all the same.
                    Ok((_, Some(Piece::End))) | Err(_) => {
                        self.framing = Framing::Ended;
                        break;
                    }
                },
            };
            taken += consumed;
            let room = self.most - self.data.len();
            self.data.extend_from_slice(data.get(..room).unwrap_or(data));
            if self.data.len() == self.most {
                self.framing = Framing::Ended;
            }
        }
        taken
    }

    pub(super) fn receive_eof(&mut self) {
        self.framing = Framing::Ended;
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.framing, Framing::Ended)
    }

    pub(super) fn into_data(self) -> Vec<u8> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_ends_with_can_be_read() {
        let mut error = HandshakeError::new(ClientError::UnexpectedStatus(403));
        error.body = b"the Origin is not allowed\n".to_vec();
        let shown = r#"HandshakeError { error: UnexpectedStatus(403), response: None, body: "the Origin is not allowed\n" }"#;
        assert_eq!(alloc::format!("{error:?}"), shown);
    }
}
