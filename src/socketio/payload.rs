//! What an event or an answer carries: JSON that was checked, and its attachments by reference.

use super::encode::{ArgumentWriter, Arguments};
#[cfg(feature = "hyper")]
use super::packet::{Packet, PacketKind};
use super::placeholder::placeholder;
use crate::json::{self, Str, Value};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// The arguments that came with an event or an answer, the event's name before them. Sent on as [`Arguments`] they are
/// the same text, and the same attachments by reference.
///
/// ```
/// use pushline::socketio::{Encoded, Payload};
///
/// let payload = Payload::event(r#"["message", 1, {"a": [true]}]"#)?;
/// assert!(payload.name().is_some_and(|name| name.is("message")));
/// let arguments: Vec<&str> = payload.arguments().map(|argument| argument.as_str()).collect();
/// assert_eq!(arguments, ["1", r#"{"a": [true]}"#]);
/// assert_eq!(Encoded::event("/", "message-back", &payload, None).text(), r#"42["message-back",1, {"a": [true]}]"#);
/// # Ok::<(), pushline::json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Payload {
    /// A checked array.
    text: String,
    attachments: Vec<Bytes>,
    /// Where the arguments begin: behind an event's name.
    rest: usize,
    named: bool,
}

impl Payload {
    /// `rest` is where the arguments of a checked array begin.
    pub(super) fn new(array: Value<'_>, rest: usize, named: bool) -> Self {
        Self { text: String::from(array.as_str()), attachments: Vec::new(), rest, named }
    }

    /// An event's, from its JSON: an array of the name and the arguments. For tests of handlers.
    ///
    /// # Errors
    ///
    /// [`json::Error`] if it is no JSON, or no array.
    pub fn event(json: &str) -> Result<Self, json::Error> {
        let value = json::check(json)?;
        let mut items = value.array().ok_or(json::Error::Syntax { at: 0 })?;
        items.next();
        Ok(Self::new(value, items.position(), true))
    }

    /// Of an event or an answer, with the attachments that belong to it.
    #[cfg(feature = "hyper")]
    pub(crate) fn from_packet(packet: &Packet<'_>, attachments: Vec<Bytes>) -> Option<Self> {
        let named = matches!(packet.kind, PacketKind::Event | PacketKind::BinaryEvent);
        Some(Self { attachments, ..Self::new(packet.data?, packet.arguments, named) })
    }

    pub(super) fn attach(&mut self, bytes: Bytes) {
        self.attachments.push(bytes);
    }

    /// The event's name; `None` for an answer, and for an event whose name is a number.
    #[must_use]
    pub fn name(&self) -> Option<Str<'_>> {
        Value::checked(self.text.get(1..self.rest).filter(|_| self.named)?.trim_ascii()).string()
    }

    /// The arguments: an iterator.
    #[must_use]
    pub fn arguments(&self) -> json::Array<'_> {
        json::Array::from_position(&self.text, self.rest)
    }

    /// The text of the arguments, with the commas between them.
    pub(super) fn raw_arguments(&self) -> &str {
        let rest = self.arguments().rest();
        rest.strip_suffix(']').unwrap_or(rest)
    }

    /// The attachments.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Bytes of the text and the attachments.
    #[cfg(feature = "hyper")]
    pub(crate) fn size(&self) -> usize {
        self.attachments.iter().fold(self.text.len(), |size, bytes| size.saturating_add(bytes.len()))
    }

    /// The attachment that an argument, or a part of one, stands for.
    #[must_use]
    pub fn attachment(&self, value: Value<'_>) -> Option<&Bytes> {
        self.attachments.get(placeholder(value)?)
    }

    /// The attachment that the argument at this position is.
    #[must_use]
    pub fn bytes(&self, index: usize) -> Option<&Bytes> {
        self.attachment(self.arguments().nth(index)?)
    }
}

impl Arguments for Payload {
    fn attachments(&self) -> usize {
        self.attachments.len()
    }

    fn write(&self, out: &mut ArgumentWriter) {
        out.received(self);
    }
}
