//! An event stream as a body that hyper and axum take as it is.

use super::super::tokio::sse::EventBody;
use crate::sse::Prepared;
use ::hyper::body::{Body, Frame};
use bytes::Bytes;
use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;

/// The bytes as [`next`](EventBody::next) gives them.
impl<S: Stream<Item = Prepared>> Body for EventBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll_next(cx).map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }
}
