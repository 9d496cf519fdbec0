//! What holds a room: who is in it, under which name, and the log of what was said. Two engines: this process
//! (`local.rs`), and a Redis that any number of nodes share (`redis.rs`). They do the same; only [`Denied::Away`] is Redis' own.
//!
//! All that an engine accepts it appends to the room's log and delivers, in the log's order, into the [`Room`] of each
//! node ([`Room::deliver`]); so a reply says only where the log stood then.

use std::sync::Arc;

use crate::chat::Limits;
use crate::id::Id;
use crate::local;
use crate::protocol::{MemberId, Person};
use crate::redis::Redis;
use crate::room::{Doubtful, Parting, Room};

/// The engine of all rooms.
pub enum Engine {
    Local,
    Redis(Box<Redis>),
}

/// An operation on a room, done as a whole. Names are compared by their [`nick_key`](crate::rules::nick_key).
#[derive(Debug, Clone, Copy)]
pub enum Ask<'a> {
    /// A member enters, under this name if it is new. An older visit of the same `link` is the same client's, which has
    /// come to another node. No two attempts of a node have the same number.
    Enter { member: MemberId, nick: &'a str, link: &'a str, attempt: u64 },
    /// A member says something, to all or to one.
    Say { member: MemberId, id: &'a str, text: &'a str, to: Option<MemberId> },
    /// A member takes another name.
    Rename { member: MemberId, nick: &'a str },
    /// A member leaves for good.
    Leave { member: MemberId },
    /// Who is here, some at a time; `after` is the last reply's `next`, or empty.
    Who { after: &'a str },
    /// Is this member in the room?
    Has { member: MemberId },
    /// Tells a member an answer on whichever node it listens.
    Tell { member: MemberId, json: &'a str },
    /// Ends a member's connection on whichever node it is.
    Bye { member: MemberId, code: u16, text: &'a str },
    /// Twice a second: these connections have ended, and these never were. Who did not come back in time has left.
    /// [`Denied::Gone`] if nobody needs the room any more, or if it is not the one that it was.
    Tick { parting: &'a [Parting], doubtful: &'a [Doubtful] },
}

/// What an operation gives, as far as it has it.
#[derive(Debug, Default)]
pub struct Reply {
    /// Of `Enter`: counts the connections. Only the newest has the seat.
    pub visit: u64,
    /// Of `Enter`: the name it has. One who comes back keeps its own.
    pub nick: String,
    /// Of `Enter`: the log holds all that led to this.
    pub at: Id,
    /// Of `Enter`, `Who` and `Tick`: how many are here.
    pub count: usize,
    /// Of `Enter` and `Who`: all who are here, or some of them, and then what to ask for the next.
    pub people: Vec<Person>,
    pub next: Option<String>,
}

/// Why an operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The member is not in the room, or the room is not open.
    Gone,
    /// The name is somebody else's.
    Taken,
    /// No more members.
    Full,
    /// Whom it is for is not in the room.
    Nobody,
    /// A message of this id was accepted before, on whichever node.
    Known,
    /// The engine cannot be reached: whether it was done is not known.
    Away,
}

impl Engine {
    /// Opens a room, and makes it if there is none. What was said there is delivered into it from now on.
    pub async fn open(&self, name: &str, limits: &Arc<Limits>) -> Result<Arc<Room>, Denied> {
        match self {
            Self::Local => Ok(local::open(name, limits)),
            Self::Redis(redis) => redis.open(name).await,
        }
    }

    /// Does it.
    pub async fn ask(&self, room: &Room, ask: Ask<'_>) -> Result<Reply, Denied> {
        match self {
            Self::Local => local::ask(room, ask),
            Self::Redis(redis) => redis.ask(room, ask).await,
        }
    }
}
