//! Over a transport of scripted reads that counts its calls.

use super::{echo, from_client, from_server, pair, server};
use bytes::Bytes;
use proptest::prelude::*;
use pushline::adapter::blocking::{Transport, WebSocket};
use pushline::adapter::{Error, Options};
use pushline::ws::{
    CloseCode, Connection, ConnectionOptions, Event, Message, Negotiated, Prepared, ProtocolError, State,
    UsageError,
};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Read,
    Write,
    ReadTimeout,
    Shutdown,
}

/// What a transport is to do when it is read from.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Fail(ErrorKind),
}

/// A transport of scripted reads that counts its calls. At the end of the script the peer has closed.
#[derive(Debug)]
struct Script {
    reads: VecDeque<Step>,
    written: Vec<u8>,
    calls: Vec<Call>,
    longest_write: usize,
    /// What the next writes fail with.
    write_failures: VecDeque<ErrorKind>,
    broken: bool,
}

#[derive(Clone, Debug)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn new(reads: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::steps(reads.into_iter().map(Step::Bytes))
    }

    fn steps(reads: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(Mutex::new(Script {
            reads: reads.into_iter().collect(),
            written: Vec::new(),
            calls: Vec::new(),
            longest_write: usize::MAX,
            write_failures: VecDeque::new(),
            broken: false,
        })))
    }

    fn count(&self, call: Call) -> usize {
        self.0.lock().unwrap().calls.iter().filter(|called| **called == call).count()
    }

    fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().written.clone()
    }
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut script = self.0.lock().unwrap();
        script.calls.push(Call::Read);
        match script.reads.pop_front() {
            None => Ok(0),
            Some(Step::Fail(kind)) => Err(kind.into()),
            Some(Step::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(buffer.len()));
                buffer[..bytes.len()].copy_from_slice(&bytes);
                if !rest.is_empty() {
                    script.reads.push_front(Step::Bytes(rest));
                }
                Ok(bytes.len())
            }
        }
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut script = self.0.lock().unwrap();
        if let Some(kind) = script.write_failures.pop_front() {
            return Err(kind.into());
        }
        if script.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        script.calls.push(Call::Write);
        let n = bytes.len().min(script.longest_write);
        script.written.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
        self.write(&bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Scripted {
    fn set_read_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        self.0.lock().unwrap().calls.push(Call::ReadTimeout);
        Ok(())
    }
    fn set_write_timeout(&mut self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }
    fn shutdown(&mut self, _: Shutdown) -> io::Result<()> {
        self.0.lock().unwrap().calls.push(Call::Shutdown);
        Ok(())
    }
}

#[test]
fn all_that_one_read_causes_leaves_in_one_write() {
    let messages: Vec<String> = (0..16).map(|n| format!("message {n} of thirty-two bytes....")).collect();
    let say = |connection: &mut Connection| {
        for message in &messages {
            connection.send(message).unwrap();
        }
        connection.ping(b"in between").unwrap();
    };
    let stream = Scripted::new([from_client(say), from_client(say)]);
    let mut socket = server(stream.clone(), &Options::new());
    let (received, end) = echo(&mut socket);
    assert!(matches!(end, Err(Error::Aborted)), "{end:?}");
    assert_eq!(received.len(), 2 * 17);
    assert_eq!(stream.count(Call::Write), 2);
    // While messages come and go, no call is spent on the times.
    assert_eq!(stream.count(Call::ReadTimeout), 1);
}

#[test]
fn a_send_of_its_own_writes_at_once() {
    let text = from_client(|connection| connection.send("Hello").unwrap());
    let (head, tail) = text.split_at(3); // within the header
    let stream = Scripted::steps([
        Step::Bytes([&text[..], head].concat()),
        Step::Bytes([tail, head].concat()),
        Step::Fail(ErrorKind::WouldBlock),
    ]);
    let mut socket = server(stream.clone(), &Options::new());
    socket.send("one").unwrap();
    socket.send("two").unwrap();
    assert_eq!(stream.count(Call::Write), 2);
    assert_eq!(socket.next().unwrap(), Some(Message::from("Hello")));
    // Half a frame is unread, looked at or not: no reason to wait.
    socket.send("three").unwrap();
    assert_eq!(stream.count(Call::Write), 3);
    assert_eq!(socket.next().unwrap(), Some(Message::from("Hello")));
    assert_eq!(stream.count(Call::Write), 3);
    assert!(matches!(socket.next(), Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock));
    socket.send("four").unwrap();
    assert_eq!(stream.count(Call::Write), 4);
    assert_eq!(socket.queued(), 0);
}

#[test]
fn a_queue_with_something_in_it_is_flushed_on_request() {
    let text = from_client(|connection| connection.send("Hello").unwrap());
    let stream = Scripted::new([[&text[..], &text[..]].concat()]);
    let mut socket = server(stream.clone(), &Options::new());
    socket.next().unwrap();
    socket.send("a").unwrap();
    socket.send(b"b").unwrap();
    socket.send(&Prepared::text("c")).unwrap();
    assert_eq!(stream.written(), b"");
    socket.flush().unwrap();
    assert_eq!(stream.written(), b"\x81\x01a\x82\x01b\x81\x01c");
    assert_eq!(stream.count(Call::Write), 1);
}

#[test]
fn every_ping_is_answered_while_the_transport_takes_it() {
    let pings = from_client(|connection| {
        for n in 0..10 {
            connection.ping(&[n]).unwrap();
        }
    });
    let stream = Scripted::new([pings]);
    let mut socket = server(stream.clone(), &Options::new());
    let (received, _) = echo(&mut socket);
    assert_eq!(received.len(), 10);
    let pongs: Vec<u8> = (0..10).flat_map(|n| [0x8a, 1, n]).collect();
    assert_eq!(stream.written(), pongs);
}

#[test]
fn a_transport_that_is_not_ready_gets_the_latest_pong() {
    let pings = from_client(|connection| {
        for n in 0..10 {
            connection.ping(&[n]).unwrap();
        }
    });
    let stream = Scripted::new([pings]);
    stream.0.lock().unwrap().write_failures = vec![ErrorKind::WouldBlock; 9].into();
    let mut socket = server(stream.clone(), &Options::new());
    let (received, _) = echo(&mut socket);
    assert_eq!(received.len(), 10);
    assert_eq!(stream.written(), [0x8a, 1, 9]);
}

#[test]
fn events_are_lent_and_come_in_parts() {
    let mut bytes = from_client(|connection| {
        connection.send("text").unwrap();
        connection.send(b"binary").unwrap();
        connection.pong(b"pong").unwrap();
    });
    let pong = bytes.iter().position(|byte| *byte == 0x8a).unwrap();
    assert_eq!(pong, 0, "a pong overtakes");
    bytes.extend(from_client(|connection| connection.close(1000, "bye").unwrap()));
    let stream = Scripted::new([bytes]);
    let mut socket = server(stream, &Options::new());
    assert_eq!(socket.next_event().unwrap(), Some(Event::Pong(b"pong")));
    assert_eq!(socket.next_event().unwrap(), Some(Event::Text("text")));
    assert_eq!(socket.next_event().unwrap(), Some(Event::Binary(b"binary")));
    assert!(
        matches!(socket.next_event().unwrap(), Some(Event::Close(Some(close))) if close.code == CloseCode::NORMAL)
    );
    assert_eq!(socket.next_event().unwrap(), None);
    assert_eq!(socket.next_event().unwrap(), None);

    let large = from_client(|connection| connection.send(&[7; 1000]).unwrap());
    let stream = Scripted::new(large.chunks(300).map(<[u8]>::to_vec));
    let connection = Connection::server(Negotiated::default(), ConnectionOptions::new().parts(true));
    let mut socket = WebSocket::new(stream, connection, &[], &Options::new());
    let (mut total, mut parts) = (0, 0);
    while let Ok(Some(Event::BinaryPart { payload, fin })) = socket.next_event() {
        total += payload.len();
        parts += 1;
        assert_eq!(fin, total == 1000);
    }
    assert_eq!((total, parts), (1000, 4));
}

#[test]
fn bytes_behind_the_handshake_come_first() {
    let text = from_client(|connection| connection.send("early").unwrap());
    let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
    let mut socket = WebSocket::new(Scripted::new([]), connection, &text, &Options::new());
    assert_eq!(socket.next().unwrap(), Some(Message::from("early")));
}

#[test]
fn a_fault_is_reported_once_its_close_frame_is_written() {
    let mut bytes = from_client(|connection| connection.send("before").unwrap());
    bytes.extend(b"\x81\x82\0\0\0\0\xc3\x28 and then more than that");
    for lent in [false, true] {
        let stream = Scripted::new([bytes.clone(), b"dropped".to_vec()]);
        let mut socket = server(stream.clone(), &Options::new());
        let mut next = || {
            if lent {
                socket.next_event().map(|event| event.is_some())
            } else {
                socket.next().map(|next| next.is_some())
            }
        };
        assert!(next().unwrap());
        let error = next().unwrap_err();
        assert!(matches!(error, Error::Protocol(ProtocolError::InvalidUtf8)), "{error:?}");
        assert_eq!(stream.written(), b"\x88\x02\x03\xef");
        assert!(!next().unwrap(), "an error is told once");
        // Closed in our direction, and the rest read, so that the peer gets the close frame and not a reset.
        assert_eq!(stream.count(Call::Shutdown), 1);
        assert!(stream.0.lock().unwrap().reads.is_empty());
        assert!(matches!(socket.send("too late"), Err(Error::Usage(UsageError::Closed))));
        assert_eq!(socket.state(), State::Failed);
    }
}

#[test]
fn an_end_without_a_close_frame_is_an_abort() {
    let mut socket = server(Scripted::new([b"\x81".to_vec()]), &Options::new());
    assert!(matches!(socket.next(), Err(Error::Aborted)));
    assert_eq!(socket.next().unwrap(), None);
    assert!(matches!(socket.send("too late"), Err(Error::Usage(UsageError::Closed))));
    // A TLS stream cut off.
    let stream = Scripted::steps([Step::Fail(ErrorKind::UnexpectedEof)]);
    assert!(matches!(server(stream, &Options::new()).next(), Err(Error::Aborted)));
    let stream = Scripted::steps([Step::Fail(ErrorKind::ConnectionReset)]);
    let mut socket = server(stream, &Options::new());
    assert!(matches!(socket.next(), Err(Error::Io(error)) if error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(socket.next().unwrap(), None);
}

#[test]
fn a_close_is_answered_before_it_is_reported() {
    for (close, reply) in [
        (from_client(|connection| connection.close(1001, "bye").unwrap()), &b"\x88\x02\x03\xe9"[..]),
        (from_client(|connection| connection.close_without_code().unwrap()), b"\x88\x00"),
    ] {
        let stream = Scripted::new([close]);
        let mut socket = server(stream.clone(), &Options::new());
        assert!(matches!(socket.next().unwrap(), Some(Message::Close(_))));
        assert_eq!(stream.written(), reply);
        assert_eq!(stream.count(Call::Shutdown), 0);
        assert_eq!(socket.next().unwrap(), None);
        assert_eq!(stream.count(Call::Shutdown), 1);
        assert_eq!(socket.next().unwrap(), None);
    }
}

#[test]
fn a_peer_that_closes_and_is_gone_has_closed_all_the_same() {
    let close = from_client(|connection| connection.close(1000, "").unwrap());
    let stream = Scripted::steps([Step::Bytes(close), Step::Fail(ErrorKind::ConnectionReset)]);
    stream.0.lock().unwrap().broken = true;
    let mut socket = server(stream, &Options::new());
    assert!(matches!(socket.next().unwrap(), Some(Message::Close(_))));
    assert_eq!(socket.next().unwrap(), None);
}

#[test]
fn what_the_peer_said_last_is_read_after_a_failed_write() {
    let bytes = from_server(|connection| {
        connection.send("last words").unwrap();
        connection.close(1008, "no").unwrap();
    });
    let stream = Scripted::new([bytes]);
    stream.0.lock().unwrap().broken = true;
    let mut socket = super::client_end(stream, &Options::new());
    for _ in 0..3 {
        let error = socket.send("Hello").unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::BrokenPipe), "{error:?}");
    }
    assert_eq!(socket.next().unwrap(), Some(Message::from("last words")));
    assert!(matches!(socket.next().unwrap(), Some(Message::Close(Some((CloseCode::POLICY_VIOLATION, _))))));
    // RFC 6455 7.1.4: the peer has closed; that our answer did not go out comes too late to matter.
    assert_eq!(socket.next().unwrap(), None);
}

#[test]
fn closing_drops_what_still_arrives() {
    let (mut client, mut server) = pair(&Options::new());
    for n in 0..100 {
        server.send(format!("message {n}")).unwrap();
    }
    let serving = thread::spawn(move || echo(&mut server));
    client.close(CloseCode::GOING_AWAY, "off").unwrap();
    assert_eq!(client.next().unwrap(), None);
    let (received, end) = serving.join().unwrap();
    end.unwrap();
    assert_eq!(received, [Message::Close(Some((CloseCode::GOING_AWAY, "off".into())))]);
}

#[test]
fn both_may_close_at_once() {
    let (mut client, mut server) = pair(&Options::new());
    let closing = thread::spawn(move || client.close(1000, "").unwrap());
    server.close(1001, "").unwrap();
    closing.join().unwrap();
}

#[test]
fn a_code_that_cannot_be_sent_closes_nothing() {
    let (mut client, mut server) = pair(&Options::new());
    assert!(matches!(client.close(1005, ""), Err(Error::Usage(UsageError::InvalidCloseCode(1005)))));
    client.send("still here").unwrap();
    assert_eq!(server.next().unwrap(), Some("still here".into()));
    client.send(Message::Close(None)).unwrap();
    assert_eq!(server.next().unwrap(), Some(Message::Close(None)));
}

#[test]
fn a_full_queue_is_written_until_there_is_room() {
    let text = from_client(|connection| connection.send("Hello").unwrap());
    let stream = Scripted::new([[&text[..], &text[..]].concat()]);
    stream.0.lock().unwrap().longest_write = 100;
    let config = ConnectionOptions::new().max_outgoing(1000);
    let connection = Connection::server(Negotiated::default(), config);
    let mut socket = WebSocket::new(stream.clone(), connection, &[], &Options::new());
    socket.next().unwrap();
    let mut expected = Vec::new();
    for n in 0..100_u8 {
        // Corked, but the queue is bounded all the same.
        socket.send(vec![n; 300]).unwrap();
        assert!(socket.queued() <= 1000, "{}", socket.queued());
        expected.extend([0x82, 126, 300_u16.to_be_bytes()[0], 300_u16.to_be_bytes()[1]]);
        expected.extend([n; 300]);
    }
    socket.flush().unwrap();
    assert_eq!(stream.written(), expected);
}

#[test]
fn interruptions_are_not_errors() {
    let text = from_client(|connection| connection.send("Hello").unwrap());
    let stream = Scripted::steps([
        Step::Fail(ErrorKind::Interrupted),
        Step::Bytes(text[..3].to_vec()),
        Step::Fail(ErrorKind::Interrupted),
        Step::Bytes(text[3..].to_vec()),
    ]);
    stream.0.lock().unwrap().write_failures = [ErrorKind::Interrupted].into();
    let mut socket = server(stream.clone(), &Options::new());
    assert_eq!(socket.next().unwrap(), Some(Message::from("Hello")));
    socket.send("Hello").unwrap();
    assert_eq!(stream.written(), b"\x81\x05Hello");
}

proptest! {
    /// However the bytes are cut, and however often the stream is not ready, the same messages come and the same
    /// bytes leave.
    #[test]
    fn a_stream_that_does_not_wait_loses_nothing(
        lengths in proptest::collection::vec(0_usize..3000, 1..12),
        cuts in proptest::collection::vec(1_usize..2000, 1..40),
        refusals in proptest::collection::vec(any::<bool>(), 1..40),
        longest_write in 1_usize..4000,
    ) {
        let mut bytes = from_client(|connection| {
            for (n, length) in lengths.iter().enumerate() {
                let payload = vec![n as u8; *length];
                connection.send(Message::Binary(Bytes::from(payload))).unwrap();
            }
        });
        bytes.extend(from_client(|connection| connection.close(1000, "").unwrap()));
        let mut steps = Vec::new();
        let (mut cuts, mut refusals) = (cuts.iter().cycle(), refusals.iter().cycle());
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            if *refusals.next().unwrap() {
                steps.push(Step::Fail(ErrorKind::WouldBlock));
            }
            let (piece, tail) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            steps.push(Step::Bytes(piece.to_vec()));
            rest = tail;
        }
        steps.push(Step::Fail(ErrorKind::WouldBlock));
        let stream = Scripted::steps(steps);
        {
            let mut script = stream.0.lock().unwrap();
            script.longest_write = longest_write;
            script.write_failures = vec![ErrorKind::WouldBlock; lengths.len()].into();
        }
        let mut socket = server(stream.clone(), &Options::new());
        let (received, end) = echo(&mut socket);
        prop_assert!(end.is_ok(), "{:?}", end);
        let mut expected = from_server(|connection| {
            for (n, length) in lengths.iter().enumerate() {
                connection.send(vec![n as u8; *length]).unwrap();
            }
        });
        prop_assert_eq!(received.len(), lengths.len() + 1);
        expected.extend(from_server(|connection| connection.close(1000, "").unwrap()));
        prop_assert_eq!(stream.written(), expected);
    }
}
