//! Events of their own memory, out of pieces of a stream.

use crate::sse::{DecodeError, Decoder, Input, Item};
use core::time::Duration;
use std::string::String;

/// An event that owns its text. The fields have the names that users of `eventsource-stream` know.
///
/// ```
/// use pushline::adapter::blocking::sse::EventReader;
/// use pushline::http1::head::Body;
///
/// let stream = &b"retry: 500\nevent: price\nid: 7\ndata: 42\n\n"[..];
/// let event = EventReader::new(stream, Body::UntilClose).next().unwrap()?;
/// assert_eq!((event.event.as_str(), event.id.as_str(), event.data.as_str()), ("price", "7", "42"));
/// assert_eq!(event.retry, Some(std::time::Duration::from_millis(500)));
/// # Ok::<(), pushline::adapter::sse::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Event {
    /// The event type; `message` if the event named none.
    pub event: String,
    /// The data, lines joined by LF.
    pub data: String,
    /// The last event ID as of this event, set by it or by an earlier one; empty if none is set.
    pub id: String,
    /// The reconnection time, if the server has set it since the event before.
    pub retry: Option<Duration>,
}

impl From<crate::sse::Event<'_>> for Event {
    fn from(event: crate::sse::Event<'_>) -> Self {
        Self {
            event: event.event_type.into(),
            data: event.data.into(),
            id: event.last_event_id.into(),
            retry: None,
        }
    }
}

/// How much is decoded at a time. A call hands out one event and forgets what it knows of the bytes behind it: without
/// a bound, a piece with thousands of events would be looked at thousands of times.
const WINDOW: usize = 2048;

/// A decoder, and the reconnection time that it has come across.
#[derive(Clone, Debug)]
pub(in crate::adapter) struct Parser {
    pub(in crate::adapter) decoder: Decoder,
    retry: Option<Duration>,
}

impl Parser {
    pub(in crate::adapter) const fn new(decoder: Decoder) -> Self {
        Self { decoder, retry: None }
    }

    /// Decodes up to the next event, and takes off `bytes` what it has decoded. An event over a limit is an error in its
    /// place: the next call goes on behind it.
    pub(in crate::adapter) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, DecodeError> {
        while !bytes.is_empty() {
            let (window, rest) = bytes.split_at(bytes.len().min(WINDOW));
            let mut input = Input::new(window);
            let mut event = None;
            let outcome = loop {
                match self.decoder.decode(&mut input) {
                    Ok(Some(Item::Event(found))) => break Ok(event.insert(Event::from(found))),
                    Ok(Some(Item::Retry(time))) => self.retry = Some(time),
                    Ok(Some(_)) => {}
                    Ok(None) => break Err(None),
                    Err(error) => break Err(Some(error)),
                }
            };
            *bytes = &bytes[window.len() - input.remaining().len()..];
            match outcome {
                Ok(event) => event.retry = self.retry.take(),
                Err(None) => {
                    debug_assert_eq!(bytes.len(), rest.len(), "all of a window is decoded");
                    continue;
                }
                Err(Some(error)) => {
                    self.decoder.skip_event();
                    return Err(error);
                }
            }
            return Ok(event);
        }
        Ok(None)
    }

    /// The reconnection time, if one was set and no event has told it.
    #[cfg(feature = "tokio")]
    pub(in crate::adapter) fn take_retry(&mut self) -> Option<Duration> {
        self.retry.take()
    }
}

impl Default for Parser {
    fn default() -> Self {
        Self::new(Decoder::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::Limits;
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
        assert_eq!((parser.next(&mut rest), rest), (Ok(None), &b""[..]));
    }

    #[test]
    fn an_event_over_the_limit_is_an_error_in_its_place() {
        let mut parser = Parser::new(Decoder::with_limits(Limits::new().max_event(16)));
        let stream = ["data: 1\n\ndata: ", &"x".repeat(10_000), "\nid: 2\n\ndata: 3\n\n"].concat();
        let mut rest = stream.as_bytes();
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().data, "1");
        assert_eq!(parser.next(&mut rest), Err(DecodeError::EventTooLong));
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().data, "3");
        assert_eq!(parser.next(&mut rest), Ok(None));
    }

    #[test]
    fn a_reconnection_time_goes_with_the_next_event() {
        let mut parser = Parser::default();
        let mut rest = &b"retry: 5\n\n: x\ndata: 1\n\ndata: 2\n\n"[..];
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().retry, Some(Duration::from_millis(5)));
        assert_eq!(parser.next(&mut rest).unwrap().unwrap().retry, None);
    }
}
