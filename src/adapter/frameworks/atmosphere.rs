//! An Atmosphere service: sessions by their tracking ids, over whichever transport.

use super::FrameworkBody;
use super::held::{Machine, Waiting};
use super::http::{read, respond, respond_with, with_request};
use super::sessions::{self, Begun, Turn, hold, send, turn};
use crate::adapter::hyper::Socket;
use crate::adapter::{Error, Options, nonce};
use crate::comet::HttpResponse;
use crate::comet::atmosphere::{
    AtmosphereOptions, AtmosphereReply, AtmosphereService, AtmosphereSession, AtmosphereTicket,
    AtmosphereTransport, Listen, TooSlow,
};
use crate::ws::Message;
use core::fmt;
use core::fmt::Write as _;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_core::Stream;
use std::string::{String, ToString};
use std::sync::Arc;
use std::vec::Vec;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Serves Atmosphere clients at a path.
///
/// For each session `talk` is called with its [`AtmospherePeer`], of which a clone can be kept to send; the session ends when what
/// it gives is done.
///
/// ```
/// use pushline::adapter::frameworks::{Atmosphere, FrameworkBody, AtmospherePeer};
///
/// let echo = Atmosphere::new("/atmosphere/echo", |mut peer: AtmospherePeer| async move {
///     while let Some(text) = peer.next().await {
///         if peer.sender().send(text).is_err() {
///             return; // the client does not fetch what it is sent
///         }
///     }
/// });
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let request = http::Request::get("/atmosphere/echo").body(FrameworkBody::default()).unwrap();
/// assert_eq!(echo.serve(request).await.status(), 400); // it says no transport
/// # });
/// ```
#[derive(Clone)]
pub struct Atmosphere(Arc<Shared>);

type Shared = sessions::Shared<AtmosphereService, AtmosphereOptions, AtmosphereSession<Instant>>;
type Entry = sessions::Entry<AtmosphereSession<Instant>>;

impl Machine for AtmosphereSession<Instant> {
    type Ticket = AtmosphereTicket;

    fn next_frame(&mut self, ticket: AtmosphereTicket, now: Instant, out: &mut Vec<u8>) -> Option<bool> {
        self.next_frame(ticket, now, out)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn cut(&mut self, ticket: AtmosphereTicket, now: Instant) {
        self.cut(ticket, now);
    }

    fn gone(&mut self, now: Instant) {
        self.close(now);
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.is_expired(now)
    }

    fn give_up(&mut self, now: Instant) {
        self.give_up(now);
    }
}

impl Atmosphere {
    /// A service at `path`, such as `/atmosphere/chat`.
    pub fn new<F>(path: &str, talk: impl Fn(AtmospherePeer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let talk = move |begun: Begun<_>| {
            talk(AtmospherePeer { sender: AtmosphereSender { entry: begun.entry }, incoming: begun.incoming })
        };
        Self(Arc::new(Shared::new(path, AtmosphereService::new(), AtmosphereOptions::new(), talk)))
    }

    /// Who may use it. The default is [`AtmosphereService::new`]: pages of the own host.
    #[must_use]
    pub fn service(self, service: AtmosphereService) -> Self {
        self.change(|shared| shared.service = service)
    }

    /// Limits and times of each session.
    #[must_use]
    pub fn session(self, config: AtmosphereOptions) -> Self {
        self.change(|shared| shared.config = config)
    }

    /// Limits and times of WebSockets.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        self.change(|shared| shared.options = options)
    }

    /// Sessions at a time, default 100 000; more are answered 503.
    ///
    /// Without it whoever asks again and again makes the server hold as many sessions.
    #[must_use]
    pub fn max_sessions(self, count: usize) -> Self {
        self.change(|shared| shared.max_sessions = count)
    }

    /// Bytes of a request's body, default 256 KiB; more are answered 413.
    ///
    /// Without it one request makes the server hold whatever it carries.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        self.change(|shared| shared.max_body = bytes)
    }

    fn change(self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Arc::unwrap_or_clone(self.0);
        change(&mut shared);
        Self(Arc::new(shared))
    }

    /// Sessions, those included whose client may yet come back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.sessions()
    }

    /// Answers a request: at this path, or 404.
    pub async fn serve<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<FrameworkBody> {
        let (parts, body) = request.into_parts();
        let body = match read(body, self.0.max_body, Duration::from_secs(15)).await {
            Ok(body) => body,
            Err(refused) => return respond(refused),
        };
        let step = with_request(&parts, &self.0.path, &body, |request| match self.0.service.route(request) {
            AtmosphereReply::Response(response) => Step::Respond(response),
            AtmosphereReply::Listen(listen) => Step::Listen(listen),
            AtmosphereReply::Message { id, text, done, missing } => match id.map(|id| self.0.find(&id)) {
                Some(None) => Step::Respond(missing),
                _ if self.0.config.is_heartbeat(text) => Step::Respond(done),
                Some(Some(entry)) => Step::Deliver(entry, text.to_string(), done),
                None => Step::Say(text.to_string(), done),
            },
            AtmosphereReply::Close { id, done } => {
                self.0.remove(&id);
                Step::Respond(done)
            }
        });
        match step {
            None => respond(HttpResponse::text(404, "Not found.\n")),
            Some(Step::Respond(response)) => respond(response),
            Some(Step::Deliver(entry, text, done)) => {
                entry.deliver(text).await;
                respond(done)
            }
            Some(Step::Say(text, done)) => {
                // A session of this message alone, which nobody listens at.
                let entry = self.0.begin(self.new_session(""));
                entry.deliver(text).await;
                entry.end();
                respond(done)
            }
            Some(Step::Listen(listen)) if listen.transport == AtmosphereTransport::WebSocket => {
                if let Some(refused) = self.0.refusal(listen.id.as_deref()) {
                    return respond(refused);
                }
                let service = self.clone();
                self.0.upgrade(parts, self.0.service.origin_policy(), async move |socket| {
                    match service.listen(&listen) {
                        Ok((_, waiting)) => converse(socket, waiting, &service.0.config).await,
                        Err(_) => Ok(()), // as if it had not been accepted
                    }
                })
            }
            Some(Step::Listen(listen)) => match self.listen(&listen) {
                Err(refused) => respond(refused),
                // The head of a poll's answer goes at once, too: clients of version 3 are open once they see it.
                Ok(waiting) => respond_with(
                    listen.head.with("X-Atmosphere-tracking-id", waiting.0),
                    FrameworkBody::live(waiting.1),
                ),
            },
        }
    }

    /// The session's next response: it is begun if it does not exist, under the identifier that its client has.
    fn listen(&self, listen: &Listen) -> Result<(String, Waiting<AtmosphereSession<Instant>>), HttpResponse> {
        let id = match &listen.id {
            Some(id) => id.to_string(),
            // Whoever guessed the identifier could listen in the client's place.
            None => fresh().ok_or_else(|| HttpResponse::text(503, "No randomness.\n"))?,
        };
        let entry = self.0.find_or_begin(&id, || self.new_session(&id))?;
        let ticket = entry.session.tell(|session| session.receive(listen, Instant::now()));
        Ok((id, Waiting::new(entry, ticket)))
    }

    fn new_session(&self, id: &str) -> AtmosphereSession<Instant> {
        AtmosphereSession::new(id, self.0.config, Instant::now())
    }
}

/// What is left to do for a request once its fields need no longer be lent.
enum Step {
    Respond(HttpResponse),
    Deliver(Arc<Entry>, String, HttpResponse),
    Say(String, HttpResponse),
    Listen(Listen),
}

/// Moves messages between a WebSocket and its session, which outlives it.
async fn converse(
    mut socket: Socket,
    mut frames: Waiting<AtmosphereSession<Instant>>,
    config: &AtmosphereOptions,
) -> Result<(), Error> {
    loop {
        match turn(&mut socket, &mut frames).await {
            Turn::Frame(Some(frame)) => send(&mut socket, &frame).await?,
            Turn::Frame(None) => return socket.close(1000, "").await,
            Turn::Message(Some(Ok(Message::Text(text)))) if !config.is_heartbeat(&text) => {
                let entry = Arc::clone(frames.entry());
                let taken = async move {
                    entry.deliver(text.into()).await;
                };
                hold(&mut socket, &mut frames, taken).await?;
            }
            Turn::Message(Some(Ok(_))) => {}
            Turn::Message(Some(Err(error))) => return Err(error),
            Turn::Message(None) => return Ok(()),
        }
    }
}

fn fresh() -> Option<String> {
    let mut id = String::with_capacity(32);
    for byte in nonce().ok()? {
        // Writing into a `String` cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    Some(id)
}

/// The application's end of a session. Dropped, it ends the session.
///
/// ```
/// use pushline::adapter::frameworks::AtmospherePeer;
///
/// async fn echo(mut peer: AtmospherePeer) {
///     while let Some(text) = peer.next().await {
///         if peer.sender().send(text).is_err() {
///             return; // the client does not fetch what it is sent
///         }
///     }
/// }
/// ```
pub struct AtmospherePeer {
    sender: AtmosphereSender,
    incoming: mpsc::Receiver<String>,
}

/// Sends to one session; kept by whoever wants to.
///
/// ```
/// use pushline::adapter::frameworks::AtmosphereSender;
/// use std::sync::Arc;
///
/// /// One text, shared by all; those who do not fetch theirs are left out next time.
/// fn say(room: &mut Vec<AtmosphereSender>, text: Arc<str>) {
///     room.retain(|sender| sender.send(Arc::clone(&text)).is_ok());
/// }
/// ```
#[derive(Clone)]
pub struct AtmosphereSender {
    entry: Arc<Entry>,
}

impl AtmospherePeer {
    /// The next message; `None` once the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        self.incoming.recv().await
    }

    /// What sends to this client.
    #[must_use]
    pub const fn sender(&self) -> &AtmosphereSender {
        &self.sender
    }
}

/// The messages, as [`next`](AtmospherePeer::next) gives them.
impl Stream for AtmospherePeer {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        self.get_mut().incoming.poll_recv(cx)
    }
}

impl AtmosphereSender {
    /// Sends a message; one text can be shared by many sessions.
    ///
    /// # Errors
    ///
    /// [`TooSlow`] if the client does not fetch what it is sent, or is gone.
    pub fn send(&self, message: impl Into<Arc<str>>) -> Result<(), TooSlow> {
        self.entry.session.tell(|session| session.send(message.into(), Instant::now()))
    }
}

impl Drop for AtmospherePeer {
    fn drop(&mut self) {
        self.sender.entry.session.tell(|session| session.close(Instant::now()));
    }
}

impl fmt::Debug for Atmosphere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Atmosphere")
            .field("path", &self.0.path)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AtmospherePeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtmospherePeer").finish_non_exhaustive()
    }
}

impl fmt::Debug for AtmosphereSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtmosphereSender").finish_non_exhaustive()
    }
}
