//! Several servers as one: what one says, the clients of all get. A [`Node`] knows what is to be said and what was read;
//! here is what follows for the namespaces, and in `tasks` who writes and reads the log.

pub(crate) mod node;
pub(super) mod options;
pub(crate) mod record;
#[cfg(feature = "redis")]
pub(super) mod redis;
pub(super) mod server_side;
mod tasks;

use self::node::{Node, Read};
use self::options::{ClusterError, ClusterLog, ClusterOptions, ClusterStatus, FetchError, FoundSocket};
use self::record::{Action, Record, Visitor};
use super::engine::Engine;
use super::members::{Later, Number, Shared};
use super::server::Server;
use crate::socketio::engine::SendError;
use crate::socketio::{Audience, Encoded, Payload, RecoveryOptions};
use bytes::Bytes;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::boxed::Box;
use std::collections::{HashMap, HashSet};
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout};

const WRITES_WITHIN: Duration = Duration::from_secs(2);
/// How long a client that comes from another node waits for what that one has said.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(2);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Clients named in one record, and in all answers.
const SOCKETS: usize = 500;
const MAX_FOUND: usize = 1_000_000;
/// Clients whose keeping waits for the log: what is over cannot go to another node.
const MAX_KEPT: usize = 100_000;
/// A client's secret is its key; ours are shorter.
const MAX_PID: usize = 64;

pub(super) struct Hub {
    log: Box<dyn ClusterLog>,
    recovery: Option<RecoveryOptions>,
    /// Locked before a namespace's recovery. With recovery, while an event is delivered, too: so all get it in order.
    node: Mutex<Node<Instant>>,
    /// There is something to be written.
    spoke: Notify,
    /// Up to where what was read is delivered; nowhere before it is known where the log is.
    at: watch::Sender<Option<u128>>,
    /// How often something was asked: numbers for the answers, which name the node as well.
    asked: AtomicU64,
    asks: Mutex<HashMap<u64, (Answers, oneshot::Sender<Answers>)>>,
    /// Clients that are to be kept, or forgotten, by their secrets.
    kept: Mutex<HashMap<String, Option<Kept>>>,
}

/// A client that may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    visitor: Bytes,
    /// When it was cut, if it was: from then on it is away.
    cut: Option<Instant>,
}

/// What the other nodes have said to a question.
#[derive(Default)]
struct Answers {
    /// Who has not answered yet.
    waits: HashSet<u64>,
    found: Vec<FoundSocket>,
    said: Vec<Payload>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(super) fn new(
        log: impl ClusterLog,
        config: ClusterOptions,
        recovery: Option<RecoveryOptions>,
    ) -> Result<Self, ClusterError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id)
            .map_err(|error| ClusterError::new(std::string::ToString::to_string(&error)))?;
        Ok(Self {
            log: Box::new(log),
            recovery,
            node: Mutex::new(Node::new(u64::from_be_bytes(id), config, Instant::now())),
            spoke: Notify::new(),
            at: watch::Sender::new(None),
            asked: AtomicU64::new(0),
            asks: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    pub(super) fn start(self: &Arc<Self>, engine: &Arc<Engine<Server>>) {
        tokio::spawn(tasks::read(Arc::downgrade(engine), Arc::clone(self)));
        tokio::spawn(tasks::write(Arc::downgrade(engine), Arc::clone(self)));
        tokio::spawn(tasks::tick(Arc::downgrade(engine), Arc::clone(self)));
    }

    pub(super) fn status(&self) -> ClusterStatus {
        let node = lock(&self.node);
        ClusterStatus {
            others: node.others(Instant::now()).count(),
            is_away: node.is_away() || !node.is_live(),
            queued: node.queued(),
            dropped: node.dropped(),
        }
    }

    /// Up to where the log's events are delivered.
    pub(super) fn at(&self) -> u128 {
        self.at.borrow().unwrap_or(0)
    }

    /// An event for all nodes, and ours, now or when it comes out of the log with its number.
    pub(super) fn emit(
        &self,
        shared: &Shared,
        audience: Audience,
        event: Encoded,
        volatile: bool,
        later: &mut Vec<Later>,
    ) -> Vec<Result<(), SendError>> {
        let action = Action::Emit {
            namespace: shared.name.to_string(),
            audience: audience.clone(),
            text: String::from(event.text()),
            attachments: event.attachments().to_vec(),
            volatile,
        };
        let mut node = lock(&self.node);
        if volatile && node.is_away() {
            drop(node);
            return shared.deliver(audience, event, Number::None, volatile, later);
        }
        let waits = node.say(&action, self.recovery.is_some() && !volatile, Instant::now());
        self.spoke.notify_one();
        if waits {
            return shared.targets(&audience).iter().map(|_| Ok(())).collect();
        }
        // In order, where there is one.
        let node = self.recovery.is_some().then_some(node);
        let sent = shared.deliver(audience, event, Number::None, volatile, later);
        drop(node);
        sent
    }

    /// Something that is done here already.
    pub(super) fn say(&self, action: &Action) {
        lock(&self.node).say(action, false, Instant::now());
        self.spoke.notify_one();
    }

    /// A client that is here, or was cut at this time, and may come back to any node.
    pub(super) fn keep(&self, pid: &str, visitor: &Visitor, cut: Option<Instant>) {
        self.keep_or_forget(pid, Some(Kept { visitor: visitor.encode(), cut }));
    }

    /// A client that does not come back.
    pub(super) fn forget(&self, pid: &str) {
        self.keep_or_forget(pid, None);
    }

    fn keep_or_forget(&self, pid: &str, value: Option<Kept>) {
        let mut kept = lock(&self.kept);
        if kept.len() < MAX_KEPT || kept.contains_key(pid) {
            kept.insert(pid.into(), value);
        }
    }

    /// What the log did not take; what was said meanwhile is newer.
    fn keep_later(&self, values: Vec<(String, Option<Kept>)>) {
        let mut kept = lock(&self.kept);
        for (pid, value) in values {
            if kept.len() < MAX_KEPT {
                kept.entry(pid).or_insert(value);
            }
        }
    }

    /// Who is on the other nodes.
    pub(super) async fn fetch(
        &self,
        shared: &Shared,
        audience: Audience,
    ) -> Result<Vec<FoundSocket>, FetchError> {
        let mut found = shared.found(&audience);
        let request = self.number();
        let question = Action::Ask { namespace: shared.name.to_string(), audience, request };
        let answers = self.ask(request, &question, ANSWERS_WITHIN).await;
        found.extend(answers.found);
        match answers.waits.is_empty() {
            _ if found.len() > MAX_FOUND => Err(FetchError::TooMany),
            true => Ok(found),
            false => Err(FetchError::TimedOut),
        }
    }

    /// For a question.
    fn number(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks all other nodes, and waits until each has answered, or died, but no longer than this.
    async fn ask(&self, request: u64, question: &Action, within: Duration) -> Answers {
        let (done, mut answers) = oneshot::channel();
        {
            let mut node = lock(&self.node);
            let waits: HashSet<u64> = node.others(Instant::now()).collect();
            if waits.is_empty() {
                return Answers::default();
            }
            lock(&self.asks).insert(request, (Answers { waits, ..Answers::default() }, done));
            node.say(question, false, Instant::now());
        }
        self.spoke.notify_one();
        if let Ok(Ok(answers)) = timeout(within, &mut answers).await {
            return answers;
        }
        let some = lock(&self.asks).remove(&request).map(|(some, _)| some);
        some.or_else(|| answers.try_recv().ok()).unwrap_or_default()
    }

    /// A client says that it was on another node: it is known here then, if it was.
    pub(super) async fn adopt(&self, shared: &Shared, pid: &str, offset: Option<&str>) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if pid.is_empty() || pid.len() > MAX_PID || !pid.bytes().all(is_plain) {
            return false;
        }
        // What it has seen there must have been seen here.
        let offset = match offset.map(|offset| u128::from_str_radix(offset, 36)) {
            None => 0,
            Some(Ok(offset)) => offset,
            Some(Err(_)) => return false,
        };
        let value = timeout(WRITES_WITHIN, self.log.take(pid.into())).await;
        let Some(visitor) = value.ok().and_then(Result::ok).flatten().and_then(Visitor::decode) else {
            return false;
        };
        if visitor.namespace != *shared.name {
            return false;
        }
        self.say(&Action::Taken { namespace: visitor.namespace, pid: pid.into() });
        let mut at = self.at.subscribe();
        let caught_up = at.wait_for(|at| at.is_some_and(|at| at >= offset.max(visitor.since)));
        if !matches!(timeout(CATCHES_UP_WITHIN, caught_up).await, Ok(Ok(_))) {
            return false;
        }
        let recovery = shared.recovery();
        recovery.is_some_and(|mut recovery| {
            // There may have been no event in this namespace since.
            recovery.advance(self.at());
            recovery.adopt(pid, visitor.sid.into(), visitor.since, visitor.rooms, Instant::now())
        })
    }

    /// What follows from what was read.
    fn follow(&self, server: &Server, node: &mut Node<Instant>, read: Read, later: &mut Vec<Later>) {
        let (Record { node: from, action, .. }, number) = match read {
            Read::Gap(position) => {
                for shared in server.all() {
                    if let Some(mut recovery) = shared.recovery() {
                        recovery.restart(position.saturating_sub(1));
                    }
                }
                return;
            }
            Read::Do(record, number) => (record, number),
        };
        match action {
            Action::Beat(_) => {}
            Action::Emit { namespace, audience, text, attachments, volatile } => {
                if let Some(shared) = server.get(&namespace) {
                    let number = number.filter(|_| !volatile).map_or(Number::None, Number::At);
                    shared.deliver(audience, Encoded::from_parts(text, attachments), number, volatile, later);
                }
            }
            Action::Join { namespace, audience, room } => {
                server.get(&namespace).into_iter().for_each(|shared| shared.join_all(&audience, &room));
            }
            Action::Leave { namespace, audience, room } => {
                server.get(&namespace).into_iter().for_each(|shared| shared.leave_all(&audience, &room));
            }
            Action::Disconnect { namespace, audience } => {
                let targets = server.get(&namespace).map(|shared| shared.targets(&audience));
                later.extend(targets.into_iter().flatten().map(Later::Disconnect));
            }
            Action::Ask { namespace, audience, request } if node.is_live() => {
                let found = server.get(&namespace).map(|shared| shared.found(&audience)).unwrap_or_default();
                let sockets: Vec<_> = found.into_iter().map(|found| (found.sid, found.rooms)).collect();
                let mut parts = sockets.chunks(SOCKETS).peekable();
                loop {
                    let sockets = parts.next().unwrap_or_default().to_vec();
                    let last = parts.peek().is_none();
                    let answer = Action::Answer { to: from, request, last, sockets };
                    node.say(&answer, false, Instant::now());
                    if last {
                        break;
                    }
                }
                self.spoke.notify_one();
            }
            Action::Answer { to, request, last, sockets } if to == node.id() => {
                self.answered(request, |answers| {
                    let found = sockets.into_iter().map(|(sid, rooms)| FoundSocket { sid, rooms });
                    answers.found.extend(found);
                    if last {
                        answers.waits.remove(&from);
                    }
                });
            }
            Action::Server { text, attachments } if node.is_live() => {
                later.extend(server_side::received(server, from, &text, attachments));
            }
            Action::Reply { to, text, attachments } if to == node.id() => {
                self.replied(from, &text, attachments);
            }
            Action::Taken { namespace, pid } => {
                later.extend(server.get(&namespace).and_then(|shared| shared.taken(&pid)).map(Later::Close));
            }
            Action::Ask { .. } | Action::Answer { .. } | Action::Server { .. } | Action::Reply { .. } => {}
        }
    }

    /// One that nobody waits for any more is forgotten.
    fn answered(&self, request: u64, change: impl FnOnce(&mut Answers)) {
        let mut asks = lock(&self.asks);
        let Some((answers, done)) = asks.get_mut(&request) else { return };
        change(answers);
        let is_over = answers.waits.is_empty() || answers.found.len() > MAX_FOUND || done.is_closed();
        if let Some((answers, done)) = is_over.then(|| asks.remove(&request)).flatten() {
            let _ = done.send(answers);
        }
    }

    fn read(&self, server: &Server, position: u128, record: &Bytes) {
        let mut later = Vec::new();
        let mut node = lock(&self.node);
        for read in node.read(position, record, Instant::now()) {
            self.follow(server, &mut node, read, &mut later);
        }
        self.at.send_replace(Some(position));
        drop(node);
        later.into_iter().for_each(Later::run);
    }

    fn tick(&self, server: &Server) {
        let (now, mut later) = (Instant::now(), Vec::new());
        let mut node = lock(&self.node);
        for read in node.tick(now) {
            self.follow(server, &mut node, read, &mut later);
        }
        let others: HashSet<u64> = node.others(now).collect();
        drop(node);
        later.into_iter().for_each(Later::run);
        self.spoke.notify_one();
        // Whoever has died does not answer.
        let requests: Vec<u64> = lock(&self.asks).keys().copied().collect();
        for request in requests {
            self.answered(request, |answers| answers.waits.retain(|node| others.contains(node)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::options::ClusterFuture;
    use super::{Bytes, ClusterLog, ClusterOptions, Duration, Hub, MAX_KEPT, String, Vec, Visitor, lock};
    use std::boxed::Box;
    use std::string::ToString;

    /// It never answers.
    struct Away;

    impl ClusterLog for Away {
        fn append(&self, _: Vec<Bytes>) -> ClusterFuture<'_, ()> {
            Box::pin(core::future::pending())
        }

        fn begin(&self, _: usize) -> ClusterFuture<'_, u128> {
            Box::pin(core::future::pending())
        }

        fn read(&self, _: u128) -> ClusterFuture<'_, Vec<(u128, Bytes)>> {
            Box::pin(core::future::pending())
        }

        fn keep(&self, _: Vec<(String, Option<(Bytes, Duration)>)>) -> ClusterFuture<'_, ()> {
            Box::pin(core::future::pending())
        }

        fn take(&self, _: String) -> ClusterFuture<'_, Option<Bytes>> {
            Box::pin(core::future::pending())
        }
    }

    #[tokio::test]
    async fn clients_that_wait_to_be_kept_are_bounded() {
        let hub = Hub::new(Away, ClusterOptions::new(), None).unwrap();
        let visitor = Visitor { namespace: "/".into(), sid: "s".into(), since: 0, rooms: Vec::new() };
        for pid in 0..MAX_KEPT - 1 {
            hub.keep(&pid.to_string(), &visitor, None);
        }
        assert_eq!(lock(&hub.kept).len(), MAX_KEPT - 1);
        hub.keep("last", &visitor, None);
        assert_eq!(lock(&hub.kept).len(), MAX_KEPT);
        hub.keep("over", &visitor, None);
        assert_eq!(lock(&hub.kept).len(), MAX_KEPT);
        hub.forget("last"); // what is there can change
        assert_eq!(lock(&hub.kept).get("last"), Some(&None));
        // Those that the log did not take come back among the others.
        let again = [(String::from("again"), None), (String::from("0"), None)];
        hub.keep_later(again.to_vec());
        assert_eq!(lock(&hub.kept).len(), MAX_KEPT);
        assert_ne!(lock(&hub.kept).get("0"), Some(&None), "what is there is newer");
        lock(&hub.kept).remove("0");
        hub.keep_later(again.to_vec());
        assert_eq!(lock(&hub.kept).get("again"), Some(&None));
        assert_eq!(lock(&hub.kept).len(), MAX_KEPT);
    }
}
