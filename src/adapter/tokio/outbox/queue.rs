//! The bounded queue of one receiver, and what happens when it lags.

use crate::adapter::trace;
use crate::sse;
use crate::ws::{CloseCode, MAX_REASON_LEN, Message, Text};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::socket::Post;
use super::stream::OutboxStream;

/// The policy for a receiver whose queue is full.
///
/// ```
/// use pushline::adapter::tokio::{Lagging, OutboxOptions};
///
/// // Prices: the newest counts.
/// let options = OutboxOptions::new().max_messages(8).lagging(Lagging::DropOldest);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lagging {
    /// The queue is emptied and its memory freed at once, and the connection closed with code 1013, "too slow": the client
    /// connects again and asks for what it has missed. The stream of events just ends. For messages that all count.
    #[default]
    Close,
    /// The oldest messages are dropped until the new one has room: [`Outbox::dropped`] counts them. For states, of which
    /// the newest counts.
    DropOldest,
    /// The new message is refused with [`OutboxError::Full`]; the caller decides.
    Refuse,
}

/// The bounds of an [`Outbox`], and what happens at them.
///
/// ```
/// use pushline::adapter::tokio::OutboxOptions;
///
/// let options = OutboxOptions::new().max_messages(64).max_bytes(256 * 1024);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct OutboxOptions {
    max_messages: usize,
    max_bytes: usize,
    lagging: Lagging,
}

impl OutboxOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self { max_messages: 256, max_bytes: 1024 * 1024, lagging: Lagging::Close }
    }

    /// How many messages wait at most. Default 256.
    ///
    /// Without it a client that does not read has the memory of all small messages that are sent to it.
    pub const fn max_messages(mut self, messages: usize) -> Self {
        self.max_messages = messages;
        self
    }

    /// How many bytes of payload wait at most. Default 1 MiB.
    ///
    /// Without it a client that does not read keeps all large messages alive that are sent to it.
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// What happens when one of the two is reached. Default: [`Lagging::Close`].
    pub const fn lagging(mut self, lagging: Lagging) -> Self {
        self.lagging = lagging;
        self
    }
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The reason why an [`Outbox`] did not take a message.
///
/// ```
/// use pushline::adapter::tokio::OutboxError;
///
/// assert_eq!(OutboxError::Lagged.to_string(), "the receiver was too slow and is disconnected");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutboxError {
    /// The queue is full: [`Lagging::Refuse`].
    Full,
    /// The queue was full, and so the receiver is disconnected now: [`Lagging::Close`].
    Lagged,
    /// The message alone is larger than the queue may be; nothing else has happened.
    TooLarge,
    /// The receiver is gone, or closing.
    Closed,
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the receiver's queue is full",
            Self::Lagged => "the receiver was too slow and is disconnected",
            Self::TooLarge => "the message is larger than the receiver's queue",
            Self::Closed => "the receiver is gone",
        })
    }
}

impl std::error::Error for OutboxError {}

/// A type that an [`Outbox`] can hold: messages for WebSockets ([`Post`]) and encoded events
/// ([`sse::PreparedEvent`]).
///
/// ```
/// use pushline::adapter::tokio::OutboxItem;
/// use pushline::sse::Block;
///
/// assert_eq!(Block::new().data("a").prepare()?.payload_len(), 9);
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
pub trait OutboxItem: Clone + Send + 'static + private::Sealed {
    /// The bytes that count against [`OutboxOptions::max_bytes`].
    fn payload_len(&self) -> usize;
}

pub(super) mod private {
    /// A queue's bound must be right for all that it holds: no item comes from elsewhere.
    pub trait Sealed {}
    impl Sealed for crate::sse::PreparedEvent {}
    impl Sealed for super::Post {}
}

impl OutboxItem for sse::PreparedEvent {
    fn payload_len(&self) -> usize {
        self.bytes().len()
    }
}

/// A handle that sends to one connection from anywhere: cheap to clone, never waiting, bounded.
///
/// That of a WebSocket comes from [`QueuedSocket::outbox`](super::QueuedSocket::outbox), that of an event stream from
/// [`Outbox::stream`].
///
/// *Order*: what one task sends arrives in that order. *No loss*: a message that was taken is handed to the connection
/// unless the receiver lags or leaves.
///
/// ```
/// use pushline::adapter::tokio::{Outbox, OutboxError};
///
/// async fn tell(outbox: Outbox) {
///     match outbox.send("Hello") {
///         Ok(()) => {}
///         Err(OutboxError::Closed) => println!("it has left"),
///         Err(error) => println!("{error}"),
///     }
/// }
/// # let _ = tell;
/// ```
pub struct Outbox<T = Post> {
    shared: Arc<Shared<T>>,
}

/// What the handles and the receiver share.
pub(in crate::adapter::tokio) struct Shared<T> {
    queue: Mutex<Queue<T>>,
    pub(super) options: OutboxOptions,
}

struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// The receiver, if it waits.
    waker: Option<Waker>,
    /// It has something to write, and waits for nothing but the end.
    is_writing: bool,
    handles: u32,
    ending: Ending,
    /// The receiver is gone.
    is_gone: bool,
    /// Made when it is needed.
    rare: Option<Box<Rare>>,
}

/// What most queues have nothing of.
#[derive(Default)]
struct Rare {
    dropped: u64,
    /// The close frame that was asked for.
    close: Option<(CloseCode, Text)>,
    /// Who waits for the receiver's being gone.
    waiting: Vec<Waker>,
}

/// How far the end has come.
#[derive(Clone, Copy)]
enum Ending {
    /// Messages are taken.
    None,
    /// What is queued goes first; then the close frame, if this is a WebSocket.
    Asked,
    /// It lagged: a close frame at once.
    Lagged,
    /// The receiver has been told, or is gone.
    Done,
}

/// What a receiver finds.
pub(super) enum Taken<T> {
    /// Whether more waits behind it.
    Item(T, bool),
    /// Nothing follows but this close frame.
    Close(Message),
    /// Nothing follows at all.
    End,
}

impl<T> Queue<T> {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    fn wait(&mut self, cx: &mut Context<'_>, is_writing: bool) {
        self.is_writing = is_writing;
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

impl<T: OutboxItem> Shared<T> {
    pub(in crate::adapter::tokio) fn new(options: OutboxOptions) -> Arc<Self> {
        let queue = Queue {
            items: VecDeque::new(),
            bytes: 0,
            waker: None,
            is_writing: false,
            handles: 0,
            ending: Ending::None,
            is_gone: false,
            rare: None,
        };
        Arc::new(Self { queue: Mutex::new(queue), options })
    }

    /// The next in line; if there is none, the task is woken when there is.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Taken<T>> {
        let mut queue = self.lock();
        if let Some(item) = queue.items.pop_front() {
            queue.bytes -= item.payload_len();
            if queue.items.is_empty() {
                // An idle connection holds no buffer.
                queue.items = VecDeque::new();
            }
            return Poll::Ready(Taken::Item(item, !queue.items.is_empty()));
        }
        let close = match queue.ending {
            Ending::None => {
                queue.wait(cx, false);
                return Poll::Pending;
            }
            Ending::Asked => queue.rare().close.take(),
            Ending::Lagged => Some((CloseCode::TRY_AGAIN_LATER, Text::from_static("too slow"))),
            Ending::Done => return Poll::Ready(Taken::End),
        };
        queue.ending = Ending::Done;
        Poll::Ready(Taken::Close(Message::Close(close)))
    }

    /// Whether what was taken and is not written yet is to be dropped. If not, the task is woken when it is; not by more
    /// messages, which would not help.
    pub(super) fn has_lagged(&self, cx: &mut Context<'_>) -> bool {
        let mut queue = self.lock();
        queue.wait(cx, true);
        matches!(queue.ending, Ending::Lagged)
    }

    /// Ready once nothing more is taken; until then, the task is woken when that is so, and not by messages.
    pub(in crate::adapter::tokio) fn poll_ending(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if matches!(queue.ending, Ending::None) {
            queue.wait(cx, true);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Whether nothing more is taken.
    pub(in crate::adapter::tokio) fn is_ending(&self) -> bool {
        !matches!(self.lock().ending, Ending::None)
    }

    /// Puts what was taken and not written back to the front; also past the bounds.
    pub(super) fn put_back(&self, items: impl DoubleEndedIterator<Item = T>) {
        let mut queue = self.lock();
        for item in items.rev() {
            queue.bytes += item.payload_len();
            queue.items.push_front(item);
        }
    }

    /// Takes all that is queued.
    pub(in crate::adapter::tokio) fn take_all(&self) -> Vec<T> {
        let mut queue = self.lock();
        queue.bytes = 0;
        core::mem::take(&mut queue.items).into()
    }

    /// Whether no handle is left that could send.
    pub(super) fn is_orphaned(&self) -> bool {
        self.lock().handles == 0
    }
}

impl<T> Shared<T> {
    /// The receiver is gone.
    pub(in crate::adapter::tokio) fn end(&self) {
        leave(self.lock());
    }

    /// The lock is held for the time of a push or a pop, and nothing that runs under it panics.
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: OutboxItem> Outbox<T> {
    pub(in crate::adapter::tokio) fn of(shared: &Arc<Shared<T>>) -> Self {
        shared.lock().handles += 1;
        Self { shared: Arc::clone(shared) }
    }

    /// A queue and the stream of what is sent into it: for an event stream's body. For a WebSocket, take a
    /// [`QueuedSocket`](super::QueuedSocket): this stream just ends when it is closed or lags;
    /// [`closed`](OutboxStream::closed) says then with which code.
    ///
    /// ```
    /// use pushline::adapter::tokio::sse::EventBody;
    /// use pushline::adapter::tokio::{Broadcast, Outbox, OutboxOptions};
    /// use pushline::sse;
    ///
    /// # async fn events(room: Broadcast<sse::PreparedEvent>) -> http::Response<EventBody<impl futures_core::Stream<Item = sse::PreparedEvent>>> {
    /// let (outbox, events) = Outbox::stream(OutboxOptions::new());
    /// room.join(outbox);
    /// EventBody::new(events).into_http_response()
    /// # }
    /// ```
    #[must_use]
    pub fn stream(options: OutboxOptions) -> (Self, OutboxStream<T>) {
        let shared = Shared::new(options);
        (Self::of(&shared), OutboxStream::new(shared))
    }

    /// Queues a message; what is for many connections is best a `Prepared`, which is queued by reference. Never waits.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]; the message was not taken.
    pub fn send(&self, item: impl Into<T>) -> Result<(), OutboxError> {
        let item = item.into();
        let len = item.payload_len();
        let OutboxOptions { max_messages, max_bytes, lagging } = self.shared.options;
        let mut queue = self.shared.lock();
        if !matches!(queue.ending, Ending::None) {
            return Err(OutboxError::Closed);
        }
        if len > max_bytes || max_messages == 0 {
            return Err(OutboxError::TooLarge);
        }
        while queue.items.len() >= max_messages || queue.bytes > max_bytes - len {
            match lagging {
                Lagging::Refuse => return Err(OutboxError::Full),
                Lagging::Close => {
                    queue.ending = Ending::Lagged;
                    let dropped = core::mem::take(&mut queue.items);
                    queue.rare().dropped += dropped.len() as u64;
                    queue.bytes = 0;
                    wake(queue);
                    trace::lagged(dropped.len());
                    return Err(OutboxError::Lagged);
                }
                Lagging::DropOldest => {
                    // The bounds are over 0 and this message is within them: the queue is not empty.
                    let Some(oldest) = queue.items.pop_front() else { break };
                    queue.bytes -= oldest.payload_len();
                    queue.rare().dropped += 1;
                }
            }
        }
        queue.items.push_back(item);
        queue.bytes += len;
        if !queue.is_writing {
            wake(queue);
        }
        Ok(())
    }

    /// Closes the connection behind what is queued, with this code and reason; nothing more is taken. An event stream
    /// just ends. Without effect if it is closing already.
    ///
    /// Of a reason, 123 bytes are sent at most. With a code that may not be sent ([`CloseCode::is_allowed`]) the close frame is
    /// empty: the peer sees 1005.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) {
        let mut queue = self.shared.lock();
        if matches!(queue.ending, Ending::None) {
            queue.ending = Ending::Asked;
            queue.rare().close = sendable(code.into(), reason);
            wake(queue);
        }
    }

    /// Waits until the receiver is gone: the connection has ended, or was dropped. Cancel-safe.
    pub async fn gone(&self) {
        poll_fn(|cx| {
            let mut queue = self.shared.lock();
            if queue.is_gone {
                return Poll::Ready(());
            }
            let waiting = &mut queue.rare().waiting;
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// How many messages wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// How many messages were dropped because the receiver lagged.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.lock().rare.as_ref().map_or(0, |rare| rare.dropped)
    }

    /// Whether nothing is taken any more: the receiver is gone or closing.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        !matches!(self.shared.lock().ending, Ending::None)
    }
}

/// The receiver leaves. Payloads are freed, and tasks woken, without the lock.
fn leave<T>(mut queue: MutexGuard<'_, Queue<T>>) {
    queue.ending = Ending::Done;
    queue.is_gone = true;
    queue.bytes = 0;
    let items = core::mem::take(&mut queue.items);
    let waiting = queue.rare.as_mut().map(|rare| {
        rare.close = None;
        core::mem::take(&mut rare.waiting)
    });
    drop(queue);
    drop(items);
    waiting.into_iter().flatten().for_each(Waker::wake);
}

/// Wakes the receiver if it waits; without the lock, so that it does not run into it.
fn wake<T>(mut queue: MutexGuard<'_, Queue<T>>) {
    let waker = queue.waker.take();
    drop(queue);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).handles += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Outbox<T> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.handles -= 1;
        if queue.handles == 0 {
            wake(queue);
        }
    }
}

impl<T> fmt::Debug for Outbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// What of it may stand in a close frame (RFC 6455 5.5, 7.4): there is nobody to tell of an error, and it has to be closed.
fn sendable(code: CloseCode, reason: &str) -> Option<(CloseCode, Text)> {
    let mut end = reason.len().min(MAX_REASON_LEN);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    code.is_allowed().then(|| (code, reason.get(..end).unwrap_or_default().into()))
}

#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// What each connection with an outbox has on the heap for it, two counters of the `Arc` included.
    #[test]
    fn an_empty_queue_is_small() {
        let size = size_of::<Shared<Post>>() + 16;
        assert!(size <= 120, "{size}");
    }
}
