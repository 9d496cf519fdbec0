//! What drives a WebSocket over one stream: reading, answering, the times, the end.

use super::super::{Error, Options};
use super::inlet::{self, Read};
use super::outlet::{self, is_not_ready};
use super::timed::Timed;
use super::times::Times;
use super::transport::Transport;
use crate::inbox::Inbox;
use crate::ws::{Connection, Found, State};
use bytes::BytesMut;
use std::net::Shutdown;

/// A connection over its stream: all but the inbox, so that an event lent from that does not stop the rest.
pub(super) struct Driver<S> {
    pub(super) stream: Timed<S>,
    pub(super) connection: Connection,
    pub(super) times: Times,
    /// What went wrong with the transport, reported once all that was received is delivered.
    pub(super) error: Option<Error>,
    /// Nothing can be written any more, but what the peer has sent can still be read.
    pub(super) mute: bool,
    /// A pong is queued: it is written before the next ping takes its place.
    pong_queued: bool,
    /// The transport is done with.
    pub(super) over: bool,
}

impl<S> Driver<S> {
    pub(super) fn new(stream: Timed<S>, connection: Connection, options: &Options) -> Self {
        Self {
            stream,
            connection,
            times: Times::new(options),
            error: None,
            mute: false,
            pong_queued: false,
            over: false,
        }
    }
}

impl<S: Transport> Driver<S> {
    /// The next event: from what is at hand, or after writing, waiting and reading.
    pub(super) fn find(&mut self, inbox: &mut Inbox<BytesMut>, parts: bool) -> Result<Option<Found>, Error> {
        loop {
            match self.connection.find(inbox, parts) {
                Ok(Some(found)) => {
                    if self.pong_queued && found.is_ping() {
                        // A stream that is not ready, or broken, is the next read's matter: the latest ping wins.
                        let _ = self.flush();
                    }
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(error) => return Err(self.fail(error.into())),
            }
            if self.over {
                return self.outcome().map(|()| None);
            }
            // All that one read has caused leaves in one write.
            self.flush()?;
            if self.connection.is_finished() && !self.mute {
                return self.end().map(|()| None);
            }
            if self.connection.state() != State::Open {
                self.times.start_closing();
            }
            if !self.read(inbox)? {
                self.connection.receive_eof();
                return self.hang_up().map(|()| None);
            }
        }
    }

    /// Reads once. Whether there is more to be expected of the transport.
    fn read(&mut self, inbox: &mut Inbox<BytesMut>) -> Result<bool, Error> {
        match inlet::read(&mut self.stream, inbox, &mut self.times) {
            Ok(Read::More) => Ok(true),
            Ok(Read::PingDue) => {
                // Refused if the queue is full: then the peer, if it lives, has enough to read.
                let _ = self.connection.ping(&[]);
                Ok(true)
            }
            Ok(Read::Eof) => Ok(false),
            Err(error) if is_not_ready(&error) => Err(error),
            Err(error) => {
                self.keep(error);
                Ok(false)
            }
        }
    }

    /// An event was lent, and what is owed for it is queued.
    pub(super) fn answered(&mut self, ping: bool, close: bool) {
        self.pong_queued |= ping;
        if close {
            // Nothing comes after it to write together with. Errors: the next call says.
            let _ = self.flush();
        }
    }

    /// Writes what is queued. What goes wrong is kept for later, but for a stream that is not ready.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        match outlet::flush(&mut self.stream, self.connection.sender_mut(), &mut self.times) {
            Ok(()) => self.pong_queued = false,
            Err(error) if is_not_ready(&error) => return Err(error),
            Err(error) => self.lose(error),
        }
        Ok(())
    }

    /// The transport takes nothing more. What the peer has sent, its close frame perhaps, can still be read.
    pub(super) fn lose(&mut self, error: Error) {
        self.keep(error);
        self.mute = true;
        self.times.start_closing();
        outlet::give_up(self.connection.sender_mut());
    }

    /// Keeps an error for [`outcome`](Self::outcome), unless it comes too late to matter.
    fn keep(&mut self, error: Error) {
        if matches!(self.connection.state(), State::Open | State::CloseSent) {
            self.error.get_or_insert(error);
        }
    }

    /// The peer's fault: writes the close frame that says so, closes, and is the error to report.
    #[cold]
    pub(super) fn fail(&mut self, error: Error) -> Error {
        if !self.over {
            self.times.start_closing();
            // Whatever the transport says now comes too late to matter.
            let _ = self.flush();
            let _ = self.end();
        }
        error
    }

    /// Closes our direction and waits for the peer's end, within the close timeout.
    fn end(&mut self) -> Result<(), Error> {
        self.times.start_closing();
        self.stream.finish(self.times.close_deadline())?;
        self.over = true;
        self.outcome()
    }

    /// The peer's direction has ended: closes ours.
    fn hang_up(&mut self) -> Result<(), Error> {
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
        self.over = true;
        self.outcome()
    }

    /// How it ended, once it has.
    fn outcome(&mut self) -> Result<(), Error> {
        match self.error.take() {
            Some(error) => Err(error),
            None if self.connection.state() == State::Aborted => Err(Error::Aborted),
            None => Ok(()),
        }
    }
}
