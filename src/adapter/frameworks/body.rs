//! The body of a response: known at once, or going on.

use bytes::Bytes;
use core::convert::Infallible;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use http_body::{Frame, SizeHint};
use std::boxed::Box;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::{Instant, Sleep, sleep_until};

/// Gives a body's chunks, one at a time. Dropped when the client has left.
pub(super) trait Feed: Send {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

/// A panic in an application's task says nothing about the state here: no application code runs under these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ready once this time has come; the timer is kept for the next.
pub(super) fn until(timer: &mut Option<Pin<Box<Sleep>>>, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    timer.as_mut().poll(cx)
}

/// The body of a framework's response.
///
/// A client that reads nothing makes the HTTP server stop polling it. Its session ends then: after the `stall_timeout` of
/// `SockJsOptions` or `AtmosphereOptions`, or the `lease` of `PushletOptions`. The connection itself, with what the server has taken of the
/// body, is the server's: hyper has no timeout for writing, so set `TCP_USER_TIMEOUT` on its sockets.
///
/// ```
/// use http_body::Body as _;
/// use pushline::adapter::frameworks::FrameworkBody;
///
/// let body = FrameworkBody::from(bytes::Bytes::from_static(b"ok"));
/// assert_eq!(body.size_hint().exact(), Some(2));
/// ```
#[derive(Default)]
pub struct FrameworkBody(Kind);

enum Kind {
    Full(Bytes),
    Live(Box<dyn Feed + Sync>),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Full(Bytes::new())
    }
}

impl FrameworkBody {
    pub(super) fn live(feed: impl Feed + Sync + 'static) -> Self {
        Self(Kind::Live(Box::new(feed)))
    }
}

impl From<std::vec::Vec<u8>> for FrameworkBody {
    fn from(bytes: std::vec::Vec<u8>) -> Self {
        Self(Kind::Full(bytes.into()))
    }
}

impl From<std::string::String> for FrameworkBody {
    fn from(text: std::string::String) -> Self {
        Self(Kind::Full(text.into()))
    }
}

impl From<Bytes> for FrameworkBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Full(bytes))
    }
}

impl http_body::Body for FrameworkBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(core::mem::take(bytes))))),
            Kind::Live(feed) => feed.poll_chunk(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Full(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Live(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for FrameworkBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Full(bytes) => f.debug_tuple("FrameworkBody").field(bytes).finish(),
            Kind::Live(_) => f.write_str("FrameworkBody(..)"),
        }
    }
}
