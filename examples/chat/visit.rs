//! The clients that poll or stream: one [`Visit`] each, with a `comet::Session` that holds what it is told until it
//! has fetched it. Between the room and the requests; knows neither HTTP nor what is said.
//!
//! A visit begins with its first request, which holds the hello, and ends when its client asks no more for a while,
//! or when the room closes it: then the last message is a `bye`. A request that is cut loses nothing: the next one
//! says how far the client got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushline::comet::{Answer, Config, Session, Ticket};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::hub::Place;
use crate::protocol::{self, Hello, is_token};
use crate::room::{End, Refusal};
use crate::server::{Server, Stop};
use crate::told::Told;

/// Visits at once. Without it: memory, for each costs what one client misses.
pub const MAX_VISITS: usize = 2000;

/// How long a request without news is held, and a stream silent.
pub const HOLD: Duration = Duration::from_secs(20);

/// How long a client may be without a request: a few tries to come back.
const IDLE: Duration = Duration::from_secs(15);

/// The same for one that polls by a timer, which browsers run once a minute for a page that nobody looks at.
const POLLING_IDLE: Duration = Duration::from_secs(75);

/// What a visit holds: the welcome, all of the room's history, and what may come meanwhile. The bytes are those of the
/// room's history, by reference; escaped, they are at most six times as many.
const LIMITS: Config = Config::new().max_messages(2048).max_bytes(6 << 20);

/// All visits.
#[derive(Debug)]
pub struct Visits {
    table: Mutex<HashMap<String, Arc<Visit>>>,
    most: usize,
}

/// What a request says of its visit.
#[derive(Debug)]
pub struct Asked {
    pub hello: Hello,
    /// Chosen by the page for each visit.
    pub link: String,
    /// The last message of this visit that the page has.
    pub since: u64,
    /// Held, or answered at once.
    pub hold: bool,
}

/// One client.
#[derive(Debug)]
pub struct Visit {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    session: Session<Instant>,
    current: Option<Ticket>,
}

/// A request that waits for what its visit is told. Dropping it ends its claim.
#[derive(Debug)]
pub struct Request {
    visit: Arc<Visit>,
    ticket: Ticket,
    news: watch::Receiver<()>,
}

impl Visits {
    /// No visits yet; `most` at once.
    pub fn new(most: usize) -> Self {
        Self { table: Mutex::new(HashMap::new()), most }
    }

    /// The visit of a request: the one that it is part of, or a new one if it is a first request. A request that comes
    /// too late finds an empty visit, which answers that its messages are gone.
    ///
    /// `None` if there are too many.
    pub fn enter(&self, asked: &Asked, server: &Arc<Server>, stop: &Stop) -> Option<Arc<Visit>> {
        let key = format!("{}.{}", asked.hello.session, asked.link);
        let mut table = self.lock();
        if let Some(visit) = table.get(&key) {
            return Some(Arc::clone(visit));
        }
        let visit = Arc::new(Visit::new(asked.hold));
        if asked.since > 0 || !is_token(&asked.link, 8) {
            return Some(visit);
        }
        if table.len() >= self.most {
            return None;
        }
        match server.hub.hello(&asked.hello, server.now()) {
            Ok(mut place) => {
                // Before the request is answered: it would be told that there is nothing.
                visit.push(std::iter::once(place.welcome.clone()).chain(place.missed.drain(..)));
                table.insert(key.clone(), Arc::clone(&visit));
                drop(table);
                let (server, visit, stop) = (Arc::clone(server), Arc::clone(&visit), stop.clone());
                tokio::spawn(async move {
                    visit.run(place, &server, stop).await;
                    server.visits.lock().remove(&key);
                });
            }
            Err(refusal) => {
                visit.push(turned_away(&refusal));
            }
        }
        Some(visit)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Visit>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last message on a transport that has no closing of its own.
pub fn bye(code: u16, text: &str) -> Told {
    Told::new(&protocol::write(&protocol::Answer::Bye { code, text }), None)
}

/// What one hears who may not come in.
pub fn turned_away(refusal: &Refusal) -> [Told; 2] {
    [Told::new(&refusal.answer(None), None), bye(refusal.bye(), refusal.code)]
}

impl Visit {
    fn new(hold: bool) -> Self {
        let config = match hold {
            true => LIMITS.hold(HOLD).idle(IDLE),
            false => LIMITS.hold(Duration::ZERO).idle(POLLING_IDLE),
        };
        let session = Session::new(config, Instant::now());
        Self { state: Mutex::new(State { session, current: None }), news: watch::channel(()).0 }
    }

    /// A request came from a client that has the messages up to `since`. It takes the place of an older one.
    pub fn request(self: &Arc<Self>, since: u64, is_stream: bool) -> Request {
        let news = self.news.subscribe();
        let mut state = self.lock();
        let now = Instant::now();
        let opened = match is_stream {
            true => state.session.stream(since, now),
            false => state.session.poll(since, now),
        };
        state.current = Some(opened.ticket);
        drop(state);
        self.news.send_replace(());
        Request { visit: Arc::clone(self), ticket: opened.ticket, news }
    }

    /// Holds what the room says from now on until the client has it; ends when the client stays away, or has got the `bye`.
    async fn run(&self, place: Place<Told>, server: &Server, mut stop: Stop) {
        let Place { seat, mut queue, mut farewell, .. } = place;
        let mut is_over = false;
        while !self.is_done(is_over) {
            tokio::select! {
                biased;
                Ok(farewell) = &mut farewell, if !is_over => {
                    let (code, text) = farewell.code_and_text();
                    self.push([bye(code, text)]);
                    is_over = true;
                }
                Some(told) = queue.recv(), if !is_over => {
                    self.push(std::iter::once(told).chain(std::iter::from_fn(|| queue.try_recv().ok())));
                }
                () = sleep_until(self.next_look()) => {}
                () = stop.wait() => break,
            }
        }
        server.hub.release(seat, End::Cut, server.now());
    }

    fn push(&self, told: impl IntoIterator<Item = Told>) {
        let mut state = self.lock();
        for told in told {
            // One that is larger than everything a visit may hold cannot come from the room, which holds less.
            let _ = state.session.push(told.message());
        }
        drop(state);
        self.news.send_replace(());
    }

    fn is_done(&self, is_over: bool) -> bool {
        let session = &self.lock().session;
        session.is_expired(Instant::now()) || is_over && session.log().is_empty()
    }

    /// When the client may have stayed away for too long, or not before a while if it has not.
    fn next_look(&self) -> Instant {
        let soon = Instant::now() + Duration::from_secs(1);
        self.lock().session.next_deadline().map_or(soon, |deadline| deadline.max(soon))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Request {
    /// Waits until there is something to be answered, and writes it; `None` if a newer request has come.
    pub async fn next<T>(&mut self, write: impl FnOnce(Option<&Answer<'_>>) -> T) -> T {
        loop {
            let wait = {
                let mut state = self.visit.lock();
                if state.current != Some(self.ticket) {
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
                _ = self.news.changed() => {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::room::Limits;

    fn asked(letter: char) -> Asked {
        let hello = Hello { session: letter.to_string().repeat(16), nick: letter.to_string(), cursor: None };
        Asked { hello, link: "link-of-all".to_owned(), since: 0, hold: true }
    }

    fn server(most: usize) -> Arc<Server> {
        let mut server = Server::new(Options::default(), Limits::default(), 1).unwrap();
        server.visits = Visits::new(most);
        Arc::new(server)
    }

    #[tokio::test(start_paused = true)]
    async fn visits_are_bounded_and_released_when_nobody_asks() {
        let server = server(2);
        let (_stop, stop) = Stop::new();
        let enter = |letter| server.visits.enter(&asked(letter), &server, &stop).is_some();
        assert_eq!(['a', 'b', 'c', 'a'].map(enter), [true, true, false, true]);
        tokio::time::sleep(IDLE + Duration::from_secs(2)).await;
        assert_eq!(server.visits.lock().len(), 0);
        assert!(enter('c'));
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_polls_is_released_when_it_vanishes_and_not_between_two_polls() {
        let server = server(2);
        let (_stop, stop) = Stop::new();
        let polling = Asked { hold: false, ..asked('p') };
        let visit = server.visits.enter(&polling, &server, &stop).unwrap();
        let held = || server.visits.lock().len();
        let mut since = 0;
        // A page that nobody looks at polls once a minute.
        for _ in 0..5 {
            since = visit.request(since, false).next(|answer| answer.unwrap().cursor).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(held(), 1);
        }
        // Its member stays for the grace of a line that was cut, and then the room is told.
        let ada = server.hub.hello(&asked('a').hello, server.now()).unwrap();
        let mut heard = ada.queue;
        tokio::time::sleep(POLLING_IDLE - Duration::from_secs(60) - Duration::from_millis(1)).await;
        assert_eq!(held(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(held(), 0);
        server.hub.tick(server.now() + Limits::default().grace_cut + 1);
        let told = std::iter::from_fn(|| heard.try_recv().ok()).map(|told| told.block().to_vec());
        let told: Vec<_> = told.map(|block| String::from_utf8(block).unwrap()).collect();
        assert!(
            matches!(&told[..], [left] if left.contains(r#""type":"leave""#) && left.contains(r#""nick":"p""#)),
            "{told:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_visit_lives_while_a_request_waits() {
        let server = server(2);
        let (_stop, stop) = Stop::new();
        let visit = server.visits.enter(&asked('a'), &server, &stop).unwrap();
        let mut since = 0;
        for _ in 0..10 {
            // The welcome and the own arrival first, then nothing for the time of a hold.
            since = visit.request(since, false).next(|answer| answer.unwrap().cursor).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!((since, server.visits.lock().len()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_request_takes_the_place_and_a_newer_connection_the_seat() {
        let server = server(2);
        let (_stop, stop) = Stop::new();
        let visit = server.visits.enter(&asked('a'), &server, &stop).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut older = visit.request(2, false);
        let mut newer = visit.request(2, false);
        assert!(older.next(|answer| answer.is_none()).await);
        let place = server.hub.hello(&asked('a').hello, 1).unwrap();
        let bye = newer.next(|answer| {
            let mut body = Vec::new();
            answer.unwrap().write_json(&mut body);
            String::from_utf8(body).unwrap()
        });
        assert!(bye.await.contains(r#"\"type\":\"bye\",\"code\":4001"#));
        drop(place);
    }
}
