//! An event stream as the body of a response that an HTTP server writes.

use crate::adapter::sse::KEEP_ALIVE_INTERVAL;
use crate::heartbeat::Heartbeat;
use crate::sse::{KEEP_ALIVE, Prepared};
use bytes::Bytes;
use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use std::boxed::Box;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream of events as the bytes of a body, with keep-alive comments where there is no event for a while: for hyper,
/// axum and their like, whose response it becomes.
///
/// It ends when the events do. There is no queue in it: it asks for the next event when the server asks for bytes, so a
/// client that is slow to read slows down what makes the events. The server drops it when the client has left.
///
/// The response needs the [`RESPONSE_FIELDS`](crate::sse::RESPONSE_FIELDS); with the feature `http`, `into_response`
/// makes it.
///
/// ```
/// use pushline::adapter::tokio::sse::EventBody;
/// use pushline::sse::Block;
///
/// # async fn serve() -> http::Response<EventBody<impl futures_core::Stream<Item = pushline::sse::Prepared>>> {
/// let (events, body) = EventBody::channel(16);
/// tokio::spawn(async move {
///     for price in ["41", "42"] {
///         let event = Block::new().event_type("price").data(price).prepare().expect("no line ends in it");
///         if events.send(event).await.is_err() {
///             break; // the client has left
///         }
///     }
/// });
/// // For axum, `.map(axum::body::Body::from_stream)`; for hyper, over `http_body_util::StreamBody`.
/// body.into_response()
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// #     let (parts, mut body) = serve().await.into_parts();
/// #     assert_eq!(parts.headers["content-type"], "text/event-stream");
/// #     assert_eq!(body.next().await.unwrap(), "event: price\ndata: 41\n\n");
/// # });
/// ```
pub struct EventBody<S> {
    /// `None` once they have ended.
    events: Option<Pin<Box<S>>>,
    /// Starts with the first call: an HTTP server may take its time with the head.
    heartbeat: Option<Heartbeat<Instant>>,
    keep_alive: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S: Stream<Item = Prepared>> EventBody<S> {
    /// The bytes of these events. A large one goes by reference, however many clients it is for.
    pub fn new(events: S) -> Self {
        Self { events: Some(Box::pin(events)), heartbeat: None, keep_alive: KEEP_ALIVE_INTERVAL, timer: None }
    }

    /// After how long without an event a comment is sent, default 15 seconds (HTML 9.2.7).
    ///
    /// Without it proxies drop the connection, and a client that vanished is never noticed.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// The next bytes: an event, or a comment. `None` at the end. Cancel-safe. An HTTP server polls the [`Stream`]
    /// instead.
    pub async fn next(&mut self) -> Option<Bytes> {
        core::future::poll_fn(|cx| self.poll_bytes(cx)).await
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        match events.as_mut().poll_next(cx) {
            Poll::Ready(Some(event)) => {
                self.heartbeat = None;
                Poll::Ready(Some(event.into()))
            }
            Poll::Ready(None) => {
                self.events = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let now = Instant::now();
                let heartbeat =
                    self.heartbeat.get_or_insert_with(|| Heartbeat::one_way(self.keep_alive, now));
                let due = heartbeat.next_deadline();
                let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
                self.heartbeat = None;
                Poll::Ready(Some(Bytes::from_static(KEEP_ALIVE)))
            }
        }
    }
}

impl EventBody<EventQueue> {
    /// A body, and the end that events are sent into: at most `capacity` of them wait, then sending does. Sending fails
    /// once the body was dropped, that is, once the client has left.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[must_use]
    pub fn channel(capacity: usize) -> (mpsc::Sender<Prepared>, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (sender, Self::new(EventQueue(receiver)))
    }
}

/// The events of [`EventBody::channel`]; see there.
#[derive(Debug)]
pub struct EventQueue(mpsc::Receiver<Prepared>);

impl Stream for EventQueue {
    type Item = Prepared;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(feature = "http")]
impl<S: Stream<Item = Prepared>> EventBody<S> {
    /// The response: status 200 and the [`RESPONSE_FIELDS`](crate::sse::RESPONSE_FIELDS).
    #[must_use]
    pub fn into_response(self) -> ::http::Response<Self> {
        use ::http::header::{HeaderName, HeaderValue};

        let mut response = ::http::Response::new(self);
        for (name, value) in crate::sse::RESPONSE_FIELDS {
            let field = (HeaderName::from_static(name), HeaderValue::from_static(value));
            response.headers_mut().insert(field.0, field.1);
        }
        response
    }
}

/// The bytes as [`next`](EventBody::next) gives them, as HTTP servers want them: none is an error.
impl<S: Stream<Item = Prepared>> Stream for EventBody<S> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_bytes(cx).map(|bytes| bytes.map(Ok))
    }
}

impl<S> fmt::Debug for EventBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBody")
            .field("keep_alive", &self.keep_alive)
            .field("ended", &self.events.is_none())
            .finish_non_exhaustive()
    }
}
