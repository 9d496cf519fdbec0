//! An event stream as the body of a response that an HTTP server writes.

use super::queue::{EventQueue, EventSender, Watch};
use super::{Error, poll_timer};
use crate::adapter::sse::{KEEP_ALIVE_INTERVAL, not_zero};
use crate::heartbeat::Heartbeat;
use crate::sse::{KEEP_ALIVE, PreparedEvent};
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use std::boxed::Box;
use tokio::time::{Instant, Sleep};

/// A stream of events as the bytes of a body, with keep-alive comments where there is no event for a while: for hyper,
/// axum and their like, whose response it becomes.
///
/// It ends when the events do. There is no queue in it: it asks for the next event when the server asks for bytes, so a
/// client that is slow to read slows down what makes the events. The server drops it when the client has left.
///
/// A client that reads nothing makes the server stop polling. [`channel`](EventBody::channel) notices that, and lets go of
/// who sends and of what is queued. The connection itself is the server's: hyper has no timeout for writing, so set
/// `TCP_USER_TIMEOUT` on its sockets.
///
/// The response needs the [`RESPONSE_FIELDS`](crate::sse::RESPONSE_FIELDS); with the feature `http`, `into_http_response`
/// makes it.
///
/// ```
/// use pushline::adapter::tokio::sse::EventBody;
/// use pushline::sse::Block;
///
/// # async fn serve() -> http::Response<EventBody<impl futures_core::Stream<Item = pushline::sse::PreparedEvent>>> {
/// let (events, body) = EventBody::channel(16);
/// tokio::spawn(async move {
///     for price in ["41", "42"] {
///         let event = Block::new().event_type("price").data(price).prepare().expect("no line ends in it");
///         if events.send(event).await.is_err() {
///             break; // the client has left
///         }
///     }
/// });
/// // With the feature `hyper` it is an `http_body::Body`, with `axum` a handler returns it as it is.
/// body.into_http_response()
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// #     let (parts, mut body) = serve().await.into_parts();
/// #     assert_eq!(parts.headers["content-type"], "text/event-stream");
/// #     assert_eq!(body.next().await.unwrap().unwrap(), "event: price\ndata: 41\n\n");
/// # });
/// ```
pub struct EventBody<S> {
    /// `None` once they have ended.
    events: Option<Pin<Box<S>>>,
    /// Starts with the first call: an HTTP server may take its time with the head.
    heartbeat: Option<Heartbeat<Instant>>,
    keep_alive: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    watch: Option<Watch>,
}

impl<S: Stream<Item = PreparedEvent>> EventBody<S> {
    /// The bytes of these events. A large one goes by reference, however many clients it is for.
    pub fn new(events: S) -> Self {
        Self {
            events: Some(Box::pin(events)),
            heartbeat: None,
            keep_alive: Some(KEEP_ALIVE_INTERVAL),
            timer: None,
            watch: None,
        }
    }

    /// After how long without an event a comment is sent, default 15 seconds (HTML 9.2.7). `None` sends none, and so do an
    /// interval of zero and one that never ends, such as [`Duration::MAX`].
    ///
    /// Without it proxies drop the connection, and a client that vanished is never noticed.
    #[must_use]
    pub fn keep_alive(mut self, interval: Option<Duration>) -> Self {
        self.keep_alive = not_zero(interval);
        self
    }

    /// The next bytes: an event, or a comment. `None` at the end. Cancel-safe. An HTTP server polls the `Stream`
    /// instead.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] once, if the server did not ask for [so long](EventBody::stall_timeout) that those who send
    /// have given up: events are missing, and the response must be cut.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        core::future::poll_fn(|cx| self.poll_bytes(cx)).await
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(events) = &mut self.events else { return Poll::Ready(None) };
        match events.as_mut().poll_next(cx) {
            Poll::Ready(Some(event)) => {
                self.heartbeat = None;
                Poll::Ready(Some(Ok(event.into())))
            }
            Poll::Ready(None) => {
                self.events = None;
                let is_stalled = self.watch.as_ref().is_some_and(Watch::is_stalled);
                Poll::Ready(is_stalled.then_some(Err(Error::TimedOut)))
            }
            Poll::Pending => {
                let Some(interval) = self.keep_alive else { return Poll::Pending };
                let heartbeat =
                    self.heartbeat.get_or_insert_with(|| Heartbeat::one_way(interval, Instant::now()));
                while heartbeat.next_deadline() > Instant::now() {
                    ready!(poll_timer(&mut self.timer, heartbeat.next_deadline(), cx));
                }
                self.heartbeat = None;
                if let Some(watch) = &self.watch {
                    watch.given();
                }
                Poll::Ready(Some(Ok(Bytes::from_static(KEEP_ALIVE))))
            }
        }
    }
}

impl EventBody<EventQueue> {
    /// A body, and the end that events are sent into: at most `capacity` of them wait, then sending does. Sending fails
    /// once the body was dropped, that is, once the client has left, and once it was not polled for
    /// [so long](Self::stall_timeout).
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[must_use]
    pub fn channel(capacity: usize) -> (EventSender, Self) {
        let (sender, queue, watch) = EventQueue::channel(capacity);
        (sender, Self { watch: Some(watch), ..Self::new(queue) })
    }

    /// How long the server may leave the body unpolled although there is something to write, default 50 seconds, as
    /// [`EventResponse::write_timeout`](super::EventResponse::write_timeout).
    ///
    /// Without it a client that reads nothing holds who sends and all that is queued, for as long as it likes.
    #[must_use]
    pub fn stall_timeout(self, timeout: Duration) -> Self {
        if let Some(watch) = &self.watch {
            watch.set_stall_timeout(timeout);
        }
        self
    }
}

#[cfg(feature = "http")]
impl<S: Stream<Item = PreparedEvent>> EventBody<S> {
    /// The response, of the `http` crate's type: status 200 and the [`RESPONSE_FIELDS`](crate::sse::RESPONSE_FIELDS). With the
    /// feature `axum` a handler returns the body as it is.
    #[must_use]
    pub fn into_http_response(self) -> ::http::Response<Self> {
        use ::http::header::{HeaderName, HeaderValue};

        let mut response = ::http::Response::new(self);
        for (name, value) in crate::sse::RESPONSE_FIELDS {
            let field = (HeaderName::from_static(name), HeaderValue::from_static(value));
            response.headers_mut().insert(field.0, field.1);
        }
        response
    }
}

/// The bytes as [`next`](EventBody::next) gives them.
impl<S: Stream<Item = PreparedEvent>> Stream for EventBody<S> {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_bytes(cx)
    }
}

/// The same, for hyper and what stands on it.
#[cfg(feature = "hyper")]
impl<S: Stream<Item = PreparedEvent>> http_body::Body for EventBody<S> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Error>>> {
        self.get_mut().poll_bytes(cx).map_ok(http_body::Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.events.is_none()
    }
}

/// Status 200 and the [`RESPONSE_FIELDS`](crate::sse::RESPONSE_FIELDS): a handler of axum returns the body itself.
#[cfg(feature = "axum")]
impl<S> axum_core::response::IntoResponse for EventBody<S>
where
    S: Stream<Item = PreparedEvent> + Send + 'static,
{
    fn into_response(self) -> axum_core::response::Response {
        self.into_http_response().map(axum_core::body::Body::new)
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
