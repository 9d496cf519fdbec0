//! A client that comes back against a list of what happened, in which everything is counted anew each time.

use super::stream::Input;
use crate::backoff::Backoff;
use crate::ws::redial::{Reaction, Redial, RedialPolicy, RedialState, RedialStep};
use std::time::Duration;

/// What happened, in milliseconds since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    Began,
    Connected,
    Greeted,
    /// With the time of the next attempt, if there is one.
    Lost(Option<Duration>),
    Closed,
}

struct Model {
    first: u64,
    ceiling: u64,
    jitter: u64,
    busy: u64,
    longest: u64,
    stable: u64,
    connect: u64,
    hello: u64,
    most: u64,
    facts: Vec<(Duration, Fact)>,
}

impl Model {
    fn state(&self) -> RedialState {
        match self.facts.last() {
            None | Some((_, Fact::Lost(Some(_)))) => RedialState::Waiting,
            Some((_, Fact::Began)) => RedialState::Connecting,
            Some((_, Fact::Connected)) => RedialState::Greeting,
            Some((_, Fact::Greeted)) => RedialState::Open,
            Some((_, Fact::Lost(None) | Fact::Closed)) => RedialState::Over,
        }
    }

    /// Failures in a row, if the present connection is lost now.
    fn failures(&self, now: Duration) -> u64 {
        let mut count = 0;
        let ends = self.facts.iter().copied().chain([(now, Fact::Lost(None))]);
        let mut since = None;
        for (at, fact) in ends {
            match fact {
                Fact::Began => since = None,
                Fact::Connected | Fact::Greeted => since = Some(at),
                Fact::Lost(_) => {
                    let stable = Duration::from_millis(self.stable);
                    let was_stable = since.take().is_some_and(|since| at - since >= stable);
                    count = if was_stable { 1 } else { count + 1 };
                }
                Fact::Closed => {}
            }
        }
        count
    }

    /// The shortest and the longest wait in milliseconds after so many failures.
    fn waits(&self, failures: u64, reaction: Reaction, asked: Option<u64>) -> (u64, u64) {
        let first = self.first.max(1);
        let mut wait = first;
        for _ in 1..failures {
            wait = (wait * 2).min(self.ceiling.max(first));
        }
        let busy = if reaction == Reaction::Later { self.busy } else { 0 };
        let least = busy.max(asked.unwrap_or(0).min(self.longest));
        (wait.max(least), (wait + wait * self.jitter.min(100) / 100 + 1).max(least))
    }

    fn step(&mut self, now: Duration) -> RedialStep<Duration> {
        let late = |since: Duration, time: u64| {
            let until = since + Duration::from_millis(time);
            if now < until { RedialStep::Wait(Some(until)) } else { RedialStep::Abandon }
        };
        match self.facts.last().copied() {
            Some((_, Fact::Lost(Some(at)))) if now < at => RedialStep::Wait(Some(at)),
            None | Some((_, Fact::Lost(Some(_)))) => {
                self.facts.push((now, Fact::Began));
                RedialStep::Connect
            }
            Some((since, Fact::Began)) => late(since, self.connect),
            Some((since, Fact::Connected)) => late(since, self.hello),
            Some((_, Fact::Greeted)) => RedialStep::Wait(None),
            Some((_, Fact::Lost(None) | Fact::Closed)) => RedialStep::Over,
        }
    }
}

/// Any calls at any times.
pub fn redial(data: &[u8]) {
    let mut input = Input(data);
    let mut time = |bound: u64| input.number() as u64 % bound;
    let mut model = Model {
        first: time(5_000),
        ceiling: time(60_000),
        jitter: time(256),
        busy: time(20_000),
        longest: time(20_000),
        stable: time(5_000),
        connect: time(5_000),
        hello: time(5_000),
        most: time(12),
        facts: Vec::new(),
    };
    let milliseconds = Duration::from_millis;
    let policy = RedialPolicy::new()
        .first_wait(milliseconds(model.first))
        .backoff(Backoff::new().ceiling(milliseconds(model.ceiling)).jitter(model.jitter as u8))
        .busy_wait(milliseconds(model.busy))
        .max_server_wait(milliseconds(model.longest))
        .stable_after(milliseconds(model.stable))
        .connect_timeout(milliseconds(model.connect))
        .hello_timeout(milliseconds(model.hello))
        .max_attempts((model.most > 0).then_some(model.most as u32));
    let mut redial = Redial::new(policy);
    let mut now = Duration::ZERO;
    while !input.0.is_empty() {
        match input.byte() % 8 {
            0 => now += milliseconds(input.number() as u64 % 70_000),
            1 => {
                redial.connected(now);
                if model.state() == RedialState::Connecting {
                    model.facts.push((now, Fact::Connected));
                }
            }
            2 => {
                redial.greeted(now);
                if model.state() == RedialState::Greeting {
                    model.facts.push((now, Fact::Greeted));
                }
            }
            3..=5 => {
                let (kind, random) = (input.byte(), u64::from_ne_bytes([input.byte(); 8]));
                let reaction = [Reaction::Again, Reaction::Later, Reaction::End, Reaction::GiveUp]
                    [usize::from(kind & 3)];
                let asked = (kind & 4 == 0).then(|| input.number() as u64);
                let next = redial.lost(now, random, reaction, asked.map(milliseconds));
                match model.facts.last() {
                    None => assert_eq!(next, None, "nothing was begun"),
                    Some((_, Fact::Lost(told))) => assert_eq!(next, *told, "told twice"),
                    Some((_, Fact::Closed)) => assert_eq!(next, None),
                    Some(_) => {
                        let failures = model.failures(now);
                        let comes_back = matches!(reaction, Reaction::Again | Reaction::Later)
                            && (model.most == 0 || failures < model.most);
                        assert_eq!(next.is_some(), comes_back);
                        if let Some(at) = next {
                            let (least, most) = model.waits(failures, reaction, asked);
                            let wait = at - now;
                            assert!(wait >= milliseconds(least), "{wait:?} {least}");
                            assert!(wait <= milliseconds(most), "{wait:?} {most}");
                        }
                        model.facts.push((now, Fact::Lost(next)));
                    }
                }
            }
            6 if input.byte() == 0 => {
                redial.close();
                model.facts.push((now, Fact::Closed));
            }
            _ => assert_eq!(redial.step(now), model.step(now)),
        }
        assert_eq!(redial.state(), model.state());
    }
}
