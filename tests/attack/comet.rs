//! The older transports, against their machines: logs, cursors, polls, callbacks, documents, Flash's sockets, JSON.

use crate::cost::{KIB, MIB, linear, linear_bytes, scale};
use pushline::comet::flash::FlashDecoder;
use pushline::comet::jsonp::Callback;
use pushline::comet::{CometMessage, CometOptions, CometSession, StreamOptions, StreamWriter, parse_cursor};
use pushline::json;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// Polls that supersede one another: one is held, the others are answered, and nothing is left of them.
#[test]
fn polls() {
    linear(
        "polls",
        4 * KIB,
        8 * KIB,
        |count| count,
        |count| *count,
        |count| {
            let mut session = CometSession::new(CometOptions::new(), NOW);
            let mut answers = 0;
            for _ in 0..*count {
                let _ = session.poll(0, NOW);
                while session.next_answer(NOW).is_some() {
                    answers += 1;
                }
            }
            assert_eq!(answers, 0, "they were superseded");
        },
    );
}

/// A client that does not fetch: the oldest messages fall off.
#[test]
fn a_log_that_nobody_reads() {
    let config = CometOptions::new().max_bytes(64 * KIB).max_messages(1000);
    linear(
        "messages",
        2 * KIB,
        256 * KIB,
        |count| count,
        |count| count * 100,
        |count| {
            let mut session = CometSession::<Duration>::new(config, NOW);
            for _ in 0..*count {
                session.push(CometMessage::text(&"x".repeat(100))).unwrap();
            }
            assert!(session.log().len() <= 1000);
        },
    );
}

#[test]
fn cursors() {
    for forged in ["", "-1", "+1", " 1", "1 ", "0x1", "1e3", "18446744073709551616", "\u{664}", "1\r\nX: y"] {
        assert_eq!(parse_cursor(forged), None, "{forged:?}");
    }
    let digits = |size: usize| b"9".repeat(size);
    linear_bytes("a cursor", 64 * KIB, KIB, digits, |text| {
        assert_eq!(parse_cursor(std::str::from_utf8(text).unwrap()), None);
    });
    // One that no message ever had.
    let mut session = CometSession::new(CometOptions::new(), NOW);
    session.push(CometMessage::text("secret")).unwrap();
    for cursor in [2, u64::MAX] {
        let _ = session.poll(cursor, NOW);
        let answer = session.next_answer(NOW).unwrap();
        let mut body = Vec::new();
        answer.write_json(&mut body);
        assert_eq!(answer.status(), 410);
        assert!(!String::from_utf8(body).unwrap().contains("secret"));
    }
}

/// Same-origin method execution: chains of plain names that lead out of the page.
#[test]
fn callbacks() {
    for name in [
        "opener.document.activeElement.click",
        "opener.f",
        "window.opener.pay.submit",
        "parent.parent.f",
        "top.document.forms.pay.submit",
        "frames.app.f",
        "a.contentWindow.b",
        "a.ownerDocument.defaultView.f",
        "app.constructor.constructor",
    ] {
        assert!(Callback::parse(name).is_err(), "{name}");
    }
    let names = |size: usize| "a.".repeat(size / 2).into_bytes();
    linear_bytes("a callback", 64 * KIB, KIB, names, |name| {
        assert!(Callback::parse(std::str::from_utf8(name).unwrap()).is_err());
    });
}

/// A document may be framed by the page that its events are for, and by no other.
#[test]
fn documents() {
    let policy = |stream: StreamWriter| stream.content_security_policy();
    let callback = Callback::parse("app.news").unwrap();
    let same = policy(StreamWriter::frame(callback, StreamOptions::new())).unwrap();
    assert!(same.ends_with("; frame-ancestors 'self'"), "{same}");
    let other = policy(StreamWriter::frame_to("https://app.example", StreamOptions::new()).unwrap()).unwrap();
    assert!(other.ends_with("; sandbox allow-scripts; frame-ancestors https://app.example"), "{other}");
    assert_eq!(policy(StreamWriter::xhr(StreamOptions::new())), None);
    for origin in
        ["*", "null", "https://a.example; script-src *", "https://a.example 'self'", "https://a.example/"]
    {
        assert!(StreamWriter::frame_to(origin, StreamOptions::new()).is_err(), "{origin}");
    }
}

/// Messages without an end, and empty ones.
#[test]
fn flash() {
    for (name, byte) in [("no NUL", b'x'), ("nothing but NULs", 0)] {
        let bytes = |size: usize| vec![byte; size];
        linear_bytes(name, 64 * KIB, 3 * MIB * scale(), bytes, |bytes| {
            let mut decoder = FlashDecoder::new(usize::MAX);
            for part in bytes.chunks(1460) {
                let mut rest = part;
                while let Ok(Some(message)) = decoder.decode(&mut rest) {
                    assert_eq!(message, b"");
                }
            }
        });
    }
    for (length, fits) in [(1023, true), (1024, true), (1025, false)] {
        let mut decoder = FlashDecoder::new(1024);
        let held = crate::allocations::memory(|| {
            let mut ok = true;
            for part in vec![b'x'; length].chunks(7) {
                ok &= decoder.decode(&mut &*part).is_ok();
            }
            assert_eq!(ok, fits);
        });
        assert!(held.0 < 5 * KIB as isize);
    }
}

#[test]
fn json_bombs() {
    for text in ["[", "{\"a\":", "[0,", "\"\\u0061", "1", "-", "1e", "[[],", " ", "{\"a\":0,"] {
        let bomb = |count: usize| text.repeat(count).into_bytes();
        linear_bytes("JSON", 16 * KIB, KIB, bomb, |bytes| {
            let _ = json::check(std::str::from_utf8(bytes).unwrap());
        });
    }
}
