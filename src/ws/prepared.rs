//! A message encoded once for many connections.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "behind the header, whose length is kept")]

#[cfg(feature = "deflate")]
use super::deflate::Compressor;
use super::header::{Header, Opcode};
#[cfg(feature = "deflate")]
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
#[cfg(feature = "deflate")]
use std::sync::OnceLock;

/// A message encoded once and queued by reference to any number of server connections.
///
/// A clone costs a reference count. A room of ten thousand holds one copy of each message.
///
/// With permessage-deflate it is compressed once for each window size in the room, by itself: also
/// for connections with context takeover, whose next message then refers to nothing before it.
///
/// ```
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated, Prepared};
///
/// let message = Prepared::text("to all of you");
/// let mut room = [(); 3].map(|()| Connection::server(Negotiated::default(), ConnectionOptions::default()));
/// for connection in &mut room {
///     connection.send(&message)?;
/// }
/// assert_eq!(room[2].queued(), 2 + 13);
/// # Ok::<(), pushline::ws::UsageError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    opcode: Opcode,
    /// A server's frame: header and payload.
    frame: Bytes,
    header_len: u8,
    /// The compressed frame for each number of window bits, 8 to 15, made when first asked for.
    #[cfg(feature = "deflate")]
    compressed: Arc<[OnceLock<Bytes>; 8]>,
}

impl Prepared {
    /// A text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(Opcode::Text, text.as_bytes())
    }

    /// A binary message.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::new(Opcode::Binary, payload)
    }

    fn new(opcode: Opcode, payload: &[u8]) -> Self {
        let (frame, header_len) = encode(opcode, 0, payload);
        Self {
            opcode,
            frame,
            header_len,
            #[cfg(feature = "deflate")]
            compressed: Arc::default(),
        }
    }

    /// The message's payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[usize::from(self.header_len)..]
    }

    /// The frame with the payload compressed by itself, made once for all connections that agree on
    /// the window.
    #[cfg(feature = "deflate")]
    pub(super) fn compressed(&self, compressor: &Compressor) -> Bytes {
        let make = || encode(self.opcode, 4, &compressor.stand_alone(self.payload())).0;
        match self.compressed.get(usize::from(compressor.window_bits.get()).wrapping_sub(8)) {
            Some(frame) => frame.get_or_init(make).clone(),
            None => make(),
        }
    }

    pub(crate) const fn opcode(&self) -> Opcode {
        self.opcode
    }

    pub(crate) const fn frame(&self) -> &Bytes {
        &self.frame
    }
}

/// A frame, and the length of its header.
fn encode(opcode: Opcode, rsv: u8, payload: &[u8]) -> (Bytes, u8) {
    let header = Header { fin: true, rsv, opcode, mask: None, payload_len: payload.len() as u64 };
    let (head, len) = header.encode();
    let mut frame = Vec::with_capacity(len + payload.len());
    frame.extend_from_slice(&head[..len]);
    frame.extend_from_slice(payload);
    (frame.into(), len as u8)
}
