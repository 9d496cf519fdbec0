//! What is received: [`Event`], lent from the inbox; [`Message`], owned; and what is sent.

use super::close::{CloseCode, CloseFrame};
use crate::inbox::Text;
use alloc::string::String;
use bytes::Bytes;

/// A received event, lent from the inbox until the next call.
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::{ConnectionOptions, Connection, Event, Negotiated};
///
/// let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::default());
/// let mut inbox = Inbox::new();
/// let _ = inbox.extend(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
/// assert_eq!(connection.next_event(&mut inbox)?, Some(Event::Text("Hello")));
/// assert_eq!(connection.next_event(&mut inbox)?, None);
/// # Ok::<(), pushline::ws::ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'b> {
    /// A whole text message.
    Text(&'b str),
    /// A whole binary message.
    Binary(&'b [u8]),
    /// Part of a text message, of whole characters, with [`ConnectionOptions::parts`](super::ConnectionOptions::parts).
    TextPart {
        /// The text, following that of the part before.
        text: &'b str,
        /// Whether this is the message's last part; it may be empty, others are not.
        fin: bool,
    },
    /// Part of a binary message, with [`ConnectionOptions::parts`](super::ConnectionOptions::parts).
    BinaryPart {
        /// The bytes, following those of the part before.
        payload: &'b [u8],
        /// Whether this is the message's last part; it may be empty, others are not.
        fin: bool,
    },
    /// A ping; the pong is queued already unless that is switched off.
    Ping(&'b [u8]),
    /// A pong, asked for or not.
    Pong(&'b [u8]),
    /// The peer's close frame, `None` if it had no payload (code 1005). Nothing follows.
    Close(Option<CloseFrame<'b>>),
}

impl<'b> Event<'b> {
    /// What the receiver of this event answers the peer (RFC 6455 5.5.1, 5.5.2), for
    /// [`Sender::reply`](crate::raw::Sender::reply). A [`Connection`](super::Connection) does it itself.
    #[must_use]
    pub const fn reply(&self) -> Option<Reply<'b>> {
        match self {
            Self::Ping(payload) => Some(Reply::Pong(payload)),
            Self::Close(Some(close)) => Some(Reply::Close(Some(close.code))),
            Self::Close(None) => Some(Reply::Close(None)),
            _ => None,
        }
    }
}

/// The answer that a received frame asks for: a pong or a close frame, to be handed to the sender.
///
/// ```
/// use pushline::ws::Event;
/// use pushline::raw::Reply;
///
/// assert_eq!(Event::Ping(b"?").reply(), Some(Reply::Pong(b"?")));
/// assert_eq!(Event::Text("Hello").reply(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply<'b> {
    /// A pong with the ping's payload.
    Pong(&'b [u8]),
    /// The closing handshake's second half, with the code of the first, if it had one.
    Close(Option<CloseCode>),
    /// The close frame of a failed connection.
    Fail(CloseCode),
}

/// An owned message, received or to be sent.
///
/// A clone costs a reference count.
///
/// ```
/// use pushline::ws::Message;
///
/// let message = Message::from("Hello");
/// assert_eq!(message.as_text(), Some("Hello"));
/// assert_eq!(message.payload(), b"Hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
    /// A ping of at most 125 bytes.
    Ping(Bytes),
    /// A pong of at most 125 bytes.
    Pong(Bytes),
    /// A close frame, `None` if it has no payload.
    Close(Option<(CloseCode, Text)>),
}

impl Message {
    /// A text message.
    #[must_use]
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// A binary message.
    #[must_use]
    pub fn binary(payload: impl Into<Bytes>) -> Self {
        Self::Binary(payload.into())
    }

    /// A text or binary message; of another kind, handed back.
    ///
    /// ```
    /// use pushline::ws::Message;
    ///
    /// assert!(Message::text("Hello").into_data().is_ok());
    /// assert_eq!(Message::Close(None).into_data(), Err(Message::Close(None)));
    /// ```
    ///
    /// # Errors
    ///
    /// A control message, as it was.
    pub fn into_data(self) -> Result<Self, Self> {
        if self.is_data() { Ok(self) } else { Err(self) }
    }

    /// The text of a text message, without a copy; a message of another kind is handed back.
    ///
    /// ```
    /// use pushline::ws::Message;
    ///
    /// assert_eq!(Message::text("Hello").into_text().unwrap(), "Hello");
    /// ```
    ///
    /// # Errors
    ///
    /// A message that is not text, as it was.
    pub fn into_text(self) -> Result<Text, Self> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other),
        }
    }

    /// The payload, without a copy; of a close frame, its reason.
    ///
    /// ```
    /// use pushline::ws::Message;
    ///
    /// assert_eq!(Message::text("Hello").into_payload(), "Hello");
    /// ```
    #[must_use]
    pub fn into_payload(self) -> Bytes {
        match self {
            Self::Text(text) | Self::Close(Some((_, text))) => text.into_bytes(),
            Self::Binary(payload) | Self::Ping(payload) | Self::Pong(payload) => payload,
            Self::Close(None) => Bytes::new(),
        }
    }

    /// The text of a text message.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The payload; of a close frame, its reason.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(payload) | Self::Ping(payload) | Self::Pong(payload) => payload,
            Self::Close(Some((_, reason))) => reason.as_bytes(),
            Self::Close(None) => &[],
        }
    }

    /// The message lent: what it would have been as an event.
    #[must_use]
    pub fn as_event(&self) -> Event<'_> {
        match self {
            Self::Text(text) => Event::Text(text),
            Self::Binary(payload) => Event::Binary(payload),
            Self::Ping(payload) => Event::Ping(payload),
            Self::Pong(payload) => Event::Pong(payload),
            Self::Close(close) => {
                Event::Close(close.as_ref().map(|(code, reason)| CloseFrame { code: *code, reason }))
            }
        }
    }

    /// What the receiver of this message answers the peer: see [`Event::reply`].
    #[must_use]
    pub fn reply(&self) -> Option<Reply<'_>> {
        match self {
            Self::Ping(payload) => Some(Reply::Pong(payload)),
            Self::Close(close) => Some(Reply::Close(close.as_ref().map(|(code, _)| *code))),
            _ => None,
        }
    }

    /// Whether this is a text or binary message.
    #[must_use]
    pub const fn is_data(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(payload: Bytes) -> Self {
        Self::Binary(payload)
    }
}

impl From<alloc::vec::Vec<u8>> for Message {
    fn from(payload: alloc::vec::Vec<u8>) -> Self {
        Self::Binary(payload.into())
    }
}

impl From<&[u8]> for Message {
    fn from(payload: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(payload))
    }
}
