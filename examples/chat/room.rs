//! A room as this node sees it: the newest part of its log, shared by reference, and the members who are connected here.
//! Engines deliver events into it; transports listen. No I/O, no clock.
//!
//! A listener that does not read fast enough is dropped, never waited for. Its page comes back with its cursor and is
//! sent what it missed from the past, which holds more than a listener's queue.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::chat::Limits;
use crate::id::{Id, now, number};
use crate::local::Register;
use crate::protocol::{Fact, MemberId, Millis, REPLACED, Refusal, TRY_AGAIN_LATER};
use crate::told::Told;

/// Where a transport takes what its member is told. Neither call may wait.
pub trait Sink: Send + Sync {
    /// Takes an event or an answer; `false` if it cannot, and then it is told nothing more but `bye`.
    fn tell(&self, told: &Told) -> bool;
    /// The connection is to be closed behind what was told.
    fn bye(&self, code: u16, text: &str);
    /// The same client goes on at another node: there is nobody to say goodbye to.
    fn moved(&self) {}
}

/// See the file's first lines.
pub struct Room {
    pub name: String,
    /// Tells this room from every other, and from an earlier one of the same name.
    pub epoch: String,
    /// Makes members' numbers of sessions: nobody can find a session for a number without it.
    secret: String,
    pub limits: Arc<Limits>,
    /// Of the engine in this process; unused by others.
    pub register: Mutex<Register>,
    state: Mutex<State>,
    reached: watch::Sender<Id>,
}

#[derive(Default)]
struct State {
    past: VecDeque<Told>,
    bytes: usize,
    /// The past is whole from here on: behind an event that was dropped, or from the room's beginning.
    floor: Id,
    last: Id,
    seats: HashMap<MemberId, Listener>,
    paces: HashMap<MemberId, Pace>,
    parting: Vec<Parting>,
    doubtful: VecDeque<Doubtful>,
    /// The size that members were told last, and when they may be told another.
    count: usize,
    count_due: Millis,
    idle_since: Option<Millis>,
}

struct Listener {
    visit: u64,
    link: String,
    sink: Box<dyn Sink>,
}

/// What a member has used up.
#[derive(Default)]
struct Pace {
    /// When the allowance will be full again: one number is the whole token bucket.
    full_at: Millis,
    strikes: u32,
}

/// A connection that ended: its member stays so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    pub member: MemberId,
    pub visit: u64,
    pub grace: Millis,
}

/// A member was to enter, and the engine did not say whether it did: nobody is there who would ever part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubtful {
    pub member: MemberId,
    pub attempt: u64,
    since: Millis,
}

/// How long the engine may take to do what it was asked for and did not answer, 60 s: as long as the system may try to deliver
/// what was written to a connection that was given up.
const DOUBT: Millis = 60_000;

/// Doubtful entries of a room that are remembered, 10,000, and of which the engine is told at a time, 1000. Without that, an engine
/// that was away would be kept from its work by all who came meanwhile.
const MAX_DOUBTFUL: usize = 10_000;
const DOUBTFUL_AT_ONCE: usize = 1000;

/// What a cursor gives.
#[derive(Debug)]
pub struct Missed {
    /// Whether these are all events after the cursor, and not just the newest.
    pub resumed: bool,
    pub events: Vec<Told>,
    /// Where they end: the cursor to listen from.
    pub at: Id,
    /// The newest of them that was counted, or the cursor: of what follows, the page has to count who comes and goes.
    pub seen: Id,
}

impl Room {
    /// A room with no events. `born`: where its log begins.
    pub fn new(name: &str, epoch: String, secret: String, born: Id, limits: Arc<Limits>) -> Self {
        let state = State { floor: born, last: born, ..State::default() };
        Self {
            name: name.to_owned(),
            epoch,
            secret,
            limits,
            register: Mutex::default(),
            state: Mutex::new(state),
            reached: watch::channel(born).0,
        }
    }

    /// The number of the member of this session.
    pub fn member(&self, session: &str) -> MemberId {
        let digest =
            Sha256::new().chain_update(&self.secret).chain_update("/").chain_update(session).finalize();
        // 53 bits, the whole numbers that JavaScript has.
        digest.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte)) >> 11
    }

    /// The next event of the log. One that came already is passed over.
    pub fn deliver(&self, id: Id, fact: &Fact) {
        let told = Told::event(id, fact);
        let mut state = self.lock();
        if id <= state.last {
            return;
        }
        state.last = id;
        state.keep(told.clone(), &self.limits);
        state.tell(&told, &self.limits);
        drop(state);
        self.reached.send_replace(id);
    }

    /// Waits until the log was read so far.
    pub async fn reach(&self, id: Id) {
        // The sender is this room's own.
        let _ = self.reached.subscribe().wait_for(|last| *last >= id).await;
    }

    /// The newest event here.
    pub fn last(&self) -> Id {
        self.lock().last
    }

    /// What a member with this cursor has not got; who is here it is told as of `counted`.
    pub fn missed(&self, member: MemberId, cursor: Option<&str>, counted: Id) -> Missed {
        let cursor = cursor.and_then(|cursor| self.cursor(cursor));
        let state = self.lock();
        let known = cursor.filter(|cursor| (state.floor..=state.last).contains(cursor));
        let mut events: Vec<Told> = match known {
            Some(cursor) => state.after(cursor, member).collect(),
            None => state
                .past
                .iter()
                .rev()
                .filter(|told| told.is_for(member))
                .take(self.limits.newcomer_events)
                .cloned()
                .collect(),
        };
        if known.is_none() {
            events.reverse();
        }
        let past = events.iter().rev().filter_map(Told::id).find(|id| *id <= counted);
        let seen = past.or(known).unwrap_or_default();
        Missed { resumed: known.is_some(), events, at: state.last, seen }
    }

    fn cursor(&self, cursor: &str) -> Option<Id> {
        Id::parse(cursor).or_else(|| {
            let (epoch, seq) = cursor.rsplit_once('.')?;
            (epoch == self.epoch).then(|| number(seq)).flatten().map(Id::from_seq)
        })
    }

    /// From now on this sink is told what its member hears, beginning behind `since`. `false` if that is too long ago, or
    /// a newer visit has the seat.
    pub fn attach(&self, member: MemberId, visit: u64, link: &str, since: Id, sink: Box<dyn Sink>) -> bool {
        let mut state = self.lock();
        if since < state.floor || state.seats.get(&member).is_some_and(|older| older.visit > visit) {
            return false;
        }
        if !state.after(since, member).all(|told| sink.tell(&told)) {
            return false;
        }
        let listener = Listener { visit, link: link.to_owned(), sink };
        if let Some(older) = state.seats.insert(member, listener) {
            older.sink.bye(REPLACED, "open in another tab");
        }
        true
    }

    /// A connection ended. Its member stays for the time of grace, unless a newer visit has the seat.
    pub fn detach(&self, parting: Parting) {
        let mut state = self.lock();
        if state.seats.get(&parting.member).is_some_and(|listener| listener.visit == parting.visit) {
            state.seats.remove(&parting.member);
        }
        state.parting.push(parting);
    }

    /// Tells one member an answer; `false` if it does not listen here.
    pub fn tell(&self, member: MemberId, told: &Told) -> bool {
        let mut state = self.lock();
        let is_here = state.seats.contains_key(&member);
        state.tell_one(member, told, &self.limits);
        is_here
    }

    /// Tells everyone here how many there are, if that has changed in a room where nobody is told who comes and goes. The
    /// larger the room, the less often, so that no more than a thousand members a second hear of it.
    pub fn count(&self, count: usize, told: impl FnOnce() -> Told) {
        let (mut state, now) = (self.lock(), now());
        let is_crowd = state.count.max(count) > self.limits.crowd;
        if state.count == count || is_crowd && now < state.count_due {
            return;
        }
        state.count = count;
        if is_crowd {
            state.count_due = now + count as Millis;
            state.tell(&told(), &self.limits);
        }
    }

    /// Ends the member's connection, if its visit is older than `before`. One of the same link has just moved to another
    /// node, and its page knows.
    pub fn bye(&self, member: MemberId, before: u64, link: &str, code: u16, text: &str) {
        let mut state = self.lock();
        if state.seats.get(&member).is_some_and(|listener| listener.visit < before)
            && let Some(listener) = state.seats.remove(&member)
        {
            match link.is_empty() || listener.link != link {
                true => listener.sink.bye(code, text),
                false => listener.sink.moved(),
            }
        }
    }

    /// Ends all connections.
    pub fn bye_all(&self, code: u16, text: &str) {
        for (_, listener) in self.lock().seats.drain() {
            listener.sink.bye(code, text);
        }
    }

    /// The visit by which this member listens here, if it does.
    pub fn visit(&self, member: MemberId) -> Option<u64> {
        self.lock().seats.get(&member).map(|listener| listener.visit)
    }

    /// Takes one from the member's allowance; if there is none, the refusal tells the time until there is.
    pub fn spend(&self, member: MemberId) -> Result<(), Refusal> {
        let Limits { burst, interval, .. } = *self.limits;
        let (mut state, now) = (self.lock(), now());
        let pace = state.paces.entry(member).or_default();
        // Each request moves `full_at` by one interval; it may be ahead of the clock by `burst` of them.
        let full_at = pace.full_at.max(now) + interval;
        match full_at.saturating_sub(now + burst * interval) {
            0 => pace.full_at = full_at,
            wait => return Err(Refusal::later("rate", "That was too fast. Take a breath.", wait)),
        }
        Ok(())
    }

    /// A request was accepted, or refused; `true` if too many were refused in a row.
    pub fn judge(&self, member: MemberId, is_accepted: bool) -> bool {
        let mut state = self.lock();
        let pace = state.paces.entry(member).or_default();
        pace.strikes = if is_accepted { 0 } else { pace.strikes + 1 };
        pace.strikes >= self.limits.strikes
    }

    /// The connections that ended since, to be reported to the engine; those it could not be told of are to be given back.
    pub fn take_parting(&self) -> Vec<Parting> {
        std::mem::take(&mut self.lock().parting)
    }

    pub fn give_back(&self, parting: Vec<Parting>) {
        self.lock().parting.extend(parting);
    }

    /// Nobody knows whether this attempt to enter was done, or will be.
    pub fn doubt(&self, member: MemberId, attempt: u64) {
        let mut state = self.lock();
        state.doubtful.push_back(Doubtful { member, attempt, since: now() });
        if state.doubtful.len() > MAX_DOUBTFUL {
            state.doubtful.pop_front();
        }
    }

    /// Some of the doubtful entries, to be reported to the engine and given back in any case.
    pub fn take_doubtful(&self) -> Vec<Doubtful> {
        let mut state = self.lock();
        let some = state.doubtful.len().min(DOUBTFUL_AT_ONCE);
        state.doubtful.drain(..some).collect()
    }

    /// Those that the engine was told of in time are over.
    pub fn give_back_doubtful(&self, doubtful: Vec<Doubtful>, told: bool) {
        let now = now();
        let stays = |one: &Doubtful| !told || now < one.since + DOUBT;
        self.lock().doubtful.extend(doubtful.into_iter().filter(stays));
    }

    /// Forgets who has used up nothing; gives for how long nobody has listened here.
    pub fn rest(&self) -> Millis {
        let (mut state, now) = (self.lock(), now());
        let State { paces, seats, .. } = &mut *state;
        paces.retain(|member, pace| pace.full_at > now || pace.strikes > 0 && seats.contains_key(member));
        if !state.seats.is_empty() || !state.parting.is_empty() || !state.doubtful.is_empty() {
            state.idle_since = None;
            return 0;
        }
        now.saturating_sub(*state.idle_since.get_or_insert(now))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, told: Told, limits: &Limits) {
        self.bytes += told.json().len();
        self.past.push_back(told);
        while self.past.len() > limits.history_events || self.bytes > limits.history_bytes {
            let Some(oldest) = self.past.pop_front() else { break };
            self.bytes -= oldest.json().len();
            self.floor = oldest.id().unwrap_or(self.floor);
        }
    }

    fn after(&self, cursor: Id, member: MemberId) -> impl Iterator<Item = Told> {
        let from = self.past.partition_point(|told| told.id() <= Some(cursor));
        self.past.range(from..).filter(move |told| told.is_for(member)).cloned()
    }

    fn tell(&mut self, told: &Told, limits: &Limits) {
        if let Some(both) = told.only() {
            for member in both.iter().take(if both[0] == both[1] { 1 } else { 2 }) {
                self.tell_one(*member, told, limits);
            }
            return;
        }
        let Self { seats, parting, .. } = self;
        for (member, listener) in seats.extract_if(|_, listener| !listener.sink.tell(told)) {
            parting.push(listener.too_slow(member, limits));
        }
    }

    fn tell_one(&mut self, member: MemberId, told: &Told, limits: &Limits) {
        if self.seats.get(&member).is_some_and(|listener| !listener.sink.tell(told))
            && let Some(listener) = self.seats.remove(&member)
        {
            self.parting.push(listener.too_slow(member, limits));
        }
    }
}

impl Listener {
    fn too_slow(self, member: MemberId, limits: &Limits) -> Parting {
        self.sink.bye(TRY_AGAIN_LATER, "too slow");
        Parting { member, visit: self.visit, grace: limits.grace_cut }
    }
}
