//! The client of event streams: servers that refuse, redirect, compress, ask to be asked later; requests that are answered
//! before they are read.

use pushline::adapter::tokio::sse::{Connecting, Error, EventSource, SourceEvent, SourceOptions, Url};
use pushline::backoff::Backoff;
use pushline::http1::head::BodyFraming;
use pushline::sse::{CloseReason, Method, ReconnectPolicy, SourceResponseReader};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";

/// A server in memory: answers each request with the next of these, and keeps the requests and their URLs.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<String>>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    fn new<const N: usize>(answers: [&str; N]) -> Self {
        let server = Self::default();
        server.answers.lock().unwrap().extend(answers.map(str::to_owned));
        server
    }

    fn source(&self, url: &str, options: SourceOptions) -> EventSource<DuplexStream> {
        let server = self.clone();
        let connector = move |url: &Url| -> Connecting<DuplexStream> {
            let (client, mut stream) = duplex(64 * 1024);
            let (server, url) = (server.clone(), url.to_string());
            tokio::spawn(async move {
                let mut received = Vec::new();
                while !received.windows(4).any(|four| four == b"\r\n\r\n") {
                    stream.read_buf(&mut received).await.unwrap();
                }
                server.requests.lock().unwrap().push((url, String::from_utf8(received).unwrap()));
                let answer = server.answers.lock().unwrap().pop_front().expect("one request too many");
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
            Box::pin(async move { Ok(client) })
        };
        EventSource::with_connector(Url::parse(url).unwrap(), options, connector)
    }

    fn urls(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|(url, _)| url.clone()).collect()
    }
}

fn policy() -> ReconnectPolicy {
    ReconnectPolicy::new().backoff(Backoff::new().jitter(0)).first_wait(SECOND)
}

fn retrying() -> SourceOptions {
    SourceOptions::new().policy(policy().retry_statuses(true))
}

/// HTML 9.2.3: by default each status but 200 is the end; as an option some are not.
#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_if_so_wished() {
    for (status, by_default, post) in [
        (408, true, true),
        (425, true, true),
        (429, true, true),
        (500, true, false),
        (502, true, false),
        (503, true, true),
        (599, true, false),
        (400, false, false),
        (404, false, false),
        (600, false, false),
    ] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 4\r\n\r\nbusy");
        for (options, again) in [
            (SourceOptions::new(), false),
            (retrying(), by_default),
            (retrying().post("text/plain", "x"), post),
        ] {
            let server = Server::new([&answer, &format!("{STREAM}\r\ndata: x\n\n")]);
            let mut source = server.source("http://h/", options);
            let told = source.next().await.unwrap();
            assert_eq!(source.refusal().map(|refusal| refusal.text().into_owned()), Some("busy".to_owned()));
            assert!(source.refusal().is_some_and(|refusal| refusal.status == status && refusal.is_complete));
            if again {
                let Ok(SourceEvent::Lost { error: Some(Error::Closed(CloseReason::Status(found))), wait }) =
                    told
                else {
                    panic!("{status}: {told:?}")
                };
                assert_eq!((found, wait), (status, SECOND));
                assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
                assert!(source.refusal().is_none());
            } else {
                assert!(matches!(told, Err(Error::Closed(CloseReason::Status(found))) if found == status));
                assert!(source.next().await.is_none());
            }
        }
    }
}

/// RFC 9110 10.2.3: both forms; never less than the backoff, never more than the policy's ceiling.
#[tokio::test(start_paused = true)]
async fn retry_after_is_kept_to() {
    let date = |seconds: u64| {
        // A day of 2100 and later: so far away that only the ceiling counts; one that is past.
        if seconds > 0 { "Fri, 01 Jan 2100 00:00:00 GMT" } else { "Sun, 06 Nov 1994 08:49:37 GMT" }
    };
    for (value, wait) in [
        ("7", 7),
        ("0", 1),
        ("3600", 3600),
        ("3601", 3600),
        ("99999999999999999999", 3600),
        (date(1), 3600),
        (date(0), 1),
        ("soon", 1),
        ("-5", 1),
    ] {
        let answer = format!("HTTP/1.1 503 X\r\ncontent-length: 0\r\nretry-after: {value}\r\n\r\n");
        let server = Server::new([&answer, "HTTP/1.1 204 X\r\n\r\n"]);
        let mut source = server.source("http://h/", retrying());
        let start = Instant::now();
        assert!(matches!(source.next().await, Some(Ok(SourceEvent::Lost { .. }))));
        assert!(source.next().await.is_none());
        assert_eq!(start.elapsed(), wait * SECOND, "{value}");
    }
    // Attempts that are refused count.
    let busy = "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n";
    let server = Server::new([busy, busy, busy]);
    let options = SourceOptions::new().policy(policy().retry_statuses(true).max_attempts(Some(3)));
    let mut source = server.source("http://h/", options);
    for wait in [1, 2] {
        let Some(Ok(SourceEvent::Lost { wait: found, .. })) = source.next().await else { panic!() };
        assert_eq!(found, wait * SECOND);
    }
    assert!(matches!(source.next().await, Some(Err(Error::Closed(CloseReason::Status(503))))));
    assert_eq!(source.closed(), Some(CloseReason::TooManyAttempts));
    assert!(source.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_compressed_stream_is_an_error() {
    for (fields, is_error) in [
        ("content-encoding: gzip\r\n", true),
        ("Content-Encoding: identity, br\r\n", true),
        ("content-encoding: identity\r\ncontent-encoding: zstd\r\n", true),
        ("content-encoding: IDENTITY\r\n", false),
        ("content-encoding: ,\r\n", false),
        ("", false),
    ] {
        let server = Server::new([&*format!("{STREAM}{fields}\r\n\x1f")]);
        let mut source = server.source("http://h/", SourceOptions::new());
        let told = source.next().await.unwrap();
        if is_error {
            assert!(matches!(told, Err(Error::Closed(CloseReason::ContentEncoding))), "{fields}: {told:?}");
            assert!(source.next().await.is_none());
        } else {
            assert!(matches!(told, Ok(SourceEvent::Open)), "{fields}: {told:?}");
        }
        assert!(server.requests.lock().unwrap()[0].1.contains("\r\naccept-encoding: identity\r\n"));
    }
}

/// After a loss the redirected URL is asked again; what it was redirected with is mended.
#[tokio::test(start_paused = true)]
async fn redirections_stay() {
    let server = Server::new([
        "HTTP/1.1 302 X\r\nlocation: /a b|{c}\u{e9}100%?x y\r\n\r\n",
        &format!("{STREAM}\r\ndata: x\n\n"),
        "HTTP/1.1 307 X\r\nlocation: //other/\r\n\r\n",
        &format!("{STREAM}\r\ndata: x\n\n"),
        "HTTP/1.1 204 X\r\n\r\n",
    ]);
    let mut source = server.source("http://h/first", SourceOptions::new().policy(policy()));
    while let Some(update) = source.next().await {
        update.unwrap();
    }
    let mended = "http://h/a%20b%7C%7Bc%7D%C3%A9100%25?x%20y";
    assert_eq!(server.urls(), ["http://h/first", mended, mended, "http://other/", "http://other/"]);
    assert_eq!(source.url().to_string(), "http://other/");

    // A POST that was made a GET stays one, and can be repeated.
    let server = Server::new([
        "HTTP/1.1 303 X\r\nlocation: /result\r\n\r\n",
        &format!("{STREAM}\r\ndata: x\n\n"),
        "HTTP/1.1 204 X\r\n\r\n",
    ]);
    let options = SourceOptions::new().policy(policy()).post("text/plain", "x");
    let mut source = server.source("http://h/", options);
    while let Some(update) = source.next().await {
        update.unwrap();
    }
    let methods: Vec<_> =
        server.requests.lock().unwrap().iter().map(|(_, request)| request[..4].to_owned()).collect();
    assert_eq!(methods, ["POST", "GET ", "GET "]);
}

/// The body of a refusal, at its limit, cut, and from a server that never ends it.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_handed_out() {
    for (head, body, text, is_complete) in [
        ("content-length: 8\r\n", "no model", "no model", true),
        ("content-length: 9\r\n", "no model", "no model", false),
        ("content-length: 10\r\n", "no model!!", "no model!", false),
        ("transfer-encoding: chunked\r\n", "2\r\nno\r\n0\r\n\r\n", "no", true),
        ("", "no model!", "no model!", true),
        ("content-type: text/html\r\ncontent-length: 0\r\n", "", "", true),
    ] {
        let server = Server::new([&*format!("HTTP/1.1 400 X\r\n{head}\r\n{body}")]);
        let mut source = server.source("http://h/", SourceOptions::new().max_refusal(9));
        assert!(matches!(source.next().await, Some(Err(Error::Closed(CloseReason::Status(400))))));
        let refusal = source.refusal().unwrap();
        assert_eq!((&*refusal.text(), refusal.is_complete), (text, is_complete));
        assert_eq!(refusal.content_type.is_some(), head.starts_with("content-type"));
        assert!(source.next().await.is_none());
    }
    let silent = |_: &Url| -> Connecting<DuplexStream> {
        let (client, mut server) = duplex(1024);
        Box::pin(async move {
            server.write_all(b"HTTP/1.1 200 X\r\ncontent-type: text/html\r\n\r\n<p>").await?;
            std::mem::forget(server);
            Ok(client)
        })
    };
    let mut source =
        EventSource::with_connector(Url::parse("http://h/").unwrap(), SourceOptions::new(), silent);
    let start = Instant::now();
    assert!(matches!(source.next().await, Some(Err(Error::Closed(CloseReason::ContentType)))));
    assert_eq!(start.elapsed(), 60 * SECOND);
    assert!(source.refusal().is_some_and(|refusal| refusal.body == b"<p>" && !refusal.is_complete));
}

/// RFC 9112 9.5: an answer that comes while the request is still being written counts, whether or not the server reads on.
#[tokio::test(start_paused = true)]
async fn an_early_answer_is_read() {
    for closes in [false, true] {
        let early = move |_: &Url| -> Connecting<DuplexStream> {
            let (client, mut server) = duplex(1024);
            tokio::spawn(async move {
                server.read_exact(&mut [0; 100]).await.unwrap();
                server.write_all(b"HTTP/1.1 413 X\r\ncontent-length: 9\r\n\r\ntoo large").await.unwrap();
                if !closes {
                    tokio::time::sleep(1000 * SECOND).await;
                }
            });
            Box::pin(async move { Ok(client) })
        };
        let options = SourceOptions::new().post("text/plain", vec![b'x'; 1 << 20]);
        let mut source = EventSource::with_connector(Url::parse("http://h/").unwrap(), options, early);
        let told = timeout(SECOND, source.next()).await.unwrap();
        assert!(matches!(told, Some(Err(Error::Closed(CloseReason::Status(413))))), "{told:?}");
        assert_eq!(source.refusal().unwrap().text(), "too large");
    }
}

/// A server that accepts and drops for ever is not asked in a tight loop.
#[tokio::test(start_paused = true)]
async fn a_server_that_drops_is_waited_for() {
    let attempts = Arc::new(Mutex::new(0));
    let counted = attempts.clone();
    let dropping = move |_: &Url| -> Connecting<DuplexStream> {
        *counted.lock().unwrap() += 1;
        Box::pin(async { Ok(duplex(64).0) })
    };
    let url = Url::parse("http://h/").unwrap();
    let mut source = EventSource::with_connector(url, SourceOptions::new(), dropping);
    let asking = async { while source.next().await.is_some() {} };
    assert!(timeout(3600 * SECOND, asking).await.is_err());
    let attempts = *attempts.lock().unwrap();
    assert!((30..80).contains(&attempts), "{attempts}");
}

/// The head of an answer, whole and byte by byte; sixteen of class 1xx are passed over, one more is the answer.
#[test]
fn interim_answers_are_passed_over() {
    for (count, status) in [(0, 200), (15, 200), (16, 200), (17, 103)] {
        let wire = ["HTTP/1.1 103 X\r\na: b\r\n\r\n".repeat(count), format!("{STREAM}\r\ndata: x")].concat();
        for size in [1, 7, 10_000] {
            let mut reader = SourceResponseReader::new(Method::Get);
            let mut found = None;
            for piece in wire.as_bytes().chunks(size) {
                reader.receive(piece);
                if found.is_none() {
                    found = reader.next().unwrap();
                }
            }
            let found = found.unwrap();
            assert_eq!(found.status, status, "{count}");
            if status == 200 {
                assert_eq!((found.body, reader.received()), (BodyFraming::UntilClose, &b"data: x"[..]));
            }
        }
    }
}
