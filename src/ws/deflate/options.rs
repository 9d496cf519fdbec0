//! What the user of a connection asks for: how much memory compression may hold, how hard it tries, and when.

use super::offer::{AnswerError, choose, offer, verify};
use super::params::{DeflateParams, Terms, WindowBits};
use super::pool::{Pool, Shape};
use crate::ws::handshake::fields::{Extension, ListError};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::num::NonZeroU32;

/// The memory policy of compression: what a connection holds between messages. The [module page](super) has the bytes.
///
/// ```
/// use pushline::ws::deflate::{Compression, WindowBits};
///
/// assert_eq!(Compression::default(), Compression::Off);
/// let room_of_thousands = Compression::Compact { window_bits: WindowBits::new(11).unwrap() };
/// # let _ = room_of_thousands;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// The extension is neither offered nor accepted. The default: compression costs memory and time, and
    /// tells an eavesdropper about secrets that stand next to text of his choice (RFC 7692 8).
    #[default]
    Off,
    /// Nothing. Each message stands by itself (no context takeover, both ways) and borrows a state from the
    /// [`Pool`].
    Shared,
    /// The window, at most 2^`window_bits` bytes a direction. Messages refer back to earlier ones, and
    /// borrow a state from the [`Pool`]. Each message pays for putting the window back: to inflate up to
    /// 0.6 us, to deflate about 1 us for every KiB of it, on top of what a message takes under `Shared`.
    Compact {
        /// The largest window that is agreed to. 10 to 12 are good.
        window_bits: WindowBits,
    },
    /// A state of its own for each direction, from the first message on. The fastest and by far the largest.
    Dedicated {
        /// The largest window that is agreed to. Below 12, large messages deflate slowly.
        window_bits: WindowBits,
        /// zlib's `memLevel`, 1 to 9 (others are brought into that range): how much is gathered for one
        /// block, at 112 bytes << level. 4 is good; 1 compresses less well from level 2 on.
        memory_level: u8,
    },
}

/// What outlasts a message in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    None,
    Window,
    State,
}

/// permessage-deflate as one side wants it. For both roles, and for all connections of a server.
///
/// ```
/// use pushline::ws::deflate::{Compression, DeflateOptions};
///
/// let options = DeflateOptions::new(Compression::Shared).level(6).threshold(512);
/// assert!(options.offer().unwrap().starts_with("permessage-deflate; server_no_context_takeover; "));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct DeflateOptions {
    compression: Compression,
    terms: Terms,
    level: u8,
    threshold: usize,
    fallback: bool,
    pub(super) max_ratio: Option<NonZeroU32>,
    pub(super) pool: Pool,
}

impl DeflateOptions {
    /// The defaults under a memory policy.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            terms: Terms { client_max_window_bits: Some(WindowBits::MAX), ..Terms::default() },
            level: 1,
            threshold: 128,
            fallback: true,
            max_ratio: None,
            pool: Pool::default(),
        }
    }

    /// What to ask for besides what the policy asks for by itself: no context takeover under
    /// [`Compression::Shared`], windows under the others. Default: that a server may choose the client's
    /// window, in which it has to inflate.
    pub const fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// Whether a client that asks for a smaller window of the server's offers to go without, too (RFC 7692 7.1.2.1).
    /// Default: yes, since many servers decline what they cannot do.
    pub const fn fallback(mut self, offered: bool) -> Self {
        self.fallback = offered;
        self
    }

    /// How hard to compress, 0 (not at all) to 9; more is taken as 9. Default 1.
    ///
    /// On JSON, level 1 takes a quarter to an eighth of the time of level 6, for a result that is 10 % (256
    /// bytes) to 57 % (64 KiB) larger.
    pub fn level(mut self, level: u8) -> Self {
        self.level = level.min(9);
        self
    }

    /// The shortest message that is compressed, in bytes. Default 128.
    ///
    /// Below it a message that stands by itself hardly gets smaller. With context takeover, less pays as
    /// well.
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// The most inflated bytes for one compressed byte, over a message so far. Default: no limit; the
    /// format allows 1032.
    ///
    /// Judged at every whole KiB of a compressed message. Without it a peer can have `max_message` bytes
    /// inflated for a thousandth of that on the wire; with it, messages of zeros are refused. It is off because no
    /// value tells the two apart: at levels 1 and 9, JSON rows that all say the same shrink to a 184th and a 397th, a grid
    /// of zeros to a 178th and a 543rd, an empty canvas to a 229th and a 1025th, while at 100 a peer would still have
    /// 16 MiB inflated for 164 KiB. What bounds the memory is [`ConnectionOptions::max_message`](crate::ws::ConnectionOptions::max_message).
    pub const fn max_ratio(mut self, ratio: NonZeroU32) -> Self {
        self.max_ratio = Some(ratio);
        self
    }

    /// Where states are borrowed. Default: a pool of its own, shared by its clones.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }

    /// Whether a message of this length is worth compressing: see [`threshold`](Self::threshold).
    #[must_use]
    pub const fn is_worthwhile(&self, bytes: usize) -> bool {
        bytes >= self.threshold
    }

    /// A client's `Sec-WebSocket-Extensions` value, the best offer first; `None` if compression is off.
    ///
    /// See [`fallback`](Self::fallback) for the second one. A bare offer, for
    /// servers that decline any parameter, is that of no [`terms`](Self::terms) and full windows:
    ///
    /// ```
    /// use pushline::ws::deflate::{Compression, DeflateOptions, Terms, WindowBits};
    ///
    /// let bare = DeflateOptions::new(Compression::Compact { window_bits: WindowBits::MAX }).terms(Terms::default());
    /// assert_eq!(bare.offer().as_deref(), Some("permessage-deflate"));
    /// let terms = Terms { server_max_window_bits: WindowBits::new(10), ..Terms::default() };
    /// assert_eq!(
    ///     bare.terms(terms).offer().as_deref(),
    ///     Some("permessage-deflate; server_max_window_bits=10, permessage-deflate")
    /// );
    /// ```
    #[must_use]
    pub fn offer(&self) -> Option<String> {
        Some(offer(&self.offers())).filter(|text| !text.is_empty())
    }

    /// A client's reading of the answer to [`offer`](Self::offer): see [`verify`].
    ///
    /// # Errors
    ///
    /// As for [`verify`].
    pub fn verify<'a>(
        &self,
        answer: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Result<Option<DeflateParams>, AnswerError> {
        verify(&self.offers(), answer)
    }

    /// A server's choice among the offers: what is agreed, and its `Sec-WebSocket-Extensions` value. See
    /// [`raw::negotiate`](crate::raw::negotiate).
    pub fn answer<'a>(
        &self,
        offers: impl IntoIterator<Item = Result<Extension<'a>, ListError>>,
    ) -> Option<(DeflateParams, String)> {
        match self.compression {
            Compression::Off => None,
            // The promise is kept even to a client that cannot be told to use a smaller window.
            Compression::Compact { .. } => choose(&self.wishes(), true, offers),
            _ => choose(&self.wishes(), false, offers),
        }
    }

    /// The terms with what the policy needs.
    fn wishes(&self) -> Terms {
        let mut terms = self.terms;
        match self.compression {
            Compression::Off => {}
            Compression::Shared => {
                terms.server_no_context_takeover = true;
                terms.client_no_context_takeover = true;
            }
            Compression::Compact { window_bits } | Compression::Dedicated { window_bits, .. } => {
                if window_bits < WindowBits::MAX {
                    let smaller = |bits: Option<WindowBits>| {
                        Some(bits.map_or(window_bits, |bits| bits.min(window_bits)))
                    };
                    terms.server_max_window_bits = smaller(terms.server_max_window_bits);
                    terms.client_max_window_bits = smaller(terms.client_max_window_bits);
                }
            }
        }
        terms
    }

    /// A client's offers.
    fn offers(&self) -> Vec<Terms> {
        if self.compression == Compression::Off {
            return Vec::new();
        }
        let best = self.wishes();
        let mut offers = vec![best];
        if self.fallback && best.server_max_window_bits.is_some() {
            // RFC 7692 7.1.2.1: not every server can do a smaller window. If memory is the reason for it: without a
            // context the window is not kept either.
            let for_memory = match self.compression {
                Compression::Compact { window_bits } | Compression::Dedicated { window_bits, .. } => {
                    window_bits < WindowBits::MAX
                }
                _ => false,
            };
            offers.push(Terms {
                server_no_context_takeover: best.server_no_context_takeover || for_memory,
                server_max_window_bits: None,
                ..best
            });
        }
        offers
    }

    /// What a connection holds between messages that may refer to one another.
    pub(super) const fn context(&self) -> Context {
        match self.compression {
            Compression::Off | Compression::Shared => Context::None,
            Compression::Compact { .. } => Context::Window,
            Compression::Dedicated { .. } => Context::State,
        }
    }

    /// What to deflate with, in a window that both sides agree to.
    pub(super) fn shape(&self, agreed: WindowBits) -> Shape {
        let (window_bits, memory_level) = match self.compression {
            Compression::Off | Compression::Shared => (WindowBits::MAX, 4),
            Compression::Compact { window_bits } => (window_bits, 4),
            Compression::Dedicated { window_bits, memory_level } => (window_bits, memory_level.clamp(1, 9)),
        };
        Shape { level: self.level, window_bits: window_bits.min(agreed), memory_level }
    }
}

impl Default for DeflateOptions {
    /// [`Compression::Off`].
    fn default() -> Self {
        Self::new(Compression::Off)
    }
}
