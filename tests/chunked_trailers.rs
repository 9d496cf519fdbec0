//! Trailers of a chunked body: handed over apart, as they came, and never the dangerous ones
//! (RFC 9112 7.1.2, RFC 9110 6.5.1).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::every_cut;
use pushline::http1::chunked::{ChunkedDecoder, ChunkedEncodeError, ChunkedEncoder, ChunkedLimits, Piece};

fn trailers(parts: &[&[u8]]) -> Vec<(String, String)> {
    let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
    for part in parts {
        let mut rest = *part;
        while let Ok((consumed, Some(Piece::Data(_)))) = decoder.decode(rest) {
            rest = &rest[consumed..];
        }
    }
    assert!(decoder.is_finished());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.trailers().map(|(name, value)| (name.to_owned(), text(value))).collect()
}

#[test]
fn names_and_values_as_they_came_white_space_around_them_gone() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("A: 1\r\nB: 2\r\n", &[("A", "1"), ("B", "2")]),
        ("A:1\r\na:2\r\n", &[("A", "1"), ("a", "2")]),
        ("A:\r\n", &[("A", "")]),
        ("A: \t \r\n", &[("A", "")]),
        ("A: \t b \t c \t \r\n", &[("A", "b \t c")]),
        ("A::b:\r\n", &[("A", ":b:")]),
        ("!#$%&'*+-.^_`|~09azAZ: x\r\n", &[("!#$%&'*+-.^_`|~09azAZ", "x")]),
        ("A: é\r\n", &[("A", "é")]),
    ];
    for (section, expected) in rows {
        let input = format!("1\r\na\r\n0\r\n{section}\r\n");
        every_cut(input.as_bytes(), |parts| {
            let actual = trailers(parts);
            let actual: Vec<_> = actual.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(actual, *expected, "{section:?}");
        });
    }
}

const FORBIDDEN: &[&str] = &[
    "Content-Length",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Connection",
    "Keep-Alive",
    "Upgrade",
    "Host",
    "Forwarded",
    "X-Forwarded-For",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Cookie",
    "Set-Cookie",
    "Content-Type",
    "Content-Encoding",
    "Content-Range",
    "Cache-Control",
    "Expect",
    "Max-Forwards",
    "If-Match",
    "Range",
    "Location",
    "Date",
    "Vary",
];

#[test]
fn fields_of_the_head_are_dropped_in_any_case_and_the_others_stay() {
    for name in FORBIDDEN {
        for name in [(*name).to_owned(), name.to_lowercase(), name.to_uppercase()] {
            let input = format!("0\r\nBefore: 1\r\n{name}: 99\r\nAfter: 2\r\n\r\n");
            every_cut(input.as_bytes(), |parts| {
                let expected =
                    [("Before", "1"), ("After", "2")].map(|(name, value)| (name.into(), value.into()));
                assert_eq!(trailers(parts), expected, "{name}");
            });
        }
    }
}

#[test]
fn the_encoder_refuses_what_the_decoder_would_drop() {
    for name in FORBIDDEN {
        let mut wire = Vec::new();
        let mut encoder = ChunkedEncoder::chunked();
        assert_eq!(
            encoder.finish(&[(name, b"1")], &mut wire),
            Err(ChunkedEncodeError::ForbiddenTrailer),
            "{name}"
        );
        assert!(wire.is_empty() && !encoder.is_finished());
    }
}

#[test]
fn a_kept_name_may_begin_like_a_forbidden_one() {
    assert_eq!(trailers(&[b"0\r\nHos: 1\r\nHostX: 2\r\n\r\n"]).len(), 2);
}
