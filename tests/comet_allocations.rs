//! No encoder of the older transports allocates for a message in steady state, and neither does a session.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "common/allocations.rs"]
mod allocations;

use allocations::allocations;
use pushline::comet::cors::CorsPolicy;
use pushline::comet::flash;
use pushline::comet::jsonp::{self, Callback};
use pushline::comet::{CometMessage, CometOptions, CometSession, StreamOptions, StreamWriter, write_literal};
use std::time::Duration;

const TEXT: &str = "hello <b>world</b> \u{2028} \"quoted\"\n";
const NOW: Duration = Duration::ZERO;

#[test]
fn escaping() {
    let mut out = Vec::with_capacity(1000);
    let count = allocations(|| {
        for _ in 0..100 {
            out.clear();
            write_literal(TEXT, &mut out);
        }
    });
    assert_eq!(count, 0);
}

#[test]
fn a_message_for_many_sessions_is_made_once() {
    let message = CometMessage::text(TEXT);
    let plain = "a text in which nothing has to be escaped";
    assert!(allocations(|| drop(CometMessage::text(plain).clone())) <= 2);
    let mut sessions = vec![CometSession::new(CometOptions::new(), NOW); 10];
    for session in &mut sessions {
        session.push(message.clone()).unwrap();
    }
    let count = allocations(|| {
        for session in &mut sessions {
            session.push(message.clone()).unwrap();
        }
    });
    assert_eq!(count, 0);
}

/// A session whose client fetches each message by itself.
fn each_message(mut work: impl FnMut(&mut CometSession<Duration>, u64)) -> u64 {
    let message = CometMessage::text(TEXT);
    let mut session = CometSession::new(CometOptions::new(), NOW);
    let mut round = |cursor| {
        session.push(message.clone()).unwrap();
        work(&mut session, cursor);
    };
    round(0);
    allocations(|| (1..100).for_each(round))
}

#[test]
fn polls_and_jsonp() {
    let mut out = Vec::with_capacity(1000);
    let callback = Callback::parse("app.news").unwrap();
    let count = each_message(|session, cursor| {
        let _ = session.poll(cursor, NOW);
        let answer = session.next_answer(NOW).unwrap();
        out.clear();
        answer.write_json(&mut out);
        out.clear();
        jsonp::write(callback, &answer, &mut out);
    });
    assert_eq!(count, 0);
}

#[test]
fn streams() {
    let callback = Callback::parse("app.news").unwrap();
    let config = StreamOptions::new().budget(usize::MAX);
    for mut stream in [
        StreamWriter::xhr(config),
        StreamWriter::frame(callback, config),
        StreamWriter::frame_to("https://app.example", config).unwrap(),
    ] {
        let mut out = Vec::with_capacity(4000);
        stream.open(&mut out);
        let count = each_message(|session, cursor| {
            let _ = session.stream(cursor, NOW);
            out.clear();
            assert!(stream.write(&session.next_answer(NOW).unwrap(), &mut out));
        });
        assert_eq!(count, 0);
    }
}

#[test]
fn cors_fields() {
    let policy =
        CorsPolicy::new().allow_origin("https://app.example").unwrap().credentials(true).unwrap().max_age(5);
    let count = allocations(|| {
        assert_eq!(policy.check(Some(b"https://app.example")).fields().count(), 3);
        assert_eq!(policy.preflight(b"https://app.example", b"GET", None).fields().count(), 4);
    });
    assert_eq!(count, 0);
}

#[test]
fn flash_messages() {
    let mut wire = Vec::with_capacity(1000);
    let mut decoder = flash::FlashDecoder::new(1000);
    let count = allocations(|| {
        for _ in 0..100 {
            wire.clear();
            flash::encode(TEXT.as_bytes(), &mut wire).unwrap();
            assert_eq!(decoder.decode(&mut wire.as_slice()), Ok(Some(TEXT.as_bytes())));
        }
    });
    assert_eq!(count, 0);
}
