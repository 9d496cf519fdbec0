//! Messages taken out of an inbox in memory of their own, and the inbox's memory lent by its thread.

#[cfg(feature = "tokio")]
use super::LEAST_READ;
#[cfg(feature = "tokio")]
use super::assembly::{Announced, DIRECT, MOST_PAST, WORTH_A_LOOK};
use super::assembly::{LONG, past};
use super::{Inbox, LARGEST_KEPT, Storage};
use crate::ws::header::MAX_HEADER_LEN;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::ops::Range;

impl<S: Storage> Inbox<S> {
    /// The message that was put together apart, in memory of its size.
    pub(crate) fn take_apart(&mut self) -> Bytes {
        self.to_come.rest = 0;
        let (len, slack) = (self.apart.len(), self.apart.capacity() - self.apart.len());
        if slack > len / 8 {
            if len < LONG {
                self.took_short();
                return Bytes::copy_from_slice(&self.apart);
            }
            if slack > len {
                self.apart.shrink_to_fit();
            }
        }
        let message = Bytes::from(core::mem::take(&mut self.apart));
        self.remember(&message);
        message
    }

    /// Whether a message of `len` bytes that was set aside goes out with the storage that it lies in: a long one that fills at
    /// least half of that, and little follows it.
    #[inline]
    pub(crate) fn goes_out(&self, len: usize) -> bool {
        len >= LONG
            && self.appends
            && self.storage.capacity() / 2 <= len
            && self.end - self.read <= past(len) + MAX_HEADER_LEN
    }

    /// Whether a frame of `len` bytes waits for a read that brings all of it, to memory with which it goes out: the last long
    /// message was like it, and a longer one than a read is better looked at piece by piece.
    #[inline]
    pub(crate) fn expects(&self, len: usize) -> bool {
        let most = self.read_size.min(self.last) + MAX_HEADER_LEN;
        self.expected > 0
            && (LONG..=most).contains(&len)
            && self.last <= 2 * len
            && self.end - self.read <= past(len) + MAX_HEADER_LEN
    }

    /// A message that lies in the storage, in memory of its size.
    #[inline]
    pub(crate) fn take_received(&mut self, range: Range<usize>) -> Bytes {
        if self.goes_out(range.len())
            && let Some(memory) = self.storage.take(self.read..self.end)
        {
            return self.go_out(memory, range);
        }
        self.took_short();
        Bytes::copy_from_slice(self.bytes(range))
    }

    #[cold]
    fn go_out(&mut self, mut memory: Vec<u8>, range: Range<usize>) -> Bytes {
        let unread = self.end - self.read;
        self.start_over();
        self.end = unread;
        memory.truncate(range.end);
        let mut message = Bytes::from(memory);
        message.advance(range.start);
        self.remember(&message);
        message
    }

    /// A short message was taken out.
    #[inline(always)]
    pub(super) const fn took_short(&mut self) {
        self.expected = self.expected.saturating_sub(1);
    }

    /// The memory of a long message is used again, if it was dropped by then.
    fn remember(&mut self, message: &Bytes) {
        if (LONG..=LARGEST_KEPT).contains(&message.len()) {
            (self.taken, self.last, self.expected) = (message.clone(), message.len(), SHORT_BETWEEN);
        }
    }

    /// What lies apart from there on is no part of the message: it goes behind what was received.
    #[cfg(feature = "tokio")]
    fn move_past(&mut self, from: usize) {
        let n = self.apart.len() - from;
        self.reserve(n);
        self.storage.write(self.end, &self.apart[from..]);
        self.apart.truncate(from);
        self.filled(n);
    }
}

/// So many short messages between two long ones, and the second is not expected to be like the first any more.
const SHORT_BETWEEN: u8 = 16;

/// How many times the size of a read is read at once after a message of that length, at most.
#[cfg(feature = "tokio")]
const MOST_READS: usize = 4;

#[cfg(feature = "tokio")]
impl Inbox {
    /// Room to read into, without a value yet: appended to, and then [`appended`](Self::appended). The rest of a large
    /// frame that is to be owned goes straight into the memory of its message.
    #[inline]
    pub(crate) fn spare(&mut self) -> bytes::buf::Limit<&mut Vec<u8>> {
        if self.reads_apart() {
            return self.spare_apart();
        }
        (self.offered, self.appends) = (None, true);
        let offer = if self.waits_for_another() {
            self.offer_another()
        } else {
            if self.storage.capacity() < self.read_size && self.is_between_frames() {
                // That of a long message, and shorter ones come now.
                self.storage = Vec::new();
            }
            self.offer()
        };
        self.storage.truncate(self.end);
        bytes::BufMut::limit(&mut self.storage, offer)
    }

    /// Whether the next message may be like the last one, which was long, and next to nothing of it is there.
    #[inline]
    fn waits_for_another(&self) -> bool {
        self.expected > 0
            && self.start == self.assembled
            && self.apart.is_empty()
            && self.to_come.rest == 0
            && if self.read == self.end {
                self.needed <= 2
            } else {
                self.expects(self.end - self.read + self.needed)
            }
    }

    /// After a long message, to which the next one may be like: how much is offered to a read, so that one like it comes with
    /// one read, little with it, and needs no copy. The storage is the memory of the last one if nobody holds that any more.
    #[cold]
    fn offer_another(&mut self) -> usize {
        self.compact();
        self.give_back(self.end);
        let last = self.last;
        let wanted = (last + past(last) + MAX_HEADER_LEN).min(MOST_READS * self.read_size);
        if self.storage.capacity() < wanted.min(last + MAX_HEADER_LEN) {
            let taken = core::mem::take(&mut self.taken).try_into_mut().ok();
            let mut memory = match taken.filter(|memory| memory.capacity() >= last) {
                Some(mut memory) => {
                    memory.clear();
                    memory.into()
                }
                None => Vec::with_capacity(wanted),
            };
            memory.extend_from_slice(self.unread());
            self.storage = memory;
        }
        self.storage.capacity().min(wanted).saturating_sub(self.end)
    }

    /// What was appended to [`spare`](Self::spare) was received: how many bytes.
    #[inline]
    pub(crate) fn appended(&mut self) -> usize {
        if let Some(from) = self.offered.take() {
            return self.appended_apart(from);
        }
        let n = self.storage.len() - self.end;
        self.filled(n);
        n
    }

    /// How many bytes are worth a look while more can be read: what is needed, but no more than a read; of a large message
    /// that is read straight into its memory, what stays in the nearest cache.
    #[inline]
    pub(crate) fn worth_a_look(&self) -> usize {
        if self.reads_apart() {
            self.to_come.rest.min(WORTH_A_LOOK).saturating_sub(self.raw)
        } else {
            self.needed.clamp(1, self.read_size)
        }
    }

    /// Whether the next read goes into the memory of the message.
    #[inline]
    fn reads_apart(&self) -> bool {
        (self.straight || self.to_come.rest >= DIRECT) && self.read == self.end
    }

    fn spare_apart(&mut self) -> bytes::buf::Limit<&mut Vec<u8>> {
        let (len, rest) = (self.apart.len(), self.to_come.rest - self.raw);
        self.make_room_apart(rest.min(self.read_size), len, Announced { rest, ..self.to_come });
        (self.straight, self.offered) = (true, Some(len));
        let room = (rest + MOST_PAST).min(self.apart.capacity() - len);
        bytes::BufMut::limit(&mut self.apart, room)
    }

    fn appended_apart(&mut self, from: usize) -> usize {
        let n = self.apart.len() - from;
        let of_frame = n.min(self.to_come.rest - self.raw);
        self.raw += of_frame;
        self.needed = self.needed.saturating_sub(of_frame);
        if of_frame < n {
            self.move_past(from + of_frame);
        }
        n
    }

    /// Whether nothing is held, and nothing known of what comes next: then any inbox will do.
    #[inline]
    pub(crate) const fn is_between_frames(&self) -> bool {
        // A frame begins with two bytes.
        self.is_empty() && self.needed <= 2 && self.to_come.rest == 0
    }

    /// Goes over to another connection, with all its memory. It is empty.
    #[inline]
    pub(crate) fn start_anew(&mut self, read_size: usize) {
        debug_assert!(self.is_empty(), "nothing is lost");
        self.start_over();
        self.read_size = read_size.max(LEAST_READ);
        (self.needed, self.raw, self.to_come, self.offered) = (0, 0, Announced::default(), None);
        self.straight = false;
    }

    /// How much memory there is, in bytes.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        self.storage.capacity() + self.apart.capacity() + self.taken.len()
    }

    /// Puts memory into an inbox that has none.
    pub(crate) fn set_memory(&mut self, Memory { storage, apart, taken, last, expected }: Memory) {
        debug_assert_eq!(self.capacity(), 0, "only into an inbox without memory");
        self.storage = storage;
        (self.taken, self.last, self.expected) = (taken, last, expected);
        if self.apart.capacity() == 0 {
            self.apart = apart;
        }
    }

    /// Takes the memory out, and leaves what is held in memory of its own size, unless it is so much that it had better
    /// stay where it is.
    pub(crate) fn take_memory(&mut self) -> Option<Memory> {
        let message = self.message().len();
        if message + self.unread().len() > self.storage.capacity() / 4 {
            self.taken = Bytes::new();
            return None;
        }
        let mut held = Vec::new();
        held.extend_from_slice(&self.storage[self.message()]);
        held.extend_from_slice(self.unread());
        (self.start, self.assembled, self.read, self.end) = (0, message, message, held.len());
        let mut apart = Vec::new();
        if self.apart.is_empty() {
            self.text = 0..0;
            core::mem::swap(&mut self.apart, &mut apart);
        }
        let storage = core::mem::replace(&mut self.storage, held);
        Some(Memory {
            storage,
            apart,
            taken: core::mem::take(&mut self.taken),
            last: self.last,
            expected: self.expected,
        })
    }
}

/// The memory of an inbox.
#[cfg(feature = "tokio")]
#[derive(Debug, Default)]
pub(crate) struct Memory {
    storage: Vec<u8>,
    apart: Vec<u8>,
    taken: Bytes,
    last: usize,
    expected: u8,
}

#[cfg(all(test, feature = "tokio"))]
mod tests {
    use super::*;
    use crate::ws::header::{Header, Opcode};
    use crate::ws::mask::apply_mask;
    use crate::ws::{Connection, ConnectionOptions, Message, Negotiated, Receiver, Wanted, Whole};
    use alloc::vec;
    use bytes::BufMut;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn frame(stream: &mut Vec<u8>, fin: bool, opcode: Opcode, payload: &[u8], key: Option<[u8; 4]>) {
        let header = Header { fin, rsv: 0, opcode, mask: key, payload_len: payload.len() as u64 };
        let (head, len) = header.encode();
        stream.extend_from_slice(&head[..len]);
        let at = stream.len();
        stream.extend_from_slice(payload);
        apply_mask(&mut stream[at..], key.unwrap_or_default());
    }

    fn receiver(server: bool) -> Receiver {
        let (negotiated, config) = (Negotiated::default(), ConnectionOptions::new());
        let connection = if server {
            Connection::server(negotiated, config)
        } else {
            Connection::client(negotiated, config, || KEY)
        };
        connection.split().0
    }

    /// The next message, as over tokio: if `more` may be at hand, it may wait for that unseen.
    fn next(receiver: &mut Receiver, inbox: &mut Inbox, more: bool) -> Option<Message> {
        let found = match receiver.take_whole(inbox, more) {
            Whole::There(message) => message.map(Some),
            Whole::ToCome => Ok(None),
            Whole::Other => match receiver.go_on(inbox, Wanted::Owned) {
                Ok(Some(found)) => receiver.owned(found, inbox).map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            },
        };
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Read straight into its memory or copied there, of any length and however it is cut: the message is the same, and
    /// the next one is found behind it.
    #[test]
    fn what_is_read_straight_into_a_message_is_what_was_sent() {
        let lengths = [
            0, 1, 125, 126, 4_095, 4_096, 4_097, 5_000, 8_192, 16_383, 16_384, 16_385, 20_000, 65_535,
            65_536, 70_000,
        ];
        for (server, text) in [(true, true), (true, false), (false, true), (false, false)] {
            let key = server.then_some(KEY);
            let opcode = if text { Opcode::Text } else { Opcode::Binary };
            let (mut stream, mut sent) = (Vec::new(), Vec::new());
            for (n, len) in lengths.into_iter().enumerate() {
                let mut payload = "n\u{ef}ve \u{1f600} \u{20ac}".repeat(len / 14).into_bytes();
                payload.resize(len, b'.');
                if n % 3 == 2 {
                    let (a, b) = payload.split_at(payload.len() / 3);
                    frame(&mut stream, false, opcode, a, key);
                    frame(&mut stream, true, Opcode::Ping, b"?", key);
                    frame(&mut stream, true, Opcode::Continuation, b, key);
                } else {
                    frame(&mut stream, true, opcode, &payload, key);
                }
                sent.push(payload);
            }
            for read in [1, 7, 600, 1_460, 4_096, 5_000, 16_384, 65_536] {
                for (kept, more) in [(false, false), (true, false), (false, true), (true, true)] {
                    let mut receiver = receiver(server);
                    let (mut inbox, mut rest, mut all) = (Inbox::new(), &stream[..], Vec::new());
                    let (mut received, mut straight) = (0, 0);
                    while received < sent.len() {
                        while let Some(message) = next(&mut receiver, &mut inbox, more && rest.len() % 5 != 0)
                        {
                            if matches!(message, Message::Ping(_)) {
                                continue;
                            }
                            assert_eq!(message.payload(), sent[received], "{read}");
                            assert_eq!(message.as_text().is_some(), text);
                            received += 1;
                            if kept {
                                all.push(message);
                            }
                        }
                        let mut space = inbox.spare();
                        let n = read.min(rest.len()).min(space.remaining_mut());
                        assert!(n > 0 || received == sent.len(), "{received} {read}");
                        space.put_slice(&rest[..n]);
                        rest = &rest[n..];
                        straight += usize::from(inbox.offered.is_some());
                        assert_eq!(inbox.appended(), n);
                        let received: usize = stream.len() - rest.len();
                        assert!(inbox.apart.capacity() <= 2 * received + inbox.read_size);
                        // As a connection does that waits, now and then.
                        if n % 3 == 0
                            && let Some(memory) = inbox.take_memory()
                            && inbox.capacity() == 0
                        {
                            inbox.set_memory(memory);
                        }
                    }
                    assert!(straight > 0, "{read}");
                    for (message, sent) in all.iter().zip(&sent) {
                        assert_eq!(message.payload(), sent, "what is held is not written to");
                    }
                }
            }
        }
    }

    /// Long messages that come one behind the other, and what is left behind the last one: how many reads each took, and
    /// whether it went out with what it was read into.
    fn flow(text: bool, dropped: bool, lens: &[usize], behind: usize) -> Vec<(usize, bool)> {
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        let (mut stream, mut sent) = (Vec::new(), Vec::new());
        for len in lens {
            let payload = "\u{20ac}..".repeat(len / 5 + 1).into_bytes()[..len / 5 * 5].to_vec();
            frame(&mut stream, true, opcode, &payload, Some(KEY));
            sent.push(payload);
        }
        if behind > 0 {
            frame(&mut stream, true, opcode, &[b'-'].repeat(behind - 6), Some(KEY));
            sent.push([b'-'].repeat(behind - 6));
        }
        let (mut receiver, mut inbox) = (receiver(true), Inbox::with_read_size(2 * crate::READ_SIZE));
        let (mut rest, mut held, mut how) = (&stream[..], Vec::new(), Vec::new());
        for payload in sent {
            let mut reads = 0;
            let (message, in_storage) = loop {
                let storage = inbox.storage.as_ptr_range();
                if let Some(message) = next(&mut receiver, &mut inbox, true) {
                    let in_storage = storage.contains(&message.payload().as_ptr());
                    break (message, in_storage);
                }
                let mut space = inbox.spare();
                let n = rest.len().min(space.remaining_mut());
                space.put_slice(&rest[..n]);
                rest = &rest[n..];
                reads += 1;
                assert!(inbox.appended() == n && n > 0 && reads < 100);
            };
            assert_eq!(message.payload(), payload);
            how.push((reads, in_storage));
            if !dropped {
                held.push((message, payload));
            }
        }
        assert!(held.iter().all(|(message, payload)| message.payload() == payload), "not written to");
        how
    }

    #[test]
    fn messages_like_the_last_long_one_come_with_one_read_each_and_are_not_copied() {
        for (text, dropped) in [(true, true), (true, false), (false, true), (false, false)] {
            // The first are copied out of a read of 32 KiB, or joined; those behind them own what they came in.
            for len in [LONG + 1, 20_000, 30_000] {
                let how = flow(text, dropped, &[len; 8], 100);
                assert!(how[3..8].iter().all(|how| *how == (1, true)), "{text} {dropped} {len} {how:?}");
            }
            // Shorter than half of it, and short: not read to memory that it would hold on to.
            let how = flow(text, dropped, &[30_000, 30_000, 30_000, 14_900, 200, 30_000], 0);
            assert!(!how[3].1 && !how[4].1, "{how:?}");
        }
    }

    /// `SHORT_BETWEEN`; and at which lengths a message is like the last one.
    #[test]
    fn a_long_message_is_expected_for_a_while() {
        let mut inbox = Inbox::with_read_size(2 * crate::READ_SIZE);
        assert!(!inbox.expects(20_000));
        for _ in 0..2 {
            inbox.remember(&Bytes::from(vec![0; 20_000]));
            for left in (1..=SHORT_BETWEEN).rev() {
                assert_eq!(inbox.expected, left);
                let expected = [LONG - 1, LONG, 20_000 + MAX_HEADER_LEN, 20_000 + MAX_HEADER_LEN + 1]
                    .map(|len| inbox.expects(len));
                assert_eq!(expected, [false, true, true, false]);
                assert!(inbox.waits_for_another());
                inbox.took_short();
            }
            assert!(!inbox.expects(20_000) && !inbox.waits_for_another());
            inbox.took_short();
        }
        // Not half as long; longer than a read.
        inbox.remember(&Bytes::from(vec![0; 2 * LONG + 2]));
        assert!(!inbox.expects(LONG) && inbox.expects(LONG + 1));
        assert!(
            inbox.expects(inbox.read_size + MAX_HEADER_LEN) && !inbox.expects(2 * LONG + 2 + MAX_HEADER_LEN)
        );
    }

    /// The second of two long messages, each of which comes by itself, with something behind it: with how many reads, whether
    /// it went out with the storage, and whether what was behind it is there.
    fn second_of_two(text: bool, dropped: bool, first: usize, second: usize, behind: usize) -> (usize, bool) {
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        let mut receiver = receiver(true);
        let (mut inbox, mut held) = (Inbox::new(), Vec::new());
        let (mut reads, mut in_storage) = (0, false);
        for len in [first, second] {
            let payload = "\u{20ac}..".repeat(len / 5 + 1).into_bytes()[..len / 5 * 5].to_vec();
            let mut stream = Vec::new();
            frame(&mut stream, true, opcode, &payload, Some(KEY));
            if len == second && behind > 0 {
                frame(&mut stream, true, opcode, &[b'-'].repeat(behind - 6), Some(KEY));
            }
            let mut rest = &stream[..];
            reads = 0;
            loop {
                let storage = inbox.storage.as_ptr_range();
                if let Some(message) = next(&mut receiver, &mut inbox, false) {
                    assert_eq!(message.payload(), payload);
                    in_storage = storage.contains(&message.payload().as_ptr());
                    if !dropped {
                        held.push(message);
                    }
                    break;
                }
                let mut space = inbox.spare();
                let n = rest.len().min(space.remaining_mut());
                space.put_slice(&rest[..n]);
                rest = &rest[n..];
                reads += 1;
                assert_eq!(inbox.appended(), n);
            }
            if len == second && behind > 0 {
                assert_eq!(inbox.extend(rest), rest.len());
                let last = next(&mut receiver, &mut inbox, false);
                assert_eq!(last.as_ref().map(Message::payload), Some(&[b'-'].repeat(behind - 6)[..]));
            }
        }
        (reads, in_storage)
    }

    #[test]
    fn a_message_like_the_last_one_is_read_at_once_and_not_copied() {
        for text in [true, false] {
            for behind in [0, 6, 78] {
                assert_eq!(second_of_two(text, true, 60_000, 60_000, behind), (1, true), "{behind}");
            }
            // Too much follows it for what it would be worth to move that.
            let (reads, in_storage) = second_of_two(text, true, 60_000, 59_900, 120);
            assert!(reads == 1 && !in_storage);
            // Not longer than a read; less than half of the storage; more than there is.
            assert!(!second_of_two(text, true, 16_380, 16_380, 0).1);
            assert_eq!(second_of_two(text, true, 60_000, 29_000, 0), (1, false));
            assert_eq!(second_of_two(text, true, 60_000, 31_000, 0), (1, true));
            assert_eq!(second_of_two(text, true, 60_000, 70_000, 0), (2, false));
            // So much is not read at once.
            assert_eq!(second_of_two(text, true, 66_000, 66_000, 0), (2, true));
            // Somebody holds the first one: its memory stays as it is.
            assert_eq!(second_of_two(text, false, 60_000, 60_000, 0), (1, true));
        }
    }
}
