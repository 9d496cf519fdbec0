//! Events to bytes (HTML 9.2.5), and the response they go into. Knows no connection.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "fields of a block that was put together here")]

use super::lines::{has_any, lines_len, may_have_ends, put_all_but_last_line, put_decimal, put_line};
use bytes::{BufMut, Bytes};
use core::ops::Range;
use core::time::Duration;

/// The `Content-Type` of an event stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The fields that the head of a response with an event stream wants, names in lower case.
///
/// - `content-type`: anything else, and a client gives up for good.
/// - `cache-control`: `no-cache` keeps a cache from answering a reconnection with an old stream (HTML 9.2.9);
///   `no-transform` (RFC 9111 5.2.2.6) keeps compressing proxies and middleware from collecting events in
///   the window of their compressor instead of passing them on.
/// - `x-accel-buffering`: nginx, and what follows its lead, passes every write on at once.
///
/// ```
/// let head = pushline::sse::RESPONSE_FIELDS.map(|(name, value)| format!("{name}: {value}\r\n")).concat();
/// assert!(head.starts_with("content-type: text/event-stream\r\n"));
/// ```
pub const RESPONSE_FIELDS: [(&str, &str); 3] = [
    ("content-type", CONTENT_TYPE),
    ("cache-control", "no-cache, no-transform"),
    ("x-accel-buffering", "no"),
];

/// A comment that says nothing, to be sent whenever the connection has been quiet for long: proxies and
/// clients drop connections that seem dead, and a server learns of a client that left only by writing.
/// [`Heartbeat`](crate::heartbeat) tells when; HTML 9.2.7 advises every 15 seconds or so.
///
/// ```
/// use pushline::sse::{EventDecoder, Input, Item, KEEP_ALIVE};
///
/// let mut decoder = EventDecoder::new();
/// assert_eq!(decoder.decode(&mut Input::new(KEEP_ALIVE)), Ok(Some(Item::Comment(""))));
/// ```
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// One block of an event stream, to be encoded: an event, or only a comment or a reconnection time.
///
/// Nothing that is put in can end a line or the block early: data and comments are split into lines where
/// they have CR LF, CR or LF (and so come out of a decoder with LF), event types and IDs that have one
/// are refused.
///
/// ```
/// use pushline::sse::Block;
///
/// let mut out = Vec::new();
/// Block::new().event_type("price").id("7").data("two\nlines").encode(&mut out)?;
/// assert_eq!(out, b"event: price\nid: 7\ndata: two\ndata: lines\n\n");
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Block<'a> {
    comment: Option<&'a str>,
    event_type: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<u64>,
    data: Option<&'a str>,
}

impl<'a> Block<'a> {
    /// A block with nothing in it, which is encoded as nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { comment: None, event_type: None, id: None, retry: None, data: None }
    }

    /// The data. Without it a client gets no event, but learns the ID and the reconnection time; the empty
    /// string makes an event without content.
    #[must_use]
    pub const fn data(mut self, data: &'a str) -> Self {
        self.data = Some(data);
        self
    }

    /// The event type, `message` if none is set.
    #[must_use]
    pub const fn event_type(mut self, event_type: &'a str) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// The event ID: the client's last event ID from this block on. The empty string unsets it.
    ///
    /// Browsers ask before they send an ID that is long or unusual to another origin; see
    /// [`needs_preflight`](super::needs_preflight).
    #[must_use]
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }

    /// How long the client is to wait before it reconnects, in whole milliseconds.
    #[must_use]
    pub const fn retry(mut self, time: Duration) -> Self {
        let milliseconds = time.as_millis();
        self.retry = Some(if milliseconds > u64::MAX as u128 { u64::MAX } else { milliseconds as u64 });
        self
    }

    /// A comment, which clients ignore.
    #[must_use]
    pub const fn comment(mut self, comment: &'a str) -> Self {
        self.comment = Some(comment);
        self
    }

    /// How many bytes [`encode`](Self::encode) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        lines_len(":", self.comment)
            + self.event_type.map_or(0, |event_type| "event: \n".len() + event_type.len())
            + self.id.map_or(0, |id| "id: \n".len() + id.len())
            + self
                .retry
                .map_or(0, |retry| "retry: \n".len() + 1 + retry.checked_ilog10().unwrap_or(0) as usize)
            + lines_len("data: ", self.data)
            + "\n".len()
    }

    const fn is_empty(&self) -> bool {
        self.data.is_none()
            && self.event_type.is_none()
            && self.id.is_none()
            && self.retry.is_none()
            && self.comment.is_none()
    }

    /// Appends the block to `out`, whole or not at all.
    ///
    /// # Errors
    /// The event type or the ID cannot stand in an event stream, or `out` has no room.
    #[inline]
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        // The commonest block has only data, of one line.
        if let Self { comment: None, event_type: None, id: None, retry: None, data: Some(data) } = *self
            && has_much_room(out)
            && !may_have_ends(data)
        {
            out.put_slice(b"data: ");
            out.put_slice(data.as_bytes());
            out.put_slice(b"\n\n");
            return Ok(());
        }
        self.encode_any(out)
    }

    /// [`encode`](Self::encode) for anything but the commonest block. By value, so that the block of the
    /// commonest case need not be in memory.
    #[inline]
    fn encode_any(self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        if self.event_type.is_some_and(|event_type| has_any(event_type, b"\n\r")) {
            return Err(EncodeError::LineEndInType);
        }
        if self.id.is_some_and(|id| has_any(id, b"\n\r\0")) {
            return Err(EncodeError::BadId);
        }
        if !has_much_room(out) && out.remaining_mut() < self.encoded_len() {
            return Err(EncodeError::NoRoom);
        }
        if let Some(comment) = self.comment {
            let comment = put_all_but_last_line(out, b":", comment);
            put_line(out, b":", comment);
        }
        if let Some(event_type) = self.event_type {
            put_line(out, b"event: ", event_type.as_bytes());
        }
        if let Some(id) = self.id {
            put_line(out, b"id: ", id.as_bytes());
        }
        if let Some(retry) = self.retry {
            out.put_slice(b"retry: ");
            put_decimal(out, retry);
            out.put_slice(b"\n");
        }
        if let Some(data) = self.data {
            let data = put_all_but_last_line(out, b"data: ", data);
            out.put_slice(b"data: ");
            out.put_slice(data);
            out.put_slice(b"\n\n");
        } else if !self.is_empty() {
            out.put_slice(b"\n");
        }
        Ok(())
    }

    /// Encodes the block once, for any number of subscribers.
    ///
    /// # Errors
    /// The event type or the ID cannot stand in an event stream.
    pub fn prepare(&self) -> Result<PreparedEvent, EncodeError> {
        let mut bytes = alloc::vec::Vec::with_capacity(self.encoded_len());
        self.encode(&mut bytes)?;
        // The ID stands after the comment and the event type.
        let before = lines_len(":", self.comment)
            + self.event_type.map_or(0, |event_type| "event: \n".len() + event_type.len())
            + "id: ".len();
        Ok(PreparedEvent { bytes: bytes.into(), id: self.id.map(|id| before..before + id.len()) })
    }
}

/// A block encoded once. A clone is another reference to the same bytes.
///
/// ```
/// use pushline::sse::Block;
///
/// let event = Block::new().id("7").data("for all").prepare()?;
/// let queues = [event.clone(), event.clone()];
/// assert_eq!(queues[0].bytes(), b"id: 7\ndata: for all\n\n".as_slice());
/// assert_eq!(queues[0].bytes().as_ptr(), queues[1].bytes().as_ptr());
/// assert_eq!(event.id(), Some(b"7".as_slice()));
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedEvent {
    bytes: Bytes,
    /// Where the event ID stands in `bytes`.
    id: Option<Range<usize>>,
}

impl PreparedEvent {
    /// The bytes to write.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The event ID, if the block sets one.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.clone().map(|id| &self.bytes[id])
    }
}

impl From<PreparedEvent> for Bytes {
    fn from(prepared: PreparedEvent) -> Self {
        prepared.bytes
    }
}

/// Appends a comment of `len` spaces, to be sent first: some proxies and old clients hand on nothing until
/// they have seen a kilobyte or two.
///
/// ```
/// use pushline::sse::{Block, put_padding};
///
/// let mut out = Vec::new();
/// put_padding(&mut out, 2048)?;
/// Block::new().data("x").encode(&mut out)?;
/// assert_eq!(out.len(), ":".len() + 2048 + "\n\n".len() + "data: x\n\n".len());
/// # Ok::<(), pushline::sse::EncodeError>(())
/// ```
///
/// # Errors
/// [`EncodeError::NoRoom`] if `out` has no room; nothing is written then.
pub fn put_padding(out: &mut impl BufMut, len: usize) -> Result<(), EncodeError> {
    if out.remaining_mut() < len.saturating_add(KEEP_ALIVE.len()) {
        return Err(EncodeError::NoRoom);
    }
    out.put_slice(b":");
    out.put_bytes(b' ', len);
    out.put_slice(b"\n\n");
    Ok(())
}

/// The reason why a block was not encoded.
///
/// ```
/// use pushline::sse::{Block, EncodeError};
///
/// let forged = Block::new().id("1\ndata: forged").data("x");
/// assert_eq!(forged.encode(&mut Vec::new()), Err(EncodeError::BadId));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The event type has a CR or an LF, so that part of it would be another line.
    LineEndInType,
    /// The ID has a CR or an LF, so that part of it would be another line, or a NUL, so that clients would
    /// ignore it.
    BadId,
    /// The buffer has less room than [`Block::encoded_len`].
    NoRoom,
}

impl core::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::LineEndInType => "CR or LF in an event type",
            Self::BadId => "CR, LF or NUL in an event ID",
            Self::NoRoom => "no room left in the buffer",
        })
    }
}

impl core::error::Error for EncodeError {}

/// Whether `out` has room for anything, as buffers that grow have: cheaper to see than what there is to write.
#[inline]
fn has_much_room(out: &impl BufMut) -> bool {
    out.remaining_mut() > isize::MAX as usize / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn encoded(block: Block<'_>) -> String {
        let mut out = Vec::new();
        block.encode(&mut out).unwrap();
        assert_eq!(out.len(), block.encoded_len(), "{block:?}");
        assert_eq!(block.prepare().unwrap().bytes(), &out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_stand_in_one_order() {
        let block = Block::new().data("d").retry(Duration::from_millis(1500)).id("i").event_type("t");
        assert_eq!(encoded(block.comment("c")), ":c\nevent: t\nid: i\nretry: 1500\ndata: d\n\n");
        assert_eq!(encoded(Block::new()), "");
        assert_eq!(encoded(Block::new().data("")), "data: \n\n");
        assert_eq!(encoded(Block::new().id("")), "id: \n\n");
        assert_eq!(encoded(Block::new().comment("")), ":\n\n");
    }

    #[test]
    fn every_line_end_splits_data_and_comments() {
        for (text, lines) in [
            ("a\nb", &["a", "b"][..]),
            ("a\rb", &["a", "b"]),
            ("a\r\nb", &["a", "b"]),
            ("a\n\rb", &["a", "", "b"]),
            ("a\r\r\nb\n", &["a", "", "b", ""]),
            ("\r\n\r\n", &["", "", ""]),
            ("\n", &["", ""]),
            ("a\r", &["a", ""]),
            (" a", &[" a"]),
        ] {
            let with = |name: &str| {
                lines.iter().map(|line| [name, line, "\n"].concat()).collect::<Vec<_>>().concat() + "\n"
            };
            assert_eq!(encoded(Block::new().data(text)), with("data: "), "{text:?}");
            assert_eq!(encoded(Block::new().comment(text)), with(":"), "{text:?}");
        }
    }

    #[test]
    fn nothing_is_injected_by_type_or_id() {
        for bad in ["\n", "\r", "a\nb", "a\r\n"] {
            assert_eq!(Block::new().event_type(bad).prepare().map(|_| ()), Err(EncodeError::LineEndInType));
            assert_eq!(Block::new().id(bad).prepare().map(|_| ()), Err(EncodeError::BadId));
        }
        assert_eq!(Block::new().id("a\0").encode(&mut Vec::new()), Err(EncodeError::BadId));
        assert_eq!(encoded(Block::new().event_type("a\0b").data("x")), "event: a\0b\ndata: x\n\n");
    }

    #[test]
    fn a_full_buffer_takes_nothing() {
        let block = Block::new().event_type("t").id("1").data("a\nb");
        let need = block.encoded_len();
        let mut room = [0; 64];
        assert_eq!(block.encode(&mut &mut room[..need - 1]), Err(EncodeError::NoRoom));
        assert_eq!(room, [0; 64]);
        assert_eq!(block.encode(&mut &mut room[..need]), Ok(()));
        assert_eq!(put_padding(&mut &mut room[..9], 7), Err(EncodeError::NoRoom));
        assert_eq!(put_padding(&mut &mut room[..10], 7), Ok(()));
        assert_eq!(&room[..10], b":       \n\n");
    }

    #[test]
    fn the_longest_reconnection_time() {
        assert_eq!(encoded(Block::new().retry(Duration::MAX)), "retry: 18446744073709551615\n\n");
    }

    #[test]
    fn a_prepared_block_knows_its_id() {
        let id = |block: Block<'_>| block.prepare().unwrap().id().map(<[u8]>::to_vec);
        assert_eq!(id(Block::new().comment("a\r\nb").event_type("t").id("é1").data("x")), Some("é1".into()));
        assert_eq!(id(Block::new().id("").data("x")), Some(Vec::new()));
        assert_eq!(id(Block::new().data("id: 1")), None);
    }
}
