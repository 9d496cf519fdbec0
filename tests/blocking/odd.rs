//! Peers that flood, stall, trickle, reset and close oddly: every call ends in its time, and no thread spins meanwhile.

use super::{from_client, millis, server, sockets};
use pushline::adapter::blocking::WebSocket;
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::{End, Message};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// What the thread has computed so far.
fn computed() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default())
}

/// Ends within `most`, and computes for no more than a fifth of a second of it.
fn calmly<T>(most: Duration, work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), computed());
    let done = work();
    let (took, computed) = (began.elapsed(), computed() - before);
    assert!(took < most, "it took {took:?}");
    assert!(computed < millis(200), "it spins: {computed:?} of {took:?}");
    done
}

fn quick() -> Options {
    Options::new().write_timeout(millis(400)).close_timeout(millis(300)).close_limit(millis(900))
}

/// All that comes, and the end.
fn drain<S: pushline::adapter::blocking::Transport>(
    socket: &mut WebSocket<S>,
) -> (Vec<Message>, Result<(), Error>) {
    let mut all = Vec::new();
    loop {
        match socket.next() {
            Ok(Some(message)) => all.push(message),
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(error)),
        }
    }
}

fn closing() -> Vec<u8> {
    from_client(|connection| connection.close(1000, "").unwrap())
}

/// Far more than any of the times set here: a machine may be busy.
const LONG: Duration = Duration::from_secs(40);

/// The peer says all that it has to say and reads nothing of what is queued for it.
#[test]
fn a_peer_that_closes_and_takes_nothing() {
    for fin in [true, false] {
        let (mut peer, stream) = sockets();
        let mut socket = server(stream, &quick());
        socket.feed(vec![1; 32 << 20]).unwrap();
        peer.write_all(&closing()).unwrap();
        if fin {
            peer.shutdown(Shutdown::Write).unwrap();
        }
        let (messages, end) = calmly(LONG, || drain(&mut socket));
        assert_eq!(messages.len(), 1, "{end:?}");
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(socket.end(), Some(End::Closed));
    }
}

#[test]
fn half_closed_without_a_close_frame() {
    let (peer, stream) = sockets();
    let mut socket = server(stream, &quick());
    socket.feed(vec![1; 32 << 20]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (_, end) = calmly(LONG, || drain(&mut socket));
    assert!(matches!(end, Err(Error::Aborted)), "{end:?}");
    assert!(matches!(socket.next(), Ok(None)));
    assert!(socket.send("late").is_err());
}

/// A stream that does not wait, without a heartbeat: nothing says how long it might have waited.
#[test]
fn without_times_nothing_spins_either() {
    for interval in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
        let (mut peer, stream) = sockets();
        stream.set_nonblocking(true).unwrap();
        let mut socket = server(stream, &quick().ping_interval(interval));
        for _ in 0..20 {
            let next = calmly(LONG, || socket.next());
            assert!(matches!(next, Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock));
        }
        peer.write_all(&closing()).unwrap();
        drop(peer);
        let end = calmly(LONG, || {
            loop {
                match socket.next() {
                    Ok(None) => break socket.end(),
                    Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                        thread::sleep(millis(5))
                    }
                    next => assert!(matches!(next, Ok(Some(Message::Close(_))))),
                }
            }
        });
        assert_eq!(end, Some(End::Closed));
    }
}

/// A connection that is reset: what the operating system says of it.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn is_reset(error: &Error) -> bool {
    let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    matches!(error, Error::Io(error) if reset.contains(&error.kind())) || matches!(error, Error::Aborted)
}

/// Half a frame, half a head, a whole message and half of the next one.
#[test]
fn a_reset_in_the_middle_is_told_to_all() {
    let hello = from_client(|connection| connection.send("Hello").unwrap());
    let one_and_a_half = [&hello[..], &hello[..7]].concat();
    for (bytes, whole) in [(&hello[..1], 0), (&hello[..7], 0), (&one_and_a_half[..], 1)] {
        let (mut peer, stream) = sockets();
        let mut socket = server(stream, &Options::new());
        peer.write_all(bytes).unwrap();
        if whole > 0 {
            assert_eq!(socket.next().unwrap(), Some("Hello".into()));
        }
        reset(peer);
        let (messages, end) = calmly(LONG, || drain(&mut socket));
        assert!(messages.is_empty() && is_reset(end.as_ref().unwrap_err()), "{end:?}");
        assert!(matches!(socket.next(), Ok(None)));
        let late = calmly(LONG, || socket.send("late").unwrap_err());
        assert!(late.is_disconnect(), "{late:?}");
        assert!(calmly(LONG, || socket.close(1000, "")).is_err());

        let (mut peer, stream) = sockets();
        let (writer, mut reader) = server(stream, &Options::new()).split().unwrap();
        peer.write_all(bytes).unwrap();
        if whole > 0 {
            assert_eq!(reader.next().unwrap(), Some("Hello".into()));
        }
        let reading = thread::spawn(move || calmly(LONG, || (reader.next(), reader.next())));
        thread::sleep(millis(20));
        reset(peer);
        let (first, second) = reading.join().unwrap();
        assert!(is_reset(&first.unwrap_err()) && matches!(second, Ok(None)));
        assert!(calmly(LONG, || writer.send("late").unwrap_err()).is_disconnect());
        assert!(calmly(LONG, || writer.flush().unwrap_err()).is_disconnect());
        assert!(calmly(LONG, || writer.close(1000, "")).is_err());
    }
}

/// After its close frame a peer floods, trickles, resets, or does nothing at all.
#[test]
fn whatever_follows_a_close_frame_ends() {
    type Odd = fn(TcpStream);
    let odd: [Odd; 4] = [
        |mut peer| {
            while peer.write_all(&[7; 64 * 1024]).is_ok() {}
        },
        |mut peer| {
            while peer.write_all(&[7]).is_ok() {
                thread::sleep(millis(5));
            }
        },
        reset,
        |peer| {
            thread::sleep(millis(1500));
            drop(peer);
        },
    ];
    for (number, odd) in odd.into_iter().enumerate() {
        for split in [false, true] {
            let (mut peer, stream) = sockets();
            peer.write_all(&closing()).unwrap();
            let peer = thread::spawn(move || odd(peer));
            let began = Instant::now();
            if split {
                let (writer, mut reader) = server(stream, &quick()).split().unwrap();
                let mut seen = 0;
                while let Ok(Some(_)) = reader.next() {
                    seen += 1;
                }
                assert!(seen == 1 || number == 2, "{number}");
                assert!(writer.send("late").is_err());
                let _ = writer.close(1000, "");
            } else {
                let mut socket = server(stream, &quick());
                let (messages, end) = drain(&mut socket);
                assert!(messages.len() == 1 && end.is_ok() || number == 2, "{number} {end:?}");
                let _ = socket.close(1000, "");
            }
            assert!(began.elapsed() < LONG, "{number} {split} {:?}", began.elapsed());
            peer.join().unwrap();
            // Also by calls that do not wait, of each kind.
            let (mut peer, stream) = sockets();
            peer.write_all(&closing()).unwrap();
            let peer = thread::spawn(move || odd(peer));
            let began = Instant::now();
            let is_over = |told: Result<Poll<Option<Message>>, Error>| {
                assert!(began.elapsed() < LONG, "{number} {split}");
                matches!(told, Ok(Poll::Ready(None)) | Err(_))
            };
            if split {
                let (_writer, mut reader) = server(stream, &quick()).split().unwrap();
                while !is_over(reader.next_timeout(Duration::ZERO)) {}
            } else {
                let mut socket = server(stream, &quick());
                while !is_over(socket.next_timeout(Duration::ZERO)) {}
            }
            assert!(began.elapsed() < LONG, "{number} {split} {:?}", began.elapsed());
            peer.join().unwrap();
        }
    }
}

/// Two writers and a reader, and a peer that only asks.
#[test]
fn a_flood_of_pings_and_nothing_taken() {
    let (mut peer, stream) = sockets();
    let (writer, mut reader) = server(stream, &quick()).split().unwrap();
    let flooding = thread::spawn(move || {
        let pings = from_client(|connection| connection.ping(&[1; 100]).unwrap()).repeat(500);
        while peer.write_all(&pings).is_ok() {}
    });
    let reading = thread::spawn(move || {
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    let other = writer.clone();
    let second = thread::spawn(move || calmly(LONG, || other.send("behind it")));
    let error = calmly(LONG, || writer.send(vec![1; 32 << 20]).unwrap_err());
    assert!(matches!(error, Error::TimedOut(TimedOut::Write)), "{error:?}");
    assert!(writer.queued() < 4096, "{}", writer.queued());
    let _ = second.join().unwrap();
    assert!(reading.join().unwrap().is_err());
    assert!(calmly(LONG, || writer.close(1000, "")).is_err());
    drop(writer);
    flooding.join().unwrap();
}

/// Nobody reads, a writer is stuck, and another one wants to close.
#[test]
fn a_close_behind_a_writer_that_is_stuck() {
    let (peer, stream) = sockets();
    let (writer, reader) = server(stream, &quick().write_timeout(2 * LONG)).split().unwrap();
    let stuck = writer.clone();
    let stuck = thread::spawn(move || stuck.send(vec![1; 32 << 20]));
    thread::sleep(millis(100));
    let closed = calmly(LONG, || writer.close(1000, ""));
    assert!(closed.is_err(), "{closed:?}");
    assert!(stuck.join().unwrap().is_err());
    drop((peer, reader));
}

/// A fault whose close frame cannot be written, since the peer takes nothing.
#[test]
fn a_fault_behind_a_queue_that_is_stuck() {
    for split in [false, true] {
        let (mut peer, stream) = sockets();
        let mut socket = server(stream, &quick());
        peer.write_all(&[0xff; 100]).unwrap();
        socket.feed(vec![1; 32 << 20]).unwrap();
        let end = if split {
            // What is fed behind the split is written by nobody but the reader.
            drop(socket);
            let (mut peer, stream) = sockets();
            let (writer, mut reader) = server(stream, &quick()).split().unwrap();
            writer.feed(vec![1; 32 << 20]).unwrap();
            peer.write_all(&[0xff; 100]).unwrap();
            let end = calmly(LONG, || reader.next().unwrap_err());
            assert!(calmly(LONG, || writer.send("late")).is_err());
            end
        } else {
            calmly(LONG, || socket.next().unwrap_err())
        };
        assert!(matches!(end, Error::Protocol(_) | Error::TimedOut(_)), "{split} {end:?}");
    }
}

/// Over a stream that does not wait, all of the closing handshake by calls that are repeated.
#[test]
fn closing_a_stream_that_does_not_wait() {
    for answers in [true, false] {
        let (mut peer, stream) = sockets();
        stream.set_nonblocking(true).unwrap();
        let mut socket = server(stream, &quick());
        let peer = thread::spawn(move || {
            if answers {
                peer.read_exact(&mut [0; 4]).unwrap();
                peer.write_all(&closing()).unwrap();
            }
            let mut rest = Vec::new();
            let _ = peer.read_to_end(&mut rest);
            peer
        });
        let began = Instant::now();
        let end = loop {
            match socket.close(1000, "") {
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => thread::sleep(millis(5)),
                end => break end,
            }
            assert!(began.elapsed() < LONG);
        };
        assert_eq!(end.is_ok(), answers, "{end:?}");
        drop(socket);
        peer.join().unwrap();
    }
}

/// The reader goes while a writer is stuck.
#[test]
fn a_reader_that_goes_while_a_writer_is_stuck() {
    let (peer, stream) = sockets();
    let (writer, reader) = server(stream, &quick()).split().unwrap();
    let stuck = thread::spawn(move || calmly(LONG, || writer.send(vec![1; 32 << 20])));
    thread::sleep(millis(100));
    drop(reader);
    assert!(stuck.join().unwrap().is_err());
    drop(peer);
}
