//! The engine in a Redis (6.2 or newer) that any number of nodes share. One stream is a room's log; `redis.lua` has what is done
//! with it, an operation at a time. Each node reads each stream once, whoever listens.
//!
//! A node says twice a second that it lives. One that does not for three seconds is dead, and its members have the grace
//! of a cut connection to come back on another. Without Redis nothing is accepted, and members stay connected. An operation that
//! was given up may be done nevertheless, later: of who entered so the node says for a while that nobody is there.
//!
//! All this has a thread of its own: among the tasks of thousands of connections that have something to write, each step
//! of an operation would wait for all of them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::streams::{StreamId, StreamRangeReply, StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, FromRedisValue, RedisError, Script, ToRedisArgs};
use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

use crate::chat::{Limits, random_token};
use crate::engine::{Ask, Denied, Reply};
use crate::id::{Id, number};
use crate::protocol::{Fact, Millis, Person, What};
use crate::room::Room;
use crate::rules::nick_key;
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
        let (epoch, secret, born, added, aside): (_, _, String, u64, _) =
            self.run("open", name, (random_token(), random_token())).await?;
        let mut connection = self.manager.clone();
        let (log, most) = (key(name, "log"), self.read.limits.history_events);
        let newest = async move { connection.xrevrange_count(log, "+", "-", most).await };
        let range: StreamRangeReply = self.there(newest).await?;
        let past: Vec<_> = range.ids.iter().rev().filter_map(event).collect();
        // What was trimmed is not known here, only that it was.
        let is_whole = added <= past.len() as u64;
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
        let (operation, arguments) = match ask {
            Ask::Enter { member, nick, link, attempt } => {
                ("enter", (member, nick, nick_key(nick), link, attempt, limits.members).to_redis_args())
            }
            Ask::Say { member, id, text, to } => {
                let to = to.map_or_else(String::new, |to| to.to_string());
                ("say", (member, id, text, to).to_redis_args())
            }
            Ask::Rename { member, nick } => ("rename", (member, nick, nick_key(nick)).to_redis_args()),
            Ask::Leave { member } => ("leave", member.to_redis_args()),
            Ask::Who { after } => ("who", number(after).unwrap_or_default().to_redis_args()),
            Ask::Has { member } => ("has", member.to_redis_args()),
            Ask::Tell { member, json } => ("tell", (member, json).to_redis_args()),
            Ask::Bye { member, code, text } => ("bye", (member, code, text).to_redis_args()),
            Ask::Tick { parting, doubtful } => {
                let ended = parting.iter().map(|one| (one.member, one.visit.to_string(), one.grace, 0));
                let doubtful = doubtful.iter().map(|one| {
                    let attempt = format!("attempt{}", one.attempt);
                    (one.member, attempt, limits.grace_cut, room.visit(one.member).unwrap_or(0))
                });
                let ended: Vec<_> = ended.chain(doubtful).collect();
                ("tick", (limits.grace_cut, limits.room_stays, ended).to_redis_args())
            }
        };
        let (count, visit, nick, at, next, people): (_, _, _, _, String, Vec<_>) =
            self.run(operation, &room.name, (&room.epoch, arguments)).await?;
        // Whoever comes next opens it again, and finds in Redis what there is.
        if operation == "tick" && room.rest() >= limits.room_stays.min(ROOM_RESTS) {
            return Err(Denied::Gone);
        }
        let people = people.into_iter().map(|(member, nick)| Person { member, nick }).collect();
        let next = Some(next).filter(|next| next != "0");
        Ok(Reply { visit, nick, at: Id::from_seq(at), count, people, next })
    }

    async fn run<T: FromRedisValue + Send + 'static>(
        &self,
        operation: &str,
        room: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<T, Denied> {
        let keys = ["log", "aside", "people", "names", "seats", "due", "said", "nodes", "meta"];
        let keys = keys.map(|part| key(room, part));
        let Limits { crowd, history_events, seen_ids, .. } = *self.read.limits;
        let common = (operation, &self.node, crowd, history_events, seen_ids).to_redis_args();
        let (script, arguments) = (Arc::clone(&self.script), arguments.to_redis_args());
        let mut connection = self.manager.clone();
        let reply =
            async move { script.key(&keys).arg(common).arg(arguments).invoke_async(&mut connection).await };
        self.there(reply).await
    }

    /// Does this in Redis' own thread.
    async fn there<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, RedisError>> + Send + 'static,
    ) -> Result<T, Denied> {
        let done = self.thread.spawn(async { timeout(ANSWERS_WITHIN, operation).await }).await;
        let Ok(Ok(done)) = done else { return Err(Denied::Away) };
        done.map_err(|error| match error.code() {
            Some("GONE") => Denied::Gone,
            Some("TAKEN") => Denied::Taken,
            Some("FULL") => Denied::Full,
            Some("NOBODY") => Denied::Nobody,
            Some("KNOWN") => Denied::Known,
            _ => Denied::Away,
        })
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
        "message" => What::Message { id: field("id")?, text: field("text")?, to: entry.get("to") },
        "join" => What::Join,
        "leave" => What::Leave,
        "rename" => What::Rename { was: field("was")? },
        _ => return None,
    };
    Some((Id::parse(&entry.id)?, Fact { what, member: entry.get("member")?, nick: field("nick")? }))
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
        let (keys, ids): (Vec<_>, Vec<_>) = {
            let mut rooms = self.rooms();
            rooms.retain(|_, reading| reading.room.strong_count() > 0);
            let both = |(name, reading): (&String, &Reading)| {
                [(key(name, "log"), reading.log.to_string()), (key(name, "aside"), reading.aside.clone())]
            };
            rooms.iter().flat_map(both).unzip()
        };
        if keys.is_empty() {
            sleep(Duration::from_millis(20)).await;
            return Ok(());
        }
        let options = StreamReadOptions::default().count(BATCH).block(BLOCK);
        let reply: Option<StreamReadReply> = connection.xread_options(&keys, &ids, &options).await?;
        for stream in reply.iter().flat_map(|reply| &reply.keys) {
            let key = stream.key.strip_prefix("chat:{").and_then(|key| key.split_once("}:"));
            let Some((name, part)) = key else { continue };
            let mut rooms = self.rooms();
            let Some(reading) = rooms.get_mut(name) else { continue };
            let room = reading.room.upgrade();
            for entry in &stream.ids {
                if part == "log" {
                    reading.log = Id::parse(&entry.id).unwrap_or(reading.log);
                    if let (Some(room), Some((id, fact))) = (&room, event(entry)) {
                        room.deliver(id, &fact);
                    }
                } else {
                    reading.aside.clone_from(&entry.id);
                    if let Some(room) = &room {
                        aside(room, entry);
                    }
                }
            }
        }
        Ok(())
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Reading>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is for one member.
fn aside(room: &Room, entry: &StreamId) {
    let field = |name: &str| entry.get::<String>(name);
    let Some(member) = entry.get("member") else { return };
    if let Some(json) = field("json") {
        room.tell(member, &Told::written(json));
    } else if let (Some(link), Some(code), Some(text)) = (field("link"), entry.get("code"), field("text")) {
        room.bye(member, entry.get("before").unwrap_or(u64::MAX), &link, code, &text);
    }
}
