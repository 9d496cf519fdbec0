//! Data to chunked body: a head and a tail around a payload that nobody copies (RFC 9112 7.1).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "eight digits of a length in a word; sums and differences of lengths of what is in memory"
)]
#![allow(clippy::indexing_slicing, reason = "up to what `advance` allows, which is checked")]

use super::error::ChunkedEncodeError;
use super::trailers::is_forbidden;
use crate::http1::syntax::{is_field_value, is_token, trim};
use bytes::{Buf, BufMut};

/// Writes one body, in chunks or, for a peer that knows no chunks, as it is.
///
/// Each write of an event makes one chunk, so that it leaves at once and arrives whole. An empty write
/// writes nothing: a chunk of size 0 would end the body.
///
/// ```
/// use pushline::http1::chunked::ChunkedEncoder;
///
/// let mut encoder = ChunkedEncoder::chunked();
/// let mut wire = Vec::new();
/// encoder.put(b"data: hello\n\n", &mut wire)?;
/// encoder.put(b"", &mut wire)?;
/// encoder.finish(&[("Server-Timing", b"total;dur=12")], &mut wire)?;
/// assert_eq!(wire, b"d\r\ndata: hello\n\n\r\n0\r\nServer-Timing: total;dur=12\r\n\r\n");
/// # Ok::<(), pushline::http1::chunked::ChunkedEncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChunkedEncoder {
    chunked: bool,
    finished: bool,
}

impl ChunkedEncoder {
    /// A body with `Transfer-Encoding: chunked`.
    #[must_use]
    pub fn chunked() -> Self {
        Self { chunked: true, finished: false }
    }

    /// A body that the end of the connection delimits, for an HTTP/1.0 peer (RFC 9112 6.3): bytes go out as
    /// they are. The peer cannot tell a finished body from a cut one, and gets no trailers.
    #[must_use]
    pub fn until_close() -> Self {
        Self { chunked: false, finished: false }
    }

    /// Whether the connection must be closed to end the body.
    #[must_use]
    pub fn closes(&self) -> bool {
        !self.chunked
    }

    /// Whether [`finish`](Self::finish) was called.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// What goes before and after a payload of `length` bytes; both empty if `length` is 0.
    ///
    /// For a payload in several pieces, or in a buffer that is handed on.
    ///
    /// # Errors
    ///
    /// [`ChunkedEncodeError::Finished`] after [`finish`](Self::finish).
    #[inline]
    pub fn frame(&mut self, length: u64) -> Result<ChunkFrame, ChunkedEncodeError> {
        if self.finished {
            return Err(ChunkedEncodeError::Finished);
        }
        Ok(if self.chunked && length > 0 { ChunkFrame::new(length) } else { ChunkFrame::EMPTY })
    }

    /// One chunk of this payload, which stays where it is.
    ///
    /// # Errors
    ///
    /// [`ChunkedEncodeError::Finished`] after [`finish`](Self::finish).
    #[inline]
    pub fn chunk<'p>(&mut self, payload: &'p [u8]) -> Result<Chunk<'p>, ChunkedEncodeError> {
        Ok(Chunk { frame: self.frame(payload.len() as u64)?, payload })
    }

    /// Appends one chunk to `out`, payload and all: for small ones, where a copy is cheaper than a slice.
    ///
    /// # Errors
    ///
    /// [`ChunkedEncodeError::Finished`] after [`finish`](Self::finish).
    ///
    /// # Panics
    ///
    /// If `out` cannot grow and has not the room: payload + [`ChunkFrame::MAX_LENGTH`] always suffice.
    #[inline]
    pub fn put(&mut self, payload: &[u8], out: &mut impl BufMut) -> Result<(), ChunkedEncodeError> {
        let frame = self.frame(payload.len() as u64)?;
        out.put_slice(frame.head());
        out.put_slice(payload);
        out.put_slice(frame.tail());
        Ok(())
    }

    /// Ends the body, once: the last chunk, the trailers, the empty line. Close-delimited bodies write
    /// nothing, trailers are checked and dropped.
    ///
    /// # Errors
    ///
    /// [`ChunkedEncodeError::Finished`] the second time. [`ChunkedEncodeError::BadTrailerName`],
    /// [`ChunkedEncodeError::BadTrailerValue`] or [`ChunkedEncodeError::ForbiddenTrailer`] if a trailer cannot be sent; then
    /// nothing is written and the body can still be finished.
    ///
    /// # Panics
    ///
    /// If `out` cannot grow and has not the room: 5 bytes, and each trailer's length + 4.
    pub fn finish(
        &mut self,
        trailers: &[(&str, &[u8])],
        out: &mut impl BufMut,
    ) -> Result<(), ChunkedEncodeError> {
        if self.finished {
            return Err(ChunkedEncodeError::Finished);
        }
        for (name, value) in trailers {
            check_trailer(name.as_bytes(), value)?;
        }
        self.finished = true;
        if self.chunked {
            out.put_slice(b"0\r\n");
            for (name, value) in trailers {
                out.put_slice(name.as_bytes());
                out.put_slice(b": ");
                out.put_slice(value);
                out.put_slice(b"\r\n");
            }
            out.put_slice(b"\r\n");
        }
        Ok(())
    }
}

/// The size line before one payload and the line end after it.
///
/// ```
/// use pushline::http1::chunked::ChunkedEncoder;
///
/// let frame = ChunkedEncoder::chunked().frame(4096)?;
/// assert_eq!((frame.head(), frame.tail()), (&b"1000\r\n"[..], &b"\r\n"[..]));
/// # Ok::<(), pushline::http1::chunked::ChunkedEncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChunkFrame {
    /// The size line, at the end of the array: up to 16 hex digits and CRLF.
    line: [u8; 18],
    start: u8,
    tail: &'static [u8],
}

impl ChunkFrame {
    /// The most bytes that head and tail take together.
    pub const MAX_LENGTH: usize = 20;

    const EMPTY: Self = Self { line: *b"0000000000000000\r\n", start: 18, tail: b"" };

    #[inline]
    fn new(length: u64) -> Self {
        let mut line = Self::EMPTY.line;
        line[..8].copy_from_slice(&hex((length >> 32) as u32));
        line[8..16].copy_from_slice(&hex(length as u32));
        Self { line, start: (length | 1).leading_zeros() as u8 / 4, tail: b"\r\n" }
    }

    /// The size line; empty if nothing is to be written before the payload.
    #[inline]
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.line[usize::from(self.start)..]
    }

    /// The line end after the data; empty if nothing is to be written after the payload.
    #[inline]
    #[must_use]
    pub fn tail(&self) -> &'static [u8] {
        self.tail
    }
}

/// One chunk, ready to be written: head, borrowed payload, tail.
///
/// As a `bytes::Buf` it goes to a vectored write and keeps track of what was written.
///
/// ```
/// use bytes::Buf;
/// use pushline::http1::chunked::ChunkedEncoder;
///
/// let mut chunk = ChunkedEncoder::chunked().chunk(b"hello")?;
/// assert_eq!(chunk.slices(), [&b"5\r\n"[..], b"hello", b"\r\n"]);
/// chunk.advance(4);
/// assert_eq!(chunk.slices(), [&b""[..], b"ello", b"\r\n"]);
/// assert_eq!(chunk.remaining(), 6);
/// # Ok::<(), pushline::http1::chunked::ChunkedEncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Chunk<'p> {
    frame: ChunkFrame,
    payload: &'p [u8],
}

impl Chunk<'_> {
    /// What is still to be written, in order; each may be empty.
    #[inline]
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 3] {
        [self.frame.head(), self.payload, self.frame.tail]
    }
}

impl Buf for Chunk<'_> {
    fn remaining(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.slices().into_iter().find(|slice| !slice.is_empty()).unwrap_or_default()
    }

    #[cfg(feature = "std")]
    fn chunks_vectored<'a>(&'a self, dst: &mut [std::io::IoSlice<'a>]) -> usize {
        let full = self.slices().into_iter().filter(|slice| !slice.is_empty());
        full.zip(dst).map(|(slice, place)| *place = std::io::IoSlice::new(slice)).count()
    }

    /// # Panics
    ///
    /// If `count` is more than [`remaining`](Buf::remaining).
    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "advance past the end of the chunk");
        let head = count.min(self.frame.head().len());
        let payload = (count - head).min(self.payload.len());
        self.frame.start += head as u8;
        self.payload = &self.payload[payload..];
        self.frame.tail = &self.frame.tail[count - head - payload..];
    }
}

/// Eight lower-case hex digits, all at once: a byte for each nibble.
#[inline]
fn hex(value: u32) -> [u8; 8] {
    let mut nibbles = u64::from(value);
    nibbles = (nibbles << 16 | nibbles) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles << 8 | nibbles) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles << 4 | nibbles) & 0x0f0f_0f0f_0f0f_0f0f;
    // 1 in each byte of 10 or more, which stands 39 further on in ASCII than a decimal digit would.
    let letters = (nibbles + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
    (nibbles + 0x3030_3030_3030_3030 + letters * 39).to_be_bytes()
}

/// RFC 9110 5.1, 5.5, 6.5.1.
fn check_trailer(name: &[u8], value: &[u8]) -> Result<(), ChunkedEncodeError> {
    if !is_token(name) {
        Err(ChunkedEncodeError::BadTrailerName)
    } else if is_forbidden(name) {
        Err(ChunkedEncodeError::ForbiddenTrailer)
    } else if !is_field_value(value) || trim(value).len() < value.len() {
        Err(ChunkedEncodeError::BadTrailerValue)
    } else {
        Ok(())
    }
}
