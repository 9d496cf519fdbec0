//! A namespace: its handlers, who is in it, its rooms.

use super::server::checked;
use super::socket::{Event, Socket};
use super::spawn::start;
use crate::json;
use crate::socketio::engine::Message;
use crate::socketio::{Arguments, Encoded};
use core::fmt;
use std::boxed::Box;
use std::collections::{HashMap, HashSet};
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::vec::Vec;

/// What a client sent along when it asked to be let into a namespace: a JSON object.
///
/// ```
/// use pushline::adapter::socketio::Auth;
///
/// fn token(auth: &Auth) -> Option<String> {
///     Some(auth.json().object()?.get("token")?.string()?.to_cow().into_owned())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Auth {
    text: String,
}

impl Auth {
    /// The object; `{}` if none was sent.
    #[must_use]
    pub fn json(&self) -> json::Value<'_> {
        checked(&self.text)
    }
}

type Future<T> = core::pin::Pin<Box<dyn core::future::Future<Output = T> + Send>>;
type OnAuthorize = Arc<dyn Fn(String) -> Future<Result<(), String>> + Send + Sync>;
type OnConnect = Arc<dyn Fn(Socket, String) + Send + Sync>;
type OnDisconnect = Arc<dyn Fn(Socket, &'static str) + Send + Sync>;
type OnEvent = Arc<dyn Fn(Socket, Event) + Send + Sync>;

#[derive(Default)]
pub(super) struct Handlers(RwLock<Table>);

#[derive(Default)]
struct Table {
    authorize: Option<OnAuthorize>,
    connected: Option<OnConnect>,
    disconnected: Option<OnDisconnect>,
    events: HashMap<String, OnEvent>,
    any: Option<OnEvent>,
}

impl Handlers {
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn authorize(&self) -> Option<OnAuthorize> {
        self.table().authorize.clone()
    }

    pub(super) fn connected(&self) -> Option<OnConnect> {
        self.table().connected.clone()
    }

    pub(super) fn disconnected(&self) -> Option<OnDisconnect> {
        self.table().disconnected.clone()
    }

    pub(super) fn event(&self, name: Option<&str>) -> Option<OnEvent> {
        let table = self.table();
        name.and_then(|name| table.events.get(name)).or(table.any.as_ref()).cloned()
    }
}

/// Who is in a namespace, by their names there, and in which rooms.
#[derive(Default)]
struct Members {
    sockets: HashMap<Arc<str>, Socket>,
    rooms: HashMap<Box<str>, HashSet<Arc<str>>>,
    joined: HashMap<Arc<str>, Vec<Box<str>>>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) dynamic: bool,
    members: Mutex<Members>,
}

impl Shared {
    pub(super) fn new(name: Arc<str>, handlers: Arc<Handlers>) -> Self {
        Self { name, handlers, dynamic: false, members: Mutex::default() }
    }

    pub(super) fn dynamic(name: Arc<str>, handlers: Arc<Handlers>) -> Self {
        Self { dynamic: true, ..Self::new(name, handlers) }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members().sockets.is_empty()
    }

    pub(super) fn enter(&self, socket: Socket) {
        self.members().sockets.insert(Arc::clone(socket.sid()), socket);
    }

    pub(super) fn leave(&self, socket: &Socket) {
        let mut members = self.members();
        members.sockets.remove(socket.sid());
        for room in members.joined.remove(socket.sid()).unwrap_or_default() {
            members.leave(&room, socket.sid());
        }
    }

    pub(super) fn join_room(&self, socket: &Socket, room: &str) {
        let mut members = self.members();
        if !members.sockets.contains_key(socket.sid()) {
            return; // it has left meanwhile
        }
        if members.rooms.entry(room.into()).or_default().insert(Arc::clone(socket.sid())) {
            members.joined.entry(Arc::clone(socket.sid())).or_default().push(room.into());
        }
    }

    pub(super) fn leave_room(&self, socket: &Socket, room: &str) {
        let mut members = self.members();
        members.leave(room, socket.sid());
        if let Some(rooms) = members.joined.get_mut(socket.sid()) {
            rooms.retain(|joined| &**joined != room);
        }
    }

    pub(super) fn rooms_of(&self, socket: &Socket) -> Vec<String> {
        let members = self.members();
        members.joined.get(socket.sid()).into_iter().flatten().map(ToString::to_string).collect()
    }

    fn targets(&self, to: &[String], except: &[String], but: Option<&Arc<str>>) -> Vec<Socket> {
        let members = self.members();
        let is_in = |sid: &Arc<str>, room: &String| {
            **sid == **room || members.rooms.get(room.as_str()).is_some_and(|room| room.contains(sid))
        };
        let left_out = |sid: &Arc<str>| Some(sid) == but || except.iter().any(|room| is_in(sid, room));
        let mut sids: HashSet<&Arc<str>> = HashSet::new();
        if to.is_empty() {
            sids.extend(members.sockets.keys());
        }
        for room in to {
            sids.extend(members.rooms.get(room.as_str()).into_iter().flatten());
            // Each socket is in a room of its own.
            sids.extend(members.sockets.get_key_value(room.as_str()).map(|(sid, _)| sid));
        }
        let found = sids.into_iter().filter(|sid| !left_out(sid));
        found.filter_map(|sid| members.sockets.get(sid)).cloned().collect()
    }
}

impl Members {
    fn leave(&mut self, room: &str, sid: &Arc<str>) {
        if let Some(sids) = self.rooms.get_mut(room) {
            sids.remove(sid);
            if sids.is_empty() {
                self.rooms.remove(room);
            }
        }
    }
}

/// A namespace of a server, where handlers are set: [`SocketIo::of`](super::SocketIo::of).
///
/// Handlers are called in the order of what they handle; the part of them up to their first wait is over before the
/// next one begins.
///
/// ```
/// use pushline::adapter::socketio::{Options, SocketIo};
///
/// SocketIo::new(Options::new())
///     .of("/")
///     .authorize(|auth| async move {
///         let token = auth.json().object().and_then(|auth| auth.get("token")?.string());
///         if token.is_some_and(|token| token.is("secret")) { Ok(()) } else { Err("not authorized".into()) }
///     })
///     .on_connect(|socket, _auth| async move { println!("{} is here", socket.sid()) })
///     .on("add", |_socket, event| async move {
///         let sum: u64 = event.payload.arguments().filter_map(|number| number.as_u64()).sum();
///         let _ = event.ack(&sum);
///     })
///     .on_disconnect(|socket, reason| async move { println!("{} left: {reason}", socket.sid()) });
/// ```
#[derive(Clone)]
pub struct Namespace {
    shared: Arc<Shared>,
}

impl Namespace {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    fn set(&self, set: impl FnOnce(&mut Table)) -> &Self {
        set(&mut self.shared.handlers.0.write().unwrap_or_else(PoisonError::into_inner));
        self
    }

    /// Decides who is let in; whoever is not gets the message as its `connect_error`.
    pub fn authorize<F, T>(&self, authorize: F) -> &Self
    where
        F: Fn(Auth) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = Result<(), String>> + Send + 'static,
    {
        self.set(|table| table.authorize = Some(Arc::new(move |text| Box::pin(authorize(Auth { text })))))
    }

    /// A client was let in.
    pub fn on_connect<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(Socket, Auth) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table.connected = Some(Arc::new(move |socket, text| start(handler(socket, Auth { text }))));
        })
    }

    /// A client has left, for a reason as the reference server words it: `transport close`, `ping timeout`.
    pub fn on_disconnect<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(Socket, &'static str) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table.disconnected = Some(Arc::new(move |socket, reason| start(handler(socket, reason))));
        })
    }

    /// An event of this name came.
    pub fn on<F, T>(&self, event: &str, handler: F) -> &Self
    where
        F: Fn(Socket, Event) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table.events.insert(event.into(), Arc::new(move |socket, event| start(handler(socket, event))));
        })
    }

    /// An event came for which there is no other handler.
    pub fn on_any<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(Socket, Event) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| table.any = Some(Arc::new(move |socket, event| start(handler(socket, event)))))
    }

    /// Everybody in a room.
    pub fn to(&self, room: &str) -> Broadcast {
        self.all().to(room)
    }

    /// Everybody but those in a room.
    pub fn except(&self, room: &str) -> Broadcast {
        self.all().except(room)
    }

    /// Sends an event to everybody. How many there were.
    pub fn emit(&self, event: &str, arguments: &(impl Arguments + ?Sized)) -> usize {
        self.all().emit(event, arguments)
    }

    /// Everybody who is there.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.all().sockets()
    }

    fn all(&self) -> Broadcast {
        Broadcast::new(Arc::clone(&self.shared), None)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// Whom an event is for: rooms, without others. It is encoded once for all of them.
///
/// ```
/// use pushline::adapter::socketio::{Options, SocketIo};
///
/// let io = SocketIo::new(Options::new());
/// let reached = io.of("/").to("news").to("sports").except("muted").emit("headline", "It rains");
/// assert_eq!(reached, 0); // nobody is there yet
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before emit"]
pub struct Broadcast {
    shared: Arc<Shared>,
    but: Option<Arc<str>>,
    to: Vec<String>,
    except: Vec<String>,
    volatile: bool,
}

impl Broadcast {
    pub(super) const fn new(shared: Arc<Shared>, but: Option<Arc<str>>) -> Self {
        Self { shared, but, to: Vec::new(), except: Vec::new(), volatile: false }
    }

    /// And those in this room; a socket's `sid` is a room, too.
    pub fn to(mut self, room: &str) -> Self {
        self.to.push(room.into());
        self
    }

    /// But not those in this room.
    pub fn except(mut self, room: &str) -> Self {
        self.except.push(room.into());
        self
    }

    /// Only those whose earlier events have left already.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends an event. How many it was queued for.
    pub fn emit(self, event: &str, arguments: &(impl Arguments + ?Sized)) -> usize {
        let messages: Vec<Message> = Encoded::event(&self.shared.name, event, arguments, None).into_shared();
        let sockets = self.sockets();
        sockets.iter().filter(|socket| socket.send(messages.iter().cloned(), self.volatile).is_ok()).count()
    }

    /// Who that is.
    #[must_use]
    pub fn sockets(&self) -> Vec<Socket> {
        self.shared.targets(&self.to, &self.except, self.but.as_ref())
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Broadcast");
        debug.field("to", &self.to).field("except", &self.except).finish_non_exhaustive()
    }
}
