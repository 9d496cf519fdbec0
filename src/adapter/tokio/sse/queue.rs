//! The queue between those who make events and the body that an HTTP server polls, and how a body that is polled no more
//! is noticed.

use super::Error;
use crate::adapter::sse::WRITE_TIMEOUT;
use crate::heartbeat::Instant as _;
use crate::sse::PreparedEvent;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_core::Stream;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

/// What both ends share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A permit for each event that finds room; closed at the end.
    room: Semaphore,
    /// Told at the end.
    over: Notify,
}

#[derive(Debug)]
struct State {
    events: VecDeque<PreparedEvent>,
    senders: usize,
    body: Option<Waker>,
    /// Since when the server could poll the body, and has not: it was woken, or it was given something to write.
    unpolled: Option<Instant>,
    ended: Option<Ended>,
    stall_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Dropped,
    Stalled,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frees the queue, and tells everybody.
    fn end(&self, ended: Ended) {
        let (events, body) = {
            let mut state = self.state();
            state.ended.get_or_insert(ended);
            (core::mem::take(&mut state.events), state.body.take())
        };
        drop(events);
        self.room.close();
        self.over.notify_waiters();
        if let Some(body) = body {
            body.wake();
        }
    }

    /// Whether the body lives. If so, until when it does not need to be asked again.
    fn judge(&self, now: Instant) -> Result<Instant, Error> {
        let state = self.state();
        state.end()?;
        let deadline = state.unpolled.unwrap_or(now).saturating_add(state.stall_timeout);
        if state.unpolled.is_none() || now < deadline {
            return Ok(deadline);
        }
        drop(state);
        self.end(Ended::Stalled);
        Err(Error::TimedOut)
    }
}

/// The end of [`EventBody::channel`](super::EventBody::channel) that events are sent into. It can be cloned; the body ends
/// when all are dropped and what they sent was delivered.
///
/// ```
/// use pushline::adapter::tokio::sse::{Error, EventBody};
/// use pushline::sse::Block;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let (events, body) = EventBody::channel(16);
/// let event = Block::new().data("1").prepare().unwrap();
/// events.send(event.clone()).await?;
/// drop(body); // the client has left
/// assert!(matches!(events.send(event).await, Err(Error::Left)));
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct EventSender {
    shared: Arc<Shared>,
}

impl EventSender {
    /// Queues an event, and waits for room first. Cancel-safe: an event whose future is dropped was not queued.
    ///
    /// # Errors
    ///
    /// [`Error::Left`] once the body was dropped, that is, once the client has left. [`Error::TimedOut`] once the server
    /// has not polled the body for [`EventBody::stall_timeout`](super::EventBody::stall_timeout) although there was
    /// something to write: the client reads nothing. What was queued is dropped then.
    pub async fn send(&self, event: PreparedEvent) -> Result<(), Error> {
        let deadline = self.shared.judge(Instant::now())?;
        if self.shared.room.try_acquire().map(tokio::sync::SemaphorePermit::forget).is_err() {
            self.wait_for_room(deadline).await?;
        }
        let body = {
            let mut state = self.shared.state();
            state.end()?;
            state.events.push_back(event);
            state.wake_body()
        };
        if let Some(body) = body {
            body.wake();
        }
        Ok(())
    }

    /// Waits until the client has left. Await it beside whatever makes the events, so that nothing is made for nobody.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] as [`send`](Self::send).
    pub async fn left(&self) -> Result<(), Error> {
        let mut over = pin!(self.shared.over.notified());
        loop {
            // From here on no end is missed.
            over.as_mut().enable();
            let deadline = match self.shared.judge(Instant::now()) {
                Ok(deadline) => deadline,
                Err(Error::Left) => return Ok(()),
                Err(error) => return Err(error),
            };
            if timeout_at(deadline, over.as_mut()).await.is_ok() {
                over.set(self.shared.over.notified());
            }
        }
    }

    /// Whether the client has left, or is taken for one that has.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.judge(Instant::now()).is_err()
    }

    async fn wait_for_room(&self, mut deadline: Instant) -> Result<(), Error> {
        let mut room = pin!(self.shared.room.acquire());
        loop {
            match timeout_at(deadline, room.as_mut()).await {
                Ok(Ok(permit)) => {
                    permit.forget();
                    return Ok(());
                }
                // Closed, and that is the end.
                Ok(Err(_)) => return self.shared.state().end(),
                Err(_) => deadline = self.shared.judge(Instant::now())?,
            }
        }
    }
}

impl Clone for EventSender {
    fn clone(&self) -> Self {
        self.shared.state().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        let body = {
            let mut state = self.shared.state();
            state.senders -= 1;
            if state.senders == 0 { state.wake_body() } else { None }
        };
        if let Some(body) = body {
            body.wake();
        }
    }
}

impl State {
    /// From now on the body is expected to be polled.
    fn wake_body(&mut self) -> Option<Waker> {
        self.unpolled.get_or_insert_with(Instant::now);
        self.body.take()
    }

    fn end(&self) -> Result<(), Error> {
        match self.ended {
            None => Ok(()),
            Some(Ended::Dropped) => Err(Error::Left),
            Some(Ended::Stalled) => Err(Error::TimedOut),
        }
    }
}

/// The events of [`EventBody::channel`](super::EventBody::channel); see there.
///
/// ```
/// use pushline::adapter::tokio::sse::{EventBody, EventQueue, EventSender};
///
/// let (sender, body): (EventSender, EventBody<EventQueue>) = EventBody::channel(16);
/// drop(body); // the client has left
/// # let _ = sender;
/// ```
#[derive(Debug)]
pub struct EventQueue {
    shared: Arc<Shared>,
}

impl EventQueue {
    pub(super) fn channel(capacity: usize) -> (EventSender, Self, Watch) {
        assert!(capacity > 0, "a queue without room passes nothing on");
        let state = State {
            events: VecDeque::new(),
            senders: 1,
            body: None,
            unpolled: None,
            ended: None,
            stall_timeout: WRITE_TIMEOUT,
        };
        let room = Semaphore::new(capacity.min(Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared { state: Mutex::new(state), room, over: Notify::new() });
        (EventSender { shared: shared.clone() }, Self { shared: shared.clone() }, Watch { shared })
    }
}

/// What a body tells of itself, and is told.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    pub(super) fn is_stalled(&self) -> bool {
        self.shared.state().ended == Some(Ended::Stalled)
    }

    /// The server was given something that does not come from the queue.
    pub(super) fn given(&self) {
        self.shared.state().unpolled = Some(Instant::now());
    }

    pub(super) fn set_stall_timeout(&self, timeout: Duration) {
        self.shared.state().stall_timeout = timeout;
    }
}

impl Stream for EventQueue {
    type Item = PreparedEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = {
            let mut state = self.shared.state();
            state.unpolled = None;
            match state.events.pop_front() {
                Some(event) => {
                    state.unpolled = Some(Instant::now());
                    event
                }
                None if state.senders == 0 || state.ended.is_some() => return Poll::Ready(None),
                None => {
                    if !state.body.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                        state.body = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        };
        self.shared.room.add_permits(1);
        Poll::Ready(Some(event))
    }
}

impl Drop for EventQueue {
    fn drop(&mut self) {
        self.shared.end(Ended::Dropped);
    }
}
