//! Every row of tests/cases/chunked.tsv, in every cut: the verdict, the body, what is left over, and the very
//! byte at which a body is refused (RFC 9112 7.1).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{every_cut, rows, unescape};
use pushline::http1::chunked::{ChunkedDecoder, ChunkedError, ChunkedLimits, Piece};

const TABLE: &str = include_str!("cases/chunked.tsv");
const EXTRA: &str = include_str!("cases/extra-chunked.tsv");

/// Rows refused: the error and the offset of the byte that brings it.
const REFUSED: &[(&str, ChunkedError, usize)] = &[
    ("zero-run-20", ChunkedError::SizeTooLong, 16),
    ("no-size", ChunkedError::BadSize, 0),
    ("only-ext", ChunkedError::BadSize, 0),
    ("lead-space", ChunkedError::BadSize, 0),
    ("trail-space", ChunkedError::BadExtension, 2),
    ("trail-tab", ChunkedError::BadExtension, 2),
    ("plus", ChunkedError::BadSize, 0),
    ("minus", ChunkedError::BadSize, 0),
    ("minus-zero", ChunkedError::BadSize, 10),
    ("hex-prefix", ChunkedError::BadSize, 1),
    ("hex-prefix-upper", ChunkedError::BadSize, 1),
    ("underscore", ChunkedError::BadSize, 1),
    ("h-suffix", ChunkedError::BadSize, 1),
    ("non-hex", ChunkedError::BadSize, 0),
    ("dot", ChunkedError::BadSize, 1),
    ("comma", ChunkedError::BadSize, 1),
    ("fullwidth-digit", ChunkedError::BadSize, 0),
    ("quoted-size", ChunkedError::BadSize, 0),
    ("nul-size", ChunkedError::BadSize, 1),
    ("lf-size", ChunkedError::BadSize, 1),
    ("lf-data", ChunkedError::BadDataEnd, 8),
    ("lf-all", ChunkedError::BadSize, 1),
    ("lf-last", ChunkedError::BadSize, 11),
    ("lf-final", ChunkedError::BadTrailer, 13),
    ("cr-size", ChunkedError::BadLineEnd, 2),
    ("cr-data", ChunkedError::BadDataEnd, 9),
    ("crcrlf-size", ChunkedError::BadLineEnd, 2),
    ("crcrlf-data", ChunkedError::BadDataEnd, 9),
    ("no-data-crlf", ChunkedError::BadDataEnd, 8),
    ("junk-2-for-crlf", ChunkedError::BadDataEnd, 8),
    ("spill-1", ChunkedError::BadDataEnd, 8),
    ("short-data", ChunkedError::BadDataEnd, 8),
    ("extra-crlf", ChunkedError::BadSize, 10),
    ("ext-lf", ChunkedError::BadExtension, 5),
    ("ext-lf-end", ChunkedError::BadExtension, 5),
    ("ext-cr", ChunkedError::BadLineEnd, 6),
    ("ext-quoted-lf", ChunkedError::BadExtension, 8),
    ("ext-quoted-crlf", ChunkedError::BadExtension, 8),
    ("ext-nul", ChunkedError::BadExtension, 3),
    ("ext-del", ChunkedError::BadExtension, 3),
    ("ext-empty", ChunkedError::BadExtension, 2),
    ("ext-no-name", ChunkedError::BadExtension, 2),
    ("ext-no-value", ChunkedError::BadExtension, 6),
    ("ext-bad-sep", ChunkedError::BadExtension, 2),
    ("overflow-64", ChunkedError::SizeTooLong, 16),
    ("u64-max", ChunkedError::BodyTooLong, 15),
    ("i64-neg", ChunkedError::BodyTooLong, 15),
    ("size-1000-digits", ChunkedError::BodyTooLong, 15),
    ("ext-100k", ChunkedError::ExtensionTooLong, 1025),
    ("ext-total", ChunkedError::TooManyExtensions, 8385),
    ("trailer-100k", ChunkedError::TrailersTooLong, 8205),
    ("trailer-no-colon", ChunkedError::BadTrailer, 16),
    ("trailer-space-colon", ChunkedError::BadTrailer, 14),
    ("trailer-lead-space", ChunkedError::BadTrailer, 13),
    ("trailer-fold", ChunkedError::BadTrailer, 19),
    ("trailer-bare-cr", ChunkedError::BadLineEnd, 18),
    ("trailer-nul", ChunkedError::BadTrailer, 17),
    ("trailer-lf", ChunkedError::BadTrailer, 17),
    ("trailer-empty-name", ChunkedError::BadTrailer, 13),
    ("trailer-cr-x", ChunkedError::BadLineEnd, 14),
];

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Complete, with so many bytes left over.
    Complete(usize),
    /// The input ran out first.
    Incomplete,
    Refused(ChunkedError),
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    end: End,
}

fn run(parts: &[&[u8]]) -> Outcome {
    let mut decoder = ChunkedDecoder::new(ChunkedLimits::default());
    let mut body = Vec::new();
    let mut end = End::Incomplete;
    'parts: for (index, part) in parts.iter().enumerate() {
        let mut rest = *part;
        loop {
            match decoder.decode(rest) {
                Ok((consumed, piece)) => {
                    rest = &rest[consumed..];
                    match piece {
                        Some(Piece::Data(data)) => {
                            assert!(!data.is_empty(), "an empty piece of data");
                            body.extend_from_slice(data);
                        }
                        Some(Piece::End) => {
                            let after: usize = parts[index + 1..].iter().map(|part| part.len()).sum();
                            end = End::Complete(rest.len() + after);
                            assert_eq!(decoder.decode(rest), Ok((0, Some(Piece::End))));
                            break 'parts;
                        }
                        None => {
                            assert!(rest.is_empty(), "asked for more with input at hand");
                            break;
                        }
                    }
                }
                Err(error) => {
                    assert_eq!(decoder.decode(rest), Err(error), "the error does not stay");
                    assert_eq!(decoder.receive_eof(), Err(error));
                    end = End::Refused(error);
                    break 'parts;
                }
            }
        }
    }
    match end {
        End::Complete(_) => assert_eq!(decoder.receive_eof(), Ok(())),
        End::Incomplete => {
            assert_eq!(decoder.clone().trailers().count(), 0, "trailers before the end");
            assert_eq!(decoder.receive_eof(), Err(ChunkedError::UnexpectedEof));
            assert_eq!(decoder.decode(b"0"), Err(ChunkedError::UnexpectedEof));
        }
        End::Refused(_) => assert_eq!(decoder.trailers().count(), 0, "trailers of a refused body"),
    }
    let trailers = decoder.trailers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
    Outcome { body, trailers, end }
}

#[test]
fn every_row_in_every_cut() {
    let mut count = 0;
    let mut refused = 0;
    for row in rows(TABLE) {
        let (id, verdict, input) = (row[0], row[1], unescape(row[2]));
        let whole = run(&[&input]);
        match verdict {
            "accept" => {
                assert_eq!(whole.body, unescape(row[3]), "{id}");
                assert_eq!(whole.end, End::Complete(if id == "leftover" { 6 } else { 0 }), "{id}");
            }
            "incomplete" => assert_eq!(whole.end, End::Incomplete, "{id}"),
            "reject" | "limit" => {
                let (_, error, at) = REFUSED.iter().find(|(name, ..)| *name == id).expect(id);
                assert_eq!(whole.end, End::Refused(*error), "{id}");
                assert_eq!(run(&[&input[..*at]]).end, End::Incomplete, "{id}: refused before byte {at}");
                assert_eq!(
                    run(&[&input[..=*at]]).end,
                    End::Refused(*error),
                    "{id}: not refused at byte {at}"
                );
                refused += 1;
            }
            other => panic!("{id}: unknown verdict {other}"),
        }
        every_cut(&input, |parts| assert_eq!(run(parts), whole, "{id} in {} parts", parts.len()));
        count += 1;
    }
    assert_eq!((count, refused), (91, REFUSED.len()));
}

/// The rows that name the place, not the error.
#[test]
fn every_extra_row_in_every_cut() {
    let mut count = 0;
    for row in rows(EXTRA) {
        let [id, verdict, input, body, at, _h11] = row[..] else { panic!("six columns: {row:?}") };
        let input = unescape(input);
        let whole = run(&[&input]);
        match verdict {
            "accept" => {
                assert_eq!(whole.body, unescape(body), "{id}");
                assert_eq!(whole.end, End::Complete(input.len() - at.parse::<usize>().unwrap()), "{id}");
            }
            "incomplete" => assert_eq!(whole.end, End::Incomplete, "{id}"),
            "reject" => {
                let at = at.parse::<usize>().unwrap();
                assert!(matches!(whole.end, End::Refused(_)), "{id}: {whole:?}");
                assert_eq!(run(&[&input[..at]]).end, End::Incomplete, "{id}: refused before byte {at}");
                assert_eq!(run(&[&input[..=at]]).end, whole.end, "{id}: not refused at byte {at}");
            }
            other => panic!("{id}: unknown verdict {other}"),
        }
        every_cut(&input, |parts| assert_eq!(run(parts), whole, "{id} in {} parts", parts.len()));
        count += 1;
    }
    assert_eq!(count, 1212);
}
