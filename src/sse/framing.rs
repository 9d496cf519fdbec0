//! Where the body of a response ends, whichever way that is told (RFC 9112 6.3).
#![allow(clippy::arithmetic_side_effects, reason = "no more than was asked for")]

use crate::http1::chunked;
use crate::http1::head::BodyFraming;

#[derive(Debug)]
pub(crate) enum Framing {
    Length(u64),
    Chunked(chunked::ChunkedDecoder),
    UntilClose,
    Ended,
}

impl Framing {
    pub(crate) fn new(body: BodyFraming) -> Self {
        match body {
            BodyFraming::None | BodyFraming::Length(0) => Self::Ended,
            BodyFraming::Length(length) => Self::Length(length),
            BodyFraming::Chunked => {
                Self::Chunked(chunked::ChunkedDecoder::new(chunked::ChunkedLimits::default()))
            }
            BodyFraming::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) const fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Nothing more is wanted.
    pub(crate) fn end(&mut self) {
        *self = Self::Ended;
    }

    /// Finds data of the body in what was received: how many bytes stand before it, and how many it has. These are taken.
    pub(crate) fn find(&mut self, received: &[u8]) -> Result<(usize, usize), chunked::ChunkedError> {
        let found = match self {
            Self::UntilClose => (0, received.len()),
            Self::Length(left) => {
                let data = usize::try_from(*left).map_or(received.len(), |left| left.min(received.len()));
                *left -= data as u64;
                (0, data)
            }
            Self::Chunked(decoder) => match decoder.decode(received) {
                Ok((consumed, Some(chunked::Piece::Data(data)))) => (consumed - data.len(), data.len()),
                Ok((consumed, None)) => (consumed, 0),
                // What follows is not ours.
                Ok((_, Some(chunked::Piece::End))) => {
                    self.end();
                    (received.len(), 0)
                }
                Err(error) => {
                    self.end();
                    return Err(error);
                }
            },
            Self::Ended => (received.len(), 0),
        };
        if matches!(self, Self::Length(0)) {
            self.end();
        }
        Ok(found)
    }

    /// The transport has ended. An error without a reason: inside a body of known length.
    pub(crate) fn receive_eof(&mut self) -> Result<(), Option<chunked::ChunkedError>> {
        match core::mem::replace(self, Self::Ended) {
            Self::UntilClose | Self::Ended => Ok(()),
            Self::Length(_) => Err(None),
            Self::Chunked(mut decoder) => decoder.receive_eof().map_err(Some),
        }
    }
}
