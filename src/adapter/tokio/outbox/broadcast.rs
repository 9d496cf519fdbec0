//! Sets of outboxes.

use super::queue::{Outbox, OutboxItem};
use super::socket::Post;
use crate::heartbeat::Instant as _;
use crate::ws::CloseCode;
use core::fmt;
use core::time::Duration;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tokio::time::{Instant, timeout_at};

/// A room: what is sent to it is queued for all who have joined. A clone is another handle to the same room.
///
/// What is sent costs each receiver a push and at most one wake; a [`Prepared`](crate::ws::Prepared) is queued by
/// reference. All receivers get all messages in the same order. Who has left is forgotten by itself.
///
/// ```
/// use pushline::adapter::tokio::{Broadcast, Outbox, OutboxOptions};
/// use pushline::sse::{Block, PreparedEvent};
///
/// let room: Broadcast<PreparedEvent> = Broadcast::new();
/// let (outbox, stream) = Outbox::stream(OutboxOptions::new());
/// room.join(outbox);
/// assert_eq!(room.send(Block::new().data("to all of you").prepare()?), 1);
/// drop(stream); // it leaves
/// assert_eq!(room.send(Block::new().data("anybody?").prepare()?), 0);
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
pub struct Broadcast<T = Post> {
    members: Arc<Mutex<Members<T>>>,
}

struct Members<T> {
    outboxes: Vec<Outbox<T>>,
    /// With what those who still join are closed.
    closed: Option<(CloseCode, String)>,
    /// At this length it is looked through for those who have left.
    sweep_at: usize,
}

impl<T: OutboxItem> Broadcast<T> {
    /// An empty room.
    #[must_use]
    pub fn new() -> Self {
        Self { members: Arc::new(Mutex::new(Members { outboxes: Vec::new(), closed: None, sweep_at: 16 })) }
    }

    /// Adds a receiver: it gets what is sent from now on. After [`shutdown`](Self::shutdown) it is closed at once.
    pub fn join(&self, outbox: Outbox<T>) {
        let mut members = self.lock();
        if let Some((code, reason)) = &members.closed {
            outbox.close(*code, reason);
        }
        // A room in which nothing is said does not grow with those who come and go.
        if members.outboxes.len() >= members.sweep_at {
            members.outboxes.retain(|member| !member.is_closed());
            members.sweep_at = (2 * members.outboxes.len()).max(16);
        }
        members.outboxes.push(outbox);
    }

    /// Queues a message for all; how many have taken it. Who does not, lags or has left: the policy of its outbox says
    /// what becomes of it ([`Lagging`](super::Lagging)).
    pub fn send(&self, item: impl Into<T>) -> usize {
        let item = item.into();
        let mut taken = 0;
        let mut left = false;
        let mut members = self.lock();
        for member in &members.outboxes {
            match member.send(item.clone()) {
                Ok(()) => taken += 1,
                Err(_) => left |= member.is_closed(),
            }
        }
        if left {
            members.outboxes.retain(|member| !member.is_closed());
        }
        taken
    }

    /// Closes all connections behind what is queued, such as with 1001 before the server goes: see [`Outbox::close`].
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) {
        let code = code.into();
        let members = core::mem::take(&mut self.lock().outboxes);
        for member in members {
            member.close(code, reason);
        }
    }

    /// Closes all connections as [`close`](Self::close) does, those who still join as well, and waits until they are gone,
    /// for this time at most. How many are left then.
    ///
    /// With a room that all connections of a server join, this is how the server goes gracefully: clients are told 1001,
    /// what is queued for them goes first, and each has its close timeout to answer. Event streams just end.
    ///
    /// ```
    /// use pushline::adapter::tokio::Broadcast;
    /// use pushline::ws::CloseCode;
    /// use std::time::Duration;
    ///
    /// /// All connections of the server have joined `everybody`. First stop to accept.
    /// async fn stop(everybody: &Broadcast) {
    ///     let left = everybody.shutdown(CloseCode::GOING_AWAY, "", Duration::from_secs(10)).await;
    ///     println!("{left} connections did not end in time");
    /// }
    /// # let _ = stop;
    /// ```
    pub async fn shutdown(&self, code: impl Into<CloseCode>, reason: &str, timeout: Duration) -> usize {
        let code = code.into();
        self.lock().closed = Some((code, reason.into()));
        let deadline = Instant::now().saturating_add(timeout);
        let mut left = 0;
        loop {
            let members = core::mem::take(&mut self.lock().outboxes);
            if members.is_empty() {
                return left;
            }
            for member in &members {
                member.close(code, reason);
            }
            for member in &members {
                left += usize::from(timeout_at(deadline, member.gone()).await.is_err());
            }
            if Instant::now() >= deadline {
                return left;
            }
        }
    }

    /// How many receivers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().outboxes.iter().filter(|member| !member.is_closed()).count()
    }

    /// Whether there is no receiver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lock is held while all are told, so that all are told in the same order; never over an await.
    fn lock(&self) -> MutexGuard<'_, Members<T>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: OutboxItem> Default for Broadcast<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self { members: Arc::clone(&self.members) }
    }
}

impl<T: OutboxItem> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("receivers", &self.len()).finish()
    }
}
