//! A SockJS service: sessions by their identifiers, and the WebSockets that have none.

use super::FrameworkBody;
use super::body::Feed;
use super::held::{Machine, Waiting};
use super::http::{read, respond, respond_with, with_request};
use super::sessions::{self, Begun, Turn, hold, send, turn};
use crate::adapter::random::random;
use crate::adapter::{Error, Options, hyper};
use crate::comet::HttpResponse;
use crate::comet::sockjs::{
    Busy, NotTaken, SockJsMessage, SockJsMessages, SockJsOptions, SockJsReply, SockJsService, SockJsSession,
    SockJsTicket, SockJsTransport,
};
use crate::ws;
use bytes::Bytes;
use core::fmt;
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
/// // For hyper: `service_fn`; for axum: `Router::route_service`.
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

type Shared = sessions::Shared<SockJsService, SockJsOptions, SockJsSession<Instant>>;
type Entry = sessions::Entry<SockJsSession<Instant>>;

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

    fn gone(&mut self, now: Instant) {
        self.close(1002, "Connection interrupted", now);
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.is_expired(now)
    }

    fn give_up(&mut self, now: Instant) {
        self.give_up(now);
    }

    fn is_closed(&self) -> bool {
        self.is_closed()
    }
}

impl SockJs {
    /// A service below `prefix`, such as `/echo`; empty if the HTTP server has taken the path off.
    pub fn new<F>(prefix: &str, talk: impl Fn(SockJsSocket) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let talk = move |begun: Begun<_>| {
            let sender = SockJsSender { entry: begun.entry };
            talk(SockJsSocket { sender, incoming: begun.incoming })
        };
        Self(Arc::new(Shared::new(prefix, SockJsService::new(), SockJsOptions::new(), talk)))
    }

    /// What is offered to whom. The default is [`SockJsService::new`]: pages of the own host, no cookie.
    #[must_use]
    pub fn service(self, service: SockJsService) -> Self {
        self.change(|shared| shared.service = service)
    }

    /// Limits and times of each session.
    #[must_use]
    pub fn session(self, config: SockJsOptions) -> Self {
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
        path.strip_prefix(&*self.0.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Sessions that are not WebSockets, those included whose client may yet come back.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.0.sessions()
    }

    /// Answers a request: of this service, or 404.
    pub async fn serve<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<FrameworkBody> {
        let (parts, body) = request.into_parts();
        let body = match read(body, self.0.max_body, Duration::from_secs(15)).await {
            Ok(body) => body,
            Err(refused) => return respond(refused),
        };
        let entropy = random() as u32;
        let step = with_request(&parts, &self.0.path, &body, |request| {
            match self.0.service.route(request, entropy) {
                SockJsReply::Response(response) => Step::Respond(response),
                SockJsReply::Receive { session, transport, head } => self.receive(session, transport, head),
                SockJsReply::Send { session, messages, done, missing } => match self.0.find(session) {
                    // As the reference server: it is over, whether the application knows it already or not.
                    Some(entry) if entry.session.ask(SockJsSession::is_closed) => Step::Respond(done),
                    Some(entry) => Step::Deliver(entry, messages.iter().map(String::from).collect(), done),
                    None => Step::Respond(missing),
                },
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
                deliver(&entry, messages).await;
                respond(done)
            }
            Some(Step::WebSocket(framed)) => {
                let service = self.clone();
                self.0.upgrade(parts, self.0.service.origin_policy(), async move |socket| {
                    converse(socket, service.0.begin(service.new_session()), framed).await
                })
            }
        }
    }

    /// The session's next response: it is begun if it does not exist.
    fn receive(&self, id: &str, transport: SockJsTransport, head: HttpResponse) -> Step {
        let entry = match self.0.find_or_begin(id, || self.new_session()) {
            Ok(entry) => entry,
            Err(refused) => return Step::Respond(refused),
        };
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

    fn new_session(&self) -> SockJsSession<Instant> {
        SockJsSession::new(self.0.config, Instant::now())
    }
}

/// What is left to do for a request once its fields need no longer be lent.
enum Step {
    Respond(HttpResponse),
    Frames(Frames, HttpResponse),
    Wait(Waiting<SockJsSession<Instant>>, HttpResponse),
    Stream(Waiting<SockJsSession<Instant>>, HttpResponse),
    Deliver(Arc<Entry>, Vec<String>, HttpResponse),
    WebSocket(bool),
}

/// Moves frames between a WebSocket and its session, whose life is the WebSocket's.
async fn converse(mut socket: hyper::Socket, entry: Arc<Entry>, framed: bool) -> Result<(), Error> {
    let transport = if framed { SockJsTransport::WebSocket } else { SockJsTransport::RawWebSocket };
    let Ok(ticket) = entry.session.tell(|session| session.receive(transport, Instant::now())) else {
        return Ok(()); // it is new, and nobody else knows it
    };
    // Dropped, it ends the session.
    let mut frames = Waiting::new(entry.clone(), ticket);
    let _gone = Gone(entry.clone());
    loop {
        match turn(&mut socket, &mut frames).await {
            Turn::Frame(Some(frame)) => send(&mut socket, &frame).await?,
            Turn::Frame(None) => {
                let closed = entry.session.ask(|session| {
                    session.closed().filter(|_| !framed).map(|(code, reason)| (code, reason.to_string()))
                });
                let (code, reason) = closed.unwrap_or((1000, "Normal closure".to_string()));
                return socket.close(code, &reason).await;
            }
            Turn::Message(Some(Ok(ws::Message::Text(text)))) if framed => {
                match SockJsMessages::parse(text.to_string()) {
                    Ok(messages) => {
                        let messages = messages.iter().map(String::from).collect();
                        hold(&mut socket, &mut frames, deliver(&entry, messages)).await?;
                    }
                    // The protocol has such a connection cut without a word.
                    Err(_) => return Ok(()),
                }
            }
            Turn::Message(Some(Ok(ws::Message::Text(text)))) => {
                hold(&mut socket, &mut frames, deliver(&entry, [text.into()].into())).await?;
            }
            Turn::Message(Some(Ok(_))) => {}
            Turn::Message(Some(Err(error))) => return Err(error),
            Turn::Message(None) => return Ok(()),
        }
    }
}

/// Waits while the application has too many that it has not taken.
async fn deliver(entry: &Entry, messages: Vec<String>) {
    for message in messages {
        if !entry.deliver(message).await {
            return;
        }
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
/// ```
/// use pushline::adapter::frameworks::SockJsSocket;
///
/// async fn greet(mut socket: SockJsSocket) {
///     if socket.next().await.as_deref() == Some("hello") {
///         let _ = socket.send("hello to you, too");
///     }
///     socket.close(3000, "Go away!");
/// }
/// ```
pub struct SockJsSocket {
    sender: SockJsSender,
    incoming: mpsc::Receiver<String>,
}

/// Sends to one session; kept by whoever wants to.
///
/// ```
/// use pushline::adapter::frameworks::SockJsSender;
/// use pushline::comet::sockjs::SockJsMessage;
///
/// /// One message, made once for all; those who do not fetch theirs are left out next time.
/// fn say(room: &mut Vec<SockJsSender>, message: &SockJsMessage) {
///     room.retain(|sender| sender.send_message(message.clone()).is_ok());
/// }
/// ```
#[derive(Clone)]
pub struct SockJsSender {
    entry: Arc<Entry>,
}

impl SockJsSocket {
    /// The next message; `None` once the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<String> {
        self.incoming.recv().await
    }

    /// What sends to this client, from wherever.
    #[must_use]
    pub const fn sender(&self) -> &SockJsSender {
        &self.sender
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if the client does not fetch what it is sent, or is gone.
    pub fn send(&self, text: &str) -> Result<(), NotTaken> {
        self.sender.send(text)
    }

    /// Sends a message that was made once for many sessions.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_message(&self, message: SockJsMessage) -> Result<(), NotTaken> {
        self.sender.send_message(message)
    }

    /// Closes the session: the client gets all that was sent before, then this.
    pub fn close(self, code: u16, reason: &str) {
        self.sender.entry.session.tell(|session| session.close(code, reason, Instant::now()));
    }
}

/// The messages, as [`next`](SockJsSocket::next) gives them.
impl Stream for SockJsSocket {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<String>> {
        self.get_mut().incoming.poll_recv(cx)
    }
}

impl SockJsSender {
    /// As [`SockJsSocket::send`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send(&self, text: &str) -> Result<(), NotTaken> {
        self.send_message(SockJsMessage::text(text))
    }

    /// As [`SockJsSocket::send_message`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn send_message(&self, message: SockJsMessage) -> Result<(), NotTaken> {
        self.entry.session.tell(|session| session.send(message, Instant::now()))
    }
}

impl Drop for SockJsSocket {
    fn drop(&mut self) {
        self.sender.entry.session.tell(|session| session.close(1000, "Normal closure", Instant::now()));
    }
}

impl fmt::Debug for SockJs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs")
            .field("prefix", &self.0.path)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SockJsSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsSender").finish_non_exhaustive()
    }
}

impl fmt::Debug for SockJsSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsSocket").finish_non_exhaustive()
    }
}
