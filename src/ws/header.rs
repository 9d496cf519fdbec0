//! The frame header (RFC 6455 5.2): parse and encode. Pure functions of the header's own bytes;
//! what depends on role, extensions or the message in progress is checked in `receiver/header.rs`.
#![allow(clippy::arithmetic_side_effects, reason = "a header of at most 14 bytes")]
#![allow(clippy::indexing_slicing, reason = "a header of at most 14 bytes in an array of 14")]

use core::fmt;

/// The longest header: 2 bytes, 8 of extended length, 4 of masking key.
pub const MAX_HEADER_LEN: usize = 14;

/// The longest payload of a control frame (RFC 6455 5.5).
pub const MAX_CONTROL_LEN: usize = 125;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV: u8 = 0x70;
pub(crate) const OPCODE: u8 = 0x0f;
pub(crate) const MASK: u8 = 0x80;
const LEN: u8 = 0x7f;
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;

/// The opcode of a frame: what kind it is (RFC 6455 5.2, 11.8).
///
/// ```
/// use pushline::ws::Opcode;
///
/// assert_eq!(Opcode::new(0x89), Some(Opcode::Ping)); // FIN is not part of it
/// assert_eq!(Opcode::new(0x3), None);
/// assert!(Opcode::Ping.is_control() && !Opcode::Continuation.is_control());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// 0x0: a further fragment of the message in progress.
    Continuation = 0x0,
    /// 0x1: a text message, or its first fragment.
    Text = 0x1,
    /// 0x2: a binary message, or its first fragment.
    Binary = 0x2,
    /// 0x8: close.
    Close = 0x8,
    /// 0x9: ping.
    Ping = 0x9,
    /// 0xA: pong.
    Pong = 0xa,
}

impl Opcode {
    /// The opcode of the low four bits; `None` if reserved.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        Some(match bits & OPCODE {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is a control frame (RFC 6455 5.5): opcode 0x8 and above.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A frame header.
///
/// ```
/// use pushline::raw::Header;
/// use pushline::ws::Opcode;
///
/// // RFC 6455 5.7: a masked text frame with five bytes of payload.
/// let (header, len) = Header::parse(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f])?.expect("whole header");
/// assert_eq!((header.opcode, header.fin, header.payload_len, len), (Opcode::Text, true, 5, 6));
/// assert_eq!(header.mask, Some([0x37, 0xfa, 0x21, 0x3d]));
///
/// let (bytes, len) = header.encode();
/// assert_eq!(&bytes[..len], [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
/// # Ok::<(), pushline::ws::HeaderError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Final fragment of the message.
    pub fin: bool,
    /// The reserved bits RSV1, RSV2, RSV3 as 4, 2, 1: zero unless an extension gives them a meaning.
    pub rsv: u8,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, if the frame is masked.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload in bytes, below 2^63.
    pub payload_len: u64,
}

impl Header {
    /// Parses the header at the start of `bytes`: the header and its own length in bytes, or
    /// `None` while it is incomplete.
    ///
    /// Every fault is reported as soon as its byte is there, also in an incomplete header.
    ///
    /// # Errors
    ///
    /// A header that RFC 6455 5.2 or 5.5 forbids whatever the role: see [`HeaderError`].
    #[inline]
    pub const fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        let (mut header, len) = match Self::parse_before_key(bytes) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error),
        };
        if header.mask.is_none() {
            return Ok(Some((header, len)));
        }
        let (_, [a, b, c, d, ..]) = bytes.split_at(len) else { return Ok(None) };
        header.mask = Some([*a, *b, *c, *d]);
        Ok(Some((header, len + 4)))
    }

    /// Parses up to the masking key, which it leaves out: `mask` only says whether one follows.
    #[inline]
    pub(crate) const fn parse_before_key(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        let [first, rest @ ..] = bytes else { return Ok(None) };
        let Some(opcode) = Opcode::new(*first) else {
            return Err(HeaderError::ReservedOpcode(*first & OPCODE));
        };
        let fin = *first & FIN != 0;
        // 5.5: control frames MUST NOT be fragmented.
        if opcode.is_control() && !fin {
            return Err(HeaderError::FragmentedControl);
        }
        let [second, rest @ ..] = rest else { return Ok(None) };
        let (payload_len, len) = match (*second & LEN, rest) {
            // 5.5: control frames carry at most 125 bytes.
            (LEN_16 | LEN_64, _) if opcode.is_control() => return Err(HeaderError::ControlTooLong),
            (LEN_16, [a, b, ..]) => {
                let len = u16::from_be_bytes([*a, *b]) as u64;
                // 5.2: the minimal number of bytes MUST be used to encode the length.
                if len < LEN_16 as u64 {
                    return Err(HeaderError::LengthNotMinimal);
                }
                (len, 4)
            }
            (LEN_64, [a, b, c, d, e, f, g, h, ..]) => {
                let len = u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                // 5.2: the most significant bit MUST be 0.
                if len >> 63 != 0 {
                    return Err(HeaderError::LengthTopBit);
                }
                if len <= u16::MAX as u64 {
                    return Err(HeaderError::LengthNotMinimal);
                }
                (len, 10)
            }
            (LEN_16 | LEN_64, _) => return Ok(None),
            (len, _) => (len as u64, 2),
        };
        let mask = if *second & MASK == 0 { None } else { Some([0; 4]) };
        Ok(Some((Self { fin, rsv: (*first & RSV) >> 4, opcode, mask, payload_len }, len)))
    }

    /// The header's bytes and how many of them count; the shortest length form.
    ///
    /// A `payload_len` of 2^63 or more cannot be expressed and loses its top bit.
    #[must_use]
    pub const fn encode(&self) -> ([u8; MAX_HEADER_LEN], usize) {
        // As one number, which is stored at once: single bytes would have to reach the memory before they can be copied
        // on together.
        let (short, extended, len) = if self.payload_len < LEN_16 as u64 {
            (self.payload_len as u8, 0, 2)
        } else if self.payload_len <= u16::MAX as u64 {
            (LEN_16, (self.payload_len as u16).swap_bytes() as u64, 4)
        } else {
            (LEN_64, (self.payload_len & (u64::MAX >> 1)).swap_bytes(), 10)
        };
        let first = (self.fin as u8) << 7 | (self.rsv << 4 & RSV) | self.opcode as u8;
        let mut word = first as u128 | (short as u128) << 8 | (extended as u128) << 16;
        let mut end = len;
        if let Some(key) = self.mask {
            word |= (MASK as u128) << 8 | (u32::from_le_bytes(key) as u128) << (8 * len);
            end += 4;
        }
        let word = word.to_le_bytes();
        match word.first_chunk() {
            Some(bytes) => (*bytes, end),
            None => ([0; MAX_HEADER_LEN], 0), // 14 are of 16
        }
    }
}

/// How long a header that begins like this is up to the masking key; without a second byte, at least.
pub(crate) const fn len_before_key(begins: &[u8]) -> usize {
    match begins {
        [_, second, ..] if *second & LEN == LEN_16 => 4,
        [_, second, ..] if *second & LEN == LEN_64 => 10,
        _ => 2,
    }
}

/// How long the header of a frame is, in its shortest form.
#[inline]
pub(crate) const fn header_len(payload_len: u64, masked: bool) -> usize {
    let unmasked = if payload_len < LEN_16 as u64 {
        2
    } else if payload_len <= u16::MAX as u64 {
        4
    } else {
        10
    };
    if masked { unmasked + 4 } else { unmasked }
}

/// A frame header that no role and no extension allows. Close code 1002.
///
/// ```
/// use pushline::{raw::Header, ws::HeaderError};
///
/// // A ping cannot be one of several fragments.
/// assert_eq!(Header::parse(&[0x09]), Err(HeaderError::FragmentedControl));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Opcode 0x3 to 0x7 or 0xB to 0xF (RFC 6455 5.2).
    ReservedOpcode(u8),
    /// A control frame without FIN (RFC 6455 5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes of payload (RFC 6455 5.5).
    ControlTooLong,
    /// A length that fits a shorter form (RFC 6455 5.2).
    LengthNotMinimal,
    /// A 64-bit length with its most significant bit set (RFC 6455 5.2).
    LengthTopBit,
}

impl HeaderError {
    /// Whether the fault lies in the extended length, behind the first two bytes.
    pub(crate) const fn is_of_length(self) -> bool {
        matches!(self, Self::LengthNotMinimal | Self::LengthTopBit)
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedOpcode(opcode) => write!(f, "reserved opcode {opcode:#x}"),
            Self::FragmentedControl => f.write_str("fragmented control frame"),
            Self::ControlTooLong => f.write_str("control frame with more than 125 bytes"),
            Self::LengthNotMinimal => f.write_str("payload length not in its shortest form"),
            Self::LengthTopBit => f.write_str("payload length of 2^63 or more"),
        }
    }
}

impl core::error::Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(payload_len: u64, mask: Option<[u8; 4]>) -> Header {
        Header { fin: true, rsv: 0, opcode: Opcode::Binary, mask, payload_len }
    }

    #[test]
    fn lengths_take_the_shortest_form_and_come_back() {
        let forms =
            [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (1 << 62, 10), (u64::MAX >> 1, 10)];
        for (payload_len, expected) in forms {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = header(payload_len, mask);
                let (bytes, len) = header.encode();
                assert_eq!(len, expected + if mask.is_some() { 4 } else { 0 });
                assert_eq!(len, header_len(payload_len, mask.is_some()));
                assert_eq!(Header::parse(&bytes[..len]), Ok(Some((header, len))));
                for cut in 0..len {
                    assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "{payload_len} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn every_pair_of_first_bytes_is_judged() {
        // A naive twin of the rules, for all 65,536 pairs.
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                let opcode = first & 15;
                let control = opcode >= 8;
                let expected = if (3..8).contains(&opcode) || opcode > 10 {
                    Some(HeaderError::ReservedOpcode(opcode))
                } else if control && first < 0x80 {
                    Some(HeaderError::FragmentedControl)
                } else if control && second & 0x7f > 125 {
                    Some(HeaderError::ControlTooLong)
                } else {
                    None
                };
                assert_eq!(Header::parse(&[first, second]).err(), expected);
            }
        }
    }

    #[test]
    fn length_faults_need_no_masking_key() {
        assert_eq!(Header::parse(&[0x82, 0xfe, 0, 125]), Err(HeaderError::LengthNotMinimal));
        assert_eq!(
            Header::parse(&[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 255, 255]),
            Err(HeaderError::LengthNotMinimal)
        );
        assert_eq!(Header::parse(&[0x82, 0xff, 128, 0, 0, 0, 0, 0, 0, 0]), Err(HeaderError::LengthTopBit));
    }
}
