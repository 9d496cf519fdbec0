//! What a server answers a request with that has come over a stream (RFC 6455 4.2). Keeps no state but the reader's: when to
//! write and what follows is `opening.rs`'s to say.

use super::MAX_HANDSHAKE_FIELDS;
use super::accepted::Accepted;
use super::rejection::Rejection;
use super::server::{ServerOptions, accept_request};
use crate::http1::head::{HeadReader, MAX_FIELDS, RequestHead, Slots};

/// Calls `accepted` with the request and the answer as it stands, once the head is complete and if the rules accept it.
/// `see` is shown any request that can be read, before.
pub(super) fn answer<T>(
    options: &ServerOptions,
    reader: &mut HeadReader,
    received: &[u8],
    see: impl FnOnce(&RequestHead<'_, '_>),
    accepted: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    match options.choice().limits.fields {
        0..=MAX_FIELDS => answer_with::<MAX_FIELDS, _>(options, reader, received, see, accepted),
        65..=256 => answer_with::<256, _>(options, reader, received, see, accepted),
        _ => answer_with::<MAX_HANDSHAKE_FIELDS, _>(options, reader, received, see, accepted),
    }
}

/// With room for `N` fields.
#[inline(never)] // it is on the stack: what is not used had better not be
fn answer_with<const N: usize, T>(
    options: &ServerOptions,
    reader: &mut HeadReader,
    received: &[u8],
    see: impl FnOnce(&RequestHead<'_, '_>),
    accepted: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    let mut slots = Slots::<N>::with_room();
    // Neither the head nor the answer is moved: they are large.
    let read = reader.read_request(received, &mut slots);
    let head = match &read {
        Ok(Some(head)) => head,
        Ok(None) => return Ok(None),
        Err(error) => return Err((*error).into()),
    };
    see(head);
    let mut answer = accept_request(options, head);
    let Ok(answer) = &mut answer else { return answer.map(|_| None) };
    accepted(head, answer).map(Some)
}
