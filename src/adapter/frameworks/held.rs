//! A session that its application, its client's requests and time share; and the response that waits at it.

use super::body::{Feed, lock, until};
use super::sessions::Entry;
use bytes::Bytes;
#[cfg(feature = "sockjs")]
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::boxed::Box;
use std::sync::{Arc, Mutex};
use std::vec::Vec;
use tokio::time::{Instant, Sleep};

/// A session as its module has it: what is written, to which response, and until when that waits.
pub(super) trait Machine: Send + 'static {
    type Ticket: Copy + Eq + Send + Sync;
    /// Appends what is to be written to this response now, and answers whether it ends there.
    fn next_frame(&mut self, ticket: Self::Ticket, now: Instant, out: &mut Vec<u8>) -> Option<bool>;
    fn next_deadline(&self) -> Option<Instant>;
    /// The response's client has left.
    fn cut(&mut self, ticket: Self::Ticket, now: Instant);
    /// The client has left for good, or stayed away for too long.
    fn gone(&mut self, now: Instant);
    /// Whether nobody will hear of it any more.
    fn is_expired(&self, now: Instant) -> bool;
    /// It is expired: whoever holds it still holds nothing that waits in it.
    fn give_up(&mut self, now: Instant);
    /// Whether the application may hear that its client is gone, though that may yet fetch how it ended.
    fn is_closed(&self) -> bool {
        false
    }
}

/// The session behind its lock, which is never held over an await.
#[derive(Debug)]
pub(super) struct Held<M>(Mutex<(M, Option<Waker>)>);

impl<M> Held<M> {
    pub(super) fn new(machine: M) -> Self {
        Self(Mutex::new((machine, None)))
    }

    /// Does something to the session, and wakes the response that waits.
    pub(super) fn tell<T>(&self, work: impl FnOnce(&mut M) -> T) -> T {
        let mut held = lock(&self.0);
        let result = work(&mut held.0);
        let waker = held.1.take();
        drop(held);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Looks at the session.
    pub(super) fn ask<T>(&self, work: impl FnOnce(&M) -> T) -> T {
        work(&lock(&self.0).0)
    }
}

/// One response that waits at a session: gives what is written to it, and tells the session if it is dropped before its
/// end.
pub(super) struct Waiting<M: Machine> {
    entry: Arc<Entry<M>>,
    ticket: M::Ticket,
    over: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<M: Machine> Waiting<M> {
    pub(super) fn new(entry: Arc<Entry<M>>, ticket: M::Ticket) -> Self {
        Self { entry, ticket, over: false, timer: None }
    }

    /// The session that it waits at.
    #[cfg(feature = "atmosphere")]
    pub(super) fn entry(&self) -> &Arc<Entry<M>> {
        &self.entry
    }

    /// The next piece; `None` at the end. Cancel-safe.
    #[cfg(feature = "sockjs")]
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// All that is written until the end.
    #[cfg(feature = "sockjs")]
    pub(super) async fn all(mut self) -> Bytes {
        let first = self.next().await.unwrap_or_default();
        let Some(second) = self.next().await else { return first };
        let mut all = [first, second].concat();
        while let Some(piece) = self.next().await {
            all.extend_from_slice(&piece);
        }
        all.into()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let due = {
                let mut held = lock(&self.entry.session.0);
                let mut out = Vec::new();
                match held.0.next_frame(self.ticket, Instant::now(), &mut out) {
                    Some(last) => {
                        self.over = last;
                        // Some ends have nothing to write.
                        let is_end = self.over && out.is_empty();
                        return Poll::Ready((!is_end).then(|| out.into()));
                    }
                    None => {
                        held.1 = Some(cx.waker().clone());
                        held.0.next_deadline()
                    }
                }
            };
            let Some(due) = due else { return Poll::Pending };
            ready!(until(&mut self.timer, due, cx));
        }
    }
}

impl<M: Machine> Feed for Waiting<M> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.poll_next(cx)
    }
}

impl<M: Machine> Drop for Waiting<M> {
    fn drop(&mut self) {
        if !self.over {
            let ticket = self.ticket;
            self.entry.session.tell(|machine| machine.cut(ticket, Instant::now()));
        }
    }
}
