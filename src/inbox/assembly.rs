//! What a parser does with an inbox: takes headers off, unmasks and joins the payload behind them, lets go of what is
//! done with.

use super::{Inbox, READ_SIZE, Storage};
use crate::ws::mask::{apply_mask, extend_unmasked, unmask_is_ascii};
use alloc::vec::Vec;
use core::ops::Range;

/// Memory above this is not kept for the next message, but for the storage itself.
const LARGE: usize = 64 * 1024;

impl<S: Storage> Inbox<S> {
    /// Waits for `needed` more bytes.
    #[inline]
    pub(crate) const fn need(&mut self, needed: usize) {
        self.needed = needed;
    }

    /// The next `n` unread bytes, a header, are done with.
    #[inline]
    pub(crate) const fn take_header(&mut self, n: usize) {
        self.read += n;
    }

    /// Lets go of the message but for its last `keep` bytes; an empty one starts at the next
    /// unread byte.
    #[inline]
    pub(crate) fn release(&mut self, keep: usize) {
        self.text = 0..0;
        self.to_come.rest = 0;
        if !self.apart.is_empty() {
            return self.release_apart(keep);
        }
        if keep == 0 {
            self.assembled = self.read;
        }
        self.start = self.assembled - keep;
    }

    fn release_apart(&mut self, keep: usize) {
        debug_assert_eq!(self.raw, 0, "as they were received");
        self.apart.drain(..self.apart.len() - keep);
        if self.apart.capacity() > LARGE {
            self.apart.shrink_to(READ_SIZE);
        }
        self.assembled = self.read;
        self.start = self.read;
    }

    /// Unmasks the unread bytes of a range, where they are.
    #[cfg(feature = "deflate")]
    pub(crate) fn unmask_unread(&mut self, range: Range<usize>, key: Option<[u8; 4]>) {
        self.unmask(self.read + range.start..self.read + range.end, key, false);
    }

    /// Hands the next `n` unread bytes to `inflate`, with the memory to append to; as many of them
    /// as it says are done with.
    #[cfg(feature = "deflate")]
    pub(crate) fn inflate<E>(
        &mut self,
        n: usize,
        inflate: impl FnOnce(&[u8], &mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let input = &self.storage.bytes()[self.read..self.read + n];
        self.read += inflate(input, &mut self.apart)?;
        self.assembled = self.read;
        self.start = self.read;
        Ok(())
    }

    /// The message under assembly, as far as it does not lie in the storage.
    #[inline]
    pub(crate) fn apart(&self) -> &[u8] {
        &self.apart
    }

    /// Unmasks the next `n` unread bytes and appends them to the message; whether `text` is known to
    /// be ASCII. A message that is to be `owned` is put together in memory of its own, unless it was begun otherwise.
    #[inline]
    pub(crate) fn assemble(
        &mut self,
        n: usize,
        key: Option<[u8; 4]>,
        text: bool,
        owned: Option<Announced>,
    ) -> bool {
        let begin_apart = self.start == self.assembled && owned.is_some_and(|owned| !self.fits(n, owned));
        if begin_apart || !self.apart.is_empty() {
            return self.assemble_apart(n, key, text, owned.unwrap_or_default());
        }
        let bytes = self.storage.bytes_mut();
        if self.assembled != self.read {
            bytes.copy_within(self.read..self.read + n, self.assembled);
        }
        let ascii = unmask(&mut bytes[self.assembled..self.assembled + n], key, text);
        self.assembled += n;
        self.read += n;
        ascii
    }

    /// Whether a message had better stay in the storage, `n` bytes of which are there: it is all but filled by it, and goes
    /// out with it.
    #[inline]
    fn fits(&self, n: usize, Announced { rest, last }: Announced) -> bool {
        last && rest > self.read_size
            && n >= LONG
            && S::GROWS
            && self.storage.capacity() - self.read >= rest
            && self.storage.capacity() / 2 <= rest
    }

    fn assemble_apart(&mut self, n: usize, key: Option<[u8; 4]>, text: bool, announced: Announced) -> bool {
        self.to_come = Announced { rest: announced.rest.saturating_sub(n), ..announced };
        self.straight &= self.to_come.rest > 0;
        if self.raw > 0 {
            let raw = self.apart.len() - core::mem::take(&mut self.raw);
            return unmask(&mut self.apart[raw..], key, text);
        }
        if self.apart.is_empty() {
            self.text = 0..0;
        }
        self.make_room_apart(n, self.apart.len() + n, announced);
        let ascii = copy(&mut self.apart, &self.storage.bytes()[self.read..self.read + n], key);
        self.read += n;
        self.assembled = self.read;
        self.start = self.read;
        ascii
    }

    /// Makes room for `n` bytes of what is announced: for all of that, but for no more than twice what was `received` and
    /// a read.
    #[inline]
    pub(super) fn make_room_apart(&mut self, n: usize, received: usize, announced: Announced) {
        if self.apart.capacity() - self.apart.len() < n {
            self.grow_apart(n, received, announced);
        }
    }

    #[inline(never)]
    fn grow_apart(&mut self, n: usize, received: usize, Announced { rest, last }: Announced) {
        let len = self.apart.len();
        let all = len.saturating_add(rest).saturating_add(past(rest));
        // Doubling keeps the moves linear in the bytes received, however many fragments there are.
        let wanted = if last { all } else { all.max(2 * len) };
        let room = wanted.min(2 * received + self.read_size).max(len + n);
        if len == 0
            && all >= LONG
            && let Ok(mut taken) = core::mem::take(&mut self.taken).try_into_mut()
            && (room..=all.saturating_mul(2)).contains(&taken.capacity())
        {
            taken.clear();
            self.apart = taken.into();
        } else {
            self.apart.reserve_exact(room - len);
        }
    }

    /// Whether there are bytes in the memory apart that are not unmasked yet.
    #[inline]
    pub(crate) const fn has_raw(&self) -> bool {
        self.raw > 0
    }

    /// How many bytes are there that [`assemble`](Self::assemble) can take, at least.
    #[inline]
    pub(crate) fn waiting(&self) -> usize {
        if self.raw > 0 { self.raw } else { self.end - self.read }
    }

    /// Takes the next `n` unread bytes out of the stream.
    #[inline]
    pub(crate) fn set_aside(&mut self, n: usize) -> Range<usize> {
        let range = self.read..self.read + n;
        self.read += n;
        range
    }

    /// Unmasks a range where it is; whether `text` is known to be ASCII.
    #[inline]
    pub(crate) fn unmask(&mut self, range: Range<usize>, key: Option<[u8; 4]>, text: bool) -> bool {
        unmask(&mut self.storage.bytes_mut()[range], key, text)
    }

    /// Where the message under assembly lies.
    #[inline]
    pub(crate) const fn message(&self) -> Range<usize> {
        self.start..self.assembled
    }

    /// The bytes of a range.
    #[inline]
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.storage.bytes()[range]
    }
}

/// How much is read of what follows a large frame, if that is read straight into its message: so the next header comes
/// without a read of its own.
pub(super) fn past(rest: usize) -> usize {
    if rest < DIRECT { 0 } else { (rest / 16).min(MOST_PAST) }
}

/// From this length on the rest of a frame is read straight into the memory of its message: below, a read takes what
/// follows, too.
pub(crate) const DIRECT: usize = 4096;

pub(super) const MOST_PAST: usize = 64;

/// From this length on it pays to unmask what has come of a frame: piecemeal costs more.
pub(crate) const WORTH_UNMASKING: usize = 4096;

/// From this length on it pays to look at what has come of a large frame although more can be read: it fits into the nearest
/// cache then.
#[cfg(feature = "tokio")]
pub(super) const WORTH_A_LOOK: usize = 16 * 1024;

/// From this length on the memory of a message is used again if it was dropped by then, up to what an inbox keeps.
pub(super) const LONG: usize = 16 * 1024;

/// What a header says of a message that is to be owned.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Announced {
    /// Bytes of the frame that are not assembled yet.
    pub(crate) rest: usize,
    /// Whether nothing comes after them.
    pub(crate) last: bool,
}

/// Appends bytes, unmasked; whether they are known to be ASCII.
#[inline]
pub(super) fn copy(buffer: &mut Vec<u8>, bytes: &[u8], key: Option<[u8; 4]>) -> bool {
    match key {
        Some(key) => extend_unmasked(buffer, bytes, key),
        None => {
            buffer.extend_from_slice(bytes);
            false
        }
    }
}

/// Whether `text` is known to be ASCII: only what is masked is touched, and can be seen to be on the way.
#[inline]
fn unmask(bytes: &mut [u8], key: Option<[u8; 4]>, text: bool) -> bool {
    match key {
        Some(key) if text => unmask_is_ascii(bytes, key),
        Some(key) => {
            apply_mask(bytes, key);
            false
        }
        None => false,
    }
}
