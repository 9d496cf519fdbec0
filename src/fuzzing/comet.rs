//! The older transports: a session against a list of everything that happened, escaping a character at a time, messages
//! between NULs against a split.

use crate::comet::flash::{self, FlashError};
use crate::comet::{
    CometMessage, CometOptions, CometSession, CometTicket, StreamOptions, StreamWriter, write_literal,
};
use core::time::Duration;
use std::fmt::Write;

/// What stands in a script, against an escape written for each character by itself; and back again.
pub fn script(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut out = Vec::new();
    write_literal(text, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, naive_literal(text));
    assert!(out.len() <= 6 * text.len() + 2, "the room that the documentation promises");
    assert_eq!(naive_text(&out), text);
}

fn naive_literal(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', character]),
            '<' | '>' | '&' | '\0'..' ' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(character)).unwrap();
            }
            _ => out.push(character),
        }
    }
    out + "\""
}

fn naive_text(literal: &str) -> String {
    let mut text = String::new();
    let mut rest = literal[1..literal.len() - 1].chars();
    while let Some(character) = rest.next() {
        assert!(!"\"<>&\u{2028}\u{2029}".contains(character) && !character.is_ascii_control());
        text.push(match character {
            '\\' => match rest.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
                }
                quoted => quoted,
            },
            plain => plain,
        });
    }
    text
}

/// What stands between NULs, received in parts, against the whole of it split at once.
pub fn flash(data: &[u8]) {
    let [limit, part, wire @ ..] = data else { return };
    let (limit, part) = (usize::from(*limit), usize::from(*part).max(1));
    let mut expected: Vec<Result<Vec<u8>, FlashError>> = Vec::new();
    let mut pieces = wire.split(|&byte| byte == 0).peekable();
    while let Some(piece) = pieces.next() {
        if piece.len() > limit {
            expected.push(Err(FlashError::TooLong));
            break;
        }
        if pieces.peek().is_some() {
            expected.push(Ok(piece.to_vec()));
        }
    }
    let mut decoder = flash::FlashDecoder::new(limit);
    let mut actual = Vec::new();
    'parts: for mut input in wire.chunks(part) {
        while let Some(result) =
            decoder.decode(&mut input).map(|message| message.map(<[u8]>::to_vec)).transpose()
        {
            let failed = result.is_err();
            actual.push(result);
            if failed {
                break 'parts;
            }
        }
        assert!(input.is_empty(), "what is not a message's end yet is taken in");
    }
    assert_eq!(actual, expected);
    let mut again = Vec::new();
    for message in actual.iter().flatten() {
        flash::encode(message, &mut again).unwrap();
    }
    assert!(wire.starts_with(&again));
    assert_eq!(flash::encode(wire, &mut Vec::new()).is_err(), wire.contains(&0));
}

/// The request that waits, as the model knows it.
struct Waiting {
    ticket: CometTicket,
    cursor: u64,
    until: Duration,
    stream: bool,
}

/// Each pair of bytes is something that happens to a session; it and the model agree after each.
pub fn long_poll(data: &[u8]) {
    let [max_messages, max_bytes, max_answer, hold, idle, rest @ ..] = data else { return };
    let milliseconds = |count: u8| Duration::from_millis(u64::from(count));
    let (hold, idle) = (milliseconds(*hold), milliseconds(*idle));
    let max_messages = usize::from(*max_messages % 16);
    let (max_bytes, max_answer) = (usize::from(*max_bytes), usize::from(*max_answer) * 4);
    let config = CometOptions::new()
        .max_messages(max_messages)
        .max_bytes(max_bytes)
        .max_answer(max_answer)
        .hold(hold)
        .idle(idle);
    let mut now = Duration::ZERO;
    let mut session = CometSession::new(config, now);

    // All texts there ever were, how many of the first are not held any more, and who waits, or since when nobody.
    let mut all: Vec<String> = Vec::new();
    let mut dropped = 0;
    let mut waiting: Option<Waiting> = None;
    let mut left = now;
    let mut tickets = Vec::new();

    for pair in rest.chunks_exact(2) {
        let (action, argument) = (pair[0], pair[1]);
        match action % 6 {
            0 => {
                let text = "ab<\n\u{e9}\"c".repeat(usize::from(argument % 8));
                let size = naive_literal(&text).len();
                let result = session.push(CometMessage::text(&text));
                assert_eq!(result.is_ok(), size <= max_bytes);
                if result.is_ok() {
                    all.push(text);
                    let held = |dropped: usize| -> usize {
                        all[dropped..].iter().map(|text| naive_literal(text).len()).sum()
                    };
                    while all.len() - dropped > max_messages.max(1) || held(dropped) > max_bytes {
                        dropped += 1;
                    }
                    assert_eq!(result, Ok(all.len() as u64));
                }
            }
            kind @ (1 | 2) => {
                let cursor = u64::from(argument).min(all.len() as u64 + 2);
                let opened = if kind == 2 { session.stream(cursor, now) } else { session.poll(cursor, now) };
                let older = waiting.replace(Waiting {
                    ticket: opened.ticket,
                    cursor,
                    until: now + hold,
                    stream: kind == 2,
                });
                let superseded = opened.superseded.map(|answer| {
                    assert_eq!(answer.status(), 204);
                    (answer.ticket, answer.cursor)
                });
                assert_eq!(superseded, older.map(|older| (older.ticket, older.cursor)));
                if (dropped..=all.len()).contains(&(cursor as usize)) {
                    dropped = cursor as usize;
                }
                tickets.push(opened.ticket);
            }
            3 => {
                if let Some(ticket) = tickets.get(usize::from(argument)) {
                    session.close(*ticket, now);
                    if waiting.as_ref().is_some_and(|waiting| waiting.ticket == *ticket) {
                        waiting = None;
                        left = now;
                    }
                }
            }
            4 => now += milliseconds(argument),
            _ => {
                let expected = waiting
                    .as_mut()
                    .and_then(|waiting| expected_answer(&all, dropped, max_answer, waiting, now));
                let actual = session.next_answer(now).map(|answer| {
                    let mut body = Vec::new();
                    answer.write_json(&mut body);
                    let mut lines = Vec::new();
                    StreamWriter::xhr(StreamOptions::new()).write(&answer, &mut lines);
                    assert!(lines.ends_with(b"\n"));
                    (answer.ticket, answer.status(), answer.cursor, String::from_utf8(body).unwrap())
                });
                assert_eq!(actual, expected);
                if let (Some((_, status, cursor, _)), Some(request)) = (expected, &mut waiting) {
                    if request.stream && status != 410 {
                        request.cursor = cursor;
                        request.until = now + hold;
                    } else {
                        waiting = None;
                        left = now;
                    }
                }
            }
        }
        assert_eq!(session.log().oldest(), dropped as u64);
        assert_eq!(session.log().newest(), all.len() as u64);
        assert_eq!(session.log().len(), all.len() - dropped);
        let deadline = waiting.as_ref().map_or(left + idle, |waiting| waiting.until);
        assert_eq!(session.next_deadline(), Some(deadline));
        let end = if waiting.is_some() { deadline + idle } else { deadline };
        assert_eq!(session.is_expired(now), now >= end);
    }
}

/// The answer that is due: ticket, status, cursor and body.
fn expected_answer(
    all: &[String],
    dropped: usize,
    max_answer: usize,
    waiting: &Waiting,
    now: Duration,
) -> Option<(CometTicket, u16, u64, String)> {
    let cursor = waiting.cursor as usize;
    if cursor < dropped || cursor > all.len() {
        let body = format!("{{\"cursor\":{dropped},\"gone\":true,\"messages\":[]}}");
        return Some((waiting.ticket, 410, dropped as u64, body));
    }
    let mut events: Vec<String> = Vec::new();
    let mut room = max_answer;
    for (at, text) in all.iter().enumerate().skip(cursor) {
        let literal = naive_literal(text);
        if !events.is_empty() && literal.len() + 36 > room {
            break;
        }
        room = room.saturating_sub(literal.len() + 36);
        events.push(format!("{{\"id\":{},\"data\":{literal}}}", at + 1));
    }
    if events.is_empty() && now < waiting.until {
        return None;
    }
    let cursor = cursor + events.len();
    let status = if events.is_empty() { 204 } else { 200 };
    let body = format!("{{\"cursor\":{cursor},\"messages\":[{}]}}", events.join(","));
    Some((waiting.ticket, status, cursor as u64, body))
}
