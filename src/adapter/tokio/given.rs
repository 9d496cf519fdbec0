//! A message that was given to a `send`.

use crate::ws::Outbound;
use core::task::Poll;
use std::boxed::Box;

/// As it was given until it has to wait: a small value moves from future to future in registers, where an [`Outbound`]
/// would cost as much as sending it.
pub(super) enum Given<'a, T> {
    New(T),
    /// In a box, so that the futures of those who wait are as small as of those who do not.
    Waiting(Box<Outbound<'a>>),
    Gone,
}

impl<'a, T: Into<Outbound<'a>>> Given<'a, T> {
    /// Lets `poll` take the message from the place that it is shown; what it leaves there while it is pending is kept.
    #[inline]
    pub(super) fn poll<R>(&mut self, poll: impl FnOnce(&mut Option<Outbound<'a>>) -> Poll<R>) -> Poll<R> {
        let mut place = match core::mem::replace(self, Self::Gone) {
            Self::New(message) => Some(message.into()),
            Self::Waiting(message) => Some(*message),
            Self::Gone => None,
        };
        let polled = poll(&mut place);
        if polled.is_pending()
            && let Some(message) = place
        {
            *self = Self::Waiting(Box::new(message));
        }
        polled
    }
}
