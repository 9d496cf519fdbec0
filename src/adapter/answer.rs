//! The answer to a client's request, whatever it is read from.

use crate::http1::head::RequestHead;
use crate::ws::Negotiated;
use crate::ws::handshake::{Accepted, Rejection, ServerOptions, accept_request};
use std::string::String;
use std::vec::Vec;

/// What a request is answered with, and what was agreed in it.
pub(super) struct Answer {
    pub(super) response: Vec<u8>,
    pub(super) negotiated: Negotiated,
    pub(super) subprotocol: Option<String>,
    /// Bytes of the request's head.
    pub(super) length: usize,
}

impl Answer {
    /// Accepts the request, if the rules and `decide` do.
    pub(super) fn new(
        server: &ServerOptions,
        head: &RequestHead<'_, '_>,
        decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
    ) -> Result<Self, Rejection> {
        let mut accepted = accept_request(server, head)?;
        decide(head, &mut accepted)?;
        Ok(Self {
            response: accepted.to_bytes(),
            negotiated: accepted.negotiated(),
            subprotocol: accepted.subprotocol().map(String::from),
            length: head.len(),
        })
    }
}
