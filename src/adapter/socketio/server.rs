//! Socket.IO on the sessions: which namespaces there are, who joins them, what comes from whom.

use super::cluster::Hub;
use super::cluster::options::{ClusterError, ClusterLog, ClusterOptions, ClusterStatus};
use super::engine::{Engine, Layer, Link, Setup};
use super::identity::Identity;
use super::members::{Cluster, Shared};
use super::namespace::{Handlers, Namespace};
use super::options::{SlowClient, SocketIoOptions};
use super::socket::{AckError, SocketEvent, SocketRef};
use super::{SocketIoBody, connect};
use crate::json;
use crate::socketio::engine::{Data, EngineCloseReason, EngineMessage, EngineSession, SendError};
use crate::socketio::{Encoded, Incoming, Payload, RecoveryOptions, ServerConnection, SocketIoLimits};
use core::fmt;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::String;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::vec::Vec;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A Socket.IO server for hyper, axum and whatever else has their requests. A clone is the same server.
///
/// ```
/// use pushline::adapter::socketio::{SocketIoOptions, SocketIo};
///
/// let io = SocketIo::new(SocketIoOptions::new());
/// io.of("/chat")
///     .on_connect(|socket, _auth| async move {
///         socket.join("lobby");
///     })
///     .on("message", |socket, event| async move {
///         let _ = socket.to("lobby").emit("message", &event.payload);
///     });
/// // In a hyper service: io.handle(request).await; in axum: Router::new().route_service("/socket.io/", io)
/// ```
#[derive(Clone)]
pub struct SocketIo {
    engine: Arc<Engine<Server>>,
}

/// Which namespaces a pattern takes, and their handlers.
type Dynamic = (Box<dyn Fn(&str) -> bool + Send + Sync>, Arc<Handlers>);

pub(super) struct Server {
    config: Arc<SocketIoLimits>,
    pub(super) slow: SlowClient,
    recovery: Option<RecoveryOptions>,
    namespaces: RwLock<HashMap<Arc<str>, Arc<Shared>>>,
    dynamic: RwLock<Vec<Dynamic>>,
    cluster: Cluster,
}

/// Who waits for an answer.
type Waiting = oneshot::Sender<Result<Payload, AckError>>;

pub(super) struct State {
    pub(super) connection: ServerConnection<Instant>,
    pub(super) sockets: Vec<SocketRef>,
    pub(super) acks: HashMap<(Arc<str>, u64), Waiting>,
    /// Whose `on_connect` is still to begin, perhaps on another thread, and what has happened to them since.
    pub(super) early: Vec<(SocketRef, Vec<Job>)>,
}

/// The most events that wait for `on_connect` to begin.
const MOST_EARLY: usize = 256;

pub(super) enum Job {
    Connect(Arc<str>, Option<String>),
    Event(SocketRef, SocketEvent),
    Left(SocketRef, &'static str),
}

impl SocketIo {
    /// A server without namespaces.
    #[must_use]
    pub fn new(options: SocketIoOptions) -> Self {
        let server = Server {
            config: options.config.into(),
            slow: options.slow,
            recovery: options.recovery,
            namespaces: RwLock::default(),
            dynamic: RwLock::default(),
            cluster: Cluster::default(),
        };
        Self { engine: Engine::new(server, Setup::from(&options)) }
    }

    /// The namespace of this name, which is there from now on: `/`, `/chat`. If [`of_each`](Self::of_each) takes the name,
    /// it has those handlers.
    pub fn of(&self, name: &str) -> Namespace {
        let server = &self.engine.layer;
        let stays = |shared: &Arc<Shared>| {
            shared.dynamic.store(false, Ordering::Relaxed);
            Namespace::new(Arc::clone(shared))
        };
        if let Some(namespace) = write(&server.namespaces).get(name).map(stays) {
            return namespace;
        }
        // The application's patterns are asked while no lock is held that they may want.
        let (handlers, cluster) = (server.dynamic(name).unwrap_or_default(), Arc::clone(&server.cluster));
        let shared = Arc::new(Shared::new(name.into(), handlers, false, server.recovery, cluster));
        stays(write(&server.namespaces).entry(Arc::clone(&shared.name)).or_insert(shared))
    }

    /// Namespaces that are there as long as somebody is in them: each name that `matches` takes. The handlers are the
    /// same for all; [`SocketRef::namespace`] tells which it is. A client that was cut while nobody else was in it is
    /// somebody new when it comes back.
    pub fn of_each(&self, matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Namespace {
        let handlers: Arc<Handlers> = Arc::default();
        write(&self.engine.layer.dynamic).push((Box::new(matches), Arc::clone(&handlers)));
        Namespace::new(Arc::new(Shared::new("".into(), handlers, false, None, Cluster::default())))
    }

    /// Answers a request of any of the transports. Call it within a tokio runtime.
    pub async fn handle<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<SocketIoBody> {
        self.engine.handle(request).await
    }

    /// Makes this server a node of a cluster, for as long as it is there: events for rooms, `join`, `leave`, `disconnect`
    /// and [`fetch_sockets`](super::BroadcastOperator::fetch_sockets) are for the clients of all nodes,
    /// [`server_side_emit`](Namespace::server_side_emit) for the nodes themselves, and with
    /// [`SocketIoOptions::recovery`] a client that was cut comes back to any. Call it within a tokio runtime, once the namespaces
    /// are there; all nodes want the same ones, and the same options.
    ///
    /// Without recovery this node's clients get an event at once, the others' a moment later. With recovery all get it when
    /// it comes out of the log, in the log's order; in which rooms they are is looked at then. While the log is away, this
    /// node's clients get events as volatile ones, and the others get them once it is back, as far as
    /// [`ClusterOptions::queued`] goes: [`cluster_status`](Self::cluster_status) tells. A client of a namespace of
    /// [`of_each`](Self::of_each) comes back to a node only if somebody was in it there.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] if it is in one already, or there is no randomness.
    pub fn cluster(&self, log: impl ClusterLog, config: ClusterOptions) -> Result<(), ClusterError> {
        let server = &self.engine.layer;
        let hub = Arc::new(Hub::new(log, config, server.recovery)?);
        if server.cluster.set(Arc::clone(&hub)).is_err() {
            return Err(ClusterError::new("the server is in a cluster already"));
        }
        hub.start(&self.engine);
        Ok(())
    }

    /// How the cluster stands; `None` if the server is in none.
    #[must_use]
    pub fn cluster_status(&self) -> Option<ClusterStatus> {
        self.engine.layer.cluster.get().map(|hub| hub.status())
    }

    /// How many clients there are.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.engine.links().len()
    }

    /// Closes all connections. Clients come back by themselves, to the next server.
    pub fn close(&self) {
        let links: Vec<_> = self.engine.links().values().cloned().collect();
        for link in links {
            link.act(|inner, now, _| inner.session.close(now));
        }
    }
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIo").field("engine", &self.engine).finish()
    }
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// The namespace that a client asks for. It is there until the client has its answer, and as long as it is in it.
    pub(super) fn find(&self, link: &Arc<Link<Self>>, name: &Arc<str>) -> Option<Asking> {
        let namespaces = self.namespaces.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = namespaces.get(name) {
            return Some(Asking::new(link, shared));
        }
        drop(namespaces);
        let (handlers, cluster) = (self.dynamic(name)?, Arc::clone(&self.cluster));
        let shared = Arc::new(Shared::new(Arc::clone(name), handlers, true, self.recovery, cluster));
        Some(Asking::new(link, write(&self.namespaces).entry(Arc::clone(name)).or_insert(shared)))
    }

    /// The handlers of the first pattern that takes this name.
    fn dynamic(&self, name: &str) -> Option<Arc<Handlers>> {
        let dynamic = self.dynamic.read().unwrap_or_else(PoisonError::into_inner);
        dynamic.iter().find(|(matches, _)| matches(name)).map(|(_, handlers)| Arc::clone(handlers))
    }

    /// The namespace of this name, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Shared>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// What is left of a namespace that came by itself and is empty.
    fn tidy(&self, shared: &Arc<Shared>) {
        if shared.dynamic.load(Ordering::Relaxed) && shared.is_empty() {
            let mut namespaces = write(&self.namespaces);
            // Whoever asks meanwhile, or names it, holds the lock.
            if shared.dynamic.load(Ordering::Relaxed) && shared.is_empty() {
                namespaces.remove(&shared.name);
            }
        }
    }
}

/// A client that asks for a namespace, for as long as it has no answer.
pub(super) struct Asking {
    link: Arc<Link<Server>>,
    pub(super) shared: Arc<Shared>,
}

impl Asking {
    /// The caller holds the lock of the namespaces.
    fn new(link: &Arc<Link<Server>>, shared: &Arc<Shared>) -> Self {
        shared.ask();
        Self { link: Arc::clone(link), shared: Arc::clone(shared) }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.shared.answered();
        self.link.engine.layer.tidy(&self.shared);
    }
}

impl Layer for Server {
    type State = State;
    type Job = Job;

    fn open(&self, _: Option<&Identity>, now: Instant) -> State {
        State {
            connection: ServerConnection::new(Arc::clone(&self.config), now),
            sockets: Vec::new(),
            acks: HashMap::new(),
            early: Vec::new(),
        }
    }

    fn receive(
        &self,
        state: &mut State,
        session: &mut EngineSession<Instant>,
        data: Data<'_>,
    ) -> Option<Job> {
        let incoming = match data {
            Data::Text(text) => state.connection.receive_text(text),
            Data::Binary(bytes) => state.connection.receive_binary(bytes),
        };
        let Ok(incoming) = incoming else {
            session.fail();
            return None;
        };
        match incoming? {
            Incoming::Connect { namespace, auth } => Some(Job::Connect(namespace, auth)),
            Incoming::Disconnect { namespace } => state.remove(&namespace, CLIENT_LEFT),
            Incoming::Ack { namespace, id, payload } => {
                let _ = state.acks.remove(&(namespace, id))?.send(Ok(payload));
                None
            }
            Incoming::Event { namespace, id, payload } => {
                let socket = state.sockets.iter().find(|socket| socket.namespace() == &*namespace)?;
                let job = Job::Event(socket.clone(), SocketEvent::new(socket, id, payload));
                if state.early.iter().any(|(_, jobs)| jobs.len() >= MOST_EARLY) {
                    session.fail();
                    return None;
                }
                state.after_connect(job)
            }
        }
    }

    fn tick(&self, state: &mut State, session: &mut EngineSession<Instant>, now: Instant) {
        while let Some(key) = state.connection.next_expired(now) {
            if let Some(waiting) = state.acks.remove(&key) {
                let _ = waiting.send(Err(AckError::TimedOut));
            }
        }
        state.connection.tick(now);
        if state.connection.is_expired(now) {
            session.close(now);
        }
    }

    fn next_deadline(&self, state: &State) -> Option<Instant> {
        state.connection.next_deadline()
    }

    fn closed(&self, state: &mut State, reason: EngineCloseReason, jobs: &mut Vec<Job>) {
        state.acks.clear();
        for socket in core::mem::take(&mut state.sockets) {
            jobs.extend(state.after_connect(Job::Left(socket, reason.as_str())));
        }
    }

    fn run(&self, link: &Arc<Link<Self>>, job: Job) {
        match job {
            Job::Connect(name, auth) => connect::connect(self, link, name, auth),
            Job::Event(socket, event) => {
                let name = event.payload.name().map(|name| name.to_cow());
                let handler = socket.shared().handlers.event(name.as_deref());
                drop(name);
                if let Some(handler) = handler {
                    handler(socket, event);
                }
            }
            Job::Left(socket, reason) => {
                socket.shared().leave(&socket, reason == SERVER_LEFT || reason == CLIENT_LEFT);
                if let Some(left) = socket.shared().handlers.disconnected() {
                    left(socket.clone(), reason);
                }
                self.tidy(socket.shared());
            }
        }
    }
}

impl State {
    fn remove(&mut self, namespace: &str, reason: &'static str) -> Option<Job> {
        self.acks.retain(|(name, _), _| &**name != namespace);
        let at = self.sockets.iter().position(|socket| socket.namespace() == namespace)?;
        let left = Job::Left(self.sockets.swap_remove(at), reason);
        self.after_connect(left)
    }

    /// What is to be done now; what has to wait until `on_connect` has begun is kept.
    fn after_connect(&mut self, job: Job) -> Option<Job> {
        let (Job::Event(socket, _) | Job::Left(socket, _)) = &job else { return Some(job) };
        match self.early.iter_mut().find(|(early, _)| early.is(socket)) {
            Some((_, jobs)) => {
                jobs.push(job);
                None
            }
            None => Some(job),
        }
    }

    /// `on_connect` has begun: what has happened meanwhile. Asked again, until that is nothing.
    pub(super) fn take_early(&mut self, socket: &SocketRef) -> Option<Vec<Job>> {
        let (_, jobs) = self.early.iter_mut().find(|(early, _)| early.is(socket))?;
        let jobs = core::mem::take(jobs);
        if jobs.is_empty() {
            self.early.retain(|(early, _)| !early.is(socket));
            return None;
        }
        Some(jobs)
    }

    /// Whether an event may be sent to a client that is in this namespace.
    pub(super) fn is_in(&self, socket: &SocketRef) -> bool {
        self.sockets.iter().any(|other| other.is(socket))
    }
}

/// Who says so does not come back as the same one.
const CLIENT_LEFT: &str = "client namespace disconnect";
const SERVER_LEFT: &str = "server namespace disconnect";

/// JSON, or what stands for it if it is none.
pub(super) fn checked(text: &str) -> json::Value<'_> {
    json::check(text).unwrap_or(json::Value::checked("{}"))
}

/// Says who is in a namespace and who is not: a client that cannot be told goes, however slow it may be.
pub(super) fn say(session: &mut EngineSession<Instant>, messages: impl IntoIterator<Item = EngineMessage>) {
    if session.send_all(messages) == Err(SendError::Full) {
        session.fail();
    }
}

/// Puts a socket out of its namespace. One that has left may have a successor there, who stays.
pub(super) fn disconnect(socket: &SocketRef) {
    socket.link().act(|inner, now, jobs| {
        if !inner.state.is_in(socket) {
            return;
        }
        let farewell: Option<Encoded> = inner.state.connection.leave(socket.namespace());
        if let Some(farewell) = farewell {
            say(&mut inner.session, farewell.into_messages());
        }
        jobs.extend(inner.state.remove(socket.namespace(), SERVER_LEFT));
        inner.state.connection.tick(now);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    async fn ask(io: &SocketIo, sid: &str, post: Option<String>) -> String {
        let request = ::http::Request::builder()
            .method(if post.is_some() { "POST" } else { "GET" })
            .uri(format!("/socket.io/?EIO=4&transport=polling{sid}"));
        let request = request.body(SocketIoBody::from(post.unwrap_or_default())).expect("a request");
        let mut body = core::pin::pin!(io.handle(request).await.into_body());
        let frame = core::future::poll_fn(|cx| http_body::Body::poll_frame(body.as_mut(), cx)).await;
        let bytes = frame.and_then(Result::ok).and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        String::from_utf8(bytes.to_vec()).expect("a text")
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_left_of_namespaces_without_anybody() {
        let io = SocketIo::new(SocketIoOptions::new());
        io.of_each(|name| name.starts_with("/room-")).authorize(|auth| async move {
            tokio::task::yield_now().await;
            let [no, panic] =
                ["no", "panic"].map(|name| auth.json().object().is_some_and(|auth| auth.get(name).is_some()));
            assert!(!panic, "an application's fault");
            if no { Err(String::from("no")) } else { Ok(()) }
        });
        let text = ask(&io, "", None).await;
        let sid = text.split('"').nth(3).map(|sid| format!("&sid={sid}")).expect("a session");
        let count = || io.engine.layer.all().len();
        for n in 0..40 {
            ask(&io, &sid, Some(format!("40/room-{n},{{\"no\":1}}"))).await;
            assert!(ask(&io, &sid, None).await.starts_with("44/room-"));
            assert_eq!(count(), 0, "who is refused leaves nothing behind");
        }
        ask(&io, &sid, Some(String::from("40/room-a,"))).await;
        assert!(ask(&io, &sid, None).await.starts_with("40/room-a,"));
        ask(&io, &sid, Some(String::from("40/room-b,{\"panic\":1}"))).await;
        tokio::task::yield_now().await;
        assert_eq!(count(), 1, "nor does a handler that fails");
        ask(&io, &sid, Some(String::from("41/room-a,"))).await;
        assert_eq!(count(), 0);
    }
}
