//! In two halves: who writes what the reader owes, and how the end is agreed upon.

use super::{client_end, echo, from_client, millis, pair, server, sockets};
use pushline::adapter::blocking::{Reader, Writer};
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::{Event, Message, Prepared, ProtocolError, State, UsageError};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A raw peer, and the halves of a server.
fn halves(options: &Options) -> (TcpStream, Reader<TcpStream>, Writer<TcpStream>) {
    let (peer, stream) = sockets();
    let (writer, reader) = server(stream, options).split().unwrap();
    (peer, reader, writer)
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn both_halves_work_at_once() {
    let (client, mut server) = pair(&Options::new());
    let serving = thread::spawn(move || echo(&mut server));
    let (writer, mut reader) = client.split().unwrap();
    let writing: Vec<_> = (0..4)
        .map(|thread| {
            let writer = writer.clone();
            thread::spawn(move || {
                for n in 0..500 {
                    match n % 3 {
                        0 => writer.send(format!("{thread} {n}").as_str()).unwrap(),
                        1 => writer.send(format!("{thread} {n}")).unwrap(),
                        _ => writer.send(&Prepared::text(&format!("{thread} {n}"))).unwrap(),
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..2000 {
        let Some(Message::Text(text)) = reader.next().unwrap() else { panic!("a text") };
        let (thread, n) = text.split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(n, next[thread].to_string());
        next[thread] += 1;
    }
    for writing in writing {
        writing.join().unwrap();
    }
    let reading = thread::spawn(move || reader.next());
    writer.close(1000, "done").unwrap();
    assert!(matches!(reading.join().unwrap().unwrap(), Some(Message::Close(_))));
    assert!(matches!(writer.send("late"), Err(Error::Usage(UsageError::Closed))));
    serving.join().unwrap().1.unwrap();
}

#[test]
fn an_idle_writer_does_not_keep_pings_waiting() {
    let (mut peer, mut reader, writer) = halves(&Options::new());
    let reading = thread::spawn(move || while let Ok(Some(_)) = reader.next() {});
    let pings = from_client(|connection| {
        for n in 0..10 {
            connection.ping(&[n]).unwrap();
        }
    });
    peer.write_all(&pings).unwrap();
    let mut pongs = [0; 30];
    peer.read_exact(&mut pongs).unwrap();
    assert_eq!(pongs.to_vec(), (0..10).flat_map(|n| [0x8a, 1, n]).collect::<Vec<u8>>());
    peer.write_all(&from_client(|connection| connection.close(1000, "").unwrap())).unwrap();
    assert_eq!(read_all(&mut peer), b"\x88\x02\x03\xe8");
    drop(peer);
    reading.join().unwrap();
    assert_eq!(writer.state(), State::Ended);
}

#[test]
fn a_busy_writer_does_not_keep_the_reader_waiting() {
    let (mut peer, mut reader, writer) = halves(&Options::new());
    // More than the socket takes while the peer does not read: the writer waits.
    let large = vec![7_u8; 16 << 20];
    let writing = {
        let (writer, large) = (writer.clone(), large.clone());
        thread::spawn(move || writer.send(large))
    };
    thread::sleep(millis(50));
    let bytes = from_client(|connection| {
        for n in 0..100 {
            connection.ping(&[n]).unwrap();
        }
        connection.send("Hello").unwrap();
    });
    peer.write_all(&bytes).unwrap();
    for n in 0..100 {
        assert_eq!(reader.next().unwrap(), Some(Message::Ping(vec![n].into())));
    }
    assert_eq!(reader.next().unwrap(), Some("Hello".into()));
    assert!(!writing.is_finished(), "the peer has read nothing");
    // Then the writer, or the reader at its next turn, pays for the latest ping.
    let stream = peer.try_clone().unwrap();
    let mut peer = client_end(peer, &Options::new());
    let reading = thread::spawn(move || while let Ok(Some(_)) = reader.next() {});
    let began = Instant::now();
    let (mut pongs, mut received) = (Vec::new(), 0);
    while received < large.len() || pongs.last() != Some(&99) {
        match peer.next().unwrap() {
            Some(Message::Binary(payload)) => received += payload.len(),
            Some(Message::Pong(payload)) => pongs.push(payload[0]),
            other => panic!("{other:?}"),
        }
    }
    assert!(pongs.len() < 100, "{pongs:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "the pong did not wait for the heartbeat");
    writing.join().unwrap().unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    reading.join().unwrap();
}

#[test]
fn a_close_ends_both_halves_in_time() {
    let options = Options::new().close_timeout(millis(80));
    let (_peer, mut reader, writer) = halves(&options);
    // The reader waits on the heartbeat's time, which is far away.
    let reading = thread::spawn(move || reader.next());
    thread::sleep(millis(30));
    let began = Instant::now();
    let error = writer.close(1000, "").unwrap_err();
    assert!(matches!(error, Error::TimedOut(TimedOut::Close)), "{error:?}");
    let error = reading.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::TimedOut(TimedOut::Close)), "{error:?}");
    assert!((millis(75)..Duration::from_secs(4)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_fault_is_answered_by_the_reader() {
    let (mut peer, mut reader, writer) = halves(&Options::new());
    let reading = thread::spawn(move || {
        let error = reader.next().unwrap_err();
        (matches!(error, Error::Protocol(ProtocolError::ReservedBits)), reader.next().unwrap())
    });
    peer.write_all(b"\xf0").unwrap();
    assert_eq!(read_all(&mut peer), b"\x88\x02\x03\xea");
    drop(peer);
    assert_eq!(reading.join().unwrap(), (true, None));
    assert!(matches!(writer.send("late"), Err(Error::Usage(UsageError::Closed))));
    writer.close(1000, "").unwrap();
}

#[test]
fn the_heartbeat_runs_in_the_reader() {
    let options = Options::new().ping_interval(Some(millis(60))).ping_timeout(millis(40));
    let (mut peer, mut reader, writer) = halves(&options);
    let error = reader.next().unwrap_err();
    assert!(matches!(error, Error::TimedOut(TimedOut::Ping)), "{error:?}");
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(read_all(&mut peer), b"\x89\x00");
    assert!(matches!(writer.send("late"), Err(Error::TimedOut(TimedOut::Ping))));
}

#[test]
fn an_abort_is_seen_by_both() {
    let (peer, mut reader, writer) = halves(&Options::new());
    drop(peer);
    assert!(matches!(reader.next(), Err(Error::Aborted)));
    assert_eq!(writer.state(), State::Aborted);
    writer.close(1000, "").unwrap(); // there is nothing left to wait for
}

#[test]
fn without_a_reader_there_is_no_connection() {
    let (mut peer, reader, writer) = halves(&Options::new());
    drop(reader);
    assert!(matches!(writer.send("late"), Err(Error::Usage(UsageError::Closed))));
    assert_eq!(read_all(&mut peer), b"");
}

#[test]
fn what_was_queued_is_written_at_the_split() {
    let (mut peer, stream) = sockets();
    let mut socket = server(stream, &Options::new());
    let two = from_client(|connection| {
        connection.send("a").unwrap();
        connection.send("b").unwrap();
    });
    peer.write_all(&two).unwrap();
    socket.next().unwrap();
    socket.send("queued").unwrap();
    let (_writer, mut reader) = socket.split().unwrap();
    let mut bytes = [0; 8];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"\x81\x06queued");
    assert_eq!(reader.next().unwrap(), Some("b".into()));
}

#[test]
fn events_are_lent_by_the_reader() {
    let (mut peer, mut reader, _writer) = halves(&Options::new());
    peer.write_all(&from_client(|connection| connection.send("Hello").unwrap())).unwrap();
    assert_eq!(reader.next_event().unwrap(), Some(Event::Text("Hello")));
}

#[test]
fn what_is_fed_leaves_with_the_flush() {
    let (mut peer, mut reader, writer) = halves(&Options::new());
    let messages = |count: u8| -> Vec<u8> { (0..count).flat_map(|n| [0x82, 1, n]).collect() };
    peer.set_read_timeout(Some(millis(50))).unwrap();
    for n in 0..3 {
        writer.feed(&[n][..]).unwrap();
    }
    assert!(peer.read(&mut [0]).is_err());
    writer.flush().unwrap();
    let mut bytes = [0; 16];
    assert_eq!(peer.read(&mut bytes).unwrap(), 9, "in one write");
    assert_eq!(bytes[..9], messages(3));
    assert_eq!(writer.stats().messages_sent, 3);
    // A send of another thread takes along what was fed before it, and so does a pong.
    writer.feed("a").unwrap();
    writer.clone().send("b").unwrap();
    assert_eq!(peer.read(&mut bytes).unwrap(), 6);
    assert_eq!(bytes[..6], *b"\x81\x01a\x81\x01b");
    writer.feed("c").unwrap();
    peer.write_all(&from_client(|connection| connection.ping(b"p").unwrap())).unwrap();
    assert!(matches!(reader.next().unwrap(), Some(Message::Ping(_))));
    let reading = thread::spawn(move || reader.next());
    let mut both = [0; 6];
    peer.read_exact(&mut both).unwrap();
    let pong_first = *b"\x8a\x01p\x81\x01c";
    assert_eq!(both, pong_first, "a pong overtakes");
    // A close goes behind it.
    writer.feed("d").unwrap();
    let closing = thread::spawn(move || writer.close(1000, "").map(|()| writer));
    peer.read_exact(&mut both).unwrap();
    assert_eq!(both, *b"\x81\x01d\x88\x02\x03");
    peer.write_all(&from_client(|connection| connection.close(1000, "").unwrap())).unwrap();
    assert!(matches!(reading.join().unwrap().unwrap(), Some(Message::Close(_))));
    drop(peer);
    let writer = closing.join().unwrap().unwrap();
    assert!(matches!(writer.feed("late"), Err(Error::Usage(UsageError::Closed))));
}

/// A queue that is full is written until there is room, and a peer that takes nothing ends the feed in time.
#[test]
fn feeding_is_bounded() {
    let options = Options::new().write_timeout(millis(200));
    let (peer, stream) = sockets();
    let limit = 10_000;
    let config = pushline::ws::ConnectionOptions::new().max_outgoing(limit);
    let connection = pushline::ws::Connection::server(pushline::ws::Negotiated::default(), config);
    let socket = pushline::adapter::blocking::WebSocket::new(stream, connection, &[], &options);
    let (writer, _reader) = socket.split().unwrap();
    let began = Instant::now();
    let message = [0; 1000];
    let error = loop {
        match writer.feed(&message[..]) {
            Ok(()) => assert!(writer.queued() <= limit),
            Err(error) => break error,
        }
        assert!(began.elapsed() < Duration::from_secs(20));
    };
    assert!(matches!(error, Error::TimedOut(TimedOut::Write)), "{error:?}");
    drop(peer);
}
