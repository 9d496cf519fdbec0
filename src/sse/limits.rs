//! What a decoder takes at most, and what it says when that is exceeded.

/// Bounds on what a server makes an [`EventDecoder`](super::EventDecoder) hold. All of them count bytes of text, as
/// UTF-8, after what is not UTF-8 became U+FFFD.
///
/// ```
/// use pushline::sse::{DecodeError, EventDecoder, Input, EventLimits};
///
/// let mut decoder = EventDecoder::with_limits(EventLimits::new().max_event(16));
/// let mut input = Input::new(b"data: short\n\ndata: quite a bit longer\n\n");
/// assert!(decoder.decode(&mut input)?.is_some());
/// assert_eq!(decoder.decode(&mut input), Err(DecodeError::EventTooLong));
/// # Ok::<(), DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct EventLimits {
    pub(super) max_event: usize,
    pub(super) max_type: usize,
    pub(super) max_id: usize,
}

impl EventLimits {
    /// The default of [`max_event`](Self::max_event): 4 MiB.
    pub const MAX_EVENT: usize = 4 << 20;
    /// The default of [`max_type`](Self::max_type): 1 KiB.
    pub const MAX_TYPE: usize = 1 << 10;
    /// The default of [`max_id`](Self::max_id): 1 KiB.
    pub const MAX_ID: usize = 1 << 10;

    /// The defaults.
    pub const fn new() -> Self {
        Self { max_event: Self::MAX_EVENT, max_type: Self::MAX_TYPE, max_id: Self::MAX_ID }
    }

    /// Bytes of one event, default 4 MiB: its `data`, `event` and `id` lines, each with one byte for its
    /// end, and whatever line is being received. Other lines count only while they are being received,
    /// for nothing of them is kept. How much comes in one read does not matter: thousands of events may.
    ///
    /// Stops a server that never ends a line, a comment or an event from taking all memory.
    pub const fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// Bytes of an event type, default 1 KiB.
    ///
    /// Stops a server from handing the application a name the size of a whole event to look up and log.
    pub const fn max_type(mut self, bytes: usize) -> Self {
        self.max_type = bytes;
        self
    }

    /// Bytes of an event ID, default 1 KiB.
    ///
    /// The ID outlives its event, and goes into the head of the request that resumes the stream: stops a
    /// server from planting one that every other server refuses as too long a head.
    pub const fn max_id(mut self, bytes: usize) -> Self {
        self.max_id = bytes;
        self
    }
}

impl Default for EventLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// The stream exceeds a limit. Anything else is no error: HTML 9.2.6 gives every stream of bytes a
/// meaning.
///
/// ```
/// use pushline::sse::DecodeError;
/// assert_eq!(DecodeError::EventTooLong.to_string(), "event over the size limit");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// An event, or a line, exceeds [`EventLimits::max_event`].
    EventTooLong,
    /// An event type exceeds [`EventLimits::max_type`].
    TypeTooLong,
    /// An event ID exceeds [`EventLimits::max_id`].
    IdTooLong,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::EventTooLong => "event over the size limit",
            Self::TypeTooLong => "event type over the length limit",
            Self::IdTooLong => "event ID over the length limit",
        })
    }
}

impl core::error::Error for DecodeError {}
