//! WebSockets over TLS that work: names and addresses, protocols, large messages, two halves.

use super::*;
use std::sync::mpsc;
use std::task::Poll;

#[test]
fn by_name_and_by_address() {
    let house = House::new();
    for (address, host) in [("127.0.0.1", "localhost"), ("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        if TcpListener::bind((address, 0)).is_err() {
            eprintln!("this machine has no {address}");
            continue;
        }
        let mut serving = Vec::new();
        let talks = connect_each(&trusting(&house), || {
            let (port, server) = once(address, echo(&house));
            serving.push(server);
            format!("wss://{host}:{port}/")
        });
        for talk in talks {
            assert_eq!(talk.unwrap(), Some(Message::from("Hello")), "{host}");
        }
        for server in serving {
            assert_eq!(server.join().unwrap().unwrap().as_deref(), Some(&b"http/1.1"[..]));
        }
    }
}

/// A configuration that is shared with a client of HTTP/2 does not lead to HTTP/2 here.
#[test]
fn only_http1_is_offered() {
    let house = House::new();
    let mut config = (*house.client()).clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let options = Options::new().tls(Arc::new(config));
    let mut serving = Vec::new();
    for talk in connect_each(&options, || {
        let (port, server) = once("127.0.0.1", echo(&house));
        serving.push(server);
        format!("wss://localhost:{port}/")
    }) {
        talk.unwrap();
    }
    for server in serving {
        assert_eq!(server.join().unwrap().unwrap().as_deref(), Some(&b"http/1.1"[..]));
    }
}

fn large(seed: usize) -> Vec<u8> {
    (0..3_000_000usize).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// Both send at once more than the buffers on the way hold, whole and in halves, client and server.
#[test]
fn two_that_both_send() {
    const MESSAGES: usize = 3;
    let house = House::new();
    let (config, options) = (house.server(), Options::new());
    let (port, server) = once("127.0.0.1", move |tcp| {
        let stream = TlsStream::server(tcp, config, LONG)?;
        let socket = blocking::accept(stream, &ServerOptions::new(), &options)?;
        let (writer, mut reader) = socket.split()?;
        let writing = thread::spawn(move || (0..MESSAGES).try_for_each(|n| writer.send(&large(n)[..])));
        let mut received = 0;
        while let Some(message) = reader.next()? {
            if message.is_data() {
                assert!(message.payload()[..] == large(received + 100)[..]);
                received += 1;
            }
        }
        writing.join().unwrap()?;
        Ok::<_, Error>(received)
    });
    let url = format!("wss://localhost:{port}/");
    let socket = blocking::connect(&url, ClientOptions::new(), &trusting(&house)).unwrap();
    let stream = socket.get_ref();
    assert!(stream.is_secure() && stream.tcp().peer_addr().unwrap().port() == port);
    let (writer, mut reader) = socket.split().unwrap();
    let (all, done) = mpsc::channel();
    let writing = thread::spawn(move || {
        (0..MESSAGES).try_for_each(|n| writer.send(&large(n + 100)[..]))?;
        done.recv().unwrap();
        writer.close(1000, "")
    });
    let mut received = 0;
    while let Some(message) = reader.next().unwrap() {
        if message.is_data() {
            assert!(message.payload()[..] == large(received)[..]);
            received += 1;
            if received == MESSAGES {
                all.send(()).unwrap();
            }
        }
    }
    assert_eq!(received, MESSAGES);
    writing.join().unwrap().unwrap();
    assert_eq!(server.join().unwrap().unwrap(), MESSAGES);
}

#[test]
fn two_that_both_send_over_tokio() {
    let house = House::new();
    let acceptor = tokio_rustls::TlsAcceptor::from(house.server());
    let options = trusting(&house);
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            let stream = acceptor.accept(listener.accept().await?.0).await?;
            let socket = pushline_tokio::accept(stream, &ServerOptions::new(), &Options::new()).await?;
            let (mut writer, mut reader) = socket.split_with(tokio::io::split);
            let writing = tokio::spawn(async move { writer.send(&large(1)[..]).await });
            let mut received = 0;
            while let Some(message) = reader.next().await {
                received += usize::from(message?.payload()[..] == large(2)[..]);
            }
            writing.await.unwrap().map(|()| received)
        });
        let socket = pushline_tokio::connect(&url, ClientOptions::new(), &options).await.unwrap();
        assert!(socket.get_ref().is_secure());
        assert_eq!(socket.get_ref().tls().unwrap().alpn_protocol(), Some(&b"http/1.1"[..]));
        let (mut writer, mut reader) = socket.split();
        let writing = tokio::spawn(async move { writer.send(&large(2)[..]).await.map(|()| writer) });
        assert!(reader.next().await.unwrap().unwrap().payload()[..] == large(1)[..]);
        let mut writer = writing.await.unwrap().unwrap();
        let closing = tokio::spawn(async move { writer.close(1000, "").await });
        while let Some(message) = reader.next().await {
            message.unwrap();
        }
        closing.await.unwrap().unwrap();
        assert_eq!(server.await.unwrap().unwrap(), 1);
    });
}

/// Records that come in pieces, to a client that has no times at all to keep: whole, in halves, and with a time of the call.
#[test]
fn records_in_pieces_without_a_heartbeat() {
    let house = House::new();
    for way in 0..3 {
        let config = house.server();
        let (port, server) = once("127.0.0.1", move |tcp| {
            let stream = TlsStream::server(tcp, config, LONG)?;
            let mut socket = blocking::accept(stream, &ServerOptions::new(), &Options::new())?;
            for _ in 0..5 {
                socket.send(&large(1)[..])?;
                thread::sleep(Duration::from_millis(20));
            }
            socket.close(1000, "")
        });
        let url = format!("wss://localhost:{port}/");
        let options = trusting(&house).ping_interval(None);
        let mut socket = blocking::connect(&url, ClientOptions::new(), &options).unwrap();
        let mut received = 0;
        let mut take = |message: Message| received += usize::from(message.payload()[..] == large(1)[..]);
        match way {
            0 => {
                while let Some(message) = socket.next().unwrap() {
                    take(message);
                }
            }
            1 => {
                let (_writer, mut reader) = socket.split().unwrap();
                while let Some(message) = reader.next().unwrap() {
                    take(message);
                }
            }
            _ => loop {
                match socket.next_timeout(Duration::from_millis(3)).unwrap() {
                    Poll::Ready(Some(message)) => take(message),
                    Poll::Ready(None) => break,
                    Poll::Pending => {}
                }
            },
        }
        assert_eq!(received, 5, "{way}");
        server.join().unwrap().unwrap();
    }
}
