//! The chat, whatever the transport: rooms, and what a member does in them.
//!
//! # How a transport joins
//!
//! A member of a room is a name, a session, a cursor, and a [`Sink`] that takes what it is told. So a transport
//!
//! 1. says who comes: [`Chat::join`] with the room, the [`Hello`] (session, nick, cursor), the client's address and, if it
//!    is a client that comes back from node to node with each request, its link. It gets an [`Entry`];
//! 2. sends [`Entry::welcome`] and then [`Entry::missed`], the backlog since the cursor;
//! 3. hands over its sink: [`Seat::attach`]. From then on the sink is told what follows, events and answers, without a gap
//!    and without waiting: each [`Told`] has its forms made once for all ([`Told::json`], [`Told::frame`],
//!    [`Told::message`], [`Told::block`]), and an event's [`Told::id`] is the cursor. A sink that cannot take it says so;
//! 4. passes on what the client sends, as the JSON of `protocol.rs`: [`Seat::receive`], or [`Chat::receive`] for a request
//!    that knows just the session. Answers come through the sink;
//! 5. drops the [`Seat`] when the connection is cut (the member may come back within a grace), or ends it in good order
//!    with [`Seat::close`]; a member leaves for good by saying `leave`.
//!
//! If the sink is told `bye`, the connection is to be closed. `ws.rs` is all this in one file.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushline::adapter::{Admission, Admitted, nonce};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use crate::engine::{Ask, Denied, Engine, Reply};
use crate::id::Id;
use crate::protocol::{
    self, Answer, GOING_AWAY, Hello, MemberId, Millis, POLICY_VIOLATION, PageLimits, Refusal, Request,
    TRY_AGAIN_LATER, is_token,
};
use crate::room::{Missed, Parting, Room, Sink};
use crate::rules;
use crate::told::Told;

/// What one member, one address, and all together may use up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Members of a room at once, 10,000. Without it: memory.
    pub members: usize,
    /// Members connected here from one address, 256. Without it one machine fills the room.
    pub per_address: usize,
    /// Rooms open here at once, 1000. Without it: memory, for each keeps its past.
    pub rooms: usize,
    /// Members whose coming and going is told one by one, and of whom a list names at most so many, 100. Without it what
    /// a newcomer costs grows with the room.
    pub crowd: usize,
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
    /// Milliseconds that a room stays after its last member, 600,000.
    pub room_stays: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 10_000,
            per_address: 256,
            rooms: 1000,
            crowd: 100,
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
            room_stays: 600_000,
        }
    }
}

/// How long the log may take to get here, 5 s: then the engine counts as away.
const REACHES_WITHIN: Duration = Duration::from_secs(5);

/// All rooms of this node.
pub struct Chat {
    pub limits: Arc<Limits>,
    engine: Engine,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    /// Held while a room is opened, so that it is opened once.
    opening: AsyncMutex<()>,
    addresses: Admission,
    /// To enter, so far.
    attempts: AtomicU64,
}

/// A connection's place in a room, to begin with.
pub struct Entry {
    pub seat: Seat,
    /// To be sent first.
    pub welcome: Told,
    /// To be sent next; then the seat is to be attached.
    pub missed: Vec<Told>,
    /// Whether `missed` is all that the client has not got.
    pub resumed: bool,
}

/// A connection's hold on its member, until a newer connection of the same session takes it. Dropping it is a cut.
pub struct Seat {
    chat: Arc<Chat>,
    room: Arc<Room>,
    member: MemberId,
    visit: u64,
    at: Id,
    grace: Millis,
    _admitted: Option<Admitted>,
}

/// What became of a text that came for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It was dealt with; an answer, if there is one, is on its way.
    Done,
    /// The session is not in the room.
    Gone,
    /// Neither could be found out: the same may be sent again.
    Away,
}

impl Chat {
    /// No rooms yet.
    pub fn new(engine: Engine, limits: Arc<Limits>) -> Arc<Self> {
        let addresses = Admission::new(limits.per_address, usize::MAX);
        Arc::new(Self {
            limits,
            engine,
            rooms: Mutex::default(),
            opening: AsyncMutex::default(),
            addresses,
            attempts: AtomicU64::new(0),
        })
    }

    /// A connection says who it is: a new member, or one who comes back (and keeps the name it had).
    ///
    /// # Errors
    /// The room has no such name, the name is taken or is not a name, the session is not a session; with a time to wait:
    /// there are too many, or the engine is away.
    pub async fn join(
        self: &Arc<Self>,
        room: &str,
        hello: &Hello,
        from: Option<IpAddr>,
        link: &str,
    ) -> Result<Entry, Refusal> {
        if !is_token(&hello.session, 16) {
            return Err(Refusal::new("session", "That is not a session."));
        }
        if hello.tag.as_deref().is_some_and(|tag| !is_token(tag, 1)) {
            return Err(Refusal::new("tag", "That is not a tag."));
        }
        let nick = rules::nick(&hello.nick, self.limits.nick_chars)?;
        loop {
            let room = self.room(room).await?;
            let member = room.member(&hello.session);
            // Held from here: whatever fails now gives it back.
            let seat = self.seat(&room, member, from)?;
            let (mut seat, entered) = match enter(seat, nick.clone(), link.to_owned()).await {
                Ok(entered) => entered,
                // It was given up a moment ago.
                Err(Denied::Gone) => {
                    self.forget(&room);
                    continue;
                }
                Err(denied) => return Err(refusal(denied, &nick)),
            };
            // The past that is cut now holds all that the welcome counts, the own arrival, too.
            let reached = timeout(REACHES_WITHIN, room.reach(entered.at)).await;
            reached.map_err(|_| refusal(Denied::Away, ""))?;
            let Missed { resumed, events, at, seen } =
                room.missed(member, hello.cursor.as_deref(), entered.at);
            seat.at = at;
            let limits = PageLimits { nick: self.limits.nick_chars, text: self.limits.text_chars };
            let welcome = Answer::Welcome {
                member,
                nick: &entered.nick,
                epoch: &room.epoch,
                seq: seen.seq(),
                resumed,
                members: &entered.people,
                count: entered.count,
                limits,
                tag: hello.tag.as_deref(),
            };
            return Ok(Entry { seat, welcome: Told::answer(&welcome), missed: events, resumed });
        }
    }

    /// A text came for this session by another way than its connection.
    pub async fn receive(&self, room: &str, session: &str, text: &str) -> Received {
        let room = match self.room(room).await {
            Ok(room) => room,
            Err(refusal) if refusal.code == "away" => return Received::Away,
            Err(_) => return Received::Gone,
        };
        let member = room.member(session);
        if room.visit(member).is_none() {
            match received(self.engine.ask(&room, Ask::Has { member }).await) {
                Received::Done => {}
                other => return other,
            }
        }
        self.accept(&room, member, text).await
    }

    /// To be called twice a second: gives up members who did not come back, and rooms that nobody needs.
    pub async fn tick(&self) {
        let rooms: Vec<_> = self.rooms().values().cloned().collect();
        futures_util::future::join_all(rooms.iter().map(|room| self.tick_room(room))).await;
    }

    async fn tick_room(&self, room: &Arc<Room>) {
        room.rest();
        let (parting, doubtful) = (room.take_parting(), room.take_doubtful());
        let ticked = self.engine.ask(room, Ask::Tick { parting: &parting, doubtful: &doubtful }).await;
        room.give_back_doubtful(doubtful, ticked.is_ok());
        match ticked {
            Ok(Reply { count, .. }) => {
                room.count(count, || Told::answer(&Answer::Count { count }));
            }
            Err(Denied::Gone) => self.forget(room),
            // Until it is back.
            Err(_) => room.give_back(parting),
        }
    }

    /// Ends all connections: the server is about to end.
    pub fn bye(&self) {
        for room in self.rooms().values() {
            room.bye_all(GOING_AWAY, "");
        }
    }

    async fn room(&self, name: &str) -> Result<Arc<Room>, Refusal> {
        let name = if name.is_empty() { "lobby" } else { name };
        if !is_token(name, 1) || name.len() > 32 {
            return Err(Refusal::new("room", "That is not a room."));
        }
        let known = |chat: &Self| chat.rooms().get(name).cloned();
        if let Some(room) = known(self) {
            return Ok(room);
        }
        let _opening = self.opening.lock().await;
        if let Some(room) = known(self) {
            return Ok(room);
        }
        if self.rooms().len() >= self.limits.rooms {
            return Err(Refusal::later("full", "There are too many rooms.", 5000));
        }
        let room = self.engine.open(name, &self.limits).await.map_err(|denied| refusal(denied, ""))?;
        self.rooms().insert(name.to_owned(), Arc::clone(&room));
        Ok(room)
    }

    /// The room is not this one any more. Who is still connected comes back to the next of this name.
    fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.rooms();
        if rooms.get(&room.name).is_some_and(|known| Arc::ptr_eq(known, room)) {
            rooms.remove(&room.name);
        }
        drop(rooms);
        room.bye_all(TRY_AGAIN_LATER, "the room was closed");
    }

    fn seat(
        self: &Arc<Self>,
        room: &Arc<Room>,
        member: MemberId,
        from: Option<IpAddr>,
    ) -> Result<Seat, Refusal> {
        let admitted = from.map(|from| self.addresses.enter(from).ok_or(()));
        let too_many = |()| Refusal::later("full", "There are too many of your address here.", 5000);
        let _admitted = admitted.transpose().map_err(too_many)?;
        let (chat, room) = (Arc::clone(self), Arc::clone(room));
        Ok(Seat { chat, room, member, visit: 0, at: Id::ZERO, grace: self.limits.grace_cut, _admitted })
    }

    async fn accept(&self, room: &Arc<Room>, member: MemberId, text: &str) -> Received {
        let (result, id) = match protocol::parse(text) {
            Ok(Request::Ping) => (Ok(Some(Told::answer(&Answer::Pong))), None),
            Ok(Request::Leave) => return received(self.engine.ask(room, Ask::Leave { member }).await),
            Ok(Request::Say { id, text, to }) => (self.say(room, member, (&id, &text), to).await, Some(id)),
            Ok(Request::Nick { nick }) => (self.rename(room, member, &nick).await, None),
            Ok(Request::Who { after }) => (self.who(room, &after.unwrap_or_default()).await, None),
            Ok(Request::Hello(_)) => (Err(Refusal::new("bad", "There was a hello already.")), None),
            Err(_) => (Err(Refusal::new("bad", "That is not a request.")), None),
        };
        let code = result.as_ref().err().map(|refusal| refusal.code);
        if code == Some("gone") {
            room.bye(member, u64::MAX, "", TRY_AGAIN_LATER, "you were given up");
            return Received::Gone;
        }
        let is_away = code == Some("away");
        if !is_away && room.judge(member, code.is_none()) {
            let ask = Ask::Bye { member, code: POLICY_VIOLATION, text: "too many refused requests" };
            return received(self.engine.ask(room, ask).await);
        }
        let told = match result {
            Ok(None) => return Received::Done,
            Ok(Some(told)) => told,
            Err(refusal) => Told::answer(&refusal.answer(id.as_deref())),
        };
        match room.tell(member, &told) {
            true => Received::Done,
            false if is_away => Received::Away,
            false => received(self.engine.ask(room, Ask::Tell { member, json: told.json() }).await),
        }
    }

    /// An answer, or none: then the event is.
    async fn say(
        &self,
        room: &Room,
        member: MemberId,
        (id, text): (&str, &str),
        to: Option<MemberId>,
    ) -> Result<Option<Told>, Refusal> {
        if !is_token(id, 8) {
            return Err(Refusal::new("bad", "That is not a message id."));
        }
        let text = &rules::message(text, self.limits.text_chars)?;
        room.spend(member)?;
        match self.engine.ask(room, Ask::Say { member, id, text, to }).await {
            Ok(_) => Ok(None),
            Err(Denied::Known) => Ok(Some(Told::answer(&Answer::Ack { id }))),
            Err(denied) => Err(refusal(denied, "")),
        }
    }

    async fn rename(&self, room: &Room, member: MemberId, nick: &str) -> Result<Option<Told>, Refusal> {
        let nick = &rules::nick(nick, self.limits.nick_chars)?;
        room.spend(member)?;
        let renamed = self.engine.ask(room, Ask::Rename { member, nick }).await;
        renamed.map(|_| None).map_err(|denied| refusal(denied, nick))
    }

    async fn who(&self, room: &Room, after: &str) -> Result<Option<Told>, Refusal> {
        let reply = self.engine.ask(room, Ask::Who { after }).await;
        let Reply { people, next, count, .. } = reply.map_err(|denied| refusal(denied, ""))?;
        Ok(Some(Told::answer(&Answer::People { members: &people, next: next.as_deref(), count })))
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From now on the sink is told what follows [`Entry::missed`]. `false` if the connection is to be closed: the client
    /// took so long that it has to come back, or a newer connection has the seat.
    pub fn attach(&self, link: &str, sink: Box<dyn Sink>) -> bool {
        self.room.attach(self.member, self.visit, link, self.at, sink)
    }

    /// The client sent this.
    pub async fn receive(&self, text: &str) {
        // One that lost its seat is not heard any more; of the rest, the answer tells.
        if self.room.visit(self.member) == Some(self.visit) {
            self.chat.accept(&self.room, self.member, text).await;
        }
    }

    /// Counts the connections of the room: no two are the same.
    pub fn visit(&self) -> u64 {
        self.visit
    }

    /// The connection ended in good order.
    pub fn close(mut self) {
        self.grace = self.chat.limits.grace_closed;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Self { member, visit, grace, .. } = *self;
        if visit > 0 {
            self.room.detach(Parting { member, visit, grace });
        }
    }
}

/// In a task of its own: of a client that leaves meanwhile, the seat is dropped once the engine has let it in. Else its
/// member would stay for ever.
async fn enter(mut seat: Seat, nick: String, link: String) -> Result<(Seat, Reply), Denied> {
    let entering = tokio::spawn(async move {
        let attempt = seat.chat.attempts.fetch_add(1, Ordering::Relaxed);
        let ask = Ask::Enter { member: seat.member, nick: &nick, link: &link, attempt };
        let entered = seat.chat.engine.ask(&seat.room, ask).await.inspect_err(|denied| {
            if *denied == Denied::Away {
                seat.room.doubt(seat.member, attempt);
            }
        })?;
        seat.visit = entered.visit;
        Ok((seat, entered))
    });
    // It is not cancelled but by the end of the program.
    entering.await.unwrap_or(Err(Denied::Away))
}

fn received(result: Result<Reply, Denied>) -> Received {
    match result {
        Ok(_) => Received::Done,
        Err(Denied::Away) => Received::Away,
        Err(_) => Received::Gone,
    }
}

fn refusal(denied: Denied, nick: &str) -> Refusal {
    let later = |code, text: &str| Refusal::later(code, text, 1000);
    match denied {
        Denied::Taken => Refusal::new("taken", format!("Somebody here is called {nick} already.")),
        Denied::Nobody => Refusal::new("nobody", "Whom that is for is not here any more."),
        Denied::Full => later("full", "The room is full. You are let in as soon as somebody leaves."),
        Denied::Away => later("away", "The room cannot be reached right now. This is tried again."),
        Denied::Gone | Denied::Known => later("gone", "You are not here any more."),
    }
}

/// 128 bits that nobody knows.
pub fn random_token() -> String {
    // A system without randomness has no sessions to protect either: TLS would not start.
    nonce().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}
