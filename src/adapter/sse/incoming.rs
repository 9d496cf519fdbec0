//! The receiving side: a response's body, whichever way its end is told (RFC 9112 6.3), to events.
#![allow(clippy::indexing_slicing, reason = "up to what was read and consumed of a buffer of our own")]

use super::{Error, MessageEvent, event::Parser};
use crate::http1::head::BodyFraming;
use crate::sse::EventDecoder;
use crate::sse::framing::Framing;
use std::vec::Vec;

/// Bytes offered to one read.
const READ_SIZE: usize = 8 * 1024;

/// Bytes received, and what has been made of them.
#[derive(Debug)]
pub(in crate::adapter) struct Incoming {
    buffer: Vec<u8>,
    /// What is received and not yet taken off the body.
    at: usize,
    end: usize,
    /// How much of that belongs to the body and is not decoded.
    data: usize,
    framing: Framing,
    pub(in crate::adapter) parser: Parser,
}

impl Incoming {
    /// The body behind a head, and what was already read of it.
    pub(in crate::adapter) fn new(body: BodyFraming, received: &[u8]) -> Self {
        Self {
            buffer: received.to_vec(),
            at: 0,
            end: received.len(),
            data: 0,
            framing: Framing::new(body),
            parser: Parser::default(),
        }
    }

    pub(in crate::adapter) fn set_decoder(&mut self, decoder: EventDecoder) {
        self.parser = Parser::new(decoder);
    }

    pub(in crate::adapter) fn last_event_id(&self) -> &str {
        self.parser.decoder.last_event_id()
    }

    /// The next event that was received whole; `None` if there is none: more must be read, or the body
    /// [has ended](Self::is_finished).
    #[inline]
    pub(in crate::adapter) fn next(&mut self) -> Option<Result<MessageEvent, Error>> {
        loop {
            if self.data > 0 || !self.parser.is_empty() {
                let mut rest = &self.buffer[self.at..self.at + self.data];
                let event = self.parser.next(&mut rest);
                self.at += self.data - rest.len();
                self.data = rest.len();
                match event {
                    Some(Ok(event)) => return Some(Ok(event)),
                    Some(Err(error)) => return Some(Err(error.into())),
                    None => {}
                }
            }
            if self.at == self.end {
                return None;
            }
            match self.find_data() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Whether the body is complete.
    pub(in crate::adapter) fn is_finished(&self) -> bool {
        self.framing.is_ended()
    }

    /// Where to read into, once [`next`](Self::next) has given all there was.
    pub(in crate::adapter) fn space(&mut self) -> &mut [u8] {
        debug_assert_eq!(self.at, self.end, "all was taken");
        (self.at, self.end) = (0, 0);
        self.buffer.resize(READ_SIZE, 0);
        &mut self.buffer
    }

    /// So many bytes were read.
    pub(in crate::adapter) fn filled(&mut self, n: usize) {
        self.end = n;
    }

    /// The transport has ended. An event that was not ended does not count (HTML 9.2.6).
    pub(in crate::adapter) fn receive_eof(&mut self) -> Result<(), Error> {
        self.parser.receive_eof();
        self.framing.receive_eof().map_err(|cut| cut.map_or(Error::Aborted, Error::Chunked))
    }

    /// Nothing more is wanted.
    pub(in crate::adapter) fn give_up(&mut self) {
        self.framing.end();
        (self.at, self.end, self.data) = (0, 0, 0);
    }

    /// Finds data of the body in what was received. Whether there is any.
    fn find_data(&mut self) -> Result<bool, Error> {
        let found = self.framing.find(&self.buffer[self.at..self.end]);
        let (before, data) = found.inspect_err(|_| self.give_up())?;
        self.at += before;
        self.data = data;
        Ok(data > 0)
    }
}
