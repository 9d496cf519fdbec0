//! A message that goes straight to the transport: while nothing is queued, it needs no queue. What the transport does not
//! take is queued.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums of lengths of what is in memory; a transport takes no more than it is given"
)]

use super::Sender;
use super::frame::{BY_REFERENCE, MAX_SHORT_FRAME, PLAIN, append, append_payload};
use crate::ws::error::UsageError;
use crate::ws::header::{Header, MAX_CONTROL_LEN, Opcode};
use crate::ws::mask::{apply_mask, rotate};
use crate::ws::message::Message;
use crate::ws::outbound::Outbound;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// How much of a long message is masked before it is handed over: what stays in a near cache until it is written.
const CHUNK: usize = 64 * 1024;

/// Lends memory to put a frame together in, with nothing in it.
pub(crate) type Memory = fn(&mut dyn FnMut(&mut Vec<u8>));

/// How frames are handed to a transport.
#[derive(Clone, Copy)]
pub(crate) struct Handover {
    /// From this length of the payload on in two pieces, the second where the payload lies.
    pub(crate) pieces_from: usize,
    /// Where those that are copied are put together; without it in the queue, which is empty.
    pub(crate) memory: Option<Memory>,
}

impl Handover {
    /// For a transport that takes several pieces with a system call, or does not.
    #[cfg(feature = "tokio")]
    pub(crate) const fn by_system_calls(vectored: bool, memory: Memory) -> Self {
        Self { pieces_from: if vectored { BY_REFERENCE } else { usize::MAX }, memory: Some(memory) }
    }
}

impl Sender {
    /// As [`send`](Self::send), and written at once if nothing is queued: then a server's message need not be copied.
    ///
    /// `write` is called with a whole frame, and says how many of its bytes the transport has taken; what it has not taken is
    /// queued. Of a frame that is masked or copied, 64 KiB of payload are at a time, each with a call of its own, until one takes less
    /// than it is given. It is not called, and the message is queued, if something is queued already, and for what is compressed, sent in
    /// fragments, or a control message: then write what is [`outgoing`](Self::outgoing).
    ///
    /// From `pieces_from` bytes of payload on, at least 126, a frame is handed over in two pieces, its header and the payload where
    /// it lies: a server's, and a client's whose payload nobody else holds, since that is masked in place. All others come in
    /// one piece, and the second is empty. What to choose depends on what a second piece costs: `usize::MAX` if the transport takes
    /// only one; 4096 for a socket, where a system call that takes two costs as much more as copying that many bytes; 0 in memory.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send); `write` was not called then.
    ///
    /// ```
    /// use pushline::ws::{Connection, ConnectionOptions, Negotiated};
    ///
    /// let (_, mut sender) = Connection::server(Negotiated::default(), ConnectionOptions::new()).split();
    /// let mut transport = Vec::new();
    /// let message = "a long message ".repeat(1_000);
    /// sender.send_through(&message, 4096, |header, payload| {
    ///     assert_eq!(payload.as_ptr(), message.as_ptr()); // not copied
    ///     transport.extend_from_slice(header);
    ///     transport.extend_from_slice(payload);
    ///     header.len() + payload.len()
    /// })?;
    /// assert_eq!((transport.len(), sender.queued()), (15_004, 0));
    /// # Ok::<(), pushline::ws::UsageError>(())
    /// ```
    #[inline]
    pub fn send_through<'a>(
        &mut self,
        message: impl Into<Outbound<'a>>,
        pieces_from: usize,
        mut write: impl FnMut(&[u8], &[u8]) -> usize,
    ) -> Result<(), UsageError> {
        self.hand_over(
            &mut Some(message.into()),
            true,
            Handover { pieces_from, memory: None },
            |first, second| write(first, second).min(first.len() + second.len()),
        )
    }

    /// As [`send_from`](Self::send_from), written at once if nothing is queued: see [`send_through`](Self::send_through).
    #[inline]
    pub(crate) fn hand_over(
        &mut self,
        place: &mut Option<Outbound<'_>>,
        compress: bool,
        Handover { pieces_from, memory }: Handover,
        mut write: impl FnMut(&[u8], &[u8]) -> usize,
    ) -> Result<(), UsageError> {
        let (opcode, payload) = match &*place {
            Some(Outbound::Text(text)) => (Opcode::Text, text.as_bytes()),
            Some(Outbound::Binary(payload)) => (Opcode::Binary, *payload),
            Some(Outbound::Message(Message::Text(text))) => (Opcode::Text, text.as_bytes()),
            Some(Outbound::Message(Message::Binary(payload))) => (Opcode::Binary, &payload[..]),
            Some(Outbound::Prepared(prepared)) => (prepared.opcode(), prepared.payload()),
            _ => return self.send_from(place, compress),
        };
        let len = payload.len();
        if !self.outgoing.is_empty() || len > self.fragment_size || (compress && self.compresses(len)) {
            return self.send_from(place, compress);
        }
        self.check_data(len)?;
        let prepared = self.keys.is_none() && matches!(place, Some(Outbound::Prepared(_)));
        if len <= MAX_CONTROL_LEN && !prepared {
            let mut frame = [0; MAX_SHORT_FRAME];
            let frame = self.short_frame(opcode, payload, &mut frame);
            let taken = write(frame, &[]);
            if taken < frame.len() {
                self.queue_copy(&frame[taken..], &[], taken);
            }
            *place = None;
            return Ok(());
        }
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        let header = Header { fin: true, rsv: PLAIN, opcode, mask, payload_len: len as u64 };
        match mask {
            // From where it lies.
            None if prepared || len >= pieces_from => {
                let (head, head_len) = header.encode();
                let taken = match &*place {
                    Some(Outbound::Prepared(prepared)) => write(prepared.frame(), &[]),
                    _ => write(&head[..head_len], payload),
                };
                if taken < head_len + len {
                    self.queue_rest(&head[..head_len], place.take(), taken);
                }
            }
            Some(key) if len >= pieces_from => {
                self.send_masked(&header, key, place, memory, &mut write);
            }
            _ => self.send_copy(&header, payload, memory, &mut write),
        }
        *place = None;
        Ok(())
    }

    /// Writes a copy, masked if that is to be.
    fn send_copy(
        &mut self,
        header: &Header,
        payload: &[u8],
        memory: Option<Memory>,
        write: &mut dyn FnMut(&[u8], &[u8]) -> usize,
    ) {
        let Some(memory) = memory else {
            let mut own = core::mem::take(self.outgoing.memory());
            self.copy_through(header, payload, &mut own, write);
            if self.outgoing.is_empty() {
                own.clear();
                *self.outgoing.memory() = own;
            }
            return;
        };
        memory(&mut |copy| self.copy_through(header, payload, copy, write));
    }

    /// Writes a copy through memory without anything in it.
    #[inline]
    fn copy_through(
        &mut self,
        header: &Header,
        payload: &[u8],
        copy: &mut Vec<u8>,
        write: &mut dyn FnMut(&[u8], &[u8]) -> usize,
    ) {
        let mask = header.mask;
        let (chunk, mut rest) = payload.split_at(payload.len().min(CHUNK));
        append(copy, header, chunk);
        let (mut at, mut begun) = (chunk.len(), 0);
        loop {
            let taken = write(copy, &[]);
            if taken < copy.len() {
                append_payload(copy, mask.map(|key| rotate(key, at)), rest);
                self.outgoing.push_rest(copy, taken);
                return self.outgoing.begin(begun + taken);
            }
            if rest.is_empty() {
                return;
            }
            begun += taken;
            copy.clear();
            let (chunk, behind) = rest.split_at(rest.len().min(CHUNK));
            append_payload(copy, mask.map(|key| rotate(key, at)), chunk);
            (at, rest) = (at + chunk.len(), behind);
        }
    }

    /// Writes a long message masked: in place if nobody else holds the payload.
    fn send_masked(
        &mut self,
        header: &Header,
        key: [u8; 4],
        place: &mut Option<Outbound<'_>>,
        memory: Option<Memory>,
        write: &mut dyn FnMut(&[u8], &[u8]) -> usize,
    ) {
        let payload = match place.take() {
            Some(Outbound::Text(text)) => {
                return self.send_copy(header, text.as_bytes(), memory, write);
            }
            Some(Outbound::Binary(payload)) => return self.send_copy(header, payload, memory, write),
            Some(Outbound::Prepared(prepared)) => {
                return self.send_copy(header, prepared.payload(), memory, write);
            }
            Some(Outbound::Message(Message::Text(text))) => text.into(),
            Some(Outbound::Message(Message::Binary(payload))) => payload,
            _ => Bytes::new(), // these are queued
        };
        let mut payload = match payload.try_into_mut() {
            Ok(payload) => payload,
            Err(shared) => return self.send_copy(header, &shared, memory, write),
        };
        let (head, len) = header.encode();
        let (mut first, mut taken, mut at) = (&head[..len], 0, 0);
        loop {
            let end = payload.len().min(at + CHUNK);
            let chunk = &mut payload[at..end];
            apply_mask(chunk, rotate(key, at));
            let given = first.len() + chunk.len();
            let n = if at == 0 { write(first, chunk) } else { write(chunk, &[]) };
            taken += n;
            if n < given {
                apply_mask(&mut payload[end..], rotate(key, end));
                return self.queue_rest(&head[..len], Some(payload.freeze().into()), taken);
            }
            if end == payload.len() {
                return;
            }
            (first, at) = (&[], end);
        }
    }

    /// Queues what is left of a frame.
    #[cold]
    fn queue_rest(&mut self, head: &[u8], message: Option<Outbound<'_>>, taken: usize) {
        let (head, of_payload) = match head.get(taken..) {
            Some(rest) => (rest, 0),
            None => (&[][..], taken - head.len()),
        };
        let shared = match message {
            Some(Outbound::Text(text)) => {
                return self.queue_copy(head, &text.as_bytes()[of_payload..], taken);
            }
            Some(Outbound::Binary(payload)) => return self.queue_copy(head, &payload[of_payload..], taken),
            Some(Outbound::Message(Message::Text(text))) => text.into(),
            Some(Outbound::Message(Message::Binary(payload))) => payload,
            Some(Outbound::Prepared(prepared)) => prepared.frame().slice_ref(prepared.payload()),
            _ => Bytes::new(), // these are queued
        };
        let mut rest = shared;
        rest.advance(of_payload);
        if rest.len() < BY_REFERENCE {
            self.queue_copy(head, &rest, taken);
        } else {
            self.outgoing.push_shared(head, rest);
            self.outgoing.begin(taken);
        }
    }

    fn queue_copy(&mut self, head: &[u8], payload: &[u8], taken: usize) {
        self.outgoing.push(head, payload);
        self.outgoing.begin(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{Connection, ConnectionOptions, Negotiated, Prepared};
    use alloc::vec;
    use proptest::prelude::*;

    fn sender(client: bool, fragment_size: usize) -> Sender {
        let (negotiated, config) =
            (Negotiated::default(), ConnectionOptions::new().fragment_size(fragment_size));
        let connection = if client {
            Connection::client(negotiated, config, || [0x37, 0xfa, 0x21, 0x3d])
        } else {
            Connection::server(negotiated, config)
        };
        connection.split().1
    }

    /// All that is queued, by chunks.
    fn queued(sender: &mut Sender) -> Vec<u8> {
        let outgoing = sender.outgoing();
        let mut bytes = Vec::new();
        while outgoing.has_remaining() {
            bytes.extend_from_slice(outgoing.chunk());
            outgoing.advance(outgoing.chunk().len());
        }
        bytes
    }

    proptest! {
        /// However much the transport takes at once, it gets the bytes that a queue would have given; and a ping
        /// overtakes a message exactly if nothing of it was taken.
        #[test]
        fn the_bytes_are_those_of_the_queue(
            client: bool,
            pieces_from in prop_oneof![Just(0), Just(4096), Just(usize::MAX)],
            lends: bool,
            kind in 0..5,
            len in prop_oneof![0..300_usize, 4_000..4_200_usize, 19_990..20_010_usize, CHUNK - 9..CHUNK + 9, 0..200_000_usize],
            fragment_size in prop_oneof![Just(20_000_usize), Just(1 << 20)],
            taken in prop_oneof![0..20_usize, 0..21_000_usize, CHUNK..CHUNK + 20, 0..210_000_usize],
        ) {
            let payload = vec![b'x'; len];
            let text = core::str::from_utf8(&payload).unwrap_or_default();
            let prepared = Prepared::text(text);
            let message = || match kind {
                0 => Outbound::from(text),
                1 => Outbound::from(&payload),
                2 => Outbound::from(alloc::string::String::from(text)),
                3 => Outbound::from(payload.clone()), // nobody else holds it
                _ => Outbound::from(&prepared),
            };
            let mut expected = sender(client, fragment_size);
            expected.send(message()).unwrap();
            let expected = queued(&mut expected);

            let (mut sender, mut written) = (sender(client, fragment_size), Vec::new());
            let memory: Option<Memory> = lends.then_some(|with| with(&mut Vec::new()));
            let mut place = Some(message());
            sender.hand_over(&mut place, true, Handover { pieces_from, memory }, |first, second| {
                assert!(len >= pieces_from || second.is_empty());
                let all = [first, second].concat();
                let n = all.len().min(taken - written.len());
                written.extend_from_slice(&all[..n]);
                n
            }).unwrap();
            prop_assert!(place.is_none());
            let begun = !written.is_empty();
            if written.len() < expected.len() {
                sender.ping(b"?").unwrap();
                let ping = if client { &b"\x89\x81\x37\xfa\x21\x3d\x08"[..] } else { b"\x89\x01?" };
                let rest = queued(&mut sender);
                // In fragments a ping goes between two of them.
                if len <= fragment_size {
                    let at = if begun { rest.len() - ping.len() } else { 0 };
                    prop_assert_eq!(&rest[at..at + ping.len()], ping);
                    written.extend_from_slice(&rest[..at]);
                    written.extend_from_slice(&rest[at + ping.len()..]);
                    prop_assert_eq!(written, expected);
                }
            } else {
                prop_assert_eq!(sender.queued(), 0);
                prop_assert_eq!(written, expected);
            }
        }
    }
}
