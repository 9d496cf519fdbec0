//! Events out of a `Stream` of byte chunks, such as the body of a response of an HTTP client.

use super::MessageEvent;
use crate::adapter::sse::Parser;
use crate::sse::{DecodeError, EventDecoder};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use std::boxed::Box;

/// Gives every `Stream` of byte chunks the method [`eventsource`](Self::eventsource).
///
/// It stands where the trait of the same name of the crate `eventsource-stream` did: see the
/// [migration page](crate::adapter::sse::migration).
///
/// ```
/// use pushline::adapter::tokio::sse::EventStreamExt;
/// # use std::task::{Context, Poll};
/// # struct Chunks(Vec<&'static str>);
/// # impl futures_core::Stream for Chunks {
/// #     type Item = Result<&'static str, std::io::Error>;
/// #     fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
/// #         Poll::Ready(if self.0.is_empty() { None } else { Some(Ok(self.0.remove(0))) })
/// #     }
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let chunks = Chunks(vec!["data: o", "ne\n\n"]);
/// // `chunks` is any Stream of Result<impl AsRef<[u8]>, E>
/// let mut events = chunks.eventsource();
/// while let Some(event) = events.next().await {
///     assert_eq!(event?.data, "one");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub trait EventStreamExt: Sized {
    /// The events in this stream of bytes.
    fn eventsource(self) -> EventStream<Self>
    where
        Self: Stream;
}

impl<S, B, E> EventStreamExt for S
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    fn eventsource(self) -> EventStream<Self> {
        EventStream::new(self)
    }
}

/// The events in a stream of byte chunks; made by [`EventStreamExt::eventsource`].
///
/// An event that was not ended when the stream does is dropped (HTML 9.2.6). After an error of the stream, its next
/// chunks are taken for what follows. The stream of chunks need not be `Unpin`, this one is.
///
/// ```
/// # fn chunks() -> impl futures_core::Stream<Item = Result<&'static [u8], std::io::Error>> {
/// #     struct Empty;
/// #     impl futures_core::Stream for Empty {
/// #         type Item = Result<&'static [u8], std::io::Error>;
/// #         fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
/// #             std::task::Poll::Ready(None)
/// #         }
/// #     }
/// #     Empty
/// # }
/// use pushline::adapter::tokio::sse::EventStream;
/// use pushline::sse::{EventDecoder, EventLimits};
///
/// let decoder = EventDecoder::with_limits(EventLimits::new().max_event(64 * 1024));
/// let events = EventStream::new(chunks()).decoder(decoder);
/// assert_eq!(events.last_event_id(), "");
/// ```
pub struct EventStream<S: Stream> {
    /// `None` once it has ended.
    chunks: Option<Pin<Box<S>>>,
    chunk: Option<S::Item>,
    /// How much of `chunk` is decoded.
    at: usize,
    parser: Parser,
}

// The chunk is a plain value: nothing here is pinned but what the box holds.
impl<S: Stream> Unpin for EventStream<S> {}

impl<S: Stream> EventStream<S> {
    /// The events in `chunks`.
    pub fn new(chunks: S) -> Self {
        Self { chunks: Some(Box::pin(chunks)), chunk: None, at: 0, parser: Parser::default() }
    }

    /// Uses this decoder, with its limits and its last event ID.
    #[must_use]
    pub fn decoder(mut self, decoder: EventDecoder) -> Self {
        self.parser = Parser::new(decoder);
        self
    }

    /// Sets the last event ID, as if an earlier connection had left it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::IdTooLong`] if it exceeds [`EventLimits::max_id`](crate::sse::EventLimits::max_id).
    pub fn set_last_event_id(&mut self, id: impl AsRef<str>) -> Result<(), DecodeError> {
        self.parser.decoder.set_last_event_id(id.as_ref())
    }

    /// The last event ID: what a request to resume the stream names. Empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        self.parser.decoder.last_event_id()
    }
}

impl<S, B, E> EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    /// The next event; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`EventStreamError`].
    pub async fn next(&mut self) -> Option<Result<MessageEvent, EventStreamError<E>>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<S, B, E> Stream for EventStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    type Item = Result<MessageEvent, EventStreamError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let bytes = match &this.chunk {
                Some(Ok(chunk)) => chunk.as_ref(),
                _ => &[],
            };
            let mut rest = bytes.get(this.at..).unwrap_or_default();
            let event = this.parser.next(&mut rest);
            this.at = bytes.len() - rest.len();
            if rest.is_empty() {
                (this.chunk, this.at) = (None, 0);
            }
            match event {
                Some(Ok(event)) => return Poll::Ready(Some(Ok(event))),
                Some(Err(error)) => return Poll::Ready(Some(Err(EventStreamError::Limit(error)))),
                None => {}
            }
            let Some(chunks) = &mut this.chunks else { return Poll::Ready(None) };
            let Poll::Ready(chunk) = chunks.as_mut().poll_next(cx) else {
                this.parser.rest();
                return Poll::Pending;
            };
            match chunk {
                Some(Ok(chunk)) => (this.chunk, this.at) = (Some(Ok(chunk)), 0),
                Some(Err(error)) => return Poll::Ready(Some(Err(EventStreamError::Transport(error)))),
                None => {
                    this.parser.receive_eof();
                    this.chunks = None;
                }
            }
        }
    }
}

impl<S: Stream> fmt::Debug for EventStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.chunks.is_none();
        f.debug_struct("EventStream")
            .field("parser", &self.parser)
            .field("ended", &ended)
            .finish_non_exhaustive()
    }
}

/// An error of an [`EventStream`], in the place of an event.
///
/// ```
/// use pushline::adapter::tokio::sse::EventStreamError;
/// use pushline::sse::DecodeError;
///
/// let error = EventStreamError::<std::io::Error>::Limit(DecodeError::EventTooLong);
/// assert_eq!(error.to_string(), "event over the size limit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventStreamError<E> {
    /// The stream of chunks failed.
    Transport(E),
    /// An event exceeds a limit. The next item is the event behind it.
    Limit(DecodeError),
}

impl<E: fmt::Display> fmt::Display for EventStreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Limit(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for EventStreamError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // What is inside has spoken for itself already: see `Display`.
        match self {
            Self::Transport(error) => error.source(),
            Self::Limit(error) => error.source(),
        }
    }
}
