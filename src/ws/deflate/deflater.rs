//! RFC 7692 7.2.1: messages into the payloads of compressed frames.
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "up to what the engine has taken and given")]

use super::options::{Context, DeflateOptions};
use super::params::Direction;
use super::pool::{Deflating, Pool, Shape};
use super::window::Window;
use super::{MAX_STEP, TAIL};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use zlib_rs::DeflateFlush;

/// Deflates the messages of one direction.
///
/// ```
/// use pushline::ws::deflate::{Compression, DeflateOptions, DeflateParams};
/// use pushline::raw::Deflater;
///
/// let options = DeflateOptions::new(Compression::Shared);
/// let mut deflater = Deflater::new(DeflateParams::default().server(), &options);
/// let mut payload = Vec::new();
/// deflater.deflate(b"Hello", &mut payload, true);
/// assert_eq!(payload, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
/// ```
pub struct Deflater {
    shape: Shape,
    context: Context,
    pool: Pool,
    state: Option<Box<Deflating>>,
    /// What the next message may refer to, for [`Context::Window`].
    window: Window,
    in_message: bool,
}

impl Deflater {
    /// For one direction as agreed. Allocates nothing.
    #[must_use]
    pub fn new(direction: Direction, options: &DeflateOptions) -> Self {
        Self {
            shape: options.shape(direction.window_bits),
            context: if direction.context_takeover { options.context() } else { Context::None },
            pool: options.pool.clone(),
            state: None,
            window: Window::default(),
            in_message: false,
        }
    }

    /// Appends the payload of one frame: the next bytes of a message, compressed. `end`: the message has no
    /// bytes after `payload`.
    ///
    /// RFC 7692 7.2.1: the output is flushed, so that the peer can inflate all of it; at the end of the
    /// message the last four bytes are left out.
    pub fn deflate(&mut self, payload: &[u8], output: &mut Vec<u8>, end: bool) {
        let start = output.len();
        if !payload.is_empty() {
            let mut state = self.state.take().unwrap_or_else(|| self.wake());
            self.in_message = true;
            if deflate_into(&mut state, payload, output) {
                self.state = Some(state);
            } else {
                // Never seen: the engine only refuses to go on after the end of a stream. What is not
                // compressed is right too, and a fresh state refers to nothing.
                output.truncate(start);
                store(payload, output);
            }
            if self.context == Context::Window {
                self.window.push(payload, self.shape.window_bits.window_len());
            }
        }
        if end {
            if output.len() == start {
                // RFC 7692 7.2.3.6: an empty message. The end of one that was flushed before looks alike.
                output.push(0x00);
            } else if output.ends_with(&TAIL) {
                output.truncate(output.len() - TAIL.len());
            }
            self.in_message = false;
            if self.context != Context::State {
                self.release();
            }
        }
    }

    /// Gives back what [`Compression::Dedicated`](super::Compression::Dedicated) holds: for a connection
    /// that is not going to send for a while. The next message does not refer to those before. Does nothing
    /// inside a message.
    pub fn release(&mut self) {
        if !self.in_message
            && let Some(state) = self.state.take()
        {
            self.pool.put_deflating(state);
        }
    }

    /// Forgets what went before: for a message that goes past this deflater, compressed by itself. The
    /// next message refers to nothing.
    pub(crate) fn forget(&mut self) {
        self.window = Window::default();
        self.release();
    }

    fn wake(&mut self) -> Box<Deflating> {
        let mut state = self.pool.take_deflating(self.shape);
        for piece in self.window.pieces() {
            // Refused only inside a message.
            let _ = state.engine.set_dictionary(piece);
        }
        state
    }
}

/// Whether the engine took all of it.
fn deflate_into(state: &mut Deflating, mut payload: &[u8], output: &mut Vec<u8>) -> bool {
    let engine = &mut state.engine;
    loop {
        let start = output.len();
        let space = (payload.len() + 64).min(MAX_STEP);
        output.resize(start + space, 0);
        let (total_in, total_out) = (engine.total_in(), engine.total_out());
        let result = engine.compress(payload, &mut output[start..], DeflateFlush::SyncFlush);
        let (taken, written) =
            ((engine.total_in() - total_in) as usize, (engine.total_out() - total_out) as usize);
        output.truncate(start + written);
        payload = &payload[taken..];
        match result {
            Err(_) => return false,
            // There was room for more: nothing is left inside.
            Ok(_) if written < space => return payload.is_empty(),
            Ok(_) => {}
        }
    }
}

/// RFC 1951 3.2.4: the bytes as they are, flushed.
fn store(payload: &[u8], output: &mut Vec<u8>) {
    for block in payload.chunks(usize::from(u16::MAX)) {
        let len = block.len() as u16;
        output.push(0x00);
        output.extend(len.to_le_bytes());
        output.extend((!len).to_le_bytes());
        output.extend(block);
    }
    output.push(0x00);
    output.extend(TAIL);
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("shape", &self.shape)
            .field("context", &self.context)
            .field("in_message", &self.in_message)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{TAIL, store};
    use crate::ws::deflate::{Compression, DeflateOptions, DeflateParams, Inflater};
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn what_is_stored_inflates() {
        for len in [0, 1, 65_534, 65_535, 65_536, 200_000] {
            let message: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            let mut payload = Vec::new();
            store(&message, &mut payload);
            assert!(payload.ends_with(&TAIL));
            payload.truncate(payload.len() - TAIL.len());
            let options = DeflateOptions::new(Compression::Shared);
            let mut inflater = Inflater::new(DeflateParams::default().server(), &options, len);
            let mut output = vec![];
            assert!(inflater.inflate(&payload, &mut output, usize::MAX, true).unwrap().done);
            assert_eq!(output, message);
        }
    }
}
