//! What each transport adds to a message: the figures of docs/transports.md.

use std::time::Duration;

use pushline::comet::jsonp::{self, Callback};
use pushline::comet::{CometMessage, CometOptions, CometSession, JSON_FIELDS, StreamOptions, StreamWriter};
use pushline::http1::chunked::ChunkedEncoder;
use pushline::http1::head::{FieldLines, write_request, write_response};
use pushline::sse::Block;
use pushline::ws::{self, Connection, Negotiated};

const TEXT: &str =
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv";
const NOW: Duration = Duration::ZERO;

/// A session with message number 14 as its only news.
fn session() -> CometSession<Duration> {
    let mut session = CometSession::new(CometOptions::new().hold(NOW), NOW);
    for _ in 0..14 {
        session.push(CometMessage::text(TEXT)).unwrap();
    }
    session
}

fn chunk(payload: &[u8]) -> usize {
    let mut out = Vec::new();
    ChunkedEncoder::chunked().put(payload, &mut out).unwrap();
    out.len()
}

fn streamed(mut stream: StreamWriter) -> usize {
    let mut session = session();
    let _ = session.stream(13, NOW);
    let mut body = Vec::new();
    assert!(stream.write(&session.next_answer(NOW).unwrap(), &mut body));
    chunk(&body)
}

fn request(query: &str) -> usize {
    let mut fields = FieldLines::new();
    fields.push("Host", "chat.example").unwrap();
    let mut out = Vec::new();
    let target = format!("/poll?session=AAAAAAAAAAAAAAAAAAAAAA&since=13{query}");
    write_request(&mut out, "GET", &target, &fields).unwrap();
    out.len()
}

fn response(status: u16, fields: &[(&str, &str)], body: &[u8]) -> usize {
    let mut lines = FieldLines::new();
    for (name, value) in fields {
        lines.push(name, value).unwrap();
    }
    if status != 204 {
        lines.push("Content-Length", body.len().to_string()).unwrap();
    }
    let mut out = Vec::new();
    write_response(&mut out, status, &lines).unwrap();
    out.len() + body.len()
}

fn polled(callback: Option<Callback<'_>>) -> usize {
    let mut session = session();
    let _ = session.poll(13, NOW);
    let answer = session.next_answer(NOW).unwrap();
    let mut body = Vec::new();
    match callback {
        Some(callback) => {
            jsonp::write(callback, &answer, &mut body);
            request("&callback=news") + response(200, &jsonp::FIELDS, &body)
        }
        None => {
            answer.write_json(&mut body);
            request("") + response(200, &JSON_FIELDS, &body)
        }
    }
}

/// What it costs to say the text, by POST or as JSONP: the request, the response, less the text.
fn posted(callback: Option<&str>) -> usize {
    let target = "/send?session=AAAAAAAAAAAAAAAAAAAAAA";
    let mut fields = FieldLines::new();
    fields.push("Host", "chat.example").unwrap();
    let mut out = Vec::new();
    match callback {
        Some(callback) => {
            write_request(&mut out, "GET", &format!("{target}&callback={callback}&text={TEXT}"), &fields)
                .unwrap();
            let script = format!("/**/{callback}({{\"status\":204}});");
            out.len() - TEXT.len() + response(200, &jsonp::FIELDS, script.as_bytes())
        }
        None => {
            fields.push("Content-Length", TEXT.len().to_string()).unwrap();
            write_request(&mut out, "POST", target, &fields).unwrap();
            out.len() + response(204, &JSON_FIELDS[1..], b"")
        }
    }
}

/// The cells of the table's row.
fn row(transport: &str) -> Vec<&'static str> {
    let table = include_str!("../docs/transports.md");
    let row = table.lines().find(|line| line.starts_with(&format!("| {transport} |"))).unwrap();
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn the_table_says_what_is_measured() {
    assert_eq!(TEXT.len(), 100);
    let mut sse = Vec::new();
    Block::new().id("e.14").data(TEXT).encode(&mut sse).unwrap();
    let mut server = Connection::server(Negotiated::default(), ws::ConnectionOptions::new());
    let mut client = Connection::client(Negotiated::default(), ws::ConnectionOptions::new(), || [1, 2, 3, 4]);
    for end in [&mut server, &mut client] {
        end.send(TEXT).unwrap();
    }
    let (down, up) = (server.queued() - 100, client.queued() - 100);
    let config = StreamOptions::new();
    let frame_to = StreamWriter::frame_to("https://chat.example", config).unwrap();
    let empty = request("") + response(204, &JSON_FIELDS[1..], b"");
    let callback = Callback::parse("news").unwrap();
    let measured = [
        ("WebSocket", format!("{down} down, {up} up")),
        ("Server-Sent Events", (chunk(&sse) - 100).to_string()),
        ("XHR streaming", (streamed(StreamWriter::xhr(config)) - 100).to_string()),
        ("iframe streaming", (streamed(frame_to) - 100).to_string()),
        ("long polling", (polled(None) - 100).to_string()),
        ("JSONP", (polled(Some(callback)) - 100).to_string()),
        ("polling", format!("{}, and {empty} each time without news", polled(None) - 100)),
    ];
    let table = include_str!("../docs/transports.md").replace('\n', " ");
    let up = [("POST", posted(None)), ("GET", posted(Some("news")))];
    for said in up.map(|(method, bytes)| format!("by {method} {bytes}")) {
        assert!(table.contains(&said), "{said}");
    }
    let said = measured.each_ref().map(|(transport, _)| (*transport, row(transport)[3].to_owned()));
    assert_eq!(said, measured);
}
