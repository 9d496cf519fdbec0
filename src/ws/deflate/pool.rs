//! Codec states that no message is using, shared by the connections that compress now and then.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::params::WindowBits;
use super::window::Window;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zlib_rs::{Deflate, DeflateConfig, Inflate};

/// Codec states for the connections that own none: a message borrows one, from its first byte to its last.
///
/// A clone is another handle to the same pool. One pool for a process is right unless threads are many and
/// messages small: then one a thread spares the lock. What a pool keeps is bounded; what is borrowed is
/// bounded by the messages in progress.
///
/// ```
/// use pushline::ws::deflate::{Compression, DeflateOptions, Pool};
///
/// let options = DeflateOptions::new(Compression::Shared).pool(Pool::new(8));
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Mutex<Idle>>);

/// What an idle pool holds.
struct Idle {
    capacity: usize,
    #[expect(clippy::vec_box, reason = "a state is lent as it is, without being moved")]
    inflating: Vec<Box<Inflating>>,
    #[expect(clippy::vec_box, reason = "a state is lent as it is, without being moved")]
    deflating: Vec<Box<Deflating>>,
}

/// The state of an inflating stream.
pub(super) struct Inflating {
    pub(super) engine: Inflate,
    /// What the engine has put out, to go on from after a final block.
    pub(super) window: Window,
}

/// The state of a deflating stream.
pub(super) struct Deflating {
    pub(super) engine: Deflate,
    shape: Shape,
}

/// What a deflating state is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) level: u8,
    pub(super) window_bits: WindowBits,
    pub(super) memory_level: u8,
}

impl Pool {
    /// Keeps at most `capacity` unused states for each direction: about 80 KiB to inflate, 140 to 480 KiB
    /// to deflate.
    ///
    /// Zero is allowed: then every message makes its state and drops it.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Idle { capacity, inflating: Vec::new(), deflating: Vec::new() })))
    }

    /// A state as good as new.
    pub(super) fn take_inflating(&self) -> Box<Inflating> {
        // Not in a `match`: the lock must be free before the state is reset.
        let used = self.idle().inflating.pop();
        match used {
            Some(mut state) => {
                state.window.clear();
                state.engine.reset(false);
                state
            }
            // The engine's window has 15 bits whatever is asked for.
            None => Box::new(Inflating { engine: Inflate::new(false, 15), window: Window::default() }),
        }
    }

    pub(super) fn put_inflating(&self, state: Box<Inflating>) {
        let mut idle = self.idle();
        if idle.inflating.len() < idle.capacity {
            idle.inflating.push(state);
        }
    }

    /// A state as good as new.
    pub(super) fn take_deflating(&self, shape: Shape) -> Box<Deflating> {
        let used = {
            let states = &mut self.idle().deflating;
            states.iter().rposition(|state| state.shape == shape).map(|at| states.remove(at))
        };
        match used {
            Some(mut state) => {
                state.engine.reset();
                state
            }
            None => Box::new(Deflating { engine: shape.engine(), shape }),
        }
    }

    pub(super) fn put_deflating(&self, state: Box<Deflating>) {
        let mut idle = self.idle();
        if idle.deflating.len() >= idle.capacity && !idle.deflating.is_empty() {
            // The one that was not asked for longest: its shape may have gone out of use.
            idle.deflating.remove(0);
        }
        if idle.deflating.len() < idle.capacity {
            idle.deflating.push(state);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A panic elsewhere leaves the lists whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pool {
    /// Keeps at most 4 unused states for each direction.
    fn default() -> Self {
        Self::new(4)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = self.idle();
        f.debug_struct("Pool")
            .field("capacity", &idle.capacity)
            .field("inflating", &idle.inflating.len())
            .field("deflating", &idle.deflating.len())
            .finish()
    }
}

impl Inflating {
    /// Goes on with a new stream that may refer to what came before.
    pub(super) fn restart(&mut self) {
        self.engine.reset(false);
        for piece in self.window.pieces() {
            // Refused only where a header is expected, and there is none.
            let _ = self.engine.set_dictionary(piece);
        }
    }
}

impl Shape {
    fn engine(self) -> Deflate {
        // zlib does not make raw streams with 8 bits. Its matches keep 262 bytes away from the far end of
        // the window (MIN_LOOKAHEAD), so that one of 9 bits never reaches further back than 250 bytes: fit
        // for a window of 256.
        let window_bits = i32::from(self.window_bits.get().max(9));
        Deflate::new_with_config(DeflateConfig {
            level: self.level.into(),
            window_bits: -window_bits,
            mem_level: self.memory_level.into(),
            ..DeflateConfig::default()
        })
    }
}
