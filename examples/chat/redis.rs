//! The engine in a Redis (6.2 or newer) that any number of nodes share. One stream is a room's log; `redis.lua` has what is done
//! with it, an operation at a time. Each node reads each stream once, whoever listens.
//!
//! A node says twice a second that it lives. One that does not for three seconds is dead, and its members have the grace
//! of a cut connection to come back on another. Without Redis nothing is accepted, and members stay connected.
//!
//! All this has a thread of its own: among the tasks of thousands of connections that have something to write, each step
//! of an operation would wait for all of them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use redis::{AsyncConnectionConfig, Client, RedisError, Script};
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

use crate::chat::{Limits, random_token};
use crate::engine::{Ask, Denied, Reply};
use crate::id::{Id, number};
use crate::protocol::{Fact, Millis, NORMAL, Person, What};
use crate::room::Room;
use crate::told::Told;

/// How long an operation may take, 2 s: then Redis counts as away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// How long a read waits for news: as late as a room that was just opened is read, 100 ms.
const BLOCK: usize = 100;

/// How long a room stays open here that nobody listens to, 30 s.
const ROOM_RESTS: Millis = 30_000;

/// Events of one stream that are read at once.
const BATCH: usize = 500;

/// See the file's first lines.
pub struct Redis {
    thread: Handle,
    manager: ConnectionManager,
    script: Arc<Script>,
    node: String,
    read: Arc<Reads>,
}

/// What is read, and how far.
struct Reads {
    client: Client,
    limits: Arc<Limits>,
    rooms: Mutex<HashMap<String, Reading>>,
}

struct Reading {
    room: Weak<Room>,
    log: Id,
    aside: String,
}

impl Redis {
    /// A node of the Redis at this URL, which need not be there yet.
    ///
    /// # Errors
    /// That is no such URL; there can be no thread.
    pub fn new(url: &str, limits: Arc<Limits>) -> Result<Self, Box<dyn Error>> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(ANSWERS_WITHIN))
            .set_connection_timeout(Some(ANSWERS_WITHIN))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(200));
        let manager = client.get_connection_manager_lazy(config)?;
        let script = Arc::new(Script::new(include_str!("redis.lua")));
        let read = Arc::new(Reads { client, limits, rooms: Mutex::default() });
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (thread, reading) = (runtime.handle().clone(), read_all(Arc::downgrade(&read)));
        thread::Builder::new().name("redis".to_owned()).spawn(move || runtime.block_on(reading))?;
        Ok(Self { thread, manager, script, node: random_token(), read })
    }

    pub async fn open(&self, name: &str) -> Result<Arc<Room>, Denied> {
        let reply = self.run("open", name, &[random_token(), random_token()]).await?;
        let [epoch, secret, born, added, aside] = <[String; 5]>::try_from(reply).map_err(|_| Denied::Away)?;
        let mut connection = self.manager.clone();
        let mut command = redis::cmd("XREVRANGE");
        command.arg(key(name, "log")).arg("+").arg("-").arg("COUNT").arg(self.read.limits.history_events);
        let range = self.there(async move { command.query_async::<StreamRangeReply>(&mut connection).await });
        let range = range.await?;
        let past: Vec<_> = range.ids.iter().rev().filter_map(event).collect();
        // What was trimmed is not known here, only that it was.
        let is_whole = number(&added).is_some_and(|added| added <= past.len() as u64);
        let begin = match past.first() {
            Some((first, _)) if !is_whole => Id::from_seq(first.seq().saturating_sub(1)),
            _ => Id::parse(&born).unwrap_or_default(),
        };
        let room = Arc::new(Room::new(name, epoch, secret, begin, Arc::clone(&self.read.limits)));
        for (id, fact) in &past {
            room.deliver(*id, fact);
        }
        let reading = Reading { room: Arc::downgrade(&room), log: room.last(), aside };
        self.read.rooms().insert(name.to_owned(), reading);
        Ok(room)
    }

    pub async fn ask(&self, room: &Room, ask: Ask<'_>) -> Result<Reply, Denied> {
        let limits = &room.limits;
        let text = |text: &str| text.to_owned();
        let (operation, mut arguments) = match ask {
            Ask::Enter { member, nick, key, link } => (
                "enter",
                vec![member.to_string(), text(nick), text(key), text(link), limits.members.to_string()],
            ),
            Ask::Say { member, id, text: said, to } => {
                let to = to.map_or_else(String::new, |to| to.to_string());
                ("say", vec![member.to_string(), text(id), text(said), to])
            }
            Ask::Rename { member, nick, key } => ("rename", vec![member.to_string(), text(nick), text(key)]),
            Ask::Leave { member } => ("leave", vec![member.to_string()]),
            Ask::Who { after } => ("who", vec![number(after).unwrap_or_default().to_string()]),
            Ask::Has { member } => ("has", vec![member.to_string()]),
            Ask::Tell { member, json } => ("tell", vec![member.to_string(), text(json)]),
            Ask::Bye { member, code, text: why } => {
                ("bye", vec![member.to_string(), code.to_string(), text(why)])
            }
            Ask::Tick { parting } => {
                let numbers = parting.iter().flat_map(|one| [one.member, one.visit, one.grace]);
                let numbers = [limits.grace_cut, limits.room_stays].into_iter().chain(numbers);
                ("tick", numbers.map(|number| number.to_string()).collect())
            }
        };
        arguments.insert(0, room.epoch.clone());
        let reply = self.run(operation, &room.name, &arguments).await?;
        // Whoever comes next opens it again, and finds in Redis what there is.
        let is_over = operation == "tick" && room.rest() >= limits.room_stays.min(ROOM_RESTS);
        let mut fields = reply.into_iter();
        match fields.next().as_deref() {
            Some("ok") if !is_over => {}
            Some("ok" | "gone") => return Err(Denied::Gone),
            Some("taken") => return Err(Denied::Taken),
            Some("full") => return Err(Denied::Full),
            Some("nobody") => return Err(Denied::Nobody),
            Some("known") => return Err(Denied::Known),
            _ => return Err(Denied::Away),
        }
        let count = fields.next().and_then(|count| count.parse().ok()).unwrap_or_default();
        let mut field = || fields.next().unwrap_or_default();
        let (visit, nick, at) = (number(&field()).unwrap_or_default(), field(), field());
        let next = Some(field()).filter(|next| !next.is_empty() && next != "0");
        let people = fields.as_slice().chunks_exact(2);
        let people = people
            .filter_map(|one| Some(Person { member: number(&one[0])?, nick: one[1].clone() }))
            .collect();
        Ok(Reply { visit, nick, at: Id::from_seq(number(&at).unwrap_or_default()), count, people, next })
    }

    async fn run(&self, operation: &str, room: &str, arguments: &[String]) -> Result<Vec<String>, Denied> {
        let limits = &self.read.limits;
        let keys = ["log", "aside", "people", "names", "seats", "due", "said", "nodes", "meta"];
        let keys = keys.map(|part| key(room, part));
        let common = [limits.crowd, limits.history_events, limits.seen_ids].map(|limit| limit.to_string());
        let first = [operation.to_owned(), self.node.clone()];
        let arguments: Vec<String> =
            first.into_iter().chain(common).chain(arguments.iter().cloned()).collect();
        let (script, mut connection) = (Arc::clone(&self.script), self.manager.clone());
        let reply =
            self.there(async move { script.key(&keys).arg(&arguments).invoke_async(&mut connection).await });
        reply.await
    }

    /// Does this in Redis' own thread.
    async fn there<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, RedisError>> + Send + 'static,
    ) -> Result<T, Denied> {
        let done = self.thread.spawn(async { timeout(ANSWERS_WITHIN, operation).await }).await;
        done.ok().and_then(Result::ok).and_then(Result::ok).ok_or(Denied::Away)
    }
}

/// Of one room all in the same slot of a Redis Cluster.
fn key(room: &str, part: &str) -> String {
    format!("chat:{{{room}}}:{part}")
}

/// An entry of the log.
fn event(entry: &StreamId) -> Option<(Id, Fact)> {
    let field = |name: &str| entry.get::<String>(name);
    let what = match &*field("type")? {
        "message" => What::Message {
            id: field("id")?,
            text: field("text")?,
            to: field("to").filter(|to| !to.is_empty()).and_then(|to| number(&to)),
        },
        "join" => What::Join,
        "leave" => What::Leave,
        "rename" => What::Rename { was: field("was")? },
        _ => return None,
    };
    Some((Id::parse(&entry.id)?, Fact { what, member: number(&field("member")?)?, nick: field("nick")? }))
}

/// Reads all rooms that are open here, as long as there is a node; comes back to a Redis that was away.
async fn read_all(reads: Weak<Reads>) {
    let mut connection = None;
    while let Some(reads) = reads.upgrade() {
        if let Err(_away) = reads.read(&mut connection).await {
            connection = None;
            sleep(Duration::from_millis(200)).await;
        }
    }
}

impl Reads {
    async fn read(&self, connection: &mut Option<MultiplexedConnection>) -> Result<(), RedisError> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                // A read may wait longer for news than an operation for its answer.
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(ANSWERS_WITHIN))
                    .set_response_timeout(Some(2 * ANSWERS_WITHIN));
                connection.insert(self.client.get_multiplexed_async_connection_with_config(&config).await?)
            }
        };
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK).arg("STREAMS");
        let mut names = Vec::new();
        {
            let mut rooms = self.rooms();
            rooms.retain(|_, reading| reading.room.strong_count() > 0);
            for name in rooms.keys() {
                command.arg(key(name, "log")).arg(key(name, "aside"));
                names.push(name.clone());
            }
            for reading in rooms.values() {
                command.arg(reading.log.to_string()).arg(&reading.aside);
            }
        }
        if names.is_empty() {
            sleep(Duration::from_millis(20)).await;
            return Ok(());
        }
        let reply: Option<StreamReadReply> = command.query_async(connection).await?;
        for stream in reply.iter().flat_map(|reply| &reply.keys) {
            let Some(name) = names.iter().find(|name| stream.key.starts_with(&key(name, ""))) else {
                continue;
            };
            let is_log = stream.key.ends_with(":log");
            let mut rooms = self.rooms();
            let Some(reading) = rooms.get_mut(name) else { continue };
            let room = reading.room.upgrade();
            for entry in &stream.ids {
                match is_log {
                    true => reading.log = Id::parse(&entry.id).unwrap_or(reading.log),
                    false => reading.aside.clone_from(&entry.id),
                }
                match (&room, is_log) {
                    (Some(room), true) => {
                        if let Some((id, fact)) = event(entry) {
                            room.deliver(id, &fact);
                        }
                    }
                    (Some(room), false) => self.aside(room, entry),
                    (None, _) => {}
                }
            }
        }
        Ok(())
    }

    /// What is for one member.
    fn aside(&self, room: &Room, entry: &StreamId) {
        let field = |name: &str| entry.get::<String>(name);
        let Some(member) = field("member").and_then(|member| number(&member)) else { return };
        if let Some(json) = field("json") {
            room.tell(member, &Told::answer(json));
        } else if let (Some(before), Some(link), Some(code), Some(text)) =
            (field("before"), field("link"), field("code"), field("text"))
        {
            let before = number(&before).filter(|_| !before.is_empty()).unwrap_or(u64::MAX);
            room.bye(member, before, &link, code.parse().unwrap_or(NORMAL), &text);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
