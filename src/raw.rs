//! Low-level pieces, for tests, fuzzers, benchmarks and those who build something of their own. No logic of its own.
//!
//! Whoever serves or connects needs none of them: [`ws::Connection`](crate::ws::Connection) and the machines beside it stand on
//! them. They are as strict as the whole, but each checks its own part only: a [`Header`] does not know whether a
//! continuation frame is in order.
//!
//! | piece | what | after |
//! |---|---|---|
//! | [`Header`] | a frame's header, parsed and written | RFC 6455 5.2 |
//! | [`apply_mask`], [`rotate`] | masking | RFC 6455 5.3 |
//! | [`Receiver`], [`Sender`], [`Reply`] | the halves of a connection, each by itself | RFC 6455 6 |
//! | [`StateInput`] | what moves a [`ws::State`](crate::ws::State) | RFC 6455 7 |
//! | [`extensions`], [`subprotocols`] | the lists of the opening handshake | RFC 6455 9.1, 11.3 |
//! | `Deflater`, `Inflater` (`deflate`) | the codec of permessage-deflate | RFC 7692 7.2 |
//! | `offer`, `negotiate`, `verify` (`deflate`) | its parameters | RFC 7692 7.1 |
//! | [`is_token`] and its neighbours | tokens, lists and values of fields | RFC 9110 5.6 |
//! | `form`, `z85` (`bayeux`) | forms, and bytes in JSON | Bayeux 1.0 |
//!
//! ```
//! use pushline::raw::{Header, apply_mask};
//!
//! // A masked text frame, by hand (RFC 6455 5.7).
//! let mut wire = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let (header, len) = Header::parse(&wire)?.ok_or("too short")?;
//! let payload = wire.get_mut(len..).ok_or("too short")?;
//! apply_mask(payload, header.mask.ok_or("not masked")?);
//! assert_eq!(payload, b"Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use crate::http1::syntax::{
    contains_token, elements, is_field_value, is_name, is_token, is_token_byte, trim,
};
#[cfg(feature = "deflate")]
pub use crate::ws::deflate::{
    deflater::Deflater,
    inflater::{InflateError, Inflater, Progress},
    offer::{negotiate, offer, verify},
};
pub use crate::ws::handshake::fields::{
    Extension, ExtensionParams, Extensions, MAX_EXTENSIONS, MAX_PARAMETERS, MAX_SUBPROTOCOLS, extensions,
    subprotocols,
};
pub use crate::ws::header::{Header, MAX_HEADER_LEN};
pub use crate::ws::mask::{apply_mask, rotate};
pub use crate::ws::message::Reply;
pub use crate::ws::receiver::Receiver;
pub use crate::ws::sender::Sender;
pub use crate::ws::state::StateInput;

/// Queries and forms of Bayeux's older transports, and the answer as a script.
#[cfg(feature = "bayeux")]
pub mod form {
    pub use crate::comet::bayeux::form::{fields, script};
}

/// Z85, which carries bytes in JSON (ZeroMQ RFC 32).
#[cfg(feature = "bayeux")]
pub mod z85 {
    pub use crate::comet::bayeux::z85::{decode, encode};
}
