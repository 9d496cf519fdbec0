//! What is sent into an outbox as a stream, for the body of a response. The queue and its bounds are in `queue.rs`.

use super::queue::{OutboxItem, Shared, Taken};
#[cfg(doc)]
use super::{Lagging, Outbox};
use crate::ws::{CloseCode, Message, Text};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use std::sync::Arc;
use std::vec::Vec;

/// A stream of what is sent into an [`Outbox`]: see [`Outbox::stream`]. It ends when it is closed, when it lags under
/// [`Lagging::Close`], and when no outbox is left.
///
/// ```
/// use pushline::adapter::tokio::{Outbox, OutboxOptions};
/// use pushline::sse::{Block, PreparedEvent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (outbox, mut stream) = Outbox::<PreparedEvent>::stream(OutboxOptions::new());
/// outbox.send(Block::new().data("a").prepare().unwrap()).unwrap();
/// drop(outbox);
/// assert_eq!(stream.next().await.unwrap().bytes(), "data: a\n\n");
/// assert!(stream.next().await.is_none());
/// # });
/// ```
pub struct OutboxStream<T> {
    /// They go before what is queued, and are in no bound.
    first: std::vec::IntoIter<T>,
    shared: Arc<Shared<T>>,
    closed: Option<(CloseCode, Text)>,
}

impl<T: OutboxItem> OutboxStream<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { first: Vec::new().into_iter(), shared, closed: None }
    }

    /// The stream begins with these, such as what a client has missed that comes back. They do not count against the bounds,
    /// and come even if what follows them lags or is closed: so a client that has missed more than the outbox holds gets on.
    ///
    /// ```
    /// use pushline::adapter::tokio::{Broadcast, Outbox, OutboxOptions, OutboxStream};
    /// use pushline::sse::{PreparedEvent, ReplayLog, Resume};
    ///
    /// /// The log and the room are under one lock, so that nothing is missed or repeated.
    /// fn subscribe(log: &ReplayLog, room: &Broadcast<PreparedEvent>, last_event_id: Option<&[u8]>) -> OutboxStream<PreparedEvent> {
    ///     let (outbox, events) = Outbox::stream(OutboxOptions::new());
    ///     room.join(outbox);
    ///     match log.resume(last_event_id) {
    ///         Resume::From(missed) => events.starting_with(missed.cloned()),
    ///         Resume::Fresh | Resume::Gone => events,
    ///     }
    /// }
    /// # let _ = subscribe;
    /// ```
    #[must_use]
    pub fn starting_with(mut self, items: impl IntoIterator<Item = T>) -> Self {
        self.first = items.into_iter().collect::<Vec<_>>().into_iter();
        self
    }

    /// The code and reason with which the outbox was closed, once that has ended the stream: 1013, "too slow", if it lagged. `None`
    /// as well if it ended because no outbox is left.
    ///
    /// ```
    /// use pushline::adapter::tokio::{Outbox, OutboxOptions};
    /// use pushline::sse::PreparedEvent;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (outbox, mut events) = Outbox::<PreparedEvent>::stream(OutboxOptions::new());
    /// outbox.close(4001, "logged out");
    /// assert!(events.next().await.is_none());
    /// let (code, reason) = events.closed().expect("it was closed");
    /// assert_eq!((code.0, reason), (4001, "logged out"));
    /// # });
    /// ```
    #[must_use]
    pub fn closed(&self) -> Option<(CloseCode, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, reason.as_str()))
    }

    /// The next item. Cancel-safe.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

/// No item is pinned.
impl<T> Unpin for OutboxStream<T> {}

impl<T: OutboxItem> Stream for OutboxStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(item) = self.first.next() {
            if self.first.as_slice().is_empty() {
                self.first = Vec::new().into_iter(); // the memory goes with the last
            }
            return Poll::Ready(Some(item));
        }
        match self.shared.poll_take(cx) {
            Poll::Ready(Taken::Item(item, _)) => Poll::Ready(Some(item)),
            Poll::Ready(Taken::Close(close)) => {
                if let Message::Close(close) = close {
                    self.closed = close;
                }
                Poll::Ready(None)
            }
            Poll::Ready(Taken::End) => Poll::Ready(None),
            Poll::Pending if self.shared.is_orphaned() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> Drop for OutboxStream<T> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<T> fmt::Debug for OutboxStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxStream").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
