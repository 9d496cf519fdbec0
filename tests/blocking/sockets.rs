//! Over sockets: the times, the opening handshake, and how a connection ends on a real transport.

use super::{client_end, echo, from_client, millis, pair, server, sockets};
use pushline::adapter::blocking::{Transport, Untimed, WebSocket, accept, accept_with, client, connect};
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::handshake::{ClientError, ClientOptions, Refusal, Rejection, ServerOptions, Uri};
use pushline::ws::{Connection, ConnectionOptions, Message, Negotiated, State};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// Runs `serve` on a listener's next connection; its address.
fn listen<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (std::net::SocketAddr, thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// All that a peer sends until it closes.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Runs `work`, which is to take at least so long, and by far not for ever.
fn takes<T>(least: Duration, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took >= least, "{took:?}");
    assert!(took < least + Duration::from_secs(4), "{took:?}");
    done
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let options = Options::new().ping_interval(Some(millis(60))).ping_timeout(millis(40));
    let (mut peer, stream) = sockets();
    let mut socket = server(stream, &options);
    let error = takes(millis(90), || socket.next().unwrap_err());
    assert!(matches!(error, Error::TimedOut(TimedOut::Ping)), "{error:?}");
    assert_eq!(socket.next().unwrap(), None);
    drop(socket);
    assert_eq!(read_all(&mut peer), b"\x89\x00");
}

#[test]
fn a_peer_that_answers_pings_lives() {
    let options = Options::new().ping_interval(Some(millis(20))).ping_timeout(Duration::from_secs(5));
    let (mut client, mut server) = pair(&options);
    let answering = thread::spawn(move || echo(&mut client));
    let mut pongs = 0;
    while pongs < 3 {
        if let Some(Message::Pong(_)) = server.next().unwrap() {
            pongs += 1;
        }
    }
    server.close(1000, "").unwrap();
    let (_, end) = answering.join().unwrap();
    end.unwrap();
}

#[test]
fn what_arrived_while_the_application_was_busy_is_life() {
    let options = Options::new().ping_interval(Some(millis(20))).ping_timeout(millis(20));
    let (mut client, mut server) = pair(&options);
    client.send("Hello").unwrap();
    thread::sleep(millis(100));
    assert_eq!(server.next().unwrap(), Some("Hello".into()));
    client.send("again").unwrap();
    thread::sleep(millis(100));
    assert_eq!(server.next().unwrap(), Some("again".into()));
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_left() {
    let options = Options::new().close_timeout(millis(80));
    let (_peer, stream) = sockets();
    let mut socket = server(stream, &options);
    let error = takes(millis(75), || socket.close(1000, "").unwrap_err());
    assert!(matches!(error, Error::TimedOut(TimedOut::Close)), "{error:?}");
}

#[test]
fn a_peer_that_goes_on_and_on_does_not_make_the_close_longer() {
    let options = Options::new().close_timeout(millis(100));
    let (peer, stream) = sockets();
    let mut socket = server(stream, &options);
    let flood = from_client(|connection| connection.send(&[0; 500]).unwrap());
    let flooding = thread::spawn(move || while (&peer).write_all(&flood).is_ok() {});
    let error = takes(millis(95), || socket.close(1000, "").unwrap_err());
    assert!(matches!(error, Error::TimedOut(TimedOut::Close)), "{error:?}");
    drop(socket);
    flooding.join().unwrap();
}

#[test]
fn a_peer_that_never_reads_is_left_and_costs_no_memory() {
    let options = Options::new().ping_interval(Some(millis(60))).ping_timeout(millis(40));
    let (_peer, stream) = sockets();
    let mut socket = server(stream, &options);
    let mut most = 0;
    let error = loop {
        if let Err(error) = socket.send(vec![0; 100_000]) {
            break error;
        }
        most = most.max(socket.queued());
    };
    // Whichever was first: the ping went out before the buffers of the system were full, or not.
    assert!(matches!(error, Error::TimedOut(TimedOut::Write | TimedOut::Ping)), "{error:?}");
    assert!(most <= 1 << 20, "{most}");
    assert_eq!(socket.queued(), 0);
}

#[test]
fn a_client_whose_server_does_not_hang_up_does() {
    let options = Options::new().close_timeout(millis(80));
    let (stream, mut peer) = sockets();
    let mut socket = client_end(stream, &options);
    peer.write_all(b"\x88\x02\x03\xe8").unwrap();
    assert!(matches!(socket.next().unwrap(), Some(Message::Close(Some(_)))));
    // RFC 6455 7.1.1: the client waits for the server to close the transport first, but not for ever.
    takes(millis(75), || assert_eq!(socket.next().unwrap(), None));
    assert_eq!(read_all(&mut peer)[..2], [0x88, 0x82]);
}

#[test]
fn no_reset_eats_the_close_frame() {
    let (mut peer, stream) = sockets();
    let serving = thread::spawn(move || server(stream, &Options::new()).next().map(drop).unwrap_err());
    // A fault, and much more behind it than one read takes.
    let mut bytes = vec![0xff; 1 << 20];
    bytes[0] = 0x83;
    peer.write_all(&bytes).unwrap();
    thread::sleep(millis(50)); // in which a reset would arrive
    assert_eq!(read_all(&mut peer), b"\x88\x02\x03\xea");
    drop(peer);
    assert!(matches!(serving.join().unwrap(), Error::Protocol(_)));
}

#[test]
fn a_handshake_between_both_ends() {
    let (address, serving) = listen(|stream| {
        let options = ServerOptions::new().subprotocols(["v2", "v1"]).unwrap();
        let mut socket = accept_with(stream, &options, &Options::new(), |head, accepted| {
            assert_eq!((head.path(), head.query()), ("/chat", Some("room=1")));
            accepted.add_field("Set-Cookie", "a=b").unwrap();
            Ok(())
        })
        .unwrap();
        assert_eq!(socket.subprotocol(), Some("v2"));
        echo(&mut socket)
    });
    let options = ClientOptions::new().subprotocols(["v1", "v2"]).unwrap();
    let url = format!("ws://{address}/chat?room=1");
    let mut socket = connect(&url, options, &Options::new()).unwrap();
    assert_eq!(socket.subprotocol(), Some("v2"));
    socket.send("Hello").unwrap();
    assert_eq!(socket.next().unwrap(), Some("Hello".into()));
    let large: String = "0123456789".repeat(100_000);
    socket.send(large.as_str()).unwrap();
    assert_eq!(socket.next().unwrap(), Some(large.into()));
    socket.close(1000, "").unwrap();
    assert_eq!(socket.state(), State::Ended);
    let (received, end) = serving.join().unwrap();
    end.unwrap();
    assert_eq!(received.len(), 3);
}

#[test]
fn frames_right_behind_the_handshake_are_kept() {
    let (address, serving) =
        listen(|stream| echo(&mut accept(stream, &ServerOptions::new(), &Options::new()).unwrap()));
    let mut peer = TcpStream::connect(address).unwrap();
    let mut bytes = format!("{REQUEST}\r\n").into_bytes();
    bytes.extend(from_client(|connection| {
        connection.send("early").unwrap();
        connection.close(1000, "").unwrap();
    }));
    peer.write_all(&bytes).unwrap();
    let answer = read_all(&mut peer);
    let frames = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(answer[frames..], *b"\x81\x05early\x88\x02\x03\xe8");
    drop(peer);
    let (received, end) = serving.join().unwrap();
    end.unwrap();
    assert_eq!(received[0], "early".into());
}

#[test]
fn refusals_are_answered_with_their_status() {
    let foreign = format!("{REQUEST}Origin: http://evil.example\r\n\r\n");
    for (request, status, refusal) in [
        (foreign.as_str(), "403", Refusal::OriginNotAllowed),
        ("POST /chat HTTP/1.1\r\nHost: h\r\n\r\n", "405", Refusal::MethodNotAllowed),
    ] {
        let (address, serving) =
            listen(|stream| accept(stream, &ServerOptions::new(), &Options::new()).map(drop).unwrap_err());
        let mut peer = TcpStream::connect(address).unwrap();
        peer.write_all(request.as_bytes()).unwrap();
        // More than the server reads, so that a careless close would reset the connection.
        peer.write_all(&[b'x'; 100_000]).unwrap();
        thread::sleep(millis(50)); // in which a reset would arrive
        let answer = String::from_utf8(read_all(&mut peer)).unwrap();
        drop(peer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let error = serving.join().unwrap();
        assert!(matches!(&error, Error::Rejected(rejection) if rejection.refusal() == refusal), "{error:?}");
    }
}

#[test]
fn the_application_may_refuse() {
    let (address, serving) = listen(|stream| {
        accept_with(stream, &ServerOptions::new(), &Options::new(), |_, _| Err(Rejection::new(404)))
            .map(drop)
            .unwrap_err()
    });
    let error = connect(&format!("ws://{address}/"), ClientOptions::new(), &Options::new()).unwrap_err();
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    assert_eq!(error.error, ClientError::UnexpectedStatus(404));
    assert_eq!(error.response.unwrap().status, 404);
    assert!(matches!(serving.join().unwrap(), Error::Rejected(_)));
}

#[test]
fn a_slow_request_is_answered_with_408() {
    let options = Options::new().handshake_timeout(millis(100));
    let (address, serving) =
        listen(move |stream| accept(stream, &ServerOptions::new(), &options).map(drop).unwrap_err());
    let mut peer = TcpStream::connect(address).unwrap();
    // A byte now and then: the time is for the whole of it.
    let mut trickle = peer.try_clone().unwrap();
    let trickling = thread::spawn(move || {
        for byte in REQUEST.bytes() {
            if trickle.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(millis(10));
        }
    });
    let mut answer = [0; 20];
    takes(millis(90), || peer.read_exact(&mut answer).unwrap());
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
    let _ = peer.shutdown(Shutdown::Both);
    let error = serving.join().unwrap();
    assert!(matches!(error, Error::TimedOut(TimedOut::Handshake)), "{error:?}");
    trickling.join().unwrap();
}

#[test]
fn a_server_that_does_not_answer_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options::new().handshake_timeout(millis(80));
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let error = takes(millis(75), || connect(&url, ClientOptions::new(), &options).unwrap_err());
    assert!(matches!(error, Error::TimedOut(TimedOut::Handshake)), "{error:?}");
}

#[test]
fn what_is_no_websocket_server_is_told() {
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 4\r\n\r\nbody";
    let (address, serving) = listen(|mut stream| {
        let mut request = [0; 4096];
        let n = stream.read(&mut request).unwrap();
        assert!(request[..n].starts_with(b"GET / HTTP/1.1\r\n"));
        stream.write_all(redirect).unwrap();
    });
    let error = connect(&format!("ws://{address}"), ClientOptions::new(), &Options::new()).unwrap_err();
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    assert_eq!((error.error, &error.body[..]), (ClientError::UnexpectedStatus(302), &b"body"[..]));
    serving.join().unwrap();

    let (address, serving) = listen(|mut stream| {
        let _ = stream.read(&mut [0; 4096]).unwrap();
    });
    let error = connect(&format!("ws://{address}"), ClientOptions::new(), &Options::new()).unwrap_err();
    let Error::Handshake(error) = error else { panic!("{error:?}") };
    assert_eq!(error.error, ClientError::UnexpectedEof);
    serving.join().unwrap();

    assert!(matches!(
        connect("http://localhost", ClientOptions::new(), &Options::new()),
        Err(Error::InvalidUri(_))
    ));
    // Nobody listens there any more.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(matches!(
        connect(&format!("ws://{address}"), ClientOptions::new(), &Options::new()),
        Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionRefused
    ));
}

#[cfg(unix)]
#[test]
fn unix_streams_and_boxed_ones_keep_times_too() {
    let options = Options::new().ping_interval(Some(millis(30))).ping_timeout(millis(30));
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let server_options = ServerOptions::new();
    let serving = thread::spawn(move || {
        let stream: Box<dyn Transport + Send> = Box::new(far);
        echo(&mut accept(stream, &server_options, &Options::new()).unwrap())
    });
    let uri = Uri::parse("ws://localhost/").unwrap();
    let mut socket = client(near, &uri, ClientOptions::new(), &options).unwrap();
    socket.send("Hello").unwrap();
    assert_eq!(socket.next().unwrap(), Some("Hello".into()));
    assert!(matches!(socket.next().unwrap(), Some(Message::Pong(_)))); // of a heartbeat's ping
    socket.close(1000, "").unwrap();
    serving.join().unwrap().1.unwrap();
}

#[test]
fn a_stream_without_times_is_dropped_rather_than_waited_for() {
    let (mut peer, stream) = sockets();
    let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
    let mut socket = WebSocket::new(Untimed(stream), connection, &[], &Options::new());
    peer.write_all(&from_client(|connection| connection.close(1000, "").unwrap())).unwrap();
    assert!(matches!(socket.next().unwrap(), Some(Message::Close(_))));
    assert_eq!(socket.next().unwrap(), None);
    drop(socket);
    assert_eq!(read_all(&mut peer), b"\x88\x02\x03\xe8");
}

#[test]
fn a_socket_that_does_not_wait_says_so_at_once() {
    let (mut peer, stream) = sockets();
    stream.set_nonblocking(true).unwrap();
    let mut socket = server(stream, &Options::new());
    for _ in 0..10 {
        assert!(matches!(socket.next(), Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock));
    }
    peer.write_all(&from_client(|connection| connection.send("Hello").unwrap())).unwrap();
    let message = loop {
        match socket.next() {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            next => break next.unwrap(),
        }
    };
    assert_eq!(message, Some("Hello".into()));
}
