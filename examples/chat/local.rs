//! The engine in this process: what a room holds is in memory, and gone with the process.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::chat::{Limits, random_token};
use crate::engine::{Ask, Denied, Reply};
use crate::id::{Id, now, number};
use crate::protocol::{Fact, MemberId, Millis, NORMAL, Person, What};
use crate::room::{Parting, Room};
use crate::rules::nick_key;

/// What a room holds.
#[derive(Default)]
pub struct Register {
    people: BTreeMap<MemberId, Member>,
    /// The names taken.
    keys: HashSet<String>,
    /// The last ids of messages, and in their order.
    said: HashSet<String>,
    order: VecDeque<String>,
    visits: u64,
    last: Id,
    empty_since: Option<Millis>,
    /// Nobody enters any more: who comes makes a new one.
    is_over: bool,
}

struct Member {
    nick: String,
    visit: u64,
    /// When to give the member up: set while no connection has the seat.
    due: Option<Millis>,
}

/// A new room.
pub fn open(name: &str, limits: &Arc<Limits>) -> Arc<Room> {
    let born = Id::ZERO.next(now());
    let room = Room::new(name, random_token(), random_token(), born, Arc::clone(limits));
    lock(&room).last = born;
    Arc::new(room)
}

pub fn ask(room: &Room, ask: Ask<'_>) -> Result<Reply, Denied> {
    let mut register = lock(room);
    if register.is_over { Err(Denied::Gone) } else { register.ask(room, ask) }
}

fn lock(room: &Room) -> MutexGuard<'_, Register> {
    room.register.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Register {
    fn ask(&mut self, room: &Room, ask: Ask<'_>) -> Result<Reply, Denied> {
        let limits = &room.limits;
        match ask {
            Ask::Enter { member, nick, .. } => {
                if !self.people.contains_key(&member) {
                    if self.keys.contains(&nick_key(nick)) {
                        return Err(Denied::Taken);
                    }
                    if self.people.len() >= limits.members {
                        return Err(Denied::Full);
                    }
                    let nick = nick.to_owned();
                    self.keys.insert(nick_key(&nick));
                    self.people.insert(member, Member { nick: nick.clone(), visit: 0, due: None });
                    if self.people.len() <= limits.crowd {
                        self.append(room, Fact { what: What::Join, member, nick });
                    }
                }
                self.visits += 1;
                let (visit, at) = (self.visits, self.last);
                let member = self.people.get_mut(&member).ok_or(Denied::Gone)?;
                (member.visit, member.due) = (visit, None);
                let nick = member.nick.clone();
                return Ok(Reply { visit, nick, at, ..self.list(None, limits) });
            }
            Ask::Say { member, id, text, to } => {
                let nick = self.people.get(&member).ok_or(Denied::Gone)?.nick.clone();
                if self.said.contains(id) {
                    return Err(Denied::Known);
                }
                if to.is_some_and(|to| !self.people.contains_key(&to)) {
                    return Err(Denied::Nobody);
                }
                self.said.insert(id.to_owned());
                self.order.push_back(id.to_owned());
                if self.order.len() > limits.seen_ids
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.said.remove(&oldest);
                }
                let what = What::Message { id: id.to_owned(), text: text.to_owned(), to };
                self.append(room, Fact { what, member, nick });
            }
            Ask::Rename { member: id, nick } => {
                let member = self.people.get_mut(&id).ok_or(Denied::Gone)?;
                let (own, key) = (nick_key(&member.nick), nick_key(nick));
                if own != key && self.keys.contains(&key) {
                    return Err(Denied::Taken);
                }
                self.keys.remove(&own);
                self.keys.insert(key);
                let was = std::mem::replace(&mut member.nick, nick.to_owned());
                self.append(room, Fact { what: What::Rename { was }, member: id, nick: nick.to_owned() });
            }
            Ask::Leave { member } => {
                room.bye(member, u64::MAX, "", NORMAL, "");
                self.remove(room, member).ok_or(Denied::Gone)?;
            }
            Ask::Who { after } => return Ok(self.list(number(after), limits)),
            Ask::Has { member } if !self.people.contains_key(&member) => return Err(Denied::Gone),
            // For one who listens here the room has done it, and nobody else could.
            Ask::Has { .. } | Ask::Tell { .. } => {}
            Ask::Bye { member, code, text } => room.bye(member, u64::MAX, "", code, text),
            Ask::Tick { parting, .. } => return self.tick(room, parting),
        }
        Ok(Reply::default())
    }

    fn tick(&mut self, room: &Room, parting: &[Parting]) -> Result<Reply, Denied> {
        let now = now();
        for Parting { member, visit, grace } in parting {
            if let Some(member) = self.people.get_mut(member).filter(|member| member.visit == *visit) {
                member.due = Some(now + grace);
            }
        }
        let over = |member: &Member| member.due.is_some_and(|due| due <= now);
        let gone: Vec<_> = self.people.iter().filter(|(_, member)| over(member)).map(|(id, _)| *id).collect();
        for member in gone {
            self.remove(room, member);
        }
        let since = *self.empty_since.get_or_insert(now);
        self.is_over = self.people.is_empty() && now.saturating_sub(since) >= room.limits.room_stays;
        if !self.people.is_empty() {
            self.empty_since = None;
        }
        match self.is_over {
            true => Err(Denied::Gone),
            false => Ok(Reply { count: self.people.len(), ..Reply::default() }),
        }
    }

    /// Under the register's lock: so all hear it in the order of the ids.
    fn append(&mut self, room: &Room, fact: Fact) {
        self.last = self.last.next(now());
        room.deliver(self.last, &fact);
    }

    fn remove(&mut self, room: &Room, member: MemberId) -> Option<()> {
        let is_told = self.people.len() <= room.limits.crowd;
        let Member { nick, .. } = self.people.remove(&member)?;
        self.keys.remove(&nick_key(&nick));
        if is_told {
            self.append(room, Fact { what: What::Leave, member, nick });
        }
        Some(())
    }

    fn list(&self, after: Option<MemberId>, limits: &Limits) -> Reply {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.people.range((from, Bound::Unbounded));
        let page = rest.by_ref().take(limits.crowd);
        let people: Vec<_> = page
            .map(|(member, Member { nick, .. })| Person { member: *member, nick: nick.clone() })
            .collect();
        let next = people.last().filter(|_| rest.next().is_some()).map(|last| last.member.to_string());
        Reply { people, next, count: self.people.len(), ..Reply::default() }
    }
}
