//! The event stream parser (HTML 9.2.6): reads in, items out. Knows blocks, not connections.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "the end of what is held, as long as was held last")]

mod block;

use super::event::{EventRef, Item};
use super::input::Input;
use super::limits::{DecodeError, EventLimits};
use super::storage::{EventStorage, FixedStorage, Full};
use alloc::vec::Vec;
use block::Step;
use core::mem::take;
use core::time::Duration;
use simdutf8::compat::from_utf8;

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Turns an event stream into [`Item`]s, whatever pieces it comes in.
///
/// An event that lies whole in the input and has one `data` line is lent from it without a copy; anything
/// else goes through the decoder's storage, which keeps its memory from event to event. The storage is on
/// the heap, or in a buffer of the caller's ([`in_buffer`](EventDecoder::in_buffer)).
///
/// ```
/// use pushline::sse::{EventDecoder, Input, Item};
///
/// let mut decoder = EventDecoder::new();
/// let mut seen = Vec::new();
/// for read in [&b"data: one\n\ndata: t"[..], b"wo\nid: 2\n", b"\nid: 3\ndata: never ended\n"] {
///     let mut input = Input::new(read);
///     while let Some(item) = decoder.decode(&mut input)? {
///         if let Item::Event(event) = item {
///             seen.push(event.data.to_owned());
///         }
///     }
/// }
/// assert_eq!(seen, ["one", "two"]);
/// assert_eq!(decoder.last_event_id(), "2");
/// # Ok::<(), pushline::sse::DecodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventDecoder<S = Vec<u8>> {
    limits: EventLimits,
    /// The data of the block so far, each line with its LF; then what has come of the next line.
    held: S,
    /// How much of `held` is data.
    data_len: usize,
    /// The event type that the block set, if `has_type`.
    event_type: S,
    has_type: bool,
    /// The last event ID that the block set, if `has_new_id`.
    new_id: S,
    has_new_id: bool,
    /// The last event ID as of the last dispatch.
    id: S,
    /// How long the next line of the block may be.
    room: usize,
    /// How much of a leading BOM has come; all of it, too, if none can come any more.
    bom: usize,
    /// The last read ended with a CR: an LF that comes first in the next belongs to it.
    after_cr: bool,
    /// What `held` has after its data was lent by the last call.
    lent: bool,
    failed: Option<DecodeError>,
    skipping: Skipping,
    /// Nothing of all this holds but `lent`: we are between two blocks, and the next line starts in the input.
    at_rest: bool,
}

/// Whether the rest of a block is being skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skipping {
    No,
    /// Yes, and a line starts next.
    FromLine,
    /// Yes, and we are inside a line.
    InLine,
}

impl EventDecoder {
    /// A decoder on the heap, with the default limits. It allocates nothing until it must hold something.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_limits(EventLimits::new())
    }

    /// A decoder on the heap.
    #[must_use]
    pub const fn with_limits(limits: EventLimits) -> Self {
        Self::over(Vec::new(), Vec::new(), Vec::new(), Vec::new(), limits)
    }

    /// Gives back memory beyond `capacity` bytes that an earlier, large event took. Nothing that is still
    /// needed is lost.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.held.shrink_to(capacity);
    }
}

impl Default for EventDecoder {
    /// [`new`](EventDecoder::new).
    fn default() -> Self {
        Self::new()
    }
}

impl<'b> EventDecoder<FixedStorage<'b>> {
    /// A decoder that never allocates: what it must hold, it holds in `buffer`. IDs and the event type
    /// take `2 * max_id + max_type` bytes of it; the rest bounds the size of an event, if
    /// [`max_event`](EventLimits::max_event) does not.
    ///
    /// ```
    /// use pushline::sse::{DecodeError, EventDecoder, Input, EventLimits};
    ///
    /// let mut buffer = [0; 256];
    /// let mut decoder = EventDecoder::in_buffer(&mut buffer, EventLimits::new().max_id(64).max_type(64));
    /// assert_eq!(decoder.decode(&mut Input::new(&[b'x'; 64])), Ok(None));
    /// assert_eq!(decoder.decode(&mut Input::new(b"x")), Err(DecodeError::EventTooLong));
    /// ```
    #[must_use]
    pub fn in_buffer(buffer: &'b mut [u8], limits: EventLimits) -> Self {
        let mut rest = buffer;
        let mut cut = |len: usize| {
            let (slot, after) = take(&mut rest).split_at_mut_checked(len).unwrap_or_default();
            rest = after;
            slot
        };
        let (id, new_id, event_type) = (cut(limits.max_id), cut(limits.max_id), cut(limits.max_type));
        let limits = EventLimits {
            max_event: limits.max_event.min(rest.len()),
            max_type: event_type.len(),
            max_id: id.len().min(new_id.len()),
        };
        Self::over(
            FixedStorage::new(rest),
            FixedStorage::new(event_type),
            FixedStorage::new(new_id),
            FixedStorage::new(id),
            limits,
        )
    }
}

impl<S> EventDecoder<S> {
    const fn over(held: S, event_type: S, new_id: S, id: S, limits: EventLimits) -> Self {
        Self {
            limits,
            held,
            data_len: 0,
            event_type,
            has_type: false,
            new_id,
            has_new_id: false,
            id,
            room: limits.max_event,
            bom: 0,
            after_cr: false,
            lent: false,
            failed: None,
            skipping: Skipping::No,
            at_rest: false,
        }
    }
}

impl<S: EventStorage> EventDecoder<S> {
    /// Decodes as far as the next item; `None` once the input is used up.
    ///
    /// # Errors
    /// A limit is exceeded. Every further call fails likewise, until [`skip_event`](Self::skip_event).
    #[inline]
    pub fn decode<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Result<Option<Item<'d>>, DecodeError> {
        if self.at_rest {
            if take(&mut self.lent) {
                self.truncate();
            }
            if let Some(data) = input.take_data_block(self.limits.max_event) {
                let last_event_id = text(self.id.as_ref());
                return Ok(Some(Item::Event(EventRef {
                    event_type: EventRef::MESSAGE,
                    data,
                    last_event_id,
                })));
            }
        }
        self.decode_any(input)
    }

    /// The last event ID as of the last dispatch: what a request to resume the stream names. Empty if there
    /// is none. A block that was never ended does not count (HTML 9.2.6).
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        text(self.id.as_ref())
    }

    /// Sets the last event ID, as if an earlier connection had left it.
    ///
    /// # Errors
    /// [`DecodeError::IdTooLong`] if it exceeds [`EventLimits::max_id`]; nothing is changed then.
    pub fn set_last_event_id(&mut self, id: &str) -> Result<(), DecodeError> {
        within(id, self.limits.max_id, DecodeError::IdTooLong)?;
        set(&mut self.id, id).map_err(|Full| DecodeError::IdTooLong)
    }

    /// The stream has ended: an unfinished block is dropped, its ID too. The decoder is then ready for the
    /// stream of the next connection, and keeps the last event ID.
    pub fn receive_eof(&mut self) {
        self.drop_block();
        self.bom = 0;
        self.after_cr = false;
        self.failed = None;
        self.skipping = Skipping::No;
        self.at_rest = false;
    }

    /// After an error, drops the event that exceeds a limit, its ID and all that is left of its block, so
    /// that decoding goes on with the next. Does nothing otherwise.
    ///
    /// ```
    /// use pushline::sse::{EventDecoder, Input, Item, EventLimits};
    ///
    /// let mut decoder = EventDecoder::with_limits(EventLimits::new().max_event(16));
    /// let mut input = Input::new(b"data: quite a bit longer\nid: 1\n\ndata: short\n\n");
    /// assert!(decoder.decode(&mut input).is_err());
    /// decoder.skip_event();
    /// let Some(Item::Event(event)) = decoder.decode(&mut input)? else { panic!() };
    /// assert_eq!((event.data, event.last_event_id), ("short", ""));
    /// # Ok::<(), pushline::sse::DecodeError>(())
    /// ```
    pub fn skip_event(&mut self) {
        if self.failed.take().is_some() {
            // A BOM that broke off is the start of a line, too.
            let in_line = self.held.as_ref().len() > self.data_len || self.bom < BOM.len();
            self.bom = BOM.len();
            self.skipping = if in_line { Skipping::InLine } else { Skipping::FromLine };
            self.drop_block();
        }
    }

    /// [`decode`](Self::decode) for anything but the commonest block.
    #[inline(never)]
    fn decode_any<'d, 'i: 'd>(&'d mut self, input: &mut Input<'i>) -> Result<Option<Item<'d>>, DecodeError> {
        let step = match self.resume(input) {
            Ok(None) => self.lines(input),
            Ok(Some(step)) => Ok(step),
            Err(error) => Err(error),
        };
        let step = step.inspect_err(|&error| self.failed = Some(error));
        self.at_rest = step.is_ok()
            && (self.lent && self.data_len == 0 || self.held.as_ref().is_empty())
            && !(self.has_type || self.has_new_id || self.after_cr)
            && self.bom == BOM.len()
            && self.skipping == Skipping::No;
        let held = self.held.as_ref();
        Ok(Some(match step? {
            Step::NeedMore => return Ok(None),
            Step::Retry(milliseconds) => Item::Retry(Duration::from_millis(milliseconds)),
            Step::Comment(text) => Item::Comment(text),
            Step::HeldComment(len) => Item::Comment(text(&held[held.len() - len..])),
            Step::Event { said, type_held } => Item::Event(EventRef {
                event_type: said
                    .event_type
                    .or(type_held.then(|| text(self.event_type.as_ref())))
                    .filter(|event_type| !event_type.is_empty())
                    .unwrap_or(EventRef::MESSAGE),
                // HTML 9.2.6: the last LF is not part of the data.
                data: said.data.unwrap_or_else(|| text(held.strip_suffix(b"\n").unwrap_or(held))),
                last_event_id: said.id.unwrap_or_else(|| text(self.id.as_ref())),
            }),
        }))
    }
}

/// `value`, if it is no longer than `max`.
fn within(value: &str, max: usize, error: DecodeError) -> Result<&str, DecodeError> {
    if value.len() > max { Err(error) } else { Ok(value) }
}

/// Makes `storage` hold `value`.
fn set<S: EventStorage>(storage: &mut S, value: &str) -> Result<(), Full> {
    storage.resize(0)?;
    storage.append(value.as_bytes())
}

/// What is stored, which was made text when it was stored. Safe code cannot but check again.
#[inline]
fn text(bytes: &[u8]) -> &str {
    if bytes.is_empty() { "" } else { from_utf8(bytes).unwrap_or_default() }
}
