//! The clients that poll or stream: a [`Visit`] each, with a `comet::CometSession` that holds what it is told until it has
//! fetched it, by reference. Between the room and the requests of `polling.rs`, `jsonp.rs`, `xhr_streaming.rs` and
//! `iframe.rs`.
//!
//! A visit begins with its first request, which holds the hello, and ends when its client asks no more for a while, or
//! when the room closes it: then the last message is a `bye`. A request that is cut loses nothing: the next one says how
//! far the client got (`since`). If that comes to a node that knows no such visit, as behind a balancer, the visit goes on
//! there from the client's cursor (`at`); the numbers of its messages go on rising, and no two nodes use the same.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushline::comet::{CometAnswer, CometOptions, CometSession, CometTicket, parse_cursor};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::chat::{Chat, Entry, Seat};
use crate::protocol::{Hello, Refusal, is_token};
use crate::room::Sink;
use crate::server::{Params, turned_away};
use crate::told::Told;

/// Visits at once, 4000. Without it: memory, for each costs what one client misses.
pub const MAX_VISITS: usize = 4000;

/// How long a request without news is held, and a stream silent.
pub const HOLD: Duration = Duration::from_secs(20);

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

/// All visits.
pub struct Visits {
    table: Mutex<HashMap<String, Held>>,
    most: usize,
}

struct Held {
    visit: Arc<Visit>,
    /// Not in the visit, which the room holds: a seat that ends asks the room.
    _seat: Seat,
}

/// What a request says of its visit.
pub struct Asked {
    pub room: String,
    pub hello: Hello,
    /// Chosen by the page for each visit.
    pub link: String,
    /// The last message of this visit that the page has.
    pub since: u64,
    /// The page's cursor when it asked.
    pub at: Option<String>,
    /// Held, or answered at once.
    pub hold: bool,
    pub from: Option<IpAddr>,
}

/// One client.
pub struct Visit {
    state: Mutex<State>,
    news: Notify,
}

struct State {
    session: CometSession<Instant>,
    current: Option<CometTicket>,
    /// The number that its first request came with.
    before: u64,
    base: u64,
    began: Instant,
    has_come_again: bool,
    is_over: bool,
    is_moved: bool,
}

/// A request that waits for what its visit is told. Dropping it ends its claim.
pub struct Request {
    visit: Arc<Visit>,
    ticket: CometTicket,
}

impl Asked {
    /// What the query says; `None` if `since` is no number.
    pub fn new(params: &Params, hold: bool, from: Option<IpAddr>) -> Option<Self> {
        let Params { room, link, at, .. } = params.clone();
        Some(Self { room, hello: params.hello(), link, since: parse_cursor(&params.since)?, at, hold, from })
    }
}

impl Visits {
    /// No visits yet; `most` at once.
    pub fn new(most: usize) -> Self {
        Self { table: Mutex::default(), most }
    }

    /// The request's claim on its visit: the one that it is part of, or a new one, if it is a first request or the first
    /// on this node. A request that comes too late finds an empty visit, which answers that its messages are gone.
    pub async fn enter(&self, asked: Asked, is_stream: bool, chat: &Arc<Chat>) -> Request {
        let key = format!("{}/{}/{}", asked.room, asked.hello.session, asked.link);
        let known = self.lock().get(&key).map(|held| Arc::clone(&held.visit));
        if let Some(since) = known.as_ref().and_then(|visit| visit.place(asked.since))
            && let Some(visit) = known
        {
            return visit.request(since, is_stream);
        }
        if asked.since > 0 && asked.at.is_none() || !is_token(&asked.link, 8) {
            return Visit::new(&asked, 0).request(asked.since, is_stream);
        }
        match self.join(&asked, chat).await {
            Ok((entry, visit)) => {
                let since = visit.lock().base;
                let Entry { seat, welcome, missed, resumed } = entry;
                // Before the request is answered: it would be told that there is nothing.
                let is_news = asked.since == 0 || !resumed;
                visit.push(is_news.then_some(welcome).iter().chain(&missed));
                let request = visit.request(since, is_stream);
                let sink = Box::new(Listening(Arc::clone(&visit)));
                if !seat.attach(&asked.link, sink) {
                    visit.bye(crate::protocol::TRY_AGAIN_LATER, "too slow");
                }
                let older = self.lock().insert(key, Held { visit, _seat: seat });
                drop(older);
                request
            }
            Err(refusal) => {
                let visit = Visit::new(&asked, 0);
                visit.push(&turned_away(&refusal));
                visit.request(0, is_stream)
            }
        }
    }

    /// If there are too many, one whose client never came again makes room: who floods is released first.
    async fn join(&self, asked: &Asked, chat: &Arc<Chat>) -> Result<(Entry, Arc<Visit>), Refusal> {
        let hello = Hello { cursor: asked.at.clone().or(asked.hello.cursor.clone()), ..asked.hello.clone() };
        let join = || async {
            let is_full = self.lock().len() >= self.most;
            match is_full {
                true => Err(Refusal::later("full", "There are too many here.", 5000)),
                false => chat.join(&asked.room, &hello, asked.from, &asked.link).await,
            }
        };
        let mut joined = join().await;
        if matches!(&joined, Err(refusal) if refusal.code == "full") && self.make_room() {
            joined = join().await;
        }
        joined.map(|entry| {
            let visit = Visit::new(asked, entry.seat.visit() * SPAN);
            (entry, visit)
        })
    }

    fn make_room(&self) -> bool {
        let mut table = self.lock();
        let silent = |visit: &Visit| {
            let state = visit.lock();
            (!state.has_come_again && state.began.elapsed() > SPEAKS_WITHIN).then_some(state.began)
        };
        let oldest = table.iter().filter_map(|(key, held)| Some((silent(&held.visit)?, key))).min();
        let oldest = oldest.map(|(_, key)| key.clone());
        let released = oldest.and_then(|key| table.remove(&key));
        drop(table);
        released.is_some()
    }

    /// Ends the visits whose clients stay away, have got the `bye` or have gone to another node. To be called twice a second.
    pub fn sweep(&self) {
        let mut table = self.lock();
        let over: Vec<_> = table.extract_if(|_, held| held.visit.is_done()).collect();
        drop(table);
        drop(over);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    fn new(asked: &Asked, base: u64) -> Arc<Self> {
        let config = match asked.hold {
            true => LIMITS.hold(HOLD).idle(IDLE),
            false => LIMITS.hold(Duration::ZERO).idle(POLLING_IDLE),
        };
        let state = State {
            session: CometSession::new(config, Instant::now()).starting_at(base),
            current: None,
            before: asked.since,
            base,
            began: Instant::now(),
            has_come_again: asked.since > 0,
            is_over: false,
            is_moved: false,
        };
        Arc::new(Self { state: Mutex::new(state), news: Notify::new() })
    }

    /// Where this visit goes on for a client that has the messages up to `since`; `None` if it is not the one that gave it
    /// those.
    fn place(&self, since: u64) -> Option<u64> {
        let mut state = self.lock();
        state.has_come_again |= since > state.base;
        let since = if since == state.before { state.base } else { since };
        (!state.is_moved && state.session.log().after(since).is_some()).then_some(since)
    }

    /// A request came from a client that has the messages up to `since`. It takes the place of an older one.
    fn request(self: &Arc<Self>, since: u64, is_stream: bool) -> Request {
        let mut state = self.lock();
        let now = Instant::now();
        let opened = match is_stream {
            true => state.session.stream(since, now),
            false => state.session.poll(since, now),
        };
        state.current = Some(opened.ticket);
        drop(state);
        self.news.notify_waiters();
        Request { visit: Arc::clone(self), ticket: opened.ticket }
    }

    fn push<'t>(&self, told: impl IntoIterator<Item = &'t Told>) {
        let mut state = self.lock();
        for told in told {
            // One that is larger than everything a visit may hold cannot come from the room, which holds less.
            let _ = state.session.push(told.message());
        }
        drop(state);
        self.news.notify_waiters();
    }

    fn bye(&self, code: u16, text: &str) {
        self.lock().is_over = true;
        self.push(&[Told::bye(code, text)]);
    }

    fn is_done(&self) -> bool {
        let state = self.lock();
        let session = &state.session;
        state.is_moved || session.is_expired(Instant::now()) || state.is_over && session.log().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A visit as the room knows it.
struct Listening(Arc<Visit>);

impl Sink for Listening {
    fn tell(&self, told: &Told) -> bool {
        self.0.push([told]);
        true
    }

    fn bye(&self, code: u16, text: &str) {
        self.0.bye(code, text);
    }

    fn moved(&self) {
        self.0.lock().is_moved = true;
        self.0.news.notify_waiters();
    }
}

impl Request {
    /// Waits until there is something to be answered, and writes it; `None` if a newer request has come.
    pub async fn next<T>(&mut self, write: impl FnOnce(Option<&CometAnswer<'_>>) -> T) -> T {
        let visit = Arc::clone(&self.visit);
        loop {
            let mut news = std::pin::pin!(visit.news.notified());
            news.as_mut().enable();
            let wait = {
                let mut state = visit.lock();
                if state.current != Some(self.ticket) || state.is_moved {
                    return write(None);
                }
                if let Some(answer) = state.session.next_answer(Instant::now()) {
                    return write(Some(&answer));
                }
                state.session.next_deadline()
            };
            let deadline = async {
                match wait {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = news => {}
                () = deadline => {}
            }
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.visit.lock().session.close(self.ticket, Instant::now());
    }
}
