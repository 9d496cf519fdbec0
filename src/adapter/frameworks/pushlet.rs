//! A Pushlet server: all its sessions behind one lock, each response with its own waker.

use super::FrameworkBody;
use super::body::{Feed, lock, until};
use super::http::{read, respond, respond_with, with_request};
use crate::adapter::nonce;
use crate::comet::HttpResponse;
use crate::comet::pushlet::{Fresh, Publication, PushletOptions, PushletReply, PushletServer, PushletTicket};
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::ToString;
use std::sync::{Arc, Mutex, Weak};
use std::time::{SystemTime, UNIX_EPOCH};
use std::vec::Vec;
use tokio::time::{Instant, Sleep, sleep};

/// Serves Pushlet clients at a path, such as `/pushlet.srv`. What one publishes goes to all who have subscribed.
///
/// ```
/// use pushline::adapter::frameworks::{FrameworkBody, Pushlet};
/// use pushline::comet::pushlet::PushletOptions;
///
/// let pushlet = Pushlet::new("/pushlet.srv", PushletOptions::new());
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let request = http::Request::get("/pushlet.srv?p_event=join&p_format=json").body(FrameworkBody::default()).unwrap();
/// assert_eq!(pushlet.serve(request).await.status(), 200);
/// pushlet.publish("/news", &[("text", "for all who hear of /news")]);
/// # });
/// ```
#[derive(Clone)]
pub struct Pushlet {
    path: Arc<str>,
    max_body: usize,
    decide: Option<Arc<Decide>>,
    shared: Arc<Mutex<Shared>>,
}

type Decide = dyn Fn(&Publication) -> bool + Send + Sync;

struct Shared {
    server: PushletServer<Instant>,
    wakers: HashMap<PushletTicket, Waker>,
    is_swept: bool,
}

impl Shared {
    /// The responses that something may have to be written to.
    fn woken(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(ticket) = self.server.next_ready() {
            woken.extend(self.wakers.remove(&ticket));
        }
        woken
    }
}

impl Pushlet {
    /// A server at this path, which clients are told to come back to.
    #[must_use]
    pub fn new(path: &str, config: PushletOptions) -> Self {
        Self::over(path, config.moderated(false))
    }

    /// As [`new`](Self::new), but `decide` is shown all that clients publish: only what it answers with `true` goes to
    /// the subscribers. The rest is the program's, which may answer by [`send`](Self::send).
    #[must_use]
    pub fn moderated(
        path: &str,
        config: PushletOptions,
        decide: impl Fn(&Publication) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { decide: Some(Arc::new(decide)), ..Self::over(path, config.moderated(true)) }
    }

    fn over(path: &str, config: PushletOptions) -> Self {
        let server = PushletServer::new(config.url(path.to_string()));
        let shared = Shared { server, wakers: HashMap::new(), is_swept: false };
        Self { path: path.into(), max_body: 64 << 10, decide: None, shared: Arc::new(Mutex::new(shared)) }
    }

    /// Bytes of a request's body, default 64 KiB; more are answered 413.
    ///
    /// Without it one request makes the server hold whatever it carries.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Publishes an event of the server's own.
    pub fn publish(&self, subject: &str, fields: &[(&str, &str)]) {
        self.tell(|shared| shared.server.publish(subject, fields, seconds()));
    }

    /// Sends an event of the server's own to one session (its `p_id`), whatever it has subscribed to. `false` if there is
    /// no such session, or it does not listen.
    pub fn send(&self, session: &str, subject: &str, fields: &[(&str, &str)]) -> bool {
        self.tell(|shared| shared.server.send(session, subject, fields, seconds()))
    }

    /// Whether there is such a session.
    #[must_use]
    pub fn is_open(&self, session: &str) -> bool {
        lock(&self.shared).server.is_open(session)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.shared).server.sessions()
    }

    /// Answers a request: at this path, or 404.
    pub async fn serve<B: http_body::Body>(
        &self,
        request: ::http::Request<B>,
    ) -> ::http::Response<FrameworkBody> {
        let (parts, body) = request.into_parts();
        let body = match read(body, self.max_body, Duration::from_secs(15)).await {
            Ok(body) => body,
            Err(refused) => return respond(refused),
        };
        // Without randomness nobody can join: whoever guessed the identifier could act for the client.
        let Ok(id) = nonce() else { return respond(HttpResponse::text(503, "No randomness.\n")) };
        let fresh = Fresh { id, time: seconds() };
        let reply = with_request(&parts, &self.path, &body, |request| {
            let (reply, publication) = self.tell(|shared| {
                let reply = shared.server.request(request, fresh, Instant::now());
                (reply, shared.server.take_publication())
            });
            if let Some(publication) = publication
                && self.decide.as_ref().is_some_and(|decide| decide(&publication))
            {
                self.tell(|shared| shared.server.forward(publication));
            }
            reply
        });
        match reply {
            None => respond(HttpResponse::text(404, "Not found.\n")),
            Some(PushletReply::Response(response)) => {
                self.sweep();
                respond(response)
            }
            Some(PushletReply::Listen { ticket, mut head }) => {
                self.sweep();
                let first = Some(core::mem::take(&mut head.body).into());
                let listening =
                    Listening { shared: self.shared.clone(), ticket, first, over: false, timer: None };
                respond_with(head, FrameworkBody::live(listening))
            }
        }
    }

    fn tell<T>(&self, work: impl FnOnce(&mut Shared) -> T) -> T {
        let mut shared = lock(&self.shared);
        let result = work(&mut shared);
        let woken = shared.woken();
        drop(shared);
        woken.into_iter().for_each(Waker::wake);
        result
    }

    /// Has sessions end that nobody comes back to, as long as there are any.
    fn sweep(&self) {
        let mut shared = lock(&self.shared);
        if shared.server.sessions() == 0 || core::mem::replace(&mut shared.is_swept, true) {
            return;
        }
        drop(shared);
        let shared: Weak<Mutex<Shared>> = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                let Some(shared) = shared.upgrade() else { return };
                let mut shared = lock(&shared);
                shared.server.sweep(Instant::now());
                let woken = shared.woken();
                let is_over = shared.server.sessions() == 0;
                shared.is_swept = !is_over;
                drop(shared);
                woken.into_iter().for_each(Waker::wake);
                if is_over {
                    return;
                }
            }
        });
    }
}

#[allow(clippy::disallowed_methods)] // this is where the clock is read
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// One response that events are written to.
struct Listening {
    shared: Arc<Mutex<Shared>>,
    ticket: PushletTicket,
    first: Option<Bytes>,
    over: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Feed for Listening {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            let due = {
                let mut shared = lock(&self.shared);
                let mut out = Vec::new();
                if let Some(last) = shared.server.next_piece(&self.ticket, Instant::now(), &mut out) {
                    self.over = last;
                    if out.is_empty() {
                        continue;
                    }
                    return Poll::Ready(Some(out.into()));
                }
                shared.wakers.insert(self.ticket.clone(), cx.waker().clone());
                shared.server.next_deadline(&self.ticket)
            };
            let Some(due) = due else { return Poll::Pending };
            ready!(until(&mut self.timer, due, cx));
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.wakers.remove(&self.ticket);
        shared.server.close(&self.ticket);
    }
}

impl fmt::Debug for Pushlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushlet")
            .field("path", &self.path)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}
