//! What the services whose sessions stand by themselves share: the map of the sessions, the way to their applications,
//! WebSockets, and whom time drops.

use super::FrameworkBody;
use super::body::{Feed, lock};
use super::held::{Held, Machine, Waiting};
use crate::adapter::hyper::{Socket, refuse, upgrade};
use crate::adapter::{Error, Options};
use crate::comet::HttpResponse;
use crate::ws::Message;
use crate::ws::handshake::{OriginPolicy, ServerOptions};
use ::http::request::Parts;
use bytes::Bytes;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::{String, ToString};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Messages that a session's application has not taken; then its client's requests wait.
const MAX_INCOMING: usize = 64;

/// How long nothing is sent to a client whose application does not take what it said.
const SILENCE: Duration = Duration::from_secs(20);

/// How often is looked for sessions whose time is out.
const SWEEP: Duration = Duration::from_secs(1);

/// What a session's requests and its application share.
pub(super) struct Entry<M> {
    pub(super) session: Held<M>,
    /// To the application; `None` once the client is gone.
    incoming: Mutex<Option<mpsc::Sender<String>>>,
}

impl<M: Machine> Entry<M> {
    /// Waits while the application has too many that it has not taken. `false` if it takes no more.
    pub(super) async fn deliver(&self, text: String) -> bool {
        let sender = lock(&self.incoming).clone();
        match sender {
            Some(sender) => sender.send(text).await.is_ok(),
            None => false,
        }
    }

    /// The client is gone: the application hears of it.
    pub(super) fn end(&self) {
        lock(&self.incoming).take();
        self.session.tell(|session| session.gone(Instant::now()));
    }
}

/// The application's end of a session, before it has a type of its own.
pub(super) struct Begun<M> {
    pub(super) entry: Arc<Entry<M>>,
    pub(super) incoming: mpsc::Receiver<String>,
}

type Talk<M> = dyn Fn(Begun<M>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// A service: what it is set up with, and its sessions. `R` says what a request asks for, `C` configures a session.
#[derive(Clone)]
pub(super) struct Shared<R, C, M> {
    /// Where it is, without a slash at the end.
    pub(super) path: String,
    pub(super) service: R,
    pub(super) config: C,
    pub(super) options: Options,
    pub(super) max_sessions: usize,
    pub(super) max_body: usize,
    sessions: Arc<Mutex<Sessions<M>>>,
    talk: Arc<Talk<M>>,
}

struct Sessions<M> {
    by_id: HashMap<Box<str>, Arc<Entry<M>>>,
    is_swept: bool,
}

impl<R, C, M: Machine> Shared<R, C, M> {
    pub(super) fn new<F>(
        path: &str,
        service: R,
        config: C,
        talk: impl Fn(Begun<M>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self {
            path: path.trim_end_matches('/').to_string(),
            service,
            config,
            options: Options::new(),
            max_sessions: 100_000,
            max_body: 256 << 10,
            sessions: Arc::new(Mutex::new(Sessions { by_id: HashMap::new(), is_swept: false })),
            talk: Arc::new(move |begun| Box::pin(talk(begun))),
        }
    }

    pub(super) fn sessions(&self) -> usize {
        lock(&self.sessions).by_id.len()
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Entry<M>>> {
        lock(&self.sessions).by_id.get(id).cloned()
    }

    /// Its client has left for good.
    #[cfg(feature = "atmosphere")]
    pub(super) fn remove(&self, id: &str) {
        let entry = lock(&self.sessions).by_id.remove(id);
        if let Some(entry) = entry {
            entry.end();
        }
    }

    /// A session that no request finds, and the application's task at it.
    pub(super) fn begin(&self, machine: M) -> Arc<Entry<M>> {
        let (sender, incoming) = mpsc::channel(MAX_INCOMING);
        let entry = Arc::new(Entry { session: Held::new(machine), incoming: Mutex::new(Some(sender)) });
        let (talk, begun) = (self.talk.clone(), Begun { entry: entry.clone(), incoming });
        // The application's from its first line on: here a lock may be held.
        tokio::spawn(async move { talk(begun).await });
        entry
    }

    /// The session of this identifier: it is begun if it does not exist.
    pub(super) fn find_or_begin(
        &self,
        id: &str,
        machine: impl FnOnce() -> M,
    ) -> Result<Arc<Entry<M>>, HttpResponse> {
        let mut sessions = lock(&self.sessions);
        if let Some(entry) = sessions.by_id.get(id) {
            return Ok(entry.clone());
        }
        if sessions.by_id.len() >= self.max_sessions {
            return Err(too_many());
        }
        let entry = self.begin(machine());
        sessions.by_id.insert(id.into(), entry.clone());
        if !core::mem::replace(&mut sessions.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.sessions)));
        }
        Ok(entry)
    }

    /// Why a WebSocket is not to be accepted: its session does not exist, and there are as many as may be.
    #[cfg(feature = "atmosphere")]
    pub(super) fn refusal(&self, id: Option<&str>) -> Option<HttpResponse> {
        let sessions = lock(&self.sessions);
        let is_known = id.is_some_and(|id| sessions.by_id.contains_key(id));
        (!is_known && sessions.by_id.len() >= self.max_sessions).then(too_many)
    }

    /// Accepts a WebSocket, over HTTP/1.1 or HTTP/2, and has a task serve it.
    pub(super) fn upgrade<F>(
        &self,
        parts: Parts,
        origins: &OriginPolicy,
        serve: impl FnOnce(Socket) -> F + Send + 'static,
    ) -> ::http::Response<FrameworkBody>
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let mut request = ::http::Request::from_parts(parts, ());
        match upgrade(&mut request, &ServerOptions::new().origin(origins.clone()), &self.options) {
            Err(rejection) => refuse(&rejection),
            Ok((response, upgrade)) => {
                tokio::spawn(async move {
                    // The client may be gone by then.
                    if let Ok(socket) = upgrade.await {
                        let _ = serve(socket).await;
                    }
                });
                response
            }
        }
    }
}

fn too_many() -> HttpResponse {
    HttpResponse::text(503, "Too many sessions.\n")
}

/// What comes first at a WebSocket.
pub(super) enum Turn {
    /// The session has this to write; `None` at its end.
    Frame(Option<Bytes>),
    /// The client says this; `None` once it is gone.
    Message(Option<Result<Message, Error>>),
}

/// Waits for what comes first, with frames ahead of messages. Cancel-safe.
pub(super) async fn turn<M: Machine>(socket: &mut Socket, frames: &mut Waiting<M>) -> Turn {
    let mut message = pin!(socket.next());
    poll_fn(|cx| match frames.poll_chunk(cx) {
        Poll::Ready(frame) => Poll::Ready(Turn::Frame(frame)),
        Poll::Pending => message.as_mut().poll(cx).map(Turn::Message),
    })
    .await
}

/// Waits until the application has taken what the client said, or the session is over. Nothing more is read meanwhile; what
/// there is to be sent is sent, and a ping, without which nobody would notice that the client is gone.
pub(super) async fn hold<M: Machine>(
    socket: &mut Socket,
    frames: &mut Waiting<M>,
    taken: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut taken = pin!(taken);
    // Nearly always it is taken at once.
    if poll_fn(|cx| Poll::Ready(taken.as_mut().poll(cx).is_ready())).await {
        return Ok(());
    }
    loop {
        let mut silence = pin!(sleep(SILENCE));
        let frame = poll_fn(|cx| {
            if taken.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            match frames.poll_chunk(cx) {
                Poll::Ready(frame) => Poll::Ready(frame.map(Some)),
                Poll::Pending => silence.as_mut().poll(cx).map(|()| Some(None)),
            }
        });
        match frame.await {
            None => return Ok(()),
            Some(Some(frame)) => send(socket, &frame).await?,
            Some(None) => socket.ping(b"").await?,
        }
        // What is sent waits for what was read already to be looked at.
        socket.flush().await?;
    }
}

/// Sends a frame, which is text.
pub(super) async fn send(socket: &mut Socket, frame: &[u8]) -> Result<(), Error> {
    socket.send(core::str::from_utf8(frame).unwrap_or_default()).await
}

/// Drops sessions whose time is out, while there are any.
async fn sweep<M: Machine>(sessions: Weak<Mutex<Sessions<M>>>) {
    loop {
        sleep(SWEEP).await;
        let Some(sessions) = sessions.upgrade() else { return };
        let mut sessions = lock(&sessions);
        let now = Instant::now();
        sessions.by_id.retain(|_, entry| {
            let (is_over, is_closed) =
                entry.session.ask(|session| (session.is_expired(now), session.is_closed()));
            if is_over || is_closed {
                entry.end();
            }
            if is_over {
                // Its application and a response that stands still may hold it for longer.
                entry.session.tell(|session| session.give_up(now));
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
