//! Events out of the body of a response.

use super::{Error, MessageEvent};
use crate::adapter::sse::Incoming;
use crate::http1::head::BodyFraming;
use crate::sse::EventDecoder;
use std::io::{ErrorKind, Read};

/// The events of a response, read from the bytes behind its head: an iterator.
///
/// A reader that is not ready, or whose timeout is over, gives [`Error::Io`] of
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock) or [`TimedOut`](std::io::ErrorKind::TimedOut): nothing is lost then, and
/// the iterator can be asked again.
///
/// ```
/// use pushline::adapter::blocking::sse::EventReader;
/// use pushline::http1::head::BodyFraming;
///
/// let body = &b"data: 1\n\ndata: 2\n\ndata: never ended\n"[..];
/// let data: Result<Vec<_>, _> =
///     EventReader::new(body, BodyFraming::UntilClose).map(|event| event.map(|event| event.data)).collect();
/// assert_eq!(data?, ["1", "2"]);
/// # Ok::<(), pushline::adapter::sse::Error>(())
/// ```
#[derive(Debug)]
pub struct EventReader<R> {
    stream: R,
    incoming: Incoming,
    /// Bytes read.
    received: u64,
}

impl<R> EventReader<R> {
    /// Reads events from `stream`, which stands behind the head of a response; `body` is what the head says of the
    /// length, [`ResponseHead::body`](crate::http1::head::ResponseHead::body).
    pub fn new(stream: R, body: BodyFraming) -> Self {
        Self::with_received(stream, body, &[])
    }

    /// As [`new`](Self::new); `received` was read already behind the head.
    pub fn with_received(stream: R, body: BodyFraming, received: &[u8]) -> Self {
        Self { stream, incoming: Incoming::new(body, received), received: 0 }
    }

    /// Uses this decoder, with its limits and its last event ID.
    #[must_use]
    pub fn decoder(mut self, decoder: EventDecoder) -> Self {
        self.incoming.set_decoder(decoder);
        self
    }

    /// The last event ID: what a request to resume the stream names. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.incoming.last_event_id()
    }

    /// The transport.
    pub const fn get_ref(&self) -> &R {
        &self.stream
    }

    pub(super) const fn get_mut(&mut self) -> &mut R {
        &mut self.stream
    }

    pub(super) const fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// How many bytes were read.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }
}

impl<R: Read> EventReader<R> {
    /// The next event, after one read at most: `None` if that has led to nothing.
    pub(super) fn advance(&mut self) -> Option<Option<Result<MessageEvent, Error>>> {
        if let Some(event) = self.incoming.next() {
            return Some(Some(event));
        }
        if self.incoming.is_finished() {
            return Some(None);
        }
        match self.stream.read(self.incoming.space()) {
            Ok(0) => Some(self.incoming.receive_eof().err().map(Err)),
            Ok(n) => {
                self.received += n as u64;
                self.incoming.filled(n);
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
                    self.incoming.give_up();
                }
                Some(Some(Err(error.into())))
            }
        }
    }
}

impl<R: Read> Iterator for EventReader<R> {
    type Item = Result<MessageEvent, Error>;

    /// The next event; `None` at the end of the body. [`Error::Event`] stands in the place of an event that exceeds a
    /// limit; other errors end the stream.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.advance() {
                return event;
            }
        }
    }
}
