//! How long the message's body is and whether the connection outlives it: the fields that decide framing (RFC 9112 6,
//! 9.3) and Host, read in one pass.
#![allow(clippy::arithmetic_side_effects, reason = "a digit that was matched")]

use super::{BodyFraming, HeadError, Version};
use crate::http1::authority::Authority;
use crate::http1::syntax::{contains_token, elements, is_name, trim};

/// What the framing fields of a head say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Framing<'b> {
    pub(super) host: Option<Authority<'b>>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
}

impl<'b> Framing<'b> {
    /// Reads the fields of a head. In a response Host means nothing (RFC 9110 7.2), so none is looked at.
    #[inline(always)] // it is large, and not moved then
    pub(super) fn read<'f>(
        fields: impl IntoIterator<Item = &'f httparse::Header<'b>>,
        version: Version,
        is_request: bool,
    ) -> Result<Self, HeadError>
    where
        'b: 'f,
    {
        let mut found = Self::default();
        let mut codings = Codings::default();
        for field in fields {
            let name = field.name;
            match name.len() {
                4 if is_request && is_name(name, "Host") => found.read_host(field.value)?,
                14 if is_name(name, "Content-Length") => found.read_length(field.value)?,
                17 if is_name(name, "Transfer-Encoding") => codings.read(field.value)?,
                _ => {}
            }
        }
        found.chunked = codings.finish(version, found.content_length.is_some())?;
        Ok(found)
    }

    /// RFC 9112 3.2: one Host, and a valid one.
    fn read_host(&mut self, value: &'b [u8]) -> Result<(), HeadError> {
        if self.host.is_some() {
            return Err(HeadError::DuplicateHost);
        }
        self.host = Authority::parse(value);
        if self.host.is_none() { Err(HeadError::BadHost) } else { Ok(()) }
    }

    /// RFC 9112 6.3: the same number given several times is that number; anything else is refused.
    fn read_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for element in value.split(|&byte| byte == b',').map(trim) {
            let length = number(element).ok_or(HeadError::BadContentLength)?;
            if self.content_length.is_some_and(|earlier| earlier != length) {
                return Err(HeadError::BadContentLength);
            }
            self.content_length = Some(length);
        }
        Ok(())
    }

    /// RFC 9112 6.3: a request's body.
    pub(super) fn request_body(&self) -> BodyFraming {
        match self.content_length {
            _ if self.chunked => BodyFraming::Chunked,
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::None,
        }
    }

    /// RFC 9112 6.3: a response's body, which depends on what was asked.
    pub(super) fn response_body(&self, status: u16, method: &str) -> BodyFraming {
        let none = has_no_body(status) || method == "HEAD" || (method == "CONNECT" && status / 100 == 2);
        match self.content_length {
            _ if none => BodyFraming::None,
            _ if self.chunked => BodyFraming::Chunked,
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::UntilClose,
        }
    }
}

/// RFC 9112 6.3: responses with these statuses have no body.
pub(super) const fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// RFC 9112 9.3: whether the sender would keep the connection.
pub(super) fn persists(fields: &[httparse::Header<'_>], version: Version) -> bool {
    let connection = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
    let has = |option| connection.clone().any(|field| contains_token(field.value, option));
    !has("close") && (version == Version::Http11 || has("keep-alive"))
}

/// RFC 9110 8.6: digits only; no general integer parser, which would take a sign.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The transfer codings of all Transfer-Encoding lines.
#[derive(Default)]
struct Codings {
    present: bool,
    chunked: bool,
    others: bool,
}

impl Codings {
    fn read(&mut self, value: &[u8]) -> Result<(), HeadError> {
        self.present = true;
        for coding in elements(value).filter(|coding| !coding.is_empty()) {
            // RFC 9112 6.1: `chunked` comes last, and only once.
            if self.chunked {
                return Err(HeadError::BadTransferEncoding);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.others = true;
            }
        }
        Ok(())
    }

    /// Whether the body is chunked.
    fn finish(self, version: Version, has_length: bool) -> Result<bool, HeadError> {
        if !self.present {
            return Ok(false);
        }
        // RFC 9112 6.3: a request whose last coding is not `chunked` has no certain end; responses are held to the same.
        // 6.1: in HTTP/1.0 the framing is faulty.
        if !self.chunked || version == Version::Http10 {
            return Err(HeadError::BadTransferEncoding);
        }
        if has_length {
            return Err(HeadError::AmbiguousLength);
        }
        if self.others {
            return Err(HeadError::UnsupportedTransferEncoding);
        }
        Ok(true)
    }
}
