//! A call that waits for no longer than it was told to, and streams that do not wait.

use super::{client_end, from_client, millis, pair, server, sockets};
use pushline::adapter::blocking::{Transport, Untimed, WebSocket};
use pushline::adapter::{Error, Options, TimedOut};
use pushline::ws::Message;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// The calls of a whole socket and of a reader.
trait Waiting {
    fn within(&mut self, timeout: Duration) -> Result<Poll<Option<Message>>, Error>;
}

impl<S: Transport> Waiting for WebSocket<S> {
    fn within(&mut self, timeout: Duration) -> Result<Poll<Option<Message>>, Error> {
        self.next_timeout(timeout)
    }
}

impl<S: Transport> Waiting for pushline::adapter::blocking::Reader<S> {
    fn within(&mut self, timeout: Duration) -> Result<Poll<Option<Message>>, Error> {
        self.next_timeout(timeout)
    }
}

/// What comes is told, what does not is waited for as long as was said, and a message in pieces is not lost.
fn waits_and_goes_on(socket: &mut impl Waiting, peer: &mut impl Write) {
    for time in [Duration::ZERO, millis(1), millis(60)] {
        let began = Instant::now();
        assert!(socket.within(time).unwrap().is_pending());
        assert!(began.elapsed() >= time && began.elapsed() < time + Duration::from_secs(2));
    }
    let hello = from_client(|connection| connection.send("Hello").unwrap());
    for byte in &hello[..hello.len() - 1] {
        peer.write_all(&[*byte]).unwrap();
        assert!(socket.within(Duration::ZERO).unwrap().is_pending());
    }
    peer.write_all(&hello[hello.len() - 1..]).unwrap();
    assert_eq!(socket.within(Duration::from_secs(10)).unwrap(), Poll::Ready(Some("Hello".into())));
    // What is at hand needs no time.
    let two = [&*hello, &*hello].concat();
    peer.write_all(&two).unwrap();
    for _ in 0..2 {
        assert_eq!(socket.within(Duration::MAX).unwrap(), Poll::Ready(Some("Hello".into())));
    }
    peer.write_all(&from_client(|connection| connection.close(1000, "").unwrap())).unwrap();
    assert!(matches!(socket.within(Duration::MAX).unwrap(), Poll::Ready(Some(Message::Close(_)))));
}

#[test]
fn a_wait_is_as_long_as_it_was_said() {
    let (mut peer, stream) = sockets();
    let mut socket = server(stream, &Options::new());
    waits_and_goes_on(&mut socket, &mut peer);
    // The peer does not end its direction: that is waited for in pieces, too.
    assert!(socket.within(Duration::ZERO).unwrap().is_pending());
    drop(peer);
    assert_eq!(socket.within(Duration::from_secs(4)).unwrap(), Poll::Ready(None));
    assert_eq!(socket.within(Duration::from_secs(4)).unwrap(), Poll::Ready(None));

    let (mut peer, stream) = sockets();
    let (_writer, mut reader) = server(stream, &Options::new()).split().unwrap();
    waits_and_goes_on(&mut reader, &mut peer);
    assert!(reader.within(Duration::ZERO).unwrap().is_pending());
    drop(peer);
    assert_eq!(reader.within(Duration::from_secs(4)).unwrap(), Poll::Ready(None));
}

/// A byte now and then is a sign of life, not a reason to wait longer.
#[test]
fn a_trickle_does_not_make_the_wait_longer() {
    let (mut peer, stream) = sockets();
    let (mut other, split) = sockets();
    let mut socket = server(stream, &Options::new());
    let (_writer, mut reader) = server(split, &Options::new()).split().unwrap();
    let trickling = thread::spawn(move || {
        let long = from_client(|connection| connection.send(vec![7; 100_000]).unwrap());
        for byte in &long {
            thread::sleep(millis(5));
            if peer.write_all(&[*byte]).is_err() || other.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    for _ in 0..2 {
        let began = Instant::now();
        assert!(socket.within(millis(100)).unwrap().is_pending());
        assert!(reader.within(millis(100)).unwrap().is_pending());
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    drop((socket, reader));
    trickling.join().unwrap();
}

/// The heartbeat and the close timeout run through calls that are over sooner.
#[test]
fn times_are_kept_through_short_waits() {
    fn ends(socket: &mut impl Waiting, end: TimedOut) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(5));
            match socket.within(millis(7)) {
                Ok(told) => assert!(told.is_pending()),
                Err(Error::TimedOut(told)) => return assert_eq!(told, end),
                Err(error) => panic!("{error}"),
            }
        }
    }
    let options = Options::new().ping_interval(Some(millis(60))).ping_timeout(millis(40));
    let (_peer, stream) = sockets();
    ends(&mut server(stream, &options), TimedOut::Ping);
    let (_peer, stream) = sockets();
    ends(&mut server(stream, &options).split().unwrap().1, TimedOut::Ping);
    let (_peer, stream) = sockets();
    let mut socket = server(stream, &Options::new().close_timeout(millis(50)));
    socket.send(Message::Close(None)).unwrap();
    ends(&mut socket, TimedOut::Close);
}

/// A peer that takes nothing: the wait is a quarter of a second longer at most, and what is queued goes out later.
#[test]
fn a_queue_that_does_not_move_holds_nobody() {
    let (mut peer, stream) = sockets();
    let mut socket = server(stream, &Options::new());
    let length = 16 << 20;
    socket.feed(vec![1; length]).unwrap();
    let began = Instant::now();
    for _ in 0..6 {
        assert!(socket.next_timeout(millis(1)).unwrap().is_pending());
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(socket.queued() > 0);
    let reading = thread::spawn(move || {
        let mut bytes = vec![0; 10 + length];
        peer.read_exact(&mut bytes).map(|()| peer)
    });
    while socket.queued() > 0 {
        assert!(socket.next_timeout(millis(1)).unwrap().is_pending());
    }
    reading.join().unwrap().unwrap();
}

#[test]
fn a_stream_that_does_not_wait_has_nothing_yet() {
    let (mut peer, stream) = sockets();
    stream.set_nonblocking(true).unwrap();
    let mut socket = server(stream, &Options::new());
    let began = Instant::now();
    for time in [Duration::ZERO, millis(1), Duration::from_secs(100)] {
        assert!(socket.next_timeout(time).unwrap().is_pending());
    }
    assert!(began.elapsed() < Duration::from_secs(5));
    peer.write_all(&from_client(|connection| connection.send("Hello").unwrap())).unwrap();
    let began = Instant::now();
    loop {
        match socket.next_timeout(Duration::ZERO).unwrap() {
            Poll::Ready(message) => break assert_eq!(message, Some("Hello".into())),
            Poll::Pending => assert!(began.elapsed() < Duration::from_secs(5)),
        }
    }
    let mut socket = client_end(Untimed(io::Cursor::new(b"\x81\x05Hello".to_vec())), &Options::new());
    assert_eq!(socket.next_timeout(Duration::ZERO).unwrap(), Poll::Ready(Some("Hello".into())));
}

/// Its thread was held up in the first read: that looks as if the stream had waited.
struct HeldUp {
    times: u32,
    reads: u32,
}

impl Read for HeldUp {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        assert!(self.reads < 1000, "it spins");
        if self.reads <= self.times {
            thread::sleep(millis(25));
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Write for HeldUp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_thread_that_is_held_up_does_not_spin_afterwards() {
    for times in [0, 1, 7] {
        let mut socket = server(Untimed(HeldUp { times, reads: 0 }), &Options::new());
        for _ in 0..3 {
            assert!(matches!(socket.next(), Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock));
        }
        assert_eq!(socket.get_ref().0.reads, times + 3);
    }
}

/// Between two ends of ours.
#[test]
fn two_that_take_turns() {
    let (mut client, mut server) = pair(&Options::new());
    let serving = thread::spawn(move || {
        let mut count = 0;
        loop {
            match server.next_timeout(millis(1)).unwrap() {
                Poll::Ready(Some(message)) if message.is_data() => {
                    count += 1;
                    server.send(message).unwrap();
                }
                Poll::Ready(Some(_)) | Poll::Pending => {}
                Poll::Ready(None) => return count,
            }
        }
    });
    for n in 0..100_u32 {
        client.send(&n.to_be_bytes()[..]).unwrap();
        assert_eq!(client.next().unwrap(), Some(Message::from(n.to_be_bytes().to_vec())));
    }
    client.close(1000, "").unwrap();
    assert_eq!(serving.join().unwrap(), 100);
}

/// A peer that takes a little all the time: each write goes on, and none may hold the call.
#[test]
fn a_queue_that_moves_slowly_holds_nobody() {
    for split in [false, true] {
        let (mut peer, stream) = sockets();
        let length = 64 << 20;
        let done = Arc::new(AtomicBool::new(false));
        let hurry = Arc::clone(&done);
        let ping = from_client(|connection| connection.ping(b"p").unwrap());
        let reading = thread::spawn(move || {
            let mut bytes = vec![0; 16 * 1024];
            peer.write_all(&ping).unwrap();
            while peer.read(&mut bytes).unwrap() > 0 {
                if !hurry.load(Relaxed) {
                    thread::sleep(millis(2));
                }
            }
            peer
        });
        let mut socket = server(stream, &Options::new());
        let payload = vec![1; length];
        let longest = |call: &mut dyn FnMut() -> bool| {
            let mut longest = Duration::ZERO;
            // The ping is heard while the queue moves.
            for heard in 0.. {
                let began = Instant::now();
                let is_heard = call();
                longest = longest.max(began.elapsed());
                if is_heard {
                    break;
                }
                assert!(heard < 10_000, "{split}");
            }
            for _ in 0..8 {
                let began = Instant::now();
                assert!(!call());
                longest = longest.max(began.elapsed());
            }
            done.store(true, Relaxed);
            longest
        };
        let is_message = |told: Poll<Option<Message>>| matches!(told, Poll::Ready(Some(_)));
        let longest = if split {
            let (writer, mut reader) = socket.split().unwrap();
            writer.feed(&payload[..]).unwrap();
            let longest = longest(&mut || is_message(reader.next_timeout(millis(1)).unwrap()));
            writer.flush().unwrap();
            drop((writer, reader));
            longest
        } else {
            socket.feed(&payload[..]).unwrap();
            let longest = longest(&mut || is_message(socket.next_timeout(millis(1)).unwrap()));
            socket.flush().unwrap();
            drop(socket);
            longest
        };
        drop(reading.join().unwrap());
        assert!(longest < Duration::from_secs(4), "{split} {longest:?}");
    }
}

/// A stream that takes a little all the time.
struct Dribble(TcpStream);

impl Read for Dribble {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Dribble {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        thread::sleep(millis(1));
        self.0.write(&bytes[..bytes.len().min(64)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Transport for Dribble {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Transport::set_read_timeout(&mut self.0, timeout)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        Transport::set_write_timeout(&mut self.0, timeout)
    }

    fn shutdown(&mut self, how: Shutdown) -> io::Result<()> {
        Transport::shutdown(&mut self.0, how)
    }
}

/// Nor a call that has no time of its own: what the peer says is heard while the queue moves, however slowly.
#[test]
fn what_comes_is_heard_while_a_queue_moves_slowly() {
    const LENGTH: usize = 256 << 10; // four seconds and more
    for split in [false, true] {
        let (mut peer, stream) = sockets();
        let other = Dribble(stream.try_clone().unwrap());
        peer.write_all(&from_client(|connection| connection.ping(b"p").unwrap())).unwrap();
        let mut socket = server(Dribble(stream), &Options::new());
        // Behind a queue the pong has to wait; what comes next has not.
        let mut hears = |next: &mut dyn FnMut() -> Result<Option<Message>, Error>| {
            assert!(matches!(next(), Ok(Some(Message::Ping(_)))));
            peer.write_all(&from_client(|connection| connection.send("next").unwrap())).unwrap();
            assert_eq!(next().unwrap(), Some(Message::from("next")));
        };
        let queued = if split {
            let (writer, mut reader) = socket.split_with(|_| Ok(other)).unwrap();
            writer.feed(&[1; LENGTH][..]).unwrap();
            assert!(writer.queued() >= LENGTH);
            hears(&mut || reader.next());
            writer.queued()
        } else {
            socket.feed(&[1; LENGTH][..]).unwrap();
            hears(&mut || socket.next());
            socket.queued()
        };
        assert!(queued > LENGTH / 4, "{split}: only then was it heard, with {queued} bytes left");
    }
}
