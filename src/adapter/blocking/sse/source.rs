//! A client that connects, reconnects and resumes by itself (HTML 9.2.2, 9.2.3).

use super::super::dial::dial;
use super::super::driver::is_late;
use super::super::{ClientStream, Transport};
use super::closer::{Closer, LOOK, SHORTEST, is_timeout};
use super::{Error, EventReader, SourceEvent, SourceOptions, Url};
use crate::adapter::random::{random, since_1970};
use crate::adapter::sse::{Client, Failed, Judged, Lost, Refused};
use crate::heartbeat::Instant as _;
use crate::sse::{
    CloseReason, DecodeError, EventDecoder, RefusedResponse, RefusedResponseReader, SourceResponse,
    SourceResponseReader,
};
use core::fmt;
use core::task::Poll;
use core::time::Duration;
use std::boxed::Box;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

/// How long an answer is waited for after the request could not be written: 1 s.
const LAST_WORD: Duration = Duration::from_secs(1);

/// A client that connects, reconnects and resumes by itself, as the browsers' `EventSource` does: with the server's
/// reconnection time, a wait that grows while attempts fail, `Last-Event-ID`, redirections. After a loss it asks again where it
/// was redirected to.
///
/// It is an iterator, whose [`next`](Iterator::next) waits: for a connection, for the next event, for the time to come back.
/// `None` is the end: the server said 204, or it was closed. [`Error::Event`] stands in the place of an event over a limit:
/// the stream goes on behind it. Any other error is the end: what went wrong in the last attempt, if
/// [`closed`](Self::closed) says that there is no other; [`Error::Closed`] if the server said so; [`Error::Location`] for a
/// redirection to where this client cannot go; [`Error::Tls`] for a server whose certificate is refused. Until then, a
/// connection that is lost is no error but [`SourceEvent::Lost`]. [`closer`](Self::closer) ends it from another thread.
///
/// It connects to `http:` URLs over TCP, and with the feature `rustls` to `https:` URLs over TLS;
/// [`with_connector`](Self::with_connector) takes care of all else, as of Unix sockets.
///
/// ```no_run
/// use pushline::adapter::blocking::sse::{EventSource, SourceOptions, SourceEvent};
///
/// for update in EventSource::new("http://127.0.0.1:8080/events", SourceOptions::new())? {
///     match update? {
///         SourceEvent::Event(event) => println!("{}: {}", event.event, event.data),
///         SourceEvent::Lost { wait, .. } => println!("again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventSource<S = ClientStream> {
    /// `None` while a thread has it.
    connector: Option<Connector<S>>,
    client: Client<Instant>,
    state: State<S>,
    closer: Closer,
}

/// What gives an event source a connection to a URL, in this time.
type Connector<S> = Box<dyn FnMut(&Url, Duration) -> io::Result<S> + Send>;

#[expect(clippy::large_enum_variant, reason = "open is what it is nearly all the time")]
enum State<S> {
    /// To connect when it is time.
    Waiting,
    /// To connect.
    Due,
    /// In a thread, which gives the connector back.
    Connecting(Receiver<(Connector<S>, io::Result<S>)>),
    /// `None` once it was looked at.
    Connected(Option<io::Result<S>>),
    Asking(Box<Asking<S>>),
    Refused(Box<Refusing<S>>),
    Open {
        reader: EventReader<S>,
        /// When something was read last.
        heard: Instant,
    },
    Closed,
}

impl EventSource {
    /// A client for an `http:` or `https:` URL. It connects when [`next`](Iterator::next) is called first.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`](super::InvalidUrl).
    pub fn new(url: &str, options: SourceOptions) -> Result<Self, super::InvalidUrl> {
        Ok(Self::with_url(Url::parse(url)?, options))
    }

    /// As [`new`](Self::new), for a URL that was read already.
    pub fn with_url(url: Url, options: SourceOptions) -> Self {
        let route = options.route.clone();
        let connector = move |url: &Url, timeout| {
            let deadline = Instant::now().saturating_add(timeout);
            dial(&route, url.is_secure(), url.address(), deadline).map_err(crate::adapter::Error::into_io)
        };
        Self::with_connector(url, options, connector)
    }
}

impl<S> EventSource<S> {
    /// A client that connects as `connector` does it: it is given the URL, whose scheme, host and port are to be connected
    /// to, and the [time](SourceOptions::connect_timeout) for it. An error of [`Unsupported`](ErrorKind::Unsupported) says
    /// that there is no way to such a URL, and is the end.
    ///
    /// ```no_run
    /// use pushline::adapter::blocking::sse::{EventSource, SourceOptions, Url};
    /// use std::os::unix::net::UnixStream;
    ///
    /// let url: Url = "http://feed/".parse()?;
    /// let connector = |_: &Url, _| UnixStream::connect("/run/feed.sock");
    /// let source = EventSource::with_connector(url, SourceOptions::new(), connector);
    /// # Ok::<(), pushline::adapter::blocking::sse::InvalidUrl>(())
    /// ```
    pub fn with_connector(
        url: Url,
        options: SourceOptions,
        connector: impl FnMut(&Url, Duration) -> io::Result<S> + Send + 'static,
    ) -> Self {
        Self {
            connector: Some(Box::new(connector)),
            client: Client::new(url, options),
            state: State::Waiting,
            closer: Closer::default(),
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
            State::Open { reader, .. } => reader.last_event_id(),
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

    /// A handle that closes it from another thread.
    #[must_use]
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }

    fn decoder_mut(&mut self) -> &mut EventDecoder {
        match &mut self.state {
            State::Open { reader, .. } => &mut reader.incoming().parser.decoder,
            _ => &mut self.client.decoder,
        }
    }

    /// Leaves a state; the decoder survives it.
    fn set_state(&mut self, state: State<S>) {
        if let State::Open { mut reader, .. } = core::mem::replace(&mut self.state, state) {
            self.client.left(reader.incoming());
        }
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
}

impl<S: Transport> EventSource<S> {
    /// Connects, in the caller's thread.
    fn connect(&mut self) {
        let Some(mut connector) = self.connector.take() else { return self.set_state(State::Closed) };
        let connected = connector(&self.client.url, self.client.options.connect_timeout);
        self.set_state(State::Connected(Some(connected)));
        self.connector = Some(connector);
    }

    /// Waits for the thread that connects.
    fn wait_for_connection(&mut self, until: Option<Instant>) {
        let State::Connecting(news) = &self.state else { return };
        let left = until.map_or(LOOK, |until| LOOK.min(until.saturating_duration_since(Instant::now())));
        let connected = match news.recv_timeout(left) {
            Ok((connector, connected)) => {
                self.connector = Some(connector);
                connected
            }
            Err(RecvTimeoutError::Timeout) => return,
            // The connector has panicked, and is no more.
            Err(RecvTimeoutError::Disconnected) => Err(ErrorKind::Unsupported.into()),
        };
        self.set_state(State::Connected(Some(connected)));
    }

    /// The connection is there, or is not.
    fn connected(&mut self, connected: io::Result<S>) -> Told {
        let stream = match connected {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                return self.failed(Failed::Connect(Error::TimedOut));
            }
            Err(error) => return self.failed(Failed::Connect(error.into())),
        };
        let request = match self.client.request() {
            Ok(request) => request,
            Err(error) => {
                self.close();
                return Some(Some(Err(error)));
            }
        };
        let deadline = Instant::now().saturating_add(self.client.options.response_timeout);
        let reader = SourceResponseReader::new(self.client.reconnect.method());
        self.set_state(State::Asking(Box::new(Asking {
            stream,
            request,
            sent: 0,
            broken: None,
            reader,
            deadline,
        })));
        None
    }

    fn failed(&mut self, failed: Failed) -> Told {
        let lost = self.client.failed(failed, Instant::now(), random());
        Some(self.lost(lost))
    }

    /// Sends the request and reads the head of the response, and acts on it.
    fn ask(&mut self, mut asking: Box<Asking<S>>, until: Option<Instant>) -> Told {
        let answer = match asking.advance(&self.closer, until) {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                self.set_state(State::Asking(asking));
                return None;
            }
            Err(error) => return self.failed(Failed::Request(error)),
        };
        let Asking { stream, reader, .. } = *asking;
        match self.client.judge(&answer, Instant::now(), random(), since_1970()) {
            Judged::Open => {
                let decoder = self.client.opened();
                let reader =
                    EventReader::with_received(stream, answer.body, reader.received()).decoder(decoder);
                self.set_state(State::Open { reader, heard: Instant::now() });
                Some(Some(Ok(SourceEvent::Open)))
            }
            Judged::Ask => {
                self.set_state(State::Due);
                None
            }
            Judged::Refused(refused) => {
                let SourceOptions { max_refusal, response_timeout, .. } = self.client.options;
                let mut body = RefusedResponseReader::new(&answer, max_refusal);
                body.receive(reader.received());
                let deadline = Instant::now().saturating_add(response_timeout);
                self.set_state(State::Refused(Box::new(Refusing { stream, body, refused, deadline })));
                None
            }
            Judged::Over(error) => Some(self.lost(Lost::Over(error))),
        }
    }

    /// Reads what a refusal says. How that failed is of no account: the refusal is what is told.
    fn refused(&mut self, mut refusing: Box<Refusing<S>>, until: Option<Instant>) -> Told {
        let Refusing { stream, body, deadline, .. } = &mut *refusing;
        let mut bytes = [0; 2048];
        while !body.is_finished() {
            match self.closer.read(stream, &mut bytes, *deadline, until) {
                Ok(Some(0)) => body.receive_eof(),
                Ok(Some(n)) => body.receive(bytes.get(..n).unwrap_or_default()),
                Ok(None) => {
                    self.set_state(State::Refused(refusing));
                    return None;
                }
                Err(_) => break,
            }
        }
        let lost = self.client.refused(refusing.refused, refusing.body.finish());
        Some(self.lost(lost))
    }

    /// The next update of an open stream. `None` if there is none yet.
    fn read(&mut self, until: Option<Instant>) -> Told {
        let State::Open { reader, heard } = &mut self.state else { return None };
        let timeout = self.client.options.idle_timeout;
        let left = timeout.map_or(LOOK, |timeout| timeout.saturating_sub(heard.elapsed()));
        let left = until.map_or(left, |until| left.min(until.saturating_duration_since(Instant::now())));
        let before = reader.received();
        let event = match reader.get_mut().set_read_timeout(Some(left.clamp(SHORTEST, LOOK))) {
            Ok(()) => reader.advance(),
            Err(error) => Some(Some(Err(error.into()))),
        };
        if reader.received() != before {
            *heard = Instant::now();
        }
        let Some(event) = event else {
            self.client.see(reader.incoming(), None);
            return None;
        };
        let is_late = timeout.is_some_and(|timeout| heard.elapsed() >= timeout);
        let seen = if let Some(Ok(event)) = &event { Some(event) } else { None };
        self.client.see(reader.incoming(), seen);
        let error = match event {
            Some(Ok(event)) => return Some(Some(Ok(SourceEvent::Event(event)))),
            Some(Err(error @ Error::Event(_))) => return Some(Some(Err(error))),
            Some(Err(Error::Io(error))) if is_timeout(&error) && !is_late => return None,
            Some(Err(Error::Io(error))) if is_timeout(&error) => Some(Error::TimedOut),
            Some(Err(error)) => Some(error),
            None => None,
        };
        let lost = self.client.disconnected(error, Instant::now(), random());
        Some(self.lost(lost))
    }
}

/// The updates; see [`EventSource`].
impl<S: Transport> Iterator for EventSource<S> {
    type Item = Result<SourceEvent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_by(None, Self::connect) {
            Poll::Ready(told) => told,
            Poll::Pending => None, // not without a time
        }
    }
}

impl<S: Transport + Send + 'static> EventSource<S> {
    /// As [`next`](Iterator::next), but waits for no longer than `timeout`, whatever for: an event, the time to come back, a
    /// connection, an answer. [`Poll::Pending`] says that there is nothing yet, and nothing is lost by that: the next call goes on
    /// with the same attempt, whose [`connect_timeout`](SourceOptions::connect_timeout) and
    /// [`response_timeout`](SourceOptions::response_timeout) count from when it was begun. For a thread that has other things to do
    /// as well.
    ///
    /// Connections are made in a thread of their own then, which ends with the attempt, also if nobody waits for it any more.
    ///
    /// ```no_run
    /// use pushline::adapter::blocking::sse::{EventSource, SourceEvent, SourceOptions};
    /// use std::task::Poll;
    /// use std::time::Duration;
    ///
    /// let mut source = EventSource::new("http://127.0.0.1:8080/events", SourceOptions::new())?;
    /// loop {
    ///     match source.next_timeout(Duration::from_secs(1)) {
    ///         Poll::Ready(Some(update)) => {
    ///             if let SourceEvent::Event(event) = update? {
    ///                 println!("{}", event.data);
    ///             }
    ///         }
    ///         Poll::Ready(None) => break,
    ///         Poll::Pending => println!("nothing for a second"),
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_timeout(&mut self, timeout: Duration) -> Poll<Option<Result<SourceEvent, Error>>> {
        self.next_by(Some(Instant::now().saturating_add(timeout)), Self::connect_aside)
    }

    /// Connects in a thread of its own.
    fn connect_aside(&mut self) {
        let Some(mut connector) = self.connector.take() else { return self.set_state(State::Closed) };
        let (url, timeout) = (self.client.url.clone(), self.client.options.connect_timeout);
        let (found, news) = channel();
        let connect = move || {
            let connected = connector(&url, timeout);
            // Nobody may wait any more.
            drop(found.send((connector, connected)));
        };
        match thread::Builder::new().name("pushline-connect".into()).spawn(connect) {
            Ok(_) => self.set_state(State::Connecting(news)),
            // The connector is gone with it.
            Err(error) => self.set_state(State::Connected(Some(Err(error)))),
        }
    }
}

impl<S: Transport> EventSource<S> {
    fn next_by(
        &mut self,
        until: Option<Instant>,
        connect: fn(&mut Self),
    ) -> Poll<Option<Result<SourceEvent, Error>>> {
        loop {
            if self.closer.is_closed() {
                self.close();
            }
            if matches!(self.state, State::Closed) {
                return Poll::Ready(None);
            }
            let told = self.step(until, connect);
            // What a wait was cut short for is no news.
            if let Some(told) = told
                && (!self.closer.is_closed() || matches!(told, Some(Ok(SourceEvent::Event(_)))))
            {
                return Poll::Ready(told);
            }
            if is_late(until) && !self.closer.is_closed() {
                return Poll::Pending;
            }
        }
    }

    /// Waits once at most, no longer than until then.
    fn step(&mut self, until: Option<Instant>, connect: fn(&mut Self)) -> Told {
        match &mut self.state {
            State::Closed => return Some(None), // looked at before
            State::Open { .. } => return self.read(until),
            State::Waiting if self.client.reconnect.should_connect(Instant::now()) => connect(self),
            State::Waiting => match self.client.reconnect.next_deadline() {
                Some(at) => self.closer.wait(until.map_or(at, |until| at.min(until))),
                None => self.set_state(State::Closed),
            },
            // Redirections are followed at once: the policy counts them.
            State::Due => connect(self),
            State::Connecting(_) => self.wait_for_connection(until),
            State::Connected(connected) => {
                let connected = connected.take().unwrap_or_else(|| Err(ErrorKind::NotConnected.into()));
                return self.connected(connected);
            }
            State::Asking(_) | State::Refused(_) => {
                match core::mem::replace(&mut self.state, State::Closed) {
                    State::Asking(asking) => return self.ask(asking, until),
                    State::Refused(refusing) => return self.refused(refusing, until),
                    other => self.state = other,
                }
            }
        }
        None
    }
}

/// What is told, if anything yet; in it `None` for the end.
type Told = Option<Option<Result<SourceEvent, Error>>>;

/// A request under way.
struct Asking<S> {
    stream: S,
    request: Vec<u8>,
    /// So much of it was written.
    sent: usize,
    /// Why no more of it can be.
    broken: Option<Error>,
    reader: SourceResponseReader,
    deadline: Instant,
}

/// A refusal whose body is read.
struct Refusing<S> {
    stream: S,
    body: RefusedResponseReader,
    refused: Refused<Instant>,
    deadline: Instant,
}

impl<S: Transport> Asking<S> {
    /// The head of the response; `None`: not until then.
    fn advance(&mut self, closer: &Closer, until: Option<Instant>) -> Result<Option<SourceResponse>, Error> {
        if self.broken.is_none() && self.sent <= self.request.len() {
            match closer.write(&mut self.stream, &self.request, &mut self.sent, self.deadline, until) {
                Ok(Some(())) => self.sent = self.request.len().saturating_add(1),
                Ok(None) => return Ok(None),
                Err(error) => {
                    self.broken = Some(error);
                    // RFC 9112 9.5: a server may answer before it has read all, and not read any more.
                    self.deadline = self.deadline.max(Instant::now().saturating_add(LAST_WORD));
                }
            }
        }
        let mut bytes = [0; 2048];
        loop {
            if let Some(answer) = self.reader.next().map_err(Error::from)? {
                return Ok(Some(answer));
            }
            match closer.read(&mut self.stream, &mut bytes, self.deadline, until) {
                Ok(Some(0)) => return Err(self.broken.take().unwrap_or(Error::Aborted)),
                Ok(Some(n)) => self.reader.receive(bytes.get(..n).unwrap_or_default()),
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.broken.take().unwrap_or(error)),
            }
        }
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
