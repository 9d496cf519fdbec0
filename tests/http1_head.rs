//! Heads (RFC 9112 2 to 6): what is read, what is refused with which status, limits at N-1, N and N+1, and that no cut of
//! the bytes changes the verdict.

mod common;

use common::every_cut;
use proptest::prelude::*;
use pushline::http1::head::{BodyFraming, HeadError, HeadLimits, HeadReader, MAX_FIELDS, Slots, Version};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Request,
    Response,
}

/// What one call said, copied out of the head.
#[derive(Clone, Debug, PartialEq)]
enum Verdict {
    Incomplete,
    Refused(HeadError),
    Head { start: String, fields: Vec<(String, Vec<u8>)>, body: BodyFraming, keep_alive: bool, length: usize },
}

fn call(reader: &mut HeadReader, kind: Kind, received: &[u8]) -> Verdict {
    let mut slots = Slots::new();
    let owned = |(name, value): (&str, &[u8])| (name.to_owned(), value.to_owned());
    match kind {
        Kind::Request => match reader.read_request(received, &mut slots) {
            Ok(None) => Verdict::Incomplete,
            Err(error) => Verdict::Refused(error),
            Ok(Some(head)) => Verdict::Head {
                start: format!("{} {} {}", head.method(), head.target(), head.version()),
                fields: head.fields().map(owned).collect(),
                body: head.body(),
                keep_alive: head.keep_alive(),
                length: head.len(),
            },
        },
        Kind::Response => match reader.read_response(received, &mut slots) {
            Ok(None) => Verdict::Incomplete,
            Err(error) => Verdict::Refused(error),
            Ok(Some(head)) => Verdict::Head {
                start: format!("{} {} {}", head.version(), head.status(), head.reason()),
                fields: head.fields().map(owned).collect(),
                body: head.body("GET"),
                keep_alive: head.keep_alive("GET"),
                length: head.len(),
            },
        },
    }
}

/// Feeds the pieces; what was said last, and when it was first said.
fn fed(limits: HeadLimits, kind: Kind, pieces: &[&[u8]]) -> Verdict {
    let mut reader = HeadReader::new(limits);
    let mut received = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        let verdict = call(&mut reader, kind, &received);
        if verdict != Verdict::Incomplete {
            return verdict;
        }
    }
    Verdict::Incomplete
}

fn whole(limits: HeadLimits, kind: Kind, bytes: &[u8]) -> Verdict {
    fed(limits, kind, &[bytes])
}

fn request(bytes: &[u8]) -> Verdict {
    whole(HeadLimits::default(), Kind::Request, bytes)
}

fn response(bytes: &[u8]) -> Verdict {
    whole(HeadLimits::default(), Kind::Response, bytes)
}

/// A request with a Host and these lines.
fn with(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes()
}

fn body(verdict: Verdict) -> BodyFraming {
    match verdict {
        Verdict::Head { body, .. } => body,
        other => panic!("no head: {other:?}"),
    }
}

fn keep_alive(verdict: Verdict) -> bool {
    match verdict {
        Verdict::Head { keep_alive, .. } => keep_alive,
        other => panic!("no head: {other:?}"),
    }
}

/// Every refusal there is, with an input for it.
fn refusals() -> Vec<(Kind, Vec<u8>, HeadError)> {
    use HeadError::*;
    let requests = [
        // RFC 9112 2.2: CR LF.
        ("GET / HTTP/1.1\nHost: h\n\n", BadLineEnd),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", BadLineEnd),
        ("GET / HTTP/1.1\r\nHost: h\r\n\n", BadLineEnd),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", BadFieldValue),
        ("GET / HTTP/1.1\rx\r\nHost: h\r\n\r\n", BadLineEnd),
        ("GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", BadLineEnd),
        ("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BadLineEnd),
        // 2.2: one empty line is ignored, no more; whitespace is none.
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", BadFieldName),
        // 3: the request line.
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET /  HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        (" GET / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET /\r\n", BadRequestLine),
        ("GET / HTTP/1.1 \r\nHost: h\r\n\r\n", BadLineEnd),
        ("GET / http/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET / HTTP/1.1.1\r\nHost: h\r\n\r\n", BadLineEnd),
        ("GET / HTTX/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        ("\x16\x03\x01\x02\r\n", TlsHandshake),
        ("GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", BadRequestLine),
        // 2.3: versions.
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", UnsupportedHttpVersion),
        ("GET / HTTP/0.9\r\nHost: h\r\n\r\n", UnsupportedHttpVersion),
        ("GET / HTTP/1.2\r\nHost: h\r\n\r\n", UnsupportedHttpVersion),
        ("GET / x HTTP/2.0\r\nHost: h\r\n\r\n", BadRequestLine),
        ("GET / HTTP/11\r\nHost: h\r\n\r\n", BadRequestLine),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http2Preface),
        ("PRI * HTTP/2.0\r\n", Http2Preface),
        ("PRI / HTTP/2.0\r\nHost: h\r\n\r\n", UnsupportedHttpVersion),
        ("\x16\x03\x01", TlsHandshake),
        ("\x16\x03\x04\x02\0\x01\0\x01\x7c\x03\x03", TlsHandshake),
        ("\x16\x03\x05 / HTTP/1.1\r\n", BadRequestLine),
        // 3.2: targets.
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET chat HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET /\u{e9} HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("GET http://u@h/x HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        ("CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", BadTarget),
        // 3.2: Host.
        ("GET / HTTP/1.1\r\n\r\n", MissingHost),
        ("GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n", DuplicateHost),
        ("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", DuplicateHost),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", BadHost),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BadHost),
        ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", BadHost),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", BadHost),
        ("GET / HTTP/1.1\r\nHost: h:x\r\n\r\n", BadHost),
        ("GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n", BadHost),
        // 5: field lines.
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n\tc\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA(: b\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\n\u{e9}: b\r\n\r\n", BadFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", BadFieldValue),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: \x7f\r\n\r\n", BadFieldValue),
        // 6: framing.
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            AmbiguousLength,
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
            AmbiguousLength,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", BadTransferEncoding),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            BadTransferEncoding,
        ),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;a=b\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", BadTransferEncoding),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            UnsupportedTransferEncoding,
        ),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", BadTransferEncoding),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 6\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5,\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 5\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", BadContentLength),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", BadContentLength),
    ];
    let responses = [
        ("HTTP/1.1 200 OK\nA: b\n\n", BadLineEnd),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", BadLineEnd),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", BadStatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", UnsupportedHttpVersion),
        ("HTTP/1.1\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 200 O\x01K\r\n\r\n", BadStatusLine),
        ("ICY 200 OK\r\n\r\n", BadStatusLine),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", BadFieldName),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", BadFieldName),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", BadFieldValue),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", AmbiguousLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", BadContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", BadTransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BadTransferEncoding),
    ];
    let requests = requests.into_iter().map(|(head, error)| (Kind::Request, head.as_bytes().to_vec(), error));
    let responses =
        responses.into_iter().map(|(head, error)| (Kind::Response, head.as_bytes().to_vec(), error));
    requests.chain(responses).collect()
}

#[test]
fn refusals_have_their_reason_however_cut() {
    for (kind, head, error) in refusals() {
        every_cut(&head, |pieces| {
            assert_eq!(
                fed(HeadLimits::default(), kind, pieces),
                Verdict::Refused(error),
                "{} in {} pieces",
                head.escape_ascii(),
                pieces.len()
            );
        });
    }
}

#[test]
fn statuses() {
    use HeadError::*;
    for (error, status) in [
        (RequestLineTooLong, 414),
        (LineTooLong, 431),
        (HeadTooLarge, 431),
        (TooManyFields, 431),
        (UnsupportedHttpVersion, 505),
        (UnsupportedTransferEncoding, 501),
        (BadLineEnd, 400),
        (AmbiguousLength, 400),
    ] {
        assert_eq!(error.status(), status, "{error:?}");
        assert_eq!(error.name(), format!("{error:?}"));
    }
    for (_, _, error) in refusals() {
        assert_eq!(error.name(), format!("{error:?}"));
    }
}

#[test]
fn a_request_is_read_however_cut() {
    let head = b"\r\nPOST /a?b=c HTTP/1.1\r\nhost: h:8080\r\nX:\r\nY: \t a b\xff\t \r\nContent-Length: 5\r\n\r\nhello";
    let expected = Verdict::Head {
        start: "POST /a?b=c HTTP/1.1".to_owned(),
        fields: vec![
            ("host".to_owned(), b"h:8080".to_vec()),
            ("X".to_owned(), b"".to_vec()),
            ("Y".to_owned(), b"a b\xff".to_vec()),
            ("Content-Length".to_owned(), b"5".to_vec()),
        ],
        body: BodyFraming::Length(5),
        keep_alive: true,
        length: head.len() - 5,
    };
    every_cut(head, |pieces| assert_eq!(fed(HeadLimits::default(), Kind::Request, pieces), expected));
}

#[test]
fn responses_are_read() {
    let head = |start: &str, body, length| Verdict::Head {
        start: start.to_owned(),
        fields: vec![],
        body,
        keep_alive: false,
        length,
    };
    assert_eq!(response(b"HTTP/1.1 200 OK\r\n\r\n"), head("HTTP/1.1 200 OK", BodyFraming::UntilClose, 19));
    // RFC 9112 4: a client bears an absent reason phrase; one that is not ASCII is not handed out.
    assert_eq!(response(b"HTTP/1.1 200\r\n\r\n"), head("HTTP/1.1 200 ", BodyFraming::UntilClose, 16));
    assert_eq!(response(b"HTTP/1.1 200 \r\n\r\n"), head("HTTP/1.1 200 ", BodyFraming::UntilClose, 17));
    assert_eq!(response(b"HTTP/1.1 200 \xe9\r\n\r\n"), head("HTTP/1.1 200 ", BodyFraming::UntilClose, 18));
    assert_eq!(
        response(b"HTTP/1.0 999 What\r\n\r\n"),
        head("HTTP/1.0 999 What", BodyFraming::UntilClose, 21)
    );
    // RFC 9110 7.2: Host is a request's; in a response it is a field like others.
    for fields in ["Host: \r\n", "Host: a b\r\n", "Host: a\r\nHost: a\r\n"] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 5\r\n\r\n");
        assert_eq!(body(response(bytes.as_bytes())), BodyFraming::Length(5), "{fields}");
    }
}

#[test]
fn targets() {
    for (start, path, query, host) in [
        ("GET /", "/", None, "h"),
        ("GET /chat?a?b", "/chat", Some("a?b"), "h"),
        ("GET /?", "/", Some(""), "h"),
        ("GET //x", "//x", None, "h"),
        ("GET /://x", "/://x", None, "h"),
        ("GET /x?u=http://y/", "/x", Some("u=http://y/"), "h"),
        ("GET http://server.example.com/chat", "/chat", None, "server.example.com"),
        ("GET HTTPS://other", "/", None, "other"),
        ("GET ws://other:81?q", "/", Some("q"), "other"),
        ("OPTIONS *", "*", None, "h"),
        ("OPTIONS /x", "/x", None, "h"),
        ("CONNECT a:443", "a:443", None, "h"),
    ] {
        let bytes = format!("{start} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes();
        let mut slots = Slots::new();
        let head = HeadReader::new(HeadLimits::default()).read_request(&bytes, &mut slots).unwrap().unwrap();
        assert_eq!((head.path(), head.query()), (path, query), "{start}");
        assert_eq!(head.authority().map(|authority| authority.host()), Some(host), "{start}");
    }
}

#[test]
fn bodies() {
    assert_eq!(body(request(&with(""))), BodyFraming::None);
    assert_eq!(body(request(&with("Content-Length: 0\r\n"))), BodyFraming::Length(0));
    assert_eq!(
        body(request(&with("content-length: 18446744073709551615\r\n"))),
        BodyFraming::Length(u64::MAX)
    );
    // RFC 9112 6.3: the same number again is that number.
    assert_eq!(body(request(&with("Content-Length: 5\r\nContent-Length: 5\r\n"))), BodyFraming::Length(5));
    assert_eq!(body(request(&with("Content-Length: 5, 05\r\n"))), BodyFraming::Length(5));
    assert_eq!(body(request(&with("Transfer-Encoding: , Chunked ,\r\n"))), BodyFraming::Chunked);

    let answer = |status: u16, lines: &str, method: &str| {
        let bytes = format!("HTTP/1.1 {status} x\r\n{lines}\r\n").into_bytes();
        let mut slots = Slots::new();
        let head = HeadReader::new(HeadLimits::default()).read_response(&bytes, &mut slots).unwrap().unwrap();
        (head.body(method), head.keep_alive(method))
    };
    assert_eq!(answer(200, "Content-Length: 5\r\n", "GET"), (BodyFraming::Length(5), true));
    assert_eq!(answer(200, "Content-Length: 5\r\n", "HEAD"), (BodyFraming::None, true));
    assert_eq!(answer(200, "Transfer-Encoding: chunked\r\n", "GET"), (BodyFraming::Chunked, true));
    assert_eq!(answer(200, "", "GET"), (BodyFraming::UntilClose, false));
    assert_eq!(answer(200, "", "CONNECT"), (BodyFraming::None, true));
    assert_eq!(answer(404, "", "CONNECT"), (BodyFraming::UntilClose, false));
    for status in [100, 101, 199, 204, 304] {
        assert_eq!(answer(status, "Content-Length: 5\r\n", "GET"), (BodyFraming::None, true), "{status}");
    }
}

#[test]
fn persistence() {
    let old = |lines: &str| format!("GET / HTTP/1.0\r\n{lines}\r\n").into_bytes();
    assert!(keep_alive(request(&with(""))));
    assert!(!keep_alive(request(&with("Connection: Close\r\n"))));
    assert!(!keep_alive(request(&with("Connection: x\r\nConnection: keep-alive, close\r\n"))));
    assert!(keep_alive(request(&with("Connection: disclose\r\n"))));
    assert!(!keep_alive(request(&old(""))));
    assert!(keep_alive(request(&old("Connection: keep-alive\r\n"))));
    assert!(!keep_alive(request(&old("Connection: keep-alive, close\r\n"))));
}

/// The verdict on the bytes, and that each prefix of them was still acceptable.
fn limit(limits: HeadLimits, bytes: &[u8]) -> Verdict {
    let mut verdict = Verdict::Incomplete;
    every_cut(bytes, |pieces| verdict = fed(limits, Kind::Request, pieces));
    verdict
}

#[test]
fn head_limit() {
    let head = with("A: bcd\r\n");
    let at = |head| HeadLimits::new().head(head);
    assert!(matches!(limit(at(head.len() + 1), &head), Verdict::Head { .. }));
    assert!(matches!(limit(at(head.len()), &head), Verdict::Head { .. }));
    assert_eq!(limit(at(head.len() - 1), &head), Verdict::Refused(HeadError::HeadTooLarge));
    // Known as soon as the last byte that might end the head has not.
    assert_eq!(limit(at(30), &head[..29]), Verdict::Incomplete);
    assert_eq!(limit(at(30), &head[..30]), Verdict::Refused(HeadError::HeadTooLarge));
    // Within the request line it is the target that is too long.
    assert_eq!(limit(at(10), &head), Verdict::Refused(HeadError::RequestLineTooLong));

    let default = HeadLimits::default();
    let sized = |size: usize| {
        let lines = format!("A: {0}\r\nA: {0}\r\nB: ", "a".repeat(6000));
        let filler = "b".repeat(size - with(&lines).len() - 2);
        with(&format!("{lines}{filler}\r\n"))
    };
    assert_eq!(default.head, 16 * 1024);
    assert_eq!(sized(default.head).len(), default.head);
    assert!(matches!(limit(default, &sized(default.head - 1)), Verdict::Head { .. }));
    assert!(matches!(limit(default, &sized(default.head)), Verdict::Head { .. }));
    assert_eq!(limit(default, &sized(default.head + 1)), Verdict::Refused(HeadError::HeadTooLarge));
    // A megabyte of field lines: refused after 16 KiB.
    let endless = [&b"GET / HTTP/1.1\r\n"[..], &b"Aaaaaaaaaaaaaaaa: b\r\n".repeat(50_000)].concat();
    let mut reader = HeadReader::new(default);
    let kept = (1..)
        .map(|reads| 1460 * reads)
        .find(|&kept| call(&mut reader, Kind::Request, &endless[..kept]) != Verdict::Incomplete);
    assert_eq!(kept, Some(1460), "more than 64 fields already");
}

#[test]
fn line_limits() {
    let default = HeadLimits::default();
    assert_eq!(default.line, 8 * 1024);
    // `GET / HTTP/1.1` is 14 bytes, `A: ` is 3.
    let target =
        |size: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(size - 14)).into_bytes();
    let field = |size: usize| with(&format!("A: {}\r\n", "a".repeat(size - 3)));
    for size in [default.line - 1, default.line] {
        assert!(matches!(limit(default, &target(size)), Verdict::Head { .. }), "{size}");
        assert!(matches!(limit(default, &field(size)), Verdict::Head { .. }), "{size}");
    }
    let over = default.line + 1;
    assert_eq!(limit(default, &target(over)), Verdict::Refused(HeadError::RequestLineTooLong));
    assert_eq!(limit(default, &field(over)), Verdict::Refused(HeadError::LineTooLong));
    // Refused at the first byte past the limit, without waiting for the line's end.
    assert_eq!(limit(default, &target(over)[..over]), Verdict::Refused(HeadError::RequestLineTooLong));
    assert_eq!(limit(default, &target(over)[..over - 1]), Verdict::Incomplete);
}

#[test]
fn field_limit() {
    let fields = |count: usize| with(&"A: b\r\n".repeat(count - 1));
    assert_eq!(MAX_FIELDS, 64);
    for count in [63, 64] {
        assert!(matches!(limit(HeadLimits::default(), &fields(count)), Verdict::Head { .. }), "{count}");
    }
    assert_eq!(limit(HeadLimits::default(), &fields(65)), Verdict::Refused(HeadError::TooManyFields));
}

#[test]
fn a_reader_reads_one_head_after_the_other_and_keeps_its_error() {
    let mut reader = HeadReader::new(HeadLimits::default());
    let mut received = [with(""), with("A: b\r\n"), b"GET / HTTP/1.1\nHost: h\n\n".to_vec()].concat();
    for fields in [1, 2] {
        let mut slots = Slots::new();
        let head = reader.read_request(&received, &mut slots).unwrap().unwrap();
        assert_eq!(head.fields().len(), fields);
        assert_eq!(head.version(), Version::Http11);
        let length = head.len();
        received.drain(..length);
    }
    let refused = Verdict::Refused(HeadError::BadLineEnd);
    assert_eq!(call(&mut reader, Kind::Request, &received), refused);
    assert_eq!(call(&mut reader, Kind::Request, &with("")), refused);
}

/// A caller that loses bytes it has shown is wrong, but gets no panic for it.
#[test]
fn fewer_bytes_than_before() {
    let head = with("A: b\r\n");
    for seen in 0..head.len() {
        for left in 0..seen {
            let mut reader = HeadReader::new(HeadLimits::default());
            assert_eq!(call(&mut reader, Kind::Request, &head[..seen]), Verdict::Incomplete);
            assert_eq!(call(&mut reader, Kind::Request, &head[..left]), Verdict::Incomplete);
            assert!(matches!(call(&mut reader, Kind::Request, &head), Verdict::Head { .. }));
        }
    }
}

/// Bytes that are likely to be nearly a head.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => Just("\r\n"), 1 => Just("\r"), 1 => Just("\n"), 3 => Just("GET / HTTP/1.1\r\n"), 2 => Just("HTTP/1.1 200 OK\r\n"),
        2 => Just("GET "), 2 => Just("/"), 2 => Just(" HTTP/1.1"), 1 => Just(" HTTP/1.0"), 1 => Just("HTTP/2.0"),
        4 => Just("Host: h\r\n"), 2 => Just("A: b\r\n"), 1 => Just("Content-Length: 5\r\n"), 1 => Just("Content-Length: 6\r\n"),
        1 => Just("Transfer-Encoding: chunked\r\n"), 1 => Just(" "), 1 => Just("\t"), 1 => Just(":"), 1 => Just("a"), 1 => Just("\0"),
        1 => Just("aaaaaaaaaaaaaaaaaaaa"), 1 => Just("\u{e9}"),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// After any cut, a reader that was fed so far says what a fresh one says of the same bytes at once.
    #[test]
    fn no_cut_changes_the_verdict(bytes in heads(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        head in 8usize..120, line in 4usize..60, request in any::<bool>()) {
        let limits = HeadLimits::new().head(head).line(line);
        let kind = if request { Kind::Request } else { Kind::Response };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut reader = HeadReader::new(limits);
        for cut in cuts {
            let seen = &bytes[..cut];
            let verdict = call(&mut reader, kind, seen);
            prop_assert_eq!(&verdict, &whole(limits, kind, seen), "{}", seen.escape_ascii());
            if verdict != Verdict::Incomplete {
                break;
            }
        }
    }
}
