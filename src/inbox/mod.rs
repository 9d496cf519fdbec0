//! Received bytes not yet consumed, and the message under assembly: what events borrow from. Knows
//! no frames: the parser says where a message starts, what belongs to it and what it waits for.
//!
//! ```text
//!  storage: | free again | message under assembly | free again | not yet parsed | room |
//!                    start                 assembled         read             end
//! ```
//!
//! A message that lies whole in the inbox stays where it was received. The payloads of later
//! fragments are moved down over the headers between them.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "differences of these; what is held is in memory, and twice that is less than the address space"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "start <= assembled <= read <= end <= the storage's length: only this module moves them"
)]

mod assembly;
mod owned;
mod storage;
mod text;

use assembly::MOST_PAST;
pub(crate) use assembly::{Announced, DIRECT, WORTH_UNMASKING};
pub use storage::Storage;
pub use text::Text;

use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::ops::Range;

/// Default size of a read: 16 KiB.
pub const READ_SIZE: usize = 16 * 1024;

/// The least a read is offered.
const LEAST_READ: usize = 256;

/// Memory above this is given back once a message has gone that took it.
const LARGEST_KEPT: usize = 2 << 20;

/// The bytes a connection has received and not yet consumed.
///
/// The caller owns it, reads into [`space`](Self::space), and hands it to the connection with every
/// call; events borrow from it. While it [is empty](Self::is_empty) nothing in it belongs to a
/// connection: it may be dropped, or serve another one.
///
/// It never holds more than was received: a length in a header makes it ask for more bytes
/// ([`needed`](Self::needed)), not for memory. Room grows to at most twice what is held, plus one
/// read. What a large message took is given back with the next call of [`space`](Self::space) that finds it gone and
/// nothing like it on the way: 2 MiB are kept, or a read's size if that is more, and nothing after
/// [`release_memory`](Self::release_memory). A fixed storage does not grow:
/// choose the connection's `max_message` to fit, headers and all; a message that does not is
/// [`MessageTooLarge`](crate::ws::ProtocolError::MessageTooLarge), like one over that limit.
///
/// ```
/// use pushline::Inbox;
///
/// let mut inbox = Inbox::new();
/// let mut socket: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// let n = std::io::Read::read(&mut socket, inbox.space())?;
/// inbox.filled(n);
/// assert_eq!(inbox.unread().len(), 11);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Inbox<S = Vec<u8>> {
    storage: S,
    start: usize,
    assembled: usize,
    read: usize,
    end: usize,
    needed: usize,
    read_size: usize,
    /// The message under assembly if it does not lie in the storage: because it was inflated, or is to be owned.
    apart: Vec<u8>,
    /// The last long message that was taken out of it: once its owner has dropped it, its memory is used again.
    taken: Bytes,
    /// The length of the last long message that was taken out, and after how many short ones no other is expected.
    last: usize,
    expected: u8,
    /// How many bytes at its end are as they were received.
    raw: usize,
    /// What is to follow in it of a frame, if that may be read straight into it.
    to_come: Announced,
    /// Whether that frame's rest is read straight into it: once begun, to its end.
    straight: bool,
    /// How long it was when it was offered to a read.
    #[cfg(feature = "tokio")]
    offered: Option<usize>,
    /// Whether reads append, to memory without a value: other memory for the storage then costs next to nothing.
    appends: bool,
    /// Where bytes lie that are known to be UTF-8: the front of the message under assembly, or a whole one.
    text: Range<usize>,
}

impl Inbox {
    /// An inbox without memory; the first [`space`](Self::space) takes [`READ_SIZE`].
    #[must_use]
    pub const fn new() -> Self {
        Self::with_storage(Vec::new(), READ_SIZE)
    }

    /// An inbox that offers `read_size` bytes (at least 256) to a read.
    #[must_use]
    pub const fn with_read_size(read_size: usize) -> Self {
        Self::with_storage(Vec::new(), read_size)
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Storage> Inbox<S> {
    /// An inbox over fixed memory (`[u8; N]`, `&mut [u8]`). Only what is inflated, or taken out as an owned message, is
    /// put together on the heap.
    ///
    /// ```
    /// let mut inbox = pushline::Inbox::over([0; 512]);
    /// assert_eq!(inbox.space().len(), 512);
    /// ```
    pub const fn over(storage: S) -> Self {
        Self::with_storage(storage, READ_SIZE)
    }

    const fn with_storage(storage: S, read_size: usize) -> Self {
        let read_size = if read_size < LEAST_READ { LEAST_READ } else { read_size };
        Self {
            storage,
            start: 0,
            assembled: 0,
            read: 0,
            end: 0,
            needed: 0,
            read_size,
            apart: Vec::new(),
            taken: Bytes::new(),
            last: 0,
            expected: 0,
            raw: 0,
            to_come: Announced { rest: 0, last: false },
            straight: false,
            #[cfg(feature = "tokio")]
            offered: None,
            appends: false,
            text: 0..0,
        }
    }

    /// Room to read into: never empty, unless the storage is fixed and full. After
    /// [`next_event`](crate::ws::Connection::next_event) has found nothing there is always room.
    ///
    /// Offers one read's worth; of a large frame what is missing and little more, since what is read
    /// of the next one may have to be moved.
    pub fn space(&mut self) -> &mut [u8] {
        let offer = self.offer();
        self.storage.init(self.end + offer);
        &mut self.storage.bytes_mut()[self.end..][..offer]
    }

    /// Makes room to read into: how many bytes are offered.
    #[inline]
    fn offer(&mut self) -> usize {
        if self.read == self.end && self.start == self.assembled {
            self.start_over();
        }
        let held = self.end - self.start;
        self.give_back(held);
        let little = self.read_size / 4;
        let (least, most) = if held <= little { (little, self.read_size) } else { (1, little) };
        // Moved now, while it costs nothing, and not in the middle of a large frame.
        if held <= little && self.start > 0 && self.room() < self.needed.max(least) {
            self.compact();
        }
        // A little of what is waited for: a claim is not a reason to take memory. Growing sooner, by what is then
        // short of a read, would have every read of a byte move all that is held.
        let worth = self.needed.min(little).max(least);
        if self.room() < worth {
            self.make_room(worth);
        }
        // Behind a large message that lies apart little is read: so the next one can be read straight into memory of its own.
        let most = if self.apart.len() < DIRECT || self.needed == 0 { most } else { MOST_PAST };
        self.needed.saturating_add(little / 4).max(most).min(self.room())
    }

    /// Gives the memory back if nothing is held: for a connection that goes idle. The next [`space`](Self::space)
    /// takes a read's size again.
    ///
    /// ```
    /// let mut inbox = pushline::Inbox::new();
    /// assert_eq!(inbox.space().len(), inbox.capacity());
    /// inbox.release_memory();
    /// assert_eq!(inbox.capacity(), 0);
    /// ```
    pub fn release_memory(&mut self) {
        if S::GROWS && self.is_empty() {
            self.start_over();
            self.storage.shrink(0, 0);
            (self.apart, self.taken) = (Vec::new(), Bytes::new());
        }
    }

    /// Goes over to less memory if there is much and little use for it.
    #[inline]
    fn give_back(&mut self, held: usize) {
        let kept = LARGEST_KEPT.max(self.read_size);
        if S::GROWS && self.storage.capacity() > kept {
            let used = held.saturating_add(self.needed).max(self.read_size);
            if used <= self.storage.capacity() / 4 {
                self.compact();
                self.storage.shrink(self.end, used);
            }
        }
    }

    /// `n` bytes were read into the front of [`space`](Self::space).
    ///
    /// # Panics
    ///
    /// If `n` is more than there was room for.
    #[inline]
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.storage.bytes().len() - self.end, "more bytes than there was room for");
        self.end += n;
        self.needed = self.needed.saturating_sub(n);
    }

    /// Copies received bytes in, for callers that have them in a buffer of their own.
    ///
    /// Returns how many were taken: all, unless the storage is fixed.
    #[must_use = "a fixed storage may not take all"]
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        self.reserve(bytes.len());
        let n = bytes.len().min(self.room());
        self.storage.write(self.end, &bytes[..n]);
        self.filled(n);
        n
    }

    /// Makes room for `n` bytes, if there can be.
    pub(super) fn reserve(&mut self, n: usize) {
        if self.is_empty() || self.room() < n {
            let _ = self.offer();
            if self.room() < n {
                self.make_room(n);
            }
        }
    }

    /// Whether nothing is held: no unparsed byte and no part of a message.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.read == self.end && self.start == self.assembled && self.apart.is_empty()
    }

    /// How many bytes are held: of the message under assembly and unparsed.
    #[must_use]
    #[inline]
    pub const fn held(&self) -> usize {
        (self.assembled - self.start) + (self.end - self.read) + self.apart.len()
    }

    /// The bytes that were received and not yet parsed.
    #[inline]
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.storage.bytes()[self.read..self.end]
    }

    /// Drops the next `n` unread bytes, which are for somebody else than the connection: the head of the request or
    /// response of the opening handshake, before the first frame.
    ///
    /// ```
    /// let mut inbox = pushline::Inbox::new();
    /// let _ = inbox.extend(b"GET / HTTP/1.1\r\n\r\n\x81\x82");
    /// inbox.consume(18);
    /// assert_eq!(inbox.unread(), b"\x81\x82");
    /// ```
    ///
    /// # Panics
    ///
    /// If fewer than `n` bytes are unread.
    pub const fn consume(&mut self, n: usize) {
        assert!(n <= self.end - self.read, "more bytes than are unread");
        self.read += n;
        // Part of no message: the next one starts behind them.
        if self.start == self.assembled {
            (self.start, self.assembled) = (self.read, self.read);
        }
    }

    /// How many bytes are still needed, at least, before there can be another event: 0 if that is
    /// not known (the parser has not looked at all that is here).
    ///
    /// While it is not 0 and the transport has more at hand, it pays to read on, up to some 16 KiB, and to look at all of that
    /// together. Before a host waits it looks: text may be bad already.
    ///
    /// ```
    /// use std::io::{self, Read};
    ///
    /// /// Reads from a socket that does not block.
    /// fn fill(socket: &mut impl Read, inbox: &mut pushline::Inbox) -> io::Result<usize> {
    ///     let mut received = 0;
    ///     while received == 0 || (inbox.needed() > 0 && received < 16 * 1024) {
    ///         match socket.read(inbox.space()) {
    ///             Ok(0) => break,
    ///             Ok(n) => {
    ///                 inbox.filled(n);
    ///                 received += n;
    ///             }
    ///             Err(error) if error.kind() == io::ErrorKind::WouldBlock && received > 0 => break,
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     Ok(received)
    /// }
    /// # let mut inbox = pushline::Inbox::new();
    /// # assert_eq!(fill(&mut &b"\x81\x00"[..], &mut inbox)?, 2);
    /// # Ok::<(), io::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub const fn needed(&self) -> usize {
        self.needed
    }

    /// How much memory there is for what is received next, in bytes.
    #[must_use]
    #[inline]
    pub fn capacity(&self) -> usize {
        self.storage.capacity() + self.taken.len()
    }

    /// Drops everything that was received.
    pub fn clear(&mut self) {
        (self.apart, self.raw, self.to_come) = (Vec::new(), 0, Announced::default());
        self.straight = false;
        self.taken = Bytes::new();
        self.start_over();
        self.needed = 0;
    }

    /// Whether nothing more can be received before something has been consumed: fixed and full.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        !S::GROWS && (self.assembled - self.start) + (self.end - self.read) == self.storage.capacity()
    }

    #[inline]
    fn start_over(&mut self) {
        (self.start, self.assembled, self.read, self.end) = (0, 0, 0, 0);
        if self.apart.is_empty() {
            self.text = 0..0;
        }
    }

    /// Bytes of room behind what is held.
    #[inline]
    fn room(&self) -> usize {
        self.storage.capacity() - self.end
    }

    /// Moves what is held to the front and grows until `worth` bytes fit behind it.
    #[cold]
    fn make_room(&mut self, worth: usize) {
        self.compact();
        if self.room() < worth || self.end > self.storage.capacity() / 2 {
            // Doubling keeps the moves linear in the bytes received; at the end of a large frame a quarter does, too.
            let wanted = self.end.saturating_add(self.needed).saturating_add(self.read_size / 4);
            let twice = if self.needed > 0 {
                wanted.clamp(self.end + self.end / 4, 2 * self.end)
            } else {
                2 * self.end
            };
            self.storage.grow(twice.max(self.end + worth).max(self.read_size));
        }
    }

    /// Moves what is held to the front.
    #[cold]
    fn compact(&mut self) {
        let (start, message) = (self.start, self.assembled - self.start);
        let (read, unread) = (self.read, self.end - self.read);
        let bytes = self.storage.bytes_mut();
        // A message that fills a fixed storage is not moved onto itself with every read.
        if start != 0 {
            bytes.copy_within(start..start + message, 0);
        }
        if read != message {
            bytes.copy_within(read..read + unread, message);
        }
        if self.apart.is_empty() {
            self.text = if self.text.start == start { 0..self.text.end.saturating_sub(start) } else { 0..0 };
        }
        (self.start, self.assembled, self.read, self.end) = (0, message, message, message + unread);
    }
}

impl<S> fmt::Debug for Inbox<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("message", &(self.assembled - self.start))
            .field("unread", &(self.end - self.read))
            .field("needed", &self.needed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_inbox_starts_over() {
        let mut inbox = Inbox::with_read_size(256);
        for _ in 0..1_000 {
            assert_eq!(inbox.extend(&[7; 100]), 100);
            inbox.consume(100);
            inbox.release(0);
        }
        assert_eq!(inbox.capacity(), 256);
    }

    #[test]
    fn what_is_consumed_is_part_of_no_message() {
        let mut inbox = Inbox::new();
        assert_eq!(inbox.extend(b"head and frame"), 14);
        inbox.consume(9);
        assert_eq!((inbox.unread(), inbox.held()), (&b"frame"[..], 5));
        inbox.assemble(5, None, false, None);
        assert_eq!(inbox.bytes(inbox.message()), b"frame");
        inbox.consume(0);
        assert_eq!(inbox.bytes(inbox.message()), b"frame");
        inbox.release(0);
        assert!(inbox.is_empty());
    }

    #[test]
    fn room_grows_with_what_was_received_only() {
        let mut inbox = Inbox::with_read_size(256);
        inbox.release(0);
        inbox.need(usize::MAX);
        let mut received = 0;
        while received < 100_000 {
            let n = inbox.space().len().min(97);
            assert!(n > 0);
            inbox.filled(n);
            received += n;
            inbox.assemble(n, None, false, None);
            inbox.need(usize::MAX);
            assert!(inbox.capacity() <= 2 * received + 512, "{} for {received}", inbox.capacity());
        }
        assert_eq!(inbox.message().len(), received);
    }

    #[test]
    fn a_read_stops_at_the_end_of_a_large_frame() {
        let mut inbox = Inbox::with_read_size(256);
        inbox.release(0);
        inbox.need(300);
        let room = inbox.space().len();
        assert!(room <= 300);
        inbox.filled(room);
        assert_eq!(inbox.needed(), 300 - room);
    }

    #[test]
    fn little_is_read_past_a_large_frame_and_little_moved() {
        const FRAME: usize = 5_000;
        let mut inbox = Inbox::with_read_size(1024);
        let (mut remaining, mut moved) = (FRAME, 0);
        for _ in 0..100 {
            inbox.need(remaining - inbox.unread().len());
            let (needed, at) = (inbox.needed(), inbox.end);
            let room = inbox.space().len();
            assert!(room <= (needed + 64).max(1024), "{room} offered for {needed}");
            if inbox.end < at {
                moved = moved.max(inbox.end);
            }
            inbox.filled(room);
            while inbox.unread().len() >= remaining {
                inbox.consume(remaining);
                inbox.release(0);
                remaining = FRAME;
            }
        }
        assert!(moved <= 1024, "{moved} bytes moved at once");
    }

    /// `LARGEST_KEPT`: kept to the byte; more goes once it is not used, nor about to be.
    #[test]
    fn the_memory_of_large_messages_is_given_back() {
        for (size, kept) in [(LARGEST_KEPT - 1, true), (LARGEST_KEPT, true), (LARGEST_KEPT + 1, false)] {
            for read_size in [256, READ_SIZE, 2 * LARGEST_KEPT] {
                let mut inbox = Inbox::with_read_size(read_size);
                inbox.storage.reserve_exact(size);
                let capacity = inbox.capacity();
                let _ = inbox.space();
                let expected = if kept || read_size > size { capacity } else { read_size };
                assert_eq!(inbox.capacity(), expected, "{size} {read_size}");
            }
        }
        let message = alloc::vec![7; 16 << 20];
        let mut inbox = Inbox::new();
        for piece in message.chunks(1 << 16) {
            assert_eq!(inbox.extend(piece), piece.len());
        }
        inbox.assemble(16 << 20, None, false, None);
        inbox.release(0);
        // The next one is announced, and then is not so large.
        inbox.need(8 << 20);
        assert_eq!(inbox.extend(b"head"), 4);
        let _ = inbox.space();
        assert!(inbox.capacity() >= 16 << 20, "used again soon");
        inbox.need(100);
        let _ = inbox.space();
        assert!(inbox.capacity() <= LARGEST_KEPT, "{}", inbox.capacity());
        assert_eq!(inbox.unread(), b"head");
    }

    #[test]
    fn a_fixed_storage_fills_up() {
        let mut inbox = Inbox::over([0; 8]);
        assert_eq!(inbox.extend(b"0123456789"), 8);
        assert!(inbox.space().is_empty());
        inbox.consume(6);
        inbox.release(0);
        assert_eq!(inbox.space().len(), 6);
        assert_eq!(inbox.unread(), b"67");
    }
}
