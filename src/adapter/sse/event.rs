//! Events of their own memory, out of pieces of a stream.
#![allow(clippy::indexing_slicing, reason = "ranges of the buffer that this file has put together")]

use crate::sse::{DecodeError, EventDecoder, Input, Item};
use core::time::Duration;
use simdutf8::compat::from_utf8;
use std::borrow::Cow;
use std::string::String;

/// An event that owns its text. The fields have the names that users of `eventsource-stream` know.
///
/// ```
/// use pushline::adapter::blocking::sse::EventReader;
/// use pushline::http1::head::BodyFraming;
///
/// let stream = &b"retry: 500\nevent: price\nid: 7\ndata: 42\n\n"[..];
/// let event = EventReader::new(stream, BodyFraming::UntilClose).next().unwrap()?;
/// assert_eq!((&*event.event, &*event.id, &*event.data), ("price", "7", "42"));
/// assert_eq!(event.retry, Some(std::time::Duration::from_millis(500)));
/// # Ok::<(), pushline::adapter::sse::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageEvent {
    /// The event type; `message` if the event named none, which takes no memory.
    pub event: Cow<'static, str>,
    /// The data, lines joined by LF.
    pub data: String,
    /// The last event ID as of this event, set by it or by an earlier one; empty if none is set.
    pub id: String,
    /// The reconnection time, if the server has set it since the event before.
    pub retry: Option<Duration>,
}

impl From<crate::sse::EventRef<'_>> for MessageEvent {
    fn from(event: crate::sse::EventRef<'_>) -> Self {
        Self {
            event: own_type(event.event_type),
            data: event.data.into(),
            id: event.last_event_id.into(),
            retry: None,
        }
    }
}

/// How much text is taken over at a time.
const TEXT: usize = 16 * 1024;

/// A decoder, and the reconnection time that it has come across.
#[derive(Clone, Debug)]
pub(in crate::adapter) struct Parser {
    pub(in crate::adapter) decoder: EventDecoder,
    retry: Option<Duration>,
    /// Bytes taken over, as text. One call gives one event: what is found out about the bytes behind it lasts until the
    /// next only with the bytes themselves.
    text: String,
    /// How much of that is decoded.
    at: usize,
    /// The start of a character whose other bytes have not come.
    cut: Cut,
}

/// At most three bytes, all but the last of a character.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    bytes: [u8; 3],
    len: usize,
}

impl Parser {
    pub(in crate::adapter) const fn new(decoder: EventDecoder) -> Self {
        Self { decoder, retry: None, text: String::new(), at: 0, cut: Cut { bytes: [0; 3], len: 0 } }
    }

    /// The next event. Takes off `bytes` what it takes over; none is left once it answers `None`. An event over a limit is
    /// an error in its place: the next call goes on behind it.
    // Within its caller: an event is 88 bytes, and each return would copy them.
    #[inline(always)]
    pub(in crate::adapter) fn next(
        &mut self,
        bytes: &mut &[u8],
    ) -> Option<Result<MessageEvent, DecodeError>> {
        loop {
            // A character that might have been a BOM can be over a limit after its first byte: then the rest is no text.
            let mut input = match self.text.get(self.at..) {
                Some(text) => Input::of_text(text),
                None => Input::new(self.text.as_bytes().get(self.at..).unwrap_or_default()),
            };
            while !input.is_empty() {
                let item = self.decoder.decode(&mut input);
                self.at = self.text.len() - input.remaining().len();
                match item {
                    Ok(Some(Item::Event(event))) => {
                        return Some(Ok(MessageEvent {
                            event: own_type(event.event_type),
                            data: event.data.into(),
                            id: event.last_event_id.into(),
                            retry: self.retry.take(),
                        }));
                    }
                    Ok(Some(Item::Retry(time))) => self.retry = Some(time),
                    Ok(Some(_) | None) => {}
                    Err(error) => {
                        self.decoder.skip_event();
                        return Some(Err(error));
                    }
                }
            }
            if bytes.is_empty() {
                return None;
            }
            self.take_over(bytes);
        }
    }

    /// HTML 9.2.6: the stream is UTF-8 decoded, with U+FFFD for each maximal part that is not UTF-8 (Encoding 4.1).
    #[inline(never)]
    fn take_over(&mut self, bytes: &mut &[u8]) {
        self.text.clear();
        self.at = 0;
        if self.cut.len > 0 {
            self.take_rest_of_character(bytes);
        }
        let mut room = TEXT;
        while room > 0 && !bytes.is_empty() {
            let window = &bytes[..bytes.len().min(room)];
            let (valid, bad) = match from_utf8(window) {
                Ok(text) => (text, 0),
                Err(error) => {
                    let (valid, rest) = window.split_at(error.valid_up_to());
                    match error.error_len() {
                        Some(bad) => (from_utf8(valid).unwrap_or_default(), bad),
                        // Cut by the window only: for the next one.
                        None if window.len() < bytes.len() => {
                            room = valid.len();
                            (from_utf8(valid).unwrap_or_default(), 0)
                        }
                        None => {
                            self.cut.len = rest.len().min(3);
                            self.cut.bytes[..self.cut.len].copy_from_slice(&rest[..self.cut.len]);
                            (from_utf8(valid).unwrap_or_default(), rest.len())
                        }
                    }
                }
            };
            self.text.push_str(valid);
            if bad > 0 && self.cut.len == 0 {
                self.text.push(char::REPLACEMENT_CHARACTER);
            }
            *bytes = &bytes[valid.len() + bad..];
            room = room.saturating_sub(valid.len() + bad);
        }
    }

    /// Takes what belongs to the character that was cut.
    fn take_rest_of_character(&mut self, bytes: &mut &[u8]) {
        let Cut { bytes: start, len } = self.cut;
        let mut buffer = [0; 6];
        let more = bytes.len().min(3);
        buffer[..len].copy_from_slice(&start[..len]);
        buffer[len..len + more].copy_from_slice(&bytes[..more]);
        let known = &buffer[..len + more];
        let taken = match core::str::from_utf8(known) {
            Err(error) if error.valid_up_to() == 0 => match error.error_len() {
                Some(bad) => {
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    bad
                }
                None => {
                    self.cut.len = known.len().min(3);
                    self.cut.bytes[..self.cut.len].copy_from_slice(&known[..self.cut.len]);
                    *bytes = &bytes[more..];
                    return;
                }
            },
            outcome => {
                let valid = outcome.map_or_else(|error| error.valid_up_to(), str::len);
                let text = core::str::from_utf8(&known[..valid]).unwrap_or_default();
                let first = text.chars().next().unwrap_or_default();
                self.text.push(first);
                first.len_utf8()
            }
        };
        self.cut.len = 0;
        *bytes = &bytes[taken.saturating_sub(len)..];
    }

    /// The stream has ended. The decoder is ready for the next one, and keeps the last event ID.
    pub(in crate::adapter) fn receive_eof(&mut self) {
        self.decoder.receive_eof();
        self.cut.len = 0;
        (self.text, self.at) = (String::new(), 0);
    }

    /// Whether all that was taken over is decoded.
    pub(in crate::adapter) fn is_empty(&self) -> bool {
        self.at == self.text.len()
    }

    /// Gives memory back: nothing will come for a while.
    #[cfg(feature = "tokio")]
    pub(in crate::adapter) fn rest(&mut self) {
        if self.is_empty() {
            (self.text, self.at) = (String::new(), 0);
        }
    }

    /// The reconnection time, if one was set and no event has told it.
    pub(in crate::adapter) fn take_retry(&mut self) -> Option<Duration> {
        self.retry.take()
    }
}

/// The commonest event type takes no memory.
#[inline]
fn own_type(event_type: &str) -> Cow<'static, str> {
    if event_type == crate::sse::EventRef::MESSAGE {
        Cow::Borrowed(crate::sse::EventRef::MESSAGE)
    } else {
        Cow::Owned(event_type.into())
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(EventDecoder::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::EventLimits;
    use std::vec::Vec;

    #[test]
    fn events_across_windows() {
        let mut stream = Vec::new();
        for number in 0..500 {
            let data = "x".repeat(number);
            crate::sse::Block::new().id(&std::format!("{number}")).data(&data).encode(&mut stream).unwrap();
        }
        let mut parser = Parser::default();
        let mut rest = stream.as_slice();
        for number in 0..500 {
            let event = parser.next(&mut rest).unwrap().unwrap();
            assert_eq!((event.data.len(), event.id), (number, std::format!("{number}")));
        }
        assert_eq!((parser.next(&mut rest), rest), (None, &b""[..]));
    }

    #[test]
    fn an_event_over_the_limit_is_an_error_in_its_place() {
        let mut parser = Parser::new(EventDecoder::with_limits(EventLimits::new().max_event(16)));
        let stream = ["data: 1\n\ndata: ", &"x".repeat(10_000), "\nid: 2\n\ndata: 3\n\n"].concat();
        let mut rest = stream.as_bytes();
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().data, "1");
        assert_eq!(parser.next(&mut rest), Some(Err(DecodeError::EventTooLong)));
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().data, "3");
        assert_eq!(parser.next(&mut rest), None);
    }

    #[test]
    fn a_reconnection_time_goes_with_the_next_event() {
        let mut parser = Parser::default();
        let mut rest = &b"retry: 5\n\n: x\ndata: 1\n\ndata: 2\n\n"[..];
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().retry, Some(Duration::from_millis(5)));
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().retry, None);
    }

    /// What is not UTF-8 becomes U+FFFD as the standard library has it, however the bytes are cut: every string of up to
    /// four bytes over the kinds of byte that matter.
    #[test]
    fn text_is_put_together_across_pieces() {
        let kinds = [b'a', 0x80, 0xa0, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff];
        let mut strings: Vec<Vec<u8>> = std::vec![Vec::new()];
        for length in 0..4 {
            let longer = strings
                .iter()
                .flat_map(|string| kinds.iter().map(|&byte| [string.as_slice(), &[byte]].concat()));
            strings = longer.collect();
            for string in &strings {
                let stream = [b"data:", string.as_slice(), b"\n\n"].concat();
                let expected = String::from_utf8_lossy(string);
                for cut in 5..=5 + length + 1 {
                    // In two pieces, and with one byte a piece in the middle.
                    for second in [cut, cut + 1] {
                        let mut parser = Parser::default();
                        let mut events = Vec::new();
                        for mut piece in [&stream[..cut], &stream[cut..second], &stream[second..]] {
                            while let Some(event) = parser.next(&mut piece) {
                                events.push(event.unwrap().data);
                            }
                        }
                        assert_eq!(events, [&*expected], "{string:x?} at {cut}");
                    }
                }
            }
        }
    }

    /// The same across windows.
    #[test]
    fn a_window_cuts_no_character() {
        for shift in 0..4 {
            let data = ["x".repeat(shift), "\u{1f600}".repeat(TEXT)].concat();
            let stream = std::format!("data:{data}\n\n");
            let mut rest = stream.as_bytes();
            assert_eq!(Parser::default().next(&mut rest).unwrap().unwrap().data, data);
        }
    }
}
