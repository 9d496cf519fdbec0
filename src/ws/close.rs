//! Close codes and the payload of a close frame (RFC 6455 5.5.1, 7.4).
#![allow(clippy::arithmetic_side_effects, reason = "at most 125")]
#![allow(clippy::indexing_slicing, reason = "an array as long as code and reason")]

use super::error::{ProtocolError, UsageError};
use super::header::MAX_CONTROL_LEN;
use core::fmt;

/// The longest reason of a close frame, in bytes: 125 less the two of the code.
pub const MAX_REASON_LEN: usize = MAX_CONTROL_LEN - 2;

/// The code of a close frame: why the connection is closed (RFC 6455 7.4 and the IANA registry).
///
/// Any number can be held; [`is_allowed`](Self::is_allowed) says whether it may stand in a frame.
///
/// ```
/// use pushline::ws::CloseCode;
///
/// assert!(CloseCode::NORMAL.is_allowed());
/// assert!(CloseCode(4000).is_allowed()); // private use
/// assert!(!CloseCode::NO_STATUS.is_allowed()); // 1005 is a way of saying "there was none"
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that this endpoint does not accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the close frame had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without a close frame. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: data that contradicts the message's type, such as bad UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a message that violates the endpoint's policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: the client misses an extension that it needs.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// 1011: the server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received an invalid response upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Whether the code may stand in a close frame (RFC 6455 7.4): 1000 to 1003, 1007 to 1014,
    /// 3000 to 4999.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The payload of a close frame: a code and a reason of at most 123 bytes, which may be empty.
///
/// ```
/// use pushline::ws::{CloseCode, CloseFrame};
///
/// let close = CloseFrame { code: CloseCode::NORMAL, reason: "bye" };
/// assert_eq!(close.to_string(), "1000 bye");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseFrame<'b> {
    /// Why the connection is closed.
    pub code: CloseCode,
    /// For people who read logs.
    pub reason: &'b str,
}

impl fmt::Display for CloseFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            "" => self.code.fmt(f),
            reason => write!(f, "{} {reason}", self.code),
        }
    }
}

impl<'b> CloseFrame<'b> {
    /// Reads the payload of a received close frame (RFC 6455 5.5.1).
    pub(crate) fn parse(payload: &'b [u8]) -> Result<Option<Self>, ProtocolError> {
        let (code, reason) = match payload {
            [] => return Ok(None),
            // 5.5.1: if there is a body, the first two bytes MUST be the code.
            [_] => return Err(ProtocolError::TruncatedCloseCode),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !code.is_allowed() {
            return Err(ProtocolError::InvalidCloseCode(code.0));
        }
        match core::str::from_utf8(reason) {
            Ok(reason) => Ok(Some(Self { code, reason })),
            Err(_) => Err(ProtocolError::InvalidCloseReason),
        }
    }

    /// Writes the payload into `buffer` and returns the part that was written.
    pub(crate) fn encode<'o>(&self, buffer: &'o mut [u8; MAX_CONTROL_LEN]) -> Result<&'o [u8], UsageError> {
        if !self.code.is_allowed() {
            return Err(UsageError::InvalidCloseCode(self.code.0));
        }
        let len = 2 + self.reason.len();
        let Some(payload) = buffer.get_mut(..len) else { return Err(UsageError::ReasonTooLong) };
        payload[..2].copy_from_slice(&self.code.0.to_be_bytes());
        payload[2..].copy_from_slice(self.reason.as_bytes());
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_allowed_or_not_both_ways() {
        for code in 0..=u16::MAX {
            let allowed = (1000..=4999).contains(&code)
                && !(1016..3000).contains(&code)
                && ![1004, 1005, 1006, 1015].contains(&code);
            assert_eq!(CloseCode(code).is_allowed(), allowed, "{code}");
            let parsed = CloseFrame::parse(&[(code >> 8) as u8, code as u8]).map(|_| ());
            assert_eq!(parsed.is_ok(), allowed, "{code}");
            let frame = CloseFrame { code: CloseCode(code), reason: "" };
            assert_eq!(frame.encode(&mut [0; 125]).is_ok(), allowed, "{code}");
        }
    }

    #[test]
    fn reasons_of_up_to_123_bytes_round_trip() {
        for len in [0, 1, 122, 123, 124] {
            let reason = "r".repeat(len);
            let frame = CloseFrame { code: CloseCode::NORMAL, reason: &reason };
            let mut buffer = [0; MAX_CONTROL_LEN];
            match frame.encode(&mut buffer) {
                Ok(payload) => assert_eq!(CloseFrame::parse(payload), Ok(Some(frame))),
                Err(error) => assert_eq!((error, len), (UsageError::ReasonTooLong, 124)),
            }
        }
    }
}
