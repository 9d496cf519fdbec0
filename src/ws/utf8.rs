//! Text that arrives in pieces (RFC 6455 8.1): fails at the offending byte, keeps a character that
//! a piece cuts. Knows no frames.
#![allow(clippy::arithmetic_side_effects, reason = "the last three bytes at most")]
#![allow(clippy::indexing_slicing, reason = "the last three bytes at most")]

/// Bytes that are not UTF-8 and cannot become UTF-8 by what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// The text of `bytes`, which must be whole.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// The text at the start of `bytes`, up to what is not.
pub(crate) fn valid(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// Checks `bytes`, whose last character may be unfinished: how many bytes at the end (0 to 3)
/// belong to it. They are to be handed in again, with what follows.
pub(crate) fn check(bytes: &[u8]) -> Result<usize, InvalidUtf8> {
    let unfinished = unfinished(bytes)?;
    text(&bytes[..bytes.len() - unfinished])?;
    Ok(unfinished)
}

/// The length of the unfinished character at the end of `bytes`, 0 to 3. What stands before it is
/// not looked at.
pub(crate) fn unfinished(bytes: &[u8]) -> Result<usize, InvalidUtf8> {
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    for (back, byte) in tail.iter().rev().enumerate() {
        let len = back + 1;
        let width = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1, // ASCII, or no lead byte at all: the check of the whole finds it
        };
        if width <= len {
            return Ok(0);
        }
        // The lead byte restricts the second byte too (RFC 3629 4): e0 80, ed a0, f0 80 and f4 90
        // can come to nothing.
        return match bytes[bytes.len() - len..] {
            [_]
            | [0xe1..=0xec | 0xee | 0xef, 0x80..=0xbf]
            | [0xe0, 0xa0..=0xbf]
            | [0xed, 0x80..=0x9f]
            | [0xf0, 0x90..=0xbf, ..]
            | [0xf1..=0xf3, 0x80..=0xbf, ..]
            | [0xf4, 0x80..=0x8f, ..] => Ok(len),
            _ => Err(InvalidUtf8),
        };
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `pieces` in order as the receiver does; where it failed, in bytes from the start.
    fn feed(pieces: &[&[u8]]) -> Result<usize, usize> {
        let mut message = alloc::vec::Vec::new();
        let mut left = 0;
        for piece in pieces {
            let from = message.len() - left;
            message.extend_from_slice(piece);
            left = check(&message[from..]).map_err(|_| message.len())?;
        }
        Ok(left)
    }

    /// The first position at which the standard library knows that the bytes are bad.
    fn first_bad(bytes: &[u8]) -> Option<usize> {
        (1..=bytes.len())
            .find(|&len| core::str::from_utf8(&bytes[..len]).is_err_and(|error| error.error_len().is_some()))
    }

    #[test]
    fn all_sequences_of_up_to_three_interesting_bytes() {
        let interesting = [
            0x00, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
            0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff,
        ];
        for a in interesting {
            for b in interesting {
                for c in interesting {
                    for d in interesting {
                        let bytes = [a, b, c, d];
                        let bytewise = feed(&bytes.chunks(1).collect::<alloc::vec::Vec<_>>());
                        assert_eq!(bytewise.err(), first_bad(&bytes), "{bytes:x?}");
                        assert_eq!(feed(&[&bytes]).is_err(), first_bad(&bytes).is_some(), "{bytes:x?}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_split_of_text_is_text(text in "\\PC{0,40}", cuts in proptest::collection::vec(0_usize..160, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: alloc::vec::Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: alloc::vec::Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(feed(&pieces), Ok(0));
        }
    }
}
