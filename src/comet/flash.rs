//! What Flash's XMLSocket spoke: messages ended by a NUL, and the policy file that it asked for first. Flash is gone
//! since 2020; this is for the record, and for the odd device that still talks so.
#![allow(clippy::arithmetic_side_effects, reason = "`held` never grows past `max_message`")]
#![allow(clippy::indexing_slicing, reason = "up to a place that was found in the same bytes")]

use alloc::vec::Vec;
use bytes::BufMut;
use core::fmt;

/// The request that asks for the policy file, as [`FlashDecoder`] reports it: its NUL is gone.
///
/// ```
/// use pushline::comet::flash::{FlashDecoder, POLICY_REQUEST};
///
/// let mut decoder = FlashDecoder::new(1024);
/// assert_eq!(decoder.decode(&mut &b"<policy-file-request/>\0"[..])?, Some(POLICY_REQUEST));
/// # Ok::<(), pushline::comet::flash::FlashError>(())
/// ```
pub const POLICY_REQUEST: &[u8] = b"<policy-file-request/>";

/// The reason why a message, or a policy, was refused.
///
/// ```
/// use pushline::comet::flash::{FlashError, encode};
///
/// assert_eq!(encode(b"two\0messages", &mut Vec::new()), Err(FlashError::Nul));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashError {
    /// A received message is longer than the decoder's limit. Close the connection.
    TooLong,
    /// A message to be sent has a NUL in it, which would make it two.
    Nul,
    /// A policy's domain or ports have a character that no such thing has, or a range runs backwards.
    InvalidPolicy,
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "message over the limit",
            Self::Nul => "message has a NUL in it",
            Self::InvalidPolicy => "not a domain, or not a list of ports",
        })
    }
}

impl core::error::Error for FlashError {}

/// Cuts what was received at the NULs.
///
/// ```
/// use pushline::comet::flash::FlashDecoder;
///
/// let mut decoder = FlashDecoder::new(1024);
/// let mut input = &b"one\0two\0thr"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"one"[..]));
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"two"[..]));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// assert_eq!(decoder.decode(&mut &b"ee\0"[..])?, Some(&b"three"[..]));
/// # Ok::<(), pushline::comet::flash::FlashError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlashDecoder {
    max_message: usize,
    /// What has come of a message whose end is not in the same read.
    held: Vec<u8>,
    /// `held` was lent by the last call and is done with.
    lent: bool,
    failed: bool,
}

impl FlashDecoder {
    /// A decoder of messages of at most so many bytes.
    ///
    /// Without the limit a peer that never sends a NUL makes it hold all that it sends.
    #[must_use]
    pub fn new(max_message: usize) -> Self {
        Self { max_message, held: Vec::new(), lent: false, failed: false }
    }

    /// The next message, lent from `input` if it lies whole in it, without its NUL; `None` once `input` is used up.
    ///
    /// # Errors
    ///
    /// [`FlashError::TooLong`] at the first byte past the limit, and from then on.
    pub fn decode<'d, 'i: 'd>(&'d mut self, input: &mut &'i [u8]) -> Result<Option<&'d [u8]>, FlashError> {
        if core::mem::take(&mut self.lent) {
            self.held.clear();
        }
        // Looking further than the limit allows would be in vain.
        let room = self.max_message - self.held.len();
        let window = &input[..input.len().min(room.saturating_add(1))];
        let end = memchr::memchr(0, window);
        let part = &window[..end.unwrap_or(window.len())];
        if self.failed || part.len() > room {
            self.failed = true;
            return Err(FlashError::TooLong);
        }
        *input = &input[end.map_or(part.len(), |end| end + 1)..];
        if end.is_some() && self.held.is_empty() {
            return Ok(Some(part));
        }
        self.held.extend_from_slice(part);
        self.lent = end.is_some();
        Ok(self.lent.then_some(&self.held))
    }
}

/// Appends a message and its NUL to `out`.
///
/// # Errors
///
/// [`FlashError::Nul`] if there is one in it already; then nothing is written.
///
/// # Panics
///
/// If `out` cannot grow and has not the room: the message and 1 byte.
///
/// ```
/// let mut wire = Vec::new();
/// pushline::comet::flash::encode(b"hello", &mut wire)?;
/// assert_eq!(wire, b"hello\0");
/// # Ok::<(), pushline::comet::flash::FlashError>(())
/// ```
pub fn encode(message: &[u8], out: &mut impl BufMut) -> Result<(), FlashError> {
    if memchr::memchr(0, message).is_some() {
        return Err(FlashError::Nul);
    }
    out.put_slice(message);
    out.put_u8(0);
    Ok(())
}

/// Appends the policy file to `out`, NUL and all: which domains' movies may connect to which ports.
///
/// Domains are names, in which `*.` may stand first, or `*` for all; ports are numbers, ranges and commas
/// (`"843,5000-5010"`) or `*`.
///
/// # Errors
///
/// [`FlashError::InvalidPolicy`] if one is anything else; then nothing is written.
///
/// # Panics
///
/// If `out` cannot grow and has not the room: 200 bytes, and 50 more than its text for each entry.
///
/// ```
/// let mut answer = Vec::new();
/// pushline::comet::flash::policy(&[("*.example.com", "5000-5010")], &mut answer)?;
/// assert!(answer.ends_with(
///     b"<allow-access-from domain=\"*.example.com\" to-ports=\"5000-5010\"/></cross-domain-policy>\0"
/// ));
/// # Ok::<(), pushline::comet::flash::FlashError>(())
/// ```
pub fn policy(allowed: &[(&str, &str)], out: &mut impl BufMut) -> Result<(), FlashError> {
    for (domain, ports) in allowed {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        };
        let is_domain = *domain == "*" || is_name(domain.strip_prefix("*.").unwrap_or(domain));
        let port =
            |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        let are_ports = *ports == "*"
            || ports.split(',').all(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((port(first), port(last)), (Some(first), Some(last)) if first <= last)
            });
        if !is_domain || !are_ports {
            return Err(FlashError::InvalidPolicy);
        }
    }
    out.put_slice(
        b"<?xml version=\"1.0\"?><!DOCTYPE cross-domain-policy SYSTEM \
          \"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd\"><cross-domain-policy>",
    );
    for (domain, ports) in allowed {
        out.put_slice(b"<allow-access-from domain=\"");
        out.put_slice(domain.as_bytes());
        out.put_slice(b"\" to-ports=\"");
        out.put_slice(ports.as_bytes());
        out.put_slice(b"\"/>");
    }
    out.put_slice(b"</cross-domain-policy>\0");
    Ok(())
}
