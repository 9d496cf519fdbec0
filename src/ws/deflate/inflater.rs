//! RFC 7692 7.2.2: the payloads of compressed frames into messages, in bounded steps.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "inflated never passes `max_message`, compressed counts in 64 bits; sums and differences of lengths of what is in memory"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "up to what the engine has taken and given, which is less than it was lent"
)]

use super::options::{Context, DeflateOptions};
use super::params::Direction;
use super::pool::{Inflating, Pool};
use super::window::Window;
use super::{MAX_STEP, TAIL};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use zlib_rs::{InflateFlush, Status};

/// How often the ratio is judged, in compressed bytes.
const RATIO_STEP: u64 = 1024;

/// Inflates the messages of one direction, as their bytes arrive.
///
/// ```
/// use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams};
/// use pushline::raw::Inflater;
///
/// let options = DeflateOptions::new(Compression::Shared);
/// let mut inflater = Inflater::new(DeflateParams::default().server(), &options, 1024);
/// let mut message = Vec::new();
/// let payload = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// let progress = inflater.inflate(&payload, &mut message, usize::MAX, true)?;
/// assert!(progress.done);
/// assert_eq!(message, b"Hello");
/// # Ok::<(), pushline::raw::InflateError>(())
/// ```
pub struct Inflater {
    window_len: usize,
    context: Context,
    max_message: usize,
    max_ratio: Option<NonZeroU32>,
    pool: Pool,
    state: Option<Box<Inflating>>,
    /// What the next message may refer to, while there is no state.
    window: Window,
    /// Bytes of the message in progress, on the wire and inflated.
    compressed: u64,
    inflated: usize,
    in_message: bool,
    failed: Option<InflateError>,
}

/// The progress of [`Inflater::inflate`].
///
/// ```
/// # use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams};
/// # use pushline::raw::Inflater;
/// # let options = DeflateOptions::new(Compression::Shared);
/// let mut inflater = Inflater::new(DeflateParams::default().server(), &options, 1024);
/// let (mut input, mut message) = (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..], Vec::new());
/// loop {
///     let progress = inflater.inflate(input, &mut message, 2, true)?;
///     input = &input[progress.consumed..];
///     if progress.done {
///         break;
///     }
/// }
/// assert_eq!(message, b"Hello");
/// # Ok::<(), pushline::raw::InflateError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Progress {
    /// How many bytes of the input were taken.
    pub consumed: usize,
    /// All input was taken and all it stands for put out. If not, there was no room: call again with the
    /// rest of the input, which may be empty.
    pub done: bool,
}

/// The reason why a compressed message is refused. The inflater is of no use afterwards.
///
/// ```
/// # use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams};
/// # use pushline::raw::{InflateError, Inflater};
/// # let options = DeflateOptions::new(Compression::Shared);
/// let mut inflater = Inflater::new(DeflateParams::default().server(), &options, 4);
/// let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
/// assert_eq!(inflater.inflate(&hello, &mut Vec::new(), usize::MAX, true), Err(InflateError::TooBig));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InflateError {
    /// Not DEFLATE data, or a reference to bytes that are not there (RFC 7692 7.2.2). Close code 1007.
    Data,
    /// The message ends inside a block (RFC 7692 7.2.2). Close code 1007.
    Truncated,
    /// More bytes than a message may have. Close code 1009.
    TooBig,
    /// More bytes than [`DeflateOptions::max_ratio`] allows. Close code 1009.
    Ratio,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "invalid DEFLATE data",
            Self::Truncated => "compressed message ends inside a block",
            Self::TooBig => "inflated message over the limit",
            Self::Ratio => "compression ratio over the limit",
        })
    }
}

impl core::error::Error for InflateError {}

impl Inflater {
    /// For one direction as agreed; a message may have at most `max_message` bytes, inflated. Allocates
    /// nothing.
    #[must_use]
    pub fn new(direction: Direction, options: &DeflateOptions, max_message: usize) -> Self {
        Self {
            window_len: direction.window_bits.window_len(),
            context: match (direction.context_takeover, options.context()) {
                (false, _) => Context::None,
                // What the peer may refer to is not ours to choose.
                (true, Context::None) => Context::Window,
                (true, context) => context,
            },
            max_message,
            max_ratio: options.max_ratio,
            pool: options.pool.clone(),
            state: None,
            window: Window::default(),
            compressed: 0,
            inflated: 0,
            in_message: false,
            failed: None,
        }
    }

    /// Inflates payload bytes of a compressed message, in order, and appends at most `room` bytes to
    /// `output`. `end`: the message has no bytes after `input`.
    ///
    /// However the payload is cut, the message is the same. The memory of `output` grows with what is in
    /// it, and not past the limit of a message. A final block (BFINAL) does not end the message, and what
    /// follows may refer back beyond it (RFC 7692 7.2.3.4).
    ///
    /// # Errors
    ///
    /// [`InflateError`], again with every call. What had been put out before the fault stands in `output`.
    pub fn inflate(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        room: usize,
        end: bool,
    ) -> Result<Progress, InflateError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut state = self.state.take().unwrap_or_else(|| self.wake());
        self.in_message = true;
        let mut sink = Sink { end: output.len(), full: output.len().saturating_add(room), bytes: output };
        let result = self.run(&mut state, input, &mut sink, end);
        let len = sink.end;
        output.truncate(len);
        match result {
            Ok(progress) => {
                if progress.done && end {
                    (self.compressed, self.inflated, self.in_message) = (0, 0, false);
                }
                if self.in_message || self.context == Context::State {
                    self.state = Some(state);
                } else {
                    self.rest(state);
                }
                Ok(progress)
            }
            Err(error) => {
                self.failed = Some(error);
                self.window = Window::default();
                Err(error)
            }
        }
    }

    /// Gives back what [`Compression::Dedicated`](super::Compression::Dedicated) holds, but for the window:
    /// for a connection that is not going to receive for a while. Does nothing inside a message.
    pub fn release(&mut self) {
        if !self.in_message
            && let Some(state) = self.state.take()
        {
            self.rest(state);
        }
    }

    fn wake(&mut self) -> Box<Inflating> {
        let mut state = self.pool.take_inflating();
        if self.context != Context::None {
            state.window = core::mem::take(&mut self.window);
            state.restart();
        }
        state
    }

    fn rest(&mut self, mut state: Box<Inflating>) {
        if self.context != Context::None {
            self.window = core::mem::take(&mut state.window);
        }
        self.pool.put_inflating(state);
    }

    fn run(
        &mut self,
        state: &mut Inflating,
        input: &[u8],
        sink: &mut Sink<'_>,
        end: bool,
    ) -> Result<Progress, InflateError> {
        let mut consumed = 0;
        let mut step = input.len().saturating_mul(8).clamp(512, MAX_STEP);
        loop {
            let rest = &input[consumed..];
            let piece = match self.max_ratio {
                None => rest,
                Some(_) => &rest[..rest.len().min((RATIO_STEP - self.compressed % RATIO_STEP) as usize)],
            };
            if sink.end == sink.full {
                return Ok(Progress { consumed, done: false });
            }
            // One byte past the limit tells a message that is too big from one that just fits.
            let allowed = (self.max_message - self.inflated).saturating_add(1);
            let space = step.min(allowed).min(sink.full - sink.end);
            let (taken, written, status) = sink.inflate(state, piece, space, allowed);
            consumed += taken;
            self.compressed += taken as u64;
            self.inflated += written;
            if self.inflated > self.max_message {
                sink.end -= 1;
                return Err(InflateError::TooBig);
            }
            state.window.push(&sink.bytes[sink.end - written..sink.end], self.window_len);
            let ended = status? == Status::StreamEnd;
            if ended {
                state.restart();
            } else if written == space {
                // There may be more inside.
                step = (step * 2).min(MAX_STEP);
                continue;
            }
            if taken < piece.len() {
                // With room to write, the engine takes all it is given. Should it not, this does not wait
                // for it.
                if !ended && taken + written == 0 {
                    return Err(InflateError::Data);
                }
                continue;
            }
            self.judge_ratio()?;
            if consumed == input.len() {
                break;
            }
        }
        if end {
            finish(state)?;
        }
        Ok(Progress { consumed, done: true })
    }

    /// At the same bytes of a message however it is cut, with all of their output counted.
    fn judge_ratio(&self) -> Result<(), InflateError> {
        match self.max_ratio {
            Some(ratio)
                if self.compressed.is_multiple_of(RATIO_STEP)
                    && self.inflated as u64 > self.compressed.saturating_mul(ratio.get().into()) =>
            {
                Err(InflateError::Ratio)
            }
            _ => Ok(()),
        }
    }
}

/// Where the output goes. No byte is cleared twice, however many steps it takes to fill it.
struct Sink<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where the output ends; what is behind it is cleared and free.
    end: usize,
    /// Where it has to stop.
    full: usize,
}

impl Sink<'_> {
    /// One step of the engine: bytes taken, bytes put out, and how it ended. There may be `most` bytes in
    /// this step and those to come.
    fn inflate(
        &mut self,
        state: &mut Inflating,
        input: &[u8],
        space: usize,
        most: usize,
    ) -> (usize, usize, Result<Status, InflateError>) {
        let free = self.end + space;
        if free > self.bytes.capacity() {
            // Doubling, but not past the limit of the message.
            let more = self.end.min(most).max(space);
            self.bytes.reserve_exact(self.end + more - self.bytes.len());
        }
        if free > self.bytes.len() {
            self.bytes.resize(free, 0);
        }
        let engine = &mut state.engine;
        let (total_in, total_out) = (engine.total_in(), engine.total_out());
        let result = engine.decompress(input, &mut self.bytes[self.end..free], InflateFlush::SyncFlush);
        let (taken, written) =
            ((engine.total_in() - total_in) as usize, (engine.total_out() - total_out) as usize);
        self.end += written;
        (taken, written, result.map_err(|_| InflateError::Data))
    }
}

/// RFC 7692 7.2.2: puts the tail back. It completes an empty stored block, and nothing else: asked to stop
/// at the end of a block, the engine stops behind the four bytes and does not touch the fifth.
fn finish(state: &mut Inflating) -> Result<(), InflateError> {
    let [a, b, c, d] = TAIL;
    let engine = &mut state.engine;
    let (total_in, total_out) = (engine.total_in(), engine.total_out());
    let result = engine.decompress(&[a, b, c, d, 0], &mut [0; 8], InflateFlush::Block);
    let stopped = result.is_ok() && engine.total_in() - total_in == 4 && engine.total_out() == total_out;
    if stopped { Ok(()) } else { Err(InflateError::Truncated) }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("context", &self.context)
            .field("in_message", &self.in_message)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
