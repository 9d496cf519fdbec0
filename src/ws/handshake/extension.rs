//! The seam between the handshake and the extensions: offers in, answer out (RFC 6455 9.1).

use alloc::string::String;

use super::Negotiated;
use super::fields::{Extension, ListError};
use super::verify::ClientError;
#[cfg(feature = "deflate")]
use crate::ws::deflate::{AnswerError, DeflateOptions};

/// The extensions that one side is ready to use.
#[derive(Clone, Debug, Default)]
pub(super) struct Supported {
    #[cfg(feature = "deflate")]
    pub(super) deflate: Option<DeflateOptions>,
}

impl Supported {
    pub(super) const fn new() -> Self {
        Self {
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Server: chooses among offers, the client's favourite first. What was agreed and the value that says so, or
    /// `None` to decline.
    pub(super) fn choose<'a>(
        &self,
        offers: impl Iterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Option<(Negotiated, String)> {
        #[cfg(feature = "deflate")]
        if let Some(options) = &self.deflate {
            let (params, answer) = options.answer(offers)?;
            return Some((Negotiated::with_deflate(params, options.clone()), answer));
        }
        #[cfg(not(feature = "deflate"))]
        let _ = offers;
        None
    }

    /// Client: the value that offers them all, or `None` to offer nothing.
    pub(super) fn offer(&self) -> Option<String> {
        #[cfg(feature = "deflate")]
        return self.deflate.as_ref()?.offer();
        #[cfg(not(feature = "deflate"))]
        None
    }

    /// Client: what the server's answer, empty if there is none, agrees to.
    pub(super) fn verify<'a>(
        &self,
        mut answer: impl Iterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Result<Negotiated, ClientError> {
        #[cfg(feature = "deflate")]
        if let Some(options) = &self.deflate {
            let agreed = options.verify(answer)?;
            return Ok(agreed.map_or_else(Negotiated::default, |params| {
                Negotiated::with_deflate(params, options.clone())
            }));
        }
        match answer.next() {
            None => Ok(Negotiated::default()),
            Some(Ok(_)) => Err(ClientError::UnofferedExtension),
            Some(Err(error)) => Err(ClientError::BadExtensions(error)),
        }
    }
}

#[cfg(feature = "deflate")]
impl From<AnswerError> for ClientError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::List(error) => Self::BadExtensions(error),
            AnswerError::NotOffered => Self::UnofferedExtension,
            _ => Self::UnacceptableExtension,
        }
    }
}
