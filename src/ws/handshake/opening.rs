//! The opening handshake of one connection as a machine, for both roles: what to write, when to read, when it is over
//! (RFC 6455 4). Reads no clock and no socket.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::MAX_UNREAD;
use super::accepted::Accepted;
use super::answer::answer;
use super::client::{ClientHandshake, HandshakeResponse};
use super::refused::{HandshakeError, RefusedBody};
use super::rejection::{Refusal, Rejection};
use super::server::ServerOptions;
use super::verify::ClientError;
use crate::heartbeat::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, Instant};
use crate::http1::head::{HeadReader, RequestHead};
use crate::inbox::{Inbox, Storage};
use crate::ws::negotiated::Negotiated;

/// A decision of the application's as a plain function: see [`Opening::server`].
///
/// ```
/// use pushline::ws::handshake::{Decide, Rejection};
///
/// let only_chat: Decide = |request, _| if request.path() == "/chat" { Ok(()) } else { Err(Rejection::new(404)) };
/// # let _ = only_chat;
/// ```
pub type Decide = fn(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>;

/// The opening handshake of one connection, in either role, fed from an [`Inbox`].
///
/// Call [`step`](Self::step), do what it says, and call it again, until it says [`OpeningStep::Done`]; then
/// [`finish`](Self::finish) has the outcome, and what follows the handshake is unread in the inbox. Between two steps
/// wait no longer than until [`deadline`](Self::deadline).
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::handshake::{Failure, Opening, ServerOptions, OpeningStep};
/// use pushline::ws::{ConnectionOptions, Connection};
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::Instant;
///
/// /// A server's handshake; the error of the stream, or what became of the handshake.
/// fn accept(
///     stream: &mut TcpStream,
///     inbox: &mut Inbox,
///     options: &ServerOptions,
/// ) -> std::io::Result<Result<Connection, Failure>> {
///     let mut opening = Opening::server(options, |_, _| Ok(()));
///     loop {
///         match opening.step(inbox, Instant::now()) {
///             OpeningStep::Read => match stream.read(inbox.space())? {
///                 0 => opening.receive_eof(),
///                 n => inbox.filled(n),
///             },
///             OpeningStep::Write => {
///                 let n = stream.write(opening.outgoing())?;
///                 opening.written(n);
///             }
///             OpeningStep::Flush => {
///                 stream.flush()?;
///                 opening.flushed();
///             }
///             OpeningStep::Shutdown => {
///                 stream.shutdown(Shutdown::Write)?;
///                 opening.shut_down();
///             }
///             OpeningStep::Done => break,
///         }
///     }
///     Ok(opening.finish().map(|opened| Connection::server(opened.negotiated, ConnectionOptions::new())))
/// }
/// # let _ = accept;
/// ```
pub struct Opening<'a, I, D = Decide> {
    party: Party<'a, D>,
    phase: Phase,
    outgoing: Vec<u8>,
    written: usize,
    /// Unread bytes that were looked at already.
    seen: usize,
    handshake_timeout: Duration,
    close_timeout: Duration,
    deadline: Option<I>,
    /// Whether the deadline is over, and what had come until then may still be read.
    late: bool,
    /// Whether to stop before the decision.
    holds: bool,
    outcome: Option<Result<Negotiated, Failure>>,
    /// For logs: the path that is asked for.
    #[cfg(feature = "tracing")]
    path: Vec<u8>,
}

enum Party<'a, D> {
    Server { options: &'a ServerOptions, reader: HeadReader, decide: Option<D> },
    Client(Box<ClientHandshake>),
}

#[derive(Debug)]
enum Phase {
    Write,
    Flush,
    Read,
    /// A client that was refused reads why. In a box: few are, and the others move what is in here.
    Body(Box<RefusedBody>),
    Shutdown,
    /// A server's application has yet to decide.
    Held,
    /// A server that has refused reads on until the client ends: so many bytes more.
    Drain(usize),
    Done,
}

impl Phase {
    fn into_body(self) -> Vec<u8> {
        if let Self::Body(body) = self { body.into_data() } else { Vec::new() }
    }
}

/// The next action that an [`Opening`] asks for; its page has the loop.
///
/// ```
/// use pushline::Inbox;
/// use pushline::ws::handshake::{Opening, ServerOptions, OpeningStep};
/// use std::time::Duration;
///
/// let options = ServerOptions::new();
/// let mut opening = Opening::server(&options, |_, _| Ok(()));
/// // A server begins by reading.
/// assert_eq!(opening.step(&mut Inbox::new(), Duration::ZERO), OpeningStep::Read);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpeningStep {
    /// Read into the inbox, once; at the end of the stream, call [`Opening::receive_eof`].
    Read,
    /// Write of [`Opening::outgoing`], once, and tell [`Opening::written`].
    Write,
    /// Have the stream hand on what it has buffered itself, and call [`Opening::flushed`].
    Flush,
    /// Close our direction of the stream, and call [`Opening::shut_down`].
    Shutdown,
    /// Nothing: [`Opening::finish`] has the outcome.
    Done,
}

/// A handshake that has led to a connection: what [`Opening::finish`] gives.
///
/// ```
/// use pushline::ws::handshake::Established;
/// use pushline::ws::{ConnectionOptions, Connection};
///
/// fn connection(opened: Established) -> Connection {
///     Connection::server(opened.negotiated, ConnectionOptions::new())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// What the connection needs to know.
    pub negotiated: Negotiated,
    /// The server's 101, in the role of the client: its fields may be cookies.
    pub response: Option<HandshakeResponse>,
}

/// The failure of an opening handshake.
///
/// ```
/// use pushline::ws::handshake::{Failure, Refusal};
///
/// let failure = Failure::Rejected(Refusal::MissingKey.into());
/// assert_eq!(failure.to_string(), "Sec-WebSocket-Key is missing (400)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// This server refused.
    Rejected(Rejection),
    /// The server refused this client, or is none.
    Handshake(Box<HandshakeError>),
    /// The stream ended within the request.
    Aborted,
    /// The deadline passed. A request that had begun, or should have, was answered with 408.
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Aborted => f.write_str("the stream ended within the request"),
            Self::TimedOut => f.write_str("the opening handshake took too long"),
        }
    }
}

impl core::error::Error for Failure {}

/// What the server said is filled in at the end.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Handshake(Box::new(HandshakeError::new(error)))
    }
}

impl<'a, I: Instant, D> Opening<'a, I, D>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    /// The server's side. `decide` is shown the request and the answer, and has the last word: it may select another
    /// subprotocol, add fields, or refuse.
    pub fn server(options: &'a ServerOptions, decide: D) -> Self {
        let party = Party::Server { options, reader: options.reader(), decide: Some(decide) };
        Self::new(party, Phase::Read, Vec::new())
    }
}

impl<I: Instant> Opening<'static, I> {
    /// The client's side.
    ///
    /// ```
    /// use pushline::Inbox;
    /// use pushline::ws::handshake::{ClientHandshake, ClientOptions, Opening, OpeningStep, Uri};
    /// use std::time::Duration;
    ///
    /// let client = ClientHandshake::new(ClientOptions::new(), &Uri::parse("ws://h/")?, [0; 16]);
    /// let mut opening = Opening::client(client);
    /// let (mut inbox, now) = (Inbox::new(), Duration::ZERO);
    /// assert_eq!(opening.step(&mut inbox, now), OpeningStep::Write);
    /// assert!(opening.outgoing().starts_with(b"GET / HTTP/1.1\r\nHost: h\r\n"));
    /// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn client(mut client: ClientHandshake) -> Self {
        let request = client.take_request();
        Self::new(Party::Client(Box::new(client)), Phase::Write, request)
    }
}

impl<'a, I: Instant, D> Opening<'a, I, D>
where
    D: FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
{
    fn new(party: Party<'a, D>, phase: Phase, outgoing: Vec<u8>) -> Self {
        Self {
            party,
            phase,
            outgoing,
            written: 0,
            seen: 0,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            close_timeout: CLOSE_TIMEOUT,
            deadline: None,
            late: false,
            holds: false,
            outcome: None,
            #[cfg(feature = "tracing")]
            path: Vec::new(),
        }
    }

    /// Time for the handshake, from the first step on, and for a refusal to be written and the client to end. Defaults:
    /// [`HANDSHAKE_TIMEOUT`], [`CLOSE_TIMEOUT`]. A refusal because of the first has no longer than that, either. Without
    /// them, a peer that does nothing holds the connection for ever.
    #[must_use]
    pub fn timeouts(self, handshake: Duration, close: Duration) -> Self {
        Self { handshake_timeout: handshake, close_timeout: close, ..self }
    }

    /// What is left of the time that began at an earlier instant than the first step, such as that of connecting.
    #[must_use]
    pub fn until(self, deadline: I) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// When [`step`](Self::step) is to be called again at the latest; `None` before the first.
    #[must_use]
    pub fn deadline(&self) -> Option<I> {
        self.deadline
    }

    /// Looks at what was received and at the time, and says what is to be done.
    #[inline(always)] // into the one loop that there is
    pub fn step<S: Storage>(&mut self, inbox: &mut Inbox<S>, now: I) -> OpeningStep {
        let timeout = self.handshake_timeout;
        let deadline = *self.deadline.get_or_insert_with(|| now.saturating_add(timeout));
        if now >= deadline && !self.is_held() {
            // What had come before the deadline may not have been read yet: that is one read more.
            let read = matches!(self.phase, Phase::Read);
            if !read || self.late && inbox.unread().len() == self.seen {
                self.time_out(now);
            }
            self.late = read;
        }
        loop {
            match &mut self.phase {
                Phase::Write if self.written < self.outgoing.len() => return OpeningStep::Write,
                Phase::Write => self.phase = Phase::Flush,
                Phase::Flush => return OpeningStep::Flush,
                Phase::Read if inbox.unread().len() == self.seen => return OpeningStep::Read,
                Phase::Read => {
                    self.seen = inbox.unread().len();
                    self.read(inbox, now);
                }
                Phase::Body(body) => {
                    let taken = body.take(inbox.unread());
                    inbox.consume(taken);
                    if !body.is_complete() {
                        return OpeningStep::Read;
                    }
                    let body = core::mem::replace(&mut self.phase, Phase::Done).into_body();
                    if let Some(Err(Failure::Handshake(error))) = &mut self.outcome {
                        error.body = body;
                    }
                }
                Phase::Shutdown => return OpeningStep::Shutdown,
                Phase::Drain(left) => {
                    let unread = inbox.unread().len();
                    inbox.consume(unread);
                    *left = left.saturating_sub(unread);
                    if *left > 0 {
                        return OpeningStep::Read;
                    }
                    self.phase = Phase::Done;
                }
                Phase::Held | Phase::Done => return OpeningStep::Done,
            }
        }
    }

    /// Stops before the decision, for one that takes time: once the request is complete and the rules would accept it,
    /// [`step`](Self::step) says [`OpeningStep::Done`] and [`is_held`](Self::is_held) is true. Look at the request with
    /// [`request`](Self::request), call [`decide`](Self::decide) when you know, and go on with the steps.
    ///
    /// ```
    /// use pushline::Inbox;
    /// use pushline::ws::handshake::{Failure, Opening, Rejection, ServerOptions, OpeningStep};
    /// use std::time::Duration;
    ///
    /// let options = ServerOptions::new();
    /// let mut opening = Opening::server(&options, |_, _| Ok(())).held();
    /// let (mut inbox, now) = (Inbox::new(), Duration::ZERO);
    /// let _ = inbox.extend(b"GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    /// let _ = inbox.extend(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    /// assert_eq!(opening.step(&mut inbox, now), OpeningStep::Done);
    /// assert!(opening.is_held());
    /// let path = opening.request(&inbox, |request, _| request.path().to_owned());
    /// assert_eq!(path.as_deref(), Some("/chat"));
    /// // ... ask a database ...
    /// opening.decide(&mut inbox, now, |_, _| Err(Rejection::new(403)));
    /// assert_eq!(opening.step(&mut inbox, now), OpeningStep::Write);
    /// assert!(opening.outgoing().starts_with(b"HTTP/1.1 403 "));
    /// ```
    #[must_use]
    pub fn held(self) -> Self {
        Self { holds: true, ..self }
    }

    /// Whether it waits for [`decide`](Self::decide).
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held)
    }

    /// Shows the request, and the answer as it stands, while it is [held](Self::is_held); `None` otherwise.
    pub fn request<S: Storage, T>(
        &self,
        inbox: &Inbox<S>,
        look: impl FnOnce(&RequestHead<'_, '_>, &Accepted<'_>) -> T,
    ) -> Option<T> {
        let Party::Server { options, .. } = &self.party else { return None };
        if !self.is_held() {
            return None;
        }
        let look = |head: &RequestHead<'_, '_>, accepted: &mut Accepted<'_>| Ok(look(head, accepted));
        // It was accepted before.
        answer(options, &mut options.reader(), inbox.unread(), |_| {}, look).ok().flatten()
    }

    /// The decision on a request that is [held](Self::is_held); without effect otherwise. `decide` is what
    /// [`server`](Self::server) takes. The response has the time of a whole handshake.
    pub fn decide<S: Storage>(
        &mut self,
        inbox: &mut Inbox<S>,
        now: I,
        decide: impl FnOnce(&RequestHead<'_, '_>, &mut Accepted<'_>) -> Result<(), Rejection>,
    ) {
        let Party::Server { options, .. } = &self.party else { return };
        if self.is_held() {
            self.deadline = Some(now.saturating_add(self.handshake_timeout));
            let mut reader = options.reader();
            let decide = |head: &RequestHead<'_, '_>, accepted: &mut Accepted<'_>| {
                decide(head, accepted)?;
                Ok(respond(head, accepted, &mut self.outgoing, &mut self.outcome))
            };
            let length = answer(options, &mut reader, inbox.unread(), |_| {}, decide);
            self.answered(length, inbox, now);
        }
    }

    /// The bytes to write.
    #[must_use]
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.written..).unwrap_or_default()
    }

    /// So many of the [`outgoing`](Self::outgoing) bytes were written.
    pub fn written(&mut self, bytes: usize) {
        self.written = self.written.saturating_add(bytes).min(self.outgoing.len());
    }

    /// The stream has handed on what it had buffered.
    pub fn flushed(&mut self) {
        if let Phase::Flush = self.phase {
            self.outgoing = Vec::new();
            self.written = 0;
            self.phase = match self.outcome {
                None => Phase::Read,
                Some(Ok(_)) => Phase::Done,
                Some(Err(_)) => Phase::Shutdown,
            };
        }
    }

    /// Our direction of the stream is closed.
    pub fn shut_down(&mut self) {
        if let Phase::Shutdown = self.phase {
            self.phase = Phase::Drain(MAX_UNREAD);
        }
    }

    /// The stream gives no more bytes.
    pub fn receive_eof(&mut self) {
        if let Phase::Read = self.phase {
            let failure = match &self.party {
                Party::Server { .. } => Failure::Aborted,
                Party::Client(client) => client.receive_eof().into(),
            };
            self.outcome = Some(Err(failure));
        }
        if let Phase::Read | Phase::Drain(_) = self.phase {
            self.phase = Phase::Done;
        } else if let Phase::Body(body) = &mut self.phase {
            body.receive_eof();
        }
    }

    /// The stream has failed. Whether that comes too late to matter, since the outcome stands: then that is what is to be
    /// reported, and not the stream's error.
    #[must_use]
    pub fn receive_error(&mut self) -> bool {
        let settled =
            matches!(self.outcome, Some(Err(_))) || matches!(self.phase, Phase::Body(_) | Phase::Done);
        match &mut self.phase {
            Phase::Body(body) => body.receive_eof(),
            phase => *phase = Phase::Done,
        }
        settled
    }

    /// Whether this is a server's side.
    #[cfg(feature = "std")]
    pub(crate) const fn is_server(&self) -> bool {
        matches!(self.party, Party::Server { .. })
    }

    /// For logs: the path that the client asks for, or the host that the client of this side asks.
    #[cfg(feature = "tracing")]
    pub(crate) fn subject(&self) -> alloc::string::String {
        match &self.party {
            Party::Server { .. } => alloc::string::String::from_utf8_lossy(&self.path).into_owned(),
            Party::Client(client) => client.host.clone(),
        }
    }

    /// The outcome, after [`OpeningStep::Done`].
    ///
    /// # Errors
    ///
    /// [`Failure`]: [`Failure::Aborted`] also if it was not over yet.
    pub fn finish(mut self) -> Result<Established, Failure> {
        self.take_outcome()
    }

    /// As [`finish`](Self::finish), without a move of all that is in it.
    pub(crate) fn take_outcome(&mut self) -> Result<Established, Failure> {
        let response = match &mut self.party {
            Party::Server { .. } => None,
            Party::Client(client) => client.take_response(),
        };
        match self.outcome.take() {
            Some(Ok(negotiated)) => Ok(Established { negotiated, response }),
            Some(Err(Failure::Handshake(mut error))) => {
                error.response = response;
                Err(Failure::Handshake(error))
            }
            Some(Err(failure)) => Err(failure),
            None => Err(Failure::Aborted),
        }
    }

    fn read<S: Storage>(&mut self, inbox: &mut Inbox<S>, now: I) {
        match &mut self.party {
            Party::Server { options, reader, decide } => {
                let see = |_head: &RequestHead<'_, '_>| {
                    #[cfg(feature = "tracing")]
                    self.path.extend_from_slice(_head.path().as_bytes());
                };
                let decide = |head: &RequestHead<'_, '_>, accepted: &mut Accepted<'_>| {
                    if self.holds {
                        return Ok(0);
                    }
                    if let Some(decide) = decide.take() {
                        decide(head, accepted)?;
                    }
                    Ok(respond(head, accepted, &mut self.outgoing, &mut self.outcome))
                };
                match answer(options, reader, inbox.unread(), see, decide) {
                    Ok(Some(_)) if self.holds => self.phase = Phase::Held,
                    length => self.answered(length, inbox, now),
                }
            }
            Party::Client(client) => match client.receive(inbox.unread()) {
                Ok(None) => {}
                Ok(Some(opened)) => {
                    inbox.consume(opened.length);
                    self.outcome = Some(Ok(opened.negotiated));
                    self.phase = Phase::Done;
                }
                Err(error) => {
                    self.outcome = Some(Err(error.into()));
                    self.phase = Phase::Done;
                    if let ClientError::UnexpectedStatus(_) = error {
                        inbox.consume(client.response().map_or(0, |response| response.length));
                        self.phase = Phase::Body(Box::new(client.refused_body()));
                    }
                }
            },
        }
    }

    /// Acts on the answer to a request, if that is complete: its head was so long.
    fn answered<S: Storage>(
        &mut self,
        length: Result<Option<usize>, Rejection>,
        inbox: &mut Inbox<S>,
        now: I,
    ) {
        match length {
            Ok(None) => {}
            Ok(Some(length)) => {
                inbox.consume(length);
                self.phase = Phase::Write;
                if self.late {
                    self.deadline = Some(now.saturating_add(self.close_timeout));
                }
            }
            Err(rejection) => self.refuse(rejection, None, self.close_timeout, now),
        }
    }

    /// Answers with a refusal; `failure` is reported if it is something else.
    fn refuse(&mut self, rejection: Rejection, failure: Option<Failure>, timeout: Duration, now: I) {
        let rejection = rejection.explained();
        self.outgoing = rejection.to_answer();
        self.written = 0;
        self.deadline = Some(now.saturating_add(timeout));
        self.outcome = Some(Err(failure.unwrap_or(Failure::Rejected(rejection))));
        self.phase = Phase::Write;
    }

    fn time_out(&mut self, now: I) {
        let timed_out = Failure::TimedOut;
        match (&self.phase, &self.party) {
            (Phase::Read, Party::Server { .. }) => {
                // Whoever is late has no more time for the answer than for the request.
                let timeout = self.close_timeout.min(self.handshake_timeout);
                self.refuse(Refusal::Timeout.into(), Some(timed_out), timeout, now);
                return;
            }
            (Phase::Read | Phase::Write | Phase::Flush, _) if !matches!(self.outcome, Some(Err(_))) => {
                self.outcome = Some(Err(timed_out));
            }
            _ => {}
        }
        match &mut self.phase {
            Phase::Body(body) => body.receive_eof(),
            phase => *phase = Phase::Done,
        }
    }
}

/// Notes the response to a request that is accepted, and what is negotiated; how long the request's head is.
fn respond(
    head: &RequestHead<'_, '_>,
    accepted: &mut Accepted<'_>,
    outgoing: &mut Vec<u8>,
    outcome: &mut Option<Result<Negotiated, Failure>>,
) -> usize {
    *outgoing = accepted.to_bytes();
    *outcome = Some(Ok(accepted.take_negotiated()));
    head.len()
}

impl<I: fmt::Debug, D> fmt::Debug for Opening<'_, I, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("phase", &self.phase)
            .field("deadline", &self.deadline)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
