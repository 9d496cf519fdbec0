//! What can be sent: borrowed, owned, or encoded once for many connections.

use super::message::Message;
use super::prepared::Prepared;
use crate::inbox::Text;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;

/// A message to be sent, as [`Connection::send`](super::Connection::send) takes it: made by `into` of what the caller
/// has.
///
/// Borrowed text and bytes are copied once, into the queue. Of an owned message a large payload goes by reference, a
/// [`Prepared`] always does.
///
/// ```
/// use bytes::Bytes;
/// use pushline::ws::{ConnectionOptions, Connection, Message, Negotiated, Outbound, Prepared};
///
/// let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
/// connection.send("text")?;
/// connection.send(&[1, 2, 3])?;
/// connection.send(Bytes::from(vec![7; 100_000]))?; // by reference
/// connection.send(&Prepared::text("to all"))?;
/// connection.send(Message::Ping(Bytes::new()))?;
/// let next = Outbound::from("more");
/// if connection.has_room(&next) {
///     connection.send(next)?;
/// }
/// # Ok::<(), pushline::ws::UsageError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outbound<'a> {
    /// A text message, copied.
    Text(&'a str),
    /// A binary message, copied.
    Binary(&'a [u8]),
    /// A message of any kind; a large payload goes by reference.
    Message(Message),
    /// A message that was encoded once for many connections, by reference. A client, which must mask, sends a masked
    /// copy.
    Prepared(&'a Prepared),
}

impl Outbound<'_> {
    /// The length of the payload, in bytes.
    #[inline]
    pub(crate) fn payload_len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(payload) => payload.len(),
            Self::Message(message) => message.payload().len(),
            Self::Prepared(prepared) => prepared.payload().len(),
        }
    }

    /// Whether this is a text or binary message.
    #[cfg(feature = "std")]
    pub(crate) const fn is_data(&self) -> bool {
        match self {
            Self::Message(message) => message.is_data(),
            Self::Text(_) | Self::Binary(_) | Self::Prepared(_) => true,
        }
    }
}

impl<'a> From<&'a str> for Outbound<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Outbound<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Text> for Outbound<'a> {
    fn from(text: &'a Text) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Outbound<'a> {
    #[inline]
    fn from(payload: &'a [u8]) -> Self {
        Self::Binary(payload)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Outbound<'a> {
    #[inline]
    fn from(payload: &'a [u8; N]) -> Self {
        Self::Binary(payload)
    }
}

impl<'a> From<&'a Vec<u8>> for Outbound<'a> {
    #[inline]
    fn from(payload: &'a Vec<u8>) -> Self {
        Self::Binary(payload)
    }
}

impl<'a> From<&'a Prepared> for Outbound<'a> {
    #[inline]
    fn from(prepared: &'a Prepared) -> Self {
        Self::Prepared(prepared)
    }
}

impl From<Message> for Outbound<'_> {
    #[inline]
    fn from(message: Message) -> Self {
        Self::Message(message)
    }
}

impl From<String> for Outbound<'_> {
    #[inline]
    fn from(text: String) -> Self {
        Self::Message(text.into())
    }
}

impl From<Vec<u8>> for Outbound<'_> {
    #[inline]
    fn from(payload: Vec<u8>) -> Self {
        Self::Message(payload.into())
    }
}

impl From<Text> for Outbound<'_> {
    #[inline]
    fn from(text: Text) -> Self {
        Self::Message(text.into())
    }
}

impl From<&Message> for Outbound<'_> {
    /// Costs a reference count.
    #[inline]
    fn from(message: &Message) -> Self {
        Self::Message(message.clone())
    }
}

impl From<Bytes> for Outbound<'_> {
    #[inline]
    fn from(payload: Bytes) -> Self {
        Self::Message(payload.into())
    }
}
