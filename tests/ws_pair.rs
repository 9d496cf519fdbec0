//! A client and a server driven against each other by a virtual clock, over a network that cuts the bytes
//! anywhere and takes its time: from the opening handshake to the closing one, and what happens without.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bytes::Buf;
use proptest::prelude::*;
use pushline::Inbox;
use pushline::heartbeat::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, PING_INTERVAL, PING_TIMEOUT};
use pushline::ws::handshake::{
    ClientHandshake, ClientOptions, Decide, Failure, Opening, OpeningStep, ServerOptions, Uri,
};
use pushline::ws::{
    CLOSE_LIMIT, CloseCode, Connection, ConnectionOptions, End, Event, Life, Message, Side, State, Step,
    TimedOut, Times,
};
use std::collections::VecDeque;
use std::sync::LazyLock;
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
    NotOpened,
    Over(End),
}

const CLOSED: Gone = Gone::Over(End::Closed);
const LATE_CLOSE: Gone = Gone::Over(End::TimedOut(TimedOut::Close));
const LATE_PONG: Gone = Gone::Over(End::TimedOut(TimedOut::Ping));

enum Phase {
    Opening(Box<Opening<'static, Duration>>),
    Open(Box<(Connection, Life<Duration>)>),
    Gone(Gone, Duration),
}

/// One end: a host of the two machines, with a clock of the test's.
struct Peer {
    server: bool,
    phase: Phase,
    config: ConnectionOptions,
    inbox: Inbox,
    /// When the machine wants to be called next.
    until: Option<Duration>,
    /// When it may write again; how many bytes it may write at a time.
    writable: Duration,
    at_a_time: usize,
    /// Reads, but writes nothing.
    mute: bool,
    last_read: Duration,
    /// When it ended its direction.
    shut: Option<Duration>,
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

static OPTIONS: LazyLock<ServerOptions> = LazyLock::new(ServerOptions::new);

impl Peer {
    fn new(server: bool, config: ConnectionOptions, at_a_time: usize) -> Self {
        let opening = if server {
            Opening::server(&OPTIONS, (|_, _| Ok(())) as Decide)
        } else {
            let uri = Uri::parse("ws://server.example.com/chat").expect("a URI");
            Opening::client(ClientHandshake::new(ClientOptions::new(), &uri, *b"the sample nonce"))
        };
        Self {
            server,
            phase: Phase::Opening(Box::new(opening)),
            config,
            inbox: Inbox::with_read_size(256),
            until: None,
            writable: Duration::ZERO,
            at_a_time,
            mute: false,
            last_read: Duration::ZERO,
            shut: None,
            seen: Vec::new(),
            state: State::Open,
        }
    }

    fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.phase {
            Phase::Open(open) => Some(&mut open.0),
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

    /// Does all that can be done now.
    fn turn(&mut self, wire: &mut Wire<'_>) {
        wire.left = if self.mute || wire.now < self.writable { 0 } else { self.at_a_time };
        let before = wire.left;
        if let Some(why) = self.open(wire).or_else(|| self.live(wire)) {
            if let Some(connection) = self.connection() {
                self.state = connection.state();
            }
            self.phase = Phase::Gone(why, wire.now);
            self.until = None;
            wire.write(None);
        }
        if wire.left < before {
            self.writable = wire.now + TICK;
        }
    }

    /// The opening handshake, as far as it gets.
    fn open(&mut self, wire: &mut Wire<'_>) -> Option<Gone> {
        let Phase::Opening(opening) = &mut self.phase else { return None };
        loop {
            let step = opening.step(&mut self.inbox, wire.now);
            self.until = opening.deadline();
            match step {
                OpeningStep::Read => match wire.read() {
                    Some(Some(bytes)) => {
                        self.last_read = wire.now;
                        assert_eq!(self.inbox.extend(&bytes), bytes.len());
                    }
                    Some(None) => opening.receive_eof(),
                    // What had come before the deadline was looked at.
                    None if opening.deadline().is_some_and(|at| at <= wire.now) => {}
                    None => return None,
                },
                OpeningStep::Write => match wire.piece(opening.outgoing().len()) {
                    0 if opening.deadline().is_some_and(|at| at <= wire.now) => {}
                    0 => return None,
                    n => {
                        wire.write(Some(opening.outgoing()[..n].to_vec()));
                        opening.written(n);
                    }
                },
                OpeningStep::Flush => opening.flushed(),
                OpeningStep::Shutdown => {
                    wire.write(None);
                    opening.shut_down();
                }
                OpeningStep::Done => break,
            }
        }
        let done = Phase::Gone(Gone::NotOpened, wire.now);
        let Phase::Opening(opening) = std::mem::replace(&mut self.phase, done) else { return None };
        let negotiated = match opening.finish() {
            Ok(opened) => opened.negotiated,
            Err(Failure::Rejected(rejection)) => panic!("both ends keep the rules: {rejection}"),
            Err(_) => return Some(Gone::NotOpened),
        };
        let connection = if self.server {
            Connection::server(negotiated, self.config)
        } else {
            let mut key = 0_u32;
            Connection::client(negotiated, self.config, move || {
                key = key.wrapping_add(0x9e37_79b9);
                key.to_be_bytes()
            })
        };
        let life = Life::new(Times::new(), connection.role(), wire.now);
        self.seen.push(Seen::Open);
        self.phase = Phase::Open(Box::new((connection, life)));
        None
    }

    /// The life after it.
    fn live(&mut self, wire: &mut Wire<'_>) -> Option<Gone> {
        let Phase::Open(open) = &mut self.phase else { return None };
        let (connection, life) = &mut **open;
        life.ready();
        loop {
            receive(connection, life, &mut self.inbox, &mut self.seen);
            life.sync(connection.sender());
            match life.step(Side::Reading) {
                Step::Write => match wire.piece(connection.queued()) {
                    0 => life.write_blocked(),
                    n => {
                        wire.write(Some(connection.outgoing().copy_to_bytes(n).to_vec()));
                        life.written();
                    }
                },
                Step::Shutdown => {
                    self.shut = Some(wire.now);
                    wire.write(None);
                    life.shut();
                }
                Step::Ping => {
                    connection.ping(b"").expect("room for a ping");
                    life.pinged();
                }
                step @ (Step::Read | Step::Drain) => match wire.read() {
                    Some(Some(bytes)) => {
                        self.last_read = wire.now;
                        life.received(bytes.len());
                        if step == Step::Read {
                            assert_eq!(self.inbox.extend(&bytes), bytes.len());
                        }
                    }
                    Some(None) => {
                        life.eof();
                        connection.receive_eof();
                    }
                    None => life.read_blocked(),
                },
                Step::Wait(Some(until)) if until <= wire.now => life.tick(Side::Reading, wire.now),
                Step::Clock => life.tick(Side::Reading, wire.now),
                Step::Wait(until) => {
                    self.until = until;
                    return None;
                }
                Step::Over(end) => return Some(Gone::Over(end)),
                step => panic!("{step:?}"),
            }
        }
    }

    /// When it wants to be called next.
    fn next_deadline(&self) -> Option<Duration> {
        let queued = match &self.phase {
            Phase::Opening(opening) => opening.outgoing().len(),
            Phase::Open(open) => open.0.queued(),
            Phase::Gone(..) => 0,
        };
        [self.until, (!self.mute && queued > 0).then_some(self.writable)].into_iter().flatten().min()
    }
}

/// All events that have come.
fn receive(connection: &mut Connection, life: &Life<Duration>, inbox: &mut Inbox, seen: &mut Vec<Seen>) {
    while !life.drains() {
        let Some(event) = connection.next_event(inbox).expect("both ends keep the rules") else { return };
        seen.push(match event {
            Event::Text(text) => Seen::Message(text.into()),
            Event::Binary(payload) => Seen::Message(payload.into()),
            Event::Ping(_) => Seen::Ping,
            Event::Pong(_) => Seen::Pong,
            Event::Close(close) => Seen::Close(close.map(|close| close.code.0)),
            other => panic!("{other:?}"),
        });
    }
}

/// What an end sees of the network, at one moment.
struct Wire<'a> {
    now: Duration,
    random: &'a mut Random,
    incoming: &'a mut Pipe,
    outgoing: &'a mut Pipe,
    /// How many bytes it may still write.
    left: usize,
}

impl Wire<'_> {
    fn read(&mut self) -> Option<Option<Vec<u8>>> {
        self.incoming.pop(self.now)
    }

    /// How many bytes of so many are written next.
    fn piece(&mut self, queued: usize) -> usize {
        (1 + self.random.below(2_000) as usize).min(self.left).min(queued)
    }

    fn write(&mut self, bytes: Option<Vec<u8>>) {
        self.left -= bytes.as_ref().map_or(0, Vec::len);
        let latency = TICK * (self.random.below(80) as u32);
        self.outgoing.push(self.now, latency, bytes);
    }
}

const SERVER: usize = 0;
const CLIENT: usize = 1;

/// Both ends and the network between them.
struct Pair {
    now: Duration,
    random: Random,
    ends: [Peer; 2],
    /// What each end writes.
    pipes: [Pipe; 2],
}

impl Pair {
    fn new(seed: u64, config: ConnectionOptions, at_a_time: usize) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random(seed | 1),
            ends: [Peer::new(true, config, at_a_time), Peer::new(false, config, at_a_time)],
            pipes: [Pipe::default(), Pipe::default()],
        }
    }

    /// All that happens at this moment.
    fn settle(&mut self) {
        for side in [SERVER, CLIENT] {
            if self.ends[side].gone().is_some() {
                // What comes now, nobody reads.
                while self.pipes[1 - side].pop(self.now).is_some() {}
                continue;
            }
            let [server, client] = &mut self.pipes;
            let (incoming, outgoing) = if side == SERVER { (client, server) } else { (server, client) };
            let random = &mut self.random;
            self.ends[side].turn(&mut Wire { now: self.now, random, incoming, outgoing, left: 0 });
        }
    }

    /// Lets time pass up to `until`, from one thing that happens to the next.
    fn run(&mut self, until: Duration) {
        loop {
            self.settle();
            let arrivals = self.pipes.iter().filter_map(|pipe| pipe.flying.front().map(|(at, _)| *at));
            let deadlines = self.ends.iter().filter_map(Peer::next_deadline);
            match arrivals.chain(deadlines).min() {
                Some(next) if next <= until => self.now = next.max(self.now),
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    /// A pair that has opened.
    fn open(seed: u64, config: ConnectionOptions, at_a_time: usize) -> Self {
        let mut pair = Self::new(seed, config, at_a_time);
        pair.run(Duration::from_secs(5));
        assert!(pair.ends.iter().all(|end| end.seen == [Seen::Open]));
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

fn config() -> impl Strategy<Value = ConnectionOptions> {
    let sizes = prop_oneof![Just(1 << 20), 125_usize..5_000];
    sizes.prop_map(|size| ConnectionOptions::new().fragment_size(size).max_outgoing(200_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is sent, however the network cuts and delays it: every message that was taken arrives, whole
    /// and in order; and whoever closes, or both at once, both ends finish, and the server's direction ends first.
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
        pair.run(now + 2 * CLOSE_LIMIT);

        for (here, there) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
            let arrived = pair.ends[there].messages();
            prop_assert!(sent[here].starts_with(&arrived), "out of order or damaged");
            let (why, _) = pair.ends[here].gone().expect("all is over by now");
            if in_time {
                prop_assert_eq!(arrived.len(), sent[here].len());
                prop_assert_eq!(pair.ends[there].count(&Seen::Ping), pings[here]);
                prop_assert_eq!(why, CLOSED);
                let expected = codes[there].or(codes[here]);
                prop_assert_eq!(pair.ends[here].closes(), vec![expected]);
            } else {
                prop_assert!(matches!(why, CLOSED | LATE_CLOSE | Gone::Over(End::Aborted)), "{why:?}");
            }
        }
        if in_time {
            prop_assert_eq!([pair.ends[SERVER].state, pair.ends[CLIENT].state], [State::Ended, State::Ended]);
            // 7.1.1
            prop_assert!(pair.ends[SERVER].shut.is_some() && pair.ends[SERVER].shut <= pair.ends[CLIENT].shut);
        }
    }

    /// The network swallows everything from some moment on: both ends notice, each at its own time, to the tick.
    #[test]
    fn a_peer_that_vanishes_is_given_up(seed in any::<u64>(), cut in 0_u64..100_000, chat in any::<bool>()) {
        let mut pair = Pair::open(seed, ConnectionOptions::new(), 1_000);
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
            prop_assert_eq!(why, LATE_PONG);
            prop_assert!(when <= (start + TICK * cut as u32).max(end.last_read) + PING_INTERVAL + PING_TIMEOUT + TICK);
            prop_assert!(when >= end.last_read + PING_TIMEOUT);
            prop_assert_eq!(end.state, State::Open);
        }
    }
}

/// Both are there and say nothing: pings keep the connection, for an hour.
#[test]
fn a_silent_connection_lives() {
    let mut pair = Pair::open(7, ConnectionOptions::new(), 1_000);
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
    let mut pair = Pair::open(7, ConnectionOptions::new(), 1_000);
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
    assert_eq!(pair.ends[SERVER].gone(), Some((LATE_PONG, last + TICK + PING_INTERVAL + PING_TIMEOUT)));
}

/// A close that is not answered ends at its deadline, whoever sent it.
#[test]
fn an_unanswered_close_ends_at_its_deadline() {
    for (side, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        let mut pair = Pair::open(9, ConnectionOptions::new(), 1_000);
        pair.ends[other].mute = true;
        let start = pair.now;
        pair.connection(side).close(CloseCode::NORMAL, "").expect("open");
        pair.run(start + Duration::from_secs(60));
        assert_eq!(pair.ends[side].gone(), Some((LATE_CLOSE, start + CLOSE_TIMEOUT)));
        assert_eq!(pair.ends[side].state, State::CloseSent);
        assert_eq!(pair.ends[other].closes(), [Some(1000)]);
    }
}

/// A client whose server does not close the transport waits for the close deadline and no longer.
#[test]
fn a_client_does_not_wait_for_ever_for_the_transport() {
    let mut pair = Pair::open(11, ConnectionOptions::new(), 1_000);
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
    // 7.1.4: closed cleanly all the same.
    assert_eq!(pair.ends[CLIENT].gone(), Some((CLOSED, start + CLOSE_TIMEOUT)));
    assert_eq!(pair.ends[CLIENT].state, State::Closed);
    assert_eq!(pair.ends[SERVER].gone().map(|(why, _)| why), Some(CLOSED));
}

/// The transport ends without a close: that is noticed at once.
#[test]
fn an_end_without_a_close_is_abnormal() {
    for side in [SERVER, CLIENT] {
        let mut pair = Pair::open(13, ConnectionOptions::new(), 1_000);
        let start = pair.now;
        pair.pipes[1 - side].push(start, TICK, None);
        pair.run(start + Duration::from_secs(1));
        assert_eq!(pair.ends[side].gone(), Some((Gone::Over(End::Aborted), start + TICK)));
        assert_eq!((pair.ends[side].state, pair.ends[side].closes()), (State::Aborted, vec![]));
    }
}

/// Neither a silent peer nor one that sends its head in drops holds an end in the handshake.
#[test]
fn a_handshake_has_a_deadline() {
    for (side, other) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
        for drops in [false, true] {
            let mut pair = Pair::new(17, ConnectionOptions::new(), 1_000);
            pair.ends[other].mute = true;
            if drops {
                let head: &[u8] = if side == SERVER { b"GET /chat HTTP/1.1" } else { b"HTTP/1.1 101 Switch" };
                for (n, byte) in head.iter().enumerate() {
                    let at = TICK * 1_500 * n as u32;
                    pair.pipes[other].push(at, Duration::ZERO, Some(vec![*byte]));
                }
            }
            pair.run(Duration::from_secs(60));
            let (why, when) = pair.ends[side].gone().expect("given up");
            assert_eq!(why, Gone::NotOpened);
            // A server says 408 and waits for the client to end, for the close timeout at most: here, drops are on their
            // way before that end.
            let close = if side == SERVER && drops { CLOSE_TIMEOUT } else { Duration::ZERO };
            let ends = HANDSHAKE_TIMEOUT + close;
            assert!((ends..ends + 200 * TICK).contains(&when), "{when:?}");
            assert_eq!(pair.ends[side].seen, []);
        }
    }
}
