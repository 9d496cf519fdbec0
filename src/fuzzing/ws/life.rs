//! The life of a connection against a list of what happened: each thing with its time, each deadline found by looking through
//! the whole list again.

use super::stream::Input;
use crate::Inbox;
use crate::ws::{Connection, ConnectionOptions, End, Life, Negotiated, Side, Step, TimedOut, Times};
use bytes::Buf;
use std::time::Duration;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Heard,
    /// Bytes went out; whether the transport had refused some before, and whether some are left.
    Wrote {
        refused: bool,
        left: bool,
    },
    /// Bytes were queued on top of none.
    Queued,
    PingQueued,
    PingOut,
    PeerClosed,
    WeClosed,
    Eof,
    Reset,
    WriteFailed,
    Shut,
}

/// The settings, and the list.
struct Model {
    interval: Option<u64>,
    pong: u64,
    write: u64,
    close: u64,
    limit: u64,
    facts: Vec<(u64, Fact)>,
}

impl Model {
    fn last(&self, is: impl Fn(Fact) -> bool) -> Option<usize> {
        self.facts.iter().rposition(|(_, fact)| is(*fact))
    }

    fn has(&self, fact: Fact) -> bool {
        self.last(|other| other == fact).is_some()
    }

    fn time(&self, index: Option<usize>) -> u64 {
        index.map_or(0, |index| self.facts[index].0)
    }

    /// Since when the connection is ending.
    fn ending(&self) -> Option<u64> {
        let ends = [Fact::PeerClosed, Fact::WeClosed, Fact::WriteFailed];
        self.facts.iter().find(|(_, fact)| ends.contains(fact)).map(|(at, _)| *at)
    }

    /// Since when nothing of what is queued went out.
    fn stalled(&self) -> Option<u64> {
        let moves = |fact| matches!(fact, Fact::Wrote { .. } | Fact::Queued);
        let index = self.last(moves)?;
        let waits = matches!(self.facts[index].1, Fact::Wrote { left: true, .. } | Fact::Queued);
        (waits && !self.has(Fact::WriteFailed)).then_some(self.facts[index].0)
    }

    /// When what is due.
    fn deadlines(&self) -> Vec<(u64, Option<TimedOut>)> {
        if let Some(since) = self.ending() {
            let moved = self.last(|fact| matches!(fact, Fact::Wrote { .. } | Fact::WriteFailed));
            let from = self.stalled().unwrap_or_else(|| self.time(moved)).max(since);
            return vec![((from + self.close).min(since + self.limit), Some(TimedOut::Close))];
        }
        let write = self.stalled().map(|since| (since + self.write, Some(TimedOut::Write)));
        let heard = self.last(|fact| fact == Fact::Heard);
        let alive = self.last(|fact| matches!(fact, Fact::Heard | Fact::Wrote { refused: true, .. }));
        // What came before the last byte heard is no question any more.
        let after = |fact| self.last(|other| other == fact).filter(|index| Some(*index) > heard);
        let beat = match (self.interval, after(Fact::PingQueued), after(Fact::PingOut)) {
            (None, ..) => None,
            (Some(interval), None, _) => Some((self.time(alive) + interval, None)),
            (_, Some(queued), Some(out)) if out > queued => {
                Some((self.time(Some(out)).max(self.time(alive)) + self.pong, Some(TimedOut::Ping)))
            }
            _ => None,
        };
        // A write that is late comes before a ping that is due.
        [write, beat].into_iter().flatten().collect()
    }

    fn deadline(&self) -> Option<(u64, Option<TimedOut>)> {
        self.deadlines().into_iter().min_by_key(|(at, _)| *at)
    }

    /// How it ended, if it has, once all that was there at `now` was taken.
    fn end(&self, now: u64) -> Option<End> {
        let done = self.has(Fact::Eof) || self.has(Fact::Reset);
        let late = self.deadlines().into_iter().filter(|(at, _)| *at <= now).find_map(|(_, what)| what);
        if self.has(Fact::PeerClosed) {
            let finished = done && (self.has(Fact::Shut) || self.has(Fact::WriteFailed));
            return (finished || late.is_some()).then_some(End::Closed);
        }
        match late {
            _ if done && (self.has(Fact::Reset) || self.has(Fact::WriteFailed)) => Some(End::Transport),
            _ if done => Some(End::Aborted),
            late => late.map(End::TimedOut),
        }
    }
}

/// A host that lives by the fuzzer's bytes: it waits until the model's instants, pings when the model would, and ends as the
/// model says.
pub fn life(data: &[u8]) {
    let mut input = Input(data);
    let mut time = |bound: u64| 1 + input.number() as u64 % bound;
    let (interval, pong, write, close) = (time(3_000), time(3_000), time(3_000), time(1_000));
    let limit = time(5_000);
    let flags = input.byte();
    let interval = (flags & 1 == 0).then_some(interval);
    let mut model = Model { interval, pong, write, close, limit, facts: Vec::new() };
    let millis = Duration::from_millis;
    let times = Times::new()
        .ping_interval(interval.map(millis))
        .ping_timeout(millis(pong))
        .write_timeout(millis(write))
        .close_timeout(millis(close))
        .close_limit(millis(limit));
    let mut connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
    let mut life = Life::new(times, connection.role(), Duration::ZERO);
    let (mut inbox, mut now, mut room, mut write_fails) = (Inbox::new(), 0, usize::MAX, false);
    let mut refused = false;
    while !input.is_empty() {
        let mut incoming = None;
        match input.byte() % 12 {
            0..=4 => now += input.number() as u64 % 2_000,
            5 => incoming = Some(Fact::Heard),
            6 => {
                let was = connection.queued();
                if connection.send(&[0; 8][..]).is_ok() && was == 0 {
                    model.facts.push((now, Fact::Queued));
                }
            }
            7 => room = usize::from(input.byte() % 16),
            8 => room = usize::MAX,
            9 if input.byte() < 64 => {
                let was = connection.queued();
                if connection.close(1000, "").is_ok() {
                    model.facts.push((now, Fact::WeClosed));
                    if was == 0 {
                        model.facts.push((now, Fact::Queued));
                    }
                }
            }
            10 if input.byte() < 64 => incoming = Some(Fact::PeerClosed),
            11 => match input.byte() {
                0..=31 => incoming = Some(Fact::Eof),
                32..=47 => incoming = Some(Fact::Reset),
                48..=63 => write_fails = true,
                _ => {}
            },
            _ => {}
        }
        life.ready();
        let mut steps = 0;
        loop {
            steps += 1;
            assert!(steps < 64, "no end of it");
            life.sync(connection.sender());
            match life.step(Side::Reading) {
                Step::Write if write_fails => {
                    model.facts.push((now, Fact::WriteFailed));
                    life.write_failed();
                }
                Step::Write => {
                    let n = room.min(connection.queued());
                    if n == 0 {
                        refused = true;
                        life.write_blocked();
                        continue;
                    }
                    room = room.saturating_sub(n);
                    let ping = connection.unwritten_ping();
                    connection.outgoing().advance(n);
                    life.written();
                    let left = connection.queued() > 0;
                    model.facts.push((now, Fact::Wrote { refused, left }));
                    refused = left;
                    if ping && !connection.unwritten_ping() {
                        model.facts.push((now, Fact::PingOut));
                    }
                }
                Step::Shutdown => {
                    model.facts.push((now, Fact::Shut));
                    life.shut();
                }
                Step::Ping => {
                    let due = model.deadline().expect("a ping is due at some time");
                    assert!(due.0 <= now && due.1.is_none(), "pinged at {now}, due {due:?}");
                    let was = connection.queued();
                    connection.ping(b"").expect("room for a ping");
                    if was == 0 {
                        model.facts.push((now, Fact::Queued));
                    }
                    model.facts.push((now, Fact::PingQueued));
                    life.pinged();
                }
                step @ (Step::Read | Step::Drain) => {
                    let Some(fact) = incoming.take() else {
                        life.read_blocked();
                        continue;
                    };
                    model.facts.push((now, fact));
                    match fact {
                        Fact::Eof => {
                            life.eof();
                            connection.receive_eof();
                        }
                        Fact::Reset => life.read_failed(),
                        closes => {
                            let frame: &[u8] = if closes == Fact::PeerClosed {
                                &[0x88, 0x80, 0, 0, 0, 0]
                            } else {
                                &[0x8a, 0x80, 0, 0, 0, 0]
                            };
                            if closes == Fact::PeerClosed {
                                model.facts.push((now, Fact::Heard));
                            }
                            life.received(frame.len());
                            if step == Step::Read {
                                let was = connection.queued();
                                assert_eq!(inbox.extend(frame), frame.len());
                                while connection.next_event(&mut inbox).expect("no fault").is_some() {}
                                if was == 0 && connection.queued() > 0 {
                                    model.facts.push((now, Fact::Queued));
                                }
                            }
                        }
                    }
                }
                Step::Wait(Some(until)) if until > millis(now) => {
                    assert_eq!(model.end(now), None);
                    assert_eq!(model.deadline().map(|(at, _)| millis(at)), Some(until));
                    break;
                }
                Step::Wait(None) => {
                    assert_eq!(model.end(now), None);
                    assert_eq!(model.deadline(), None);
                    break;
                }
                Step::Clock | Step::Wait(_) => life.tick(Side::Reading, millis(now)),
                Step::Over(end) => {
                    assert_eq!(model.end(now), Some(end), "{:?}", model.facts);
                    return;
                }
            }
        }
    }
}
