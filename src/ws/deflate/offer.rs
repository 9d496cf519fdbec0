//! RFC 7692 5, 7.1: a client's offers, a server's choice among them, the client's check of the answer.

use super::params::{Bare, DeflateParams, NAME, Terms, WindowBits};
use crate::ws::handshake::fields::{Extension, ListError};
use alloc::string::String;
use core::fmt;

/// The reason why a client fails the connection over the server's `Sec-WebSocket-Extensions`.
///
/// ```
/// use pushline::ws::deflate::{AnswerError, Terms};
/// use pushline::raw::verify;
/// use pushline::raw::extensions;
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

impl core::error::Error for AnswerError {}

/// The `Sec-WebSocket-Extensions` value of a client that offers these terms, the best first (RFC 7692 5,
/// 7.1).
///
/// ```
/// use pushline::ws::deflate::{Terms, WindowBits};
/// use pushline::raw::offer;
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
/// use pushline::ws::deflate::Terms;
/// use pushline::raw::negotiate;
/// use pushline::raw::extensions;
///
/// let offers = b"x-other, permessage-deflate; server_max_window_bits=10; client_max_window_bits";
/// let (params, answer) = negotiate(&Terms::default(), extensions(offers)).unwrap();
/// assert_eq!(params.server_max_window_bits.get(), 10);
/// assert_eq!(answer, "permessage-deflate; server_max_window_bits=10");
/// ```
pub fn negotiate<'a>(
    wishes: &Terms,
    offers: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Option<(DeflateParams, String)> {
    choose(wishes, false, offers)
}

/// As [`negotiate`]; `bounded`: a client that cannot be told the wished window is told not to keep one.
pub(super) fn choose<'a>(
    wishes: &Terms,
    bounded: bool,
    offers: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Option<(DeflateParams, String)> {
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
    let params = DeflateParams {
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
/// use pushline::ws::deflate::Terms;
/// use pushline::raw::verify;
/// use pushline::raw::extensions;
///
/// let answer = extensions(b"permessage-deflate; server_no_context_takeover");
/// let params = verify(&[Terms::default()], answer).unwrap().unwrap();
/// assert!(params.server_no_context_takeover);
/// ```
pub fn verify<'a>(
    offers: &[Terms],
    answer: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
) -> Result<Option<DeflateParams>, AnswerError> {
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

impl Terms {
    /// RFC 7692 7.1: an answer grants what was asked for, and asks for nothing that was not offered.
    fn fits(&self, offered: &Self) -> Result<DeflateParams, AnswerError> {
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
        Ok(DeflateParams {
            server_no_context_takeover: self.server_no_context_takeover,
            // RFC 7692 7.1.1.2: and so does this.
            client_no_context_takeover: self.client_no_context_takeover || offered.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        })
    }
}
