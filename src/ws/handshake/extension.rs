//! The seam between the handshake and the extensions: offers in, answer out (RFC 6455 9.1).

use alloc::string::String;

use super::Negotiated;
use super::client::ClientError;
use super::fields::{Extension, ListError};

/// The extensions that one side is ready to use.
#[derive(Clone, Debug, Default)]
pub(super) struct Supported {}

impl Supported {
    /// Server: chooses among offers, the client's favourite first. What was agreed and the value that says so, or
    /// `None` to decline.
    pub(super) fn choose<'a>(
        &self,
        offers: impl Iterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Option<(Negotiated, String)> {
        let _ = offers;
        None
    }

    /// Client: the value that offers them all, or `None` to offer nothing.
    pub(super) fn offer(&self) -> Option<String> {
        None
    }

    /// Client: what the server's answer, empty if there is none, agrees to.
    pub(super) fn verify<'a>(
        &self,
        mut answer: impl Iterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Result<Negotiated, ClientError> {
        match answer.next() {
            None => Ok(Negotiated::default()),
            Some(Ok(_)) => Err(ClientError::UnofferedExtension),
            Some(Err(error)) => Err(ClientError::BadExtensions(error)),
        }
    }
}
