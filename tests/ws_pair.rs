//! A client and a server driven against each other by a virtual clock, over a network that cuts the bytes
//! anywhere and takes its time: from the opening handshake to the closing one, and what happens without.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Buf;
use proptest::prelude::*;
use pushline::Inbox;
use pushline::heartbeat::{
    Beat, CLOSE_TIMEOUT, Deadline, HANDSHAKE_TIMEOUT, Heartbeat, PING_INTERVAL, PING_TIMEOUT,
};
use pushline::http1::head::{Reader, Slots};
use pushline::ws::handshake::{Client, ClientOptions, ServerOptions, Uri, accept_request};
use pushline::ws::{CloseCode, Config, Connection, Event, Message, State};
use std::collections::VecDeque;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(1);

/// Numbers that are not regular: xorshift64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// One direction of the network.
#[derive(Debug, Default)]
struct Pipe {
    /// What is on its way: when it arrives, and the bytes; none for the end of the stream.
    flying: VecDeque<(Duration, Option<Vec<u8>>)>,
    /// Nothing arrives any more.
    dead: bool,
}

impl Pipe {
    fn push(&mut self, now: Duration, latency: Duration, bytes: Option<Vec<u8>>) {
        // It keeps the order, as TCP does.
        let earliest = self.flying.back().map_or(Duration::ZERO, |(at, _)| *at);
        if !self.dead {
            self.flying.push_back((earliest.max(now + latency), bytes));
        }
    }

    fn pop(&mut self, now: Duration) -> Option<Option<Vec<u8>>> {
        let (at, _) = self.flying.front()?;
        if *at <= now { self.flying.pop_front().map(|(_, bytes)| bytes) } else { None }
    }
}

/// Why an end is no longer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Finished,
    HandshakeDeadline,
    CloseDeadline,
    Dead,
}

#[derive(Debug)]
enum Phase {
    /// The server's reader, or the client's handshake.
    Opening(Box<Result<Reader, Client>>, Vec<u8>),
    Open(Box<Connection>),
    Gone(Gone, Duration),
}

/// One end: what an adapter keeps and does, with a clock of the test's.
#[derive(Debug)]
struct End {
    phase: Phase,
    config: Config,
    inbox: Inbox,
    /// Bytes of the opening handshake that are still to be written.
    head: Vec<u8>,
    handshake: Deadline<Duration>,
    heartbeat: Heartbeat<Duration>,
    closing: Deadline<Duration>,
    /// When it may write again; how many bytes it may write at a time.
    writable: Duration,
    at_a_time: usize,
    /// Reads, but writes nothing.
    mute: bool,
    last_read: Duration,
    seen: Vec<Seen>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Open,
    Message(Message),
    Ping,
    Pong,
    Close(Option<u16>),
}

impl End {
    fn new(server: bool, config: Config, at_a_time: usize) -> Self {
        let (opening, head) = if server {
            (Ok(ServerOptions::new().reader()), Vec::new())
        } else {
            let uri = Uri::parse("ws://server.example.com/chat").expect("a URI");
            let client = Client::new(ClientOptions::new(), &uri, *b"the sample nonce");
            let head = client.request().to_vec();
            (Err(client), head)
        };
        Self {
            phase: Phase::Opening(Box::new(opening), Vec::new()),
            config,
            inbox: Inbox::with_read_size(256),
            head,
            handshake: Deadline::new(Duration::ZERO, HANDSHAKE_TIMEOUT),
            heartbeat: Heartbeat::new(PING_INTERVAL, PING_TIMEOUT, Duration::ZERO),
            closing: Deadline::default(),
            writable: Duration::ZERO,
            at_a_time,
            mute: false,
            last_read: Duration::ZERO,
            seen: Vec::new(),
            state: State::Open,
        }
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(connection) => Some(connection),
            _ => None,
        }
    }

    fn gone(&self) -> Option<(Gone, Duration)> {
        match self.phase {
            Phase::Gone(why, when) => Some((why, when)),
            _ => None,
        }
    }

    fn messages(&self) -> Vec<Message> {
        let message = |seen: &Seen| match seen {
            Seen::Message(message) => Some(message.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(message).collect()
    }

    fn closes(&self) -> Vec<Option<u16>> {
        let code = |seen: &Seen| match seen {
            Seen::Close(code) => Some(*code),
            _ => None,
        };
        self.seen.iter().filter_map(code).collect()
    }

    fn count(&self, what: &Seen) -> usize {
        self.seen.iter().filter(|seen| *seen == what).count()
    }

    fn read(&mut self, now: Duration, bytes: &[u8]) {
        self.last_read = now;
        self.heartbeat.touch(now);
        if let Phase::Opening(opening, received) = &mut self.phase {
            received.extend_from_slice(bytes);
            let Some((connection, rest)) = open(opening, received, &mut self.head, self.config) else {
                return;
            };
            self.handshake.clear();
            self.seen.push(Seen::Open);
            self.phase = Phase::Open(Box::new(connection));
            self.receive(&rest);
        } else {
            self.receive(bytes);
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        let Phase::Open(connection) = &mut self.phase else { return };
        assert_eq!(self.inbox.extend(bytes), bytes.len());
        while let Some(event) = connection.next_event(&mut self.inbox).expect("both ends keep the rules") {
            self.seen.push(match event {
                Event::Text(text) => Seen::Message(text.into()),
                Event::Binary(payload) => Seen::Message(payload.into()),
                Event::Ping(_) => Seen::Ping,
                Event::Pong(_) => Seen::Pong,
                Event::Close(close) => Seen::Close(close.map(|close| close.code.0)),
                other => panic!("{other:?}"),
            });
        }
    }

    fn read_end(&mut self) {
        if let Some(connection) = self.connection() {
            connection.receive_eof();
        }
    }

    /// Writes what may be written now.
    fn write(&mut self, now: Duration, random: &mut Random, pipe: &mut Pipe) {
        if self.mute || now < self.writable {
            return;
        }
        let mut left = self.at_a_time;
        while left > 0 {
            let piece = (1 + random.below(2_000) as usize).min(left);
            let bytes = if !self.head.is_empty() {
                self.head.drain(..piece.min(self.head.len())).collect()
            } else if let Phase::Open(connection) = &mut self.phase {
                let outgoing = connection.outgoing();
                outgoing.copy_to_bytes(piece.min(outgoing.remaining())).to_vec()
            } else {
                Vec::new()
            };
            if bytes.is_empty() {
                return;
            }
            left -= bytes.len();
            pipe.push(now, TICK * (random.below(80) as u32), Some(bytes));
        }
        self.writable = now + TICK;
    }

    /// Does what is due.
    fn poll(&mut self, now: Duration) -> Option<Gone> {
        let Phase::Open(connection) = &mut self.phase else {
            return self.handshake.is_over(now).then_some(Gone::HandshakeDeadline);
        };
        if matches!(connection.state(), State::CloseSent | State::Closed) {
            self.closing.start(now, CLOSE_TIMEOUT);
        }
        if connection.is_finished() {
            return Some(Gone::Finished);
        }
        if self.closing.is_over(now) {
            return Some(Gone::CloseDeadline);
        }
        match self.heartbeat.poll(now) {
            Some(Beat::Dead) => return Some(Gone::Dead),
            // While it closes, the close deadline watches.
            Some(Beat::Send) if connection.state() == State::Open => {
                connection.ping(b"").expect("room for a ping")
            }
            _ => {}
        }
        None
    }

    /// When it wants to be called next.
    fn next_deadline(&self) -> Option<Duration> {
        let waiting = match &self.phase {
            Phase::Gone(..) => return None,
            Phase::Opening(..) => self.handshake.next_deadline(),
            Phase::Open(connection) => {
                // A deadline that has been reported is not one to wait for.
                (connection.state() == State::Open).then(|| self.heartbeat.next_deadline())
            }
        };
        [waiting, self.closing.next_deadline(), self.wants_to_write()].into_iter().flatten().min()
    }

    fn wants_to_write(&self) -> Option<Duration> {
        let queued = match &self.phase {
            Phase::Open(connection) => connection.queued(),
            _ => 0,
        };
        (!self.mute && self.head.len() + queued > 0).then_some(self.writable)
    }
}

/// Goes on with the opening handshake; the connection and what was received behind the head.
fn open(
    opening: &mut Result<Reader, Client>,
    received: &[u8],
    head: &mut Vec<u8>,
    config: Config,
) -> Option<(Connection, Vec<u8>)> {
    let options = ServerOptions::new();
    match opening {
        Ok(reader) => {
            let mut slots = Slots::new();
            let request = reader.read_request(received, &mut slots).expect("a good request")?;
            let accepted = accept_request(&options, &request).expect("a good request");
            accepted.write_to(head);
            Some((Connection::server(accepted.negotiated(), config), received[request.len()..].to_vec()))
        }
        Err(client) => {
            let opened = client.receive(received).expect("a good response")?;
            let mut key = 0_u32;
            let keys = move || {
                key = key.wrapping_add(0x9e37_79b9);
                key.to_be_bytes()
            };
            Some((Connection::client(opened.negotiated, config, keys), received[opened.length..].to_vec()))
        }
    }
}

const SERVER: usize = 0;
const CLIENT: usize = 1;

/// Both ends and the network between them.
#[derive(Debug)]
struct Pair {
    now: Duration,
    random: Random,
    ends: [End; 2],
    /// What each end writes.
    pipes: [Pipe; 2],
}

impl Pair {
    fn new(seed: u64, config: Config, at_a_time: usize) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random(seed | 1),
            ends: [End::new(true, config, at_a_time), End::new(false, config, at_a_time)],
            pipes: [Pipe::default(), Pipe::default()],
        }
    }

    /// All that happens at this moment.
    fn settle(&mut self) {
        for side in [SERVER, CLIENT] {
            while let Some(bytes) = self.pipes[1 - side].pop(self.now) {
                match bytes {
                    _ if self.ends[side].gone().is_some() => {}
                    Some(bytes) => self.ends[side].read(self.now, &bytes),
                    None => self.ends[side].read_end(),
                }
                // One write for all that a read has caused.
                self.ends[side].write(self.now, &mut self.random, &mut self.pipes[side]);
            }
            self.ends[side].write(self.now, &mut self.random, &mut self.pipes[side]);
            if self.ends[side].gone().is_some() {
                continue;
            }
            let gone = self.ends[side].poll(self.now);
            self.ends[side].write(self.now, &mut self.random, &mut self.pipes[side]);
            if let Some(why) = gone {
                if let Some(connection) = self.ends[side].connection() {
                    let state = connection.state();
                    self.ends[side].state = state;
                }
                self.ends[side].phase = Phase::Gone(why, self.now);
                let latency = TICK * (self.random.below(80) as u32);
                self.pipes[side].push(self.now, latency, None);
            }
        }
    }

    /// Lets time pass up to `until`, from one thing that happens to the next.
    fn run(&mut self, until: Duration) {
        loop {
            self.settle();
            let arrivals = self.pipes.iter().filter_map(|pipe| pipe.flying.front().map(|(at, _)| *at));
            let deadlines = self.ends.iter().filter_map(End::next_deadline);
            match arrivals.chain(deadlines).min() {
                Some(next) if next <= until => self.now = next.max(self.now),
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    /// A pair that has opened.
    fn open(seed: u64, config: Config, at_a_time: usize) -> Self {
        let mut pair = Self::new(seed, config, at_a_time);
        pair.run(Duration::from_secs(5));
        assert!(pair.ends.iter().all(|end| end.seen == [Seen::Open]), "{pair:?}");
        pair
    }

    fn connection(&mut self, side: usize) -> &mut Connection {
        self.ends[side].connection().expect("an open connection")
    }
}

/// What an end does, and when after the last.
#[derive(Clone, Debug)]
enum Action {
    Text(usize),
    Binary(usize),
    Ping,
    Wait(u64),
}

fn actions() -> impl Strategy<Value = Vec<(usize, Action)>> {
    let len = || prop_oneof![0_usize..200, 120_usize..130, 0_usize..20_000, 65_530_usize..65_540];
    let action = prop_oneof![
        4 => len().prop_map(Action::Text),
        4 => len().prop_map(Action::Binary),
        1 => Just(Action::Ping),
        4 => (0_u64..3_000).prop_map(Action::Wait),
    ];
    proptest::collection::vec((0_usize..2, action), 0..40)
}

fn config() -> impl Strategy<Value = Config> {
    let sizes = prop_oneof![Just(1 << 20), 125_usize..5_000];
    sizes.prop_map(|size| Config::new().fragment_size(size).max_outgoing(200_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent, however the network cuts and delays it: every message that was taken arrives, whole
    /// and in order; and whoever closes, or both at once, both ends finish, the server first.
    #[test]
    fn what_is_sent_arrives_and_a_close_completes(
        seed in any::<u64>(),
        config in config(),
        at_a_time in prop_oneof![1_usize..200, 1_000_usize..100_000],
        actions in actions(),
        closes in (prop_oneof![Just(Some(0)), Just(None), (0_u64..300).prop_map(Some)], 0_u64..300),
    ) {
        let mut pair = Pair::open(seed, config, at_a_time);
        let mut sent = [Vec::new(), Vec::new()];
        let mut pings = [0; 2];
        for (side, action) in actions {
            let connection = pair.connection(side);
            let message = match action {
                Action::Text(len) => Message::from("\u{e4}b".chars().cycle().take(len).collect::<String>()),
                Action::Binary(len) => Message::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>()),
                Action::Ping => {
                    pings[side] += usize::from(connection.ping(b"ping").is_ok());
                    continue;
                }
                Action::Wait(millis) => {
                    let until = pair.now + TICK * millis as u32;
                    pair.run(until);
                    continue;
                }
            };
            if connection.send(message.clone()).is_ok() {
                sent[side].push(message);
            }
        }
        // One of them closes, or both; perhaps before the other's close could have arrived.
        let (server, client) = closes;
        let start = pair.now;
        let mut both = [server.map(|after| (after, SERVER)), Some((client, CLIENT))];
        both.sort();
        let mut codes = [None, None];
        for (after, side) in both.into_iter().flatten() {
            pair.run(start + TICK * after as u32);
            let code = [CloseCode::GOING_AWAY, CloseCode(4000)][side];
            let closed = pair.ends[side].connection().map(|connection| connection.close(code, "bye"));
            if closed == Some(Ok(())) {
                codes[side] = Some(code.0);
            }
        }
        let now = pair.now;
        // Slow writers may need more than the close deadline allows: then that is what ends them.
        let queued: usize = [SERVER, CLIENT].map(|side| pair.ends[side].connection().map_or(0, |c| c.queued())).iter().sum();
        let in_time = TICK * (queued / at_a_time) as u32 + Duration::from_secs(1) < CLOSE_TIMEOUT;
        pair.run(now + 2 * CLOSE_TIMEOUT + Duration::from_secs(1));

        for (here, there) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
            let arrived = pair.ends[there].messages();
            prop_assert!(sent[here].starts_with(&arrived), "out of order or damaged");
            let (why, _) = pair.ends[here].gone().expect("all is over by now");
            if in_time {
                prop_assert_eq!(arrived.len(), sent[here].len());
                prop_assert_eq!(pair.ends[there].count(&Seen::Ping), pings[here]);
                prop_assert_eq!(why, Gone::Finished);
                let expected = codes[there].or(codes[here]);
                prop_assert_eq!(pair.ends[here].closes(), vec![expected]);
            } else {
                prop_assert!(matches!(why, Gone::Finished | Gone::CloseDeadline));
            }
        }
        if in_time {
            prop_assert_eq!([pair.ends[SERVER].state, pair.ends[CLIENT].state], [State::Closed, State::Ended]);
            prop_assert!(pair.ends[SERVER].gone().map(|(_, at)| at) <= pair.ends[CLIENT].gone().map(|(_, at)| at));
        }
    }

    /// The network swallows everything from some moment on: both ends notice, each at its own time, to the tick.
    #[test]
    fn a_peer_that_vanishes_is_given_up(seed in any::<u64>(), cut in 0_u64..100_000, chat in any::<bool>()) {
        let mut pair = Pair::open(seed, Config::new(), 1_000);
        let start = pair.now;
        for second in 0..cut / 1_000 {
            pair.run(start + Duration::from_secs(second));
            if chat && second % 7 == 0 {
                pair.connection(SERVER).send("still there?").expect("room");
            }
        }
        pair.run(start + TICK * cut as u32);
        for pipe in &mut pair.pipes {
            pipe.dead = true;
            pipe.flying.clear();
        }
        pair.run(start + Duration::from_secs(1_000));
        for end in &pair.ends {
            let (why, when) = end.gone().expect("given up");
            prop_assert_eq!(why, Gone::Dead);
            prop_assert!(when <= (start + TICK * cut as u32).max(end.last_read) + PING_INTERVAL + PING_TIMEOUT);
            prop_assert!(when >= end.last_read + PING_TIMEOUT);
            prop_assert_eq!(end.state, State::Open);
        }
    }
}

/// Both are there and say nothing: pings keep the connection, for an hour.
#[test]
fn a_silent_connection_lives() {
    let mut pair = Pair::open(7, Config::new(), 1_000);
    pair.run(Duration::from_secs(3_600));
    assert!(pair.ends.iter().all(|end| end.gone().is_none()));
    let pings: usize = pair.ends.iter().map(|end| end.count(&Seen::Ping)).sum();
    let pongs: usize = pair.ends.iter().map(|end| end.count(&Seen::Pong)).sum();
    // One side's ping is the other's sign of life: between one and two every half minute.
    assert!((115..=240).contains(&pings), "{pings}");
    assert!(pongs >= pings - 2, "{pongs} of {pings}");
}

/// A byte now and then is a sign of life, even if no frame is ever whole.
#[test]
fn any_byte_is_a_sign_of_life() {
    let mut pair = Pair::open(7, Config::new(), 1_000);
    pair.ends[CLIENT].mute = true;
    let frame = [&[0x82, 0xfe, 0x01, 0x00, 0, 0, 0, 0][..], &[0; 256]].concat();
    let start = pair.now;
    for (n, byte) in frame.iter().take(100).enumerate() {
        let now = start + Duration::from_secs(20) * n as u32;
        pair.run(now);
        pair.pipes[CLIENT].push(now, TICK, Some(vec![*byte]));
        // So that the client does not give up the server.
        pair.connection(SERVER).send("alive").expect("room");
    }
    assert!(pair.ends[SERVER].gone().is_none());
    assert_eq!(pair.ends[CLIENT].count(&Seen::Ping), 0);
    let last = pair.now;
    pair.run(last + Duration::from_secs(1_000));
    assert_eq!(pair.ends[SERVER].gone(), Some((Gone::Dead, last + TICK + PING_INTERVAL + PING_TIMEOUT)));
}

/// A close that is not answered ends at its deadline, whoever sent it.
#[test]
fn an_unanswered_close_ends_at_its_deadline() {
    for (side, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        let mut pair = Pair::open(9, Config::new(), 1_000);
        pair.ends[other].mute = true;
        let start = pair.now;
        pair.connection(side).close(CloseCode::NORMAL, "").expect("open");
        pair.run(start + Duration::from_secs(60));
        assert_eq!(pair.ends[side].gone(), Some((Gone::CloseDeadline, start + CLOSE_TIMEOUT)));
        assert_eq!(pair.ends[side].state, State::CloseSent);
        assert_eq!(pair.ends[other].closes(), [Some(1000)]);
    }
}

/// A client whose server does not close the transport waits for the close deadline and no longer.
#[test]
fn a_client_does_not_wait_for_ever_for_the_transport() {
    let mut pair = Pair::open(11, Config::new(), 1_000);
    pair.connection(CLIENT).close(CloseCode::NORMAL, "").expect("open");
    // The answer arrives, the end of the transport does not.
    let start = pair.now;
    while pair.ends[CLIENT].closes().is_empty() {
        let next = pair.now + TICK;
        pair.run(next);
        pair.pipes[SERVER].flying.retain(|(_, bytes)| bytes.is_some());
    }
    pair.pipes[SERVER].dead = true;
    pair.run(start + Duration::from_secs(60));
    assert_eq!(pair.ends[CLIENT].gone(), Some((Gone::CloseDeadline, start + CLOSE_TIMEOUT)));
    assert_eq!(pair.ends[CLIENT].state, State::Closed);
    assert_eq!(pair.ends[SERVER].gone().map(|(why, _)| why), Some(Gone::Finished));
}

/// The transport ends without a close: that is noticed at once.
#[test]
fn an_end_without_a_close_is_abnormal() {
    for side in [SERVER, CLIENT] {
        let mut pair = Pair::open(13, Config::new(), 1_000);
        let start = pair.now;
        pair.pipes[1 - side].push(start, TICK, None);
        pair.run(start + Duration::from_secs(1));
        assert_eq!(pair.ends[side].gone(), Some((Gone::Finished, start + TICK)));
        assert_eq!((pair.ends[side].state, pair.ends[side].closes()), (State::Aborted, vec![]));
    }
}

/// Neither a silent peer nor one that sends its head in drops holds an end in the handshake.
#[test]
fn a_handshake_has_a_deadline() {
    for (side, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        for drops in [false, true] {
            let mut pair = Pair::new(17, Config::new(), 1_000);
            pair.ends[other].mute = true;
            if drops {
                let head: &[u8] = if side == SERVER { b"GET /chat HTTP/1.1" } else { b"HTTP/1.1 101 Switch" };
                for (n, byte) in head.iter().enumerate() {
                    let at = TICK * 1_500 * n as u32;
                    pair.pipes[other].push(at, Duration::ZERO, Some(vec![*byte]));
                }
            }
            pair.run(Duration::from_secs(60));
            assert_eq!(pair.ends[side].gone(), Some((Gone::HandshakeDeadline, HANDSHAKE_TIMEOUT)));
            assert_eq!(pair.ends[side].seen, []);
        }
    }
}
