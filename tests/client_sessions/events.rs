//! The clients of event streams: over tokio, over threads, and over the body of somebody else's HTTP client.

use crate::scripted::{Scripted, field};
use pushline::adapter::sse::{SourceEvent, SourceOptions};
use pushline::adapter::tokio::sse::EventStreamExt;
use pushline::adapter::{blocking, tokio as over_tokio};
use pushline::backoff::Backoff;
use pushline::sse::{EventLimits, ReconnectPolicy};
use std::fmt::Display;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MILLISECOND: Duration = Duration::from_millis(1);
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// It comes back after 10 ms, and waits for nobody longer than 50.
fn policy() -> ReconnectPolicy {
    ReconnectPolicy::new()
        .first_wait(10 * MILLISECOND)
        .min_server_wait(5 * MILLISECOND)
        .max_server_wait(50 * MILLISECOND)
        .backoff(Backoff::new().ceiling(20 * MILLISECOND).jitter(0))
}

fn words<E: Display>(update: Result<SourceEvent, E>) -> String {
    match update {
        Ok(SourceEvent::Open) => "open".into(),
        Ok(SourceEvent::Event(event)) if event.data.len() > 100 => format!("event of {}", event.data.len()),
        Ok(SourceEvent::Event(event)) => {
            format!("{} {} #{}", event.event, event.data, event.id)
        }
        Ok(SourceEvent::Lost { error: Some(error), wait }) => {
            format!("lost for {}: {error}", wait.as_millis().div_ceil(5) * 5)
        }
        Ok(SourceEvent::Lost { wait, .. }) => format!("lost for {}", wait.as_millis().div_ceil(5) * 5),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

/// Hears until the end, on a thread of its own.
fn begin(threads: bool, url: &str, options: SourceOptions) -> JoinHandle<Vec<String>> {
    let url = url.to_owned();
    std::thread::spawn(move || {
        if threads {
            return blocking::sse::EventSource::new(&url, options).unwrap().map(words).collect();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut source = over_tokio::sse::EventSource::new(&url, options).unwrap();
            let mut seen = Vec::new();
            while let Some(update) = source.next().await {
                seen.push(words(update));
            }
            seen
        })
    })
}

/// Answers one connection after the other, in pieces of so many bytes, and then with 204: what the client saw, and what it
/// asked.
fn talk(threads: bool, options: SourceOptions, answers: &[&str], piece: usize) -> (Vec<String>, Vec<String>) {
    let server = Scripted::start();
    let here = server.address.to_string();
    let seen = begin(threads, &server.url("http"), options);
    let mut heads = Vec::new();
    for answer in answers.iter().chain(&["HTTP/1.1 204 No Content\r\n\r\n"]) {
        let mut peer = loop {
            match server.try_accept() {
                Some(peer) => break peer,
                None if seen.is_finished() => return (seen.join().unwrap(), heads),
                None => std::thread::sleep(MILLISECOND),
            }
        };
        heads.push(peer.request().0);
        answer.replace("HERE", &here).as_bytes().chunks(piece).for_each(|piece| peer.send(piece));
        peer.end();
        peer.rest();
    }
    (seen.join().unwrap(), heads)
}

/// One stream: what comes of it between being opened and lost.
#[test]
fn streams() {
    let limits = EventLimits::new().max_event(200).max_id(10);
    let long = format!("data: {}\n\n", "x".repeat(190));
    let over = format!("data: {}\n\ndata: on\n\n", "x".repeat(300));
    let endless = "x".repeat(300);
    let comments = ": nothing\n".repeat(3000);
    for (body, seen, id) in [
        ("", &[][..], None),
        (&comments, &[], None),
        ("data: a", &[], None),
        ("data: a\n", &[], None),
        ("id: 7\ndata: a\n", &[], None),
        ("data: a\n\n", &["message a #"], None),
        ("data: a\r\rdata: b\r\n\r\n", &["message a #", "message b #"], None),
        ("\u{feff}data: a\n\n", &["message a #"], None),
        ("\u{feff}\u{feff}data: a\n\ndata: b\n\n", &["message b #"], None),
        ("id: 1\n\n", &[], Some("1")),
        ("id: 1\ndata: a\n\nid: 2\ndata: cut", &["message a #1"], Some("1")),
        ("id: 1\ndata: a\n\nid\ndata: b\n\n", &["message a #1", "message b #"], None),
        ("id: 1\0\ndata: a\n\n", &["message a #"], None),
        ("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n", &["message a #1", "message b #1"], Some("1")),
        ("id:  \u{e9} \ndata: a\n\n", &["message a # \u{e9} "], Some("\u{e9}")),
        ("id: 0123456789\ndata: a\n\n", &["message a #0123456789"], Some("0123456789")),
        ("id: 1\ndata: a\n\nid: 0123456789A\ndata: b\n\n", &["message a #1", "error: "], Some("1")),
        ("event: x\ndata: a\n\ndata: b\n\n", &["x a #", "message b #"], None),
        (&long, &["event of 190"], None),
        (&over, &["error: ", "message on #"], None),
        (&endless, &["error: "], None),
    ] {
        for threads in [false, true] {
            for piece in [1, 1 << 20] {
                if piece == 1 && body.len() > 1000 {
                    continue;
                }
                let options = SourceOptions::new().policy(policy()).limits(limits);
                let (told, heads) = talk(threads, options, &[&format!("{STREAM}{body}")], piece);
                let told: Vec<_> = told.iter().map(String::as_str).collect();
                let ["open", events @ .., "lost for 10"] = &told[..] else { panic!("{body:?}: {told:?}") };
                let is_as = |(told, seen): (&&str, &&str)| {
                    told == seen || *seen == "error: " && told.starts_with(seen)
                };
                assert!(
                    events.len() == seen.len() && events.iter().zip(seen).all(is_as),
                    "{body:?}: {events:?}"
                );
                // What it has seen whole is what it asks for to go on behind.
                assert_eq!(field(&heads[0], "last-event-id"), None);
                assert_eq!(field(&heads[1], "last-event-id"), id, "{body:?}");
            }
        }
    }
}

/// The time that the server sets, within bounds; what is none changes nothing.
#[test]
fn the_time_to_wait() {
    for (retry, wait) in [
        ("0", 5),
        ("4", 5),
        ("30", 30),
        ("50", 50),
        ("51", 50),
        ("1000000000000000000", 50),
        ("99999999999999999999999999999999", 50),
        ("-1", 10),
        ("+30", 10),
        ("30.0", 10),
        ("3e1", 10),
        (" 30", 10),
        ("", 10),
    ] {
        for threads in [false, true] {
            let stream = format!("{STREAM}retry: {retry}\n\n");
            let (seen, _) = talk(threads, SourceOptions::new().policy(policy()), &[&stream], 1 << 20);
            assert_eq!(seen, ["open".to_owned(), format!("lost for {wait}")], "{retry:?}");
        }
    }
}

/// Responses that are no streams, and what follows: each is told once, and the client comes back or does not.
#[test]
fn responses() {
    let end = "\r\nContent-Length: 0\r\n\r\n";
    let no_stream = "error: the response is not an event stream";
    let again = |status: u16| format!("lost for 10: the server answered with status {status}");
    let over = |status: u16| format!("error: the server answered with status {status}");
    let abort = "lost for 10: the transport ended inside the response".to_owned();
    let astray = "error: a redirection leads to where this client cannot follow".to_owned();
    let moved = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}{end}");
    for (answer, seen) in [
        (format!("HTTP/1.1 200 OK\r\nContent-Type: text/html{end}"), no_stream.to_owned()),
        (format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-streams{end}"), no_stream.to_owned()),
        (format!("HTTP/1.1 200 OK{end}"), no_stream.to_owned()),
        (format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream, text/html{end}"), no_stream.to_owned()),
        (
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: br{end}"),
            "error: the response is compressed".to_owned(),
        ),
        (format!("HTTP/1.1 401 No{end}"), over(401)),
        (format!("HTTP/1.1 407 No{end}"), over(407)),
        (format!("HTTP/1.1 206 Some\r\nContent-Type: text/event-stream{end}"), over(206)),
        (
            format!("HTTP/1.1 429 Wait\r\nRetry-After: 9{end}"),
            "lost for 50: the server answered with status 429".into(),
        ),
        (format!("HTTP/1.1 503 Busy\r\nRetry-After: 0{end}"), again(503)),
        (format!("HTTP/1.1 503 Busy\r\nRetry-After: soon{end}"), again(503)),
        (
            format!("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999999{end}"),
            "lost for 50: the server answered with status 503".into(),
        ),
        (format!("HTTP/1.1 503 Busy\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT{end}"), again(503)),
        (
            format!("HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT{end}"),
            "lost for 50: the server answered with status 503".into(),
        ),
        (String::new(), abort.clone()),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n".into(), abort),
        (moved(""), over(302)),
        (moved("ws://HERE/"), astray.clone()),
        (moved("ftp://HERE/"), astray.clone()),
        (moved("file:///etc/passwd"), astray.clone()),
        (moved("javascript:alert(1)"), astray.clone()),
        (moved("http://u:p@HERE/"), astray.clone()),
        (moved("http://:80/"), astray.clone()),
        (moved("http://HERE:99999/"), astray),
        (format!("HTTP/1.1 302 Found{end}"), over(302)),
        (format!("HTTP/1.1 304 Same\r\nLocation: /{end}"), over(304)),
        (format!("HTTP/1.1 300 Many\r\nLocation: /{end}"), over(300)),
    ] {
        for threads in [false, true] {
            let options = SourceOptions::new().policy(policy().retry_statuses(true));
            let (told, heads) = talk(threads, options, &[&answer], 1 << 20);
            if answer.contains("Location: \r\n") {
                // To where it is: it asks again, and is told that there is nothing.
                assert_eq!((told.len(), heads.len()), (0, 2), "{told:?}");
                continue;
            }
            assert_eq!(told, std::slice::from_ref(&seen), "{}", answer.escape_debug());
            assert_eq!(heads.len(), 1 + usize::from(seen.starts_with("lost")), "{}", answer.escape_debug());
        }
    }
}

/// A line of a response's head that is wrong is the end of the attempt, and told as that.
#[test]
fn heads_that_are_none() {
    for head in [
        "220 smtp.example ESMTP\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Type: text/event-stream\n\n",
        "HTTP/1.1 200 OK\r\nContent-Type : text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\n Content-Type: text/event-stream\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        "HTTP/9.9 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    ] {
        for threads in [false, true] {
            let (seen, heads) = talk(threads, SourceOptions::new().policy(policy()), &[head], 1 << 20);
            assert!(matches!(&seen[..], [lost] if lost.starts_with("lost for 10: ")), "{head:?} {seen:?}");
            assert_eq!(heads.len(), 2);
        }
    }
}

/// Redirections at their limit; relative ones; to another origin, without what only the first may know.
#[test]
fn redirections() {
    let moved = |to: &str| format!("HTTP/1.1 307 Moved\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    for threads in [false, true] {
        for (count, is_over) in [(2, false), (3, false), (4, true)] {
            let hop = moved("/again");
            let options = SourceOptions::new().policy(policy().max_redirects(3));
            let (seen, heads) = talk(threads, options, &vec![&*hop; count], 1 << 20);
            let error: &[&str] = if is_over { &["error: too many redirections"] } else { &[] };
            assert_eq!(seen, error, "{count}");
            assert_eq!(heads.len(), if is_over { 4 } else { count + 1 });
            assert!(heads[1..].iter().all(|head| head.starts_with("GET /again HTTP/1.1\r\n")));
        }
        let options = SourceOptions::new().policy(policy()).field("authorization", "Bearer secret").unwrap();
        let options = options.field("Cookie", "secret").unwrap().field("x-own", "kept").unwrap();
        let (seen, heads) = talk(
            threads,
            options,
            &[&moved("a/b?c"), &moved("../d"), &moved("//HERE/e#f"), &format!("{STREAM}id: 1\ndata: a\n\n")],
            1 << 20,
        );
        assert_eq!(seen, ["open", "message a #1", "lost for 10"]);
        let lines: Vec<_> = heads.iter().map(|head| head.lines().next().unwrap()).collect();
        assert_eq!(lines, ["/", "/a/b?c", "/d", "/e", "/e"].map(|path| format!("GET {path} HTTP/1.1")));
        assert!(heads.iter().all(|head| head.matches("secret").count() == 2));

        // Elsewhere.
        let (first, other) = (Scripted::start(), Scripted::start());
        let options = SourceOptions::new().policy(policy()).field("authorization", "Bearer secret").unwrap();
        let options = options.field("Cookie", "secret").unwrap().field("x-own", "kept").unwrap();
        let seen = begin(threads, &first.url("http"), options);
        let mut peer = first.accept();
        assert_eq!(peer.head().matches("secret").count(), 2);
        peer.send(moved(&other.url("http")));
        let mut peer = other.accept();
        let head = peer.head();
        assert!(!head.contains("secret") && field(&head, "x-own") == Some("kept"), "{head}");
        // And back.
        peer.send(moved(&first.url("http")));
        let mut peer = first.accept();
        assert_eq!(peer.head().matches("secret").count(), 2);
        peer.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert!(seen.join().unwrap().is_empty());
    }
}

/// Servers that never come to an end, fast and slowly: by their bytes or the client's time they do.
#[test]
fn servers_without_an_end() {
    let refusal = "HTTP/1.1 500 No\r\n\r\n";
    for threads in [false, true] {
        for (first, again, pause, expected) in [
            ("", "HTTP/1.1 102 Wait\r\n\r\n", 0, "error: the server answered with status 102"),
            ("HTTP/1.1 200 OK\r\nX: ", "y", 0, "lost for 10: "),
            ("HTTP/1.1 200 OK\r\n", "X: y\r\n", 0, "lost for 10: "),
            (refusal, "no", 0, "error: the server answered with status 500"),
            ("", "", 30, "lost for 10: the peer took too long"),
            ("HTTP/1.1 200 OK\r\nX: ", "y", 30, "lost for 10: the peer took too long"),
            (refusal, "no", 30, "error: the server answered with status 500"),
            // Silence behind the head.
            (STREAM, "", 30, "open"),
        ] {
            let server = Scripted::start();
            let time = if pause > 0 { 300 * MILLISECOND } else { 20_000 * MILLISECOND };
            let options = SourceOptions::new().policy(policy()).response_timeout(time);
            let began = Instant::now();
            let seen = begin(threads, &server.url("http"), options.idle_timeout(Some(time)));
            let mut peer = server.accept();
            peer.head();
            peer.send(first);
            let mut second = None;
            while !seen.is_finished() && second.is_none() && began.elapsed() < 15_000 * MILLISECOND {
                peer.send(if pause > 0 { again.to_owned() } else { again.repeat(50) });
                std::thread::sleep(pause * MILLISECOND);
                second = server.try_accept();
            }
            if let Some(mut second) = second {
                second.head();
                second.send("HTTP/1.1 204 No Content\r\n\r\n");
            } else {
                assert!(seen.is_finished(), "{threads} {first:?}");
            }
            let seen = seen.join().unwrap();
            assert!(seen[0].starts_with(expected), "{threads} {first:?} {seen:?}");
            if expected == "open" {
                assert_eq!(seen[1..], ["lost for 10: the peer took too long"]);
            } else {
                assert_eq!(seen.len(), 1, "{seen:?}");
            }
        }
    }
}

/// Over the pieces of a body: whatever they are, an end within an event is none.
#[test]
fn a_body_of_somebody_elses() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body = "\u{feff}: hi\nid: 1\ndata: a\n\ndata: \u{1f600}\n\nid: 2\ndata: cut";
    for piece in 1..=body.len() {
        let pieces =
            body.as_bytes().chunks(piece).flat_map(|piece| [Ok::<_, std::io::Error>(piece), Ok(&[])]);
        let mut events = futures_util::stream::iter(pieces).eventsource();
        let seen = runtime.block_on(async {
            let mut seen = Vec::new();
            while let Some(event) = events.next().await {
                let event = event.unwrap();
                seen.push((event.data, event.id.to_string()));
            }
            seen
        });
        assert_eq!(seen, [("a", "1"), ("\u{1f600}", "1")].map(|(data, id)| (data.into(), id.into())));
        assert_eq!(events.last_event_id(), "1", "{piece}");
    }
}
