//! Finding the end of a head in bytes that arrive in pieces: every byte is looked at once, every limit is enforced as
//! soon as it is passed, and each line is checked when it is complete, so that no cut of the bytes changes the verdict.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "places in the bytes that were received, and limits that they have passed by then"
)]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use httparse::Status;
use memchr::memchr;

use super::{HeadError, HeadLimits, StartLine};

/// How far the search has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// Bytes searched for a line end.
    scanned: usize,
    /// Where the start line begins: behind at most one empty line.
    start: usize,
    /// Where the line in progress begins.
    line: usize,
    /// Up to where complete lines have been checked.
    checked: usize,
    /// Complete lines so far, the start line included.
    lines: usize,
}

impl Scan {
    /// The length of the head, once it is complete; `None` if more bytes are needed. `bytes` are all the bytes
    /// received so far, never fewer than before. When the head is complete its lines are left to the caller to check.
    // Few heads come here: kept out of the way of the others, it does not cost them registers.
    #[cold]
    pub(super) fn end(
        &mut self,
        bytes: &[u8],
        kind: StartLine,
        limits: &HeadLimits,
        most_fields: usize,
    ) -> Result<Option<usize>, HeadError> {
        if kind == StartLine::Request && self.lines == 0 {
            another_protocol(bytes, limits)?;
        }
        let end = self.find_end(bytes, kind, limits, most_fields);
        if !matches!(end, Ok(Some(_))) {
            // What is wrong in an earlier line comes first.
            self.check_lines(bytes, kind)?;
        }
        end
    }

    /// Whether nothing has been looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.scanned == 0
    }

    fn find_end(
        &mut self,
        bytes: &[u8],
        kind: StartLine,
        limits: &HeadLimits,
        most_fields: usize,
    ) -> Result<Option<usize>, HeadError> {
        loop {
            let unseen = bytes.get(self.scanned..).unwrap_or_default();
            let line_feed = memchr(b'\n', unseen).map(|at| self.scanned + at);
            let line = bytes.get(self.line..line_feed.unwrap_or(bytes.len())).unwrap_or_default();
            self.check_size(line, line_feed.is_some(), kind, limits)?;
            let Some(line_feed) = line_feed else {
                self.scanned = self.scanned.max(bytes.len());
                return Ok(None);
            };
            // RFC 9112 2.2: a recipient may take a bare LF for a line end; this one does not.
            let content = line.strip_suffix(b"\r").ok_or(HeadError::BadLineEnd)?;
            if !content.is_empty() {
                self.lines += 1;
                if self.lines > most_fields + 1 {
                    return Err(HeadError::TooManyFields);
                }
            } else if self.lines > 0 {
                return Ok(Some(line_feed + 1));
            } else if self.start == 0 && kind == StartLine::Request {
                // RFC 9112 2.2: a server ignores an empty line before the request line.
                self.start = line_feed + 1;
            } else {
                return Err(kind.malformed());
            }
            self.scanned = line_feed + 1;
            self.line = line_feed + 1;
        }
    }

    /// Checks the limits against a line, without its LF, that is complete (`ended`) or has come so far.
    fn check_size(
        &self,
        line: &[u8],
        ended: bool,
        kind: StartLine,
        limits: &HeadLimits,
    ) -> Result<(), HeadError> {
        let content = line.strip_suffix(b"\r").unwrap_or(line);
        let seen = self.line + line.len() + usize::from(ended);
        let ends_head = ended && content.is_empty() && self.lines > 0;
        let head_over = if ends_head { seen > limits.head } else { seen >= limits.head };
        let line_over = content.len() > limits.line;
        if !head_over && !line_over {
            return Ok(());
        }
        // When both are passed, the one whose last byte came first; only bytes that are there are asked.
        let line_at = self.line + limits.line + if line.get(limits.line) == Some(&b'\r') { 2 } else { 1 };
        Err(if self.lines == 0 && kind == StartLine::Request {
            HeadError::RequestLineTooLong
        } else if line_over && (!head_over || line_at <= limits.head) {
            HeadError::LineTooLong
        } else {
            HeadError::HeadTooLarge
        })
    }

    /// Has the lines that were completed since the last call parsed, each alone.
    fn check_lines(&mut self, bytes: &[u8], kind: StartLine) -> Result<(), HeadError> {
        while let Some(line) = bytes.get(self.checked..self.line).filter(|lines| !lines.is_empty()) {
            let length = memchr(b'\n', line).map_or(line.len(), |at| at + 1);
            let line = &line[..length];
            let fault = if self.checked < self.start {
                None
            } else if self.checked == self.start {
                kind.parse(line).err()
            } else {
                httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER])
                    .err()
                    .map(|error| kind.error(error, line))
            };
            if let Some(fault) = fault {
                return Err(fault);
            }
            self.checked += length;
        }
        Ok(())
    }
}

/// The start line of HTTP/2's connection preface (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Whether a client speaks another protocol than HTTP/1. Not judged under limits that its first bytes would be past.
fn another_protocol(bytes: &[u8], limits: &HeadLimits) -> Result<(), HeadError> {
    if limits.line < PREFACE.len() || limits.head <= PREFACE.len() {
        return Ok(());
    }
    match bytes {
        // RFC 8446 5.1, RFC 5246 6.2.1: a record of type handshake (22), version 3.0 to 3.4.
        [22, 3, 0..=4, ..] => Err(HeadError::TlsHandshake),
        _ if bytes.starts_with(PREFACE) => Err(HeadError::Http2Preface),
        _ => Ok(()),
    }
}

impl StartLine {
    /// Parses the start line alone.
    fn parse(self, line: &[u8]) -> Result<Status<usize>, HeadError> {
        match self {
            Self::Request => httparse::Request::new(&mut []).parse(line),
            Self::Response => httparse::Response::new(&mut []).parse(line),
        }
        .map_err(|error| self.error(error, line))
    }

    fn malformed(self) -> HeadError {
        match self {
            Self::Request => HeadError::BadRequestLine,
            Self::Response => HeadError::BadStatusLine,
        }
    }

    /// What a parser's error means. `start_line` begins with the start line if that is where the error is.
    pub(super) fn error(self, error: httparse::Error, start_line: &[u8]) -> HeadError {
        match error {
            httparse::Error::HeaderName => HeadError::BadFieldName,
            httparse::Error::HeaderValue => HeadError::BadFieldValue,
            httparse::Error::NewLine => HeadError::BadLineEnd,
            httparse::Error::TooManyHeaders => HeadError::TooManyFields,
            httparse::Error::Version if self.names_a_version(start_line) => HeadError::UnsupportedHttpVersion,
            httparse::Error::Version | httparse::Error::Token | httparse::Error::Status => self.malformed(),
        }
    }

    /// Whether the start line has a version at all (RFC 9112 2.3): then it is one that is not supported.
    fn names_a_version(self, start_line: &[u8]) -> bool {
        let line = start_line.strip_prefix(b"\r\n").unwrap_or(start_line);
        let line = line.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|&byte| byte == b' ');
        let version = match self {
            Self::Request => words.nth(2).filter(|_| words.next().is_none()),
            Self::Response => words.next(),
        };
        matches!(version, Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'])
            if !matches!(version, Some(b"HTTP/1.0" | b"HTTP/1.1")))
    }
}
