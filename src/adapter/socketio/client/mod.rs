//! A client of Socket.IO servers over tokio: polling, WebSocket, and the way from one to the other; it comes back by itself.

mod driver;
mod exchange;
mod held;

use self::held::Held;
use super::AckError;
use crate::adapter::Options;
use crate::backoff::Backoff;
use crate::http1::{InvalidUrl, Url};
use crate::json::Value;
use crate::socketio::engine::{EngineClientOptions, EngineMessage, SendError};
use crate::socketio::{Arguments, Encoded, Payload, SocketIoLimits};
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use tokio::sync::{mpsc, oneshot};

/// The options of a [`SocketIoClient`]: how it connects, and how it comes back.
///
/// ```
/// use pushline::adapter::socketio::SocketIoClientOptions;
/// use pushline::json;
///
/// let options = SocketIoClientOptions::new().join("/", None).join("/chat", Some(json::check(r#"{"token":"1"}"#)?));
/// # let _ = options;
/// # Ok::<(), json::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SocketIoClientOptions {
    engine: EngineClientOptions,
    config: SocketIoLimits,
    backoff: Backoff,
    first_wait: Duration,
    max_payload: usize,
    connection: Options,
    namespaces: Vec<(String, Option<String>)>,
}

impl SocketIoClientOptions {
    /// The defaults, in no namespace yet: one second until the first attempt to come back, twice as long after each that
    /// failed, as [`Backoff`] has it.
    pub fn new() -> Self {
        Self {
            engine: EngineClientOptions::new(),
            config: SocketIoLimits::new(),
            backoff: Backoff::new().ceiling(Duration::from_secs(5)),
            first_wait: Duration::from_secs(1),
            max_payload: 16 << 20,
            connection: Options::new(),
            namespaces: Vec::new(),
        }
    }

    /// A namespace to be in, and what is sent along to be let in: a JSON object.
    pub fn join(mut self, namespace: &str, auth: Option<Value<'_>>) -> Self {
        self.namespaces.push((namespace.into(), auth.map(|auth| auth.as_str().into())));
        self
    }

    /// Transports, times and limits of Engine.IO.
    pub fn engine(mut self, config: EngineClientOptions) -> Self {
        self.engine = config;
        self
    }

    /// Limits of Socket.IO.
    pub fn limits(mut self, limits: SocketIoLimits) -> Self {
        self.config = limits;
        self
    }

    /// How long to wait before coming back: `first`, and then as the policy says.
    pub fn backoff(mut self, first: Duration, policy: Backoff) -> Self {
        (self.first_wait, self.backoff) = (first, policy);
        self
    }

    /// How connections are made and kept: times, TLS. The limits of messages and the heartbeat are this one's own.
    pub fn connection(mut self, options: Options) -> Self {
        self.connection = options;
        self
    }

    /// Bytes of a WebSocket message, or of an answer to a poll; more end the session. Without it, a server fills the
    /// memory. Default 16 MiB.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }
}

impl Default for SocketIoClientOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A report of a [`SocketIoClient`]: it is connected, an event has come, or the connection is lost.
///
/// ```
/// use pushline::adapter::socketio::ClientEvent;
///
/// fn describe(event: &ClientEvent) -> String {
///     match event {
///         ClientEvent::Connected { namespace, recovered, .. } => format!("in {namespace}, missed nothing: {recovered}"),
///         ClientEvent::Event { payload, .. } => format!("{:?}", payload.name()),
///         other => format!("{other:?}"),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent {
    /// It was let into a namespace, for the first time or again.
    Connected {
        /// The namespace.
        namespace: Arc<str>,
        /// Its name there.
        sid: Arc<str>,
        /// Whether it is the same as before the connection was cut, and has missed nothing.
        recovered: bool,
    },
    /// It was not let in, and does not try again.
    Refused {
        /// The namespace.
        namespace: Arc<str>,
        /// What the server says about it.
        message: String,
    },
    /// The server has put it out of a namespace. It does not come back by itself.
    Disconnected {
        /// The namespace.
        namespace: Arc<str>,
    },
    /// An event.
    Event {
        /// The namespace.
        namespace: Arc<str>,
        /// The name and the arguments.
        payload: Payload,
        /// If the server waits for an answer.
        ack: Option<ClientAck>,
    },
    /// The connection is lost, or could not be made; it will be tried again.
    Lost {
        /// As users of Socket.IO know it: `transport close`, `ping timeout`.
        reason: &'static str,
    },
}

enum Command {
    /// Of this session only, if one is named.
    Send {
        namespace: Arc<str>,
        messages: Vec<EngineMessage>,
        session: Option<u64>,
    },
    Ask {
        namespace: Arc<str>,
        encode: Encode,
        timeout: Duration,
        answer: Answer,
    },
}

impl Command {
    const fn namespace(&self) -> &Arc<str> {
        match self {
            Self::Send { namespace, .. } | Self::Ask { namespace, .. } => namespace,
        }
    }

    /// Whether nobody waits for the answer any more.
    fn is_late(&self) -> bool {
        matches!(self, Self::Ask { answer, .. } if answer.is_closed())
    }
}

type Encode = Box<dyn FnOnce(u64) -> Encoded + Send>;
type Answer = oneshot::Sender<Result<Payload, AckError>>;

/// Answers an event of the server, once.
///
/// ```
/// use pushline::adapter::socketio::ClientEvent;
///
/// async fn answer(event: ClientEvent) {
///     if let ClientEvent::Event { payload, ack: Some(ack), .. } = event {
///         let _ = ack.send(&payload).await; // with the same arguments
///     }
/// }
/// ```
pub struct ClientAck {
    namespace: Arc<str>,
    id: u64,
    session: u64,
    emitter: Emitter,
}

impl ClientAck {
    /// Answers, unless the connection on which the event came is lost: nobody waits for the answer any more then, and
    /// on the next one it could be taken for that to another event.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the client is gone.
    pub async fn send(self, arguments: &(impl Arguments + ?Sized)) -> Result<(), SendError> {
        let messages = Encoded::ack(&self.namespace, self.id, arguments).into_messages().collect();
        let session = Some(self.session);
        self.emitter.command(Command::Send { namespace: self.namespace, messages, session }).await
    }
}

impl fmt::Debug for ClientAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAck").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Emits events of a [`SocketIoClient`], from any task. A clone is the same client's.
///
/// What is emitted while the client is not connected waits until it is, or until it is gone.
///
/// ```
/// use pushline::adapter::socketio::{AckError, Emitter};
/// use std::time::Duration;
///
/// async fn ask(emitter: Emitter, name: &'static str) -> Result<bool, AckError> {
///     emitter.emit("/chat", "typing", &()).await.map_err(AckError::Send)?;
///     let answer = emitter.emit_with_ack("/chat", "rename", name, Duration::from_secs(5)).await?;
///     Ok(answer.arguments().next().and_then(|taken| taken.as_bool()) == Some(true))
/// }
/// ```
#[derive(Clone)]
pub struct Emitter {
    commands: mpsc::Sender<Command>,
}

impl Emitter {
    /// Sends an event. Waits while the client is not connected, and while the server does not keep up.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] if the client is gone.
    pub async fn emit(
        &self,
        namespace: &str,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
    ) -> Result<(), SendError> {
        let messages = Encoded::event(namespace, event, arguments, None).into_messages().collect();
        self.command(Command::Send { namespace: namespace.into(), messages, session: None }).await
    }

    /// Sends an event, and waits for the server's answer to it. The timeout is for all of it: an event that the client could
    /// not send by then is not sent any more.
    ///
    /// # Errors
    ///
    /// [`AckError`]; [`AckError::Disconnected`] also if the connection was lost meanwhile: the event may have arrived.
    pub async fn emit_with_ack(
        &self,
        namespace: &str,
        event: &str,
        arguments: impl Arguments + Send + 'static,
        timeout: Duration,
    ) -> Result<Payload, AckError> {
        let (answer, answered) = oneshot::channel();
        let namespace: Arc<str> = namespace.into();
        let (name, event) = (Arc::clone(&namespace), String::from(event));
        let encode: Encode = Box::new(move |id| Encoded::event(&name, &event, &arguments, Some(id)));
        let command = Command::Ask { namespace, encode, timeout, answer };
        let asked = async {
            self.command(command).await.map_err(|_| AckError::Disconnected)?;
            answered.await.unwrap_or(Err(AckError::Disconnected))
        };
        tokio::time::timeout(timeout, asked).await.unwrap_or(Err(AckError::TimedOut))
    }

    async fn command(&self, command: Command) -> Result<(), SendError> {
        self.commands.send(command).await.map_err(|_| SendError::Closed)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}

/// A client: connects, comes back after each cut, and recovers its state where the server offers that. Dropping it closes
/// the connection.
///
/// Its connection is kept by a task. If [`next`](Self::next) is not called, that task takes nothing more in once 256 events or 4
/// MiB of them are there, and no ping either; what is emitted still goes out.
///
/// ```no_run
/// use pushline::adapter::socketio::{SocketIoClient, ClientEvent, SocketIoClientOptions};
///
/// # async fn talk() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = SocketIoClient::connect("http://127.0.0.1:3000/", SocketIoClientOptions::new().join("/", None))?;
/// let emitter = client.emitter();
/// while let Some(event) = client.next().await {
///     match event {
///         ClientEvent::Connected { .. } => emitter.emit("/", "message", &("hello", 1)).await?,
///         ClientEvent::Event { payload, .. } => println!("{:?}", payload.arguments().next()),
///         other => println!("{other:?}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SocketIoClient {
    emitter: Emitter,
    events: mpsc::Receiver<Held<ClientEvent>>,
}

impl SocketIoClient {
    /// Begins to connect to an `http:` URL, or with the feature `rustls` to an `https:` one; the path `/` stands for
    /// `/socket.io/`. Call it within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`]. Whatever else goes wrong is tried again: [`ClientEvent::Lost`].
    pub fn connect(url: &str, options: SocketIoClientOptions) -> Result<Self, InvalidUrl> {
        let url = Url::parse(url)?;
        let (commands, receiver) = mpsc::channel(64);
        let (sender, events) = mpsc::channel(256);
        tokio::spawn(driver::Driver::new(url, options, commands.downgrade(), receiver, sender).run());
        Ok(Self { emitter: Emitter { commands }, events })
    }

    /// What comes next. `None` once the client is in no namespace any more.
    pub async fn next(&mut self) -> Option<ClientEvent> {
        self.events.recv().await.map(|held| held.0)
    }

    /// Emits from other tasks.
    #[must_use]
    pub fn emitter(&self) -> Emitter {
        self.emitter.clone()
    }
}
