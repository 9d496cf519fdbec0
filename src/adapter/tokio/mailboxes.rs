//! What clients say, for the task of each: bounded queues by name. Who a client is, and how long, is its server's to say.

use core::fmt;
use core::future::poll_fn;
use core::hash::Hash;
use core::pin::Pin;
use core::task::{Context, Poll};
use futures_core::Stream;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// A bounded queue for each client, by its name: for servers that call a function with whatever any client says, as those of
/// Socket.IO, Bayeux and Pushlet do, when each client is to have a task that waits for what it says. A clone has the same ones.
///
/// Sending never waits. Who sends decides about a client that says more than its task takes.
///
/// ```
/// use pushline::adapter::tokio::{MailboxError, Mailboxes};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mailboxes = Mailboxes::new(16);
/// // What the server calls:
/// let said = |client: u64, text: &'static str| {
///     if let Some(mut mailbox) = mailboxes.try_open(client) {
///         tokio::spawn(async move {
///             while let Some(text) = mailbox.next().await {
///                 println!("{client}: {text}");
///             }
///         });
///     }
///     if mailboxes.send(&client, text) == Err(MailboxError::Full) {
///         println!("{client} is too fast");
///     }
/// };
/// said(7, "hello");
/// said(7, "is anybody there?");
/// // The client has left: once its task has taken those two, it ends.
/// mailboxes.close(&7);
/// # });
/// ```
pub struct Mailboxes<K, T>(Arc<Shared<K, T>>);

struct Shared<K, T> {
    capacity: usize,
    /// Those that are dropped or closed are not in it.
    open: Mutex<HashMap<K, mpsc::Sender<T>>>,
}

/// What one client says: one of the [`Mailboxes`], until it is dropped.
pub struct Mailbox<K: Eq + Hash, T> {
    key: K,
    waiting: mpsc::Receiver<T>,
    shared: Arc<Shared<K, T>>,
}

/// Why a message was not taken.
///
/// ```
/// use pushline::adapter::tokio::{MailboxError, Mailboxes};
///
/// let mailboxes = Mailboxes::new(1);
/// assert_eq!(mailboxes.send(&"Ada", 1), Err(MailboxError::Closed));
/// let _mailbox = mailboxes.open("Ada");
/// assert_eq!(mailboxes.send(&"Ada", 1), Ok(()));
/// assert_eq!(mailboxes.send(&"Ada", 2), Err(MailboxError::Full));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MailboxError {
    /// As many wait as may.
    Full,
    /// There is none of this client, or it was dropped.
    Closed,
}

impl fmt::Display for MailboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the mailbox is full",
            Self::Closed => "there is no such mailbox",
        })
    }
}

impl std::error::Error for MailboxError {}

impl<K: Eq + Hash, T> Mailboxes<K, T> {
    /// None yet. At most `capacity` messages wait in each; without that, a client that says more than its task takes has all
    /// memory.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a mailbox holds at least one message");
        Self(Arc::new(Shared { capacity, open: Mutex::default() }))
    }

    /// Opens that of a client. An older one of the same name ends behind what waits in it. How many there are is bounded by
    /// who opens them: as many as there are sessions.
    pub fn open(&self, key: K) -> Mailbox<K, T>
    where
        K: Clone,
    {
        let (sender, waiting) = mpsc::channel(self.0.capacity);
        // Whoever waits at the older one is woken without the lock.
        let older = self.0.lock().insert(key.clone(), sender);
        drop(older);
        Mailbox { key, waiting, shared: Arc::clone(&self.0) }
    }

    /// Opens that of a client, unless it has one: of several who try at once, one is given it.
    pub fn try_open(&self, key: K) -> Option<Mailbox<K, T>>
    where
        K: Clone,
    {
        let mut open = self.0.lock();
        if open.get(&key).is_some_and(|sender| !sender.is_closed()) {
            return None;
        }
        let (sender, waiting) = mpsc::channel(self.0.capacity);
        open.insert(key.clone(), sender);
        Some(Mailbox { key, waiting, shared: Arc::clone(&self.0) })
    }

    /// Puts this into a client's. Never waits.
    ///
    /// # Errors
    ///
    /// [`MailboxError`]; the message is dropped.
    pub fn send(&self, key: &K, message: T) -> Result<(), MailboxError> {
        let sender = self.0.lock().get(key).cloned().ok_or(MailboxError::Closed)?;
        sender.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => MailboxError::Full,
            TrySendError::Closed(_) => MailboxError::Closed,
        })
    }

    /// How many messages more a client's takes now; `None` if there is none.
    #[must_use]
    pub fn room(&self, key: &K) -> Option<usize> {
        self.0.lock().get(key).filter(|sender| !sender.is_closed()).map(mpsc::Sender::capacity)
    }

    /// Ends that of a client, which has left, behind what waits in it.
    pub fn close(&self, key: &K) {
        let sender = self.0.lock().remove(key);
        drop(sender);
    }

    /// Ends those of the clients that are not there any more. `is_there` must not call the mailboxes.
    pub fn retain(&self, mut is_there: impl FnMut(&K) -> bool) {
        let left: Vec<_> = self.0.lock().extract_if(|key, _| !is_there(key)).collect();
        drop(left);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl<K: Eq + Hash, T> Mailbox<K, T> {
    /// The next message; `None` once the mailbox was closed and nothing waits in it. Cancel-safe.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.waiting.poll_recv(cx)).await
    }
}

/// The messages, as [`next`](Mailbox::next) gives them.
impl<K: Eq + Hash + Unpin, T> Stream for Mailbox<K, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().waiting.poll_recv(cx)
    }
}

impl<K: Eq + Hash, T> Drop for Mailbox<K, T> {
    fn drop(&mut self) {
        self.waiting.close();
        let mut open = self.shared.lock();
        // Unless there is a newer one.
        if open.get(&self.key).is_some_and(mpsc::Sender::is_closed) {
            open.remove(&self.key);
        }
    }
}

impl<K, T> Shared<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, mpsc::Sender<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Clone for Mailboxes<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T> fmt::Debug for Mailboxes<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailboxes")
            .field("capacity", &self.0.capacity)
            .field("count", &self.0.lock().len())
            .finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, T> fmt::Debug for Mailbox<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}
