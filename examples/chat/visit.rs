//! The clients that poll or stream: a [`Visit`] each, with a [`CometOutbox`] that holds what it is told until it has
//! fetched it, by reference. Between the room and the requests of `polling.rs`, `jsonp.rs`, `xhr_streaming.rs` and
//! `iframe.rs`.
//!
//! A visit begins with its first request, which holds the hello, and ends when its client asks no more for a while, or
//! when the room closes it: then the last message is a `bye`. A request that is cut loses nothing: the next one says how
//! far the client got (`since`). If that comes to a node that knows no such visit, as behind a balancer, the visit goes on
//! there from the client's cursor (`at`); the numbers of its messages go on rising, and no two nodes use the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushline::adapter::tokio::comet::{CometOutbox, CometRequest};
use pushline::comet::CometOptions;
use tokio::time::Instant;

use crate::chat::{Entry, Seat};
use crate::protocol::{Hello, Refusal, TRY_AGAIN_LATER, is_token};
use crate::room::Sink;
use crate::server::{Asked, turned_away};
use crate::told::Told;

/// Visits at once, 4000. Without it: memory, for each costs what one client misses.
const MAX_VISITS: usize = 4000;

/// How long a request without news is held, and a stream silent.
const HOLD: Duration = Duration::from_secs(20);

/// How long a client may be without a request: a few tries to come back.
const IDLE: Duration = Duration::from_secs(15);

/// The same for one that polls by a timer, which browsers run once a minute for a page that nobody looks at.
const POLLING_IDLE: Duration = Duration::from_secs(75);

/// How old a visit is at least that makes room because its client never came again.
const SPEAKS_WITHIN: Duration = Duration::from_secs(2);

/// What a visit holds: the welcome, all of the room's past, and what may come meanwhile. The bytes are those of the
/// room's past, by reference; escaped, they are at most six times as many.
const LIMITS: CometOptions = CometOptions::new().max_messages(2048).max_bytes(6 << 20);

/// Messages of one visit: its numbers begin at the visit's own number times this.
const SPAN: u64 = 1 << 20;

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    AtOnce,
    WithNews,
    AsAStream,
}

/// All visits.
#[derive(Default)]
pub struct Visits(Mutex<HashMap<String, Held>>);

struct Held {
    visit: Arc<Visit>,
    /// Not in the visit, which the room holds: a seat that ends asks the room.
    _seat: Seat,
}

/// One client.
struct Visit {
    outbox: CometOutbox,
    /// The number that its first request came with, and the one that stands for it here.
    before: u64,
    base: u64,
    began: Instant,
    has_come_again: AtomicBool,
}

impl Visits {
    /// The request's claim on its visit: the one that it is part of, or a new one, if it is a first request or the first
    /// on this node. A request that comes too late finds an empty visit, which answers that its messages are gone.
    pub async fn enter(&self, asked: &Asked, how: Answered) -> CometRequest {
        let params = &asked.params;
        let key = format!("{}/{}/{}", params.hello.room, params.hello.session, params.link);
        let known = self.lock().get(&key).map(|held| Arc::clone(&held.visit));
        if let Some(request) = known.and_then(|visit| visit.goes_on(params.since, how)) {
            return request;
        }
        if params.since > 0 && params.at.is_none() || !is_token(&params.link, 8) {
            return Visit::new(params.since, how, 0).request(params.since, how);
        }
        let Entry { seat, welcome, missed, resumed } = match self.join(asked).await {
            Ok(entry) => entry,
            Err(refusal) => {
                let visit = Visit::new(params.since, how, 0);
                turned_away(&refusal).iter().for_each(|told| visit.push(told));
                return visit.request(0, how);
            }
        };
        let visit = Arc::new(Visit::new(params.since, how, seat.visit() * SPAN));
        // Before the request is answered: it would be told that there is nothing.
        let is_news = params.since == 0 || !resumed;
        is_news.then_some(welcome).iter().chain(&missed).for_each(|told| visit.push(told));
        let request = visit.request(visit.base, how);
        if !seat.attach(&params.link, Box::new(Arc::clone(&visit))) {
            visit.bye(TRY_AGAIN_LATER, "too slow");
        }
        let older = self.lock().insert(key, Held { visit, _seat: seat });
        drop(older);
        request
    }

    /// If there are too many, one whose client never came again makes room: who floods is released first.
    async fn join(&self, asked: &Asked) -> Result<Entry, Refusal> {
        let Asked { server, params, from } = asked;
        let hello = params.hello.clone();
        let hello = Hello { cursor: params.at.clone().or(hello.cursor), ..hello };
        let join = || async {
            let is_full = self.lock().len() >= MAX_VISITS;
            match is_full {
                true => Err(Refusal::later("full", "There are too many here.", 5000)),
                false => server.chat.join(&hello.room, &hello, *from, &params.link).await,
            }
        };
        match join().await {
            Err(refusal) if refusal.code == "full" && self.make_room() => join().await,
            joined => joined,
        }
    }

    fn make_room(&self) -> bool {
        let mut table = self.lock();
        let is_silent = |visit: &Visit| {
            !visit.has_come_again.load(Ordering::Relaxed) && visit.began.elapsed() > SPEAKS_WITHIN
        };
        let silent = table.iter().filter(|(_, held)| is_silent(&held.visit));
        let oldest = silent.min_by_key(|(_, held)| held.visit.began).map(|(key, _)| key.clone());
        let released = oldest.and_then(|key| table.remove(&key));
        drop(table);
        released.is_some()
    }

    /// Ends the visits whose clients stay away, have got the `bye` or have gone to another node. To be called twice a second.
    pub fn sweep(&self) {
        let mut table = self.lock();
        let over: Vec<_> = table.extract_if(|_, held| held.visit.outbox.is_done()).collect();
        drop(table);
        drop(over);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    fn new(before: u64, how: Answered, base: u64) -> Self {
        let options = match how {
            Answered::AtOnce => LIMITS.hold(Duration::ZERO).idle(POLLING_IDLE),
            Answered::WithNews | Answered::AsAStream => LIMITS.hold(HOLD).idle(IDLE),
        };
        Self {
            outbox: CometOutbox::new(options, base),
            before,
            base,
            began: Instant::now(),
            has_come_again: AtomicBool::new(before > 0),
        }
    }

    /// The request of a client that has the messages up to `since`; `None` if it is not this visit that gave it those.
    fn goes_on(&self, since: u64, how: Answered) -> Option<CometRequest> {
        self.has_come_again.fetch_or(since > self.base, Ordering::Relaxed);
        let since = if since == self.before { self.base } else { since };
        self.outbox.has(since).then(|| self.request(since, how))
    }

    /// Takes the place of an older one.
    fn request(&self, since: u64, how: Answered) -> CometRequest {
        match how {
            Answered::AsAStream => self.outbox.stream(since),
            Answered::AtOnce | Answered::WithNews => self.outbox.poll(since),
        }
    }

    fn push(&self, told: &Told) {
        // One that is larger than everything a visit may hold cannot come from the room, which holds less.
        let _ = self.outbox.push(told.message());
    }
}

/// A visit as the room knows it.
impl Sink for Arc<Visit> {
    fn tell(&self, told: &Told) -> bool {
        self.push(told);
        true
    }

    fn bye(&self, code: u16, text: &str) {
        self.push(&Told::bye(code, text));
        self.outbox.finish();
    }

    fn moved(&self) {
        self.outbox.abandon();
    }
}
