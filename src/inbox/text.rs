//! Text that was checked once: lent from an inbox, and owned.
//!
//! The second file with `unsafe` in it: what is known to be UTF-8 becomes a `str` without another look. That is the one
//! thing that it does; what it rests on is written down here and nowhere relied upon without being shown.
//!
//! - Of a [`Text`]: the bytes were a `str`, or were checked, when it was made. `Bytes` never change.
//! - Of what was `Copied`: the bytes are those that were seen to be ASCII when they were unmasked.
//! - Of an inbox's `text`: the bytes in that range were looked at, or seen to be ASCII when they were unmasked. The
//!   range is the front of the message under assembly, or all of a message that was set aside: in the memory apart unless
//!   that is empty, else in the storage. Received bytes are written behind it only; whatever moves the message moves the
//!   range with it, and all else drops it.

use super::{Inbox, Storage};
use crate::ws::mask::unmasked;
use crate::ws::utf8::{self, InvalidUtf8};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, Range};
use core::str::Utf8Error;

/// Owned text, cheap to clone: `Bytes` that are UTF-8.
///
/// ```
/// use bytes::Bytes;
/// use pushline::ws::Text;
///
/// let text = Text::from("Grüße");
/// assert_eq!(text, "Grüße");
/// assert_eq!(text.to_uppercase(), "GRÜSSE"); // all that a `str` can
/// assert_eq!(text.clone().into_bytes(), "Grüße".as_bytes());
/// assert!(Text::try_from(Bytes::from_static(b"\xff")).is_err());
/// let string: String = text.into();
/// # assert_eq!(string, "Grüße");
/// ```
#[derive(Clone, Default)]
pub struct Text(Bytes);

impl Text {
    /// Text that is part of the program.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text.
    #[allow(unsafe_code)]
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: UTF-8 since it was made, see above.
        unsafe { core::str::from_utf8_unchecked(&self.0) }
    }

    /// The bytes, without a copy.
    #[inline]
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A message that was copied out of an inbox, with whether it was seen to be ASCII meanwhile.
pub(crate) struct Copied {
    bytes: Bytes,
    ascii: bool,
}

impl Copied {
    #[inline(always)]
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// The message, if it is text.
    #[inline(always)]
    pub(crate) fn into_text(self) -> Result<Text, InvalidUtf8> {
        if !self.ascii {
            utf8::text(&self.bytes)?;
        }
        debug_assert!(core::str::from_utf8(&self.bytes).is_ok(), "checked");
        Ok(Text(self.bytes))
    }
}

impl<S: Storage> Inbox<S> {
    /// A message that lies in the storage, unmasked on its way to memory of its own.
    #[inline(always)]
    pub(crate) fn copy_unmasked(&mut self, range: Range<usize>, key: Option<[u8; 4]>) -> Copied {
        self.took_short();
        let received = self.bytes(range);
        let (bytes, ascii) = match key {
            Some(key) => unmasked(received, key),
            None => (received.into(), false),
        };
        Copied { bytes: bytes.into(), ascii }
    }

    /// The bytes of a message that was set aside are ASCII.
    #[inline]
    pub(crate) fn set_text(&mut self, ascii: Range<usize>) {
        self.text = ascii;
    }

    /// Checks what is new of the text under assembly, its last `new` bytes, `ascii` if they were seen to be that. If
    /// `more` is to come, an unfinished character may be at the end: how many bytes of it.
    pub(crate) fn check_text(&mut self, new: usize, ascii: bool, more: bool) -> Result<usize, InvalidUtf8> {
        let (bytes, message) = match self.apart.len() {
            0 => (self.storage.bytes(), self.message()),
            len => (&self.apart[..], 0..len),
        };
        let from =
            if self.text.start == message.start { self.text.end.max(message.start) } else { message.start };
        let mut unfinished = 0;
        if !(ascii && from + new == message.end) {
            let bytes = &bytes[from..message.end];
            if more {
                unfinished = utf8::unfinished(bytes)?;
            }
            utf8::text(&bytes[..bytes.len() - unfinished])?;
        }
        self.text = message.start..message.end - unfinished;
        Ok(unfinished)
    }

    /// The text that was checked.
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn text(&self) -> &str {
        let bytes = if self.apart.is_empty() { self.storage.bytes() } else { &self.apart };
        let bytes = bytes.get(self.text.clone()).unwrap_or_default();
        debug_assert!(core::str::from_utf8(bytes).is_ok(), "checked");
        // SAFETY: the range was checked and has not been written to since, see above.
        unsafe { core::str::from_utf8_unchecked(bytes) }
    }

    /// The text that was checked, which is the message; without a copy if it was put together apart.
    #[inline]
    pub(crate) fn take_text(&mut self) -> Text {
        let text = core::mem::take(&mut self.text);
        let bytes = if self.apart.is_empty() {
            self.take_received(text)
        } else if text == (0..self.apart.len()) {
            self.take_apart()
        } else {
            Bytes::copy_from_slice(self.apart.get(text).unwrap_or_default())
        };
        debug_assert!(core::str::from_utf8(&bytes).is_ok(), "checked");
        Text(bytes)
    }

    /// A message that lies in the storage, if it is text.
    #[inline]
    pub(crate) fn take_received_text(&mut self, range: Range<usize>) -> Result<Text, InvalidUtf8> {
        utf8::text(self.bytes(range.clone()))?;
        Ok(Text(self.take_received(range)))
    }

    /// The message that was put together apart, if it is text.
    pub(crate) fn take_apart_text(&mut self) -> Result<Text, InvalidUtf8> {
        utf8::text(&self.apart)?;
        Ok(Text(self.take_apart()))
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(&**text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<Box<str>> for Text {
    fn from(text: Box<str>) -> Self {
        Self(text.into_boxed_bytes().into())
    }
}

impl TryFrom<Bytes> for Text {
    type Error = Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Utf8Error> {
        if utf8::text(&bytes).is_err() {
            core::str::from_utf8(&bytes)?; // which says where
        }
        Ok(Self(bytes))
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl From<Text> for Vec<u8> {
    fn from(text: Text) -> Self {
        text.0.into()
    }
}

impl From<Text> for String {
    /// Without a copy if nobody else holds the text.
    #[allow(unsafe_code)]
    fn from(text: Text) -> Self {
        let bytes = text.0.into();
        // SAFETY: UTF-8 since it was made, see above.
        unsafe { Self::from_utf8_unchecked(bytes) }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Eq for Text {}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::assembly::Announced;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        /// Receives so many of the bytes that are still to come.
        Receive(usize),
        /// Makes room for a read, which may move what is held.
        Space,
        /// Assembles and checks so many of the received bytes.
        Check(usize, bool),
        /// Ends the message.
        Take,
        Release,
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (1_usize..400).prop_map(Op::Receive),
            2 => Just(Op::Space),
            6 => (0_usize..300, any::<bool>()).prop_map(|(n, more)| Op::Check(n, more)),
            1 => Just(Op::Take),
            1 => Just(Op::Release),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 512 }))]

        /// Whatever is done to an inbox, what it calls text is what was received, and UTF-8: against a naive twin that
        /// keeps the message in a list and looks at all of it.
        #[test]
        fn what_is_lent_as_text_is_text(
            ops in proptest::collection::vec(op(), 1..60),
            source in "[a-zß水🦀]{0,4000}",
            bad in proptest::option::of((0_usize..8_000, any::<u8>())),
            key in proptest::option::of(any::<[u8; 4]>()),
            read_size in 256_usize..2_000,
            owned in any::<bool>(),
        ) {
            let mut source = source.into_bytes();
            if let Some((at, byte)) = bad
                && let Some(place) = source.get_mut(at)
            {
                *place = byte;
            }
            let mut inbox = Inbox::with_read_size(read_size);
            // What is received and not assembled; the message; how much of that was found to be text.
            let (mut unread, mut message, mut checked) = (Vec::new(), Vec::new(), 0);
            let mut rest = &source[..];
            for op in ops {
                match op {
                    Op::Receive(n) => {
                        let n = n.min(rest.len());
                        prop_assert_eq!(inbox.extend(&rest[..n]), n);
                        unread.extend_from_slice(&rest[..n]);
                        rest = &rest[n..];
                    }
                    Op::Space => prop_assert!(!inbox.space().is_empty()),
                    Op::Check(n, more) => {
                        let n = n.min(unread.len());
                        // Masked on the wire, as a client would: the key's phase is the piece's own.
                        if let Some(key) = key {
                            let at = inbox.read;
                            crate::ws::mask::apply_mask(&mut inbox.storage[at..at + n], key);
                        }
                        let announced = Announced { rest: rest.len() + unread.len(), last: n % 2 == 0 };
                        let ascii = inbox.assemble(n, key, true, owned.then_some(announced));
                        message.extend(unread.drain(..n));
                        let expected = core::str::from_utf8(&message);
                        match (inbox.check_text(n, ascii, more), expected) {
                            (Ok(unfinished), Ok(_)) => {
                                prop_assert_eq!(unfinished, 0);
                                checked = message.len();
                            }
                            (Ok(unfinished), Err(error)) => {
                                prop_assert!(more && error.error_len().is_none());
                                prop_assert_eq!(message.len() - unfinished, error.valid_up_to());
                                checked = error.valid_up_to();
                            }
                            (Err(InvalidUtf8), Err(error)) => {
                                prop_assert!(!more || error.error_len().is_some());
                                break;
                            }
                            (Err(InvalidUtf8), Ok(text)) => prop_assert!(false, "{text} is text"),
                        }
                    }
                    Op::Take if !message.is_empty() && checked == message.len() => {
                        let text = inbox.take_text();
                        prop_assert_eq!(text.as_bytes(), &message[..]);
                        inbox.release(0);
                        (message, checked) = (Vec::new(), 0);
                    }
                    Op::Take => {}
                    Op::Release => {
                        inbox.release(0);
                        (message, checked) = (Vec::new(), 0);
                    }
                    Op::Clear => {
                        inbox.clear();
                        (unread, message, checked) = (Vec::new(), Vec::new(), 0);
                    }
                }
                prop_assert_eq!(inbox.text().as_bytes(), &message[..checked]);
                prop_assert_eq!(inbox.unread(), &unread[..]);
            }
        }

        #[test]
        fn text_is_made_of_text_only(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in "\\PC{0,40}") {
            let made = Text::try_from(Bytes::from(bytes.clone()));
            prop_assert_eq!(made.as_deref().ok(), core::str::from_utf8(&bytes).ok());
            prop_assert_eq!(made.err(), core::str::from_utf8(&bytes).err());
            let shared = Text::from(&text);
            for made in [Text::from(text.clone()), Text::from(text.clone().into_boxed_str()), shared.clone()] {
                prop_assert_eq!(&made, &text);
                prop_assert_eq!(String::from(made), text.clone());
            }
            prop_assert_eq!(Text::try_from(shared.into_bytes()), Ok(Text::from(&*text)));
        }
    }
}
