//! The receiving side: a response's body, whichever way its end is told (RFC 9112 6.3), to events.

use super::{Error, Event, event::Parser};
use crate::http1::chunked;
use crate::http1::head::Body;
use crate::sse::Decoder;
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

#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked(chunked::Decoder),
    UntilClose,
    Ended,
}

impl Incoming {
    /// The body behind a head, and what was already read of it.
    pub(in crate::adapter) fn new(body: Body, received: &[u8]) -> Self {
        Self {
            buffer: received.to_vec(),
            at: 0,
            end: received.len(),
            data: 0,
            framing: framing(body),
            parser: Parser::default(),
        }
    }

    pub(in crate::adapter) fn set_decoder(&mut self, decoder: Decoder) {
        self.parser = Parser::new(decoder);
    }

    pub(in crate::adapter) fn last_event_id(&self) -> &str {
        self.parser.decoder.last_event_id()
    }

    /// The next event that was received whole; `None` if there is none: more must be read, or the body
    /// [has ended](Self::is_finished).
    #[inline]
    pub(in crate::adapter) fn next(&mut self) -> Option<Result<Event, Error>> {
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
        matches!(self.framing, Framing::Ended)
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
        match core::mem::replace(&mut self.framing, Framing::Ended) {
            Framing::UntilClose | Framing::Ended => Ok(()),
            Framing::Length(_) => Err(Error::Aborted),
            Framing::Chunked(mut decoder) => Ok(decoder.receive_eof()?),
        }
    }

    /// Nothing more is wanted.
    pub(in crate::adapter) fn give_up(&mut self) {
        self.framing = Framing::Ended;
        (self.at, self.end, self.data) = (0, 0, 0);
    }

    /// Finds data of the body in what was received. Whether there is any.
    fn find_data(&mut self) -> Result<bool, Error> {
        let received = &self.buffer[self.at..self.end];
        match &mut self.framing {
            Framing::UntilClose => self.data = received.len(),
            Framing::Length(left) => {
                self.data = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
                *left -= self.data as u64;
            }
            Framing::Chunked(decoder) => match decoder.decode(received) {
                Ok((consumed, Some(chunked::Piece::Data(data)))) => {
                    self.at += consumed - data.len();
                    self.data = data.len();
                }
                Ok((consumed, None)) => self.at += consumed,
                Ok((_, Some(chunked::Piece::End))) => self.give_up(),
                Err(error) => {
                    self.give_up();
                    return Err(error.into());
                }
            },
            // What follows is not ours.
            Framing::Ended => self.at = self.end,
        }
        if matches!(self.framing, Framing::Length(0)) {
            self.framing = Framing::Ended;
        }
        Ok(self.data > 0)
    }
}

fn framing(body: Body) -> Framing {
    match body {
        Body::None | Body::Length(0) => Framing::Ended,
        Body::Length(length) => Framing::Length(length),
        Body::Chunked => Framing::Chunked(chunked::Decoder::new(chunked::Limits::default())),
        Body::UntilClose => Framing::UntilClose,
    }
}
