//! RFC 9110 9.3.6: the answer of a proxy to CONNECT, however it is cut, and its limits.

use proptest::prelude::*;
use pushline::http1::head::{HeadError, HeadLimits};
use pushline::http1::{Tunnel, TunnelError};

type Verdict = Result<Option<usize>, TunnelError>;

fn tunnel(limits: HeadLimits) -> Tunnel {
    Tunnel::with_limits("example.com", 443, None, limits).unwrap()
}

fn whole(bytes: &[u8]) -> Verdict {
    tunnel(HeadLimits::default()).receive(bytes)
}

/// The verdict on bytes in pieces, the bytes taken counted from the first.
fn pieces<'b>(limits: HeadLimits, pieces: impl IntoIterator<Item = &'b [u8]>) -> Verdict {
    let (mut tunnel, mut at) = (tunnel(limits), 0);
    for piece in pieces {
        if let Some(taken) = tunnel.receive(piece)? {
            return Ok(Some(at + taken));
        }
        at += piece.len();
    }
    Ok(None)
}

const TABLE: &[(&str, Verdict)] = &[
    ("HTTP/1.1 200 OK\r\n\r\n", Ok(Some(19))),
    ("HTTP/1.0 200 Connection established\r\n\r\nSSH-2.0", Ok(Some(39))),
    ("HTTP/1.1 204 No Content\r\n\r\n", Ok(Some(27))),
    ("HTTP/1.1 200\r\n\r\n", Ok(Some(16))),
    // 9.3.6: what these say is of no account.
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok(Some(38))),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(Some(66))),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Ok(Some(44))),
    ("HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", Ok(Some(41))),
    ("HTTP/1.1 101 Switching\r\n\r\n", Err(TunnelError::Refused(101))),
    ("HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic\r\n\r\n", Err(TunnelError::Unauthorized)),
    ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno!", Err(TunnelError::Refused(502))),
    ("HTTP/1.1 502 X\r\nContent-Length: x\r\n\r\n", Err(TunnelError::Refused(502))),
    ("HTTP/1.1 301 X\r\nLocation: /\r\n\r\n", Err(TunnelError::Refused(301))),
    ("HTTP/1.1 200 OK\n\n", Err(TunnelError::Malformed(HeadError::BadLineEnd))),
    ("HTTP/1.1 200 OK\r\na : b\r\n\r\n", Err(TunnelError::Malformed(HeadError::BadFieldName))),
    ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Err(TunnelError::Malformed(HeadError::BadFieldName))),
    ("HTTP/1.1 20 OK\r\n\r\n", Err(TunnelError::Malformed(HeadError::BadStatusLine))),
    ("HTTP/2.0 200 OK\r\n\r\n", Err(TunnelError::Malformed(HeadError::UnsupportedHttpVersion))),
    ("SSH-2.0-OpenSSH\r\n", Err(TunnelError::Malformed(HeadError::BadStatusLine))),
    ("", Ok(None)),
    ("HTTP/1.1 200 OK\r\n", Ok(None)),
];

#[test]
fn answers_at_every_cut() {
    for &(answer, verdict) in TABLE {
        let bytes = answer.as_bytes();
        assert_eq!(whole(bytes), verdict, "{answer:?}");
        assert_eq!(pieces(HeadLimits::default(), bytes.chunks(1)), verdict, "{answer:?} byte by byte");
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(pieces(HeadLimits::default(), [head, tail]), verdict, "{answer:?} at {at}");
        }
    }
}

/// Told once and for all.
#[test]
fn verdicts_stay() {
    for &(answer, verdict) in TABLE {
        let mut tunnel = tunnel(HeadLimits::default());
        let _ = tunnel.receive(answer.as_bytes());
        assert_eq!(tunnel.is_open(), matches!(verdict, Ok(Some(_))));
        match verdict {
            Ok(Some(_)) => assert_eq!(tunnel.receive(b"HTTP/1.1 502 X\r\n\r\n"), Ok(Some(0))),
            Ok(None) => {
                assert_eq!(tunnel.receive_eof(), TunnelError::Ended);
                assert_eq!(tunnel.receive(b"\r\n"), Err(TunnelError::Ended));
            }
            Err(error) => assert_eq!((tunnel.receive(b"x"), tunnel.receive_eof()), (Err(error), error)),
        }
    }
}

#[test]
fn limits() {
    let answer = |room: usize| format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "x".repeat(room - 24));
    for (length, taken) in [(255, true), (256, true), (257, false)] {
        let answer = answer(length);
        assert_eq!(answer.len(), length);
        let limits = HeadLimits::new().head(256);
        let verdict =
            if taken { Ok(Some(length)) } else { Err(TunnelError::Malformed(HeadError::HeadTooLarge)) };
        assert_eq!(pieces(limits, [answer.as_bytes()]), verdict);
        assert_eq!(pieces(limits, answer.as_bytes().chunks(7)), verdict);
    }
    // The defaults: 16 KiB, 64 fields, sixteen answers before the one that counts.
    let line = format!("a: {}\r\n", "x".repeat(1019));
    for (length, taken) in [(16383, true), (16384, true), (16385, false)] {
        let mut answer = String::from("HTTP/1.1 200 OK\r\n");
        while answer.len() + line.len() + 7 < length {
            answer += &line;
        }
        let rest = length - answer.len() - 7;
        answer += &format!("b: {}\r\n\r\n", "x".repeat(rest));
        assert_eq!(answer.len(), length);
        let verdict =
            if taken { Ok(Some(length)) } else { Err(TunnelError::Malformed(HeadError::HeadTooLarge)) };
        assert_eq!(whole(answer.as_bytes()), verdict, "{length}");
    }
    for (fields, taken) in [(63, true), (64, true), (65, false)] {
        let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(fields));
        let verdict = if taken {
            Ok(Some(answer.len()))
        } else {
            Err(TunnelError::Malformed(HeadError::TooManyFields))
        };
        assert_eq!(whole(answer.as_bytes()), verdict, "{fields}");
    }
    for (interim, taken) in [(15, true), (16, true), (17, false)] {
        let answer = format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 102 X\r\n\r\n".repeat(interim));
        let verdict = if taken { Ok(Some(answer.len())) } else { Err(TunnelError::Refused(102)) };
        assert_eq!(whole(answer.as_bytes()), verdict, "{interim}");
    }
    // A proxy that never ends its head is told so at the limit, not at the timeout.
    let endless = "a: b\r\n".repeat(10_000);
    assert!(matches!(
        whole(format!("HTTP/1.1 200 OK\r\n{endless}").as_bytes()),
        Err(TunnelError::Malformed(_))
    ));
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "HTTP/1.1 200 OK\r\n", "HTTP/1.0 200 \r\n", "HTTP/1.1 100 C\r\n", "HTTP/1.1 407 A\r\n", "HTTP/1.1 5",
                "\r\n", "\n", "\r", " ", "a: b\r\n", "content-length: 5\r\n", "transfer-encoding: chunked\r\n", "\0", "é", "x",
            ]),
            0..9,
        ),
        cuts in prop::collection::vec(0usize..200, 0..6),
    ) {
        let text = parts.concat();
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let cut = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(pieces(HeadLimits::default(), cut), whole(bytes));
    }
}
