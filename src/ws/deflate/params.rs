//! RFC 7692 7.1.1, 7.1.2: the parameters of permessage-deflate, read and written.
#![allow(clippy::arithmetic_side_effects, reason = "digits that were matched: 8 to 15")]

use super::offer::AnswerError;
use crate::ws::handshake::fields::Extension;
use alloc::string::String;
use core::fmt::Write;

pub(super) const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The base-2 logarithm of a window's size in bytes, 8 to 15 (RFC 7692 7.1.2).
///
/// ```
/// use pushline::ws::deflate::WindowBits;
///
/// assert_eq!(WindowBits::new(9).unwrap().window_len(), 512);
/// assert_eq!(WindowBits::new(16), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowBits(u8);

impl WindowBits {
    /// 8 bits, 256 bytes.
    pub const MIN: Self = Self(8);
    /// 15 bits, 32 KiB: what holds where nothing is said.
    pub const MAX: Self = Self(15);

    /// `None` outside 8 to 15.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= Self::MIN.0 && bits <= Self::MAX.0 { Some(Self(bits)) } else { None }
    }

    /// The number of bits.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The size of the window, in bytes.
    #[must_use]
    pub const fn window_len(self) -> usize {
        1 << self.0
    }

    /// RFC 7692 7.1.2: a decimal integer without leading zeros, between 8 and 15.
    fn parse(value: &str) -> Option<Self> {
        match value.as_bytes() {
            [digit @ b'8'..=b'9'] => Some(Self(digit - b'0')),
            [b'1', digit @ b'0'..=b'5'] => Some(Self(10 + digit - b'0')),
            _ => None,
        }
    }
}

/// The parameters as one side writes them: a client's offer, or what a server wishes for.
///
/// ```
/// use pushline::ws::deflate::{Terms, WindowBits};
/// use pushline::raw::offer;
///
/// let terms = Terms { server_max_window_bits: WindowBits::new(10), ..Terms::default() };
/// assert_eq!(offer(&[terms]), "permessage-deflate; server_max_window_bits=10");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The server is to compress each message by itself (RFC 7692 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client is to compress each message by itself; in an offer, it will do so even if the answer does
    /// not say so (RFC 7692 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The largest window of the server (RFC 7692 7.1.2.1).
    pub server_max_window_bits: Option<WindowBits>,
    /// The largest window of the client; in an offer, that the server may ask for a smaller one (RFC 7692
    /// 7.1.2.2). 15 is written as the bare parameter.
    pub client_max_window_bits: Option<WindowBits>,
}

/// The agreed parameters of permessage-deflate.
///
/// ```
/// use pushline::ws::deflate::{DeflateParams, WindowBits};
///
/// // Nothing but the extension's name: context takeover and windows of 32 KiB both ways.
/// let params = DeflateParams::default();
/// assert_eq!(params.client().window_bits, WindowBits::MAX);
/// assert!(params.server().context_takeover);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The largest window that the server compresses with.
    pub server_max_window_bits: WindowBits,
    /// The largest window that the client compresses with.
    pub client_max_window_bits: WindowBits,
}

/// The agreed parameters for the messages of one side.
///
/// ```
/// use pushline::ws::deflate::DeflateParams;
///
/// let received_by_a_server = DeflateParams::default().client();
/// assert_eq!(received_by_a_server.window_bits.get(), 15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// A message may refer to the messages before it (RFC 7692 7.1.1).
    pub context_takeover: bool,
    /// How far back it may refer (RFC 7692 7.1.2).
    pub window_bits: WindowBits,
}

impl DeflateParams {
    /// For the messages of the server.
    #[must_use]
    pub const fn server(self) -> Direction {
        Direction {
            context_takeover: !self.server_no_context_takeover,
            window_bits: self.server_max_window_bits,
        }
    }

    /// For the messages of the client.
    #[must_use]
    pub const fn client(self) -> Direction {
        Direction {
            context_takeover: !self.client_no_context_takeover,
            window_bits: self.client_max_window_bits,
        }
    }
}

impl Default for DeflateParams {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
        }
    }
}

/// Whether `client_max_window_bits` may stand without a value: in an offer, not in an answer (RFC 7692
/// 7.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Bare {
    Allowed,
    Refused,
}

impl Terms {
    /// RFC 7692 7.1: each parameter at most once, known, with a value it can have.
    pub(super) fn parse(extension: &Extension<'_>, bare: Bare) -> Result<Self, AnswerError> {
        let mut terms = Self::default();
        for (name, value) in extension.params() {
            let fresh = match (name, value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => set(&mut terms.server_no_context_takeover),
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => set(&mut terms.client_no_context_takeover),
                (SERVER_MAX_WINDOW_BITS, Some(value)) => fill(&mut terms.server_max_window_bits, value)?,
                (CLIENT_MAX_WINDOW_BITS, Some(value)) => fill(&mut terms.client_max_window_bits, value)?,
                (CLIENT_MAX_WINDOW_BITS, None) if bare == Bare::Allowed => {
                    terms.client_max_window_bits.replace(WindowBits::MAX).is_none()
                }
                (
                    SERVER_NO_CONTEXT_TAKEOVER
                    | CLIENT_NO_CONTEXT_TAKEOVER
                    | SERVER_MAX_WINDOW_BITS
                    | CLIENT_MAX_WINDOW_BITS,
                    _,
                ) => return Err(AnswerError::InvalidValue),
                _ => return Err(AnswerError::UnknownParameter),
            };
            if !fresh {
                return Err(AnswerError::DuplicateParameter);
            }
        }
        Ok(terms)
    }

    /// One element of the field.
    pub(super) fn write(&self, text: &mut String) {
        text.push_str(NAME);
        let bare = [
            (SERVER_NO_CONTEXT_TAKEOVER, self.server_no_context_takeover),
            (CLIENT_NO_CONTEXT_TAKEOVER, self.client_no_context_takeover),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits == Some(WindowBits::MAX)),
        ];
        let valued = [
            (SERVER_MAX_WINDOW_BITS, self.server_max_window_bits),
            (CLIENT_MAX_WINDOW_BITS, self.client_max_window_bits.filter(|bits| *bits < WindowBits::MAX)),
        ];
        for (name, _) in bare.into_iter().filter(|(_, present)| *present) {
            text.push_str("; ");
            text.push_str(name);
        }
        for (name, bits) in valued.into_iter().filter_map(|(name, bits)| Some((name, bits?))) {
            // Writing to a `String` does not fail.
            let _ = write!(text, "; {name}={}", bits.get());
        }
    }
}

/// Whether the flag was not set before.
fn set(flag: &mut bool) -> bool {
    !core::mem::replace(flag, true)
}

/// Whether the value was not given before.
fn fill(bits: &mut Option<WindowBits>, value: &str) -> Result<bool, AnswerError> {
    let value = WindowBits::parse(value).ok_or(AnswerError::InvalidValue)?;
    Ok(bits.replace(value).is_none())
}
