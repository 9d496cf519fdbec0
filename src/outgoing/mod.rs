//! Bytes waiting to be written: small ones coalesced in one buffer, large ones by reference, urgent
//! ones ahead of whatever has not begun. Knows no frames: the caller says what belongs together.
//!
//! The queue is a list of *runs*. A run is a stretch of the buffer, perhaps with a shared payload
//! behind it; it starts and ends where something urgent may come between. The last run is open and
//! has no entry in the list, so that small writes touch nothing but the buffer; the list is made when it is needed.
#![allow(clippy::indexing_slicing, reason = "runs of the buffer that this file keeps count of")]

mod urgent;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::ops::ControlFlow;
use urgent::Urgent;

/// A run is ended at this length, so that urgent bytes do not wait behind a long one.
const LONGEST_RUN: usize = 16 * 1024;

/// A buffer that has grown above this is not kept once it is empty: room for one message of 1 MiB and more.
const LARGEST_KEPT: usize = 2 * 1024 * 1024;

/// The bytes that a connection wants to have written, as a `bytes::Buf`: write
/// [`chunk`](Buf::chunk) (or all of `chunks_vectored` in one call), then [`advance`](Buf::advance).
///
/// ```
/// use bytes::Buf;
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated};
///
/// let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
/// connection.send("Hello")?;
/// let outgoing = connection.outgoing();
/// assert_eq!(outgoing.chunk(), b"\x81\x05Hello");
/// outgoing.advance(7);
/// assert!(!outgoing.has_remaining());
/// # Ok::<(), pushline::ws::UsageError>(())
/// ```
#[derive(Debug, Default)]
pub struct Outgoing {
    buffers: Buffers,
    /// Bytes of `buffer` that were written.
    at: usize,
    /// Bytes of the open run, at the end of `buffer`.
    open: usize,
    /// Whether the first run has begun to be written.
    begun: bool,
    /// Bytes in all the runs.
    queued: usize,
}

/// The memory of an [`Outgoing`], to be passed on to another one while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    buffer: Vec<u8>,
    apart: Option<Box<Apart>>,
}

/// What most connections have nothing of.
#[derive(Debug, Default)]
struct Apart {
    runs: VecDeque<Run>,
    urgent: Urgent,
}

impl Buffers {
    /// Whether there is but one stretch of the buffer, all of it in the open run: as with small messages.
    #[inline]
    fn is_plain(&self) -> bool {
        self.apart.as_ref().is_none_or(|apart| apart.runs.is_empty() && apart.urgent.is_empty())
    }

    #[inline]
    fn has_runs(&self) -> bool {
        self.apart.as_ref().is_some_and(|apart| !apart.runs.is_empty())
    }

    #[inline]
    fn urgent(&self) -> Option<&Urgent> {
        self.apart.as_ref().map(|apart| &apart.urgent).filter(|urgent| !urgent.is_empty())
    }

    fn apart(&mut self) -> &mut Apart {
        self.apart.get_or_insert_default()
    }
}

#[cfg(feature = "tokio")]
impl Buffers {
    pub(crate) const fn new() -> Self {
        Self { buffer: Vec::new(), apart: None }
    }

    #[inline]
    fn has_memory(&self) -> bool {
        self.buffer.capacity() != 0 || self.apart.is_some()
    }

    /// The memory that small items are put together in.
    #[inline]
    pub(crate) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes of memory, about.
    #[inline]
    fn capacity(&self) -> usize {
        self.buffer.capacity() + self.apart.as_ref().map_or(0, |apart| apart.capacity())
    }
}

#[cfg(feature = "tokio")]
impl Apart {
    fn capacity(&self) -> usize {
        size_of::<Self>() + self.urgent.capacity() + self.runs.capacity() * size_of::<Run>()
    }
}

#[derive(Debug)]
struct Run {
    inline: usize,
    shared: Bytes,
}

impl Outgoing {
    /// How many bytes are queued, urgent ones included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.queued + self.urgent_len()
    }

    /// Whether nothing is queued.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives the memory back if nothing is queued: for a connection that goes idle.
    ///
    /// Memory is otherwise kept for the next message; it is bounded by what was queued at most.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.buffers = Buffers::default();
        }
    }

    /// How many bytes are queued, urgent ones left out.
    #[inline]
    pub(crate) const fn ordinary_len(&self) -> usize {
        self.queued
    }

    /// How many urgent bytes are queued, the replaceable ones included.
    #[inline]
    pub(crate) fn urgent_len(&self) -> usize {
        self.buffers.apart.as_ref().map_or(0, |apart| apart.urgent.len())
    }

    /// Whether an urgent item that is not replaceable is queued, or its end.
    #[inline]
    pub(crate) const fn holds_urgent(&self) -> bool {
        match &self.buffers.apart {
            Some(apart) => apart.urgent.holds_items(),
            None => false,
        }
    }

    /// Appends bytes that stay together. `head` and `body` are one item; both are copied.
    #[inline(always)] // the head is most often of a length that is known
    pub(crate) fn push(&mut self, head: &[u8], body: &[u8]) {
        let buffer = self.open_run(head.len() + body.len());
        buffer.extend_from_slice(head);
        buffer.extend_from_slice(body);
    }

    /// Puts bytes into an empty queue that nothing overtakes, urgent or not.
    pub(crate) fn push_first(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "only into an empty queue");
        self.push(bytes, &[]);
        // As what has begun to be written.
        self.begun = true;
    }

    /// Puts into an empty queue what is left of an item of which `taken` bytes were written. The item is all of `bytes`,
    /// which are exchanged for memory without anything in it.
    pub(crate) fn push_rest(&mut self, bytes: &mut Vec<u8>, taken: usize) {
        debug_assert!(self.is_empty() && taken <= bytes.len(), "only into an empty queue");
        core::mem::swap(&mut self.buffers.buffer, bytes);
        self.at = taken;
        self.open = self.buffers.buffer.len() - taken;
        self.queued = self.open;
        self.begun = taken > 0;
        if self.queued == 0 {
            self.emptied();
        }
    }

    /// The memory of an empty queue.
    pub(crate) fn memory(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.is_empty(), "only of an empty queue");
        &mut self.buffers.buffer
    }

    /// Of what was queued into an empty queue so many bytes were written before: nothing overtakes what has begun.
    pub(crate) const fn begin(&mut self, taken: usize) {
        self.begun = taken > 0 && self.queued > 0;
    }

    /// Appends bytes that stay together: `head` is copied, `body` goes by reference.
    pub(crate) fn push_shared(&mut self, head: &[u8], body: Bytes) {
        self.open_run(head.len()).extend_from_slice(head);
        self.queued += body.len();
        let run = Run { inline: core::mem::take(&mut self.open), shared: body };
        self.buffers.apart().runs.push_back(run);
    }

    /// Queues an item ahead of every run that has not begun, and of the replaceable item.
    pub(crate) fn push_urgent(&mut self, item: &[u8]) {
        self.buffers.apart().urgent.push(item);
    }

    /// As [`push_urgent`](Self::push_urgent), in the place of the last item queued by this call if
    /// that one has not begun to be written.
    pub(crate) fn replace_urgent(&mut self, item: &[u8]) {
        self.buffers.apart().urgent.replace(item);
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is memory for buffers.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn has_memory(&self) -> bool {
        self.buffers.has_memory()
    }

    /// Puts memory into an empty queue, in exchange for its own.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn swap_memory(&mut self, buffers: &mut Buffers) {
        debug_assert!(self.is_empty(), "only of an empty queue");
        core::mem::swap(&mut self.buffers, buffers);
    }

    /// Bytes of memory, about.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.buffers.capacity()
    }

    /// Makes ready for an item of `len` bytes of the buffer, which is returned with room for them.
    #[inline]
    pub(crate) fn open_run(&mut self, len: usize) -> &mut Vec<u8> {
        if self.open >= LONGEST_RUN
            || self.at >= LONGEST_RUN
            || (self.begun && self.buffers.urgent().is_some())
        {
            self.end_run();
        }
        self.open += len;
        self.queued += len;
        self.buffers.buffer.reserve(len);
        &mut self.buffers.buffer
    }

    /// Ends the open run and drops what was written, if either is due.
    #[inline(never)]
    fn end_run(&mut self) {
        // A run that has begun must not go on growing in front of something urgent.
        let ahead = self.begun && !self.buffers.has_runs() && self.buffers.urgent().is_some();
        if self.open >= LONGEST_RUN || ahead {
            let run = Run { inline: core::mem::take(&mut self.open), shared: Bytes::new() };
            self.buffers.apart().runs.push_back(run);
        }
        if self.at >= LONGEST_RUN && self.at >= self.buffers.buffer.len() / 2 {
            // Linear in all: each move is paid for by as many bytes written since the last.
            self.buffers.buffer.drain(..self.at);
            self.at = 0;
        }
    }

    /// Whether the urgent bytes go first: between two runs, and on once begun.
    #[inline]
    const fn goes_first(&self, urgent: &Urgent) -> bool {
        !self.begun || urgent.has_begun()
    }

    /// Calls `take` with the pieces in the order in which they leave, until it has had enough.
    #[inline]
    fn pieces<'a>(&'a self, mut take: impl FnMut(&'a [u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        let mut take =
            |piece: &'a [u8]| if piece.is_empty() { ControlFlow::Continue(()) } else { take(piece) };
        let mut rest = &self.buffers.buffer[self.at..];
        let Some(apart) = &self.buffers.apart else { return take(rest) };
        let mut urgent = apart.urgent.left();
        if self.goes_first(&apart.urgent) {
            take(core::mem::take(&mut urgent))?;
        }
        for run in &apart.runs {
            let (inline, behind) = rest.split_at(run.inline);
            rest = behind;
            take(inline)?;
            take(&run.shared)?;
            take(core::mem::take(&mut urgent))?;
        }
        take(rest)?;
        take(urgent)
    }

    /// Takes up to `n` bytes off the first run; what is left of `n`.
    fn advance_run(&mut self, n: usize) -> usize {
        let mut runs = self.buffers.apart.as_mut().map(|apart| &mut apart.runs);
        let (inline, shared) = match runs.as_mut().and_then(|runs| runs.front_mut()) {
            Some(run) => (&mut run.inline, Some(&mut run.shared)),
            None => (&mut self.open, None),
        };
        let first = n.min(*inline);
        *inline -= first;
        self.at += first;
        let second = shared.as_ref().map_or(0, |shared| shared.len().min(n - first));
        let mut done = *inline == 0;
        if let Some(shared) = shared {
            shared.advance(second);
            done &= shared.is_empty();
        }
        self.queued -= first + second;
        self.begun = !done;
        if done && let Some(runs) = runs {
            runs.pop_front();
        }
        if self.queued == 0 {
            self.emptied();
        }
        n - first - second
    }

    /// All that is not urgent was written.
    #[inline]
    fn emptied(&mut self) {
        self.buffers.buffer.clear();
        if self.buffers.buffer.capacity() > LARGEST_KEPT {
            self.buffers.buffer = Vec::new();
        }
        (self.at, self.open, self.queued, self.begun) = (0, 0, 0, false);
    }
}

impl Buf for Outgoing {
    #[inline]
    fn remaining(&self) -> usize {
        self.len()
    }

    #[inline]
    fn chunk(&self) -> &[u8] {
        if self.buffers.is_plain() {
            return &self.buffers.buffer[self.at..];
        }
        let mut chunk = &[][..];
        let _ = self.pieces(|piece| {
            chunk = piece;
            ControlFlow::Break(())
        });
        chunk
    }

    /// # Panics
    ///
    /// If `n` is more than is queued.
    #[inline]
    fn advance(&mut self, mut n: usize) {
        assert!(n <= self.len(), "cannot advance past what is queued");
        if n == self.open && self.buffers.is_plain() {
            return self.emptied();
        }
        while n > 0 {
            let first = self.buffers.urgent().is_some_and(|urgent| self.goes_first(urgent));
            n = match &mut self.buffers.apart {
                Some(apart) if first => apart.urgent.advance(n),
                _ => self.advance_run(n),
            };
        }
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut count = 0;
        let _ = self.pieces(|piece| {
            let Some(slice) = slices.get_mut(count) else { return ControlFlow::Break(()) };
            *slice = std::io::IoSlice::new(piece);
            count += 1;
            ControlFlow::Continue(())
        });
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes `n` bytes off the front, by chunks.
    fn write(outgoing: &mut Outgoing, mut n: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while n > 0 && outgoing.has_remaining() {
            let len = outgoing.chunk().len().min(n);
            assert!(len > 0);
            written.extend_from_slice(&outgoing.chunk()[..len]);
            outgoing.advance(len);
            n -= len;
        }
        written
    }

    #[test]
    fn nothing_overtakes_the_first_bytes() {
        let mut outgoing = Outgoing::default();
        outgoing.push_first(b"101 ");
        outgoing.push_urgent(b"ping ");
        outgoing.push(b"", b"message ");
        assert_eq!(write(&mut outgoing, 2), b"10");
        outgoing.replace_urgent(b"pong ");
        assert_eq!(write(&mut outgoing, 99), b"1 ping pong message ");
        outgoing.push(b"", b"message ");
        outgoing.push_urgent(b"ping ");
        assert_eq!(write(&mut outgoing, 99), b"ping message ", "once they are gone, all is as ever");
    }

    #[test]
    fn urgent_bytes_overtake_what_has_not_begun() {
        let mut outgoing = Outgoing::default();
        outgoing.push_shared(b"<1", Bytes::from_static(b"11>"));
        outgoing.push(b"<2", b"2>");
        assert_eq!(write(&mut outgoing, 1), b"<");
        outgoing.push_urgent(b"!");
        assert_eq!(write(&mut outgoing, 100), b"111>!<22>");
        outgoing.push(b"<3", b"3>");
        outgoing.push_urgent(b"!");
        assert_eq!(write(&mut outgoing, 100), b"!<33>");
    }

    #[test]
    fn the_last_replaceable_item_wins_until_it_has_begun() {
        let mut outgoing = Outgoing::default();
        outgoing.replace_urgent(b"[a]");
        outgoing.replace_urgent(b"[b]");
        assert_eq!(write(&mut outgoing, 1), b"[");
        outgoing.replace_urgent(b"[c]");
        outgoing.replace_urgent(b"[d]");
        outgoing.push_urgent(b"!");
        outgoing.replace_urgent(b"[e]");
        assert_eq!(write(&mut outgoing, 100), b"b]![e]");
        outgoing.replace_urgent(b"[f]");
        assert_eq!(write(&mut outgoing, 100), b"[f]");
    }

    #[test]
    fn a_replaceable_item_is_replaced_behind_what_is_urgent_too() {
        let mut outgoing = Outgoing::default();
        outgoing.replace_urgent(b"[a]");
        outgoing.push_urgent(b"!");
        outgoing.push_urgent(b"?");
        outgoing.replace_urgent(b"[b]");
        assert_eq!(write(&mut outgoing, 100), b"!?[b]");
    }

    #[test]
    fn a_writer_that_always_stops_inside_an_urgent_item_does_not_make_it_grow() {
        let mut outgoing = Outgoing::default();
        let items: [&[u8]; 2] = [b"[abcdefgh]", b"<12345678>"];
        outgoing.replace_urgent(items[1]);
        for n in 0..10_000 {
            let before = write(&mut outgoing, 5);
            assert_eq!(before, items[(n + 1) % 2][..5]);
            outgoing.replace_urgent(items[n % 2]);
            let after = write(&mut outgoing, 5);
            assert_eq!(after, items[(n + 1) % 2][5..]);
        }
        assert_eq!(outgoing.len(), 10);
        assert!(outgoing.buffers.apart().urgent.capacity() <= 4 * urgent::SLACK);
    }

    #[test]
    fn a_reader_that_never_catches_up_does_not_make_the_buffer_grow() {
        let mut outgoing = Outgoing::default();
        outgoing.push(&[0; 1000], &[0; 1000]);
        for _ in 0..10_000 {
            outgoing.push(&[0; 1000], &[0; 1000]);
            assert_eq!(write(&mut outgoing, 2000).len(), 2000);
        }
        assert_eq!(outgoing.len(), 2000);
        assert!(outgoing.buffers.buffer.capacity() < 128 * 1024);
    }

    #[test]
    fn urgent_bytes_do_not_starve_behind_a_run_that_goes_on_growing() {
        let mut outgoing = Outgoing::default();
        outgoing.push(b"<", b">");
        assert_eq!(write(&mut outgoing, 1), b"<");
        outgoing.push_urgent(b"!");
        for _ in 0..10 {
            outgoing.push(b"<", b">");
        }
        assert_eq!(write(&mut outgoing, 3), b">!<");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize),
        Shared(usize),
        Urgent(usize),
        Write(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (2_usize..9_000).prop_map(Op::Push),
            (2_usize..9_000).prop_map(Op::Shared),
            (2_usize..100).prop_map(Op::Urgent),
            (1_usize..20_000).prop_map(Op::Write),
        ]
    }

    proptest! {
        /// Against the naive twin: a list of items, of which an urgent one may come before each
        /// ordinary one. Every item leaves whole, in order, and is counted.
        #[test]
        fn items_leave_whole_and_in_order(ops in proptest::collection::vec(op(), 1..60)) {
            let mut outgoing = Outgoing::default();
            let (mut written, mut expected) = (Vec::new(), [Vec::new(), Vec::new()]);
            let mut queued = 0;
            for (n, op) in ops.iter().enumerate() {
                let item = |urgent: u8, len: usize| {
                    let mut item = alloc::vec![n as u8; len];
                    item[0] = urgent;
                    item
                };
                match *op {
                    Op::Push(len) => {
                        let item = item(0, len);
                        outgoing.push(&item[..1], &item[1..]);
                        expected[0].push(item);
                        queued += len;
                    }
                    Op::Shared(len) => {
                        let item = item(0, len);
                        outgoing.push_shared(&item[..1], Bytes::copy_from_slice(&item[1..]));
                        expected[0].push(item);
                        queued += len;
                    }
                    Op::Urgent(len) => {
                        let item = item(1, len);
                        outgoing.push_urgent(&item);
                        expected[1].push(item);
                        queued += len;
                    }
                    Op::Write(len) => {
                        let bytes = write(&mut outgoing, len);
                        queued -= bytes.len();
                        written.extend(bytes);
                    }
                }
                prop_assert_eq!(outgoing.len(), queued);
                let mut pieces = 0;
                let _ = outgoing.pieces(|piece| {
                    pieces += piece.len();
                    ControlFlow::Continue(())
                });
                prop_assert_eq!(pieces, queued);
            }
            written.extend(write(&mut outgoing, usize::MAX));
            let mut rest = &written[..];
            let mut left = expected.map(VecDeque::from);
            while let Some(&kind) = rest.first() {
                let item = left[usize::from(kind)].pop_front().expect("an item of this kind");
                prop_assert!(rest.starts_with(&item));
                rest = &rest[item.len()..];
            }
            prop_assert!(left.iter().all(VecDeque::is_empty));
        }
    }
}
