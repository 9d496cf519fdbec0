//! What the broker asks of the program that it is in: fresh ids, the time of day, and who may do what.

use super::channel::{Channel, Pattern};
use super::message::BayeuxMessage;
use crate::json::Value;
use core::fmt;

/// The name of a client: 128 bits. Who knows it speaks for the client, so they are to be random.
///
/// ```
/// use pushline::comet::bayeux::ClientId;
///
/// let id = ClientId::new([0xa7; 16]);
/// assert_eq!(id.to_string(), "a7".repeat(16));
/// assert_eq!(ClientId::parse(&id.to_string()), Some(id));
/// assert_eq!(ClientId::parse("a7"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u128);

impl ClientId {
    /// The id of these bytes, which the operating system's randomness has given.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(random))
    }

    /// The bytes that it was made of.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id written so: 32 hexadecimal digits in lower case, as the broker writes them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
        let id = text.bytes().take(32).try_fold(0, |id, byte| Some(id << 4 | u128::from(digit(byte)?)))?;
        (text.len() == 32).then_some(Self(id))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Not the whole of it: logs are read by others.
impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({:04x}…)", self.0 >> 112)
    }
}

/// Something is not allowed; the reason goes to the client, as the error's argument (`403:REASON:publish_denied`).
///
/// ```
/// use pushline::comet::bayeux::Denied;
///
/// assert_eq!(Denied("read_only").to_string(), "denied: read_only");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(pub &'static str);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "denied: {}", self.0)
    }
}

impl core::error::Error for Denied {}

/// The program that a [`Broker`](super::Broker) is in. Only the first two methods must be there; the policy is that
/// everyone may do everything.
///
/// ```
/// use pushline::comet::bayeux::{Channel, ClientId, Denied, Host, BayeuxMessage};
///
/// struct News { random: [u8; 16] }
///
/// impl Host for News {
///     fn client_id(&mut self) -> Option<ClientId> {
///         Some(ClientId::new(self.random)) // of the operating system, anew each time
///     }
///     fn unix_millis(&mut self) -> u64 {
///         0
///     }
///     fn may_publish(&mut self, _: ClientId, channel: Channel<'_>, _: &BayeuxMessage<'_>) -> Result<(), Denied> {
///         if channel.as_str() == "/news" { Err(Denied("editors_only")) } else { Ok(()) }
///     }
/// }
/// ```
pub trait Host {
    /// A fresh id, of 128 random bits. `None` if there is no randomness to be had: the handshake is denied.
    fn client_id(&mut self) -> Option<ClientId>;

    /// The time of day, in milliseconds since 1970 UTC: for the extensions timesync and timestamp.
    fn unix_millis(&mut self) -> u64;

    /// Whether who sends this handshake may have a session. Its other fields ([`BayeuxMessage::get`]) are the client's.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `403:REASON:handshake_denied`, and the client does not try again.
    fn may_handshake(&mut self, _message: &BayeuxMessage<'_>) -> Result<(), Denied> {
        Ok(())
    }

    /// Whether the client may be the first to subscribe to, or publish on, what nobody is subscribed to.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `403:REASON:create_denied`.
    fn may_create(&mut self, _client: ClientId, _pattern: Pattern<'_>) -> Result<(), Denied> {
        Ok(())
    }

    /// Whether the client may subscribe to this.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `403:REASON:subscribe_denied`.
    fn may_subscribe(&mut self, _client: ClientId, _pattern: Pattern<'_>) -> Result<(), Denied> {
        Ok(())
    }

    /// Whether the client may publish this there, a service channel or one that is broadcast.
    ///
    /// # Errors
    ///
    /// [`Denied`]: `403:REASON:publish_denied`.
    fn may_publish(
        &mut self,
        _client: ClientId,
        _channel: Channel<'_>,
        _message: &BayeuxMessage<'_>,
    ) -> Result<(), Denied> {
        Ok(())
    }

    /// A client has published this, and was allowed to. On a service channel it is for nobody else.
    fn published(&mut self, _client: ClientId, _channel: Channel<'_>, _data: Value<'_>) {}

    /// A client has a session.
    fn opened(&mut self, _client: ClientId) {}

    /// A client's session is over, for whatever reason.
    fn closed(&mut self, _client: ClientId) {}
}
