//! One client, whatever its transport: who it is, how far it got, what it has to say. It comes back after every end of
//! its connection, to any node, and goes on where it was.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pushline::backoff::Backoff;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

use crate::ledger::Heard;
use crate::options::Transport;
use crate::world::World;
use crate::{sse, visit, ws};

/// How long a client waits before it comes back, as the chat's page does, but for a shorter time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const BACKOFF: Backoff = Backoff::new().ceiling(Duration::from_secs(4)).jitter(100);

/// Why a connection is over.
pub type Ended = Box<dyn std::error::Error + Send + Sync>;

/// A client. What it knows outlives its connections.
#[derive(Debug)]
pub struct Client {
    pub transport: Transport,
    pub session: String,
    pub nick: String,
    state: Mutex<State>,
    order: AtomicU8,
    ordered: Notify,
    speaker: Option<Box<Speaker>>,
    is_gone: AtomicBool,
}

#[derive(Debug)]
struct State {
    heard: Heard,
    /// The last event that came, as `EPOCH.SEQ`.
    epoch: String,
    seq: u64,
    /// When the present connection was welcomed.
    open: Option<Instant>,
    was_welcomed: bool,
    /// Held until the first welcome.
    joining: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct Speaker {
    saying: Mutex<Saying>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Saying {
    /// What is due and not confirmed, oldest first.
    queue: VecDeque<u32>,
    /// Whether the oldest was said on this connection.
    is_said: bool,
    not_before: Option<Instant>,
}

/// What happens to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    None,
    /// Its connection is cut, without a word.
    Cut,
    /// It vanishes, and does not come back.
    Vanish,
}

/// What the chat says: the fields of all its answers and events that matter here.
#[derive(Debug, Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    seq: Option<u64>,
    epoch: Option<&'a str>,
    #[serde(default)]
    resumed: bool,
    id: Option<&'a str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    code: Option<Code<'a>>,
    retry_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Code<'a> {
    Name(&'a str),
    /// Of a `bye`, which says why in its text, too.
    Number(IgnoredAny),
}

impl Client {
    pub fn new(world: &World, number: usize, transport: Transport, is_newcomer: bool) -> Self {
        let heard = if is_newcomer { Heard::newcomer } else { Heard::everything };
        let speaks = !is_newcomer && number < world.options.speakers();
        Self {
            transport,
            session: format!("{}-{:016x}", world.run, world.random()),
            nick: format!("{}-{number}", world.run),
            state: Mutex::new(State {
                heard: heard(&world.options),
                epoch: String::new(),
                seq: 0,
                open: None,
                was_welcomed: false,
                joining: None,
            }),
            order: AtomicU8::new(Order::None as u8),
            ordered: Notify::new(),
            speaker: speaks.then(Box::default),
            is_gone: AtomicBool::new(false),
        }
    }

    /// Lives until it is told to vanish.
    pub async fn run(self: Arc<Self>, world: Arc<World>) {
        // It never closes while the world lives.
        let permit = Arc::clone(&world.joining).acquire_owned().await.ok();
        self.lock().joining = permit;
        let mut node = world.any_node(None);
        let mut failures = 0;
        loop {
            let ended = tokio::select! {
                ended = self.connection(&world, node) => Some(ended),
                order = self.next_order() => {
                    if order == Order::Vanish {
                        self.is_gone.store(true, Relaxed);
                        return;
                    }
                    None
                }
            };
            let was_open = self.lost();
            failures = if was_open { 1 } else { failures + 1 };
            // What was cut may come back to where it was; what broke tries another.
            node = world.any_node(ended.is_some().then_some(node));
            if let Some(ended) = ended {
                world.note(ended.as_ref(), was_open);
            }
            let wait = BACKOFF.wait(FIRST_WAIT, failures, world.random());
            tokio::select! {
                () = sleep(wait) => {}
                order = self.next_order() => if order == Order::Vanish {
                    self.is_gone.store(true, Relaxed);
                    return;
                }
            }
        }
    }

    /// One connection, or what the transport has in its place. In a box: the largest of them would be every client's.
    async fn connection(&self, world: &Arc<World>, node: usize) -> Ended {
        let ended = match self.transport {
            Transport::Ws => Box::pin(ws::connection(self, world, node)).await,
            Transport::Sse => Box::pin(sse::connection(self, world, node)).await,
            _ => Box::pin(visit::connection(self, world, node)).await,
        };
        ended.err().unwrap_or_else(|| "the server ended the connection".into())
    }

    pub fn order(&self, order: Order) {
        self.order.store(order as u8, Relaxed);
        self.ordered.notify_one();
    }

    async fn next_order(&self) -> Order {
        loop {
            match self.order.swap(Order::None as u8, Relaxed) {
                order if order == Order::Cut as u8 => return Order::Cut,
                order if order == Order::Vanish as u8 => return Order::Vanish,
                _ => self.ordered.notified().await,
            }
        }
    }

    /// What it has not heard, once it is in.
    pub fn outstanding(&self, world: &World) -> u64 {
        if self.is_gone.load(Relaxed) {
            return 0;
        }
        world.ledger.outstanding(&self.lock().heard)
    }

    /// What it shows to go on: empty if it has heard nothing yet.
    pub fn cursor(&self) -> String {
        let state = self.lock();
        if state.epoch.is_empty() { String::new() } else { format!("{}.{}", state.epoch, state.seq) }
    }

    pub fn hello(&self) -> String {
        let cursor = Some(self.cursor()).filter(|cursor| !cursor.is_empty());
        json!({ "type": "hello", "session": self.session, "nick": self.nick, "cursor": cursor }).to_string()
    }

    /// The same as a query.
    pub fn query(&self) -> String {
        format!("session={}&nick={}&cursor={}", self.session, self.nick, self.cursor())
    }

    /// The connection is over; whether there was one that was welcomed.
    pub fn lost(&self) -> bool {
        if let Some(speaker) = &self.speaker {
            speaker.lock().is_said = false;
        }
        self.lock().open.take().is_some()
    }

    /// The server said something.
    ///
    /// # Errors
    /// It said that this is the end, or what nobody understands.
    pub fn hear(&self, world: &World, text: &str) -> Result<(), Ended> {
        let told: Told<'_> = serde_json::from_str(text)?;
        match told.kind {
            "welcome" => self.welcomed(world, &told),
            "message" | "join" | "leave" | "rename" => self.event(world, &told),
            "ack" => self.confirmed(world, &told),
            "error" => self.refused(world, &told)?,
            "bye" => return Err(format!("bye: {}", told.text.unwrap_or_default()).into()),
            _ => {}
        }
        Ok(())
    }

    fn welcomed(&self, world: &World, told: &Told<'_>) {
        let now = Instant::now();
        let mut state = self.lock();
        state.open = Some(now);
        state.heard.came_in(now);
        let epoch = told.epoch.unwrap_or_default();
        if state.epoch != epoch {
            epoch.clone_into(&mut state.epoch);
            state.seq = 0;
        }
        state.joining = None;
        world.welcomed(std::mem::replace(&mut state.was_welcomed, true), told.resumed);
        drop(state);
        if let Some(speaker) = &self.speaker {
            // It may have been lost on the way, on a transport that reconnects by itself.
            speaker.lock().is_said = false;
            speaker.news.notify_one();
        }
    }

    fn event(&self, world: &World, told: &Told<'_>) {
        let now = Instant::now();
        let mut state = self.lock();
        let (Some(seq), Some(open)) = (told.seq, state.open) else { return };
        if seq <= state.seq {
            // As a page does it: what came again is known by its number.
            world.seen_again();
            return;
        }
        state.seq = seq;
        let Some(number) = told.text.as_deref().and_then(|text| world.ledger.number(text)) else { return };
        world.ledger.hear(&mut state.heard, number, self.transport, open, now);
        drop(state);
        self.confirmed(world, told);
    }

    /// One of the messages that somebody said is in the room.
    fn confirmed(&self, world: &World, told: &Told<'_>) {
        let Some(speaker) = &self.speaker else { return };
        let Some(number) = told.id.and_then(|id| world.ledger.number_of_id(id)) else { return };
        let mut saying = speaker.lock();
        if saying.queue.front() == Some(&number) {
            saying.queue.pop_front();
            saying.is_said = false;
            world.ledger.confirm(number, Instant::now());
            speaker.news.notify_one();
        }
    }

    fn refused(&self, world: &World, told: &Told<'_>) -> Result<(), Ended> {
        let Some(Code::Name(code)) = told.code else { return Err("an error without a code".into()) };
        let error = format!("error: {code}");
        let Some(speaker) = self.speaker.as_ref().filter(|_| told.id.is_some()) else {
            return Err(error.into());
        };
        if code != "rate" {
            world.note(&*Ended::from(error), true);
        }
        let wait = Duration::from_millis(told.retry_ms.unwrap_or(500));
        let mut saying = speaker.lock();
        saying.not_before = Some(Instant::now() + wait);
        saying.is_said = false;
        speaker.news.notify_one();
        Ok(())
    }

    /// A message of this speaker is due.
    pub fn say(&self, number: u32) {
        if let Some(speaker) = &self.speaker {
            speaker.lock().queue.push_back(number);
            speaker.news.notify_one();
        }
    }

    /// Waits until there is something to be said on this connection: one at a time, so that their order survives cuts.
    pub async fn next_say(&self, world: &World) -> String {
        let Some(speaker) = &self.speaker else { return std::future::pending().await };
        loop {
            let wait = {
                let mut saying = speaker.lock();
                let wait = saying.not_before.filter(|at| *at > Instant::now());
                if let (None, Some(number), false) = (wait, saying.queue.front().copied(), saying.is_said)
                    && let Some(open) = self.lock().open
                {
                    saying.is_said = true;
                    world.ledger.said(number, open);
                    let (id, text) = (world.ledger.id(number), world.ledger.text(number));
                    return json!({ "type": "say", "id": id, "text": text }).to_string();
                }
                wait
            };
            tokio::select! {
                () = speaker.news.notified() => {}
                () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => {}
            }
        }
    }

    /// What was to be said may not have arrived: it is said again.
    pub fn say_again(&self) {
        if let Some(speaker) = &self.speaker {
            let mut saying = speaker.lock();
            saying.is_said = false;
            saying.not_before = Some(Instant::now() + FIRST_WAIT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaker {
    fn lock(&self) -> MutexGuard<'_, Saying> {
        self.saying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
