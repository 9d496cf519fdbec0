//! A client that connects, reconnects and resumes by itself (HTML 9.2.2, 9.2.3).

use super::super::ClientStream;
use super::attempt::{Attempt, Failed, Refusing, Response, attempt, refusal};
use super::connect::{Connecting, Connector, connector};
use super::options::SourceOptions;
use super::{Error, Event, EventReader, Url, poll_timer};
use crate::adapter::random::random;
use crate::heartbeat::Deadline;
use crate::sse::{CloseReason, DecodeError, Decoder, Method, Next, Reconnect, Refusal, Request, Verdict};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use futures_core::Stream;
use std::boxed::Box;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

/// What an [`EventSource`] has to tell.
///
/// ```
/// use pushline::adapter::tokio::sse::Update;
///
/// /// For a line that shows how things stand.
/// fn status(update: &Update) -> String {
///     match update {
///         Update::Open => "live".to_owned(),
///         Update::Event(event) => format!("live, last event {}", event.id),
///         Update::Lost { wait, .. } => format!("lost, again in {wait:?}"),
///         _ => String::new(),
///     }
/// }
/// assert_eq!(status(&Update::Open), "live");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Update {
    /// The stream is open, for the first time or again.
    Open,
    /// An event.
    Event(Event),
    /// The connection ended or failed, with this error if it was one; it is tried again after this wait.
    Lost {
        /// What happened; `None` for a stream that ended as it should.
        error: Option<Error>,
        /// How long the client waits before it tries again.
        wait: Duration,
    },
}

/// A client that connects, reconnects and resumes by itself, as the browsers' `EventSource` does: with the server's
/// reconnection time, a wait that grows while attempts fail, `Last-Event-ID`, redirections. After a loss it asks again where it
/// was redirected to.
///
/// All state is in the struct: [`next`](Self::next) is cancel-safe. Nothing happens while it is not called; back-pressure
/// is not calling it. It is a [`Stream`], too.
///
/// It connects to `http:` URLs over TCP, and with the feature `rustls` to `https:` URLs over TLS;
/// [`with_connector`](Self::with_connector) takes care of all else, as of Unix sockets.
///
/// ```no_run
/// use pushline::adapter::tokio::sse::{EventSource, SourceOptions, Update};
///
/// # async fn listen() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = EventSource::new("http://127.0.0.1:8080/events", SourceOptions::new())?;
/// while let Some(update) = source.next().await {
///     match update? {
///         Update::Event(event) => println!("{}: {}", event.event, event.data),
///         Update::Lost { wait, .. } => println!("again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventSource<S = ClientStream> {
    connector: Connector<S>,
    options: SourceOptions,
    first: Url,
    url: Url,
    reconnect: Reconnect<Instant>,
    /// Keeps the last event ID while no stream is open.
    decoder: Decoder,
    state: State<S>,
    timer: Option<Pin<Box<Sleep>>>,
    idle: Deadline<Instant>,
    refusal: Option<Box<Refusal>>,
}

#[expect(clippy::large_enum_variant, reason = "open is what it is nearly all the time")]
enum State<S> {
    /// To connect when it is time.
    Waiting,
    Requesting(Attempt<S>),
    /// The body of a refusal is read, and then this is told.
    Refusing(Refusing, Result<Next<Instant>, CloseReason>, u16),
    Open(EventReader<S>),
    Closed,
}

impl EventSource {
    /// A client for an `http:` or `https:` URL. It connects when [`next`](Self::next) is called first.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](super::InvalidUrl).
    pub fn new(url: &str, options: SourceOptions) -> Result<Self, super::InvalidUrl> {
        Ok(Self::with_url(Url::parse(url)?, options))
    }

    /// As [`new`](Self::new), for a URL that was read already.
    pub fn with_url(url: Url, options: SourceOptions) -> Self {
        let connector = connector(options.route.clone());
        Self::with_connector(url, options, connector)
    }
}

impl<S> EventSource<S> {
    /// A client that connects as `connector` does it: it is given the URL, whose scheme, host and port are to be
    /// connected to.
    pub fn with_connector(
        url: Url,
        options: SourceOptions,
        connector: impl FnMut(&Url) -> Connecting<S> + Send + 'static,
    ) -> Self {
        let method = if options.content.is_some() { Method::Post } else { Method::Get };
        Self {
            connector: Box::new(connector),
            first: url.clone(),
            url,
            reconnect: Reconnect::new(method, options.policy),
            decoder: Decoder::with_limits(options.limits),
            options,
            state: State::Waiting,
            timer: None,
            idle: Deadline::default(),
            refusal: None,
        }
    }

    /// Sets the last event ID, as if an earlier connection had left it: the stream is resumed from there.
    ///
    /// # Errors
    ///
    /// [`DecodeError::IdTooLong`] if it exceeds [`Limits::max_id`](crate::sse::Limits::max_id).
    pub fn set_last_event_id(&mut self, id: &str) -> Result<(), DecodeError> {
        self.decoder_mut().set_last_event_id(id)
    }

    /// The last event ID; empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        match &self.state {
            State::Open(reader) => reader.last_event_id(),
            _ => self.decoder.last_event_id(),
        }
    }

    /// Where the stream is, after redirections.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Why there will be no more events, if that is so.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        self.reconnect.closed()
    }

    /// What the server said last instead of an event stream, with the start of the body
    /// ([`SourceOptions::max_refusal`]): it is there when [`Error::Closed`] is told, or [`Update::Lost`] for a server that
    /// is asked [once more](crate::sse::ReconnectPolicy::retry_statuses), and until the stream opens.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_deref()
    }

    /// Drops the connection, and does not come back.
    pub fn close(&mut self) {
        self.reconnect.close();
        self.set_state(State::Closed);
    }

    fn decoder_mut(&mut self) -> &mut Decoder {
        match &mut self.state {
            State::Open(reader) => &mut reader.incoming().parser.decoder,
            _ => &mut self.decoder,
        }
    }

    /// Leaves a state; the decoder survives it.
    fn set_state(&mut self, state: State<S>) {
        if let State::Open(mut reader) = core::mem::replace(&mut self.state, state) {
            self.decoder = core::mem::take(&mut reader.incoming().parser.decoder);
            self.decoder.receive_eof();
        }
        self.idle.clear();
        self.timer = None;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> EventSource<S> {
    /// The next update; `None` at the end: the server said 204, or [`close`](Self::close) was called.
    ///
    /// # Errors
    ///
    /// [`Error::Event`] in the place of an event over a limit: the stream goes on behind it. Anything else is the end:
    /// what went wrong in the last attempt, if [`closed`](Self::closed) says that there is no other; [`Error::Closed`] if
    /// the server said so; [`Error::Location`] for a redirection to where this client cannot go; [`Error::Io`] of
    /// [`Unsupported`](std::io::ErrorKind::Unsupported) for a URL to which its connector cannot connect; [`Error::Tls`] for a
    /// server whose certificate is refused. Until then, a connection that is lost is no error but [`Update::Lost`].
    pub async fn next(&mut self) -> Option<Result<Update, Error>> {
        poll_fn(|cx| self.poll_update(cx)).await
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Update, Error>>> {
        loop {
            match &mut self.state {
                State::Closed => return Poll::Ready(None),
                State::Waiting => {
                    if self.reconnect.should_connect(Instant::now()) {
                        if let Err(error) = self.request() {
                            self.close();
                            return Poll::Ready(Some(Err(error)));
                        }
                    } else if let Some(at) = self.reconnect.next_deadline() {
                        ready!(poll_timer(&mut self.timer, at, cx));
                    } else {
                        self.set_state(State::Closed);
                    }
                }
                State::Requesting(attempt) => {
                    let answer = ready!(attempt.as_mut().poll(cx));
                    match answer {
                        Ok(answer) => {
                            if let Some(update) = self.judge(answer) {
                                return Poll::Ready(update);
                            }
                        }
                        Err(Failed::Connect(error)) if error.is_hopeless() => {
                            self.close();
                            return Poll::Ready(Some(Err(error)));
                        }
                        Err(Failed::Connect(error)) => {
                            let next = self.reconnect.connect_failed(Instant::now(), random());
                            return Poll::Ready(Some(self.lost(next, Some(error))));
                        }
                        Err(Failed::Request(error)) => return Poll::Ready(self.disconnected(Some(error))),
                    }
                }
                State::Refusing(reading, next, status) => {
                    let refusal = ready!(reading.as_mut().poll(cx));
                    let (next, status) = (*next, *status);
                    self.refusal = Some(Box::new(refusal));
                    return Poll::Ready(Some(match next {
                        Ok(next) => self.lost(next, Some(Error::Closed(CloseReason::Status(status)))),
                        Err(reason) => {
                            self.set_state(State::Closed);
                            Err(Error::Closed(reason))
                        }
                    }));
                }
                State::Open(_) => return self.poll_open(cx).map(Some).map(Option::flatten),
            }
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Update, Error>>> {
        let State::Open(reader) = &mut self.state else { return Poll::Ready(None) };
        let event = reader.poll_event(cx);
        if let Some(retry) = reader.incoming().parser.take_retry() {
            self.reconnect.set_retry(retry);
        }
        match event {
            Poll::Ready(Some(Ok(event))) => {
                if let Some(retry) = event.retry {
                    self.reconnect.set_retry(retry);
                }
                self.idle.clear();
                Poll::Ready(Some(Ok(Update::Event(event))))
            }
            Poll::Ready(Some(Err(error @ Error::Event(_)))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.disconnected(Some(error))),
            Poll::Ready(None) => Poll::Ready(self.disconnected(None)),
            Poll::Pending => {
                let Some(timeout) = self.options.idle_timeout else { return Poll::Pending };
                if reader.take_read() {
                    self.idle.clear();
                }
                self.idle.start(Instant::now(), timeout);
                while let Some(at) = self.idle.next_deadline().filter(|at| *at > Instant::now()) {
                    ready!(poll_timer(&mut self.timer, at, cx));
                }
                Poll::Ready(self.disconnected(Some(Error::TimedOut)))
            }
        }
    }

    /// Acts on a response. `None` if there is nothing to tell yet.
    fn judge(&mut self, response: Response<S>) -> Option<Option<Result<Update, Error>>> {
        let answer = &response.answer;
        let next = match self.reconnect.judge(answer) {
            Verdict::Open => {
                let decoder = core::mem::take(&mut self.decoder);
                let Response { stream, answer, received } = response;
                let reader = EventReader::with_received(stream, answer.body, &received).decoder(decoder);
                self.refusal = None;
                self.set_state(State::Open(reader));
                return Some(Some(Ok(Update::Open)));
            }
            Verdict::Follow(_) => {
                let location = answer.location.as_deref().unwrap_or_default();
                let followed = self.url.join_location(location).map_err(|_| Error::Location);
                let asked = followed.and_then(|url| {
                    self.url = url;
                    self.request()
                });
                return asked.err().map(|error| {
                    self.close();
                    Some(Err(error))
                });
            }
            Verdict::Closed(CloseReason::NoContent) => {
                self.set_state(State::Closed);
                return Some(None);
            }
            // Not with a request under way, and this answers one.
            Verdict::Ignore => {
                self.set_state(State::Waiting);
                return None;
            }
            Verdict::Retry => {
                let delay = answer.retry_after.map(|after| after.delay(since_1970()));
                Ok(self.reconnect.refused(Instant::now(), random(), delay))
            }
            Verdict::Closed(reason) => Err(reason),
        };
        let status = response.answer.status;
        let SourceOptions { max_refusal, response_timeout, .. } = self.options;
        let reading = refusal(response, max_refusal, response_timeout);
        self.set_state(State::Refusing(Box::pin(reading), next, status));
        None
    }

    /// The stream ended, or was lost.
    fn disconnected(&mut self, error: Option<Error>) -> Option<Result<Update, Error>> {
        match self.reconnect.disconnected(Instant::now(), random()) {
            // A POST's stream that ended as it should is over, and that is all.
            Next::Closed(CloseReason::NotReplayable) if error.is_none() => {
                self.set_state(State::Closed);
                None
            }
            next => Some(self.lost(next, error)),
        }
    }

    fn lost(&mut self, next: Next<Instant>, error: Option<Error>) -> Result<Update, Error> {
        match next {
            Next::At(at) => {
                self.set_state(State::Waiting);
                Ok(Update::Lost { error, wait: at.saturating_duration_since(Instant::now()) })
            }
            // What went wrong says more than that it cannot be made good.
            Next::Closed(reason) => {
                self.set_state(State::Closed);
                Err(error.unwrap_or(Error::Closed(reason)))
            }
        }
    }

    /// Starts a request to the present URL.
    fn request(&mut self) -> Result<(), Error> {
        let content = self.options.content.as_ref();
        let method = self.reconnect.method();
        let request = Request {
            url: &self.url,
            first: &self.first,
            method,
            fields: &self.options.fields,
            content: content.map(|(content_type, content)| (content_type.as_str(), content.as_slice())),
            last_event_id: self.last_event_id(),
        };
        let request = request.to_bytes().map_err(std::io::Error::other)?;
        let connecting = (self.connector)(&self.url);
        let SourceOptions { connect_timeout, response_timeout, .. } = self.options;
        let attempt = attempt(connecting, request, method, connect_timeout, response_timeout);
        self.set_state(State::Requesting(Box::pin(attempt)));
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for EventSource<S> {
    type Item = Result<Update, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(cx)
    }
}

impl<S> fmt::Debug for EventSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("url", &self.url)
            .field("reconnect", &self.reconnect)
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}

/// The wall time, for the dates of servers.
pub(in crate::adapter::tokio) fn since_1970() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}
