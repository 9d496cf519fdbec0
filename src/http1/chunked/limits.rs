//! What a chunked body may cost its reader.

/// Limits of a [`ChunkedDecoder`](super::ChunkedDecoder). RFC 9112 leaves them to the recipient.
///
/// ```
/// use pushline::http1::chunked::ChunkedLimits;
///
/// let limits = ChunkedLimits::default().max_body(1 << 20).max_trailer_fields(0);
/// assert_ne!(limits, ChunkedLimits::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ChunkedLimits {
    pub(super) max_body: u64,
    pub(super) max_extension: u64,
    pub(super) max_extensions: u64,
    pub(super) max_overhead: u64,
    pub(super) max_trailer_bytes: usize,
    pub(super) max_trailer_fields: usize,
}

/// Bytes of framing that each byte of data pays for: see [`ChunkedLimits::max_overhead`].
pub(super) const OVERHEAD_PER_DATA_BYTE: u64 = 4;

impl Default for ChunkedLimits {
    fn default() -> Self {
        Self {
            max_body: i64::MAX as u64,
            max_extension: 1024,
            max_extensions: 8 * 1024,
            max_overhead: 256 * 1024,
            max_trailer_bytes: 8 * 1024,
            max_trailer_fields: 64,
        }
    }
}

impl ChunkedLimits {
    /// Bytes of data in the whole body. Default 2^63 - 1: the decoder lends data and holds none, so a
    /// stream may run for as long as it likes, and its length stays within a signed integer.
    ///
    /// A caller that collects the body sets this. It is checked against the announced size, digit by
    /// digit: a peer that announces too much is refused before it has sent any of it.
    pub const fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Bytes of extensions on one size line, from after the size to the line's end. Default 1024.
    ///
    /// Extensions are read and thrown away; without a limit one chunk keeps a reader busy for ever
    /// and never delivers anything (CVE-2024-22019).
    pub const fn max_extension(mut self, bytes: u64) -> Self {
        self.max_extension = bytes;
        self
    }

    /// Bytes of extensions in the whole body. Default 8 KiB.
    ///
    /// Without a limit a peer sends hundreds of bytes for each byte that the application sees and counts
    /// (CVE-2023-39326). Raise it for a peer that signs each chunk in an extension.
    pub const fn max_extensions(mut self, bytes: u64) -> Self {
        self.max_extensions = bytes;
        self
    }

    /// Bytes of framing (size lines, extensions, line ends) that run ahead of the data. Default 256 KiB.
    ///
    /// Each byte of data pays for 4 bytes of framing, and nothing is saved up for later, so that
    /// chunks of two bytes or more in their shortest form never count, and a chunk of one byte
    /// (5 bytes of framing) counts 1. This stops floods of tiny chunks and of zero-padded sizes, which
    /// cost the application one event a byte. A program that really streams single bytes without end
    /// sets `u64::MAX`.
    pub const fn max_overhead(mut self, bytes: u64) -> Self {
        self.max_overhead = bytes;
        self
    }

    /// Bytes of the trailer section, line ends included, the empty line that ends it left out. Default 8 KiB.
    ///
    /// Trailers are the only thing that the decoder stores (CVE-2023-46589 is their missing limit); it
    /// allocates as bytes arrive and never more than twice this.
    pub const fn max_trailer_bytes(mut self, bytes: usize) -> Self {
        self.max_trailer_bytes = bytes;
        self
    }

    /// Fields in the trailer section, dropped ones included. Default 64.
    ///
    /// Without a limit thousands of short fields slow down whatever looks them up.
    pub const fn max_trailer_fields(mut self, fields: usize) -> Self {
        self.max_trailer_fields = fields;
        self
    }
}
