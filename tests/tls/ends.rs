//! How connections over TLS end: close frames, `close_notify` (RFC 8446 6.1), and the transport's own end.

use super::*;
use pushline::adapter::TimedOut;
use pushline::adapter::blocking::Transport;
use pushline::adapter::tokio::sse::{self, EventSource, SourceEvent, SourceOptions};
use pushline::sse::ReconnectPolicy;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Instant;

/// What the peer does after the opening handshake.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    /// TCP ends.
    Cut,
    /// TLS says so before.
    Notify,
    /// A close frame, the client's answer, and then TCP ends without a word of TLS's.
    CloseAndCut,
    CloseAndNotify,
}

fn serve(house: &House, leave: Leave) -> String {
    let config = house.server();
    let (port, _) = once("127.0.0.1", move |tcp| {
        let stream = TlsStream::server(tcp, config, LONG).unwrap();
        let socket = blocking::accept(stream, &ServerOptions::new(), &Options::new()).unwrap();
        let mut stream = socket.into_inner();
        stream.write_all(b"\x81\x05Hello").unwrap();
        if matches!(leave, Leave::CloseAndCut | Leave::CloseAndNotify) {
            stream.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
            stream.flush().unwrap();
            // The masked answer.
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.read_exact(&mut [0; 8]).unwrap();
        }
        stream.flush().unwrap();
        match leave {
            Leave::Notify | Leave::CloseAndNotify => {
                Transport::shutdown(&mut stream, Shutdown::Write).unwrap()
            }
            Leave::Cut | Leave::CloseAndCut => stream.get_ref().shutdown(Shutdown::Write).unwrap(),
        }
        // Until the client has ended as well: no reset.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    format!("wss://localhost:{port}/")
}

#[test]
fn an_end_counts_as_the_close_frames_say() {
    let house = House::new();
    let options = trusting(&house);
    for leave in [Leave::Cut, Leave::Notify, Leave::CloseAndCut, Leave::CloseAndNotify] {
        let over_tokio = block_on(async {
            let url = serve(&house, leave);
            let mut socket = pushline_tokio::connect(&url, ClientOptions::new(), &options).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::from("Hello"));
            while let Some(message) = socket.next().await {
                message?;
            }
            Ok(())
        });
        let over_blocking = (|| {
            let url = serve(&house, leave);
            let mut socket = blocking::connect(&url, ClientOptions::new(), &options)?;
            assert_eq!(socket.next()?, Some(Message::from("Hello")));
            while socket.next()?.is_some() {}
            Ok(())
        })();
        let split = block_on(async {
            let url = serve(&house, leave);
            let socket = pushline_tokio::connect(&url, ClientOptions::new(), &options).await.unwrap();
            let (_writer, mut reader) = socket.split();
            while let Some(message) = reader.next().await {
                message?;
            }
            Ok(())
        });
        let split_blocking = (|| {
            let socket = blocking::connect(&serve(&house, leave), ClientOptions::new(), &options)?;
            let (_writer, mut reader) = socket.split()?;
            while reader.next()?.is_some() {}
            Ok(())
        })();
        for end in [over_tokio, over_blocking, split, split_blocking] {
            match leave {
                Leave::CloseAndCut | Leave::CloseAndNotify => end.unwrap(),
                _ => assert!(matches!(end, Err(Error::Aborted)), "{leave:?}: {end:?}"),
            }
        }
    }
}

/// The server, too, hears an end of TLS's own, and a cut.
#[test]
fn a_server_tells_them_apart_as_well() {
    let house = House::new();
    for (notify, close) in [(false, false), (true, false), (false, true)] {
        let (port, server) = once("127.0.0.1", echo(&house));
        let url = format!("wss://localhost:{port}/");
        let socket = blocking::connect(&url, ClientOptions::new(), &trusting(&house)).unwrap();
        let mut stream = socket.into_inner();
        if close {
            stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]).unwrap();
            stream.flush().unwrap();
            stream.read_exact(&mut [0; 4]).unwrap();
        }
        if notify {
            Transport::shutdown(&mut stream, Shutdown::Write).unwrap();
        } else {
            stream.tcp().shutdown(Shutdown::Both).unwrap();
        }
        let end = server.join().unwrap();
        assert!(if close { end.is_ok() } else { matches!(end, Err(Error::Aborted)) }, "{end:?}");
    }
}

/// Half a record holds nobody past the heartbeat.
#[test]
fn a_record_that_never_ends() {
    let house = House::new();
    let short = Duration::from_millis(150);
    let options = trusting(&house).ping_interval(Some(short)).ping_timeout(short);
    let server = || {
        let config = house.server();
        let (port, _) = once("127.0.0.1", move |tcp| {
            let stream = TlsStream::server(tcp, config, LONG).unwrap();
            let socket = blocking::accept(stream, &ServerOptions::new(), &Options::new()).unwrap();
            let mut tcp = socket.get_ref().get_ref().try_clone().unwrap();
            tcp.write_all(&[23, 3, 3, 0x40, 0]).unwrap();
            while tcp.write_all(&[7]).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        format!("wss://localhost:{port}/")
    };
    let began = Instant::now();
    let over_tokio = block_on(async {
        let mut socket = pushline_tokio::connect(&server(), ClientOptions::new(), &options).await.unwrap();
        socket.next().await.unwrap().unwrap_err()
    });
    let mut socket = blocking::connect(&server(), ClientOptions::new(), &options).unwrap();
    for error in [over_tokio, socket.next().unwrap_err()] {
        assert!(matches!(error, Error::TimedOut(TimedOut::Ping)), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A body that ends with the connection ends with TLS's word only: anything else is a cut (RFC 9112 9.8).
#[test]
fn an_event_stream_that_is_cut() {
    let house = House::new();
    for notify in [false, true] {
        let config = house.server();
        let (port, _) = once("127.0.0.1", move |tcp| {
            let mut stream = TlsStream::server(tcp, config, LONG).unwrap();
            let mut request = [0; 2048];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /feed HTTP/1.1\r\nhost: localhost:"));
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n")
                .unwrap();
            stream.flush().unwrap();
            if notify {
                Transport::shutdown(&mut stream, Shutdown::Write).unwrap();
            } else {
                stream.get_ref().shutdown(Shutdown::Write).unwrap();
            }
            let _ = stream.read_to_end(&mut Vec::new());
        });
        block_on(async {
            let options = SourceOptions::new().tls(house.client()).policy(ReconnectPolicy::new());
            let mut source = EventSource::new(&format!("https://localhost:{port}/feed"), options).unwrap();
            assert!(matches!(source.next().await, Some(Ok(SourceEvent::Open))));
            assert!(matches!(source.next().await, Some(Ok(SourceEvent::Event(event))) if event.data == "1"));
            match source.next().await {
                Some(Ok(SourceEvent::Lost { error: None, .. })) => assert!(notify),
                Some(Ok(SourceEvent::Lost { error: Some(sse::Error::Io(error)), .. })) => {
                    assert!(!notify && error.kind() == std::io::ErrorKind::UnexpectedEof, "{error:?}");
                }
                other => panic!("{other:?}"),
            }
        });
    }
}
