//! What drives a WebSocket over one stream: reading, answering, the times, the end.

use super::super::{Error, Options, TimedOut};
use super::clock::{Clock, Tick};
use super::{io, outlet, scratch};
use crate::inbox::Inbox;
use crate::ws::{Connection, Event, Found, Message, Sender, State, UsageError};
use bytes::BytesMut;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection over its stream: all but the inbox, so that an event lent from that does not stop the rest.
pub(super) struct Driver<S> {
    pub(super) stream: S,
    pub(super) connection: Connection,
    pub(super) clock: Clock,
    /// What is to be reported when all is written and closed.
    pub(super) error: Option<Error>,
    /// How writing failed. What the peer has sent can still be read; this is reported at its end.
    pub(super) broken: Option<Error>,
    /// A message that `Sink::start_send` took while the queue was full.
    pub(super) held: Option<Message>,
    phase: Phase,
    /// A pong is queued: it is written before the next ping takes its place.
    pong_first: bool,
}

/// How far the end of the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Events are parsed, messages sent.
    Open,
    /// Our direction of the transport is being closed.
    Shutdown,
    /// What the peer still sends is dropped until it closes, too.
    Drain,
    /// Nothing is left to do but to report the error, if any.
    Done,
}

impl<S> Driver<S> {
    pub(super) fn new(stream: S, connection: Connection, options: &Options) -> Self {
        Self {
            stream,
            connection,
            clock: Clock::new(options),
            error: None,
            broken: None,
            held: None,
            phase: Phase::Open,
            pong_first: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn event<'b>(&mut self, found: Found, inbox: &'b Inbox<BytesMut>) -> Result<Event<'b>, Error> {
        let event = self.connection.event(found, inbox)?;
        self.pong_first = matches!(event, Event::Ping(_));
        Ok(event)
    }

    pub(super) fn message(&mut self, found: Found, inbox: &mut Inbox<BytesMut>) -> Result<Message, Error> {
        let message = self.connection.owned(found, inbox)?;
        self.pong_first = matches!(message, Message::Ping(_));
        Ok(message)
    }

    /// The next event: from what is at hand, or after writing, waiting and reading.
    pub(super) fn poll_found(
        &mut self,
        inbox: &mut Inbox<BytesMut>,
        lent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Found, Error>>> {
        if self.pong_first && self.error.is_none() {
            self.pong_first = false;
            let _ = io::poll_flush(&mut self.stream, self.connection.outgoing(), cx);
        }
        loop {
            if self.phase == Phase::Open && self.error.is_none() {
                match self.connection.find(inbox, lent) {
                    Ok(Some(found)) => return Poll::Ready(Some(Ok(found))),
                    Ok(None) => {}
                    Err(error) => self.error = Some(error.into()),
                }
            }
            if self.error.is_some() || self.connection.is_finished() || self.phase != Phase::Open {
                return self.poll_end(cx).map(|error| error.map(Err));
            }
            // All that one read has caused leaves in one write.
            match self.poll_flush_queue(cx) {
                Poll::Ready(Err(error)) => {
                    self.broken.get_or_insert(error);
                    self.connection.outgoing().clear();
                }
                Poll::Ready(Ok(())) if self.connection.is_finished() => continue,
                _ => {}
            }
            if self.connection.state() != State::Open {
                self.clock.start_closing();
            }
            match self.clock.poll(cx) {
                Poll::Ready(Tick::Ping) => {
                    // Refused if the queue is full: then the peer, if it lives, has enough to read.
                    let _ = self.connection.ping(&[]);
                    continue;
                }
                // Both close frames have passed; that the server does not close is not our fault.
                Poll::Ready(Tick::TimedOut(TimedOut::Close)) if self.connection.state() == State::Closed => {
                    self.phase = Phase::Done;
                    return Poll::Ready(None);
                }
                Poll::Ready(Tick::TimedOut(what)) => return self.abandon(Error::TimedOut(what)),
                Poll::Pending => {}
            }
            scratch::lend_to_inbox(inbox);
            match io::poll_read(&mut self.stream, inbox, cx) {
                Poll::Pending => {
                    scratch::take_from_inbox(inbox);
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return self.abandon(error.into()),
                Poll::Ready(Ok(0)) => {
                    self.connection.receive_eof();
                    if self.connection.state() == State::Aborted {
                        return self.abandon(Error::Aborted);
                    }
                }
                Poll::Ready(Ok(_)) => {
                    scratch::lend_to_outgoing(self.connection.outgoing());
                    self.clock.touch();
                }
            }
        }
    }

    /// Nothing more can be done with this transport.
    fn abandon<T>(&mut self, error: Error) -> Poll<Option<Result<T, Error>>> {
        self.phase = Phase::Done;
        Poll::Ready(Some(Err(self.broken.take().unwrap_or(error))))
    }

    /// Writes what is left, closes our direction, waits for the peer's end; then the error to
    /// report. Within the close timeout.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        if self.phase != Phase::Done {
            self.clock.start_closing();
        }
        while self.phase != Phase::Done {
            let step = match self.phase {
                Phase::Open => io::poll_flush(&mut self.stream, self.connection.outgoing(), cx)
                    .map_ok(|()| Phase::Shutdown),
                Phase::Shutdown => Pin::new(&mut self.stream).poll_shutdown(cx).map_ok(|()| Phase::Drain),
                Phase::Drain => io::poll_drain(&mut self.stream, cx).map(|()| Ok(Phase::Done)),
                Phase::Done => Poll::Ready(Ok(Phase::Done)),
            };
            match step {
                Poll::Ready(Ok(next)) => self.phase = next,
                // Whatever the transport says now comes too late to matter.
                Poll::Ready(Err(_)) => self.phase = Phase::Done,
                Poll::Pending => {
                    ready!(self.clock.poll(cx));
                    self.phase = Phase::Done;
                }
            }
        }
        scratch::take_from_outgoing(self.connection.outgoing());
        Poll::Ready(self.error.take())
    }

    /// Queues with `queue`, behind what the sink holds, writing first for as long as that says that the queue is full.
    pub(super) fn poll_queue(
        &mut self,
        cx: &mut Context<'_>,
        queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        outlet::poll_queue(&mut self.stream, self.connection.sender_mut(), cx, queue)
    }

    /// Writes until nothing is queued or held, and gives the queue's memory back.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_held(cx))?;
        self.poll_flush_queue(cx)
    }

    fn poll_flush_queue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        outlet::poll_flush(&mut self.stream, self.connection.sender_mut(), cx)
    }

    /// Queues the message that `Sink::start_send` could not.
    pub(super) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, connection, held, .. } = self;
        outlet::poll_held(stream, connection.sender_mut(), held, cx)
    }
}
