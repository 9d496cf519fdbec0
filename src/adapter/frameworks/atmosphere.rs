//! An Atmosphere service: sessions by their tracking ids, over whichever transport.

use super::FrameworkBody;
use super::body::{Feed, lock};
use super::held::{Held, Machine, Waiting};
use super::http::{read, respond, respond_with, with_request};
use crate::adapter::tokio::WebSocket;
use crate::adapter::{Error, Options, nonce};
use crate::comet::HttpResponse;
use crate::comet::atmosphere::{
    AtmosphereOptions, AtmosphereReply, AtmosphereService, AtmosphereSession, AtmosphereTicket,
    AtmosphereTransport, Listen, TooSlow,
};
use crate::ws;
use crate::ws::handshake::{ServerOptions, accept_http};
use ::http::request::Parts;
use core::fmt;
use core::fmt::Write as _;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use hyper_util::rt::TokioIo;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, Weak};
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Messages that a session's application has not taken; then its client's requests wait.
const MAX_INCOMING: usize = 64;

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

type Talk = dyn Fn(AtmospherePeer) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

#[derive(Clone)]
struct Shared {
    path: String,
    service: AtmosphereService,
    config: AtmosphereOptions,
    options: Options,
    max_sessions: usize,
    max_body: usize,
    sessions: Arc<Mutex<Sessions>>,
    talk: Arc<Talk>,
}

#[derive(Default)]
struct Sessions {
    by_id: HashMap<Box<str>, Arc<Entry>>,
    is_swept: bool,
}

/// What a session's requests and its [`AtmospherePeer`] share.
struct Entry {
    session: Held<AtmosphereSession<Instant>>,
    /// To the application; `None` once the client is gone.
    incoming: Mutex<Option<mpsc::Sender<String>>>,
}

impl AsRef<Held<AtmosphereSession<Instant>>> for Entry {
    fn as_ref(&self) -> &Held<AtmosphereSession<Instant>> {
        &self.session
    }
}

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
}

impl Atmosphere {
    /// A service at `path`, such as `/atmosphere/chat`.
    pub fn new<F>(path: &str, talk: impl Fn(AtmospherePeer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(Shared {
            path: path.trim_end_matches('/').to_string(),
            service: AtmosphereService::new(),
            config: AtmosphereOptions::new(),
            options: Options::new(),
            max_sessions: 100_000,
            max_body: 256 << 10,
            sessions: Arc::default(),
            talk: Arc::new(move |peer| Box::pin(talk(peer))),
        }))
    }

    /// Who may use it. The default is [`AtmosphereService::new`]: pages of the own host.
    #[must_use]
    pub fn service(self, service: AtmosphereService) -> Self {
        self.change(|shared| shared.service = service)
    }

    /// Limits and times of each session.
    #[must_use]
    pub fn config(self, config: AtmosphereOptions) -> Self {
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
        lock(&self.0.sessions).by_id.len()
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
            AtmosphereReply::Message { id, text, done, missing } => {
                let find = |id: &str| lock(&self.0.sessions).by_id.get(id).cloned();
                match id.map(|id| find(&id)) {
                    Some(None) => Step::Respond(missing),
                    _ if self.0.config.is_heartbeat(text) => Step::Respond(done),
                    Some(Some(entry)) => Step::Deliver(entry, text.to_string(), done),
                    None => Step::Say(text.to_string(), done),
                }
            }
            AtmosphereReply::Close { id, done } => {
                let entry = lock(&self.0.sessions).by_id.remove(&*id);
                if let Some(entry) = entry {
                    entry.end();
                }
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
                let entry = self.begin("");
                entry.deliver(text).await;
                entry.end();
                respond(done)
            }
            Some(Step::Listen(listen)) if listen.transport == AtmosphereTransport::WebSocket => {
                self.upgrade(parts, listen)
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
    fn listen(
        &self,
        listen: &Listen,
    ) -> Result<(String, Waiting<AtmosphereSession<Instant>, Entry>), HttpResponse> {
        let id = match &listen.id {
            Some(id) => id.to_string(),
            // Whoever guessed the identifier could listen in the client's place.
            None => fresh().ok_or_else(|| HttpResponse::text(503, "No randomness.\n"))?,
        };
        let mut sessions = lock(&self.0.sessions);
        let entry = match sessions.by_id.get(&*id) {
            Some(entry) => entry.clone(),
            None if sessions.by_id.len() >= self.0.max_sessions => {
                return Err(HttpResponse::text(503, "Too many sessions.\n"));
            }
            None => {
                let entry = self.begin(&id);
                sessions.by_id.insert(id.as_str().into(), entry.clone());
                if !core::mem::replace(&mut sessions.is_swept, true) {
                    tokio::spawn(sweep(Arc::downgrade(&self.0.sessions)));
                }
                entry
            }
        };
        drop(sessions);
        let ticket = entry.session.tell(|session| session.receive(listen, Instant::now()));
        Ok((id, Waiting::new(entry, ticket)))
    }

    /// A session, and the application's task at it.
    fn begin(&self, id: &str) -> Arc<Entry> {
        let (sender, incoming) = mpsc::channel(MAX_INCOMING);
        let session = Held::new(AtmosphereSession::new(id, self.0.config, Instant::now()));
        let entry = Arc::new(Entry { session, incoming: Mutex::new(Some(sender)) });
        let sender = AtmosphereSender { entry: entry.clone() };
        tokio::spawn((self.0.talk)(AtmospherePeer { sender, incoming }));
        entry
    }

    fn upgrade(&self, parts: Parts, listen: Listen) -> ::http::Response<FrameworkBody> {
        let mut request = ::http::Request::from_parts(parts, ());
        let upgrade = hyper::upgrade::on(&mut request);
        let options = ServerOptions::new().origin(self.0.service.origin_policy().clone());
        let (response, negotiated) = match accept_http(&options, &request) {
            Ok(accepted) => (::http::Response::from(&accepted), accepted.negotiated()),
            Err(rejection) => return ::http::Response::from(&rejection).map(|()| FrameworkBody::default()),
        };
        let service = self.clone();
        tokio::spawn(async move {
            // The client may be gone by then.
            if let Ok(stream) = upgrade.await {
                let socket = WebSocket::server(TokioIo::new(stream), negotiated, &service.0.options);
                if let Ok((_, waiting)) = service.listen(&listen) {
                    let _ = converse(socket, waiting, &service.0.config).await;
                }
            }
        });
        response.map(|()| FrameworkBody::default())
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
async fn converse<S>(
    mut socket: WebSocket<S>,
    mut frames: Waiting<AtmosphereSession<Instant>, Entry>,
    config: &AtmosphereOptions,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let turn = {
            let mut message = pin!(socket.next());
            poll_fn(|cx| match frames.poll_chunk(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                Poll::Pending => message.as_mut().poll(cx).map(Err),
            })
            .await
        };
        match turn {
            Ok(Some(frame)) => socket.send(core::str::from_utf8(&frame).unwrap_or_default()).await?,
            Ok(None) => return socket.close(1000, "").await,
            Err(Some(Ok(ws::Message::Text(text)))) if !config.is_heartbeat(&text) => {
                frames.session().deliver(text.into()).await;
            }
            Err(Some(Ok(_))) => {}
            Err(Some(Err(error))) => return Err(error),
            Err(None) => return Ok(()),
        }
    }
}

/// Drops sessions whose time is out, while there are any.
async fn sweep(sessions: Weak<Mutex<Sessions>>) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let Some(sessions) = sessions.upgrade() else { return };
        let mut sessions = lock(&sessions);
        let now = Instant::now();
        sessions.by_id.retain(|_, entry| {
            let is_over = entry.session.ask(|session| session.is_expired(now));
            if is_over {
                entry.end();
            }
            !is_over
        });
        if sessions.by_id.is_empty() {
            sessions.by_id.shrink_to_fit();
            sessions.is_swept = false;
            return;
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

impl Entry {
    /// Waits while the application has too many that it has not taken.
    async fn deliver(&self, text: String) {
        let sender = lock(&self.incoming).clone();
        if let Some(sender) = sender {
            // The application may be done.
            let _ = sender.send(text).await;
        }
    }

    /// The client is gone: the application hears of it.
    fn end(&self) {
        lock(&self.incoming).take();
        self.session.tell(|session| session.close(Instant::now()));
    }
}

/// The application's end of a session. Dropped, it ends the session.
///
/// See [`Atmosphere`] for an example.
pub struct AtmospherePeer {
    sender: AtmosphereSender,
    incoming: mpsc::Receiver<String>,
}

/// Sends to one session; kept by whoever wants to.
///
/// See [`Atmosphere`] for an example.
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

impl AtmosphereSender {
    /// Sends a message; one text can be shared by many sessions.
    ///
    /// # Errors
    ///
    /// [`TooSlow`] if the client does not fetch what it is sent.
    pub fn send(&self, message: impl Into<Arc<str>>) -> Result<(), TooSlow> {
        self.entry.session.tell(|session| session.send(message.into()))
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
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

impl fmt::Debug for AtmosphereSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
