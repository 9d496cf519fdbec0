//! Packets (Socket.IO 5, "Packet encoding"): type, attachments, namespace, ack id, JSON.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "a place in a text that is in memory; digits that were matched"
)]

use crate::json::{self, Value};
use crate::settings::settings;
use core::fmt;

/// The type of a packet.
///
/// ```
/// use pushline::socketio::{PacketLimits, Packet, PacketKind};
///
/// assert_eq!(Packet::parse("0", &PacketLimits::new())?.kind, PacketKind::Connect);
/// # Ok::<(), pushline::socketio::InvalidPacket>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// 0: a client asks for a namespace, a server lets it in.
    Connect,
    /// 1: one of them leaves it.
    Disconnect,
    /// 2: an event.
    Event,
    /// 3: the answer to an event.
    Ack,
    /// 4: a server does not let a client in.
    ConnectError,
    /// 5: an event with attachments.
    BinaryEvent,
    /// 6: an answer with attachments.
    BinaryAck,
}

/// A packet that was checked, borrowed from the text that it came in.
///
/// ```
/// use pushline::socketio::{PacketLimits, Packet, PacketKind};
///
/// let packet = Packet::parse(r#"52-/chat,17["photo",{"_placeholder":true,"num":0}]"#, &PacketLimits::new())?;
/// assert_eq!((packet.kind, packet.attachments), (PacketKind::BinaryEvent, 2));
/// assert_eq!((packet.namespace, packet.id), ("/chat", Some(17)));
/// assert!(packet.data.is_some_and(|data| data.as_str().starts_with(r#"["photo""#)));
/// # Ok::<(), pushline::socketio::InvalidPacket>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its type.
    pub kind: PacketKind,
    /// Binary messages that follow.
    pub attachments: usize,
    /// `/` if the packet names none.
    pub namespace: &'a str,
    /// Ties an answer to its event.
    pub id: Option<u64>,
    /// An object, an array or, in a refusal, a string.
    pub data: Option<Value<'a>>,
    /// Where in the data the arguments begin: behind an event's name.
    pub(super) arguments: usize,
}

settings! {
    /// What a client may send at most.
    ///
    /// ```
    /// let limits = pushline::socketio::PacketLimits::new().attachments(20);
    /// assert_eq!(limits.attachments, 20);
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    PacketLimits {
        /// Attachments of a packet. Default 10, which is also what official clients take. Without it, a client announces
        /// 2^31.
        pub attachments: usize = 10;
        /// Bytes in a namespace's name. Default 256.
        pub namespace: usize = 256;
    }
}

/// The reason why a text is no packet. The connection is closed, as the reference server does.
///
/// ```
/// use pushline::socketio::{InvalidPacket, PacketLimits, Packet};
///
/// assert_eq!(Packet::parse("abc", &PacketLimits::new()), Err(InvalidPacket::Kind));
/// assert_eq!(Packet::parse("2{}", &PacketLimits::new()), Err(InvalidPacket::Payload));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidPacket {
    /// The type is none of 0 to 6.
    Kind,
    /// The number of attachments is missing or no number.
    Attachments,
    /// There are more attachments than [`PacketLimits::attachments`].
    TooManyAttachments,
    /// The namespace's name is longer than [`PacketLimits::namespace`].
    Namespace,
    /// The ack id is too large, or missing in an answer.
    Id,
    /// The payload is not JSON.
    Json(json::Error),
    /// The payload is not of the form that goes with the type.
    Payload,
    /// An event has a name that is reserved.
    ReservedName,
}

impl fmt::Display for InvalidPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "unknown packet type",
            Self::Attachments => "number of attachments expected",
            Self::TooManyAttachments => "too many attachments",
            Self::Namespace => "name of the namespace is too long",
            Self::Id => "invalid ack id",
            Self::Json(error) => return write!(f, "payload: {error}"),
            Self::Payload => "payload does not fit the packet type",
            Self::ReservedName => "event name is reserved",
        })
    }
}

impl core::error::Error for InvalidPacket {}

/// Names that an application cannot emit: they mean something to a client or server by themselves.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "connect" | "connect_error" | "disconnect" | "disconnecting" | "newListener" | "removeListener"
    )
}

impl<'a> Packet<'a> {
    /// Reads a packet from the text of an Engine.IO message.
    ///
    /// # Errors
    ///
    /// [`InvalidPacket`].
    pub fn parse(text: &'a str, limits: &PacketLimits) -> Result<Self, InvalidPacket> {
        use PacketKind::{Ack, BinaryAck, BinaryEvent, Connect, ConnectError, Disconnect, Event};
        let kinds = [Connect, Disconnect, Event, Ack, ConnectError, BinaryEvent, BinaryAck];
        // "Packet encoding", "Format": the type, and of what follows each part only if it is there.
        let kind = text.bytes().next().and_then(|digit| kinds.get(usize::from(digit.wrapping_sub(b'0'))));
        let &kind = kind.ok_or(InvalidPacket::Kind)?;

        // "Format": the number of attachments and a hyphen.
        let (bytes, mut at) = (text.as_bytes(), 1);
        let attachments = match kind {
            BinaryEvent | BinaryAck => {
                let number = number(bytes, &mut at);
                if bytes.get(at) != Some(&b'-') {
                    return Err(InvalidPacket::Attachments);
                }
                at += 1;
                let number = number.ok_or(InvalidPacket::Attachments)?;
                let fits = number.and_then(|number| usize::try_from(number).ok());
                let fits = fits.filter(|number| *number <= limits.attachments);
                fits.ok_or(InvalidPacket::TooManyAttachments)?
            }
            _ => 0,
        };

        // "Format": the namespace and a comma, unless it is the main one.
        let mut namespace = "/";
        if bytes.get(at) == Some(&b'/') {
            let start = at;
            while bytes.get(at).is_some_and(|byte| *byte != b',') {
                at += 1;
                if at - start > limits.namespace {
                    return Err(InvalidPacket::Namespace);
                }
            }
            namespace = text.get(start..at).unwrap_or_default();
            at += 1;
        }

        // "Format": the acknowledgment id, then the payload as JSON.
        let id = number(bytes, &mut at).map(|number| number.ok_or(InvalidPacket::Id)).transpose()?;
        let data = match text.get(at..).unwrap_or_default() {
            "" => None,
            json => Some(json::check(json).map_err(InvalidPacket::Json)?),
        };
        let mut packet = Self { kind, attachments, namespace, id, data, arguments: 1 };
        packet.check()?;
        Ok(packet)
    }

    /// The payload that each type has ("Exchange protocol").
    fn check(&mut self) -> Result<(), InvalidPacket> {
        let fits = match (self.kind, self.data) {
            // "Connection to a namespace"
            (PacketKind::Connect, data) => data.is_none_or(|data| data.object().is_some()),
            // "Disconnection from a namespace"
            (PacketKind::Disconnect, data) => data.is_none(),
            (PacketKind::ConnectError, data) => {
                data.is_some_and(|data| data.object().is_some() || data.string().is_some())
            }
            // "Acknowledgement"
            (PacketKind::Ack | PacketKind::BinaryAck, data) => {
                if self.id.is_none() {
                    return Err(InvalidPacket::Id);
                }
                data.is_some_and(|data| data.array().is_some())
            }
            // "Sending and receiving data"
            (PacketKind::Event | PacketKind::BinaryEvent, data) => {
                let data = data.ok_or(InvalidPacket::Payload)?;
                if let Some((name, arguments)) = data.first_plain() {
                    self.arguments = arguments;
                    return if is_reserved(name) { Err(InvalidPacket::ReservedName) } else { Ok(()) };
                }
                let mut items = data.items();
                let name = items.next();
                self.arguments = items.position();
                if let Some(name) = name.and_then(|name| name.string()) {
                    if is_reserved(&name.to_cow()) {
                        return Err(InvalidPacket::ReservedName);
                    }
                    true
                } else {
                    name.is_some_and(|name| name.is_number())
                }
            }
        };
        if fits { Ok(()) } else { Err(InvalidPacket::Payload) }
    }
}

/// The number that is here, if there is one; `Some(None)` is one of more than 64 bits.
fn number(bytes: &[u8], at: &mut usize) -> Option<Option<u64>> {
    let mut number = None;
    while let Some(digit @ b'0'..=b'9') = bytes.get(*at) {
        let before = number.unwrap_or(Some(0_u64));
        number = Some(before.and_then(|before| before.checked_mul(10)?.checked_add(u64::from(digit - b'0'))));
        *at += 1;
    }
    number
}
