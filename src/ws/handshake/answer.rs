//! What a server answers a request with that has come over a stream: from the bytes of its head to those of the response
//! (RFC 6455 4.2). Keeps no state but the reader's: when to write and what follows is `opening.rs`'s to say.

use alloc::vec::Vec;

use super::MAX_HANDSHAKE_FIELDS;
use super::accepted::Accepted;
use super::rejection::Rejection;
use super::server::{ServerOptions, accept_request};
use crate::http1::head::{HeadReader, MAX_FIELDS, RequestHead, Slots};
use crate::ws::negotiated::Negotiated;

/// What a request is answered with.
pub(super) struct Answer {
    pub(super) response: Vec<u8>,
    pub(super) negotiated: Negotiated,
    /// Bytes of the request's head.
    pub(super) length: usize,
}

/// Accepts the request, once its head is complete, if the rules and `decide` do, in this order; `see` is shown it before.
pub(super) fn answer<D>(
    options: &ServerOptions,
    reader: &mut HeadReader,
    decide: &mut Option<D>,
    received: &[u8],
    see: impl FnOnce(&RequestHead<'_, '_>),
) -> Result<Option<Answer>, Rejection>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    match options.choice().limits.fields {
        0..=MAX_FIELDS => answer_with::<MAX_FIELDS, _>(options, reader, decide, received, see),
        65..=256 => answer_with::<256, _>(options, reader, decide, received, see),
        _ => answer_with::<MAX_HANDSHAKE_FIELDS, _>(options, reader, decide, received, see),
    }
}

/// With room for `N` fields.
#[inline(never)] // it is on the stack: what is not used had better not be
fn answer_with<const N: usize, D>(
    options: &ServerOptions,
    reader: &mut HeadReader,
    decide: &mut Option<D>,
    received: &[u8],
    see: impl FnOnce(&RequestHead<'_, '_>),
) -> Result<Option<Answer>, Rejection>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    let mut slots = Slots::<N>::with_room();
    let Some(head) = reader.read_request(received, &mut slots)? else { return Ok(None) };
    see(&head);
    let mut accepted = accept_request(options, &head)?;
    if let Some(decide) = decide.take() {
        decide(&head, &mut accepted)?;
    }
    let response = accepted.to_bytes();
    Ok(Some(Answer { response, length: head.len(), negotiated: accepted.into_negotiated() }))
}
