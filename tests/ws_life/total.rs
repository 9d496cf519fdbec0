//! Whatever is told, in whatever order: no panic, no step that leads nowhere, one end.

use crate::host::{connection, frame};
use bytes::Buf;
use proptest::prelude::*;
use pushline::Inbox;
use pushline::ws::{
    CLOSE_LIMIT, CloseCode, Connection, End, Life, MAX_DRAIN, ProtocolError, Role, Side, Step, Times,
};
use std::time::Duration;

/// All that a host can say, lawful or not.
#[derive(Clone, Copy, Debug)]
enum Say {
    Send,
    Close,
    PeerCloses,
    PeerFaults,
    Failed,
    Received(usize),
    Eof,
    ReadFailed,
    ReadBlocked,
    ReaderGone,
    WriteOne,
    WriteAll,
    Written,
    WriteBlocked,
    WriteFailed,
    Shut,
    Ping,
    Pinged,
    Ready,
    Step(Side),
    Tick(Side, Duration),
}

const SAYS: [Say; 25] = [
    Say::Send,
    Say::Close,
    Say::PeerCloses,
    Say::PeerFaults,
    Say::Failed,
    Say::Received(1),
    Say::Received(MAX_DRAIN + 1),
    Say::Eof,
    Say::ReadFailed,
    Say::ReadBlocked,
    Say::ReaderGone,
    Say::WriteOne,
    Say::WriteAll,
    Say::Written,
    Say::WriteBlocked,
    Say::WriteFailed,
    Say::Shut,
    Say::Ping,
    Say::Pinged,
    Say::Ready,
    Say::Step(Side::Reading),
    Say::Step(Side::Writing),
    Say::Tick(Side::Reading, Duration::ZERO),
    Say::Tick(Side::Reading, Duration::from_secs(31)),
    Say::Tick(Side::Writing, Duration::from_secs(61)),
];

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Blocked,
    Failed,
}

const ANSWERS: [Answer; 3] = [Answer::Done, Answer::Blocked, Answer::Failed];

/// Every way of answering: writing, half-closing, reading, and who asks.
fn policies() -> impl Iterator<Item = (Answer, Answer, Answer, Side)> {
    let each = |write| ANSWERS.into_iter().map(move |shutdown| (write, shutdown));
    let each = ANSWERS.into_iter().flat_map(each);
    let each = each.flat_map(|(w, s)| ANSWERS.into_iter().map(move |read| (w, s, read)));
    each.flat_map(|(w, s, r)| [Side::Reading, Side::Writing].map(|side| (w, s, r, side)))
}

fn settings() -> [Times; 6] {
    let all = |time| {
        Times::new()
            .ping_interval(Some(time))
            .ping_timeout(time)
            .write_timeout(time)
            .close_timeout(time)
            .close_limit(time)
    };
    [
        Times::new(),
        all(Duration::ZERO),
        all(Duration::ZERO).ping_interval(Some(Duration::from_nanos(1))),
        all(Duration::MAX),
        Times::new().ping_interval(None),
        Times::new().ping_interval(Some(Duration::MAX)).ping_timeout(Duration::ZERO),
    ]
}

struct World {
    connection: Connection,
    inbox: Inbox,
    life: Life<Duration>,
    now: Duration,
    role: Role,
}

impl World {
    fn new(role: Role, times: Times, now: Duration) -> Self {
        let life = Life::new(times, role, now);
        Self { connection: connection(role), inbox: Inbox::new(), life, now, role }
    }

    fn receive(&mut self, bytes: &[u8]) {
        assert_eq!(self.inbox.extend(bytes), bytes.len());
        self.life.received(bytes.len());
        loop {
            match self.connection.next_event(&mut self.inbox) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(fault) => {
                    self.life.failed(fault);
                    break;
                }
            }
        }
    }

    fn write(&mut self, n: usize) {
        let n = n.min(self.connection.queued());
        self.connection.outgoing().advance(n);
        self.life.written();
    }

    fn say(&mut self, say: Say) {
        match say {
            Say::Send => drop(self.connection.send("text")),
            Say::Close => drop(self.connection.close(CloseCode::NORMAL, "")),
            Say::PeerCloses => self.receive(&frame(self.role, 8, b"")),
            Say::PeerFaults => self.receive(&frame(self.role, 3, b"")),
            Say::Failed => self.life.failed(ProtocolError::InvalidUtf8),
            Say::Received(n) => self.life.received(n),
            Say::Eof => {
                self.life.eof();
                self.connection.receive_eof();
            }
            Say::ReadFailed => self.life.read_failed(),
            Say::ReadBlocked => self.life.read_blocked(),
            Say::ReaderGone => self.life.reader_gone(),
            Say::WriteOne => self.write(1),
            Say::WriteAll => self.write(usize::MAX),
            Say::Written => self.life.written(),
            Say::WriteBlocked => self.life.write_blocked(),
            Say::WriteFailed => self.life.write_failed(),
            Say::Shut => self.life.shut(),
            Say::Ping => drop(self.connection.ping(b"")),
            Say::Pinged => self.life.pinged(),
            Say::Ready => self.life.ready(),
            Say::Step(side) => drop(self.life.step(side)),
            Say::Tick(side, after) => {
                self.now = self.now.saturating_add(after);
                self.life.tick(side, self.now);
            }
        }
        self.life.sync(self.connection.sender());
    }

    /// Does what is asked for, answered in one way: what was said last, `Wait` or `Over`.
    fn obey(&mut self, (write, shutdown, read, side): (Answer, Answer, Answer, Side)) -> Step<Duration> {
        let mut ticked = false;
        for _ in 0..24 {
            self.life.sync(self.connection.sender());
            let told = core::mem::take(&mut ticked);
            match self.life.step(side) {
                Step::Write => match write {
                    Answer::Done => self.write(usize::MAX),
                    Answer::Blocked => self.life.write_blocked(),
                    Answer::Failed => self.life.write_failed(),
                },
                Step::Shutdown => match shutdown {
                    Answer::Done => self.life.shut(),
                    Answer::Blocked => self.life.write_blocked(),
                    Answer::Failed => self.life.write_failed(),
                },
                Step::Ping => {
                    self.connection.ping(b"").expect("a ping can be sent when it is asked for");
                    self.life.pinged();
                }
                Step::Read | Step::Drain => match read {
                    Answer::Done => self.say(Say::Eof),
                    Answer::Blocked => self.life.read_blocked(),
                    Answer::Failed => self.life.read_failed(),
                },
                Step::Clock => {
                    ticked = true;
                    self.life.tick(side, self.now);
                }
                Step::Wait(Some(until)) if until <= self.now => {
                    assert!(!told, "a wait for {until:?}, which was told to be over");
                    ticked = true;
                    self.life.tick(side, self.now);
                }
                step @ (Step::Wait(_) | Step::Over(_)) => return step,
                step => panic!("{step:?}"),
            }
        }
        panic!("no end of it: {:?}", self.life);
    }

    /// Goes on until it is over, if it ever is.
    fn live(&mut self, policy: (Answer, Answer, Answer, Side)) -> Option<End> {
        for _ in 0..16 {
            match self.obey(policy) {
                Step::Over(end) => return Some(end),
                Step::Wait(Some(until)) => self.now = until,
                _ => return None,
            }
            self.life.ready();
        }
        // Pings go out for as long as the peer answers, or nobody listens.
        panic!("no end of it: {:?}", self.life);
    }

    /// It is over and stays so, whatever else is said.
    fn stays_over(&self, end: End, says: &[Say]) {
        let mut life = self.life.clone();
        let mut after = Self::new(self.role, Times::new(), self.now);
        core::mem::swap(&mut after.life, &mut life);
        for say in says {
            after.say(*say);
            assert_eq!(after.life.end(), Some(end), "after {say:?}");
            assert_eq!(after.life.step(Side::Reading), Step::Over(end));
            assert_eq!(after.life.step(Side::Writing), Step::Over(end));
        }
    }
}

fn check(says: &[Say], role: Role, times: Times, starts: Duration) {
    for policy in policies() {
        let mut world = World::new(role, times, starts);
        let mut end = None;
        for say in says {
            world.say(*say);
            let now = world.life.end();
            assert!(end.is_none() || now == end, "{now:?} after {end:?}, {says:?}");
            end = now;
        }
        if let Some(end) = world.live(policy) {
            for say in SAYS {
                world.stays_over(end, &[say]);
            }
        }
    }
}

/// Two inputs of every kind, each setting and role, every way of going on.
#[test]
fn every_pair_of_inputs() {
    for role in [Role::Server, Role::Client] {
        for times in settings() {
            for first in SAYS {
                for second in SAYS {
                    check(&[first, second], role, times, Duration::ZERO);
                }
            }
        }
    }
}

/// Three inputs of every kind, then a host that does as it is told.
#[test]
fn every_three_inputs() {
    for times in [settings()[0], settings()[1]] {
        for n in 0..SAYS.len().pow(3) {
            let says = [SAYS[n % 25], SAYS[n / 25 % 25], SAYS[n / 625]];
            let policy = policies().nth(n % 54).expect("54 of them");
            let mut world = World::new(Role::Server, times, Duration::ZERO);
            says.iter().for_each(|say| world.say(*say));
            if let Some(end) = world.live(policy) {
                world.stays_over(end, &SAYS);
            }
        }
    }
}

/// After its end nothing that is said changes it: every two inputs after each kind of end.
#[test]
fn an_end_is_an_end() {
    let ends: [&[Say]; 8] = [
        &[Say::Eof],
        &[Say::ReadFailed],
        &[Say::PeerCloses, Say::WriteAll, Say::Shut, Say::Eof],
        &[Say::PeerFaults, Say::WriteAll, Say::Shut, Say::Eof],
        &[Say::Failed, Say::WriteFailed, Say::ReadFailed],
        &[Say::ReaderGone, Say::Close, Say::WriteAll, Say::Shut],
        &[Say::Send, SAYS[23], SAYS[24]],
        &[Say::Close, Say::WriteAll, SAYS[23], Say::ReadBlocked, SAYS[24]],
    ];
    for says in ends {
        let mut world = World::new(Role::Server, Times::new(), Duration::ZERO);
        says.iter().for_each(|say| world.say(*say));
        let end = world.life.end().unwrap_or_else(|| panic!("not over after {says:?}"));
        for first in SAYS {
            for second in SAYS {
                world.stays_over(end, &[first, second]);
            }
        }
    }
}

/// With the default times, a peer that does nothing is given up in bounded time, whatever was said before.
#[test]
fn a_silent_peer_is_given_up() {
    for first in SAYS {
        for second in SAYS {
            for write in ANSWERS {
                let mut world = World::new(Role::Server, Times::new(), Duration::ZERO);
                world.say(first);
                world.say(second);
                let start = world.now;
                let pinged_in_vain = world.life.is_unread() || asked_in_vain(&[first, second]);
                let end = world.live((write, Answer::Blocked, Answer::Blocked, Side::Reading));
                assert!(end.is_some() || pinged_in_vain, "{first:?} {second:?}");
                assert!(world.now <= start + 2 * CLOSE_LIMIT, "{first:?} {second:?}");
            }
        }
    }
}

/// A host that is asked for a ping and sends none waits for no pong.
fn asked_in_vain(says: &[Say]) -> bool {
    says.iter().any(|say| matches!(say, Say::Step(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_inputs(
        says in proptest::collection::vec(proptest::sample::select(SAYS.to_vec()), 0..30),
        client in any::<bool>(),
        times in proptest::sample::select(settings().to_vec()),
        late in any::<bool>(),
    ) {
        let role = if client { Role::Client } else { Role::Server };
        // A clock near its end is one, too.
        check(&says, role, times, if late { Duration::MAX - Duration::from_secs(40) } else { Duration::ZERO });
    }
}
