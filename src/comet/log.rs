//! A session's messages: numbered, bounded, kept until they are acknowledged. Knows no requests and no time.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up; cursors are checked against `newest` first"
)]

use super::script::CometMessage;
use alloc::collections::VecDeque;
use alloc::collections::vec_deque;
use core::fmt;

/// Messages numbered from 1, of which the oldest go when they are acknowledged or when there are too many.
///
/// A cursor is the number of the last message that a reader has; 0 for none.
///
/// ```
/// use pushline::comet::{Log, CometMessage};
///
/// let mut log = Log::new(2, 1000);
/// for text in ["one", "two", "three"] {
///     log.push(CometMessage::text(text))?;
/// }
/// let after_one: Vec<u64> = log.after(1).expect("still there").map(|(id, _)| id).collect();
/// assert_eq!(after_one, [2, 3]);
/// assert!(log.after(0).is_none()); // the first has fallen off
/// log.release(2);
/// assert_eq!((log.oldest(), log.newest(), log.len()), (2, 3, 1));
/// # Ok::<(), pushline::comet::TooLarge>(())
/// ```
#[derive(Clone, Debug)]
pub struct Log {
    messages: VecDeque<CometMessage>,
    newest: u64,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Log {
    /// A log of at most so many messages (at least one) with at most so many bytes, escapes included, in all.
    #[must_use]
    pub fn new(max_messages: usize, max_bytes: usize) -> Self {
        let max_messages = max_messages.max(1);
        Self { messages: VecDeque::new(), newest: 0, bytes: 0, max_messages, max_bytes }
    }

    /// The same, whose first message is numbered `cursor + 1`: a log that goes on where another ended.
    #[must_use]
    pub fn starting_at(mut self, cursor: u64) -> Self {
        self.newest = cursor + self.messages.len() as u64;
        self
    }

    /// Appends a message, and answers its number. The oldest go as needed.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], with the message in it, if it alone takes more bytes than the log may.
    pub fn push(&mut self, message: CometMessage) -> Result<u64, TooLarge> {
        if message.size() > self.max_bytes {
            return Err(TooLarge(message));
        }
        while self.messages.len() == self.max_messages || self.bytes + message.size() > self.max_bytes {
            self.pop();
        }
        self.bytes += message.size();
        self.messages.push_back(message);
        self.newest += 1;
        Ok(self.newest)
    }

    /// Drops the messages up to this number, which a reader has acknowledged.
    pub fn release(&mut self, cursor: u64) {
        while self.oldest() < cursor && !self.messages.is_empty() {
            self.pop();
        }
    }

    /// The messages after this cursor, none if it is the newest; `None` if the log cannot go on from it: some of them
    /// fell off, or it is of another log.
    #[must_use]
    pub fn after(&self, cursor: u64) -> Option<LogMessages<'_>> {
        let skip = cursor.checked_sub(self.oldest())?;
        let skip = usize::try_from(skip).ok().filter(|&skip| skip <= self.messages.len())?;
        Some(LogMessages { messages: self.messages.range(skip..), next: cursor + 1 })
    }

    /// The cursor from which all that is held can be read.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.newest - self.messages.len() as u64
    }

    /// The number of the newest message, held or not; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// How many messages are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn pop(&mut self) {
        self.bytes -= self.messages.pop_front().map_or(0, |message| message.size());
    }
}

/// Messages with their numbers, lent from a [`Log`].
///
/// ```
/// use pushline::comet::{Log, CometMessage};
///
/// let mut log = Log::new(100, 1000);
/// log.push(CometMessage::text("one"))?;
/// assert_eq!(log.after(0).into_iter().flatten().next(), Some((1, &CometMessage::text("one"))));
/// # Ok::<(), pushline::comet::TooLarge>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogMessages<'l> {
    messages: vec_deque::Iter<'l, CometMessage>,
    next: u64,
}

impl LogMessages<'_> {
    /// As many of the first as take at most so many bytes as events, but at least one.
    pub(super) fn limit(mut self, bytes: usize) -> Self {
        let mut left = bytes;
        let fitting = self.messages.clone().take_while(|message| {
            let fits = message.event_length() <= left;
            left = left.saturating_sub(message.event_length());
            fits
        });
        let count = fitting.count().max(1);
        let beyond = self.messages.len().saturating_sub(count);
        if beyond > 0 {
            self.messages.nth_back(beyond - 1);
        }
        self
    }
}

impl<'l> Iterator for LogMessages<'l> {
    type Item = (u64, &'l CometMessage);

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.messages.next()?;
        self.next += 1;
        Some((self.next - 1, message))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.messages.size_hint()
    }
}

impl ExactSizeIterator for LogMessages<'_> {}

/// A message of more bytes than a log may hold in all; here it is back.
///
/// ```
/// use pushline::comet::{Log, CometMessage, TooLarge};
///
/// let message = CometMessage::text("hello");
/// assert_eq!(Log::new(10, 6).push(message.clone()), Err(TooLarge(message)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge(pub CometMessage);

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message of {} bytes is larger than the whole log may be", self.0.size())
    }
}

impl core::error::Error for TooLarge {}
