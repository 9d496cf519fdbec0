//! However the bytes of a handshake are cut, both roles say the same of them, and look at no byte twice.

mod common;

use common::every_cut;
use proptest::prelude::*;
use pushline::http1::head::{HeadError, HeadLimits, HeadReader, Slots};
use pushline::ws::handshake::{
    ClientError, ClientHandshake, ClientOptions, Key, Rejection, ServerOptions, accept_request,
};

const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

/// What a server says of the bytes so far: what it writes, and how many bytes the head took.
fn serve(reader: &mut HeadReader, options: &ServerOptions, received: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut slots = Slots::new();
    match reader.read_request(received, &mut slots) {
        Ok(None) => None,
        Ok(Some(head)) => Some(match accept_request(options, &head) {
            Ok(accepted) => (accepted.to_bytes(), head.len()),
            Err(rejection) => (rejection.to_bytes(), head.len()),
        }),
        Err(error) => Some((Rejection::from(error).to_bytes(), 0)),
    }
}

/// What a client says of the bytes so far, and the response as far as it was read.
fn receive(client: &mut ClientHandshake, received: &[u8]) -> (String, String) {
    (format!("{:?}", client.receive(received)), format!("{:?}", client.response()))
}

/// Bytes that are nearly a handshake: lines that belong there, some twice, some spoilt.
fn lines(first: &'static [&'static str], others: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(others);
    let spoil = prop_oneof![20 => Just(""), 1 => Just("\n"), 1 => Just("\r"), 1 => Just(" "), 1 => Just("\0"), 1 => Just("x")];
    (prop::sample::select(first), prop::collection::vec((line, spoil), 0..12), any::<bool>()).prop_map(
        |(first, lines, ended)| {
            let lines: String = lines.into_iter().map(|(line, spoil)| format!("{line}{spoil}\r\n")).collect();
            let end = if ended { "\r\n\x01\x02hi" } else { "" };
            format!("{first}\r\n{lines}{end}").into_bytes()
        },
    )
}

fn requests() -> impl Strategy<Value = Vec<u8>> {
    lines(
        &[
            "GET /chat HTTP/1.1",
            "GET /chat HTTP/1.1",
            "POST / HTTP/1.1",
            "GET / HTTP/1.0",
            "GET /",
            "\r\nGET / HTTP/1.1",
        ],
        &[
            "Host: h",
            "Host: h",
            "Upgrade: websocket",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: b, a",
            "Sec-WebSocket-Extensions: permessage-deflate; x=\"1\"",
            "Origin: http://h",
            "Content-Length: 5",
            "X: y",
        ],
    )
}

fn responses() -> impl Strategy<Value = Vec<u8>> {
    lines(
        &[
            "HTTP/1.1 101 Switching Protocols",
            "HTTP/1.1 101 Switching Protocols",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 x",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 x",
            "HTTP/1.1 302 Found",
            "HTTP/1.0 101 x",
            "HTTP/1.1",
        ],
        &[
            "Upgrade: websocket",
            "Upgrade: WebSocket",
            "Connection: Upgrade",
            "Connection: keep-alive, Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Protocol: a",
            "Sec-WebSocket-Extensions: x",
            "Location: /",
            "Content-Length: 5",
        ],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn server(bytes in requests(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), head in 40usize..400) {
        let options = ServerOptions::new().subprotocols(["a", "b"]).unwrap().limits(HeadLimits::new().head(head));
        let mut reader = options.reader();
        for cut in in_order(&cuts, bytes.len()) {
            let seen = &bytes[..cut];
            let answer = serve(&mut reader, &options, seen);
            prop_assert_eq!(&answer, &serve(&mut options.reader(), &options, seen), "{}", seen.escape_ascii());
            if answer.is_some() {
                break;
            }
        }
    }

    #[test]
    fn client(bytes in responses(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), head in 40usize..400) {
        let options = ClientOptions::new().subprotocols(["a"]).unwrap().limits(HeadLimits::new().head(head));
        let fresh = ClientHandshake::sent(options, Key::parse(KEY).unwrap());
        let mut client = fresh.clone();
        for cut in in_order(&cuts, bytes.len()) {
            let seen = &bytes[..cut];
            let outcome = receive(&mut client, seen);
            prop_assert_eq!(&outcome, &receive(&mut fresh.clone(), seen), "{}", seen.escape_ascii());
            if outcome.0 != "Ok(None)" {
                break;
            }
        }
    }
}

fn in_order(cuts: &[prop::sample::Index], length: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    cuts.push(length);
    cuts.sort_unstable();
    cuts
}

/// A valid handshake, in every two-way split and byte by byte.
#[test]
fn every_split() {
    let request =
        b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\x81\x82";
    let options = ServerOptions::new();
    let whole = serve(&mut options.reader(), &options, request).unwrap();
    assert_eq!(whole.1, request.len() - 2);
    every_cut(request, |pieces| {
        let mut reader = options.reader();
        let mut received = Vec::new();
        let answer = pieces.iter().find_map(|piece| {
            received.extend_from_slice(piece);
            serve(&mut reader, &options, &received)
        });
        assert_eq!(answer.as_ref(), Some(&whole));
    });
    let response = [&whole.0[..], b"\x81\x02hi"].concat();
    every_cut(&response, |pieces| {
        let mut client = ClientHandshake::sent(ClientOptions::new(), Key::parse(KEY).unwrap());
        let mut received = Vec::new();
        let opened = pieces.iter().find_map(|piece| {
            received.extend_from_slice(piece);
            client.receive(&received).unwrap()
        });
        assert_eq!(opened.map(|opened| opened.length), Some(whole.0.len()));
    });
}

/// Feeds the bytes one by one and spoils each line when it is complete; the first error, and how many bytes it took.
fn spoilt<E>(bytes: &str, mut feed: impl FnMut(&[u8]) -> Option<E>) -> Option<(E, usize)> {
    let mut received = Vec::new();
    bytes.bytes().find_map(|byte| {
        received.push(byte);
        let error = feed(&received);
        if byte == b'\n' {
            received.fill(0);
        }
        error.map(|error| (error, received.len()))
    })
}

/// Work is linear: a line that is complete is not looked at again before the whole head is, so that nobody notices
/// what becomes of it.
#[test]
fn no_line_is_looked_at_twice() {
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{}", format!("X: {}\r\n", "a".repeat(400)).repeat(60));
    let limit = HeadLimits::default().head;
    let mut reader = HeadReader::new(HeadLimits::default());
    let refused = spoilt(&head, |received| reader.read_request(received, &mut Slots::new()).err());
    assert_eq!(refused, Some((HeadError::HeadTooLarge, limit)));

    let mut client = ClientHandshake::sent(ClientOptions::new(), Key::parse(KEY).unwrap());
    let refused =
        spoilt(&head.replace("GET / HTTP/1.1", "HTTP/1.1 101 x"), |received| client.receive(received).err());
    assert_eq!(refused, Some((ClientError::HeadTooLarge, limit)));
}
