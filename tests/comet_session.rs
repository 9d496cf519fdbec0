//! Long polling: held or answered at once, one request at a time, resumed exactly, bounded, and released.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::comet::{
    AnswerKind, CometAnswer, CometMessage, CometOptions, CometSession, TooLarge, parse_cursor,
};
use std::time::Duration;

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn session(config: CometOptions) -> CometSession<Duration> {
    CometSession::new(config, at(0))
}

fn push(session: &mut CometSession<Duration>, count: u64) {
    for _ in 0..count {
        let next = session.log().newest() + 1;
        assert_eq!(session.push(CometMessage::text(&format!("message {next}"))), Ok(next));
    }
}

/// The numbers of the messages in an answer, whose texts are checked.
fn ids(answer: &CometAnswer<'_>) -> Vec<u64> {
    let AnswerKind::Messages(messages) = &answer.kind else { panic!("no messages: {answer:?}") };
    let ids: Vec<u64> = messages
        .clone()
        .map(|(id, message)| {
            assert_eq!(message, &CometMessage::text(&format!("message {id}")));
            id
        })
        .collect();
    assert_eq!(ids.last(), Some(&answer.cursor));
    ids
}

fn json(answer: &CometAnswer<'_>) -> String {
    let mut body = Vec::new();
    answer.write_json(&mut body);
    String::from_utf8(body).unwrap()
}

#[test]
fn news_is_answered_at_once_and_later_news_when_it_comes() {
    let mut session = session(CometOptions::new());
    push(&mut session, 2);
    let first = session.poll(0, at(1));
    assert!(first.superseded.is_none());
    let answer = session.next_answer(at(1)).unwrap();
    assert_eq!((answer.ticket, answer.status(), ids(&answer)), (first.ticket, 200, vec![1, 2]));
    assert_eq!(
        json(&answer),
        r#"{"cursor":2,"messages":[{"id":1,"data":"message 1"},{"id":2,"data":"message 2"}]}"#
    );
    assert!(session.next_answer(at(1)).is_none(), "one answer a poll");

    let second = session.poll(2, at(2));
    assert!(session.next_answer(at(10)).is_none());
    push(&mut session, 1);
    let answer = session.next_answer(at(10)).unwrap();
    assert_eq!((answer.ticket, ids(&answer)), (second.ticket, vec![3]));
}

#[test]
fn without_news_the_hold_ends_at_its_deadline_with_204() {
    let mut session = session(CometOptions::new().hold(at(500)));
    let poll = session.poll(0, at(1000));
    assert_eq!(session.next_deadline(), Some(at(1500)));
    assert!(session.next_answer(at(1499)).is_none());
    let answer = session.next_answer(at(1500)).unwrap();
    assert!(matches!(answer.kind, AnswerKind::Empty));
    assert_eq!((answer.ticket, answer.status(), answer.cursor), (poll.ticket, 204, 0));
    assert!(session.next_answer(at(1501)).is_none());
}

#[test]
fn short_polling_is_a_hold_of_zero() {
    let mut session = session(CometOptions::new().hold(Duration::ZERO));
    let _ = session.poll(0, at(7));
    assert_eq!(session.next_answer(at(7)).unwrap().status(), 204);
    push(&mut session, 1);
    let _ = session.poll(0, at(8));
    assert_eq!(session.next_answer(at(8)).unwrap().status(), 200);
}

#[test]
fn news_at_the_deadline_is_news() {
    let mut session = session(CometOptions::new().hold(at(500)));
    let _ = session.poll(0, at(0));
    push(&mut session, 1);
    assert_eq!(session.next_answer(at(9999)).unwrap().status(), 200);
}

#[test]
fn a_newer_request_supersedes_the_older() {
    let mut session = session(CometOptions::new());
    let first = session.poll(0, at(1));
    let second = session.poll(0, at(2));
    let answer = second.superseded.unwrap();
    assert_eq!((answer.ticket, answer.status(), answer.cursor), (first.ticket, 204, 0));
    assert_eq!(json(&answer), r#"{"cursor":0,"messages":[]}"#);
    // What the older's connection does is nobody's business any more.
    session.close(first.ticket, at(3));
    push(&mut session, 1);
    assert_eq!(session.next_answer(at(3)).unwrap().ticket, second.ticket);

    // A stream in place of a poll, and the other way round.
    let third = session.poll(1, at(4));
    let stream = session.stream(1, at(5));
    assert_eq!(stream.superseded.unwrap().ticket, third.ticket);
    let fourth = session.poll(1, at(6));
    assert_eq!(fourth.superseded.unwrap().ticket, stream.ticket);
}

#[test]
fn an_answer_that_was_lost_comes_again() {
    let mut session = session(CometOptions::new());
    push(&mut session, 3);
    for _ in 0..5 {
        let _ = session.poll(0, at(1));
        assert_eq!(ids(&session.next_answer(at(1)).unwrap()), [1, 2, 3]);
    }
    // The cursor acknowledges: what it names is released, what comes after it is not.
    let _ = session.poll(2, at(2));
    assert_eq!((session.log().oldest(), session.log().len()), (2, 1));
    assert_eq!(ids(&session.next_answer(at(2)).unwrap()), [3]);
}

#[test]
fn a_client_that_loses_answers_misses_and_repeats_nothing() {
    let mut random = 12345_u32;
    let mut chance = |one_in: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16).is_multiple_of(one_in)
    };
    let mut session = session(CometOptions::new().hold(at(50)).max_answer(200));
    let mut cursor = 0;
    let mut seen = Vec::new();
    let mut streaming = false;
    for now in 0..200_000 {
        if session.log().newest() < 5000 && session.log().len() < 900 && chance(3) {
            push(&mut session, 1);
        }
        if !streaming && chance(4) {
            streaming = chance(2);
            let opened =
                if streaming { session.stream(cursor, at(now)) } else { session.poll(cursor, at(now)) };
            assert!(opened.superseded.is_none_or(|answer| answer.status() == 204));
        }
        while let Some(answer) = session.next_answer(at(now)) {
            let ticket = answer.ticket;
            let lost = chance(3);
            if !lost && matches!(answer.kind, AnswerKind::Messages(_)) {
                seen.extend(ids(&answer));
                cursor = answer.cursor;
            }
            assert_ne!(answer.status(), 410);
            if lost {
                // The connection broke; a client notices that and asks again.
                session.close(ticket, at(now));
                streaming = false;
            }
        }
    }
    assert_eq!(seen, (1..=5000).collect::<Vec<u64>>());
}

#[test]
fn a_cursor_that_fell_off_is_gone_and_the_answer_says_where_to_go_on() {
    let mut session = session(CometOptions::new().max_messages(3));
    push(&mut session, 5);
    let poll = session.poll(1, at(1));
    let answer = session.next_answer(at(1)).unwrap();
    assert!(matches!(answer.kind, AnswerKind::Gone));
    assert_eq!((answer.ticket, answer.status(), answer.cursor), (poll.ticket, 410, 2));
    assert_eq!(json(&answer), r#"{"cursor":2,"gone":true,"messages":[]}"#);
    let _ = session.poll(2, at(2));
    assert_eq!(ids(&session.next_answer(at(2)).unwrap()), [3, 4, 5]);
}

#[test]
fn a_cursor_of_another_session_is_gone() {
    let mut session = session(CometOptions::new());
    push(&mut session, 2);
    for cursor in [3, 4, u64::MAX] {
        let _ = session.poll(cursor, at(1));
        let answer = session.next_answer(at(1)).unwrap();
        assert_eq!((answer.status(), answer.cursor), (410, 0));
        assert_eq!(session.log().len(), 2, "nothing is released by it");
    }
    let _ = session.poll(2, at(2));
    assert!(session.next_answer(at(2)).is_none());
}

#[test]
fn a_request_that_waits_while_the_log_overflows_is_gone() {
    for streaming in [false, true] {
        let mut session = session(CometOptions::new().max_messages(3));
        let _ = if streaming { session.stream(0, at(0)) } else { session.poll(0, at(0)) };
        push(&mut session, 4);
        assert_eq!(session.next_answer(at(0)).unwrap().status(), 410);
        assert!(session.next_answer(at(0)).is_none(), "a stream is over, too");
    }
}

#[test]
fn max_messages() {
    for (count, status) in [(9, 200), (10, 200), (11, 410)] {
        let mut session = session(CometOptions::new().max_messages(10));
        push(&mut session, count);
        let _ = session.poll(0, at(0));
        assert_eq!(session.next_answer(at(0)).unwrap().status(), status, "{count}");
        assert!(session.log().len() <= 10);
    }
    let mut session = session(CometOptions::new().max_messages(0));
    push(&mut session, 2);
    assert_eq!(session.log().len(), 1, "one is the least");
}

#[test]
fn max_bytes() {
    // Ten bytes each, quotes included.
    for (count, status) in [(9, 200), (10, 200), (11, 410)] {
        let mut session = session(CometOptions::new().max_bytes(100));
        for _ in 0..count {
            session.push(CometMessage::text("12345678")).unwrap();
        }
        let _ = session.poll(0, at(0));
        assert_eq!(session.next_answer(at(0)).unwrap().status(), status, "{count}");
    }
    let mut session = session(CometOptions::new().max_bytes(10));
    assert_eq!(session.push(CometMessage::text("1234567")), Ok(1));
    assert_eq!(session.push(CometMessage::text("12345678")), Ok(2));
    let large = CometMessage::text("123456789");
    assert_eq!(session.push(large.clone()), Err(TooLarge(large)));
    assert_eq!((session.log().newest(), session.log().len()), (2, 1), "what was there stays");
    // Escapes count as what they take.
    assert!(session.push(CometMessage::text("<1")).is_ok());
    assert!(session.push(CometMessage::text("<<")).is_err());
}

#[test]
fn max_answer() {
    // An event is at most 36 bytes and the literal: 11 + 36.
    for (limit, count) in [(0, 1), (46, 1), (47, 1), (48, 1), (93, 1), (94, 2), (95, 2), (470, 9)] {
        let mut session = session(CometOptions::new().max_answer(limit));
        push(&mut session, 9);
        let _ = session.poll(0, at(0));
        let answer = session.next_answer(at(0)).unwrap();
        assert_eq!(ids(&answer), (1..=count).collect::<Vec<u64>>(), "{limit}");
        assert!(json(&answer).len() <= limit.max(47) + 30);
        // The rest comes with the next request.
        let cursor = answer.cursor;
        let _ = session.poll(cursor, at(0));
        if cursor < 9 {
            assert_eq!(ids(&session.next_answer(at(0)).unwrap())[0], cursor + 1);
        }
    }
}

#[test]
fn a_session_is_released_when_no_request_came_for_the_idle_time() {
    let mut session = session(CometOptions::new().idle(at(1000)).hold(at(5000)));
    assert_eq!(session.next_deadline(), Some(at(1000)));
    assert!(!session.is_expired(at(999)));
    assert!(session.is_expired(at(1000)));
    // A request that waits keeps it, for as long as it is held.
    let _ = session.poll(0, at(900));
    assert!(!session.is_expired(at(5899)));
    assert_eq!(session.next_answer(at(5900)).unwrap().status(), 204);
    assert_eq!(session.next_deadline(), Some(at(6900)));
    assert!(!session.is_expired(at(6899)));
    assert!(session.is_expired(at(6900)));
    // A connection that broke starts the clock, too.
    let poll = session.poll(0, at(6950));
    session.close(poll.ticket, at(7000));
    assert!(!session.is_expired(at(7999)));
    assert!(session.is_expired(at(8000)));
    // Closing twice does not start it again.
    session.close(poll.ticket, at(7500));
    assert!(session.is_expired(at(8000)));
    // News without a request keeps nothing.
    push(&mut session, 1);
    assert!(session.is_expired(at(8000)));
}

#[test]
fn a_stream_goes_on_and_acknowledges_nothing() {
    let mut session = session(CometOptions::new().hold(at(500)));
    push(&mut session, 1);
    let stream = session.stream(0, at(0));
    assert_eq!(ids(&session.next_answer(at(0)).unwrap()), [1]);
    assert!(session.next_answer(at(100)).is_none());
    push(&mut session, 2);
    let answer = session.next_answer(at(200)).unwrap();
    assert_eq!((answer.ticket, ids(&answer)), (stream.ticket, vec![2, 3]));
    // Silence for the hold time after the last byte: a sign of life, and on it goes.
    assert_eq!(session.next_deadline(), Some(at(700)));
    assert!(session.next_answer(at(699)).is_none());
    for beat in 1..4 {
        assert!(matches!(session.next_answer(at(200 + 500 * beat)).unwrap().kind, AnswerKind::Empty));
        assert!(session.next_answer(at(200 + 500 * beat)).is_none());
    }
    // One that takes no sign of life is given up: it would hold the session for as long as it likes.
    assert!(!session.is_expired(at(2200 + 59_999)) && session.is_expired(at(2200 + 60_000)));
    assert_eq!(session.log().len(), 3, "all of it may have to be sent again");
    session.close(stream.ticket, at(2000));
    let _ = session.stream(1, at(2001));
    assert_eq!(ids(&session.next_answer(at(2001)).unwrap()), [2, 3]);
    assert_eq!(session.log().len(), 2);
}

#[test]
fn a_client_may_change_transports_without_loss() {
    let mut session = session(CometOptions::new());
    push(&mut session, 3);
    let stream = session.stream(0, at(0));
    assert_eq!(ids(&session.next_answer(at(0)).unwrap()), [1, 2, 3]);
    // The client saw two of them before the stream was cut, and polls.
    push(&mut session, 1);
    let poll = session.poll(2, at(1));
    assert_eq!(poll.superseded.unwrap().ticket, stream.ticket);
    assert_eq!(ids(&session.next_answer(at(1)).unwrap()), [3, 4]);
}

#[test]
fn cursors_are_decimal_digits() {
    for (text, cursor) in [
        ("0", Some(0)),
        ("14", Some(14)),
        ("007", Some(7)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("", None),
        ("+1", None),
        ("-1", None),
        (" 1", None),
        ("1 ", None),
        ("1_0", None),
        ("0x1", None),
        ("1.0", None),
        ("\u{663}", None),
    ] {
        assert_eq!(parse_cursor(text), cursor, "{text:?}");
    }
}
