//! Streaming to XMLHttpRequest and into an iframe: what is written, when it ends, and that nothing is lost between
//! two responses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use pushline::comet::cors::InvalidOrigin;
use pushline::comet::jsonp::Callback;
use pushline::comet::{CometMessage, CometOptions, CometSession, StreamOptions, StreamWriter};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn bare() -> StreamOptions {
    StreamOptions::new().padding(0)
}

/// One response, as long as the session has something for it: its body, and whether it was ended.
fn respond(session: &mut CometSession<Duration>, since: u64, mut stream: StreamWriter) -> (String, bool) {
    let ticket = session.stream(since, NOW).ticket;
    let mut body = Vec::new();
    stream.open(&mut body);
    let mut on = true;
    while let Some(answer) = session.next_answer(NOW) {
        on = stream.write(&answer, &mut body);
        if !on {
            let length = body.len();
            assert!(!stream.write(&answer, &mut body));
            assert_eq!(body.len(), length, "written after the end");
            session.close(ticket, NOW);
        }
    }
    session.close(ticket, NOW);
    (String::from_utf8(body).unwrap(), !on)
}

fn session(texts: &[&str]) -> CometSession<Duration> {
    let mut session = CometSession::new(CometOptions::new(), NOW);
    for text in texts {
        session.push(CometMessage::text(text)).unwrap();
    }
    session
}

#[test]
fn xhr_lines() {
    let (body, ended) = respond(&mut session(&["one", "two\nlines"]), 0, StreamWriter::xhr(bare()));
    assert_eq!(body, "\n{\"id\":1,\"data\":\"one\"}\n{\"id\":2,\"data\":\"two\\nlines\"}\n");
    assert!(!ended);
    let (body, _) = respond(&mut session(&[]), 0, StreamWriter::xhr(StreamOptions::new()));
    assert_eq!(body, " ".repeat(2048) + "\n", "the prelude is an empty line to a reader that trims");
}

#[test]
fn frame_scripts() {
    let callback = Callback::parse("app.news").unwrap();
    let (body, ended) = respond(&mut session(&["one"]), 0, StreamWriter::frame(callback, bare()));
    assert_eq!(
        body,
        "<!doctype html><html><head><meta charset=\"utf-8\"><title>stream</title></head><body>\n\
         <script>parent.app.news({\"id\":1,\"data\":\"one\"})</script>\n"
    );
    assert!(!ended);
    let stream = StreamWriter::frame_to("https://app.example:8443", bare().budget(1)).unwrap();
    let (body, ended) = respond(&mut session(&["one", "two"]), 0, stream);
    assert!(body.ends_with(
        "<script>parent.postMessage({\"id\":1,\"data\":\"one\"},\"https://app.example:8443\")</script>\n\
         </body></html>\n"
    ));
    assert!(ended);
    let (body, _) = respond(&mut session(&[]), 0, StreamWriter::frame(callback, StreamOptions::new()));
    assert!(body.len() > 2048 && body.ends_with(" \n"));
}

#[test]
fn script_end_injection() {
    let callback = Callback::parse("f").unwrap();
    let texts = [
        "</script>",
        "</SCRIPT >",
        "<!--<script>",
        "-->",
        "]]>",
        "&lt;",
        "\u{2028}",
        "\r\n",
        "\"})</script>",
    ];
    let (body, _) = respond(&mut session(&texts), 0, StreamWriter::frame(callback, bare()));
    let (_, scripts) = body.split_once("<body>\n").unwrap();
    for line in scripts.lines() {
        let inside = line.strip_prefix("<script>").and_then(|line| line.strip_suffix("</script>")).unwrap();
        assert!(!inside.contains(['<', '>', '&', '\u{2028}', '\r']), "{inside}");
    }
    assert_eq!(scripts.lines().count(), texts.len());
}

#[test]
fn targets_that_are_no_origin() {
    for origin in [
        "*",
        "null",
        "",
        "app.example",
        "https://app.example/",
        "https://a\"b",
        "https://a</script>",
        "https://A",
    ] {
        assert_eq!(StreamWriter::frame_to(origin, bare()).err(), Some(InvalidOrigin), "{origin}");
    }
}

#[test]
fn budget() {
    // The empty line, then 22 bytes for the event and 1 for its line end.
    let line = "{\"id\":1,\"data\":\"one\"}\n".len();
    for (budget, events) in
        [(0, 1), (1, 1), (line, 1), (line + 1, 1), (line + 2, 2), (2 * line + 1, 2), (2 * line + 2, 3)]
    {
        let (body, ended) =
            respond(&mut session(&["one", "two", "thr"]), 0, StreamWriter::xhr(bare().budget(budget)));
        assert_eq!(body.lines().count() - 1, events, "{budget}");
        assert_eq!(ended, body.len() >= budget, "{budget}");
    }
    // The padding is part of what the client keeps.
    let (body, ended) =
        respond(&mut session(&["one", "two"]), 0, StreamWriter::xhr(StreamOptions::new().budget(2048)));
    assert_eq!((body.lines().count(), ended), (2, true));
}

#[test]
fn signs_of_life_spend_the_budget_too() {
    let mut session = CometSession::new(CometOptions::new().hold(NOW), NOW);
    let _ = session.stream(0, NOW);
    let mut stream = StreamWriter::xhr(bare().budget(11));
    let mut body = Vec::new();
    stream.open(&mut body);
    let mut count = 0;
    while stream.write(&session.next_answer(NOW).unwrap(), &mut body) {
        count += 1;
    }
    assert_eq!((count, body.as_slice()), (9, &b"\n".repeat(11)[..]));
}

#[test]
fn what_a_response_had_no_room_for_comes_in_the_next() {
    let texts: Vec<String> = (1..=300).map(|number| format!("message {number}")).collect();
    let mut session = session(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut seen = Vec::new();
    let mut responses = 0;
    while seen.len() < 300 {
        let cursor = seen.len() as u64;
        let (body, ended) =
            respond(&mut session, cursor, StreamWriter::xhr(StreamOptions::new().budget(4096)));
        assert!(body.len() < 4096 + 50);
        responses += 1;
        for line in body.lines().filter(|line| !line.trim().is_empty()) {
            let (id, data) = line.strip_prefix("{\"id\":").unwrap().split_once(",\"data\":\"").unwrap();
            assert_eq!(id.parse(), Ok(seen.len() + 1));
            seen.push(data.strip_suffix("\"}").unwrap().to_owned());
        }
        assert!(ended || seen.len() == 300);
    }
    assert_eq!(seen, texts);
    assert!(responses > 3);
}

#[test]
fn lost_messages_end_the_response_with_where_to_go_on() {
    let mut session = CometSession::new(CometOptions::new().max_messages(1), NOW);
    for text in ["one", "two", "three"] {
        session.push(CometMessage::text(text)).unwrap();
    }
    let (body, ended) = respond(&mut session, 0, StreamWriter::xhr(bare()));
    assert_eq!((body.as_str(), ended), ("\n{\"cursor\":2,\"gone\":true}\n", true));
    let (body, ended) = respond(&mut session, 0, StreamWriter::frame(Callback::parse("f").unwrap(), bare()));
    assert!(
        body.ends_with("<script>parent.f({\"cursor\":2,\"gone\":true})</script>\n</body></html>\n") && ended
    );
}

#[test]
fn fields_have_no_line_ends() {
    for (name, value) in StreamWriter::XHR_FIELDS
        .iter()
        .chain(&StreamWriter::FRAME_FIELDS)
        .chain(&pushline::comet::JSON_FIELDS)
    {
        assert!(name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'));
        assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}
