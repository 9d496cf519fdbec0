//! Peers with which there is no connection: a typed error each, in time.

use super::*;
use pushline::adapter::tokio::sse::{self, EventSource, SourceOptions};
use pushline::adapter::{TimedOut, TlsFault};
use std::io::{Read, Write};
use std::time::Instant;

fn fault(result: Result<Option<Message>, Error>) -> TlsFault {
    match result {
        Err(Error::Tls(error)) => error.fault(),
        other => panic!("{other:?}"),
    }
}

/// A server that shakes hands, or tries to.
fn shaking(house: &House) -> impl FnOnce(TcpStream) + Send + 'static + use<> {
    let config = house.server();
    move |tcp| drop(TlsStream::server(tcp, config, LONG).map(|mut stream| stream.read(&mut [0; 9])))
}

#[test]
fn certificates_that_are_refused() {
    let good = House::new();
    let other = House::new();
    let elsewhere = House::with(&["other.example", "10.1.1.1"], |_| {});
    let (expired, early) = (House::expired(), House::not_yet_valid());
    for (house, trusted, expected) in [
        (&good, &other, TlsFault::UnknownIssuer),
        (&elsewhere, &elsewhere, TlsFault::WrongName),
        (&expired, &expired, TlsFault::Expired),
        (&early, &early, TlsFault::NotYetValid),
    ] {
        for host in ["localhost", "127.0.0.1"] {
            let port = || once("127.0.0.1", shaking(house)).0;
            for talk in connect_each(&trusting(trusted), || format!("wss://{host}:{}/", port())) {
                let error = talk.unwrap_err();
                assert!(!error.to_string().is_empty());
                assert_eq!(fault(Err(error)), expected, "{host}");
                assert!(expected.is_certificate() && expected.is_final());
            }
            // An event source does not try that again and again.
            block_on(async {
                let options = SourceOptions::new().tls(trusted.client());
                let mut source = EventSource::new(&format!("https://{host}:{}/", port()), options).unwrap();
                match source.next().await {
                    Some(Err(sse::Error::Tls(error))) => assert_eq!(error.fault(), expected),
                    other => panic!("{other:?}"),
                }
                assert!(source.next().await.is_none());
            });
        }
    }
    // The default trusts the public authorities, and only them.
    for talk in
        connect_each(&Options::new(), || format!("wss://localhost:{}/", once("127.0.0.1", shaking(&good)).0))
    {
        assert_eq!(fault(talk), TlsFault::UnknownIssuer);
    }
}

#[test]
fn hosts_that_are_no_names() {
    let options = trusting(&House::new());
    for talk in connect_each(&options, || "wss://a%20b:1/".to_owned()) {
        assert_eq!(fault(talk), TlsFault::InvalidName);
    }
}

#[test]
fn peers_that_do_not_speak_tls() {
    let options = trusting(&House::new());
    let talks = connect_each(&options, || {
        let (port, _) = once("127.0.0.1", |mut tcp| {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        format!("wss://localhost:{port}/")
    });
    for talk in talks {
        assert_eq!(fault(talk), TlsFault::NotTls);
    }
    let talks = connect_each(&options, || {
        let (port, _) = once("127.0.0.1", |mut tcp| tcp.read(&mut [0; 2048]).map(drop));
        format!("wss://localhost:{port}/")
    });
    for talk in talks {
        assert_eq!(fault(talk), TlsFault::Ended);
    }
    // Fatal alert 40, handshake_failure (RFC 8446 6.2).
    let talks = connect_each(&options, || {
        let (port, _) = once("127.0.0.1", |mut tcp| {
            let _ = tcp.write_all(&[21, 3, 3, 0, 2, 2, 40]);
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        format!("wss://localhost:{port}/")
    });
    for talk in talks {
        assert_eq!(fault(talk), TlsFault::Alert(40));
    }
}

/// The time for the handshake is for TLS as well, however busy the peer is.
#[test]
fn peers_that_take_their_time() {
    let options = trusting(&House::new()).handshake_timeout(Duration::from_millis(300));
    for drip in [false, true] {
        let began = Instant::now();
        let talks = connect_each(&options, || {
            let (port, _) = once("127.0.0.1", move |mut tcp| {
                // A record of 16,384 bytes, which come one by one.
                let mut bytes = [22, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xf0].into_iter().chain(std::iter::repeat(3));
                let until = Instant::now() + Duration::from_secs(5);
                while Instant::now() < until {
                    if drip && tcp.write_all(&[bytes.next().unwrap_or_default()]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
            format!("wss://localhost:{port}/")
        });
        for talk in talks {
            assert!(matches!(talk, Err(Error::TimedOut(TimedOut::Handshake))), "{talk:?}");
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(600) && took < Duration::from_secs(3), "{took:?}");
    }
}

/// A server in a thread of its own is not held by a client that does the same.
#[test]
fn a_client_that_takes_its_time() {
    let house = House::new();
    for drip in [false, true] {
        let config = house.server();
        let (port, server) = once("127.0.0.1", move |tcp| {
            let began = Instant::now();
            let error = TlsStream::server(tcp, config, Duration::from_millis(300)).unwrap_err();
            (error.kind(), began.elapsed())
        });
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for byte in [22u8, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xf0].into_iter().chain(std::iter::repeat_n(3, 40)) {
            if drip && tcp.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let (kind, took) = server.join().unwrap();
        assert_eq!(kind, std::io::ErrorKind::TimedOut);
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn a_server_that_wants_a_certificate() {
    let house = House::new();
    let server = || {
        let config = house.server_for_members();
        let (port, _) = once("127.0.0.1", move |tcp| {
            let stream = TlsStream::server(tcp, config, LONG)?;
            let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new())?;
            while let Some(message) = socket.next()? {
                socket.send(message)?;
            }
            Ok::<_, Error>(())
        });
        format!("wss://localhost:{port}/")
    };
    // TLS 1.3 tells it after the client has finished its handshake: 116, certificate_required.
    for talk in connect_each(&trusting(&house), server) {
        assert_eq!(fault(talk), TlsFault::Alert(116));
    }
    for talk in connect_each(&Options::new().tls(house.member()), server) {
        assert_eq!(talk.unwrap(), Some(Message::from("Hello")));
    }
}
