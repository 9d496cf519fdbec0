//! RFC 7692 7.1: the parameters of permessage-deflate, a client's offers, a server's choice among them, the
//! client's check of the answer.

use crate::ws::handshake::fields::{Extension, ListError};
use alloc::string::String;
use core::fmt::{self, Write};

const NAME: &str = "permessage-deflate";
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
/// use pushline::ws::deflate::{Terms, WindowBits, offer};
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

/// What both sides have agreed to.
///
/// ```
/// use pushline::ws::deflate::{Params, WindowBits};
///
/// // Nothing but the extension's name: context takeover and windows of 32 KiB both ways.
/// let params = Params::default();
/// assert_eq!(params.client().window_bits, WindowBits::MAX);
/// assert!(params.server().context_takeover);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The largest window that the server compresses with.
    pub server_max_window_bits: WindowBits,
    /// The largest window that the client compresses with.
    pub client_max_window_bits: WindowBits,
}

/// What is agreed for the messages of one side.
///
/// ```
/// use pushline::ws::deflate::Params;
///
/// let received_by_a_server = Params::default().client();
/// assert_eq!(received_by_a_server.window_bits.get(), 15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// A message may refer to the messages before it (RFC 7692 7.1.1).
    pub context_takeover: bool,
    /// How far back it may refer (RFC 7692 7.1.2).
    pub window_bits: WindowBits,
}

impl Params {
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

impl Default for Params {
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
        }
    }
}

/// Why a client fails the connection over the server's `Sec-WebSocket-Extensions`.
///
/// ```
/// use pushline::ws::deflate::{AnswerError, Terms, verify};
/// use pushline::ws::handshake::fields::extensions;
///
/// let answer = extensions(b"permessage-deflate; client_max_window_bits=10");
/// assert_eq!(verify(&[Terms::default()], answer), Err(AnswerError::ClientWindow));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerError {
    /// The field does not follow its grammar (RFC 6455 9.1).
    List(ListError),
    /// An extension that was not offered (RFC 6455 9.1).
    NotOffered,
    /// permessage-deflate twice (RFC 7692 5).
    Repeated,
    /// A parameter that RFC 7692 7.1 does not define.
    UnknownParameter,
    /// A parameter twice (RFC 7692 7.1).
    DuplicateParameter,
    /// A value that the parameter cannot have, or none where there must be one (RFC 7692 7.1.1, 7.1.2).
    InvalidValue,
    /// `server_no_context_takeover` was asked for and is not granted (RFC 7692 7.1.1.1).
    ServerTakeover,
    /// `server_max_window_bits` was asked for and is missing, or larger than that (RFC 7692 7.1.2.1).
    ServerWindow,
    /// `client_max_window_bits` was not offered, or is larger than offered (RFC 7692 7.1.2.2).
    ClientWindow,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List(error) => return error.fmt(f),
            Self::NotOffered => "an extension that was not offered",
            Self::Repeated => "permessage-deflate twice",
            Self::UnknownParameter => "unknown parameter",
            Self::DuplicateParameter => "parameter repeated",
            Self::InvalidValue => "invalid parameter value",
            Self::ServerTakeover => "server_no_context_takeover not granted",
            Self::ServerWindow => "server_max_window_bits not granted",
            Self::ClientWindow => "client_max_window_bits beyond the offer",
        })
    }
}

impl core::error::Error for AnswerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::List(error) => Some(error),
            _ => None,
        }
    }
}

/// The `Sec-WebSocket-Extensions` value of a client that offers these terms, the best first (RFC 7692 5,
/// 7.1).
///
/// ```
/// use pushline::ws::deflate::{Terms, WindowBits, offer};
///
/// let small = Terms { server_max_window_bits: WindowBits::new(10), ..Terms::default() };
/// assert_eq!(
///     offer(&[small, Terms::default()]),
///     "permessage-deflate; server_max_window_bits=10, permessage-deflate"
/// );
/// ```
#[must_use]
pub fn offer(offers: &[Terms]) -> String {
    let mut text = String::new();
    for terms in offers {
        if !text.is_empty() {
            text.push_str(", ");
        }
        terms.write(&mut text);
    }
    text
}

/// A server's choice: the first offer that it can grant, as both sides understand it, and the value that
/// answers it. `None` declines: the field is then left out of the response (RFC 7692 5, 7.1).
///
/// An offer with a fault is passed over, as are other extensions. What the server wishes for is added where
/// RFC 7692 lets a server add it: all but a window for a client that did not offer
/// `client_max_window_bits`.
///
/// ```
/// use pushline::ws::deflate::{Terms, negotiate};
/// use pushline::ws::handshake::fields::extensions;
///
/// let offers = b"x-other, permessage-deflate; server_max_window_bits=10; client_max_window_bits";
/// let (params, answer) = negotiate(&Terms::default(), extensions(offers)).unwrap();
/// assert_eq!(params.server_max_window_bits.get(), 10);
/// assert_eq!(answer, "permessage-deflate; server_max_window_bits=10");
/// ```
pub fn negotiate<'a>(
    wishes: &Terms,
    offers: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Option<(Params, String)> {
    choose(wishes, false, offers)
}

/// As [`negotiate`]; `bounded`: a client that cannot be told the wished window is told not to keep one.
pub(super) fn choose<'a>(
    wishes: &Terms,
    bounded: bool,
    offers: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Option<(Params, String)> {
    let mut chosen = None;
    for offered in offers {
        match offered {
            Ok(extension) if extension.name() == NAME && chosen.is_none() => {
                chosen = Terms::parse(&extension, Bare::Allowed).ok();
            }
            Ok(_) | Err(ListError::ValueNotToken) => {}
            // RFC 6455 9.1: a list that breaks the grammar offers nothing.
            Err(_) => return None,
        }
    }
    let offered = chosen?;
    let smaller = |a: Option<WindowBits>, b: Option<WindowBits>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    // RFC 7692 7.1.2.2: not in the answer unless in the offer. 15 says nothing.
    let client_max_window_bits = offered
        .client_max_window_bits
        .and_then(|offered| smaller(Some(offered), wishes.client_max_window_bits))
        .filter(|bits| *bits < WindowBits::MAX);
    let unbounded = wishes.client_max_window_bits.is_some() && offered.client_max_window_bits.is_none();
    let granted = Terms {
        // RFC 7692 7.1.1.1: what the client asks for must be granted.
        server_no_context_takeover: offered.server_no_context_takeover || wishes.server_no_context_takeover,
        client_no_context_takeover: offered.client_no_context_takeover
            || wishes.client_no_context_takeover
            || (bounded && unbounded),
        // RFC 7692 7.1.2.1: this one may be given unasked.
        server_max_window_bits: smaller(offered.server_max_window_bits, wishes.server_max_window_bits)
            .filter(|bits| offered.server_max_window_bits.is_some() || *bits < WindowBits::MAX),
        client_max_window_bits,
    };
    let mut answer = String::new();
    granted.write(&mut answer);
    let params = Params {
        server_no_context_takeover: granted.server_no_context_takeover,
        client_no_context_takeover: granted.client_no_context_takeover,
        server_max_window_bits: granted.server_max_window_bits.unwrap_or(WindowBits::MAX),
        client_max_window_bits: granted.client_max_window_bits.unwrap_or(WindowBits::MAX),
    };
    Some((params, answer))
}

/// A client's check of the answer to its offers. `None`: the server left the extension out.
///
/// # Errors
///
/// [`AnswerError`]: the connection must be failed (RFC 7692 7.1). With several offers, the answer has to
/// fit one of them; the error is about the last.
///
/// ```
/// use pushline::ws::deflate::{Terms, verify};
/// use pushline::ws::handshake::fields::extensions;
///
/// let answer = extensions(b"permessage-deflate; server_no_context_takeover");
/// let params = verify(&[Terms::default()], answer).unwrap().unwrap();
/// assert!(params.server_no_context_takeover);
/// ```
pub fn verify<'a>(
    offers: &[Terms],
    answer: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Result<Option<Params>, AnswerError> {
    let mut answered = None;
    for extension in answer {
        let extension = extension.map_err(AnswerError::List)?;
        if extension.name() != NAME {
            return Err(AnswerError::NotOffered);
        }
        if answered.is_some() {
            return Err(AnswerError::Repeated);
        }
        answered = Some(Terms::parse(&extension, Bare::Refused)?);
    }
    let Some(answered) = answered else { return Ok(None) };
    let mut outcome = Err(AnswerError::NotOffered);
    for offered in offers {
        outcome = answered.fits(offered);
        if outcome.is_ok() {
            break;
        }
    }
    outcome.map(Some)
}

/// Whether `client_max_window_bits` may stand without a value: in an offer, not in an answer (RFC 7692
/// 7.1.2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bare {
    Allowed,
    Refused,
}

impl Terms {
    /// RFC 7692 7.1: each parameter at most once, known, with a value it can have.
    fn parse(extension: &Extension<'_>, bare: Bare) -> Result<Self, AnswerError> {
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

    /// RFC 7692 7.1: an answer grants what was asked for, and asks for nothing that was not offered.
    fn fits(&self, offered: &Self) -> Result<Params, AnswerError> {
        if offered.server_no_context_takeover && !self.server_no_context_takeover {
            return Err(AnswerError::ServerTakeover);
        }
        let server_bits = self.server_max_window_bits.unwrap_or(WindowBits::MAX);
        if let Some(asked) = offered.server_max_window_bits
            && (self.server_max_window_bits.is_none() || server_bits > asked)
        {
            return Err(AnswerError::ServerWindow);
        }
        let client_bits = match (self.client_max_window_bits, offered.client_max_window_bits) {
            (Some(_), None) => return Err(AnswerError::ClientWindow),
            (Some(told), Some(offered)) if told > offered => return Err(AnswerError::ClientWindow),
            (Some(told), _) => told,
            // RFC 7692 7.1.2.2: an offered limit binds the client even if the answer is silent.
            (None, offered) => offered.unwrap_or(WindowBits::MAX),
        };
        Ok(Params {
            server_no_context_takeover: self.server_no_context_takeover,
            // RFC 7692 7.1.1.2: and so does this.
            client_no_context_takeover: self.client_no_context_takeover || offered.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        })
    }

    /// One element of the field.
    fn write(&self, text: &mut String) {
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
