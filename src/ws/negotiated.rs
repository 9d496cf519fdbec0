//! What the opening handshake has agreed: what a connection needs to know of it. Above `handshake/`, which fills it in,
//! and `deflate/`, which reads it.

#[cfg(feature = "deflate")]
use super::deflate::{DeflateOptions, DeflateParams};
use alloc::boxed::Box;

/// The terms that the opening handshake has agreed on for the connection. The default: no extension, no subprotocol.
///
/// ```
/// use pushline::ws::Negotiated;
///
/// let negotiated = Negotiated::default().with_subprotocol("chat");
/// assert_eq!(negotiated.subprotocol(), Some("chat"));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Negotiated {
    pub(super) subprotocol: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<Box<(DeflateParams, DeflateOptions)>>,
}

impl Negotiated {
    /// The subprotocol that the server selected (RFC 6455 1.9).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Takes the subprotocol out, for who keeps it: a connection has no use for it.
    #[cfg(feature = "std")]
    pub(crate) const fn take_subprotocol(&mut self) -> Option<Box<str>> {
        self.subprotocol.take()
    }

    /// The same with this subprotocol: for a handshake that was done by other means than this crate's.
    #[must_use]
    pub fn with_subprotocol(self, name: impl Into<Box<str>>) -> Self {
        Self { subprotocol: Some(name.into()), ..self }
    }

    /// The same with the subprotocol that was selected, if any.
    pub(super) fn select(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(Box::from), ..self }
    }
}

#[cfg(feature = "deflate")]
impl Negotiated {
    /// permessage-deflate as agreed, and this side's options for it: for a handshake that was done by
    /// other means than this crate's.
    #[must_use]
    pub fn with_deflate(params: DeflateParams, options: DeflateOptions) -> Self {
        Self { deflate: Some(Box::new((params, options))), ..Self::default() }
    }

    /// What was agreed on permessage-deflate, if it is in use.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.deflate.as_ref().map(|agreed| agreed.0)
    }
}

/// Whether the same was agreed; what this side makes of it does not count.
impl PartialEq for Negotiated {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(feature = "deflate")]
        let same = self.deflate() == other.deflate();
        #[cfg(not(feature = "deflate"))]
        let same = true;
        same && self.subprotocol == other.subprotocol
    }
}

impl Eq for Negotiated {}
