//! A SockJS service: sessions by their identifiers, and the WebSockets that have none.

use super::FrameworkBody;
use super::body::{Feed, lock};
use super::held::{Held, Machine, Waiting};
use super::http::{read, respond, respond_with, with_request};
use crate::adapter::random::random;
use crate::adapter::tokio::WebSocket;
use crate::adapter::{Error, Options};
use crate::comet::HttpResponse;
use crate::comet::sockjs::{
    Busy, NotTaken, SockJsMessage, SockJsMessages, SockJsOptions, SockJsReply, SockJsService, SockJsSession,
    SockJsTicket, SockJsTransport,
};
use crate::ws;
use crate::ws::handshake::{ServerOptions, accept_http};
use ::http::request::Parts;
use bytes::Bytes;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
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

/// Serves SockJS clients below a path.
///
/// For each session `talk` is called with its [`SockJsSocket`]; the session ends when what it gives is done.
///
/// ```
/// use pushline::adapter::frameworks::{FrameworkBody, SockJs, SockJsSocket};
///
/// let echo = SockJs::new("/echo", |mut socket: SockJsSocket| async move {
///     while let Some(text) = socket.next().await {
///         if socket.send(&text).is_err() {
///             return; // the client does not fetch what it is sent
///         }
///     }
/// });
///
/// // For hyper: `service_fn`; for axum: a fallback, its response through `map(axum::body::Body::new)`.
/// async fn serve(echo: SockJs, request: http::Request<hyper::body::Incoming>) -> http::Response<FrameworkBody> {
///     echo.serve(request).await
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let request = http::Request::get("/echo/").body(FrameworkBody::default()).unwrap();
/// assert_eq!(echo.serve(request).await.status(), 200);
/// # });
/// ```
#[derive(Clone)]
pub struct SockJs(Arc<Shared>);

type Talk = dyn Fn(SockJsSocket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

#[derive(Clone)]
struct Shared {
    prefix: String,
    service: SockJsService,
    config: SockJsOptions,
    timeout: Duration,
    options: Options,
    max_sessions: usize,
    max_body: usize,
    read_timeout: Duration,
    sessions: Arc<Mutex<Sessions>>,
    talk: Arc<Talk>,
}

#[derive(Default)]
struct Sessions {
    by_id: HashMap<Box<str>, Arc<Entry>>,
    is_swept: bool,
}

/// What a session's requests and its [`SockJsSocket`] share.
struct Entry {
    session: Held<SockJsSession<Instant>>,
    /// To the application; `None` once the client is gone.
    incoming: Mutex<Option<mpsc::Sender<String>>>,
}

impl AsRef<Held<SockJsSession<Instant>>> for Entry {
    fn as_ref(&self) -> &Held<SockJsSession<Instant>> {
        &self.session
    }
}

impl Machine for SockJsSession<Instant> {
    type Ticket = SockJsTicket;

    fn next_frame(&mut self, _: SockJsTicket, now: Instant, out: &mut Vec<u8>) -> Option<bool> {
        // There is no other: a second response is refused.
        self.next_frame(now, out).map(|sent| sent.last)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn cut(&mut self, ticket: SockJsTicket, now: Instant) {
        self.cut(ticket, now);
    }
}

impl SockJs {
    /// A service below `prefix`, such as `/echo`; empty if the HTTP server has taken the path off.
    pub fn new<F>(prefix: &str, talk: impl Fn(SockJsSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(Shared {
            prefix: prefix.trim_end_matches('/').to_string(),
            service: SockJsService::new(),
            config: SockJsOptions::new(),
            timeout: Duration::from_secs(5),
            options: Options::new(),
            max_sessions: 100_000,
            max_body: 256 << 10,
            read_timeout: Duration::from_secs(15),
            sessions: Arc::default(),
            talk: Arc::new(move |socket| Box::pin(talk(socket))),
        }))
    }

    /// What is offered to whom. The default is [`SockJsService::new`]: pages of the own host, no cookie.
    #[must_use]
    pub fn service(self, service: SockJsService) -> Self {
        self.change(|shared| shared.service = service)
    }

    /// Limits and times of each session.
    #[must_use]
    pub fn config(self, config: SockJsOptions) -> Self {
        self.change(|shared| shared.config = config)
    }

    /// Limits and times of WebSockets.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        self.change(|shared| shared.options = options)
    }

    /// Sessions at a time that are not WebSockets, default 100 000; more are answered 503.
    ///
    /// Without it whoever asks with ever new identifiers makes the server hold as many sessions.
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

    /// Whether a request's path is below this service's.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0.prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Sessions that are not WebSockets, those included whose client may yet come back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.0.sessions).by_id.len()
    }

    /// Answers a request: of this service, or 404.
    pub async fn serve<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<FrameworkBody> {
        let (parts, body) = request.into_parts();
        let body = match read(body, self.0.max_body, self.0.read_timeout).await {
            Ok(body) => body,
            Err(refused) => return respond(refused),
        };
        let entropy = random() as u32;
        let step = with_request(&parts, &self.0.prefix, &body, |request| {
            match self.0.service.route(request, entropy) {
                SockJsReply::Response(response) => Step::Respond(response),
                SockJsReply::Receive { session, transport, head } => self.receive(session, transport, head),
                SockJsReply::Send { session, messages, done, missing } => {
                    let entry = lock(&self.0.sessions).by_id.get(session).cloned();
                    match entry {
                        Some(entry) => {
                            Step::Deliver(entry, messages.iter().map(String::from).collect(), done)
                        }
                        None => Step::Respond(missing),
                    }
                }
                SockJsReply::WebSocket { framed } => Step::WebSocket(framed),
            }
        });
        match step {
            None => respond(HttpResponse::text(404, "404 Error: Page not found\n")),
            Some(Step::Respond(response)) => respond(response),
            Some(Step::Frames(frames, head)) => respond_with(head, FrameworkBody::live(frames)),
            Some(Step::Wait(waiting, head)) => respond_with(head, FrameworkBody::from(waiting.all().await)),
            Some(Step::Stream(waiting, head)) => respond_with(head, FrameworkBody::live(waiting)),
            Some(Step::Deliver(entry, messages, done)) => {
                entry.deliver(messages).await;
                respond(done)
            }
            Some(Step::WebSocket(framed)) => self.upgrade(parts, framed),
        }
    }

    /// The session's next response: it is begun if it does not exist.
    fn receive(&self, id: &str, transport: SockJsTransport, head: HttpResponse) -> Step {
        let mut sessions = lock(&self.0.sessions);
        let entry = match sessions.by_id.get(id) {
            Some(entry) => entry.clone(),
            None if sessions.by_id.len() >= self.0.max_sessions => {
                return Step::Respond(HttpResponse::text(503, "Too many sessions.\n"));
            }
            None => {
                let entry = self.begin();
                sessions.by_id.insert(id.into(), entry.clone());
                if !core::mem::replace(&mut sessions.is_swept, true) {
                    tokio::spawn(sweep(Arc::downgrade(&self.0.sessions), self.0.timeout));
                }
                entry
            }
        };
        drop(sessions);
        let is_polling = transport.is_polling();
        match entry.session.tell(|session| session.receive(transport.clone(), Instant::now())) {
            Err(Busy) => {
                let mut frames = Frames::default();
                frames.push(|out| _ = transport.write_prelude(out));
                frames.push(|out| transport.write_frame(Busy::FRAME, out));
                Step::Frames(frames, head)
            }
            Ok(ticket) if is_polling => Step::Wait(Waiting::new(entry, ticket), head),
            Ok(ticket) => Step::Stream(Waiting::new(entry, ticket), head),
        }
    }

    /// A session, and the application's task at it.
    fn begin(&self) -> Arc<Entry> {
        let (sender, incoming) = mpsc::channel(MAX_INCOMING);
        let session = Held::new(SockJsSession::new(self.0.config, Instant::now()));
        let entry = Arc::new(Entry { session, incoming: Mutex::new(Some(sender)) });
        tokio::spawn((self.0.talk)(SockJsSocket { entry: entry.clone(), incoming }));
        entry
    }

    fn upgrade(&self, parts: Parts, framed: bool) -> ::http::Response<FrameworkBody> {
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
                let _ = converse(socket, service.begin(), framed).await;
            }
        });
        response.map(|()| FrameworkBody::default())
    }
}

/// What is left to do for a request once its fields need no longer be lent.
enum Step {
    Respond(HttpResponse),
    Frames(Frames, HttpResponse),
    Wait(Waiting<SockJsSession<Instant>, Entry>, HttpResponse),
    Stream(Waiting<SockJsSession<Instant>, Entry>, HttpResponse),
    Deliver(Arc<Entry>, Vec<String>, HttpResponse),
    WebSocket(bool),
}

/// Moves frames between a WebSocket and its session, whose life is the WebSocket's.
async fn converse<S>(mut socket: WebSocket<S>, entry: Arc<Entry>, framed: bool) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let transport = if framed { SockJsTransport::WebSocket } else { SockJsTransport::RawWebSocket };
    let Ok(ticket) = entry.session.tell(|session| session.receive(transport, Instant::now())) else {
        return Ok(()); // it is new, and nobody else knows it
    };
    // Dropped, it ends the session.
    let mut frames = Waiting::new(entry.clone(), ticket);
    let _gone = Gone(entry.clone());
    loop {
        let turn = {
            let mut message = pin!(socket.next());
            poll_fn(|cx| match frames.poll_chunk(cx) {
                Poll::Ready(frame) => Poll::Ready(Turn::Frame(frame)),
                Poll::Pending => message.as_mut().poll(cx).map(Turn::Message),
            })
            .await
        };
        match turn {
            Turn::Frame(Some(frame)) => {
                socket.send(core::str::from_utf8(&frame).unwrap_or_default()).await?;
            }
            Turn::Frame(None) => {
                let closed = entry.session.ask(|session| {
                    session.closed().filter(|_| !framed).map(|(code, reason)| (code, reason.to_string()))
                });
                let (code, reason) = closed.unwrap_or((1000, "Normal closure".to_string()));
                return socket.close(code, &reason).await;
            }
            Turn::Message(Some(Ok(ws::Message::Text(text)))) if framed => {
                match SockJsMessages::parse(text.to_string()) {
                    Ok(messages) => entry.deliver(messages.iter().map(String::from).collect()).await,
                    // The protocol has such a connection cut without a word.
                    Err(_) => return Ok(()),
                }
            }
            Turn::Message(Some(Ok(ws::Message::Text(text)))) => entry.deliver([text.into()].into()).await,
            Turn::Message(Some(Ok(_))) => {}
            Turn::Message(Some(Err(error))) => return Err(error),
            Turn::Message(None) => return Ok(()),
        }
    }
}

/// What comes first at a WebSocket.
enum Turn {
    Frame(Option<Bytes>),
    Message(Option<Result<ws::Message, Error>>),
}

/// Drops sessions whose time is out, while there are any.
async fn sweep(sessions: Weak<Mutex<Sessions>>, timeout: Duration) {
    let pause = (timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        sleep(pause).await;
        let Some(sessions) = sessions.upgrade() else { return };
        let mut sessions = lock(&sessions);
        let now = Instant::now();
        sessions.by_id.retain(|_, entry| {
            let (is_over, is_closed) =
                entry.session.ask(|session| (session.is_expired(now), session.is_closed()));
            if is_over || is_closed {
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

impl Entry {
    /// Waits while the application has too many that it has not taken.
    async fn deliver(&self, messages: Vec<String>) {
        for message in messages {
            let sender = lock(&self.incoming).clone();
            let Some(sender) = sender else { return };
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }

    /// The client is gone: the application hears of it.
    fn end(&self) {
        lock(&self.incoming).take();
        self.session.tell(|session| session.close(1002, "Connection interrupted", Instant::now()));
    }
}

struct Gone(Arc<Entry>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A few pieces that are there already.
#[derive(Default)]
struct Frames(Vec<Bytes>);

impl Frames {
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut out);
        if !out.is_empty() {
            self.0.insert(0, out.into());
        }
    }
}

impl Feed for Frames {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Bytes>> {
        Poll::Ready(self.0.pop())
    }
}

/// The application's end of a session, over whichever transport its client uses. Dropped, it closes the session: 1000,
/// "Normal closure".
///
/// See [`SockJs`] for an example.
pub struct SockJsSocket {
    entry: Arc<Entry>,
    incoming: mpsc::Receiver<String>,
}

impl SockJsSocket {
    /// The next message; `None` once the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        self.incoming.recv().await
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if the client does not fetch what it is sent, or is gone.
    pub fn send(&self, text: &str) -> Result<(), NotTaken> {
        self.send_message(SockJsMessage::text(text))
    }

    /// Sends a message that was made once for many sessions.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_message(&self, message: SockJsMessage) -> Result<(), NotTaken> {
        self.entry.session.tell(|session| session.send(message))
    }

    /// Closes the session: the client gets all that was sent before, then this.
    pub fn close(self, code: u16, reason: &str) {
        self.entry.session.tell(|session| session.close(code, reason, Instant::now()));
    }
}

impl Drop for SockJsSocket {
    fn drop(&mut self) {
        self.entry.session.tell(|session| session.close(1000, "Normal closure", Instant::now()));
    }
}

impl fmt::Debug for SockJs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs")
            .field("prefix", &self.0.prefix)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SockJsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}
