//! The chunked encoder: what it writes, what it refuses, and that the decoder reads it back (RFC 9112 7.1).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Buf;
use common::every_cut;
use proptest::prelude::*;
use pushline::http1::chunked::{
    ChunkFrame, ChunkedDecoder, ChunkedEncodeError, ChunkedEncoder, ChunkedLimits, Piece,
};
use std::io::IoSlice;

#[test]
fn sizes_are_hex_without_leading_zeros() {
    let mut encoder = ChunkedEncoder::chunked();
    for length in [1, 9, 10, 15, 16, 255, 256, 4096, 0xabcdef, u64::from(u32::MAX), u64::MAX] {
        let frame = encoder.frame(length).unwrap();
        assert_eq!(frame.head(), format!("{length:x}\r\n").as_bytes());
        assert_eq!(frame.tail(), b"\r\n");
        assert!(frame.head().len() + frame.tail().len() <= ChunkFrame::MAX_LENGTH);
    }
}

#[test]
fn an_empty_write_writes_nothing() {
    let mut encoder = ChunkedEncoder::chunked();
    let mut wire = Vec::new();
    encoder.put(b"", &mut wire).unwrap();
    assert!(wire.is_empty());
    assert!(!encoder.chunk(b"").unwrap().has_remaining());
    let frame = encoder.frame(0).unwrap();
    assert_eq!((frame.head(), frame.tail()), (&b""[..], &b""[..]));
    encoder.put(b"a", &mut wire).unwrap();
    assert_eq!(wire, b"1\r\na\r\n");
}

#[test]
fn finish_once_and_nothing_after_it() {
    for mut encoder in [ChunkedEncoder::chunked(), ChunkedEncoder::until_close()] {
        let mut wire = Vec::new();
        assert!(!encoder.is_finished());
        encoder.finish(&[], &mut wire).unwrap();
        assert!(encoder.is_finished());
        let length = wire.len();
        assert_eq!(encoder.finish(&[], &mut wire), Err(ChunkedEncodeError::Finished));
        assert_eq!(encoder.put(b"a", &mut wire), Err(ChunkedEncodeError::Finished));
        assert_eq!(encoder.put(b"", &mut wire), Err(ChunkedEncodeError::Finished));
        assert!(encoder.chunk(b"a").is_err() && encoder.frame(1).is_err());
        assert_eq!(wire.len(), length);
    }
}

#[test]
fn trailers_are_checked_before_anything_is_written() {
    let rows: &[(&str, &[u8], Result<(), ChunkedEncodeError>)] = &[
        ("Digest", b"abc", Ok(())),
        ("Digest", b"", Ok(())),
        ("Digest", b"a b\tc \xff", Ok(())),
        ("", b"1", Err(ChunkedEncodeError::BadTrailerName)),
        ("a b", b"1", Err(ChunkedEncodeError::BadTrailerName)),
        ("a:", b"1", Err(ChunkedEncodeError::BadTrailerName)),
        ("a\r\nb", b"1", Err(ChunkedEncodeError::BadTrailerName)),
        ("\u{e9}", b"1", Err(ChunkedEncodeError::BadTrailerName)),
        ("a", b"1\r\nContent-Length: 5", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b"1\rb", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b"1\nb", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b"1\0", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b"\x7f", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b" 1", Err(ChunkedEncodeError::BadTrailerValue)),
        ("a", b"1\t", Err(ChunkedEncodeError::BadTrailerValue)),
        ("content-LENGTH", b"5", Err(ChunkedEncodeError::ForbiddenTrailer)),
    ];
    for (name, value, expected) in rows {
        let mut encoder = ChunkedEncoder::chunked();
        let mut wire = Vec::new();
        assert_eq!(
            encoder.finish(&[("First", b"1"), (name, value)], &mut wire),
            *expected,
            "{name:?} {value:?}"
        );
        if expected.is_ok() {
            let expected = [b"0\r\nFirst: 1\r\n", name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
            assert_eq!(wire, expected);
        } else {
            assert!(wire.is_empty());
            encoder.finish(&[], &mut wire).unwrap();
            assert_eq!(wire, b"0\r\n\r\n");
        }
    }
}

#[test]
fn an_older_peer_gets_the_bytes_as_they_are() {
    let mut encoder = ChunkedEncoder::until_close();
    assert!(encoder.closes() && !ChunkedEncoder::chunked().closes());
    let mut wire = Vec::new();
    encoder.put(b"hello", &mut wire).unwrap();
    assert_eq!(encoder.chunk(b" world").unwrap().slices(), [&b""[..], b" world", b""]);
    assert_eq!(encoder.finish(&[("Host", b"1")], &mut wire), Err(ChunkedEncodeError::ForbiddenTrailer));
    encoder.finish(&[("Digest", b"1")], &mut wire).unwrap();
    assert_eq!(wire, b"hello");
}

#[test]
fn a_chunk_can_be_written_in_any_steps() {
    let expected = b"b\r\nhello world\r\n";
    for step in 1..=expected.len() {
        let mut chunk = ChunkedEncoder::chunked().chunk(b"hello world").unwrap();
        let mut wire = Vec::new();
        while chunk.has_remaining() {
            let left = expected.len() - wire.len();
            assert_eq!(chunk.remaining(), left);
            let mut slices = [IoSlice::new(&[]); 4];
            let count = chunk.chunks_vectored(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            assert_eq!(all, expected[wire.len()..]);
            assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
            assert!(expected[wire.len()..].starts_with(chunk.chunk()) && !chunk.chunk().is_empty());
            let step = step.min(left);
            wire.extend_from_slice(&all[..step]);
            chunk.advance(step);
        }
        assert_eq!(wire, expected);
        assert!(chunk.chunk().is_empty());
        assert_eq!(chunk.chunks_vectored(&mut [IoSlice::new(&[]); 4]), 0);
    }
    let mut few = [IoSlice::new(&[]); 2];
    assert_eq!(ChunkedEncoder::chunked().chunk(b"hello").unwrap().chunks_vectored(&mut few), 2);
}

#[test]
#[should_panic(expected = "past the end")]
fn a_chunk_cannot_be_advanced_past_its_end() {
    ChunkedEncoder::chunked().chunk(b"hello").unwrap().advance(11);
}

proptest! {
    #[test]
    fn every_size_is_its_shortest_hex(bits in 0..64_u32, value in any::<u64>()) {
        let length = (value >> bits).max(1);
        let frame = ChunkedEncoder::chunked().frame(length).unwrap();
        assert_eq!(frame.head(), format!("{length:x}\r\n").as_bytes());
    }

    #[test]
    fn what_is_written_is_read_back(
        writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        trailers in prop::collection::vec(("[!-'*+.^-z|~]{1,9}", "([!-~]([!-~\t ]{0,9}[!-~])?)?"), 0..4),
        rest in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let trailers: Vec<_> = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let mut wire = Vec::new();
        let mut encoder = ChunkedEncoder::chunked();
        for write in &writes {
            encoder.put(write, &mut wire).unwrap();
        }
        prop_assume!(encoder.finish(&trailers, &mut wire).is_ok());
        wire.extend_from_slice(&rest);
        let full: Vec<_> = writes.iter().filter(|write| !write.is_empty()).collect();
        every_cut(&wire, |parts| {
            let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
            let mut pieces = Vec::new();
            let mut left = 0;
            for part in parts {
                let mut input = *part;
                while let (consumed, Some(piece)) = decoder.decode(input).unwrap() {
                    input = &input[consumed..];
                    match piece {
                        Piece::Data(data) => pieces.push(data.to_vec()),
                        Piece::End => { left += input.len(); break }
                    }
                }
            }
            assert_eq!(left, rest.len());
            if parts.len() == 1 {
                assert!(pieces.iter().eq(full.iter().copied()), "one write, one piece");
            }
            assert_eq!(pieces.concat(), writes.concat());
            assert!(decoder.trailers().eq(trailers.iter().copied()));
        });
    }
}
