//! A client that polls or streams, between the tasks that tell it something and the requests that fetch it. The protocol is in
//! `comet/`: here are its lock, its waker and its timer, and what makes responses of its answers.

use super::sse::poll_timer;
use crate::comet::{
    AnswerKind, CometAnswer, CometMessage, CometOptions, CometSession, CometTicket, StreamWriter, TooLarge,
};
use bytes::Bytes;
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use futures_core::Stream;
use std::boxed::Box;
#[cfg(feature = "http")]
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tokio::time::{Instant, Sleep, sleep};

/// A [`CometSession`] that tasks share: some push messages into it, and the client's requests wait at it.
///
/// A clone is another handle on the same session. Nothing is spawned: a server asks [`is_done`](Self::is_done) now and then, and
/// drops the sessions that are, among them those of clients that stay away. What one session may hold
/// is bounded by its [`CometOptions`]; how many sessions there are, and which client may come to which, is the server's to say.
///
/// Behind hyper and axum the responses of [`into_json`](CometRequest::into_json) and [`into_jsonp`](CometRequest::into_jsonp) are
/// returned as they are.
///
/// ```
/// use pushline::adapter::tokio::comet::CometOutbox;
/// use pushline::comet::{CometMessage, CometOptions};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let outbox = CometOutbox::new(CometOptions::new(), 0);
///
/// // GET /poll?since=0: held until there is news.
/// let request = outbox.poll(0);
/// outbox.push(CometMessage::text("hello"))?;
/// let response = request.into_json().await;
/// assert_eq!(response.status(), 200);
/// assert_eq!(response.body(), r#"{"cursor":1,"messages":[{"id":1,"data":"hello"}]}"#);
/// # Ok::<(), pushline::comet::TooLarge>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct CometOutbox(Arc<Mutex<State>>);

struct State {
    session: CometSession<Instant>,
    /// The request that is not over.
    current: Option<CometTicket>,
    /// Of the one that waits.
    waker: Option<Waker>,
    end: End,
}

/// What the server has said about the session's end.
#[derive(PartialEq)]
enum End {
    None,
    /// Nothing follows what was pushed.
    Finished,
    /// The client has gone elsewhere.
    Abandoned,
}

impl CometOutbox {
    /// A session whose messages are numbered from the one behind `cursor`; 0 for a client that has none.
    #[must_use]
    pub fn new(options: CometOptions, cursor: u64) -> Self {
        let session = CometSession::new(options, Instant::now()).starting_at(cursor);
        Self(Arc::new(Mutex::new(State { session, current: None, waker: None, end: End::None })))
    }

    /// Adds a message, which answers the request that waits, and gives its number.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], as [`CometSession::push`].
    pub fn push(&self, message: CometMessage) -> Result<u64, TooLarge> {
        self.change(|state| state.session.push(message))
    }

    /// A request of a client that has all up to `since`: it is to be answered once, with news or, without any, after
    /// [`CometOptions::hold`]. It takes the place of an older one.
    #[must_use]
    pub fn poll(&self, since: u64) -> CometRequest {
        self.open(since, false)
    }

    /// The same, for a response that goes on.
    #[must_use]
    pub fn stream(&self, since: u64) -> CometRequest {
        self.open(since, true)
    }

    /// Nothing follows what was pushed: once the client has acknowledged it, the session [is done](Self::is_done).
    pub fn finish(&self) {
        self.change(|state| state.end = End::Finished);
    }

    /// The client has gone elsewhere: the session [is done](Self::is_done). The request that waits, and what still comes, is over
    /// as if a newer one had come: its client is told nothing.
    pub fn abandon(&self) {
        self.change(|state| (state.current, state.end) = (None, End::Abandoned));
    }

    /// Whether the session can go on for a client that has all up to `since`: it has what follows, and was not
    /// [abandoned](Self::abandon).
    #[must_use]
    pub fn has(&self, since: u64) -> bool {
        let state = self.lock();
        state.end != End::Abandoned && state.session.log().after(since).is_some()
    }

    /// Whether the session is to be dropped: its client has stayed away for longer than [`CometOptions::idle`], or read
    /// nothing for that time and [`CometOptions::hold`], has acknowledged all of one that is [finished](Self::finish), or has [gone elsewhere](Self::abandon).
    #[must_use]
    pub fn is_done(&self) -> bool {
        let state = self.lock();
        match state.end {
            End::Abandoned => true,
            End::Finished if state.session.log().is_empty() => true,
            End::None | End::Finished => state.session.is_expired(Instant::now()),
        }
    }

    fn open(&self, since: u64, is_stream: bool) -> CometRequest {
        let ticket = self.change(|state| {
            let now = Instant::now();
            let session = &mut state.session;
            let opened = if is_stream { session.stream(since, now) } else { session.poll(since, now) };
            state.current = Some(opened.ticket).filter(|_| state.end != End::Abandoned);
            opened.ticket
        });
        CometRequest { outbox: self.clone(), ticket, is_stream, timer: None }
    }

    /// Wakes the request that waits.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Nothing under it panics but what the application writes answers with, which changes nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits at a [`CometOutbox`]. To be dropped when its client has left.
///
/// ```
/// use pushline::adapter::tokio::comet::CometOutbox;
/// use pushline::comet::CometOptions;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let outbox = CometOutbox::new(CometOptions::new(), 0);
/// let older = outbox.poll(0);
/// let _newer = outbox.poll(0);
/// assert_eq!(older.into_json().await.status(), 204); // there is nothing for it any more
/// # });
/// ```
pub struct CometRequest {
    outbox: CometOutbox,
    ticket: CometTicket,
    is_stream: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl CometRequest {
    /// Waits until there is something to be answered, and has it written; `None` if the request is over: it was answered, or
    /// a newer one has come. Cancel-safe.
    ///
    /// `write` is called once, while the session is locked: it must not call the [`CometOutbox`].
    pub async fn next<T>(&mut self, mut write: impl FnMut(Option<&CometAnswer<'_>>) -> T) -> T {
        poll_fn(|cx| self.poll_answer(cx, &mut write)).await
    }

    fn poll_answer<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: &mut dyn FnMut(Option<&CometAnswer<'_>>) -> T,
    ) -> Poll<T> {
        loop {
            let due = {
                let mut state = self.outbox.lock();
                let State { session, current, waker, .. } = &mut *state;
                if *current != Some(self.ticket) {
                    return Poll::Ready(write(None));
                }
                if let Some(answer) = session.next_answer(Instant::now()) {
                    if !self.is_stream || matches!(answer.kind, AnswerKind::Gone) {
                        *current = None;
                    }
                    return Poll::Ready(write(Some(&answer)));
                }
                *waker = Some(cx.waker().clone());
                session.next_deadline()
            };
            let Some(due) = due else { return Poll::Pending };
            ready!(poll_timer(&mut self.timer, due, cx));
        }
    }

    /// The body of a response that goes on, as this writer writes it.
    #[must_use]
    pub fn into_body(self, writer: StreamWriter) -> CometBody {
        CometBody { request: Some(self), writer, is_open: false, end: None }
    }
}

#[cfg(feature = "http")]
impl CometRequest {
    /// The answer to a poll as JSON: 200 with messages, 204 without, 410 if what the client asks for is gone.
    pub async fn into_json(mut self) -> ::http::Response<String> {
        use crate::comet::JSON_FIELDS;

        let (status, body) = self
            .next(|answer| match answer.map(|answer| (answer, answer.status())) {
                Some((answer, status)) if status != 204 => {
                    let mut body = Vec::new();
                    answer.write_json(&mut body);
                    (status, body)
                }
                _ => (204, Vec::new()),
            })
            .await;
        // What has no content has no type.
        let fields = if status == 204 { &JSON_FIELDS[1..] } else { &JSON_FIELDS };
        response(status, fields, text(body))
    }

    /// The answer to a poll as a script that calls this function of the page. If a newer request has come, it calls nothing.
    pub async fn into_jsonp(
        mut self,
        callback: crate::comet::jsonp::Callback<'_>,
    ) -> ::http::Response<String> {
        use crate::comet::jsonp;

        let mut body = Vec::new();
        self.next(|answer| {
            if let Some(answer) = answer {
                jsonp::write(callback, answer, &mut body);
            }
        })
        .await;
        response(200, &jsonp::FIELDS, text(body))
    }
}

impl Drop for CometRequest {
    fn drop(&mut self) {
        self.outbox.lock().session.close(self.ticket, Instant::now());
    }
}

/// The body of a response that goes on: a stream for XMLHttpRequest or an iframe, as its [`StreamWriter`] has it. It ends
/// when the writer's budget is spent, when a newer request has come, or after [its time](Self::ends_after).
///
/// It asks for messages when the server asks for bytes: what a slow client has not taken waits in its session, within its
/// bounds. With the feature `hyper` it is an `http_body::Body`, with `axum` a handler returns it as it is.
///
/// ```
/// use pushline::adapter::tokio::comet::CometOutbox;
/// use pushline::comet::{CometMessage, CometOptions, StreamOptions, StreamWriter};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let outbox = CometOutbox::new(CometOptions::new(), 0);
/// let writer = StreamWriter::xhr(StreamOptions::new().padding(0));
/// let mut body = outbox.stream(0).into_body(writer);
/// assert_eq!(body.next().await.unwrap(), "\n");
/// outbox.push(CometMessage::text("hello"))?;
/// assert_eq!(body.next().await.unwrap(), "{\"id\":1,\"data\":\"hello\"}\n");
/// # Ok::<(), pushline::comet::TooLarge>(())
/// # }).unwrap();
/// ```
pub struct CometBody {
    /// `None` once it is over.
    request: Option<CometRequest>,
    writer: StreamWriter,
    is_open: bool,
    end: Option<Pin<Box<Sleep>>>,
}

impl CometBody {
    /// After how long the response ends, counted from now; default: not before its budget is spent. The client then asks
    /// again.
    ///
    /// Without it a client that vanished without a word is held for as long as the system's buffers take what it is sent.
    #[must_use]
    pub fn ends_after(mut self, time: Duration) -> Self {
        self.end = Some(Box::pin(sleep(time)));
        self
    }

    /// The next bytes; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| self.poll_bytes(cx)).await
    }

    /// The response, of the `http` crate's type: status 200, and the fields that go with such a body, with a frame's
    /// Content-Security-Policy. With the feature `axum` a handler returns the body as it is.
    #[cfg(feature = "http")]
    #[must_use]
    pub fn into_http_response(self) -> ::http::Response<Self> {
        let policy = self.writer.content_security_policy();
        let fields = if policy.is_some() { StreamWriter::FRAME_FIELDS } else { StreamWriter::XHR_FIELDS };
        let policy = policy.as_deref().map(|policy| ("Content-Security-Policy", policy));
        response(200, &fields.into_iter().chain(policy).collect::<Vec<_>>(), self)
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(request) = &mut self.request else { return Poll::Ready(None) };
        let mut out = Vec::new();
        if !core::mem::replace(&mut self.is_open, true) {
            self.writer.open(&mut out);
            return Poll::Ready(Some(out.into()));
        }
        let is_late = self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
        let goes_on = !is_late
            && ready!(request.poll_answer(cx, &mut |answer: Option<&CometAnswer<'_>>| {
                answer.is_some_and(|answer| self.writer.write(answer, &mut out))
            }));
        if !goes_on {
            self.request = None;
        }
        Poll::Ready((!out.is_empty()).then(|| out.into()))
    }
}

impl Stream for CometBody {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_bytes(cx).map(|bytes| bytes.map(Ok))
    }
}

/// The same, for hyper and what stands on it.
#[cfg(feature = "hyper")]
impl http_body::Body for CometBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.get_mut().poll_bytes(cx).map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.request.is_none()
    }
}

/// The [response](CometBody::into_http_response): a handler of axum returns the body itself.
#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for CometBody {
    fn into_response(self) -> axum_core::response::Response {
        self.into_http_response().map(axum_core::body::Body::new)
    }
}

/// What is written is JSON, of text.
#[cfg(feature = "http")]
fn text(written: Vec<u8>) -> String {
    String::from_utf8(written).unwrap_or_default()
}

/// The fields are this crate's, but for an origin that was checked to be one.
#[cfg(feature = "http")]
fn response<B>(status: u16, fields: &[(&str, &str)], body: B) -> ::http::Response<B> {
    use ::http::{HeaderName, HeaderValue, StatusCode};

    let mut response = ::http::Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in fields {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::try_from(*value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl fmt::Debug for CometOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CometOutbox").finish_non_exhaustive()
    }
}

impl fmt::Debug for CometRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CometRequest").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

impl fmt::Debug for CometBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CometBody").field("ended", &self.request.is_none()).finish_non_exhaustive()
    }
}
