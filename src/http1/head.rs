//! Request and response heads (RFC 9112 2 to 6): read strictly, on httparse, and written safely.
//!
//! A [`HeadReader`] finds and parses a head in bytes that arrive in pieces. It holds no buffer: it is shown all the bytes
//! received since the head began, each time, and remembers how far it has looked, so that the work is linear however
//! the bytes are cut. The head lends everything from those bytes.
//!
//! ```
//! use pushline::http1::head::{BodyFraming, HeadLimits, HeadReader, Slots};
//!
//! let mut reader = HeadReader::new(HeadLimits::default());
//! let mut received = b"GET /chat?room=1 HTTP/1.1\r\nHost: exam".to_vec();
//! assert!(reader.read_request(&received, &mut Slots::new())?.is_none()); // more bytes are needed
//!
//! received.extend_from_slice(b"ple.com\r\n\r\nrest");
//! let mut slots = Slots::new();
//! let head = reader.read_request(&received, &mut slots)?.expect("the head is complete");
//! assert_eq!((head.method(), head.path(), head.query()), ("GET", "/chat", Some("room=1")));
//! assert_eq!(head.field("host"), Some(&b"example.com"[..]));
//! assert_eq!(head.body(), BodyFraming::None);
//! assert_eq!(&received[head.len()..], b"rest");
//! # Ok::<(), pushline::http1::head::HeadError>(())
//! ```
//!
//! # What is refused
//!
//! Bare LF, bare CR, folded lines, whitespace before a colon, control bytes in values; a missing, second or malformed
//! Host; targets of no known form; Transfer-Encoding beside Content-Length, without `chunked` at its end or in HTTP/1.0;
//! differing Content-Lengths (the same number several times counts once, as RFC 9112 6.3 allows); a head past its
//! [`HeadLimits`]. [`HeadError`] names each with the status that answers it. Two things that RFC 9112 asks a recipient to
//! bear are borne: one empty line before a request (2.2), and a status line without a reason phrase or the space
//! before it.

mod body;
mod error;
mod request;
mod response;
mod scan;
mod write;

use core::fmt;
use core::mem::MaybeUninit;

use httparse::Header;

use self::scan::Scan;

pub use self::error::HeadError;
pub use self::request::RequestHead;
pub use self::response::ResponseHead;
pub use self::write::{FieldLines, InvalidField, InvalidHead, write_request, write_response};

/// The most fields in a head unless [`HeadLimits`] and [`Slots`] say otherwise: 64. Without it, a head of tiny fields would
/// cost many times its size in work and memory.
pub const MAX_FIELDS: usize = 64;

/// How many responses of class 1xx are passed over before the one that counts (RFC 9110 15.2): 16. Without it, a server could
/// send them for ever.
pub(crate) const MAX_INTERIM: usize = 16;

/// Limits of a head: its bytes, its lines and its fields.
///
/// ```
/// use pushline::http1::head::{HeadError, HeadLimits, HeadReader, Slots};
///
/// let limits = HeadLimits::new().head(30);
/// let refused = HeadReader::new(limits).read_request(b"GET / HTTP/1.1\r\nCookie: aaaaaaaa", &mut Slots::new()).err();
/// assert_eq!(refused, Some(HeadError::HeadTooLarge));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[non_exhaustive]
pub struct HeadLimits {
    /// Bytes in the whole head, its empty line included. Default: 16 KiB. Without it, a peer that never ends its head
    /// would have all of it buffered.
    pub head: usize,
    /// Bytes in one line, its CR LF not counted. Default: 8 KiB. Without it, one field could take the whole head.
    pub line: usize,
    /// Fields in the head. Default: [`MAX_FIELDS`]. A reader never takes more than its [`Slots`] have room for; the
    /// handshakes have room for [`MAX_HANDSHAKE_FIELDS`](crate::ws::handshake::MAX_HANDSHAKE_FIELDS).
    pub fields: usize,
}

impl HeadLimits {
    /// The defaults.
    pub const fn new() -> Self {
        Self { head: 16 * 1024, line: 8 * 1024, fields: MAX_FIELDS }
    }

    /// Bytes in the whole head: see [`head`](Self#structfield.head).
    pub const fn head(mut self, bytes: usize) -> Self {
        self.head = bytes;
        self
    }

    /// Bytes in one line: see [`line`](Self#structfield.line).
    pub const fn line(mut self, bytes: usize) -> Self {
        self.line = bytes;
        self
    }

    /// Fields in the head: see [`fields`](Self#structfield.fields).
    pub const fn fields(mut self, count: usize) -> Self {
        self.fields = count;
        self
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory in which the fields of a head are noted while it is used: 64 of them, or `N`. It needs no initialising and
/// holds nothing between heads; it lives on the stack beside the head. See the [module's example](self).
pub struct Slots<'b, const N: usize = MAX_FIELDS> {
    headers: [MaybeUninit<Header<'b>>; N],
}

impl Slots<'_> {
    /// Room for [`MAX_FIELDS`].
    #[must_use]
    pub const fn new() -> Self {
        Self::with_room()
    }
}

impl<const N: usize> Slots<'_, N> {
    /// Room for `N` fields.
    ///
    /// ```
    /// use pushline::http1::head::{HeadError, HeadLimits, HeadReader, Slots};
    ///
    /// let mut slots = Slots::<1>::with_room();
    /// let head = b"GET / HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n";
    /// let refused = HeadReader::new(HeadLimits::default()).read_request(head, &mut slots).err();
    /// assert_eq!(refused, Some(HeadError::TooManyFields));
    /// ```
    #[must_use]
    pub const fn with_room() -> Self {
        Self { headers: [const { MaybeUninit::uninit() }; N] }
    }
}

impl<'b, const N: usize> Slots<'b, N> {
    /// At most so many of them.
    fn first(&mut self, fields: usize) -> &mut [MaybeUninit<Header<'b>>] {
        &mut self.headers[..fields.min(N)]
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Slots<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots<{N}>")
    }
}

/// The protocol version of a head (RFC 9112 2.3).
///
/// ```
/// use pushline::http1::head::Version;
///
/// assert!(Version::Http10 < Version::Http11);
/// assert_eq!(Version::Http11.to_string(), "HTTP/1.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}

/// The framing of the body behind a head (RFC 9112 6.3).
///
/// ```
/// use pushline::http1::head::{BodyFraming, HeadLimits, HeadReader, Slots};
///
/// let received = b"POST /send HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
/// let mut slots = Slots::new();
/// let head = HeadReader::new(HeadLimits::default()).read_request(received, &mut slots)?.expect("complete");
/// assert_eq!(head.body(), BodyFraming::Chunked);
/// # Ok::<(), pushline::http1::head::HeadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyFraming {
    /// Nothing.
    None,
    /// So many bytes.
    Length(u64),
    /// The chunked coding: see [`chunked`](crate::http1::chunked).
    Chunked,
    /// All bytes until the connection is closed; only in responses.
    UntilClose,
}

/// Reads heads, one after the other, from bytes that arrive in pieces: see the [module](self).
#[derive(Clone, Debug)]
pub struct HeadReader {
    limits: HeadLimits,
    scan: Scan,
    failed: Option<HeadError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartLine {
    Request,
    Response,
}

impl HeadReader {
    /// A reader at the start of a head.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self { limits, scan: Scan::default(), failed: None }
    }

    /// Reads a request's head. `received` are all the bytes since the head began, those of earlier calls included;
    /// the head is followed in them by whatever came after it. `None` if more bytes are needed. After a head the
    /// reader is ready for the next one, in bytes that begin with it.
    ///
    /// # Errors
    ///
    /// [`HeadError`], as soon as it is certain for limits and at the end of the offending line for syntax; the same
    /// again if called again.
    pub fn read_request<'f, 'b, const N: usize>(
        &mut self,
        received: &'b [u8],
        slots: &'f mut Slots<'b, N>,
    ) -> Result<Option<RequestHead<'f, 'b>>, HeadError> {
        self.request(received, slots.first(self.limits.fields))
    }

    fn request<'f, 'b>(
        &mut self,
        received: &'b [u8],
        slots: &'f mut [MaybeUninit<Header<'b>>],
    ) -> Result<Option<RequestHead<'f, 'b>>, HeadError> {
        let most_fields = slots.len();
        self.read(received, StartLine::Request, most_fields, |bytes| RequestHead::parse(bytes, slots))
    }

    /// Reads a response's head, in the same way as [`read_request`](Self::read_request).
    ///
    /// # Errors
    ///
    /// As [`read_request`](Self::read_request).
    ///
    /// ```
    /// use pushline::http1::head::{BodyFraming, HeadLimits, HeadReader, Slots};
    ///
    /// let mut slots = Slots::new();
    /// let received = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    /// let head = HeadReader::new(HeadLimits::default()).read_response(received, &mut slots)?.expect("complete");
    /// assert_eq!((head.status(), head.body("GET")), (200, BodyFraming::Length(5)));
    /// # Ok::<(), pushline::http1::head::HeadError>(())
    /// ```
    pub fn read_response<'f, 'b, const N: usize>(
        &mut self,
        received: &'b [u8],
        slots: &'f mut Slots<'b, N>,
    ) -> Result<Option<ResponseHead<'f, 'b>>, HeadError> {
        let slots = slots.first(self.limits.fields);
        self.read(received, StartLine::Response, slots.len(), |bytes| ResponseHead::parse(bytes, slots, true))
    }

    /// Reads the head of a response to CONNECT: no body follows, whatever its fields say (RFC 9110 9.3.6), and none of a
    /// refusal is read.
    pub(crate) fn read_connect_response<'f, 'b, const N: usize>(
        &mut self,
        received: &'b [u8],
        slots: &'f mut Slots<'b, N>,
    ) -> Result<Option<ResponseHead<'f, 'b>>, HeadError> {
        let slots = slots.first(self.limits.fields);
        self.read(received, StartLine::Response, slots.len(), |bytes| {
            ResponseHead::parse(bytes, slots, false)
        })
    }

    /// Has the head parsed once it is complete; remembers what went wrong.
    #[inline(always)]
    fn read<'b, T>(
        &mut self,
        received: &'b [u8],
        kind: StartLine,
        most_fields: usize,
        parse: impl FnOnce(&'b [u8]) -> Result<Parsed<T>, HeadError>,
    ) -> Result<Option<T>, HeadError> {
        let Self { limits, scan, failed } = self;
        if let Some(error) = *failed {
            return Err(error);
        }
        let mut remember = |error| *failed.insert(error);
        // Nearly every head comes whole in the first read, and without a fault: then it need not be searched for its
        // end. In doubt the search decides, as it does for bytes that come in pieces.
        let first = scan.is_fresh();
        let mut end = Some(received.len().min(limits.head));
        if !first {
            end = scan.end(received, kind, limits, most_fields).map_err(&mut remember)?;
        }
        let Some(end) = end else { return Ok(None) };
        let parsed = parse(received.get(..end).unwrap_or(received));
        let settled = parsed.as_ref().is_ok_and(|parsed| parsed.crlf && parsed.length <= limits.line);
        if first
            && !settled
            && scan.end(received, kind, limits, most_fields).map_err(&mut remember)?.is_none()
        {
            return Ok(None);
        }
        let parsed = parsed.map_err(remember)?;
        *scan = Scan::default();
        Ok(Some(parsed.head))
    }
}

/// What was parsed from bytes that may go on behind the head.
struct Parsed<T> {
    head: T,
    length: usize,
    /// Whether all lines certainly end in CR LF.
    crlf: bool,
}

/// Whether all lines of a head end in CR LF, though the parser would bear a bare LF.
fn ends_in_crlf(head: &[u8], fields: &[Header<'_>]) -> bool {
    is_framed_in_crlf(head) && fields.iter().all(|field| is_behind_crlf(head, field))
}

/// Whether a head begins with a line and ends in CR LF, an empty line included.
fn is_framed_in_crlf(head: &[u8]) -> bool {
    !head.starts_with(b"\r") && !head.starts_with(b"\n") && head.ends_with(b"\r\n\r\n")
}

/// Whether the line before a field ends in CR LF.
fn is_behind_crlf(head: &[u8], field: &Header<'_>) -> bool {
    let offset = field.name.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
    head.get(..offset).is_some_and(|before| before.ends_with(b"\r\n"))
}

fn first<'b>(fields: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}
