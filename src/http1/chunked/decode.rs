//! Chunked body to data: a state for each place in the grammar (RFC 9112 7.1).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counters that are compared with their limit before; digits that were matched, of as many as the grammar allows"
)]
#![allow(
    clippy::indexing_slicing,
    reason = "never past `input`: `at` goes up to its length, and what is left of a chunk is cut to it"
)]

use super::error::ChunkedError;
use super::limits::{ChunkedLimits, OVERHEAD_PER_DATA_BYTE};
use super::state::{State, extension};
use super::trailers::{Section, Trailers, is_field_byte, is_whitespace};
use crate::http1::syntax::is_token_byte;

/// One step of a body.
///
/// ```
/// use pushline::http1::chunked::{ChunkedDecoder, ChunkedLimits, Piece};
///
/// let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
/// assert_eq!(decoder.decode(b"5\r\nhel")?, (6, Some(Piece::Data(b"hel"))));
/// assert_eq!(decoder.decode(b"lo\r\n0\r\n")?, (2, Some(Piece::Data(b"lo"))));
/// assert_eq!(decoder.decode(b"\r\n0\r\n")?, (5, None));
/// assert_eq!(decoder.decode(b"\r\nGET")?, (2, Some(Piece::End)));
/// # Ok::<(), pushline::http1::chunked::ChunkedError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// Data of the body, never empty: a whole chunk, or as much of it as the input holds.
    Data(&'b [u8]),
    /// The body is complete, its trailers included: see [`ChunkedDecoder::trailers`].
    End,
}

/// A chunked body's decoder.
///
/// [`decode`](Self::decode) takes input, [`receive_eof`](Self::receive_eof) its end; the rest are getters,
/// and [`reset`](Self::reset) for the next message. It allocates only for trailers.
///
/// ```
/// use pushline::http1::chunked::{ChunkedDecoder, ChunkedError, ChunkedLimits, Piece};
///
/// let mut decoder = ChunkedDecoder::new(ChunkedLimits::default().max_body(1024));
/// assert_eq!(decoder.decode(b"5\r\nhello\r\n")?, (8, Some(Piece::Data(b"hello"))));
/// assert_eq!(decoder.receive_eof(), Err(ChunkedError::UnexpectedEof));
/// # Ok::<(), ChunkedError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChunkedDecoder {
    state: State,
    /// Digits of the chunk size read so far.
    digits: u8,
    /// The chunk size as far as it is read, then the data of the chunk still to come.
    left: u64,
    /// What `max_body` still allows.
    body_left: u64,
    /// Extension bytes on this line, and in all.
    extension: u64,
    extensions: u64,
    /// Framing not paid for by data.
    overhead: u64,
    trailers: Section,
    limits: ChunkedLimits,
}

impl ChunkedDecoder {
    /// A decoder for one body, its first byte the one after the head.
    #[must_use]
    pub fn new(limits: ChunkedLimits) -> Self {
        Self {
            state: State::Size,
            digits: 0,
            left: 0,
            body_left: limits.max_body,
            extension: 0,
            extensions: 0,
            overhead: 0,
            trailers: Section::default(),
            limits,
        }
    }

    /// Reads up to the next piece: how many bytes of `input` it consumed, and the piece.
    ///
    /// `None` means that the whole input was consumed and more is needed. Data is lent from `input`, where
    /// it ends at the last consumed byte. Nothing after the end of the body is consumed: what follows
    /// [`Piece::End`] is the next message. Called again after that, it answers `(0, Some(Piece::End))`.
    ///
    /// However the same bytes are cut into inputs, the data, the trailers, the end and the error are the
    /// same; a cut inside a chunk only cuts its piece.
    ///
    /// # Errors
    ///
    /// Any [`ChunkedError`], at the first byte that proves the body wrong, and again on each call from then on.
    #[inline]
    pub fn decode<'b>(&mut self, input: &'b [u8]) -> Result<(usize, Option<Piece<'b>>), ChunkedError> {
        if self.state == State::Data && !input.is_empty() {
            return Ok(self.data(input, 0));
        }
        let at = self.plain_size_line(input);
        if self.state == State::Data && at < input.len() {
            return Ok(self.data(input, at));
        }
        self.decode_bytes(input, at)
    }

    /// The input has ended.
    ///
    /// # Errors
    ///
    /// [`ChunkedError::UnexpectedEof`] unless the body is complete (RFC 9112 8), or the error that there was before.
    pub fn receive_eof(&mut self) -> Result<(), ChunkedError> {
        match self.state {
            State::End => Ok(()),
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(ChunkedError::UnexpectedEof);
                Err(ChunkedError::UnexpectedEof)
            }
        }
    }

    /// The trailers, once the body is complete; none before, so that none is seen unless all are valid.
    ///
    /// Fields which only make sense in a head are dropped, whatever their value: those for framing,
    /// routing, authentication, cookies, conditions, caching and content coding, such as
    /// `Content-Length`, `Transfer-Encoding`, `Host` or `Authorization` (RFC 9110 6.5.1).
    #[must_use]
    pub fn trailers(&self) -> Trailers<'_> {
        if self.is_finished() { self.trailers.iter() } else { Trailers::default() }
    }

    /// Whether the body is complete.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state == State::End
    }

    /// Bytes of data still to come in the chunk under way: 0 outside chunk data.
    ///
    /// A reader that wants no more than this body's bytes in its buffer can safely read so many.
    #[must_use]
    pub fn chunk_remaining(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Starts afresh for the next message on the connection. Limits stay, and so does the memory for trailers.
    pub fn reset(&mut self) {
        self.state = State::Size;
        (self.digits, self.left) = (0, 0);
        self.body_left = self.limits.max_body;
        (self.extension, self.extensions, self.overhead) = (0, 0, 0);
        self.trailers.clear();
    }

    /// [`decode`](Self::decode), by the letter of the grammar, from `at` on.
    fn decode_bytes<'b>(
        &mut self,
        input: &'b [u8],
        mut at: usize,
    ) -> Result<(usize, Option<Piece<'b>>), ChunkedError> {
        loop {
            match self.state {
                State::End => return Ok((at, Some(Piece::End))),
                State::Failed(error) => return Err(error),
                _ if at == input.len() => return Ok((at, None)),
                State::Data => return Ok(self.data(input, at)),
                _ => {}
            }
            self.state = match self.step(input[at]) {
                Ok(state) => state,
                Err(error) => State::Failed(error),
            };
            at += 1;
        }
    }

    /// Lends the data that `input` holds from `at` on: `left` is not 0, nor is what `input` holds.
    #[inline]
    fn data<'b>(&mut self, input: &'b [u8], at: usize) -> (usize, Option<Piece<'b>>) {
        let rest = &input[at..];
        let length = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        self.left -= length as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        (at + length, Some(Piece::Data(&rest[..length])))
    }

    /// The short way over `[CRLF] 1*15HEXDIG CRLF`, if `input` starts with that and no limit is near: how
    /// many bytes it was, else 0 with nothing changed. [`step`](Self::step) is the law.
    #[inline]
    fn plain_size_line(&mut self, input: &[u8]) -> usize {
        let (start, line) = match (self.state, input) {
            (State::DataCr, [b'\r', b'\n', line @ ..]) => (2, line),
            (State::Size, line) => (0, line),
            _ => return 0,
        };
        let line = &line[..line.len().min(17)];
        let mut size = 0;
        let mut digits = 0;
        while let Some(digit) = line.get(digits).and_then(|&byte| hex_digit(byte)) {
            size = size << 4 | u64::from(digit);
            digits += 1;
        }
        let length = start + digits + 2;
        let overhead = self.overhead.saturating_add(length as u64);
        if digits == 0
            || !line[digits..].starts_with(b"\r\n")
            || size > self.body_left
            || overhead > self.limits.max_overhead
        {
            return 0;
        }
        self.overhead = overhead;
        self.left = size;
        self.state = self.end_size_line();
        length
    }

    /// The state after a size line, whose size is `left`.
    #[inline]
    fn end_size_line(&mut self) -> State {
        self.body_left -= self.left;
        // Paid in advance: no more framing comes before the data has.
        self.overhead = self.overhead.saturating_sub(self.left.saturating_mul(OVERHEAD_PER_DATA_BYTE));
        self.extension = 0;
        // RFC 9112 7.1: last-chunk = 1*("0").
        if self.left == 0 { State::Trailer } else { State::Data }
    }

    /// One byte of framing, grammar first, then the limits.
    fn step(&mut self, byte: u8) -> Result<State, ChunkedError> {
        let next = match self.state {
            State::Size | State::SizeMore => self.size(byte)?,
            State::SizeLf => match byte {
                b'\n' => {
                    self.charge()?;
                    return Ok(self.end_size_line());
                }
                _ => return Err(ChunkedError::BadLineEnd),
            },
            State::DataCr => match byte {
                b'\r' => State::DataLf,
                _ => return Err(ChunkedError::BadDataEnd),
            },
            State::DataLf => match byte {
                b'\n' => State::Size,
                _ => return Err(ChunkedError::BadDataEnd),
            },
            State::Trailer | State::TrailerName | State::TrailerValue | State::TrailerLf | State::FinalLf => {
                return self.trailer(byte);
            }
            _ => extension(self.state, byte).ok_or(ChunkedError::BadExtension)?,
        };
        if next.is_extension() {
            self.extension += 1;
            self.extensions += 1;
            if self.extension > self.limits.max_extension {
                return Err(ChunkedError::ExtensionTooLong);
            }
            if self.extensions > self.limits.max_extensions {
                return Err(ChunkedError::TooManyExtensions);
            }
        }
        self.charge()?;
        Ok(next)
    }

    /// Counts one byte of framing.
    fn charge(&mut self) -> Result<(), ChunkedError> {
        self.overhead += 1;
        if self.overhead > self.limits.max_overhead { Err(ChunkedError::TooMuchOverhead) } else { Ok(()) }
    }

    /// RFC 9112 7.1: chunk-size = 1*HEXDIG, here at most 16 of them; then an extension or the line's end.
    fn size(&mut self, byte: u8) -> Result<State, ChunkedError> {
        if self.state == State::Size {
            (self.digits, self.left) = (0, 0);
        }
        if let Some(digit) = hex_digit(byte) {
            // RFC 9112 7.1: large numerals must not overflow; 16 digits fill the 64 bits.
            if self.digits == 16 {
                return Err(ChunkedError::SizeTooLong);
            }
            self.digits += 1;
            self.left = self.left << 4 | u64::from(digit);
            if self.left > self.body_left {
                return Err(ChunkedError::BodyTooLong);
            }
            return Ok(State::SizeMore);
        }
        match byte {
            _ if self.digits == 0 => Err(ChunkedError::BadSize),
            b'\r' => Ok(State::SizeLf),
            b';' => Ok(State::ExtName),
            _ if is_whitespace(byte) => Ok(State::ExtSemicolon),
            _ => Err(ChunkedError::BadSize),
        }
    }

    /// RFC 9112 7.1.2: trailer-section = *( field-line CRLF ), then the CRLF that ends the body.
    fn trailer(&mut self, byte: u8) -> Result<State, ChunkedError> {
        let next = match (self.state, byte) {
            (State::Trailer, b'\r') => return Ok(State::FinalLf),
            (State::FinalLf, b'\n') => return Ok(State::End),
            (State::FinalLf | State::TrailerLf, _) if byte != b'\n' => return Err(ChunkedError::BadLineEnd),
            (State::TrailerLf, _) => State::Trailer,
            // RFC 9112 5.1: no white space before the colon; 5.2: no folded lines.
            (State::Trailer | State::TrailerName, _) if is_token_byte(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_field_byte(byte) => State::TrailerValue,
            _ => return Err(ChunkedError::BadTrailer),
        };
        self.trailers.bytes += 1;
        if self.trailers.bytes > self.limits.max_trailer_bytes {
            return Err(ChunkedError::TrailersTooLong);
        }
        match (self.state, next) {
            (State::Trailer, _) => {
                self.trailers.fields += 1;
                if self.trailers.fields > self.limits.max_trailer_fields {
                    return Err(ChunkedError::TooManyTrailers);
                }
                self.trailers.push_name(byte);
            }
            (_, State::TrailerName) => self.trailers.push_name(byte),
            (State::TrailerName, _) => self.trailers.end_name(),
            (_, State::TrailerValue) => self.trailers.push_value(byte),
            (_, State::TrailerLf) => self.trailers.end_value(),
            _ => {}
        }
        Ok(next)
    }
}

/// The value of a hex digit.
#[inline]
fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
