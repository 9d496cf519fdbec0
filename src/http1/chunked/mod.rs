//! The chunked transfer coding, both directions (RFC 9112 section 7.1).
//!
//! [`ChunkedDecoder`] turns the bytes after a message head into pieces of the body, lent from the input;
//! [`ChunkedEncoder`] puts a head and a tail around a payload without copying it. Neither does I/O, and both
//! hold a few words of state whatever the size of the body.
//!
//! | RFC 9112 | rule | file |
//! |---|---|---|
//! | 7.1 | chunk, chunk-size, last-chunk | `decode.rs`, `encode.rs` |
//! | 7.1.1 | chunk extensions: checked against the grammar, then ignored | `state.rs` |
//! | 7.1.2 | trailer section; RFC 9110 6.5.1: which fields may stand in it | `trailers.rs` |
//! | 7.1, 7.1.1 | limits on numerals, extensions, overhead | `limits.rs` |
//! | 8 | a body cut short is incomplete | [`ChunkedDecoder::receive_eof`] |
//!
//! The decoder is strict, for leniency here is request smuggling: a line ends with CRLF and nothing
//! else, a size is 1 to 16 hex digits and nothing else, white space stands only where the grammar has
//! it. Everything is refused at the first byte that proves it wrong.
//!
//! ```
//! use pushline::http1::chunked::{ChunkedDecoder, ChunkedLimits, Piece};
//!
//! let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
//! let mut input = &b"6\r\nhello \r\n5\r\nworld\r\n0\r\nDigest: abc\r\n\r\nGET / HTTP/1.1"[..];
//! let mut body = Vec::new();
//! loop {
//!     let (consumed, piece) = decoder.decode(input)?;
//!     input = &input[consumed..];
//!     match piece {
//!         Some(Piece::Data(data)) => body.extend_from_slice(data),
//!         Some(Piece::End) => break,
//!         None => panic!("here a program reads more, or calls receive_eof"),
//!     }
//! }
//! assert_eq!(body, b"hello world");
//! assert_eq!(decoder.trailers().next(), Some(("Digest", &b"abc"[..])));
//! assert_eq!(input, b"GET / HTTP/1.1");
//! # Ok::<(), pushline::http1::chunked::ChunkedError>(())
//! ```

mod decode;
mod encode;
mod error;
mod limits;
mod state;
mod trailers;

pub use decode::{ChunkedDecoder, Piece};
pub use encode::{Chunk, ChunkFrame, ChunkedEncoder};
pub use error::{ChunkedEncodeError, ChunkedError};
pub use limits::ChunkedLimits;
pub use trailers::Trailers;
