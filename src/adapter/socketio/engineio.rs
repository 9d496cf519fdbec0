//! Engine.IO by itself: messages, and nothing on top.

use super::SocketIoBody;
use super::engine::{Engine, Layer, Link, Setup};
use super::identity::Identity;
use super::options::SocketIoOptions;
use crate::socketio::engine::{Data, EngineCloseReason, EngineMessage, EngineSession, SendError};
use core::fmt;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::vec::Vec;
use tokio::time::Instant;

/// A server of Engine.IO sessions: what each message is answered with is a function's business.
///
/// ```
/// use pushline::adapter::socketio::{EngineIo, SocketIoOptions};
/// use pushline::socketio::engine::{Data, EngineMessage};
///
/// let echo = EngineIo::new(SocketIoOptions::new(), |session, data| {
///     let _ = session.send(match data {
///         Data::Text(text) => EngineMessage::text(text),
///         Data::Binary(bytes) => EngineMessage::binary(bytes),
///     });
/// });
/// // In a hyper service, or an axum handler: echo.handle(request).await
/// # let _ = echo;
/// ```
#[derive(Clone)]
pub struct EngineIo {
    engine: Arc<Engine<Messages>>,
}

type OnMessage = Box<dyn Fn(&mut EngineIoSocket<'_>, Data<'_>) + Send + Sync>;

struct Messages {
    on_message: OnMessage,
}

/// A session, while its message is looked at.
///
/// ```
/// use pushline::adapter::socketio::EngineIoSocket;
/// use pushline::socketio::engine::EngineMessage;
///
/// fn greet(session: &mut EngineIoSocket<'_>) {
///     let _ = session.send(EngineMessage::text("hello")); // or Full: a slow client
/// }
/// ```
#[derive(Debug)]
pub struct EngineIoSocket<'s> {
    session: &'s mut EngineSession<Instant>,
    identity: Option<&'s Identity>,
}

impl EngineIoSocket<'_> {
    /// Queues a message.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send(&mut self, message: EngineMessage) -> Result<(), SendError> {
        self.session.send(message)
    }

    /// Who the client is, as [`SocketIoOptions::identify`] gave it.
    #[must_use]
    pub fn identity<T: 'static>(&self) -> Option<&T> {
        self.identity?.get()
    }

    /// Closes the session, once what is queued was sent.
    pub fn close(&mut self) {
        self.session.close(Instant::now());
    }
}

impl EngineIo {
    /// A server that calls `on_message` with each message, in their order. If it panics, that session is over, and no other.
    #[must_use]
    pub fn new(
        options: SocketIoOptions,
        on_message: impl Fn(&mut EngineIoSocket<'_>, Data<'_>) + Send + Sync + 'static,
    ) -> Self {
        let setup = Setup::from(&options);
        Self { engine: Engine::new(Messages { on_message: Box::new(on_message) }, setup) }
    }

    /// Answers a request of any of the transports. Call it within a tokio runtime.
    pub async fn handle<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<SocketIoBody> {
        self.engine.handle(request).await
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.engine.links().len()
    }
}

impl fmt::Debug for EngineIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineIo").field("engine", &self.engine).finish()
    }
}

impl Layer for Messages {
    type State = Option<Identity>;
    type Job = ();

    fn open(&self, identity: Option<&Identity>, _: Instant) -> Self::State {
        identity.cloned()
    }

    fn receive(
        &self,
        identity: &mut Self::State,
        session: &mut EngineSession<Instant>,
        data: Data<'_>,
    ) -> Option<()> {
        let identity = identity.as_ref();
        let on_message = AssertUnwindSafe(|| {
            (self.on_message)(&mut EngineIoSocket { session: &mut *session, identity }, data)
        });
        if catch_unwind(on_message).is_err() {
            session.fail();
        }
        None
    }

    fn tick(&self, _: &mut Self::State, _: &mut EngineSession<Instant>, _: Instant) {}

    fn next_deadline(&self, _: &Self::State) -> Option<Instant> {
        None
    }

    fn closed(&self, _: &mut Self::State, _: EngineCloseReason, _: &mut Vec<()>) {}

    fn run(&self, _: &Arc<Link<Self>>, (): ()) {}
}
