//! A client that connects, reconnects and resumes by itself (HTML 9.2.2, 9.2.3).

use super::super::ClientStream;
use super::attempt::{Attempt, EventResponse, Refusing, attempt, refusal};
use super::connect::{Connecting, Connector, connector};
use super::{Error, EventReader, SourceEvent, SourceOptions, Url, poll_timer};
use crate::adapter::random::{random, since_1970};
use crate::adapter::sse::{Client, Judged, Lost, Refused};
use crate::heartbeat::Deadline;
use crate::sse::{CloseReason, DecodeError, EventDecoder, RefusedResponse};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use std::boxed::Box;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

/// A client that connects, reconnects and resumes by itself, as the browsers' `EventSource` does: with the server's
/// reconnection time, a wait that grows while attempts fail, `Last-Event-ID`, redirections. After a loss it asks again where it
/// was redirected to.
///
/// All state is in the struct: [`next`](Self::next) is cancel-safe. Nothing happens while it is not called; back-pressure
/// is not calling it. It is a `Stream`, too.
///
/// It connects to `http:` URLs over TCP, and with the feature `rustls` to `https:` URLs over TLS;
/// [`with_connector`](Self::with_connector) takes care of all else, as of Unix sockets.
///
/// ```no_run
/// use pushline::adapter::tokio::sse::{EventSource, SourceOptions, SourceEvent};
///
/// # async fn listen() -> Result<(), Box<dyn std::error::Error>> {
/// let mut source = EventSource::new("http://127.0.0.1:8080/events", SourceOptions::new())?;
/// while let Some(update) = source.next().await {
///     match update? {
///         SourceEvent::Event(event) => println!("{}: {}", event.event, event.data),
///         SourceEvent::Lost { wait, .. } => println!("again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct EventSource<S = ClientStream> {
    connector: Connector<S>,
    client: Client<Instant>,
    state: State<S>,
    timer: Option<Pin<Box<Sleep>>>,
    idle: Deadline<Instant>,
}

#[expect(clippy::large_enum_variant, reason = "open is what it is nearly all the time")]
enum State<S> {
    /// To connect when it is time.
    Waiting,
    Requesting(Attempt<S>),
    /// The body of a refusal is read, and then this is told.
    Refusing(Refusing, Refused<Instant>),
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
        Self {
            connector: Box::new(connector),
            client: Client::new(url, options),
            state: State::Waiting,
            timer: None,
            idle: Deadline::default(),
        }
    }

    /// Sets the last event ID, as if an earlier connection had left it: the stream is resumed from there.
    ///
    /// # Errors
    ///
    /// [`DecodeError::IdTooLong`] if it exceeds [`EventLimits::max_id`](crate::sse::EventLimits::max_id).
    pub fn set_last_event_id(&mut self, id: &str) -> Result<(), DecodeError> {
        self.decoder_mut().set_last_event_id(id)
    }

    /// The last event ID; empty if there is none.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        match &self.state {
            State::Open(reader) => reader.last_event_id(),
            _ => self.client.decoder.last_event_id(),
        }
    }

    /// Where the stream is, after redirections.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.client.url
    }

    /// Why there will be no more events, if that is so.
    #[must_use]
    pub const fn closed(&self) -> Option<CloseReason> {
        self.client.reconnect.closed()
    }

    /// What the server said last instead of an event stream, with the start of the body
    /// ([`SourceOptions::max_refusal`]): it is there when [`Error::Closed`] is told, or [`SourceEvent::Lost`] for a server that
    /// is asked [once more](crate::sse::ReconnectPolicy::retry_statuses), and until the stream opens.
    #[must_use]
    pub fn refusal(&self) -> Option<&RefusedResponse> {
        self.client.refusal.as_deref()
    }

    /// Drops the connection, and does not come back.
    pub fn close(&mut self) {
        self.client.reconnect.close();
        self.set_state(State::Closed);
    }

    fn decoder_mut(&mut self) -> &mut EventDecoder {
        match &mut self.state {
            State::Open(reader) => &mut reader.incoming().parser.decoder,
            _ => &mut self.client.decoder,
        }
    }

    /// Leaves a state; the decoder survives it.
    fn set_state(&mut self, state: State<S>) {
        if let State::Open(mut reader) = core::mem::replace(&mut self.state, state) {
            self.client.left(reader.incoming());
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
    /// server whose certificate is refused. Until then, a connection that is lost is no error but [`SourceEvent::Lost`].
    pub async fn next(&mut self) -> Option<Result<SourceEvent, Error>> {
        poll_fn(|cx| self.poll_update(cx)).await
    }

    fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<SourceEvent, Error>>> {
        loop {
            match &mut self.state {
                State::Closed => return Poll::Ready(None),
                State::Waiting => {
                    if self.client.reconnect.should_connect(Instant::now()) {
                        if let Err(error) = self.request() {
                            return Poll::Ready(Some(Err(error)));
                        }
                    } else if let Some(at) = self.client.reconnect.next_deadline() {
                        ready!(poll_timer(&mut self.timer, at, cx));
                    } else {
                        self.set_state(State::Closed);
                    }
                }
                State::Requesting(attempt) => {
                    let told = match ready!(attempt.as_mut().poll(cx)) {
                        Ok(response) => self.judge(response),
                        Err(failed) => {
                            let lost = self.client.failed(failed, Instant::now(), random());
                            Some(self.lost(lost))
                        }
                    };
                    if let Some(update) = told {
                        return Poll::Ready(update);
                    }
                }
                State::Refusing(reading, refused) => {
                    let refusal = ready!(reading.as_mut().poll(cx));
                    let lost = self.client.refused(*refused, refusal);
                    return Poll::Ready(self.lost(lost));
                }
                State::Open(_) => return self.poll_open(cx),
            }
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<SourceEvent, Error>>> {
        let State::Open(reader) = &mut self.state else { return Poll::Ready(None) };
        let event = reader.poll_event(cx);
        let seen = if let Poll::Ready(Some(Ok(event))) = &event { Some(event) } else { None };
        self.client.see(reader.incoming(), seen);
        match event {
            Poll::Ready(Some(Ok(event))) => {
                self.idle.clear();
                Poll::Ready(Some(Ok(SourceEvent::Event(event))))
            }
            Poll::Ready(Some(Err(error @ Error::Event(_)))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Err(error))) => Poll::Ready(self.disconnected(Some(error))),
            Poll::Ready(None) => Poll::Ready(self.disconnected(None)),
            Poll::Pending => {
                let Some(timeout) = self.client.options.idle_timeout else { return Poll::Pending };
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
    fn judge(&mut self, response: EventResponse<S>) -> Option<Option<Result<SourceEvent, Error>>> {
        match self.client.judge(&response.answer, Instant::now(), random(), since_1970()) {
            Judged::Open => {
                let EventResponse { stream, answer, received } = response;
                let decoder = self.client.opened();
                let reader = EventReader::with_received(stream, answer.body, &received).decoder(decoder);
                self.set_state(State::Open(reader));
                Some(Some(Ok(SourceEvent::Open)))
            }
            Judged::Ask => self.request().err().map(|error| Some(Err(error))),
            Judged::Refused(refused) => {
                let SourceOptions { max_refusal, response_timeout, .. } = self.client.options;
                let reading = refusal(response, max_refusal, response_timeout);
                self.set_state(State::Refusing(Box::pin(reading), refused));
                None
            }
            Judged::Over(error) => Some(self.lost(Lost::Over(error))),
        }
    }

    /// The stream ended, or was lost.
    fn disconnected(&mut self, error: Option<Error>) -> Option<Result<SourceEvent, Error>> {
        let lost = self.client.disconnected(error, Instant::now(), random());
        self.lost(lost)
    }

    fn lost(&mut self, lost: Lost<Instant>) -> Option<Result<SourceEvent, Error>> {
        match lost {
            Lost::Again(at, error) => {
                self.set_state(State::Waiting);
                Some(Ok(SourceEvent::Lost { error, wait: at.saturating_duration_since(Instant::now()) }))
            }
            Lost::Over(error) => {
                self.set_state(State::Closed);
                error.map(Err)
            }
        }
    }

    /// Starts a request to the present URL; one that cannot be written is the end.
    fn request(&mut self) -> Result<(), Error> {
        let request = self.client.request().inspect_err(|_| self.close())?;
        let method = self.client.reconnect.method();
        let connecting = (self.connector)(&self.client.url);
        let SourceOptions { connect_timeout, response_timeout, .. } = self.client.options;
        let attempt = attempt(connecting, request, method, connect_timeout, response_timeout);
        self.set_state(State::Requesting(Box::pin(attempt)));
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for EventSource<S> {
    type Item = Result<SourceEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_update(cx)
    }
}

impl<S> fmt::Debug for EventSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSource")
            .field("url", &self.client.url)
            .field("reconnect", &self.client.reconnect)
            .field("last_event_id", &self.last_event_id())
            .finish_non_exhaustive()
    }
}
