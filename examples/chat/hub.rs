//! From the room to the connections: one bounded queue each, filled without waiting. Knows no transport.
//!
//! A connection that does not read fast enough is dropped, never waited for: when [`QUEUE`] events wait for it, it
//! gets [`Farewell::TooSlow`] instead of the next one and loses its queue. Its page comes back with its cursor and
//! is sent what it missed from the room's history, which holds more than a queue.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::protocol::{Hello, MemberId, Millis, NORMAL, POLICY_VIOLATION, REPLACED, TRY_AGAIN_LATER};
use crate::room::{End, Outcome, Refusal, Room, Seat};

/// Events that may wait for one connection.
pub const QUEUE: usize = 256;

/// The room and the queues of those who listen to it.
#[derive(Debug)]
pub struct Hub<E>(Mutex<State<E>>);

#[derive(Debug)]
struct State<E> {
    room: Room<E>,
    listeners: HashMap<MemberId, Listener<E>>,
}

#[derive(Debug)]
struct Listener<E> {
    seat: Seat,
    queue: mpsc::Sender<E>,
    farewell: oneshot::Sender<Farewell>,
}

/// A connection's place in the room.
#[derive(Debug)]
pub struct Place<E> {
    pub seat: Seat,
    /// To be sent first.
    pub welcome: E,
    /// To be sent next. It does not go through the queue, so it cannot overflow it.
    pub missed: Vec<E>,
    /// To be sent after that, as it comes.
    pub queue: mpsc::Receiver<E>,
    /// Why the connection is to be closed. Comes at once, whatever waits in the queue.
    pub farewell: oneshot::Receiver<Farewell>,
}

/// Why a connection is closed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// It asked for it.
    Left,
    /// It did not read what was sent.
    TooSlow,
    /// Another connection of the same session has taken its seat.
    Replaced,
    /// It misbehaved.
    Expelled(&'static str),
}

impl Farewell {
    /// The code and the text of the `bye`, or of the close frame.
    pub fn code_and_text(self) -> (u16, &'static str) {
        match self {
            Self::Left => (NORMAL, ""),
            Self::TooSlow => (TRY_AGAIN_LATER, "too slow"),
            Self::Replaced => (REPLACED, "open in another tab"),
            Self::Expelled(why) => (POLICY_VIOLATION, why),
        }
    }
}

impl<E: Clone> Hub<E> {
    /// A hub that nobody listens to yet.
    pub fn new(room: Room<E>) -> Self {
        Self(Mutex::new(State { room, listeners: HashMap::new() }))
    }

    /// A connection says who it is and is given its place.
    ///
    /// # Errors
    /// As [`Room::hello`].
    pub fn hello(&self, hello: &Hello, now: Millis) -> Result<Place<E>, Refusal> {
        let mut state = self.lock();
        let entry = state.room.hello(hello, now)?;
        if let Some(joined) = &entry.joined {
            state.tell(joined);
        }
        // Under the same lock as the replay was cut: no event falls between it and the queue, none comes twice.
        let (queue, events) = mpsc::channel(QUEUE);
        let (farewell, farewells) = oneshot::channel();
        let listener = Listener { seat: entry.seat, queue, farewell };
        if let Some(replaced) = state.listeners.insert(entry.seat.member, listener) {
            replaced.bid(Farewell::Replaced);
        }
        let (seat, welcome, missed) = (entry.seat, entry.welcome, entry.missed);
        Ok(Place { seat, welcome, missed, queue: events, farewell: farewells })
    }

    /// A connection sent a text. What it is told comes through its queue, or as its farewell.
    pub fn receive(&self, seat: Seat, text: &str, now: Millis) {
        self.lock().receive(seat, text, now);
    }

    /// A text came for this session by another way than its connection. `false` if it has no member here.
    pub fn receive_for(&self, session: &str, text: &str, now: Millis) -> bool {
        let mut state = self.lock();
        let seat = state.room.seat(session);
        if let Some(seat) = seat {
            state.receive(seat, text, now);
        }
        seat.is_some()
    }

    /// A connection ended.
    pub fn release(&self, seat: Seat, end: End, now: Millis) {
        let mut state = self.lock();
        state.remove(seat);
        state.room.release(seat, end, now);
    }

    /// Gives up members who did not come back. To be called every second or so.
    pub fn tick(&self, now: Millis) {
        let mut state = self.lock();
        for event in state.room.tick(now) {
            state.tell(&event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Clone> State<E> {
    fn receive(&mut self, seat: Seat, text: &str, now: Millis) {
        match self.room.receive(seat, text, now) {
            Outcome::Nothing => {}
            Outcome::Answer(answer) => self.answer(seat, &answer),
            Outcome::Tell(event) => self.tell(&event),
            Outcome::Left(event) => {
                self.dismiss(seat, Farewell::Left);
                self.tell(&event);
            }
            Outcome::Expel(why) => self.dismiss(seat, Farewell::Expelled(why)),
        }
    }

    fn tell(&mut self, event: &E) {
        for (_, listener) in self.listeners.extract_if(|_, listener| !listener.takes(event)) {
            listener.bid(Farewell::TooSlow);
        }
    }

    fn answer(&mut self, seat: Seat, answer: &E) {
        if self.listeners.get(&seat.member).is_some_and(|listener| !listener.takes(answer)) {
            self.dismiss(seat, Farewell::TooSlow);
        }
    }

    fn dismiss(&mut self, seat: Seat, farewell: Farewell) {
        if let Some(listener) = self.remove(seat) {
            listener.bid(farewell);
        }
    }

    fn remove(&mut self, seat: Seat) -> Option<Listener<E>> {
        self.listeners.get(&seat.member).filter(|listener| listener.seat == seat)?;
        self.listeners.remove(&seat.member)
    }
}

impl<E: Clone> Listener<E> {
    /// Queues it, without waiting; `false` if the queue is full. A connection that has ended takes anything.
    fn takes(&self, event: &E) -> bool {
        !matches!(self.queue.try_send(event.clone()), Err(TrySendError::Full(_)))
    }

    /// A connection that has ended meanwhile needs no farewell.
    fn bid(self, farewell: Farewell) {
        let _ = self.farewell.send(farewell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::Limits;

    fn hub() -> Hub<String> {
        let limits = Limits { burst: 10_000, ..Limits::default() };
        Hub::new(Room::new(limits, "e1".to_owned(), |json, _| json.to_owned()))
    }

    fn enter(hub: &Hub<String>, nick: &str, cursor: Option<String>) -> Place<String> {
        let session = format!("session-of-{nick:-<9}");
        hub.hello(&Hello { session, nick: nick.to_owned(), cursor }, 0).unwrap()
    }

    fn say(hub: &Hub<String>, seat: Seat, number: usize) {
        let text = format!(r#"{{"type":"say","id":"message-{number}","text":"{number}"}}"#);
        hub.receive(seat, &text, 0);
    }

    /// The `seq` of what came; 0 for an answer.
    fn sequences(place: &mut Place<String>) -> Vec<u64> {
        let mut texts = std::mem::take(&mut place.missed);
        while let Ok(text) = place.queue.try_recv() {
            texts.push(text);
        }
        let sequence = |text: &String| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            value["seq"].as_u64().unwrap_or(0)
        };
        texts.iter().map(sequence).collect()
    }

    #[test]
    fn replay_and_queue_meet_without_a_gap() {
        let hub = hub();
        let mut ada = enter(&hub, "Ada", None);
        say(&hub, ada.seat, 0);
        let mut bob = enter(&hub, "Bob", None);
        say(&hub, bob.seat, 1);
        assert_eq!(sequences(&mut ada), [1, 2, 3, 4]);
        assert_eq!(sequences(&mut bob), [1, 2, 3, 4]);
    }

    #[test]
    fn a_slow_reader_is_dropped_and_gets_the_rest_when_it_returns() {
        let hub = hub();
        let mut ada = enter(&hub, "Ada", None);
        let mut slow = enter(&hub, "Slow", None);
        let mut heard = sequences(&mut ada);
        for number in 0..QUEUE {
            say(&hub, ada.seat, number);
        }
        // The queue is full to the brim, and that is not yet a fault.
        assert!(slow.farewell.try_recv().is_err());
        heard.extend(sequences(&mut ada));
        for number in QUEUE..2 * QUEUE {
            say(&hub, ada.seat, number);
        }
        assert_eq!(slow.farewell.try_recv(), Ok(Farewell::TooSlow));
        heard.extend(sequences(&mut ada));
        let everything: Vec<u64> = (1..=2 + 2 * QUEUE as u64).collect();
        assert_eq!(heard, everything);

        // What it had not read by then is lost with the queue, and comes again.
        hub.release(slow.seat, End::Cut, 0);
        let mut back = enter(&hub, "Slow", Some("e1.2".to_owned()));
        assert_eq!(back.seat.member, slow.seat.member);
        assert_eq!(sequences(&mut back), everything[2..]);
    }

    #[test]
    fn the_newest_connection_of_a_session_listens() {
        let hub = hub();
        let mut old = enter(&hub, "Ada", None);
        let mut new = enter(&hub, "Ada", Some("e1.1".to_owned()));
        assert_eq!(old.farewell.try_recv(), Ok(Farewell::Replaced));
        hub.release(old.seat, End::Closed, 0);
        hub.tick(99_999);
        say(&hub, new.seat, 0);
        assert_eq!(sequences(&mut new), [2]);
    }

    #[test]
    fn an_answer_is_for_the_one_who_asked_and_fills_the_same_queue() {
        let hub = hub();
        let mut ada = enter(&hub, "Ada", None);
        let mut bob = enter(&hub, "Bob", None);
        hub.receive(ada.seat, r#"{"type":"ping"}"#, 0);
        say(&hub, bob.seat, 0);
        assert_eq!(sequences(&mut ada), [1, 2, 0, 3]);
        assert_eq!(sequences(&mut bob), [1, 2, 3]);
        for _ in 0..=QUEUE {
            assert!(ada.farewell.try_recv().is_err());
            hub.receive(ada.seat, r#"{"type":"ping"}"#, 0);
        }
        assert_eq!(ada.farewell.try_recv(), Ok(Farewell::TooSlow));
    }

    #[test]
    fn one_who_leaves_hears_no_more_and_the_others_hear_of_it() {
        let hub = hub();
        let mut ada = enter(&hub, "Ada", None);
        let mut bob = enter(&hub, "Bob", None);
        hub.receive(bob.seat, r#"{"type":"leave"}"#, 0);
        assert_eq!(bob.farewell.try_recv(), Ok(Farewell::Left));
        say(&hub, ada.seat, 0);
        assert_eq!(sequences(&mut bob), [1, 2]);
        assert_eq!(sequences(&mut ada), [1, 2, 3, 4]);
    }

    #[test]
    fn one_who_does_not_come_back_is_given_up() {
        let hub = hub();
        let mut ada = enter(&hub, "Ada", None);
        let bob = enter(&hub, "Bob", None);
        hub.release(bob.seat, End::Cut, 1000);
        hub.tick(8999);
        assert_eq!(sequences(&mut ada), [1, 2]);
        hub.tick(9000);
        assert_eq!(sequences(&mut ada), [3]);
    }
}
