//! Bytes to text as HTML 9.2.6 wants it: UTF-8 decode, what is not UTF-8 becoming U+FFFD (Encoding 4.1).
#![allow(clippy::arithmetic_side_effects, reason = "sums and differences of lengths of what is in memory")]
#![allow(clippy::indexing_slicing, reason = "what was made room for: three bytes for each that is bad")]

use super::storage::{Full, sealed::EventStorage};

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// How long `bytes` are as text, each maximal subpart of what is not UTF-8 being one U+FFFD.
pub(super) fn text_len(bytes: &[u8]) -> usize {
    bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().len() + if chunk.invalid().is_empty() { 0 } else { REPLACEMENT.len() })
        .sum()
}

/// Makes `storage[start..]` text, in place and in one pass.
pub(super) fn make_text<S: EventStorage>(storage: &mut S, start: usize) -> Result<(), Full> {
    let raw = storage.as_ref().len() - start;
    let end = start + text_len(&storage.as_ref()[start..]);
    // The raw bytes move to the end of their room. The text then grows from the start and never
    // overtakes what is still to be read, for no bytes are longer than their text.
    storage.resize(end)?;
    let buffer = storage.as_mut();
    buffer.copy_within(start..start + raw, end - raw);
    let (mut read, mut write) = (end - raw, start);
    while read < end {
        let (valid, invalid) = match core::str::from_utf8(&buffer[read..]) {
            Ok(text) => (text.len(), 0),
            Err(error) => {
                let valid = error.valid_up_to();
                (valid, error.error_len().unwrap_or(end - read - valid))
            }
        };
        buffer.copy_within(read..read + valid, write);
        read += valid + invalid;
        write += valid;
        if invalid > 0 {
            buffer[write..write + REPLACEMENT.len()].copy_from_slice(REPLACEMENT);
            write += REPLACEMENT.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sse::FixedStorage;
    use alloc::{string::String, vec::Vec};

    #[test]
    fn as_the_standard_library_does_it() {
        // Every string of up to five bytes over the kinds of byte that matter.
        let kinds = [b'a', 0x80, 0xa0, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xff];
        let mut strings: Vec<Vec<u8>> = alloc::vec![Vec::new()];
        for _ in 0..5 {
            let longer = strings
                .iter()
                .flat_map(|string| kinds.iter().map(|&byte| [string.as_slice(), &[byte]].concat()));
            strings = longer.collect();
            for string in &strings {
                let text = String::from_utf8_lossy(string);
                assert_eq!(text_len(string), text.len());
                let mut storage = [b"<", string.as_slice()].concat();
                make_text(&mut storage, 1).unwrap();
                assert_eq!(&storage[1..], text.as_bytes(), "{string:x?}");
            }
        }
    }

    #[test]
    fn needs_no_more_room_than_the_text() {
        let mut buffer = [0; 8];
        let mut storage = FixedStorage::new(&mut buffer);
        storage.append(b"a\xff\xe2\x82b").unwrap();
        make_text(&mut storage, 0).unwrap();
        assert_eq!(storage.as_ref(), "a\u{fffd}\u{fffd}b".as_bytes());
        let mut buffer = [0; 7];
        let mut storage = FixedStorage::new(&mut buffer);
        storage.append(b"a\xff\xe2\x82b").unwrap();
        assert_eq!(make_text(&mut storage, 0), Err(Full));
    }
}
