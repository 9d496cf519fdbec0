//! The client that comes back, against servers that restart, refuse, hang and drop.

#[path = "../examples/reconnecting/main.rs"]
#[allow(dead_code, reason = "a test has its own main")]
mod example;
#[path = "common/scripted.rs"]
mod scripted;

use pushline::adapter::tokio::{
    Lagging, Loss, OutboxError, OutboxOptions, ReconnectEvent, ReconnectOptions, Reconnecting, Unsent,
    WebSocket, accept, client,
};
use pushline::adapter::{Error, Options};
use pushline::backoff::Backoff;
use pushline::ws::handshake::{ClientOptions, Rejection, ServerOptions, Uri};
use pushline::ws::redial::{Reaction, RedialPolicy, RedialState};
use pushline::ws::{CloseCode, Message, Prepared};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

fn plain() -> RedialPolicy {
    RedialPolicy::new().backoff(Backoff::new().jitter(0))
}

fn options(policy: RedialPolicy) -> ReconnectOptions {
    ReconnectOptions::new().policy(policy)
}

/// Each attempt is a pipe to a server of the test's.
fn over_pipes<F>(
    reconnect: ReconnectOptions,
    mut serve: impl FnMut(DuplexStream, usize) -> F + Send + 'static,
) -> Reconnecting<DuplexStream>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut attempt = 0;
    let connector = move || {
        let (near, far) = tokio::io::duplex(256);
        tokio::spawn(serve(far, attempt));
        attempt += 1;
        async move { client(near, &Uri::parse("ws://h/")?, ClientOptions::new(), &Options::new()).await }
    };
    Reconnecting::with_connector(connector, reconnect)
}

async fn open(stream: DuplexStream) -> WebSocket<DuplexStream> {
    accept(stream, &ServerOptions::new(), &Options::new()).await.unwrap()
}

/// Answers a request with these bytes.
async fn answer(mut stream: DuplexStream, response: &str) {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(response.as_bytes()).await;
}

/// 1,000 numbered messages over ten restarts: the port is closed, opened again, connections are cut in all ways.
#[tokio::test]
async fn each_message_once_in_order_over_ten_restarts() {
    const MESSAGES: u64 = 1000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut listener = Some(listener);
        for restart in 0..=10 {
            let bound = match listener.take() {
                Some(bound) => bound,
                None => TcpListener::bind(address).await.unwrap(),
            };
            let (stream, _) = bound.accept().await.unwrap();
            let mut socket = accept(stream, &ServerOptions::new(), &Options::new()).await.unwrap();
            let hello = socket.next().await.unwrap().unwrap();
            let from: u64 = hello.as_text().unwrap().strip_prefix("from ").unwrap().parse().unwrap();
            let until = if restart == 10 { MESSAGES } else { (restart + 1) * 90 };
            for number in from..until {
                socket.send(format!("{number}")).await.unwrap();
            }
            match restart {
                10 => drop(socket.close(1000, "").await),
                // Within a frame.
                n if n % 3 == 0 => {
                    socket.flush().await.unwrap();
                    let _ = socket.into_inner().write_all(b"\x81\x05he").await;
                }
                n if n % 3 == 1 => drop(socket.close(1012, "").await),
                _ => drop(socket),
            }
            // Away for a moment: some attempts find nobody.
            drop(bound);
            sleep(Duration::from_millis(5)).await;
        }
    });
    let millisecond = Duration::from_millis(1);
    let policy = RedialPolicy::new()
        .first_wait(millisecond)
        .backoff(Backoff::new().ceiling(8 * millisecond))
        .stable_after(Duration::ZERO);
    let url = format!("ws://{address}/");
    let client = Reconnecting::new(&url, ClientOptions::new(), Options::new(), options(policy)).unwrap();
    let mut lines = Vec::new();
    example::follow(client, |line| lines.push(line.to_owned())).await.unwrap();
    assert!(lines.iter().map(|line| line.parse::<u64>().unwrap()).eq(0..MESSAGES), "{}", lines.len());
    server.await.unwrap();
}

/// A server that accepts and drops for ever: the waits grow to the ceiling, on the virtual clock.
#[tokio::test(start_paused = true)]
async fn no_tight_loop() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let mut client = over_pipes(options(plain()), move |stream, _| {
        count.fetch_add(1, Relaxed);
        async move { drop(open(stream).await) }
    });
    let began = Instant::now();
    let mut waits = Vec::new();
    while began.elapsed() < Duration::from_secs(3600) {
        match client.next().await.unwrap().unwrap() {
            ReconnectEvent::Lost { wait, loss: Loss::Failed(_), unsent } => {
                assert!(unsent.is_empty());
                waits.push(wait.as_secs());
            }
            event => assert!(matches!(event, ReconnectEvent::Open), "{event:?}"),
        }
    }
    println!("waits in seconds: {waits:?}");
    assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(attempts.load(Relaxed) < 68, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn what_ends_it_and_what_does_not() {
    let status = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    // The server's answer; the wait, if the client comes back.
    for (response, wait) in [
        (status("401 Unauthorized"), None),
        (status("404 Not Found"), None),
        (status("302 Found\r\nLocation: /b"), None),
        (status("503 Service Unavailable"), Some(10)),
        (status("503 Service Unavailable\r\nRetry-After: 77"), Some(77)),
        (status("429 Too Many Requests\r\nRetry-After: 3"), Some(10)),
        (status("502 Bad Gateway"), Some(1)),
        (status("502 Bad Gateway\r\nRetry-After: 7"), Some(7)),
        ("HTTP/1.1 200 OK\r\n\r\n".into(), None),
        ("SSH-2.0-OpenSSH_9.6\r\n".into(), None),
        (String::new(), Some(1)),
    ] {
        let answered = response.clone();
        let mut client = over_pipes(options(plain()), move |stream, _| {
            let answered = answered.clone();
            async move { answer(stream, &answered).await }
        });
        match (client.next().await, wait) {
            (Some(Ok(ReconnectEvent::Lost { wait, .. })), Some(seconds)) => {
                assert_eq!(wait, Duration::from_secs(seconds), "{response}");
            }
            (Some(Err(_)), None) => {
                assert!(client.next().await.is_none());
                assert_eq!(client.state(), RedialState::Over);
                assert_eq!(client.send("late"), Err(OutboxError::Closed));
            }
            (event, _) => panic!("{response}: {event:?}"),
        }
    }
    for (code, wait) in [(1001, Some(1)), (1008, None), (1012, Some(1)), (1013, Some(10)), (4000, None)] {
        let policy = plain().on_close(4000..=4000, Reaction::GiveUp);
        let mut client = over_pipes(options(policy), move |stream, _| async move {
            let _ = open(stream).await.close(code, "bye").await;
        });
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
        match (client.next().await, wait) {
            (Some(Ok(ReconnectEvent::Lost { wait, .. })), Some(seconds)) => {
                assert_eq!(wait, Duration::from_secs(seconds), "{code}");
            }
            (Some(Err(Loss::Closed(closed, reason))), None) => {
                assert_eq!((closed, &*reason), (CloseCode(code), "bye"));
                assert!(client.next().await.is_none());
            }
            (event, _) => panic!("{code}: {event:?}"),
        }
    }
    // 1000 is no error, and neither is a violation of the protocol something to come back for.
    let mut client = over_pipes(options(plain()), |stream, _| async move {
        let _ = open(stream).await.close(1000, "").await;
    });
    assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
    assert!(client.next().await.is_none());
    let mut client = over_pipes(options(plain()), |stream, _| async move {
        let mut stream = open(stream).await.into_inner();
        let _ = stream.write_all(b"\xff\0").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
    assert!(matches!(client.next().await, Some(Err(Loss::Failed(Error::Protocol(_))))));
}

/// The hello: its failures, its end, what it takes too long.
#[tokio::test(start_paused = true)]
async fn hello() {
    let serve = |stream, _| async move {
        let mut socket = open(stream).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.as_text() == Some("who?") {
                return;
            }
            if message.is_data() && socket.send(message).await.is_err() {
                return;
            }
        }
    };
    let state = Arc::new(Mutex::new(Vec::new()));
    let mut round = 0;
    let mut client = over_pipes(options(plain()), serve).on_open(move |mut socket| {
        round += 1;
        async move {
            match round {
                // No answer will come.
                1 => drop(socket.next().await),
                // The server goes.
                2 => {
                    socket.send("who?").await?;
                    if socket.next().await.is_none_or(|message| message.is_err()) {
                        return Err(Error::Aborted);
                    }
                }
                // As if the handshake had been answered with it.
                3 => return Err(Rejection::new(503).into()),
                4 => {
                    socket.send("me").await?;
                    assert_eq!(socket.next().await.unwrap()?.as_text(), Some("me"));
                }
                _ => return Err(Rejection::new(401).into()),
            }
            Ok(socket)
        }
    });
    let mut watch = client.watch();
    let told = Arc::clone(&state);
    tokio::spawn(async move {
        while watch.changed().await.is_ok() {
            told.lock().unwrap().push(*watch.borrow_and_update());
        }
    });
    client.send("behind the hello").unwrap();
    let mut events = Vec::new();
    let began = Instant::now();
    while let Some(event) = client.next().await {
        match event {
            Ok(ReconnectEvent::Lost { wait, .. }) => {
                events.push(format!("{} s: lost, {} s", began.elapsed().as_secs(), wait.as_secs()));
            }
            Ok(ReconnectEvent::Message(message)) => {
                events.push(message.as_text().unwrap().to_owned());
                // The server goes once more.
                client.send("who?").unwrap();
            }
            Ok(event) => events.push(format!("{event:?}")),
            Err(loss) => events.push(loss.to_string()),
        }
    }
    assert_eq!(
        events,
        [
            "10 s: lost, 1 s",
            "11 s: lost, 2 s",
            "13 s: lost, 10 s",
            "Open",
            "behind the hello",
            "23 s: lost, 8 s",
            "refused by the application with status 401",
        ]
    );
    drop(client);
    tokio::task::yield_now().await;
    let told = state.lock().unwrap();
    assert!(told.contains(&RedialState::Greeting) && told.last() == Some(&RedialState::Over), "{told:?}");
}

/// What a connection has not written is sent on the next one, once, in order; or handed back.
#[tokio::test(start_paused = true)]
async fn unsent() {
    for (mode, prepared) in [
        (Unsent::SendAgain, false),
        (Unsent::SendAgain, true),
        (Unsent::HandBack, false),
        (Unsent::HandBack, true),
    ] {
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let mut client = over_pipes(options(plain()).unsent(mode), move |stream, attempt| {
            let log = Arc::clone(&log);
            async move {
                let mut socket = open(stream).await;
                // The first connection reads one message, and then nothing more until it is cut.
                while let Some(Ok(message)) = socket.next().await {
                    log.lock().unwrap().extend(message.as_text().map(|text| text[..4].to_owned()));
                    if attempt == 0 {
                        sleep(Duration::from_secs(1)).await;
                        return;
                    }
                }
            }
        });
        let text = |number: usize| format!("{number:04}{}", "x".repeat(200));
        let send = |client: &Reconnecting<_>, number: usize| match prepared {
            true => client.send(Prepared::text(&text(number))).unwrap(),
            false => client.send(text(number)).unwrap(),
        };
        for number in 0..10 {
            send(&client, number);
        }
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
        let Some(Ok(ReconnectEvent::Lost { unsent, .. })) = client.next().await else { panic!() };
        let back: Vec<_> = unsent.iter().map(|post| post.payload()[..4].to_owned()).collect();
        send(&client, 10);
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
        client.close(1000, "");
        assert!(client.next().await.is_none());
        assert!(client.take_unsent().is_empty());
        let received: Vec<_> =
            received.lock().unwrap().iter().map(|text| text.parse::<usize>().unwrap()).collect();
        // The pipe has taken what lies between, and nobody has read it: that is not to be known here.
        let first = received.iter().position(|number| *number > 0).unwrap();
        match mode {
            Unsent::SendAgain => {
                assert!(back.is_empty());
                assert!(received[first..].iter().copied().eq(received[first]..=10), "{received:?}");
                assert!(received[first] <= 2, "a pipe of 256 bytes holds one message: {received:?}");
            }
            Unsent::HandBack => {
                assert_eq!(received[first..], [10]);
                let back: Vec<usize> =
                    back.iter().map(|text| str::from_utf8(text).unwrap().parse().unwrap()).collect();
                assert!(back.iter().copied().eq(back[0]..10) && back[0] <= 2, "{back:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_while_nobody_is_there() {
    for bound in [1, 2, 3] {
        let options =
            options(plain()).outbox(OutboxOptions::new().max_messages(bound).lagging(Lagging::Refuse));
        let client = over_pipes(options, |stream, _| async move { drop(stream) });
        for number in 0..bound + 1 {
            let sent = client.send(format!("{number}"));
            assert_eq!(sent, if number < bound { Ok(()) } else { Err(OutboxError::Full) });
        }
    }
}

/// Closed while there is no connection: at once, and what was not written can be had.
#[tokio::test(start_paused = true)]
async fn closed_while_waiting() {
    let mut client = over_pipes(options(plain()), |stream, _| async move { drop(stream) });
    assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Lost { .. }))));
    client.send("never").unwrap();
    let outbox = client.outbox();
    let began = Instant::now();
    tokio::spawn(async move {
        sleep(Duration::from_millis(300)).await;
        outbox.close(1001, "");
    });
    assert!(client.next().await.is_none());
    assert_eq!(began.elapsed(), Duration::from_millis(300));
    let unsent = client.take_unsent();
    assert_eq!(unsent.iter().map(|post| post.payload()).collect::<Vec<_>>(), [b"never"]);
    assert!(client.next().await.is_none());
}

/// Dropped at each await, nothing is lost: `next` in pieces.
#[tokio::test(start_paused = true)]
async fn cancelled_again_and_again() {
    let mut client = over_pipes(options(plain()), |stream, attempt| async move {
        let mut socket = open(stream).await;
        for number in 0..50 {
            socket.send(format!("{attempt} {number}")).await.unwrap();
            sleep(Duration::from_millis(7)).await;
        }
    });
    let mut texts = Vec::new();
    while texts.len() < 150 {
        let Ok(event) = tokio::time::timeout(Duration::from_millis(3), client.next()).await else { continue };
        if let ReconnectEvent::Message(Message::Text(text)) = event.unwrap().unwrap() {
            texts.push(text.to_string());
        }
    }
    let expected = (0..3).flat_map(|attempt| (0..50).map(move |number| format!("{attempt} {number}")));
    assert!(texts.into_iter().eq(expected));
}

/// An attempt that never ends, and one that cannot begin.
#[tokio::test(start_paused = true)]
async fn attempts_end() {
    let never = || std::future::pending::<Result<WebSocket<TcpStream>, Error>>();
    let mut client = Reconnecting::with_connector(never, options(plain().max_attempts(Some(2))));
    let began = Instant::now();
    assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Lost { .. }))));
    assert!(matches!(client.next().await, Some(Err(Loss::Failed(Error::TimedOut(_))))));
    assert_eq!(began.elapsed(), Duration::from_secs(30 + 1 + 30));
    let no_way = || async { Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into()) };
    let mut client = Reconnecting::<TcpStream>::with_connector(no_way, options(plain()));
    assert!(matches!(client.next().await, Some(Err(Loss::Failed(Error::Io(_))))));
}

/// A message whose last byte was taken is written, also if a pong or the answer to a close behind it is not: it is not sent again.
#[tokio::test(start_paused = true)]
async fn what_is_behind_a_message_does_not_count() {
    let ping = scripted::frame(0x89, [0; 100]);
    let close = scripted::frame(0x88, [&1012_u16.to_be_bytes()[..], &[b'x'; 90]].concat());
    for (behind, cut) in [(&ping, 0), (&close, 0), (&ping, 1), (&close, 1)] {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, behind) = (Arc::clone(&received), behind.clone());
        let mut client = over_pipes(options(plain()), move |mut stream, attempt| {
            let (log, behind) = (Arc::clone(&log), behind.clone());
            async move {
                if attempt > 0 {
                    let mut socket = open(stream).await;
                    while let Some(Ok(message)) = socket.next().await {
                        log.lock().unwrap().extend(message.as_text().map(str::len));
                    }
                    return;
                }
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(char::from(stream.read_u8().await.unwrap()));
                }
                stream.write_all(scripted::accepted(&head, "").as_bytes()).await.unwrap();
                sleep(Duration::from_millis(10)).await;
                // The pipe holds 256 bytes of the message's 308. What comes now is answered behind it.
                stream.write_all(&behind).await.unwrap();
                sleep(Duration::from_millis(10)).await;
                // Room for the rest of it, and for no byte more; or for one less.
                let mut bytes = vec![0; 308];
                stream.read_exact(&mut bytes[..52 - cut]).await.unwrap();
                sleep(Duration::from_millis(10)).await;
                stream.read_exact(&mut bytes[52 - cut..308 - cut]).await.unwrap();
            }
        });
        client.send("x".repeat(300)).unwrap();
        client.send("last").unwrap();
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Lost { .. }))));
        assert!(matches!(client.next().await, Some(Ok(ReconnectEvent::Open))));
        client.close(1000, "");
        assert!(client.next().await.is_none());
        let again: &[usize] = if cut == 0 { &[4] } else { &[300, 4] };
        assert_eq!(*received.lock().unwrap(), again, "{cut}");
    }
}
