//! Events out of the body of a response.

use super::{Error, MessageEvent};
use crate::adapter::sse::Incoming;
use crate::http1::head::BodyFraming;
use crate::sse::EventDecoder;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

/// The events of a response, read from the bytes behind its head.
///
/// [`next`](Self::next) is cancel-safe: dropping its future loses nothing. It is a `Stream`, too.
///
/// ```
/// use pushline::adapter::tokio::sse::EventReader;
/// use pushline::http1::head::BodyFraming;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let body = &b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"[..];
/// let mut events = EventReader::new(body, BodyFraming::Chunked);
/// assert_eq!(events.next().await.unwrap()?.data, "1");
/// assert_eq!(events.next().await.unwrap()?.data, "2");
/// assert!(events.next().await.is_none());
/// # Ok::<(), pushline::adapter::tokio::sse::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct EventReader<R> {
    stream: R,
    incoming: Incoming,
    has_read: bool,
}

impl<R> EventReader<R> {
    /// Reads events from `stream`, which stands behind the head of a response; `body` is what the head says of the
    /// length, [`ResponseHead::body`](crate::http1::head::ResponseHead::body).
    pub fn new(stream: R, body: BodyFraming) -> Self {
        Self::with_received(stream, body, &[])
    }

    /// As [`new`](Self::new); `received` was read already behind the head.
    pub fn with_received(stream: R, body: BodyFraming, received: &[u8]) -> Self {
        let incoming = Incoming::new(body, received);
        Self { stream, incoming, has_read: false }
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

    pub(super) const fn incoming(&mut self) -> &mut Incoming {
        &mut self.incoming
    }

    /// Whether anything was read since this was asked last.
    pub(super) const fn take_read(&mut self) -> bool {
        core::mem::replace(&mut self.has_read, false)
    }
}

impl<R: AsyncRead + Unpin> EventReader<R> {
    /// The next event; `None` at the end of the body.
    ///
    /// # Errors
    ///
    /// [`Error::Event`] in the place of an event that exceeds a limit: the next call goes on behind it.
    /// [`Error::Chunked`], [`Error::Aborted`] and [`Error::Io`] end the stream; what was received before is delivered
    /// before.
    pub async fn next(&mut self) -> Option<Result<MessageEvent, Error>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<MessageEvent, Error>>> {
        loop {
            if let Some(event) = self.incoming.next() {
                return Poll::Ready(Some(event));
            }
            if self.incoming.is_finished() {
                return Poll::Ready(None);
            }
            let mut buffer = ReadBuf::new(self.incoming.space());
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut buffer) else {
                self.incoming.parser.rest();
                return Poll::Pending;
            };
            let n = buffer.filled().len();
            if let Err(error) = read {
                self.incoming.give_up();
                return Poll::Ready(Some(Err(error.into())));
            }
            self.incoming.filled(n);
            self.has_read = true;
            if n == 0 {
                return Poll::Ready(self.incoming.receive_eof().err().map(Err));
            }
        }
    }
}

impl<R: AsyncRead + Unpin> Stream for EventReader<R> {
    type Item = Result<MessageEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}
