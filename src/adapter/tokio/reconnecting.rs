//! A WebSocket client that comes back: the host of [`Redial`].

use super::outbox::{Outbox, OutboxError, OutboxOptions, Post, QueuedSocket, Shared};
use super::wait::Timer;
use super::{ClientStream, WebSocket, connect};
use crate::adapter::random::random;
use crate::adapter::{Error, Options, TimedOut};
use crate::ws::handshake::{ClientOptions, InvalidUri, Uri};
use crate::ws::redial::{Reaction, Redial, RedialPolicy, RedialState, RedialStep};
use crate::ws::{CloseCode, Message, Text};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

/// The policy for the messages that a lost connection has not written.
///
/// A message counts as written when the transport has taken its last byte. Whether it has arrived, only the application on
/// the other side can say: where that matters, number the messages. What is not written never arrives whole, so that
/// sending it again never leads to a message that arrives twice.
///
/// ```
/// use pushline::adapter::tokio::{ReconnectOptions, Unsent};
///
/// let options = ReconnectOptions::new().unsent(Unsent::HandBack);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unsent {
    /// They stay in the queue, in their order, and are sent when the next connection is open.
    #[default]
    SendAgain,
    /// They are handed back in [`ReconnectEvent::Lost`], at each failed attempt those that were sent since the one before.
    HandBack,
}

/// The options of a [`Reconnecting`] client: how it comes back, and what it queues.
///
/// ```
/// use pushline::adapter::tokio::ReconnectOptions;
/// use pushline::ws::redial::RedialPolicy;
///
/// let options = ReconnectOptions::new().policy(RedialPolicy::new().max_attempts(Some(10)));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ReconnectOptions {
    policy: RedialPolicy,
    outbox: OutboxOptions,
    unsent: Unsent,
}

impl ReconnectOptions {
    /// The defaults.
    pub const fn new() -> Self {
        let outbox = OutboxOptions::new().lagging(super::Lagging::Refuse);
        Self { policy: RedialPolicy::new(), outbox, unsent: Unsent::SendAgain }
    }

    /// When the client comes back, and when it gives up.
    pub fn policy(mut self, policy: RedialPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The bounds of the queue, and what happens at them. Default: those of [`OutboxOptions`], and
    /// [`Lagging::Refuse`](super::Lagging::Refuse): [`Lagging::Close`](super::Lagging::Close) would end the client for good.
    ///
    /// Without bounds, a client whose server is away would queue for as long as that lasts. What a lost connection gives
    /// back is at most two messages over them.
    pub const fn outbox(mut self, options: OutboxOptions) -> Self {
        self.outbox = options;
        self
    }

    /// What becomes of the messages that were not written. Default: [`Unsent::SendAgain`].
    pub const fn unsent(mut self, unsent: Unsent) -> Self {
        self.unsent = unsent;
        self
    }
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The reason why a connection of a [`Reconnecting`] client was lost, or was none.
///
/// ```
/// use pushline::adapter::tokio::Loss;
/// use pushline::ws::CloseCode;
///
/// let loss = Loss::Closed(CloseCode::SERVICE_RESTART, "back soon".into());
/// assert_eq!(loss.to_string(), "closed by the server with 1012: back soon");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Loss {
    /// The server closed it; [`CloseCode::NO_STATUS`] without a code.
    Closed(CloseCode, Text),
    /// It failed, or the attempt did.
    Failed(Error),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(code, reason) if reason.is_empty() => {
                write!(f, "closed by the server with {}", code.0)
            }
            Self::Closed(code, reason) => {
                write!(f, "closed by the server with {}: {}", code.0, &**reason)
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Loss {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Closed(..) => None,
            Self::Failed(error) => error.source(),
        }
    }
}

/// A report of a [`Reconnecting`] client: it is open, a message has come, or the connection is
/// lost.
///
/// ```
/// use pushline::adapter::tokio::ReconnectEvent;
///
/// /// For a line that shows how things stand.
/// fn status(event: &ReconnectEvent) -> String {
///     match event {
///         ReconnectEvent::Open => "live".to_owned(),
///         ReconnectEvent::Lost { loss, wait, .. } => format!("{loss}; again in {wait:?}"),
///         _ => String::new(),
///     }
/// }
/// assert_eq!(status(&ReconnectEvent::Open), "live");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectEvent {
    /// A connection is open, and [hello](Reconnecting::on_open) was said.
    Open,
    /// A text or binary message.
    Message(Message),
    /// The connection was lost, or an attempt failed; another follows after this wait.
    Lost {
        /// How.
        loss: Loss,
        /// How long the client waits before the next attempt.
        wait: Duration,
        /// What was not written, in its order, if it is to be [handed back](Unsent::HandBack).
        unsent: Vec<Post>,
    },
}

/// A WebSocket client that connects, and comes back after each loss: with waits that grow while attempts fail, a random
/// part in them, and a table of what is final ([`RedialPolicy`]).
///
/// [`next`](Self::next) drives it: keep calling it. It is cancel-safe; all state is in the struct. What is
/// [sent](Self::send) goes into a bounded queue, also while there is no connection; [`outbox`](Self::outbox) gives handles
/// to it for other tasks. [`on_open`](Self::on_open) says hello or subscribes on each new connection, before anything of
/// the queue is sent. Messages that the server sent while there was no connection are not made good by themselves: the
/// hello has to ask for them.
///
/// ```no_run
/// use pushline::adapter::Options;
/// use pushline::adapter::tokio::{ReconnectEvent, ReconnectOptions, Reconnecting};
/// use pushline::ws::handshake::ClientOptions;
///
/// # async fn follow() -> Result<(), Box<dyn std::error::Error>> {
/// let (url, options) = ("ws://127.0.0.1:9001/prices", Options::new());
/// let client = Reconnecting::new(url, ClientOptions::new(), options, ReconnectOptions::new())?;
/// let mut client = client.on_open(async |mut socket| {
///     socket.send(r#"{"subscribe":"EURUSD"}"#).await?;
///     Ok(socket)
/// });
/// while let Some(event) = client.next().await {
///     match event? {
///         ReconnectEvent::Message(message) => println!("{:?}", message.as_text()),
///         ReconnectEvent::Lost { loss, wait, .. } => println!("{loss}; again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Reconnecting<S = ClientStream> {
    connector: Connector<S>,
    hello: Option<Hello<S>>,
    redial: Redial<Instant>,
    shared: Arc<Shared<Post>>,
    unsent: Unsent,
    link: Link<S>,
    /// The close frame of the connection that is ending.
    closed: Option<(CloseCode, Text)>,
    timer: Timer,
    states: watch::Sender<RedialState>,
    /// What was not written when it ended for good.
    left: Vec<Post>,
}

/// A connection on its way.
type Opening<S> = Pin<Box<dyn Future<Output = Result<WebSocket<S>, Error>> + Send>>;
type Connector<S> = Box<dyn FnMut() -> Opening<S> + Send>;
type Hello<S> = Box<dyn FnMut(WebSocket<S>) -> Opening<S> + Send>;

enum Link<S> {
    None,
    Connecting(Opening<S>),
    Greeting(Opening<S>),
    Open(QueuedSocket<S>),
}

impl Reconnecting {
    /// A client of this URL, which it connects to as [`connect`] does. It connects when [`next`](Self::next) is called
    /// first.
    ///
    /// # Errors
    ///
    /// [`InvalidUri`].
    pub fn new(
        url: &str,
        client_options: ClientOptions,
        options: Options,
        reconnect: ReconnectOptions,
    ) -> Result<Self, InvalidUri> {
        Uri::parse(url)?;
        let url = String::from(url);
        let connector = move || {
            let (url, client_options, options) = (url.clone(), client_options.clone(), options.clone());
            async move { connect(&url, client_options, &options).await }
        };
        Ok(Self::with_connector(connector, reconnect))
    }
}

impl<S> Reconnecting<S> {
    /// A client that connects as `connector` does it, which is called for each attempt: through a proxy or TLS, to servers
    /// in turn, with a fresh token.
    ///
    /// ```
    /// use pushline::adapter::Options;
    /// use pushline::adapter::tokio::{ReconnectOptions, Reconnecting, client};
    /// use pushline::ws::handshake::{ClientOptions, Uri};
    /// use tokio::net::UnixStream;
    ///
    /// let client = Reconnecting::with_connector(
    ///     || async {
    ///         let stream = UnixStream::connect("/run/prices.sock").await?;
    ///         client(stream, &Uri::parse("ws://prices/")?, ClientOptions::new(), &Options::new()).await
    ///     },
    ///     ReconnectOptions::new(),
    /// );
    /// # let _ = client;
    /// ```
    pub fn with_connector<F>(
        mut connector: impl FnMut() -> F + Send + 'static,
        reconnect: ReconnectOptions,
    ) -> Self
    where
        F: Future<Output = Result<WebSocket<S>, Error>> + Send + 'static,
    {
        let redial = Redial::new(reconnect.policy);
        Self {
            connector: Box::new(move || Box::pin(connector())),
            hello: None,
            states: watch::Sender::new(redial.state()),
            redial,
            shared: Shared::new(reconnect.outbox),
            unsent: reconnect.unsent,
            link: Link::None,
            closed: None,
            timer: Timer::default(),
            left: Vec::new(),
        }
    }

    /// What is done with each connection that opens, before anything of the queue is sent: say hello, subscribe, ask for
    /// what was missed. It gives the socket back.
    ///
    /// An error of it counts as one of the connection. [`Error::Rejected`] is judged by its status, as if the server had
    /// refused the handshake: `Err(Rejection::new(401).into())` gives up. What it takes longer than
    /// [`hello_timeout`](RedialPolicy::hello_timeout) is dropped, with the connection.
    #[must_use]
    pub fn on_open<F>(mut self, mut hello: impl FnMut(WebSocket<S>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<WebSocket<S>, Error>> + Send + 'static,
    {
        self.hello = Some(Box::new(move |socket| Box::pin(hello(socket))));
        self
    }

    /// Queues a message for the present connection, or the next one. Never waits.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]; the message was not taken.
    pub fn send(&self, message: impl Into<Post>) -> Result<(), OutboxError> {
        self.outbox().send(message)
    }

    /// A handle that sends from other tasks. [`Outbox::close`] ends the client for good, behind what is queued.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::of(&self.shared)
    }

    /// Ends the client for good: what is queued goes first, if there is a connection, then the close frame.
    /// [`next`](Self::next) does it, and gives `None` when it is done.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) {
        self.outbox().close(code, reason);
    }

    /// How far it has come.
    #[must_use]
    pub const fn state(&self) -> RedialState {
        self.redial.state()
    }

    /// The state for other tasks, which may wait for changes.
    ///
    /// ```no_run
    /// use pushline::adapter::tokio::Reconnecting;
    /// use pushline::ws::redial::RedialState;
    ///
    /// /// For a light that is green while the connection is open.
    /// fn light(client: &Reconnecting, mut shine: impl FnMut(bool) + Send + 'static) {
    ///     let mut state = client.watch();
    ///     tokio::spawn(async move {
    ///         while state.changed().await.is_ok() {
    ///             shine(*state.borrow_and_update() == RedialState::Open);
    ///         }
    ///     });
    /// }
    /// ```
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<RedialState> {
        self.states.subscribe()
    }

    /// How many attempts and connections have failed since one was
    /// [stable](crate::ws::redial::RedialPolicy::stable_after).
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.redial.failures()
    }

    /// What was sent and not written when the client ended for good.
    #[must_use]
    pub fn take_unsent(&mut self) -> Vec<Post> {
        core::mem::take(&mut self.left)
    }

    fn tell_state(&self) {
        let state = self.redial.state();
        self.states.send_if_modified(|told| core::mem::replace(told, state) != state);
    }

    /// The connection is gone: when the next one is due, or that there is none.
    fn lost(&mut self, loss: Loss) -> Option<Result<ReconnectEvent, Loss>> {
        if let Link::Open(socket) = core::mem::replace(&mut self.link, Link::None) {
            socket.give_back();
        }
        self.closed = None;
        if self.shared.is_ending() {
            self.finish();
            return None;
        }
        let (reaction, retry_after) = react(self.redial.policy(), &loss);
        let now = Instant::now();
        let next = self.redial.lost(now, random(), reaction, retry_after);
        self.tell_state();
        let Some(at) = next else {
            self.finish();
            return (reaction != Reaction::End).then_some(Err(loss));
        };
        let unsent = match self.unsent {
            Unsent::SendAgain => Vec::new(),
            Unsent::HandBack => self.shared.take_all(),
        };
        Some(Ok(ReconnectEvent::Lost { loss, wait: at.saturating_duration_since(now), unsent }))
    }

    /// It is over.
    fn finish(&mut self) {
        self.link = Link::None;
        self.redial.close();
        self.left.extend(self.shared.take_all());
        self.shared.end();
        self.tell_state();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reconnecting<S> {
    /// What happens next; `None` at the end: the server said that all is said (1000, unless the
    /// [policy](RedialPolicy) has it otherwise), or [`close`](Self::close) was called.
    ///
    /// # Errors
    ///
    /// The [`Loss`] after which the client does not come back; then follows `None`. Until then, a loss is
    /// [`ReconnectEvent::Lost`].
    pub async fn next(&mut self) -> Option<Result<ReconnectEvent, Loss>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReconnectEvent, Loss>>> {
        loop {
            let opening = match &mut self.link {
                Link::Open(_) => return self.poll_open(cx),
                _ if self.redial.state() == RedialState::Over => return Poll::Ready(None),
                // Closed before there was a connection: nothing can be said to anybody.
                _ if self.shared.poll_ending(cx).is_ready() => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Link::None => None,
                Link::Connecting(opening) | Link::Greeting(opening) => Some(opening),
            };
            if let Some(opening) = opening
                && let Poll::Ready(opened) = opening.as_mut().poll(cx)
            {
                match opened {
                    Ok(socket) => {
                        if let Some(event) = self.opened(socket) {
                            return Poll::Ready(Some(Ok(event)));
                        }
                    }
                    Err(error) => return Poll::Ready(self.lost(Loss::Failed(error))),
                }
                continue;
            }
            match self.redial.step(Instant::now()) {
                RedialStep::Connect => {
                    self.link = Link::Connecting((self.connector)());
                    self.tell_state();
                }
                RedialStep::Wait(until) => ready!(self.timer.poll(until, cx)),
                RedialStep::Abandon => {
                    let error = Error::TimedOut(TimedOut::Handshake);
                    return Poll::Ready(self.lost(Loss::Failed(error)));
                }
                RedialStep::Over => return Poll::Ready(None),
            }
        }
    }

    /// A connection is there, or has been greeted.
    fn opened(&mut self, socket: WebSocket<S>) -> Option<ReconnectEvent> {
        let now = Instant::now();
        if let (Link::Connecting(_), Some(hello)) = (&self.link, &mut self.hello) {
            self.redial.connected(now);
            self.link = Link::Greeting(hello(socket));
            self.tell_state();
            return None;
        }
        self.redial.connected(now);
        self.redial.greeted(now);
        self.link = Link::Open(QueuedSocket::over(socket, &self.shared));
        self.tell_state();
        Some(ReconnectEvent::Open)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ReconnectEvent, Loss>>> {
        let Link::Open(socket) = &mut self.link else { return Poll::Ready(None) };
        let loss = match ready!(Pin::new(socket).poll_next(cx)) {
            Some(Ok(Message::Close(close))) => {
                self.closed = Some(close.unwrap_or((CloseCode::NO_STATUS, Text::default())));
                None
            }
            Some(Ok(message)) if message.is_data() => {
                return Poll::Ready(Some(Ok(ReconnectEvent::Message(message))));
            }
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(Loss::Failed(error)),
            None => Some(Loss::Failed(Error::Aborted)),
        };
        let Some(loss) = loss else {
            // Others have their turn between two control frames.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        // What the transport did behind the close frame does not count.
        let closed = self.closed.take();
        Poll::Ready(self.lost(closed.map_or(loss, |(code, reason)| Loss::Closed(code, reason))))
    }
}

/// What follows from a loss, and what the server asked for.
fn react(policy: &RedialPolicy, loss: &Loss) -> (Reaction, Option<Duration>) {
    match loss {
        Loss::Closed(code, _) => (policy.of_close(Some(*code)), None),
        Loss::Failed(error) => error.reaction(policy),
    }
}

/// The events as [`next`](Reconnecting::next) gives them.
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Reconnecting<S> {
    type Item = Result<ReconnectEvent, Loss>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_event(cx)
    }
}

impl<S> Drop for Reconnecting<S> {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl<S> fmt::Debug for Reconnecting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("redial", &self.redial).finish_non_exhaustive()
    }
}
