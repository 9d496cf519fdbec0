//! A message encoded once for many connections.

use super::header::{Header, Opcode};
use alloc::vec::Vec;
use bytes::Bytes;

/// A message encoded once and queued by reference to any number of server connections.
///
/// A clone costs a reference count. A room of ten thousand holds one copy of each message.
///
/// ```
/// use pushline::ws::{Config, Connection, Negotiated, Prepared};
///
/// let message = Prepared::text("to all of you");
/// let mut room = [(); 3].map(|()| Connection::server(Negotiated::default(), Config::default()));
/// for connection in &mut room {
///     connection.send_prepared(&message)?;
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
        let header = Header { fin: true, rsv: 0, opcode, mask: None, payload_len: payload.len() as u64 };
        let (head, len) = header.encode();
        let mut frame = Vec::with_capacity(len + payload.len());
        frame.extend_from_slice(&head[..len]);
        frame.extend_from_slice(payload);
        Self { opcode, frame: frame.into(), header_len: len as u8 }
    }

    /// The message's payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.frame[usize::from(self.header_len)..]
    }

    pub(crate) const fn opcode(&self) -> Opcode {
        self.opcode
    }

    pub(crate) const fn frame(&self) -> &Bytes {
        &self.frame
    }
}
