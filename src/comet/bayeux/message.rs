//! Envelopes: what a request carries, taken apart without a copy (Bayeux 1.0, 3 Message field definitions).
#![allow(clippy::arithmetic_side_effects, reason = "counts fields of a message that is in memory")]

use super::config::BrokerOptions;
use super::host::ClientId;
use super::z85;
use crate::json::{self, Object, Str, Value};
use core::fmt;

/// The reason why a whole request was refused, before any message of it was looked at.
///
/// ```
/// use pushline::comet::bayeux::BayeuxRefusal;
///
/// assert_eq!((BayeuxRefusal::NotJson.status(), BayeuxRefusal::NotJson.close_code()), (400, 1007));
/// assert_eq!((BayeuxRefusal::TooLarge.status(), BayeuxRefusal::TooLarge.close_code()), (413, 1009));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BayeuxRefusal {
    /// It is not JSON, or nested too deep.
    NotJson,
    /// It is neither an array of objects nor one object, or there is no message in it.
    NotMessages,
    /// It is over [`BrokerOptions::max_request`], [`BrokerOptions::max_message`] or [`BrokerOptions::max_batch`].
    TooLarge,
}

impl BayeuxRefusal {
    /// The HTTP status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::NotJson | Self::NotMessages => 400,
            Self::TooLarge => 413,
        }
    }

    /// The code to close a WebSocket with (RFC 6455 7.4.1).
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::NotJson | Self::NotMessages => 1007,
            Self::TooLarge => 1009,
        }
    }
}

impl fmt::Display for BayeuxRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "request is not JSON",
            Self::NotMessages => "request is not an array of messages",
            Self::TooLarge => "request or message too large, or too many messages",
        })
    }
}

impl core::error::Error for BayeuxRefusal {}

/// One message of a client, lent from the request.
///
/// ```
/// use pushline::comet::bayeux::BayeuxMessage;
///
/// let message = BayeuxMessage::parse(r#"{"channel":"/chat","data":{"text":"hi"},"token":"t"}"#).expect("an object");
/// assert_eq!(message.data().map(|data| data.as_str()), Some(r#"{"text":"hi"}"#));
/// assert_eq!(message.get("token").map(|token| token.as_str()), Some("\"t\""));
/// ```
#[derive(Clone, Debug)]
pub struct BayeuxMessage<'m> {
    fields: Object<'m>,
    pub(super) channel: Option<Str<'m>>,
    pub(super) id: Option<Value<'m>>,
    pub(super) client_id: Option<Str<'m>>,
    pub(super) connection_type: Option<Str<'m>>,
    pub(super) subscription: Option<Value<'m>>,
    pub(super) advice: Option<Object<'m>>,
    ext: Option<Object<'m>>,
    data: Option<Value<'m>>,
}

impl<'m> BayeuxMessage<'m> {
    /// The message that this text is; `None` if it is no object.
    #[must_use]
    pub fn parse(text: &'m str) -> Option<Self> {
        Self::new(json::check(text).ok()?)
    }

    pub(super) fn new(value: Value<'m>) -> Option<Self> {
        let fields = value.object()?;
        let mut message = Self {
            fields: fields.clone(),
            channel: None,
            id: None,
            client_id: None,
            connection_type: None,
            subscription: None,
            advice: None,
            ext: None,
            data: None,
        };
        for (key, value) in fields {
            match &*key.to_cow() {
                "channel" => message.channel = value.string(),
                "id" => message.id = Some(value),
                "clientId" => message.client_id = value.string(),
                "connectionType" => message.connection_type = value.string(),
                "subscription" => message.subscription = Some(value),
                "advice" => message.advice = value.object(),
                "ext" => message.ext = value.object(),
                "data" => message.data = Some(value),
                _ => {}
            }
        }
        Some(message)
    }

    /// The field of this name, as it came: also what the client has added by itself, such as credentials.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'m>> {
        self.fields.get(name)
    }

    /// The extension of this name.
    #[must_use]
    pub fn ext(&self, name: &str) -> Option<Value<'m>> {
        self.ext.as_ref()?.get(name)
    }

    /// What is published.
    #[must_use]
    pub fn data(&self) -> Option<Value<'m>> {
        self.data
    }

    /// Whose message it says it is.
    #[must_use]
    pub fn client_id(&self) -> Option<ClientId> {
        ClientId::parse(&self.client_id?.to_cow())
    }

    /// Whether `data.data` is what the extension binary makes of bytes. Otherwise it would fail at each subscriber.
    pub(super) fn is_binary(&self) -> bool {
        let data = self.data.and_then(|data| data.object()).and_then(|data| data.get("data"));
        data.and_then(|data| data.string()).is_some_and(|text| z85::decode(&text.to_cow()).is_some())
    }
}

/// Calls `each` for all messages of the envelopes: each an array of messages, or one message (3.1, 6).
pub(super) fn read<'m>(
    envelopes: &[&'m str],
    config: &BrokerOptions,
    mut each: impl FnMut(BayeuxMessage<'m>),
) -> Result<(), BayeuxRefusal> {
    if envelopes.iter().map(|envelope| envelope.len()).sum::<usize>() > config.max_request {
        return Err(BayeuxRefusal::TooLarge);
    }
    let mut count = 0;
    for envelope in envelopes {
        let value = json::check(envelope).map_err(|_| BayeuxRefusal::NotJson)?;
        let mut one = |value: Value<'m>| {
            count += 1;
            if value.as_str().len() > config.max_message || count > config.max_batch {
                return Err(BayeuxRefusal::TooLarge);
            }
            BayeuxMessage::new(value).map(&mut each).ok_or(BayeuxRefusal::NotMessages)
        };
        match value.array() {
            Some(mut messages) => messages.try_for_each(one)?,
            None => one(value)?,
        }
    }
    Ok(())
}
