//! The room: who is in it, what was said, what everyone is told. No I/O, no clock, no transport.
//!
//! A member is not a connection. A connection shows its session in a `hello` and takes the member's [`Seat`]; when it
//! is cut, the member stays for a while and is joined again by the next connection of the same session, and nobody
//! hears of it. The language spoken is in `protocol.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{History, Resume, Seen};
use crate::protocol::{
    self, Answer, Cursor, Event, Hello, MemberId, Millis, PageLimits, Person, Request, Welcome, What,
    is_token,
};
use crate::rules;

/// What one member, and all together, may use up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Members at once, 1000. Without it: memory, and a welcome that grows with every stranger.
    pub members: usize,
    /// Characters of a name, 24. Without it: one name fills everyone's page.
    pub nick_chars: usize,
    /// Characters of a message, 2000. Without it: one message fills everyone's page.
    pub text_chars: usize,
    /// Events kept for those who come back, 1024.
    pub history_events: usize,
    /// Bytes of JSON kept for those who come back, 512 KiB. Without it: 1024 of the longest messages.
    pub history_bytes: usize,
    /// Events for a newcomer, 200.
    pub newcomer_events: usize,
    /// Ids of accepted messages remembered, 4096. A repeat older than that is told again.
    pub seen_ids: usize,
    /// Messages and renames that a member may send at once, 8. Without it: one member drowns the others.
    pub burst: u64,
    /// Milliseconds after which one more is allowed, 500.
    pub interval: Millis,
    /// Refusals in a row after which a member is expelled, 20. Without it: an endless talk with a flooder.
    pub strikes: u32,
    /// Milliseconds that a member stays after a connection that ended in good order, 2000: a page that is loaded again.
    pub grace_closed: Millis,
    /// Milliseconds that a member stays after a connection that was cut, 8000: a few tries of a page to come back.
    pub grace_cut: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 1000,
            nick_chars: 24,
            text_chars: 2000,
            history_events: 1024,
            history_bytes: 512 * 1024,
            newcomer_events: 200,
            seen_ids: 4096,
            burst: 8,
            interval: 500,
            strikes: 20,
            grace_closed: 2000,
            grace_cut: 8000,
        }
    }
}

/// Makes what listeners are told from its JSON and, if it is an event, its cursor.
pub type Encode<E> = fn(&str, Option<Cursor<'_>>) -> E;

/// A room. What it says is handed out as `E`, made once from the JSON, for any number of listeners.
#[derive(Debug)]
pub struct Room<E> {
    limits: Limits,
    encode: Encode<E>,
    history: History<E>,
    seen: Seen,
    members: BTreeMap<MemberId, Member>,
    /// Session to member.
    sessions: HashMap<String, MemberId>,
    /// The names taken, as `rules::nick_key`.
    nicks: HashSet<String>,
    last_member: MemberId,
}

#[derive(Debug)]
struct Member {
    session: String,
    nick: String,
    /// How many connections this member has had; only the newest holds the seat.
    visit: u64,
    /// Set while no connection holds the seat: when to give the member up.
    leaves_at: Option<Millis>,
    /// When the allowance will be full again: one number is the whole token bucket.
    full_at: Millis,
    strikes: u32,
}

/// A connection's hold on its member. A later `hello` of the same session voids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    pub member: MemberId,
    visit: u64,
}

/// A hello that was accepted.
#[derive(Debug)]
pub struct Entry<E> {
    pub seat: Seat,
    /// The welcome, to be sent first.
    pub welcome: E,
    /// What the connection missed, to be sent next. Holds `joined`.
    pub missed: Vec<E>,
    /// What the others are told, if this is a new member.
    pub joined: Option<E>,
}

/// Why a request was refused: `code`, `text` and `retry_ms` of an error.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: &'static str,
    pub text: String,
    pub retry_ms: Option<Millis>,
}

/// What a request led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<E> {
    /// Everyone, the sender too, is told this.
    Tell(E),
    /// The sender is told this.
    Answer(E),
    /// The sender has left and its connection is to be closed; everyone else is told this.
    Left(E),
    /// The sender's connection is to be closed, for this reason.
    Expel(&'static str),
    /// Nothing: the connection lost its seat to a newer one.
    Nothing,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order, by the page.
    Closed,
    /// By an error, by silence or by the server.
    Cut,
}

impl<E: Clone> Room<E> {
    /// An empty room. `epoch` must differ from that of any earlier run of the server.
    pub fn new(limits: Limits, epoch: String, encode: Encode<E>) -> Self {
        Self {
            encode,
            history: History::new(epoch, limits.history_events, limits.history_bytes, limits.newcomer_events),
            seen: Seen::new(limits.seen_ids),
            members: BTreeMap::new(),
            sessions: HashMap::new(),
            nicks: HashSet::new(),
            last_member: 0,
            limits,
        }
    }

    /// A connection says who it is: a new member, or one who comes back (and keeps the name it had).
    ///
    /// # Errors
    /// The name is taken or is not a name, the session is not a session, or the room is full (code `full`: the same
    /// hello may be accepted later).
    pub fn hello(&mut self, hello: &Hello, now: Millis) -> Result<Entry<E>, Refusal> {
        if !is_token(&hello.session, 16) {
            return Err(Refusal::new("session", "That is not a session."));
        }
        let (id, joined) = match self.sessions.get(&hello.session) {
            Some(id) => (*id, None),
            None => self.join(hello, now).map(|(id, event)| (id, Some(event)))?,
        };
        let visit = self.members.get_mut(&id).map_or(0, |member| {
            member.leaves_at = None;
            member.visit += 1;
            member.visit
        });
        let (resumed, missed) = match self.history.since(hello.cursor.as_deref()) {
            Resume::From(missed) => (true, missed),
            Resume::Fresh(missed) | Resume::Gone(missed) => (false, missed),
        };
        Ok(Entry { seat: Seat { member: id, visit }, welcome: self.welcome(id, resumed), missed, joined })
    }

    /// A member sent a text.
    pub fn receive(&mut self, seat: Seat, text: &str, now: Millis) -> Outcome<E> {
        if !self.holds(seat) {
            return Outcome::Nothing;
        }
        let (result, id) = match protocol::parse(text) {
            Ok(Request::Ping) => return Outcome::Answer(self.answer(&Answer::Pong)),
            Ok(Request::Leave) => {
                return self.leave(seat.member, now).map_or(Outcome::Nothing, Outcome::Left);
            }
            Ok(Request::Say { id, text }) => (self.say(seat.member, &id, &text, now), Some(id)),
            Ok(Request::Nick { nick }) => (self.rename(seat.member, &nick, now), None),
            Ok(Request::Hello(_)) => (Err(Refusal::new("bad", "There was a hello already.")), None),
            Err(_) => (Err(Refusal::new("bad", "That is not a request.")), None),
        };
        let Some(member) = self.members.get_mut(&seat.member) else { return Outcome::Nothing };
        match result {
            Ok(outcome) => {
                member.strikes = 0;
                outcome
            }
            Err(_) if member.strikes + 1 >= self.limits.strikes => {
                Outcome::Expel("too many refused requests")
            }
            Err(refusal) => {
                member.strikes += 1;
                Outcome::Answer((self.encode)(&refusal.answer(id.as_deref()), None))
            }
        }
    }

    /// A connection ended. Its member stays for the time of grace, unless a newer connection has the seat.
    pub fn release(&mut self, seat: Seat, end: End, now: Millis) {
        let grace = match end {
            End::Closed => self.limits.grace_closed,
            End::Cut => self.limits.grace_cut,
        };
        if let Some(member) = self.members.get_mut(&seat.member).filter(|member| member.visit == seat.visit) {
            member.leaves_at = Some(now + grace);
        }
    }

    /// Gives up the members whose time of grace is over. Everyone is told these events.
    pub fn tick(&mut self, now: Millis) -> Vec<E> {
        let over = |member: &Member| member.leaves_at.is_some_and(|at| at <= now);
        let gone: Vec<_> =
            self.members.iter().filter(|(_, member)| over(member)).map(|(id, _)| *id).collect();
        gone.into_iter().filter_map(|id| self.leave(id, now)).collect()
    }

    /// The seat of this session's newest connection, which may have ended meanwhile.
    pub fn seat(&self, session: &str) -> Option<Seat> {
        let member = *self.sessions.get(session)?;
        Some(Seat { member, visit: self.members.get(&member)?.visit })
    }

    /// Whether the seat is still its connection's.
    pub fn holds(&self, seat: Seat) -> bool {
        self.members.get(&seat.member).is_some_and(|member| member.visit == seat.visit)
    }

    fn join(&mut self, hello: &Hello, now: Millis) -> Result<(MemberId, E), Refusal> {
        let nick = self.free_nick(&hello.nick, None)?;
        if self.members.len() >= self.limits.members {
            return Err(Refusal::new("full", "The room is full. You are let in as soon as somebody leaves."));
        }
        self.last_member += 1;
        let id = self.last_member;
        self.nicks.insert(rules::nick_key(&nick));
        self.sessions.insert(hello.session.clone(), id);
        let event = self.tell(id, &nick, now, What::Join);
        let session = hello.session.clone();
        self.members.insert(id, Member { session, nick, visit: 0, leaves_at: None, full_at: 0, strikes: 0 });
        Ok((id, event))
    }

    fn leave(&mut self, id: MemberId, now: Millis) -> Option<E> {
        let member = self.members.remove(&id)?;
        self.sessions.remove(&member.session);
        self.nicks.remove(&rules::nick_key(&member.nick));
        Some(self.tell(id, &member.nick, now, What::Leave))
    }

    fn say(&mut self, member: MemberId, id: &str, text: &str, now: Millis) -> Result<Outcome<E>, Refusal> {
        if !is_token(id, 8) {
            return Err(Refusal::new("bad", "That is not a message id."));
        }
        if self.seen.contains(id) {
            return Ok(Outcome::Answer(self.answer(&Answer::Ack { id })));
        }
        let longest = self.limits.text_chars;
        let text = rules::message(text, longest).map_err(|fault| match fault {
            rules::Fault::TooLong(_) => {
                Refusal::new("long", format!("A message has at most {longest} characters."))
            }
            _ => Refusal::new("empty", "There is nothing in that message."),
        })?;
        let nick = self.spend(member, now)?;
        self.seen.insert(id);
        Ok(Outcome::Tell(self.tell(member, &nick, now, What::Message { id, text: &text })))
    }

    fn rename(&mut self, id: MemberId, nick: &str, now: Millis) -> Result<Outcome<E>, Refusal> {
        let nick = self.free_nick(nick, Some(id))?;
        let was = self.spend(id, now)?;
        self.nicks.remove(&rules::nick_key(&was));
        self.nicks.insert(rules::nick_key(&nick));
        let event = self.tell(id, &nick, now, What::Rename { was: &was });
        if let Some(member) = self.members.get_mut(&id) {
            member.nick = nick;
        }
        Ok(Outcome::Tell(event))
    }

    /// The name tidied, if nobody but `own` has it.
    fn free_nick(&self, raw: &str, own: Option<MemberId>) -> Result<String, Refusal> {
        let nick = rules::nick(raw, self.limits.nick_chars).map_err(|fault| {
            let text = match fault {
                rules::Fault::Empty => "A name has at least one character.".to_owned(),
                rules::Fault::TooLong(longest) => format!("A name has at most {longest} characters."),
                rules::Fault::Invisible => "That name has characters that cannot be seen.".to_owned(),
            };
            Refusal::new("nick", text)
        })?;
        let key = rules::nick_key(&nick);
        let is_own =
            own.and_then(|id| self.members.get(&id)).is_some_and(|own| rules::nick_key(&own.nick) == key);
        if self.nicks.contains(&key) && !is_own {
            return Err(Refusal::new("taken", format!("Somebody here is called {nick} already.")));
        }
        Ok(nick)
    }

    /// Takes one from the member's allowance and gives its name.
    fn spend(&mut self, id: MemberId, now: Millis) -> Result<String, Refusal> {
        let Limits { burst, interval, .. } = self.limits;
        let Some(member) = self.members.get_mut(&id) else {
            return Err(Refusal::new("session", "You are not here."));
        };
        // Each request moves `full_at` by one interval; it may be ahead of the clock by `burst` of them.
        let full_at = member.full_at.max(now) + interval;
        let wait = full_at.saturating_sub(now + burst * interval);
        if wait > 0 {
            let text = "That was too fast. Take a breath.".to_owned();
            return Err(Refusal { code: "rate", text, retry_ms: Some(wait) });
        }
        member.full_at = full_at;
        Ok(member.nick.clone())
    }

    /// Makes the next event and keeps it.
    fn tell(&mut self, member: MemberId, nick: &str, now: Millis, what: What<'_>) -> E {
        let event = Event { what, seq: self.history.last() + 1, at: now, member, nick };
        let json = protocol::write(&event);
        let cursor = Cursor { epoch: self.history.epoch(), seq: event.seq };
        let event = (self.encode)(&json, Some(cursor));
        self.history.push(event.clone(), json.len());
        event
    }

    fn answer(&self, answer: &Answer<'_>) -> E {
        (self.encode)(&protocol::write(answer), None)
    }

    fn welcome(&self, member: MemberId, resumed: bool) -> E {
        let people = self.members.iter().map(|(id, member)| Person { member: *id, nick: &member.nick });
        self.answer(&Answer::Welcome(Welcome {
            member,
            nick: self.members.get(&member).map_or("", |member| &member.nick),
            epoch: self.history.epoch(),
            seq: self.history.last(),
            resumed,
            members: people.collect(),
            limits: PageLimits { nick: self.limits.nick_chars, text: self.limits.text_chars },
        }))
    }
}

impl Refusal {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), retry_ms: None }
    }

    /// The code of the `bye` that follows when it is a hello that was refused.
    pub fn bye(&self) -> u16 {
        if self.code == "full" { protocol::TRY_AGAIN_LATER } else { protocol::POLICY_VIOLATION }
    }

    /// The refusal as an error; `id` is that of the refused `say`.
    pub fn answer(&self, id: Option<&str>) -> String {
        let id = id.filter(|id| is_token(id, 8));
        protocol::write(&Answer::Error { code: self.code, text: &self.text, id, retry_ms: self.retry_ms })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn room(limits: Limits) -> Room<String> {
        Room::new(limits, "e1".to_owned(), |json, _| json.to_owned())
    }

    /// A session made of one letter.
    fn session(letter: char) -> String {
        letter.to_string().repeat(16)
    }

    fn hello(letter: char, nick: &str, cursor: Option<&str>) -> Hello {
        Hello { session: session(letter), nick: nick.to_owned(), cursor: cursor.map(str::to_owned) }
    }

    fn enter(room: &mut Room<String>, letter: char, nick: &str) -> Seat {
        room.hello(&hello(letter, nick, None), 0).unwrap().seat
    }

    fn say(id: &str, text: &str) -> String {
        json!({"type": "say", "id": id, "text": text}).to_string()
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn told(outcome: Outcome<String>) -> Value {
        match outcome {
            Outcome::Tell(text) | Outcome::Left(text) => value(&text),
            other => panic!("nobody was told: {other:?}"),
        }
    }

    fn answered(outcome: Outcome<String>) -> Value {
        match outcome {
            Outcome::Answer(text) => value(&text),
            other => panic!("no answer: {other:?}"),
        }
    }

    fn refused(room: &mut Room<String>, letter: char, nick: &str) -> &'static str {
        room.hello(&hello(letter, nick, None), 0).unwrap_err().code
    }

    #[test]
    fn a_newcomer_is_welcomed_and_told_what_was_said() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        room.receive(ada, &say("id-000001", "hello"), 1500);
        let entry = room.hello(&hello('b', " Bob ", None), 2000).unwrap();
        assert_eq!(
            value(&entry.welcome),
            json!({
                "type": "welcome", "member": 2, "nick": "Bob", "epoch": "e1", "seq": 3, "resumed": false,
                "members": [{"member": 1, "nick": "Ada"}, {"member": 2, "nick": "Bob"}],
                "limits": {"nick": 24, "text": 2000},
            })
        );
        let missed: Vec<Value> = entry.missed.iter().map(|text| value(text)).collect();
        assert_eq!(
            missed,
            [
                json!({"type": "join", "seq": 1, "at": 0, "member": 1, "nick": "Ada"}),
                json!({"type": "message", "seq": 2, "at": 1500, "member": 1, "nick": "Ada", "id": "id-000001", "text": "hello"}),
                json!({"type": "join", "seq": 3, "at": 2000, "member": 2, "nick": "Bob"}),
            ]
        );
        assert_eq!(entry.joined, entry.missed.last().cloned());
    }

    #[test]
    fn a_name_belongs_to_one_member_at_a_time() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        assert_eq!(refused(&mut room, 'b', "ada"), "taken");
        assert_eq!(refused(&mut room, 'b', ""), "nick");
        assert_eq!(refused(&mut room, 'b', "A\u{202e}da"), "nick");
        assert_eq!(refused(&mut room, 'b', &"x".repeat(25)), "nick");
        assert!(matches!(room.receive(ada, r#"{"type":"leave"}"#, 5), Outcome::Left(_)));
        enter(&mut room, 'b', "ADA");
    }

    #[test]
    fn a_session_is_a_token_long_enough_not_to_be_guessed() {
        let mut room = room(Limits::default());
        for (session, ok) in [
            ("a".repeat(15), false),
            ("a".repeat(16), true),
            ("a".repeat(64), true),
            ("a".repeat(65), false),
            ("a ".repeat(9), false),
        ] {
            let nick = session.len().to_string();
            let hello = Hello { session, nick, cursor: None };
            assert_eq!(room.hello(&hello, 0).is_ok(), ok, "{}", hello.session);
        }
    }

    #[test]
    fn a_full_room_lets_members_come_back_and_nobody_else_in() {
        let mut room = room(Limits { members: 2, ..Limits::default() });
        enter(&mut room, 'a', "Ada");
        let bob = enter(&mut room, 'b', "Bob");
        assert_eq!(refused(&mut room, 'c', "Cy"), "full");
        enter(&mut room, 'a', "Ada");
        room.receive(bob, r#"{"type":"leave"}"#, 5);
        enter(&mut room, 'c', "Cy");
    }

    #[test]
    fn one_who_comes_back_in_time_gets_what_was_missed_and_nobody_hears_of_it() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        let bob = enter(&mut room, 'b', "Bob");
        room.release(ada, End::Cut, 1000);
        room.receive(bob, &say("id-000001", "one"), 1000);
        room.receive(bob, &say("id-000002", "two"), 1000);
        assert_eq!(room.tick(8999), Vec::<String>::new());
        // The name of the hello is that of the first one; a rename since then is not undone.
        let entry = room.hello(&hello('a', "Whatever", Some("e1.3")), 8999).unwrap();
        assert_eq!(entry.joined, None);
        assert_eq!(entry.seat.member, ada.member);
        let welcome = value(&entry.welcome);
        assert_eq!((&welcome["resumed"], &welcome["nick"]), (&json!(true), &json!("Ada")));
        assert_eq!(entry.missed.iter().map(|text| value(text)["text"].clone()).collect::<Vec<_>>(), ["two"]);
        assert_eq!(room.tick(99_999), Vec::<String>::new());
    }

    #[test]
    fn a_member_leaves_when_the_time_of_grace_is_over() {
        for (end, grace) in [(End::Closed, 2000), (End::Cut, 8000)] {
            let mut room = room(Limits::default());
            let ada = enter(&mut room, 'a', "Ada");
            room.release(ada, end, 1000);
            assert_eq!(room.tick(1000 + grace - 1), Vec::<String>::new());
            let left = room.tick(1000 + grace);
            assert_eq!(left.len(), 1);
            assert_eq!(value(&left[0])["type"], "leave");
            assert_eq!(room.tick(1000 + grace + 1), Vec::<String>::new());
            assert!(!room.holds(ada));
            // The name and the session are free again.
            assert!(room.hello(&hello('b', "Ada", None), 0).unwrap().joined.is_some());
        }
    }

    #[test]
    fn the_newest_connection_of_a_session_has_the_seat() {
        let mut room = room(Limits::default());
        let old = enter(&mut room, 'a', "Ada");
        let new = enter(&mut room, 'a', "Ada");
        assert!(!room.holds(old) && room.holds(new));
        assert_eq!(room.receive(old, &say("id-000001", "x"), 0), Outcome::Nothing);
        assert_eq!(room.receive(old, r#"{"type":"leave"}"#, 0), Outcome::Nothing);
        room.release(old, End::Cut, 0);
        assert_eq!(room.tick(99_999), Vec::<String>::new());
        assert_eq!(told(room.receive(new, &say("id-000001", "x"), 0))["text"], "x");
    }

    #[test]
    fn a_message_sent_again_is_confirmed_but_not_told_again() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        assert_eq!(told(room.receive(ada, &say("id-000001", "hi"), 0))["seq"], 2);
        let ack = json!({"type": "ack", "id": "id-000001"});
        assert_eq!(answered(room.receive(ada, &say("id-000001", "hi"), 0)), ack);
        // Also after the member was given up, and without an allowance left.
        room.release(ada, End::Cut, 0);
        assert_eq!(room.tick(8000).len(), 1);
        let ada = enter(&mut room, 'a', "Ada");
        for n in 0..8 {
            told(room.receive(ada, &say(&format!("id-1000{n}"), "x"), 0));
        }
        assert_eq!(answered(room.receive(ada, &say("id-000001", "hi"), 0)), ack);
    }

    #[test]
    fn a_message_has_an_id_and_a_length() {
        let mut room = room(Limits { text_chars: 5, ..Limits::default() });
        let ada = enter(&mut room, 'a', "Ada");
        for id in ["", "1234567", "12345678 ", "12345678\"", &"a".repeat(65)] {
            let error = answered(room.receive(ada, &say(id, "hi"), 0));
            assert_eq!((&error["code"], &error["id"]), (&json!("bad"), &Value::Null), "{id}");
        }
        assert_eq!(told(room.receive(ada, &say("12345678", "1234"), 0))["text"], "1234");
        assert_eq!(told(room.receive(ada, &say(&"a".repeat(64), "12345"), 0))["text"], "12345");
        let error = answered(room.receive(ada, &say("id-000006", "123456"), 0));
        assert_eq!((&error["code"], &error["id"]), (&json!("long"), &json!("id-000006")));
        assert_eq!(answered(room.receive(ada, &say("id-000007", " \n"), 0))["code"], "empty");
    }

    #[test]
    fn a_member_in_a_hurry_is_told_when_to_try_again() {
        let mut room = room(Limits { burst: 3, interval: 100, ..Limits::default() });
        let ada = enter(&mut room, 'a', "Ada");
        let bob = enter(&mut room, 'b', "Bob");
        let mut id = 0;
        let mut try_at = |room: &mut Room<String>, seat, now| {
            id += 1;
            room.receive(seat, &say(&format!("id-{id:06}"), "x"), now)
        };
        for _ in 0..3 {
            told(try_at(&mut room, ada, 1000));
        }
        let error = answered(try_at(&mut room, ada, 1000));
        assert_eq!((&error["code"], &error["retry_ms"]), (&json!("rate"), &json!(100)));
        assert_eq!(answered(try_at(&mut room, ada, 1060))["retry_ms"], 40);
        // Others are not held up, and a refusal costs nothing.
        told(try_at(&mut room, bob, 1060));
        told(try_at(&mut room, ada, 1100));
        answered(try_at(&mut room, ada, 1100));
        // A clock that jumps back neither panics nor gives anything away.
        answered(try_at(&mut room, ada, 0));
        for _ in 0..3 {
            told(try_at(&mut room, ada, 5000));
        }
        answered(try_at(&mut room, ada, 5000));
    }

    #[test]
    fn one_who_is_refused_again_and_again_is_expelled() {
        let mut room = room(Limits { strikes: 3, ..Limits::default() });
        let ada = enter(&mut room, 'a', "Ada");
        for bad in [
            "",
            "[]",
            r#"{"type":"say"}"#,
            r#"{"type":"shout"}"#,
            r#"{"type":"hello","session":"x","nick":"y"}"#,
        ] {
            assert_eq!(answered(room.receive(ada, bad, 0))["code"], "bad");
            // What is accepted wipes the slate clean.
            told(room.receive(ada, r#"{"type":"nick","nick":"Ada"}"#, 0));
        }
        assert_eq!(answered(room.receive(ada, "1", 0))["code"], "bad");
        assert_eq!(answered(room.receive(ada, "2", 0))["code"], "bad");
        assert_eq!(room.receive(ada, "3", 0), Outcome::Expel("too many refused requests"));
    }

    #[test]
    fn a_member_takes_another_name() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        enter(&mut room, 'b', "Bob");
        let nick = |nick: &str| json!({"type": "nick", "nick": nick}).to_string();
        assert_eq!(answered(room.receive(ada, &nick("BOB"), 7))["code"], "taken");
        assert_eq!(
            told(room.receive(ada, &nick(" Countess  Lovelace"), 7)),
            json!({"type": "rename", "seq": 3, "at": 7, "member": 1, "nick": "Countess Lovelace", "was": "Ada"})
        );
        // One's own name in other letters is free, and so is the one given up.
        assert_eq!(told(room.receive(ada, &nick("countess lovelace"), 7))["nick"], "countess lovelace");
        enter(&mut room, 'c', "Ada");
        assert_eq!(told(room.receive(ada, &say("id-000001", "x"), 7))["nick"], "countess lovelace");
    }

    #[test]
    fn a_ping_is_answered() {
        let mut room = room(Limits::default());
        let ada = enter(&mut room, 'a', "Ada");
        assert_eq!(answered(room.receive(ada, r#"{"type":"ping"}"#, 0)), json!({"type": "pong"}));
    }

    #[test]
    fn one_who_was_away_too_long_gets_what_is_left() {
        let mut room = room(Limits { history_events: 4, ..Limits::default() });
        let ada = enter(&mut room, 'a', "Ada");
        for n in 1..=6 {
            told(room.receive(ada, &say(&format!("id-{n:06}"), "x"), 0));
        }
        let mut back = |cursor| {
            let entry = room.hello(&hello('a', "Ada", Some(cursor)), 0).unwrap();
            (value(&entry.welcome)["resumed"] == json!(true), entry.missed.len())
        };
        assert_eq!(back("e1.7"), (true, 0));
        assert_eq!(back("e1.3"), (true, 4));
        assert_eq!(back("e1.2"), (false, 4));
        assert_eq!(back("e0.7"), (false, 4));
    }
}
