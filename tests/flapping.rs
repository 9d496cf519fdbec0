//! Clients that come back, against servers that flap: they accept and cut, say nothing, refuse, redirect in circles, cut heads,
//! flood. How often they are asked is what the policy says, each wait ends, and no attempt takes longer than its time.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // sockets, threads and a clock

use pushline::adapter::blocking::sse as blocking;
use pushline::adapter::sse::{SourceEvent, SourceOptions};
use pushline::adapter::tokio::sse::EventSource;
use pushline::adapter::tokio::{ReconnectEvent, ReconnectOptions, Reconnecting};
use pushline::adapter::{Error, Options};
use pushline::backoff::Backoff;
use pushline::sse::ReconnectPolicy;
use pushline::ws::handshake::{ClientOptions, ServerOptions, accept};
use pushline::ws::redial::RedialPolicy;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How a server serves each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flap {
    Cut,
    Reset,
    Silent,
    /// Half of the head, then the end; or nothing more.
    CutHead,
    HalfHead,
    /// The head a byte at a time, never whole.
    TrickledHead,
    FloodOfInterims,
    EndlessHead,
    /// Open, and the end at once.
    OpenAndCut,
    OpenAndReset,
    /// 503 with a body that never ends: a flood, a trickle.
    BusyFlood,
    BusyTrickle,
    /// 503, and when to come again in seconds.
    Busy(u64),
    Redirect,
    /// Each redirection leads further.
    RedirectOn,
}

/// Whether it speaks WebSocket.
fn serve(flap: Flap, websocket: bool) -> (String, Arc<Mutex<Vec<Instant>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if websocket { "ws" } else { "http" };
    let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
    let times = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&times);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            told.lock().unwrap().push(Instant::now());
            thread::spawn(move || answer(stream, flap, websocket));
        }
    });
    (url, times)
}

/// Its errors are those of a client that is gone.
fn answer(mut stream: TcpStream, flap: Flap, websocket: bool) -> Option<()> {
    let reset = |stream: &TcpStream| socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    match flap {
        Flap::Cut => return None,
        Flap::Reset => {
            reset(&stream);
            return None;
        }
        _ => {}
    }
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        request.push(byte[0]);
    }
    let open = if websocket {
        let text = String::from_utf8_lossy(&request).into_owned();
        let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap().to_owned();
        let fields = [
            ("host", &b"h"[..]),
            ("upgrade", b"websocket"),
            ("connection", b"upgrade"),
            ("sec-websocket-version", b"13"),
            ("sec-websocket-key", key.as_bytes()),
        ];
        accept(&ServerOptions::new(), "GET", fields).unwrap().to_bytes()
    } else {
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_vec()
    };
    let hang = |mut stream: TcpStream| stream.read(&mut [0]).ok().map(drop);
    match flap {
        Flap::Cut | Flap::Reset => {}
        Flap::Silent => return hang(stream),
        Flap::CutHead => stream.write_all(&open[..30]).ok()?,
        Flap::HalfHead => {
            stream.write_all(&open[..30]).ok()?;
            return hang(stream);
        }
        Flap::TrickledHead => {
            for byte in open[..30].iter().chain(std::iter::repeat(&b'x')) {
                stream.write_all(&[*byte]).ok()?;
                thread::sleep(millis(5));
            }
        }
        Flap::FloodOfInterims => loop {
            stream.write_all(&b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)).ok()?;
        },
        Flap::EndlessHead => {
            stream.write_all(b"HTTP/1.1 503 x\r\n").ok()?;
            loop {
                stream.write_all(&b"x-more: and more\r\n".repeat(100)).ok()?;
            }
        }
        Flap::OpenAndCut => stream.write_all(&open).ok()?,
        Flap::OpenAndReset => {
            stream.write_all(&open).ok()?;
            thread::sleep(millis(5));
            reset(&stream);
        }
        Flap::BusyFlood | Flap::BusyTrickle => {
            stream.write_all(b"HTTP/1.1 503 x\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
            loop {
                let (chunk, pause) =
                    if flap == Flap::BusyFlood { (1000, Duration::ZERO) } else { (1, millis(5)) };
                stream.write_all(format!("{chunk:x}\r\n{}\r\n", "x".repeat(chunk)).as_bytes()).ok()?;
                thread::sleep(pause);
            }
        }
        Flap::Busy(seconds) => {
            let head = format!("HTTP/1.1 503 x\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).ok()?;
        }
        Flap::Redirect => {
            stream.write_all(b"HTTP/1.1 302 x\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").ok()?;
        }
        Flap::RedirectOn => {
            let further = "further/".repeat(500);
            let head = format!("HTTP/1.1 302 x\r\nlocation: {further}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).ok()?;
        }
    }
    Some(())
}

/// The shortest time of an attempt, and the waits between them.
const FIRST: Duration = millis(20);
const CEILING: Duration = millis(160);
/// What one attempt may take.
const ATTEMPT: Duration = millis(100);
const WATCHED: Duration = millis(1200);

fn backoff() -> Backoff {
    Backoff::new().ceiling(CEILING).jitter(0)
}

/// How many attempts there are in that time at the most, each of which takes no time.
fn most(doubles: bool) -> usize {
    let (mut at, mut wait, mut attempts) = (Duration::ZERO, FIRST, 1);
    while at < WATCHED {
        at += wait;
        attempts += 1;
        wait = if doubles { (wait * 2).min(CEILING) } else { wait };
    }
    attempts
}

/// How often it was asked, and the waits that were told.
fn check(flap: Flap, attempts: usize, waits: &[Duration]) {
    assert!(attempts <= most(doubles(flap)), "{flap:?}: {attempts} attempts");
    let mut expected = FIRST;
    for wait in waits {
        assert!(*wait <= expected, "{flap:?}: {waits:?}");
        expected = if doubles(flap) { (expected * 2).min(CEILING) } else { FIRST };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_client() {
    let mut all = Vec::new();
    for flap in [
        Flap::Cut,
        Flap::Reset,
        Flap::Silent,
        Flap::CutHead,
        Flap::HalfHead,
        Flap::TrickledHead,
        Flap::OpenAndCut,
        Flap::OpenAndReset,
        Flap::BusyFlood,
        Flap::BusyTrickle,
    ] {
        all.push(tokio::spawn(async move {
            let (url, times) = serve(flap, true);
            let policy = RedialPolicy::new().first_wait(FIRST).backoff(backoff()).busy_wait(Duration::ZERO);
            let options = Options::new().handshake_timeout(ATTEMPT);
            let mut client = Reconnecting::new(
                &url,
                ClientOptions::new(),
                options,
                ReconnectOptions::new().policy(policy),
            )
            .unwrap();
            let (began, mut waits) = (Instant::now(), Vec::new());
            while began.elapsed() < WATCHED {
                let asked = Instant::now();
                match client.next().await {
                    Some(Ok(ReconnectEvent::Lost { wait, loss, unsent })) => {
                        assert!(unsent.is_empty(), "{flap:?} {loss}");
                        waits.push(wait);
                    }
                    Some(Ok(event)) => assert!(matches!(event, ReconnectEvent::Open), "{flap:?}: {event:?}"),
                    other => panic!("{flap:?}: {other:?}"),
                }
                assert!(asked.elapsed() < Duration::from_secs(30), "{flap:?}");
            }
            // One that was not open for long has failed, too.
            let attempts = times.lock().unwrap().len();
            check(if doubles(flap) { flap } else { Flap::Cut }, attempts, &waits);
        }));
    }
    // These end it: no such server is asked twice.
    for flap in [Flap::Redirect, Flap::RedirectOn, Flap::EndlessHead, Flap::FloodOfInterims] {
        all.push(tokio::spawn(async move {
            let (url, times) = serve(flap, true);
            let options = Options::new().handshake_timeout(Duration::from_secs(30));
            let mut client =
                Reconnecting::new(&url, ClientOptions::new(), options, ReconnectOptions::new()).unwrap();
            assert!(matches!(client.next().await, Some(Err(_))), "{flap:?}");
            assert!(client.next().await.is_none());
            assert_eq!(times.lock().unwrap().len(), 1);
        }));
    }
    for (asked, wait) in [(0, FIRST), (2, Duration::from_secs(2)), (99_999_999, Duration::from_secs(5))] {
        let (url, _) = serve(Flap::Busy(asked), true);
        let policy = RedialPolicy::new()
            .first_wait(FIRST)
            .backoff(backoff())
            .busy_wait(Duration::ZERO)
            .max_server_wait(Duration::from_secs(5));
        let reconnect = ReconnectOptions::new().policy(policy);
        let mut client = Reconnecting::new(&url, ClientOptions::new(), Options::new(), reconnect).unwrap();
        let Some(Ok(ReconnectEvent::Lost { wait: told, .. })) = client.next().await else {
            panic!("{asked}")
        };
        assert_eq!(told, wait);
    }
    for one in all {
        one.await.unwrap();
    }
}

/// Of what a source tells, how long it waits.
fn told(flap: Flap, event: Option<Result<SourceEvent, pushline::adapter::sse::Error>>) -> Option<Duration> {
    match event {
        Some(Ok(SourceEvent::Open)) => None,
        Some(Ok(SourceEvent::Lost { wait, .. })) => Some(wait),
        other => panic!("{flap:?}: {other:?}"),
    }
}

fn source_options() -> SourceOptions {
    let policy = ReconnectPolicy::new().first_wait(FIRST).backoff(backoff()).retry_statuses(true);
    SourceOptions::new().policy(policy).connect_timeout(ATTEMPT).response_timeout(ATTEMPT)
}

const SOURCES: [Flap; 11] = [
    Flap::Cut,
    Flap::Reset,
    Flap::Silent,
    Flap::CutHead,
    Flap::HalfHead,
    Flap::TrickledHead,
    Flap::OpenAndCut,
    Flap::OpenAndReset,
    Flap::BusyFlood,
    Flap::BusyTrickle,
    Flap::EndlessHead,
];

/// What ends it, after so many connections: twenty redirections, sixteen interim answers.
const ENDS: [(Flap, usize); 3] = [(Flap::Redirect, 21), (Flap::RedirectOn, 21), (Flap::FloodOfInterims, 1)];

/// A stream that was open begins anew with the first wait (HTML 9.2.3).
fn doubles(flap: Flap) -> bool {
    !matches!(flap, Flap::OpenAndCut | Flap::OpenAndReset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source() {
    let mut all = Vec::new();
    for flap in SOURCES {
        all.push(tokio::spawn(async move {
            let (url, times) = serve(flap, false);
            let mut source = EventSource::new(&url, source_options()).unwrap();
            let (began, mut waits) = (Instant::now(), Vec::new());
            while began.elapsed() < WATCHED {
                let asked = Instant::now();
                waits.extend(told(flap, source.next().await));
                assert!(asked.elapsed() < Duration::from_secs(30), "{flap:?}");
            }
            check(flap, times.lock().unwrap().len(), &waits);
        }));
    }
    for (flap, most) in ENDS {
        let (url, times) = serve(flap, false);
        let options = source_options().response_timeout(Duration::from_secs(30));
        let mut source = EventSource::new(&url, options).unwrap();
        assert!(source.next().await.unwrap().is_err(), "{flap:?}");
        assert!(source.next().await.is_none());
        assert_eq!(times.lock().unwrap().len(), most, "{flap:?}");
    }
    for one in all {
        one.await.unwrap();
    }
}

#[test]
fn an_event_source_on_a_thread() {
    thread::scope(|scope| {
        for flap in SOURCES {
            scope.spawn(move || {
                let (url, times) = serve(flap, false);
                let mut source = blocking::EventSource::new(&url, source_options()).unwrap();
                let (began, mut waits) = (Instant::now(), Vec::new());
                while began.elapsed() < WATCHED {
                    let asked = Instant::now();
                    waits.extend(told(flap, source.next()));
                    assert!(asked.elapsed() < Duration::from_secs(30), "{flap:?}");
                }
                check(flap, times.lock().unwrap().len(), &waits);
            });
        }
        for (flap, most) in ENDS {
            scope.spawn(move || {
                let (url, times) = serve(flap, false);
                let options = source_options().response_timeout(Duration::from_secs(30));
                let mut source = blocking::EventSource::new(&url, options).unwrap();
                assert!(source.next().unwrap().is_err(), "{flap:?}");
                assert!(source.next().is_none());
                assert_eq!(times.lock().unwrap().len(), most, "{flap:?}");
            });
        }
        // An attempt on a thread ends in its time, too.
        for flap in [
            Flap::Silent,
            Flap::HalfHead,
            Flap::TrickledHead,
            Flap::BusyFlood,
            Flap::BusyTrickle,
            Flap::FloodOfInterims,
        ] {
            scope.spawn(move || {
                let (url, _) = serve(flap, true);
                let options = Options::new().handshake_timeout(ATTEMPT);
                let began = Instant::now();
                let error =
                    pushline::adapter::blocking::connect(&url, ClientOptions::new(), &options).unwrap_err();
                assert!(began.elapsed() < Duration::from_secs(30), "{flap:?}");
                assert!(matches!(error, Error::TimedOut(_) | Error::Handshake(_)), "{flap:?}: {error:?}");
            });
        }
    });
}
