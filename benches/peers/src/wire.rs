//! An in-memory transport without system calls, the same for every peer; and the frames on it.

use crate::{Kind, hash};
use pushline::raw::Header;
use pushline::raw::apply_mask;
use pushline::ws::Opcode;
use std::io::{self, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Frames as they arrive, and what must come out.
pub struct Stream {
    bytes: Arc<[u8]>,
    /// Where in `bytes` the frames begin.
    start: usize,
    pub messages: usize,
    pub hash: u64,
}

impl Stream {
    /// Messages of `len` bytes, each different, masked with a key of its own; `start` bytes into a
    /// page.
    pub fn new(kind: Kind, len: usize, start: usize) -> Self {
        let messages = (256 * 1024 / (len + 8)).max(4);
        let (mut bytes, mut all) = (vec![0; start], hash::START);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..messages {
            let mut payload = payload(kind, len, &mut random);
            all = hash::message(all, &payload);
            let key = (next(&mut random) as u32).to_le_bytes();
            let opcode = if kind == Kind::Binary { Opcode::Binary } else { Opcode::Text };
            let header = Header { fin: true, rsv: 0, opcode, mask: Some(key), payload_len: len as u64 };
            let (head, head_len) = header.encode();
            apply_mask(&mut payload, key);
            bytes.extend_from_slice(&head[..head_len]);
            bytes.extend_from_slice(&payload);
        }
        Self { bytes: bytes.into(), start, messages, hash: all }
    }
}

/// A payload of exactly `len` bytes.
pub fn payload(kind: Kind, len: usize, random: &mut u64) -> Vec<u8> {
    let mut payload = Vec::with_capacity(len);
    while payload.len() < len {
        let random = next(random);
        match kind {
            Kind::Binary => payload.push(random as u8),
            Kind::Chinese if len - payload.len() >= 3 => {
                let character = char::from_u32(0x4e00 + (random % 0x5000) as u32).expect("a CJK ideograph");
                payload.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Kind::Ascii | Kind::Chinese => payload.push(b' ' + (random % 95) as u8),
        }
    }
    payload
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 16
}

/// Copied at once by the transport: what a segment carries. It also keeps `memcpy` off `rep movsb`,
/// whose speed depends on the low bits of both addresses, up to sixteenfold.
pub const SEGMENT: usize = 1460;

/// Where written bytes go: at the same place modulo the page size for every peer.
#[repr(align(4096))]
struct Page([u8; 64 * 1024]);

/// Bytes in, over and over again, at most `read` at a time; bytes out, copied once, as a kernel
/// does it.
pub struct Wire {
    incoming: Arc<[u8]>,
    start: usize,
    at: usize,
    read: usize,
    kernel: Box<Page>,
    record: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Page {
    fn new() -> Box<Self> {
        Box::new(Self([0; 64 * 1024]))
    }
}

impl Wire {
    pub fn incoming(stream: &Stream, read: usize) -> Self {
        let (incoming, start) = (stream.bytes.clone(), stream.start);
        Self { incoming, start, at: start, read, kernel: Page::new(), record: None }
    }

    pub fn outgoing(record: Option<Arc<Mutex<Vec<u8>>>>) -> Self {
        let kernel = Page::new();
        Self { incoming: [].into(), start: 0, at: 0, read: 0, kernel, record }
    }

    /// What the next read gives, if there is `room` for so much.
    pub fn next_read(&mut self, room: usize) -> &[u8] {
        let from = if self.at == self.incoming.len() { self.start } else { self.at };
        self.at = self.incoming.len().min(from + room.min(self.read));
        &self.incoming[from..self.at]
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next_read(buffer.len());
        for (to, from) in buffer.chunks_mut(SEGMENT).zip(bytes.chunks(SEGMENT)) {
            to[..from.len()].copy_from_slice(from);
        }
        Ok(bytes.len())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Page(kernel) = &mut *self.kernel;
        for bytes in bytes.chunks(kernel.len()) {
            for (to, from) in kernel.chunks_mut(SEGMENT).zip(bytes.chunks(SEGMENT)) {
                to[..from.len()].copy_from_slice(from);
            }
        }
        std::hint::black_box(kernel);
        if let Some(record) = &self.record {
            record.lock().expect("one thread").extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        slices.iter().map(|slice| self.write(slice)).sum()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        for segment in self.next_read(buffer.remaining()).chunks(SEGMENT) {
            buffer.put_slice(segment);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The hash of the messages that `bytes`, whole unfragmented frames, carry; and their number. Naive,
/// and not of any peer.
pub fn hash_of_frames(mut bytes: &[u8], masked: bool) -> (usize, u64) {
    let (mut messages, mut all) = (0, hash::START);
    while let [first, second, rest @ ..] = bytes {
        assert_eq!((*first, second >> 7), (0x82, u8::from(masked)), "a whole binary message");
        let (len, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().expect("8 bytes")) as usize, &rest[8..]),
            len => (usize::from(len), rest),
        };
        let (key, rest) = if masked { rest.split_at(4) } else { (&[0; 4][..], rest) };
        let (payload, rest) = rest.split_at(len);
        let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        all = hash::message(all, &payload);
        messages += 1;
        bytes = rest;
    }
    assert!(bytes.is_empty());
    (messages, all)
}
