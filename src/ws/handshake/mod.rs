//! The opening handshake (RFC 6455 4).

pub mod fields;

/// What the opening handshake has negotiated for the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {}
