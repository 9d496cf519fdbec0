//! Each limit of the chunked decoder at N-1, N and N+1, in every cut, and what it takes to reach the defaults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::every_cut;
use pushline::http1::chunked::{ChunkedDecoder, ChunkedError, ChunkedLimits, Piece};

/// The length of the data, or the error and the length of the data before it.
fn run(limits: &ChunkedLimits, parts: &[&[u8]]) -> Result<usize, (ChunkedError, usize)> {
    let mut decoder = ChunkedDecoder::new(*limits);
    let mut length = 0;
    for part in parts {
        let mut rest = *part;
        loop {
            let (consumed, piece) = decoder.decode(rest).map_err(|error| (error, length))?;
            rest = &rest[consumed..];
            match piece {
                Some(Piece::Data(data)) => length += data.len(),
                Some(Piece::End) => return Ok(length),
                None => break,
            }
        }
    }
    decoder.receive_eof().map(|()| length).map_err(|error| (error, length))
}

/// `input(n)` needs n of what `limit` allows.
fn at_the_edge(
    limit: impl Fn(ChunkedLimits, u64) -> ChunkedLimits,
    n: u64,
    input: impl Fn(u64) -> Vec<u8>,
    error: ChunkedError,
) {
    let limits = limit(ChunkedLimits::default(), n);
    for (needed, accepted) in [(n - 1, true), (n, true), (n + 1, false)] {
        let input = input(needed);
        let whole = run(&limits, &[&input]);
        match whole {
            Ok(_) => assert!(accepted, "{needed} passes a limit of {n}"),
            Err((actual, _)) => {
                assert_eq!(actual, error);
                assert!(!accepted, "{needed} fails a limit of {n}");
            }
        }
        every_cut(&input, |parts| assert_eq!(run(&limits, parts), whole));
    }
}

fn body(chunks: impl IntoIterator<Item = String>) -> Vec<u8> {
    let mut body: String = chunks.into_iter().collect();
    body.push_str("0\r\n\r\n");
    body.into_bytes()
}

fn chunk(length: u64) -> String {
    format!("{length:x}\r\n{}\r\n", "a".repeat(length as usize))
}

#[test]
fn max_body_of_one_chunk_and_of_many() {
    at_the_edge(ChunkedLimits::max_body, 40, |n| body([chunk(n)]), ChunkedError::BodyTooLong);
    at_the_edge(ChunkedLimits::max_body, 40, |n| body([chunk(20), chunk(n - 20)]), ChunkedError::BodyTooLong);
}

#[test]
fn max_body_is_checked_against_the_announced_size() {
    let limits = ChunkedLimits::default().max_body(0xfff);
    assert_eq!(run(&limits, &[b"1000"]), Err((ChunkedError::BodyTooLong, 0)));
    assert_eq!(run(&limits, &[b"fff\r\n"]), Err((ChunkedError::UnexpectedEof, 0)));
    assert_eq!(run(&limits, &[b"3\r\nabc\r\nffd"]), Err((ChunkedError::BodyTooLong, 3)));
    assert_eq!(run(&limits.max_body(0), &[b"0\r\n\r\n"]), Ok(0));
    let unlimited = ChunkedLimits::default().max_body(u64::MAX);
    assert_eq!(run(&unlimited, &[b"ffffffffffffffff\r\nhello"]), Err((ChunkedError::UnexpectedEof, 5)));
    assert_eq!(run(&unlimited, &[b"ffffffffffffffff0"]), Err((ChunkedError::SizeTooLong, 0)));
}

#[test]
fn max_extension() {
    let extended = |n: u64| body([format!("1;{}\r\na\r\n", "x".repeat(n as usize - 1))]);
    at_the_edge(ChunkedLimits::max_extension, 30, extended, ChunkedError::ExtensionTooLong);
    let quoted = |n: u64| body([format!("1;a=\"{}\"\r\na\r\n", "q".repeat(n as usize - 5))]);
    at_the_edge(ChunkedLimits::max_extension, 30, quoted, ChunkedError::ExtensionTooLong);
    // White space that leads nowhere counts.
    let spaces = |n: u64| body([format!("1{};x\r\na\r\n", " ".repeat(n as usize - 2))]);
    at_the_edge(ChunkedLimits::max_extension, 30, spaces, ChunkedError::ExtensionTooLong);
    assert_eq!(
        run(&ChunkedLimits::default().max_extension(0), &[b"1;"]),
        Err((ChunkedError::ExtensionTooLong, 0))
    );
    // The last chunk's line is a line like the others.
    let last = |n: u64| format!("0;{}\r\n\r\n", "x".repeat(n as usize - 1)).into_bytes();
    at_the_edge(ChunkedLimits::max_extension, 30, last, ChunkedError::ExtensionTooLong);
}

#[test]
fn max_extensions_of_all_chunks() {
    let extended = |n: u64| {
        body([format!("1;{}\r\na\r\n", "x".repeat(9)), format!("1;{}\r\na\r\n", "x".repeat(n as usize - 11))])
    };
    at_the_edge(ChunkedLimits::max_extensions, 30, extended, ChunkedError::TooManyExtensions);
}

#[test]
fn max_overhead() {
    // After the first chunk's data: 2 for its line end, then the second's line, extension and all.
    let extended =
        |n: u64| body([chunk(10), format!("a;{}\r\n{}\r\n", "x".repeat(n as usize - 6), "b".repeat(10))]);
    at_the_edge(ChunkedLimits::max_overhead, 40, extended, ChunkedError::TooMuchOverhead);
    // Zeros count like any other byte of the line.
    let padded =
        |n: u64| format!("{}a\r\n{}\r\n0\r\n\r\n", "0".repeat(n as usize - 3), "b".repeat(10)).into_bytes();
    at_the_edge(ChunkedLimits::max_overhead, 14, padded, ChunkedError::TooMuchOverhead);
    // n chunks of one byte: each has left 1 unpaid when the last chunk's 5 bytes of framing come.
    let tiny = |n: u64| body((0..n - 4).map(|_| chunk(1)));
    at_the_edge(ChunkedLimits::max_overhead, 40, tiny, ChunkedError::TooMuchOverhead);
}

#[test]
fn one_byte_chunks_are_a_flood_after_the_default_allowance() {
    let flood = "1\r\na\r\n".repeat(300_000);
    let (error, delivered) = run(&ChunkedLimits::default(), &[flood.as_bytes()]).unwrap_err();
    assert_eq!(error, ChunkedError::TooMuchOverhead);
    // Each chunk of one byte counts 1; before the data of a chunk its 5 bytes of framing count whole.
    assert_eq!(delivered, 256 * 1024 - 4 + 1);
    let unlimited = ChunkedLimits::default().max_overhead(u64::MAX);
    assert_eq!(run(&unlimited, &[flood.as_bytes(), b"0\r\n\r\n"]), Ok(300_000));
}

#[test]
fn zero_padded_sizes_are_a_flood_much_sooner() {
    let flood = "0000000000000001\r\na\r\n".repeat(300_000);
    let (error, delivered) = run(&ChunkedLimits::default(), &[flood.as_bytes()]).unwrap_err();
    assert_eq!(error, ChunkedError::TooMuchOverhead);
    assert!(delivered < 256 * 1024 / 16 + 1, "{delivered}");
}

#[test]
fn chunks_of_two_bytes_are_never_a_flood() {
    let stream = "2\r\nab\r\n".repeat(300_000) + "0\r\n\r\n";
    let limits = ChunkedLimits::default().max_overhead(7);
    assert_eq!(run(&limits, &[stream.as_bytes()]), Ok(600_000));
}

#[test]
fn much_data_saves_up_nothing_for_a_flood() {
    let mut stream = chunk(1 << 20);
    stream.push_str(&"1\r\na\r\n".repeat(1000));
    let limits = ChunkedLimits::default().max_overhead(500);
    let (error, delivered) = run(&limits, &[stream.as_bytes()]).unwrap_err();
    assert_eq!(error, ChunkedError::TooMuchOverhead);
    assert!(delivered < (1 << 20) + 510);
}

#[test]
fn max_trailer_bytes() {
    let bytes = |limits: ChunkedLimits, n| limits.max_trailer_bytes(n as usize);
    let one = |n: u64| format!("0\r\nA: {}\r\n\r\n", "v".repeat(n as usize - 5)).into_bytes();
    at_the_edge(bytes, 30, one, ChunkedError::TrailersTooLong);
    let two = |n: u64| format!("0\r\nA: b\r\nB:{}\r\n\r\n", "v".repeat(n as usize - 10)).into_bytes();
    at_the_edge(bytes, 30, two, ChunkedError::TrailersTooLong);
    // Dropped fields and white space are read too.
    let dropped = |n: u64| format!("0\r\nHost:{}\r\n\r\n", " ".repeat(n as usize - 7)).into_bytes();
    at_the_edge(bytes, 30, dropped, ChunkedError::TrailersTooLong);
    assert_eq!(run(&ChunkedLimits::default().max_trailer_bytes(0), &[b"0\r\n\r\n"]), Ok(0));
}

#[test]
fn max_trailer_fields() {
    let fields = |limits: ChunkedLimits, n| limits.max_trailer_fields(n as usize);
    let many = |n: u64| format!("0\r\n{}\r\n", "A:\r\n".repeat(n as usize)).into_bytes();
    at_the_edge(fields, 30, many, ChunkedError::TooManyTrailers);
    let dropped = |n: u64| format!("0\r\n{}\r\n", "Host:\r\n".repeat(n as usize)).into_bytes();
    at_the_edge(fields, 30, dropped, ChunkedError::TooManyTrailers);
    at_the_edge(|limits, _| limits, 64, many, ChunkedError::TooManyTrailers);
}

#[test]
fn size_digits() {
    let padded = |n: u64| format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(n as usize - 1)).into_bytes();
    at_the_edge(|limits, _| limits, 16, padded, ChunkedError::SizeTooLong);
}

#[test]
fn a_bad_byte_is_named_before_the_limit_that_it_breaks() {
    let limits = ChunkedLimits::default().max_extension(3).max_overhead(4);
    assert_eq!(run(&limits, &[b"1;aa\0"]), Err((ChunkedError::BadExtension, 0)));
    assert_eq!(run(&limits, &[b"1;aaa"]), Err((ChunkedError::ExtensionTooLong, 0)));
    assert_eq!(run(&limits.max_extension(4), &[b"1;aaa"]), Err((ChunkedError::TooMuchOverhead, 0)));
}
