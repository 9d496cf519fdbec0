//! Packets and payloads (Engine.IO 4, "Packet encoding"): a digit and what belongs to it.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sums and differences of lengths of what is in memory: base64 is a third longer"
)]

use crate::ws::Prepared;
use crate::ws::header::Opcode;
use alloc::string::String;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes};
use core::fmt;
use memchr::memchr;

/// What stands between the packets of a payload.
///
/// ```
/// assert_eq!(pushline::socketio::engine::SEPARATOR, 0x1e);
/// ```
pub const SEPARATOR: u8 = 0x1e;

/// A packet as it came in a text frame or as a record of a payload; borrowed, but for base64.
///
/// ```
/// use pushline::socketio::engine::{Data, EnginePacket};
///
/// assert_eq!(EnginePacket::parse("4hello"), Ok(EnginePacket::Message(Data::Text("hello"))));
/// assert_eq!(EnginePacket::parse("2probe"), Ok(EnginePacket::Ping("probe")));
/// assert_eq!(EnginePacket::parse("bAQID"), Ok(EnginePacket::Message(Data::Binary(vec![1, 2, 3].into()))));
/// assert!(EnginePacket::parse("7").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnginePacket<'a> {
    /// 0: the handshake, a JSON object.
    Open(&'a str),
    /// 1: the session ends.
    Close,
    /// 2, with `probe` while upgrading.
    Ping(&'a str),
    /// 3, with `probe` while upgrading.
    Pong(&'a str),
    /// 4, or binary.
    Message(Data<'a>),
    /// 5: the session goes on on the WebSocket that says so.
    Upgrade,
    /// 6: ends a poll.
    Noop,
}

/// The content of a message: text or bytes.
///
/// ```
/// use pushline::socketio::engine::Data;
///
/// let data = Data::Text("hello");
/// assert!(matches!(data, Data::Text(text) if text.len() == 5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes.
    Binary(Bytes),
}

/// A record or frame that is no packet.
///
/// ```
/// use pushline::socketio::engine::{InvalidEnginePacket, EnginePacket};
///
/// assert_eq!(EnginePacket::parse(""), Err(InvalidEnginePacket));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEnginePacket;

impl fmt::Display for InvalidEnginePacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an Engine.IO packet")
    }
}

impl core::error::Error for InvalidEnginePacket {}

impl<'a> EnginePacket<'a> {
    /// Reads a text frame, or a record of a payload.
    ///
    /// # Errors
    ///
    /// [`InvalidEnginePacket`] if it is empty, of an unknown type, or its base64 is none.
    pub fn parse(text: &'a str) -> Result<Self, InvalidEnginePacket> {
        let (&first, _) = text.as_bytes().split_first().ok_or(InvalidEnginePacket)?;
        let data = text.get(1..).ok_or(InvalidEnginePacket)?;
        Ok(match first {
            b'0' => EnginePacket::Open(data),
            b'1' => EnginePacket::Close,
            b'2' => EnginePacket::Ping(data),
            b'3' => EnginePacket::Pong(data),
            b'4' => EnginePacket::Message(Data::Text(data)),
            b'5' => EnginePacket::Upgrade,
            b'6' => EnginePacket::Noop,
            b'b' => EnginePacket::Message(Data::Binary(
                STANDARD.decode(data).map_err(|_| InvalidEnginePacket)?.into(),
            )),
            _ => return Err(InvalidEnginePacket),
        })
    }
}

/// The packets of a payload, as far as they are valid: an iterator over the body of a POST, or of a poll's answer.
///
/// ```
/// use pushline::socketio::engine::{Data, InvalidEnginePacket, EnginePacket, records};
///
/// let packets: Vec<_> = records("4a\u{1e}2\u{1e}").collect();
/// assert_eq!(packets, [Ok(EnginePacket::Message(Data::Text("a"))), Ok(EnginePacket::Ping("")), Err(InvalidEnginePacket)]);
/// ```
pub fn records(payload: &str) -> impl Iterator<Item = Result<EnginePacket<'_>, InvalidEnginePacket>> {
    let mut rest = Some(payload);
    core::iter::from_fn(move || {
        let text = rest?;
        let end = memchr(SEPARATOR, text.as_bytes());
        rest = end.and_then(|end| text.get(end + 1..));
        Some(EnginePacket::parse(end.and_then(|end| text.get(..end)).unwrap_or(text)))
    })
}

/// A packet to be sent, over whichever transport the session is on by then. A clone of a
/// [shared](Self::shared) or binary one costs a reference count.
///
/// ```
/// use pushline::socketio::engine::EngineMessage;
///
/// let mut payload = Vec::new();
/// EngineMessage::text("hello").write_record(&mut payload);
/// assert_eq!(payload, b"4hello");
/// payload.clear();
/// EngineMessage::binary(vec![1, 2, 3]).write_record(&mut payload);
/// assert_eq!(payload, b"bAQID");
/// ```
#[derive(Clone, Debug)]
pub struct EngineMessage {
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Fixed(&'static str),
    Text(String),
    Binary(Bytes),
    Shared(Prepared),
}

/// A packet as a WebSocket message, lent from an [`EngineMessage`].
///
/// ```
/// use pushline::socketio::engine::{EngineFrame, EngineMessage};
///
/// assert!(matches!(EngineMessage::text("hello").frame(), EngineFrame::Text("4hello")));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum EngineFrame<'m> {
    /// A text message.
    Text(&'m str),
    /// A binary message.
    Binary(&'m Bytes),
    /// A message encoded once for many.
    Shared(&'m Prepared),
}

impl EngineMessage {
    /// A message of this text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut packet = String::with_capacity(text.len() + 1);
        packet.push('4');
        packet.push_str(text);
        Self::packet(packet)
    }

    /// A message of these bytes.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self { body: Body::Binary(bytes.into()) }
    }

    /// A whole text packet, its digit included.
    #[must_use]
    pub const fn packet(packet: String) -> Self {
        Self { body: Body::Text(packet) }
    }

    pub(super) const fn fixed(packet: &'static str) -> Self {
        Self { body: Body::Fixed(packet) }
    }

    /// The same, encoded once for all that it is sent to.
    #[must_use]
    pub fn shared(self) -> Self {
        let body = match self.body {
            Body::Text(text) => Body::Shared(Prepared::text(&text)),
            Body::Binary(bytes) => Body::Shared(Prepared::binary(&bytes)),
            body => body,
        };
        Self { body }
    }

    /// Whether it is one that polling cannot carry: text with a [`SEPARATOR`] in it.
    #[must_use]
    pub fn has_separator(&self) -> bool {
        match &self.body {
            Body::Fixed(_) | Body::Binary(_) => false,
            Body::Text(text) => memchr(SEPARATOR, text.as_bytes()).is_some(),
            Body::Shared(prepared) => {
                prepared.opcode() != Opcode::Binary && memchr(SEPARATOR, prepared.payload()).is_some()
            }
        }
    }

    /// Bytes of the packet.
    pub(in crate::socketio) fn size(&self) -> usize {
        match &self.body {
            Body::Fixed(text) => text.len(),
            Body::Text(text) => text.len(),
            Body::Binary(bytes) => bytes.len(),
            Body::Shared(prepared) => prepared.payload().len(),
        }
    }

    /// Bytes of the record, at most.
    pub(super) fn record_size(&self) -> usize {
        self.size() / 3 * 4 + 5
    }

    /// The packet as a WebSocket message.
    #[must_use]
    pub fn frame(&self) -> EngineFrame<'_> {
        match &self.body {
            Body::Fixed(text) => EngineFrame::Text(text),
            Body::Text(text) => EngineFrame::Text(text),
            Body::Binary(bytes) => EngineFrame::Binary(bytes),
            Body::Shared(prepared) => EngineFrame::Shared(prepared),
        }
    }

    /// Appends the packet as a record of a payload, without a separator.
    pub fn write_record(&self, out: &mut alloc::vec::Vec<u8>) {
        match &self.body {
            Body::Fixed(text) => out.put_slice(text.as_bytes()),
            Body::Text(text) => out.put_slice(text.as_bytes()),
            Body::Binary(bytes) => write_base64(bytes, out),
            Body::Shared(prepared) if prepared.opcode() == Opcode::Binary => {
                write_base64(prepared.payload(), out);
            }
            Body::Shared(prepared) => out.put_slice(prepared.payload()),
        }
    }
}

/// Appends `b` and the bytes in base64.
fn write_base64(bytes: &[u8], out: &mut alloc::vec::Vec<u8>) {
    out.push(b'b');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    if let Some(room) = out.get_mut(start..) {
        let written = STANDARD.encode_slice(bytes, room);
        debug_assert!(written.is_ok(), "the room is exact");
    }
}
