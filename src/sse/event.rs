//! What a decoder hands out: an event, a reconnection time, a comment. Lent, never copied.

use core::time::Duration;

/// One item of an event stream: an event, a comment or a reconnection time.
///
/// ```
/// use pushline::sse::{EventDecoder, Input, Item};
///
/// let mut input = Input::new(b": hello\nretry: 500\ndata: 1\n\n");
/// let mut decoder = EventDecoder::new();
/// let mut seen = Vec::new();
/// while let Some(item) = decoder.decode(&mut input)? {
///     seen.push(match item {
///         Item::Event(event) => format!("event {}", event.data),
///         Item::Retry(time) => format!("retry {time:?}"),
///         Item::Comment(text) => format!("comment{text}"),
///         _ => String::new(),
///     });
/// }
/// assert_eq!(seen, ["comment hello", "retry 500ms", "event 1"]);
/// # Ok::<(), pushline::sse::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item<'d> {
    /// An event was dispatched (HTML 9.2.6).
    Event(EventRef<'d>),
    /// The server set the reconnection time. It holds from now on, whether or not the block it stands in
    /// is ever finished. A time past `u64::MAX` milliseconds is that.
    Retry(Duration),
    /// A comment line, without its colon: what follows it is as it stood on the wire, a leading space
    /// too. Servers send comments to keep a quiet connection alive.
    Comment(&'d str),
}

/// A dispatched event, lent from the input or from the decoder's storage.
///
/// ```
/// use pushline::sse::{EventDecoder, Input, Item};
///
/// let mut input = Input::new(b"event: price\nid: 7\ndata: 42\n\n");
/// let mut decoder = EventDecoder::new();
/// let Some(Item::Event(event)) = decoder.decode(&mut input)? else { panic!() };
/// assert_eq!((event.event_type, event.last_event_id, event.data), ("price", "7", "42"));
/// # Ok::<(), pushline::sse::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef<'d> {
    /// The event type; `message` if the block named none.
    pub event_type: &'d str,
    /// The data: the values of the `data` lines joined by LF.
    pub data: &'d str,
    /// The last event ID as of this event, set by this block or by an earlier one; empty if none is set.
    pub last_event_id: &'d str,
}

impl EventRef<'_> {
    /// The type of an event that names none.
    pub const MESSAGE: &'static str = "message";
}
