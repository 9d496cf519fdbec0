//! The event source over the blocking adapter: it comes back, resumes, follows, gives up, and can be ended.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a test, not the protocol

use pushline::adapter::blocking::sse::{Error, EventSource, SourceEvent, SourceOptions, Url};
use pushline::backoff::Backoff;
use pushline::sse::{CloseReason, ReconnectPolicy};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

fn fast() -> ReconnectPolicy {
    let millisecond = Duration::from_millis(1);
    ReconnectPolicy::new()
        .first_wait(millisecond)
        .min_server_wait(millisecond)
        .backoff(Backoff::new().ceiling(8 * millisecond))
}

/// Reads a request, up to the end of its head.
fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    // Bytes left unread would reset the connection.
    let content = length.map_or(0, |length| length.parse::<u64>().unwrap());
    std::io::copy(&mut stream.take(content), &mut std::io::sink()).unwrap();
    head
}

/// Answers one connection after the other with these bytes; the requests' heads.
fn serve(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let requests = answers.into_iter().map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let head = request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
            head
        });
        requests.collect()
    });
    (url, server)
}

fn text(update: Result<SourceEvent, Error>) -> String {
    match update {
        Ok(SourceEvent::Open) => "open".into(),
        Ok(SourceEvent::Event(event)) => event.data,
        Ok(SourceEvent::Lost { error, .. }) => {
            format!("lost: {}", error.map(|e| e.to_string()).unwrap_or_default())
        }
        Ok(_) => unreachable!(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn it_resumes_and_follows() {
    let (url, server) = serve(vec![
        format!("{STREAM}id: 1\nretry: 2\ndata: a\n\ndata: cut"),
        "HTTP/1.1 307 x\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: b\n\n\r\n".into(),
        String::new(),
        "HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy".into(),
        "HTTP/1.1 204 No Content\r\n\r\n".into(),
    ]);
    let options = SourceOptions::new().policy(fast().retry_statuses(true)).field("x-a", "b").unwrap();
    let mut source = EventSource::new(&format!("{url}/a"), options).unwrap();
    let mut told = Vec::new();
    while let Some(update) = source.next() {
        told.push(text(update));
        if told.last().is_some_and(|told| told.contains("503")) {
            assert_eq!(source.refusal().unwrap().text(), "busy");
        }
    }
    assert_eq!(told[..5], ["open", "a", "lost: ", "open", "b"]);
    assert!(told[5].starts_with("lost: ") && told[5] != "lost: ", "the last chunk is missing: {told:?}");
    assert_eq!(
        told[6..],
        ["lost: the transport ended inside the response", "lost: the server answered with status 503"]
    );
    assert_eq!(source.closed(), Some(CloseReason::NoContent));
    assert_eq!((source.last_event_id(), source.url().target()), ("1", "/b"));
    let requests = server.join().unwrap();
    let has_id = |head: &String| head.contains("\r\nlast-event-id: 1\r\n");
    assert_eq!(requests.iter().map(has_id).collect::<Vec<_>>(), [false, true, true, true, true, true]);
    let line = |head: &String| head.lines().next().unwrap().to_owned();
    let lines: Vec<_> = requests.iter().map(line).collect();
    let path = |path| format!("GET {path} HTTP/1.1");
    assert_eq!(lines, [path("/a"), path("/a"), path("/b"), path("/b"), path("/b"), path("/b")]);
    assert!(requests.iter().all(|head| head.contains("\r\nx-a: b\r\n")));
}

#[test]
fn what_ends_it() {
    for (answer, error) in [
        ("HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nno", "error: the server answered with status 404"),
        ("HTTP/1.1 200 x\r\nContent-Type: text/html\r\n\r\n", "error: the response is not an event stream"),
        (
            "HTTP/1.1 302 x\r\nLocation: ftp://h/\r\n\r\n",
            "error: a redirection leads to where this client cannot follow",
        ),
    ] {
        let (url, server) = serve(vec![answer.into()]);
        let mut source = EventSource::new(&url, SourceOptions::new().policy(fast())).unwrap();
        assert_eq!(text(source.next().unwrap()), error);
        assert!(source.next().is_none());
        assert!(source.closed().is_some());
        server.join().unwrap();
    }
    // Nobody there; a POST is sent once.
    let url = format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let policy = fast().max_attempts(Some(3));
    let told: Vec<_> =
        EventSource::new(&url, SourceOptions::new().policy(policy)).unwrap().map(text).collect();
    assert_eq!((told.len(), told[2].starts_with("error: ")), (3, true), "{told:?}");
    let (url, server) = serve(vec![format!("{STREAM}data: token\n\n")]);
    let options = SourceOptions::new().policy(fast()).post("text/plain", "question");
    let told: Vec<_> = EventSource::new(&url, options).unwrap().map(text).collect();
    assert_eq!(told, ["open", "token"]);
    assert!(server.join().unwrap()[0].starts_with("POST / HTTP/1.1\r\n"));
    #[cfg(unix)]
    {
        use std::os::unix::net::UnixStream;
        let no_way = |_: &_, _| Err::<UnixStream, _>(std::io::ErrorKind::Unsupported.into());
        let url = "http://h/".parse().unwrap();
        let mut source = EventSource::with_connector(url, SourceOptions::new().policy(fast()), no_way);
        assert!(matches!(source.next(), Some(Err(Error::Io(_)))) && source.next().is_none());
    }
}

/// A server that falls silent, one that never answers, one that never reads.
#[test]
fn times() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut kept = Vec::new();
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(STREAM.as_bytes()).unwrap();
        // Comments are signs of life.
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(100));
            stream.write_all(b":\n").unwrap();
        }
        stream.write_all(b"data: alive\n\n").unwrap();
        kept.push(stream);
        for _ in 0..2 {
            kept.push(listener.accept().unwrap().0);
        }
        kept
    });
    let time = Duration::from_millis(400);
    let options = SourceOptions::new().policy(fast()).idle_timeout(Some(time)).response_timeout(time);
    let mut source = EventSource::new(&url, options.clone()).unwrap();
    assert_eq!(text(source.next().unwrap()), "open");
    assert_eq!(text(source.next().unwrap()), "alive");
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(text(source.next().unwrap()), "lost: the peer took too long");
        assert!(began.elapsed() >= time && began.elapsed() < 5 * time, "{:?}", began.elapsed());
    }
    // More than the kernel takes: the request cannot be written.
    let options = options.post("text/plain", vec![b'x'; 32 << 20]).policy(fast().replay_post(true));
    let mut source = EventSource::new(&url, options).unwrap();
    assert_eq!(text(source.next().unwrap()), "lost: the peer took too long");
    drop(server.join().unwrap());
}

#[test]
fn closed_from_another_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // While it waits for an event, for an answer, to come back; while comments pour in.
    for stage in 0..4 {
        let policy = fast().first_wait(Duration::from_secs(1000));
        let mut source = EventSource::new(&url, SourceOptions::new().policy(policy)).unwrap();
        let closer = source.closer();
        let reading = thread::spawn(move || {
            let told: Vec<_> = source.by_ref().map(text).collect();
            (told, source.closed())
        });
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        if stage != 1 {
            stream.write_all(STREAM.as_bytes()).unwrap();
        }
        let writing = stream.try_clone().unwrap();
        if stage == 2 {
            drop(stream);
        }
        drop((stage == 3).then(|| {
            let mut stream = writing;
            thread::spawn(
                move || while stream.write_all(&[b':'; 1000]).and(stream.write_all(b"\n")).is_ok() {},
            )
        }));
        thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        closer.close();
        let (told, closed) = reading.join().unwrap();
        assert!(began.elapsed() < Duration::from_secs(2), "{stage}: {:?}", began.elapsed());
        assert_eq!(closed, Some(CloseReason::Caller), "{stage} {told:?}");
        assert_eq!(told.len(), [1, 0, 2, 1][stage], "{told:?}");
    }
}

/// It waits for an event, and for the time to come back, no longer than it was told to.
#[test]
fn it_waits_no_longer_than_it_was_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let policy =
        ReconnectPolicy::new().first_wait(Duration::from_millis(300)).backoff(Backoff::new().jitter(0));
    let mut source = EventSource::new(&url, SourceOptions::new().policy(policy)).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(STREAM.as_bytes()).unwrap();
        (listener, stream)
    });
    let short = Duration::from_millis(20);
    assert!(source.next_timeout(Duration::ZERO).is_pending(), "the attempt is begun");
    let told = source.next_timeout(Duration::MAX);
    assert!(matches!(told, Poll::Ready(Some(Ok(SourceEvent::Open)))), "{told:?}");
    let (listener, mut stream) = server.join().unwrap();
    for byte in b"data: 1\n" {
        let began = Instant::now();
        stream.write_all(&[*byte]).unwrap();
        assert!(source.next_timeout(short).is_pending());
        assert!(began.elapsed() >= short && began.elapsed() < 50 * short);
    }
    stream.write_all(b"\n").unwrap();
    assert!(matches!(source.next_timeout(Duration::MAX), Poll::Ready(Some(Ok(SourceEvent::Event(_))))));
    drop(stream);
    assert!(matches!(source.next_timeout(Duration::MAX), Poll::Ready(Some(Ok(SourceEvent::Lost { .. })))));
    let began = Instant::now();
    assert!(source.next_timeout(short).is_pending());
    assert!(began.elapsed() >= short && began.elapsed() < Duration::from_millis(250));
    drop(listener);
    assert!(matches!(source.next_timeout(Duration::MAX), Poll::Ready(Some(Ok(SourceEvent::Lost { .. })))));
    source.close();
    assert!(matches!(source.next_timeout(short), Poll::Ready(None)));
}

/// An attempt goes on from call to call, each of which is as short as it is told to be, and is made once, however slow the
/// connection, the request, the answer and what a refusal says are.
#[test]
fn an_attempt_goes_on_from_call_to_call() {
    const SLOW: Duration = Duration::from_millis(400);
    const SHORT: Duration = Duration::from_millis(20);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let content = vec![b'x'; 8 << 20];
    let length = content.len() as u64;
    let server = thread::spawn(move || {
        let slowly = |mut stream: &TcpStream, parts: [&str; 2]| {
            for part in parts {
                thread::sleep(SLOW);
                stream.write_all(part.as_bytes()).unwrap();
            }
        };
        for parts in
            [["HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbu", "sy"], ["HTTP/1.1 200 OK\r\n", &STREAM[17..]]]
        {
            let (mut stream, _) = listener.accept().unwrap();
            thread::sleep(SLOW); // of the request there is more than the system takes
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            assert_eq!(std::io::copy(&mut (&stream).take(length), &mut std::io::sink()).unwrap(), length);
            slowly(&stream, parts);
        }
        listener
    });
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let connector = move |_: &Url, _| {
        thread::sleep(SLOW);
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Err(std::io::ErrorKind::ConnectionRefused.into()),
            _ => TcpStream::connect(address),
        }
    };
    let policy = fast().retry_statuses(true).replay_post(true);
    let options = SourceOptions::new().policy(policy).post("text/plain", content);
    let url: Url = format!("http://{address}/").parse().unwrap();
    let mut source = EventSource::with_connector(url, options, connector);
    let mut next = || {
        let mut calls = 0;
        loop {
            let began = Instant::now();
            let told = source.next_timeout(SHORT);
            assert!(began.elapsed() < SLOW * 3 / 4, "{:?}", began.elapsed());
            calls += 1;
            if let Poll::Ready(told) = told {
                return (told.map(text).unwrap(), calls);
            }
        }
    };
    let (told, calls) = next();
    assert!(told.starts_with("lost: ") && calls > 5, "{told} {calls}");
    let (told, calls) = next();
    assert!(told == "lost: the server answered with status 503" && calls > 20, "{told} {calls}");
    let (told, calls) = next();
    assert!(told == "open" && calls > 20, "{told} {calls}");
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    drop(server.join().unwrap());
}

/// Nobody waits for a connection that takes its time once it is closed.
#[test]
fn closed_while_it_connects() {
    let connector = |_: &Url, _| -> std::io::Result<TcpStream> {
        thread::sleep(Duration::from_secs(2));
        Err(std::io::ErrorKind::TimedOut.into())
    };
    let mut source =
        EventSource::with_connector("http://h/".parse().unwrap(), SourceOptions::new(), connector);
    let closer = source.closer();
    let began = Instant::now();
    let closing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        closer.close();
    });
    assert!(matches!(source.next_timeout(Duration::MAX), Poll::Ready(None)));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(source.closed(), Some(CloseReason::Caller));
    closing.join().unwrap();
}
