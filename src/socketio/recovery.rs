//! Connection state recovery: a client that was cut comes back as the same one, and gets what it missed.
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 128 bits are not used up; offsets are checked against the log's ends first"
)]

use super::engine::EngineMessage;
use crate::heartbeat::{Deadline, Instant};
use crate::settings::settings;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

settings! {
    /// How much a [`Recovery`] keeps, and for how long.
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// let config = pushline::socketio::RecoveryOptions::new().max_absence(Duration::from_secs(30));
    /// assert_eq!((config.events, config.bytes, config.sessions), (10_000, 16 << 20, 100_000));
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    RecoveryOptions {
        /// Time after which a client that was cut is somebody new. Default 2 minutes.
        pub max_absence: Duration = Duration::from_secs(120);
        /// Events kept, those of all clients together: what goes to one alone counts, too. Default 10,000.
        pub events: usize = 10_000;
        /// Their bytes in all. Default 16 MiB.
        pub bytes: usize = 16 << 20;
        /// Clients known, here or away. Default 100,000.
        pub sessions: usize = 100_000;
    }
}

/// The receivers of an event: all, or those in one of some rooms; but not those in others. Each client is in a room
/// that is named as it is.
///
/// ```
/// use pushline::socketio::Audience;
///
/// let audience = Audience { to: vec!["a".into()], except: vec!["b".into()] };
/// assert!(audience.includes("sid", &["a".into()]));
/// assert!(!audience.includes("sid", &["a".into(), "b".into()]));
/// assert!(Audience::default().includes("sid", &[]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Rooms; none means everybody.
    pub to: Vec<String>,
    /// Rooms whose members are left out.
    pub except: Vec<String>,
}

impl Audience {
    /// Whether a client in these rooms is among them.
    #[must_use]
    pub fn includes(&self, sid: &str, rooms: &[String]) -> bool {
        let is_in = |room: &String| room == sid || rooms.contains(room);
        (self.to.is_empty() || self.to.iter().any(is_in)) && !self.except.iter().any(is_in)
    }
}

#[derive(Clone, Debug)]
struct Known<I> {
    sid: Arc<str>,
    /// The event before the first that is the client's.
    since: u128,
    /// Its rooms when it was cut; it is still here while there is no deadline.
    rooms: Vec<String>,
    away: Deadline<I>,
}

#[derive(Clone, Debug)]
struct Event {
    number: u128,
    audience: Audience,
    messages: Vec<EngineMessage>,
}

/// A recovered client: its name, its rooms and the events that it missed.
///
/// ```
/// use pushline::socketio::Recovered;
///
/// fn rejoin(recovered: &Recovered) -> (&str, usize) {
///     (&recovered.sid, recovered.missed.len())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Recovered {
    /// Its name, as before.
    pub sid: Arc<str>,
    /// The rooms that it was in when it was cut; none if that was not noticed yet.
    pub rooms: Vec<String>,
    /// The events that it has not got, to be sent before the answer to its CONNECT.
    pub missed: Vec<EngineMessage>,
}

/// The clients of a namespace, and its last events: a bounded log whose numbers are the offsets that the events carry.
///
/// A client is known from when it connects, not from when a cut is noticed. Its offset is the log's number, so it stays
/// good as long as nothing of the client's was dropped behind it; it need not have received anything.
///
/// ```
/// use pushline::socketio::engine::EngineMessage;
/// use pushline::socketio::{Audience, Encoded, Recovery, RecoveryOptions};
/// use std::time::Duration;
///
/// let now = Duration::ZERO; // a virtual clock
/// let mut recovery = Recovery::new(RecoveryOptions::new());
/// recovery.enter("pid", "sid".into(), now);
/// for text in ["one", "two"] {
///     let offset = recovery.next_offset();
///     let event = Encoded::event("/", "say", &(text, offset.as_str()), None);
///     recovery.push(Audience::default(), event.into_shared());
/// }
/// recovery.leave("pid", Vec::new(), now);
/// let back = recovery.recover("pid", Some("1"), now).expect("it was not away for long");
/// assert_eq!((&*back.sid, back.missed.len()), ("sid", 1));
/// ```
#[derive(Clone, Debug)]
pub struct Recovery<I> {
    config: RecoveryOptions,
    log: VecDeque<Event>,
    bytes: usize,
    newest: u128,
    /// The newest event that is not kept any more.
    gone: u128,
    known: BTreeMap<Box<str>, Known<I>>,
    /// Nobody's time is over before this.
    full_until: Option<I>,
}

impl<I: Instant> Recovery<I> {
    /// Nobody is known, nothing was sent.
    #[must_use]
    pub const fn new(config: RecoveryOptions) -> Self {
        Self {
            config,
            log: VecDeque::new(),
            bytes: 0,
            newest: 0,
            gone: 0,
            known: BTreeMap::new(),
            full_until: None,
        }
    }

    /// A client is here. `pid` is its secret. `false` if as many are known as may be: it is then not recovered.
    pub fn enter(&mut self, pid: &str, sid: Arc<str>, now: I) -> bool {
        // To look at all of them for each that comes would take long.
        if self.known.len() >= self.config.sessions && self.full_until.is_none_or(|until| until <= now) {
            self.known.retain(|_, known| !known.away.is_over(now));
            let times = self.known.values().filter_map(|known| known.away.next_deadline());
            self.full_until = times.chain([now.saturating_add(self.config.max_absence)]).min();
        }
        if self.known.len() >= self.config.sessions {
            return false;
        }
        let known = Known { sid, since: self.newest, rooms: Vec::new(), away: Deadline::default() };
        self.known.insert(pid.into(), known);
        true
    }

    /// A client was cut, and was in these rooms.
    pub fn leave(&mut self, pid: &str, rooms: Vec<String>, now: I) {
        if let Some(known) = self.known.get_mut(pid) {
            known.rooms = rooms;
            known.away = Deadline::new(now, self.config.max_absence);
        }
    }

    /// A client has left for good.
    pub fn forget(&mut self, pid: &str) {
        self.known.remove(pid);
    }

    /// The name of a known client.
    #[must_use]
    pub fn sid(&self, pid: &str) -> Option<&Arc<str>> {
        self.known.get(pid).map(|known| &known.sid)
    }

    /// Whether a client can be recovered.
    #[must_use]
    pub fn knows(&self, pid: &str, now: I) -> bool {
        self.known.get(pid).is_some_and(|known| !known.away.is_over(now))
    }

    /// What the next event carries as its last argument; [`push`](Self::push) it then.
    #[must_use]
    pub fn next_offset(&self) -> String {
        Self::offset_of(self.newest + 1)
    }

    /// What an event carries that is not kept: a volatile one.
    #[must_use]
    pub fn offset(&self) -> String {
        Self::offset_of(self.newest)
    }

    /// What an event carries that has this number: the number in base 36.
    #[must_use]
    pub fn offset_of(number: u128) -> String {
        offset(number)
    }

    /// The number of the newest event.
    #[must_use]
    pub const fn newest(&self) -> u128 {
        self.newest
    }

    /// Keeps an event that is sent. The oldest go as needed.
    pub fn push(&mut self, audience: Audience, messages: Vec<EngineMessage>) {
        self.push_at(self.newest + 1, audience, messages);
    }

    /// The same, for a log that is shared with others, who give the numbers: they grow, with gaps. One that does not grow
    /// is not kept.
    pub fn push_at(&mut self, number: u128, audience: Audience, messages: Vec<EngineMessage>) {
        if number <= self.newest {
            return;
        }
        self.newest = number;
        self.bytes += size(&messages);
        self.log.push_back(Event { number, audience, messages });
        while self.log.len() > self.config.events || self.bytes > self.config.bytes {
            let Some(event) = self.log.pop_front() else { break };
            self.gone = event.number;
            self.bytes -= size(&event.messages);
        }
    }

    /// The log has come to this number without an event of this namespace.
    pub fn advance(&mut self, number: u128) {
        self.newest = self.newest.max(number);
    }

    /// Some events up to this number are missing here: whoever has not got them is somebody new.
    pub fn restart(&mut self, number: u128) {
        self.log.clear();
        self.bytes = 0;
        self.advance(number);
        self.gone = self.newest;
    }

    /// Since when a client gets events; for [`adopt`](Self::adopt) elsewhere.
    #[must_use]
    pub fn since(&self, pid: &str) -> Option<u128> {
        self.known.get(pid).map(|known| known.since)
    }

    /// A client was cut that was in these rooms elsewhere, on a server with the same log, and may come back here. `false`
    /// if as many are known as may be.
    pub fn adopt(&mut self, pid: &str, sid: Arc<str>, since: u128, rooms: Vec<String>, now: I) -> bool {
        let entered = self.enter(pid, sid, now);
        if let Some(known) = self.known.get_mut(pid).filter(|_| entered) {
            known.since = since;
        }
        self.leave(pid, rooms, now);
        entered
    }

    /// A client says that it was here, and which event it received last. `None` if it is not known, or some of the
    /// events that it missed may be gone: then it is somebody new. Its rooms are those of [`leave`](Self::leave); one
    /// whose cut was not noticed has its own.
    pub fn recover(&mut self, pid: &str, offset: Option<&str>, now: I) -> Option<Recovered> {
        let known = self.known.get_mut(pid).filter(|known| !known.away.is_over(now))?;
        let since = match offset {
            None => known.since,
            Some(text) => u128::from_str_radix(text, 36).ok().filter(|_| !text.starts_with('+'))?,
        };
        if since < known.since || since > self.newest || since < self.gone {
            return None;
        }
        known.away.clear();
        let rooms = core::mem::take(&mut known.rooms);
        let sid = Arc::clone(&known.sid);
        let first = self.log.partition_point(|event| event.number <= since);
        let missed = self.log.range(first..).filter(|event| event.audience.includes(&sid, &rooms));
        let missed = missed.flat_map(|event| event.messages.iter().cloned()).collect();
        Some(Recovered { sid, rooms, missed })
    }
}

fn size(messages: &[EngineMessage]) -> usize {
    messages.iter().map(EngineMessage::size).sum()
}

/// A number in base 36.
fn offset(mut number: u128) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
