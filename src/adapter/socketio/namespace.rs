//! A namespace, and its handlers.

use super::broadcast::BroadcastOperator;
use super::cluster::server_side::{ServerSideError, ServerSideEvent};
use super::engine::Link;
use super::identity::Identity;
use super::members::Shared;
use super::server::{Server, checked};
use super::socket::{SocketEvent, SocketRef};
use super::spawn::start;
use crate::json;
use crate::socketio::{Arguments, Payload};
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::string::String;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::vec::Vec;

/// The data that a client sent along when it asked to be let into a namespace: a JSON object.
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
    identity: Option<Identity>,
}

impl Auth {
    pub(super) fn new(link: &Link<Server>, text: String) -> Self {
        Self { text, identity: link.identity.clone() }
    }

    /// The object; `{}` if none was sent.
    #[must_use]
    pub fn json(&self) -> json::Value<'_> {
        checked(&self.text)
    }

    /// Who the client is by its request, as [`SocketIoOptions::identify`](super::SocketIoOptions::identify) gave it.
    #[must_use]
    pub fn identity<T: 'static>(&self) -> Option<&T> {
        self.identity.as_ref()?.get()
    }
}

type Future<T> = core::pin::Pin<Box<dyn core::future::Future<Output = T> + Send>>;
type OnAuthorize = Arc<dyn Fn(Auth) -> Future<Result<(), String>> + Send + Sync>;
type OnConnect = Arc<dyn Fn(SocketRef, Auth) + Send + Sync>;
type OnDisconnect = Arc<dyn Fn(SocketRef, &'static str) + Send + Sync>;
type OnEvent = Arc<dyn Fn(SocketRef, SocketEvent) + Send + Sync>;
pub(super) type OnServerSide = Arc<dyn Fn(ServerSideEvent) + Send + Sync>;

#[derive(Default)]
pub(super) struct Handlers(RwLock<Table>);

#[derive(Default)]
struct Table {
    authorize: Option<OnAuthorize>,
    connected: Option<OnConnect>,
    disconnected: Option<OnDisconnect>,
    events: BTreeMap<String, OnEvent>,
    any: Option<OnEvent>,
    server_side: BTreeMap<String, OnServerSide>,
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

    pub(super) fn server_side(&self, name: &str) -> Option<OnServerSide> {
        self.table().server_side.get(name).cloned()
    }
}

/// A namespace of a server, where handlers are set: [`SocketIo::of`](super::SocketIo::of).
///
/// Handlers are called in the order of what they handle; the part of them up to their first wait is over before the
/// next one begins. One that panics is over; the client, and everybody else, stays.
///
/// ```
/// use pushline::adapter::socketio::{SocketIoOptions, SocketIo};
///
/// SocketIo::new(SocketIoOptions::new())
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
        self.set(|table| table.authorize = Some(Arc::new(move |auth| Box::pin(authorize(auth)))))
    }

    /// A client was let in.
    pub fn on_connect<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(SocketRef, Auth) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table.connected = Some(Arc::new(move |socket, auth| start(|| handler(socket, auth))));
        })
    }

    /// A client has left, for a reason as the reference server words it: `transport close`, `ping timeout`.
    pub fn on_disconnect<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(SocketRef, &'static str) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table.disconnected = Some(Arc::new(move |socket, reason| start(|| handler(socket, reason))));
        })
    }

    /// An event of this name came.
    pub fn on<F, T>(&self, event: &str, handler: F) -> &Self
    where
        F: Fn(SocketRef, SocketEvent) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| {
            table
                .events
                .insert(event.into(), Arc::new(move |socket, event| start(|| handler(socket, event))));
        })
    }

    /// An event of this name came, whose arguments are such a tuple (feature `serde`). One with others is dropped: it is not
    /// answered.
    ///
    /// ```
    /// use pushline::adapter::socketio::{SocketIoOptions, SocketIo};
    /// use pushline::socketio::Json;
    ///
    /// SocketIo::new(SocketIoOptions::new()).of("/").on_args("move", |socket, (piece, steps): (String, u32), event| async move {
    ///     let _ = socket.broadcast().emit("moved", &(piece, Json([steps])));
    ///     let _ = event.ack("moved");
    /// });
    /// ```
    #[cfg(feature = "serde")]
    pub fn on_args<A, F, T>(&self, event: &str, handler: F) -> &Self
    where
        A: serde::de::DeserializeOwned,
        F: Fn(SocketRef, A, SocketEvent) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        let handler = move |socket, event: SocketEvent| {
            start(|| {
                let handled = event.payload.parse().map(|arguments| handler(socket, arguments, event));
                async {
                    if let Ok(handled) = handled {
                        handled.await;
                    }
                }
            });
        };
        self.set(|table| drop(table.events.insert(event.into(), Arc::new(handler))))
    }

    /// An event came for which there is no other handler.
    pub fn on_any<F, T>(&self, handler: F) -> &Self
    where
        F: Fn(SocketRef, SocketEvent) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        self.set(|table| table.any = Some(Arc::new(move |socket, event| start(|| handler(socket, event)))))
    }

    /// An event of this name came from another server of the cluster: [`server_side_emit`](Self::server_side_emit).
    pub fn on_server_side_event<F, T>(&self, event: &str, handler: F) -> &Self
    where
        F: Fn(ServerSideEvent) -> T + Send + Sync + 'static,
        T: core::future::Future<Output = ()> + Send + 'static,
    {
        let handler = move |event| start(|| handler(event));
        self.set(|table| drop(table.server_side.insert(event.into(), Arc::new(handler))))
    }

    /// Sends an event to all other servers of the cluster, where
    /// [`on_server_side_event`](Self::on_server_side_event) takes it. No client gets it, and neither does this server.
    /// Those get it that live, in the order in which it was sent; while the log is away, once it is back. Without a
    /// [cluster](super::SocketIo::cluster) there are no others, and nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ServerSideError::ReservedName`].
    ///
    /// ```
    /// use pushline::adapter::socketio::{SocketIo, SocketIoOptions};
    ///
    /// let io = SocketIo::new(SocketIoOptions::new());
    /// io.of("/").on_server_side_event("config", |event| async move {
    ///     println!("{:?}", event.payload.arguments().next());
    /// });
    /// io.of("/").server_side_emit("config", &("level", 7))?; // on every other server
    /// # Ok::<(), pushline::adapter::socketio::ServerSideError>(())
    /// ```
    pub fn server_side_emit(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
    ) -> Result<(), ServerSideError> {
        self.shared.server_side_emit(event, arguments)
    }

    /// The same, and waits for an answer from each. A server that dies meanwhile is not waited for. Without others there
    /// are no answers.
    ///
    /// # Errors
    ///
    /// [`ServerSideError`]; if some have not answered in time, it has the answers of the others.
    ///
    /// ```
    /// use pushline::adapter::socketio::{ServerSideError, SocketIo};
    /// use std::time::Duration;
    ///
    /// /// With `on_server_side_event("clients", ...)`, which answers with a number.
    /// async fn clients(io: &SocketIo) -> Result<u64, ServerSideError> {
    ///     let answers = io.of("/").server_side_emit_with_ack("clients", &(), Duration::from_secs(5)).await?;
    ///     let others: u64 = answers.iter().filter_map(|answer| answer.arguments().next()?.as_u64()).sum();
    ///     Ok(others + io.clients() as u64)
    /// }
    /// ```
    pub async fn server_side_emit_with_ack(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        timeout: Duration,
    ) -> Result<Vec<Payload>, ServerSideError> {
        self.shared.server_side_emit_with_ack(event, arguments, timeout).await
    }

    /// Everybody in a room.
    pub fn to(&self, room: &str) -> BroadcastOperator {
        self.all().to(room)
    }

    /// Everybody but those in a room.
    pub fn except(&self, room: &str) -> BroadcastOperator {
        self.all().except(room)
    }

    /// Sends an event to everybody. How many there were on this node.
    pub fn emit(&self, event: &str, arguments: &(impl Arguments + ?Sized)) -> usize {
        self.all().emit(event, arguments)
    }

    /// Everybody who is there, on this node.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketRef> {
        self.all().sockets()
    }

    /// Everybody, on all nodes of a cluster.
    pub fn all(&self) -> BroadcastOperator {
        BroadcastOperator::new(Arc::clone(&self.shared), None)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
