//! What a blocking WebSocket does while it waits, for whichever method waits: it writes, reads, keeps the time.

use super::super::ahead::{self, Ahead};
use super::super::stats::Tally;
use super::super::{Error, end, trace};
use super::outlet::{Outlet, Spell, Wrote};
use super::transport::Transport;
use crate::inbox::Inbox;
use crate::ws::{
    Life, Message, Outbound, ProtocolError, Receiver, Reply, Sender, Side, State, Step, UsageError,
};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::Instant;

/// The stream, the sender and the life of the connection: all but the receiver, so that an event lent from its inbox does
/// not stop the rest.
pub(super) struct Driver<S> {
    pub(super) outlet: Outlet<S>,
    pub(super) life: Life<Instant>,
    pub(super) tally: Tally,
    /// How the transport has failed.
    pub(super) failure: Option<io::Error>,
    /// A pong is queued: it is written before the next ping takes its place.
    pub(super) pong_first: bool,
    /// The end was reported.
    pub(super) over: bool,
}

/// What waiting has led to.
pub(super) enum Progress {
    /// Bytes, or the peer's end: look.
    Received,
    /// The time of the call is up, and nothing has come.
    Late,
    Over,
}

/// What was found.
pub(super) enum Sought<T> {
    Found(T),
    /// Nothing in the time that the call has.
    Late,
    Over,
}

impl<S: Transport> Driver<S> {
    /// Does all that is to be done, but for reading and waiting: what then?
    pub(super) fn run(&mut self, side: Side, until: Option<Instant>) -> Step<Instant> {
        let mut spell = Spell::new(until);
        let step = loop {
            self.outlet.sync(&mut self.life, &mut self.tally);
            match self.life.step(side) {
                Step::Write => {
                    self.write();
                    if !self.outlet.is_flushed() && spell.is_over() {
                        // A peer that takes a little all the time must not keep the call from reading, nor from ending.
                        self.life.write_blocked();
                    }
                }
                Step::Shutdown => {
                    // A direction that cannot be ended has ended, or the next read fails.
                    let shut = self.outlet.stream.get_mut().shutdown(Shutdown::Write);
                    self.life.shut();
                    if shut.is_err_and(|error| error.kind() == ErrorKind::Unsupported) {
                        // Only dropping it tells the peer, who may wait for that.
                        self.life.eof();
                    }
                }
                Step::Ping => {
                    let pinged = self.outlet.sender.ping(&[]); // Closed: then nobody needs it
                    self.tally.own.pings_sent += u64::from(pinged.is_ok());
                    self.life.pinged();
                }
                Step::Clock => self.life.tick(side, Instant::now()),
                step => break step,
            }
        };
        if let Step::Over(end) = step {
            self.tally.end(end);
            if self.outlet.sender.state() == State::Open || !self.outlet.is_flushed() {
                self.outlet.give_up();
            }
        }
        step
    }

    /// Writes what is queued, waits, reads.
    pub(super) fn wait(&mut self, inbox: &mut Inbox, until: Option<Instant>) -> Result<Progress, Error> {
        if self.over {
            return Ok(Progress::Over);
        }
        self.pong_first = false;
        self.life.ready();
        loop {
            match self.run(Side::Reading, until) {
                Step::Read => {
                    let wait = self.patience(until);
                    if self.read(inbox, wait) {
                        return Ok(Progress::Received);
                    }
                }
                Step::Drain => self.drain(until),
                // All is read. What the peer has not taken is tried again, and that waits.
                Step::Wait(_) if !self.outlet.is_flushed() && !self.outlet.stream.is_nonblocking() => {
                    self.life.ready();
                }
                // Of a stream that does not wait.
                Step::Wait(_) => return Err(not_ready()),
                Step::Over(end) => {
                    self.over = true;
                    if !self.life.is_shut() {
                        // Time was up, or nothing could be written.
                        let _ = self.outlet.stream.get_mut().shutdown(Shutdown::Write);
                    }
                    let error = end::error(end, self.failure.as_ref());
                    error.iter().for_each(trace::failed);
                    return error.map_or(Ok(Progress::Over), Err);
                }
                // `run` does the others.
                _ => continue,
            }
            if is_late(until) {
                return Ok(Progress::Late);
            }
        }
    }

    /// Whether a write was waited for since the last read, and the transport took nothing. The pong of the latest ping will do
    /// for all then (RFC 6455 5.5.3): a wait for each would hold the thread for as long as one read has pings.
    pub(super) fn waits_in_vain(&self) -> bool {
        self.life.is_write_blocked() && !self.outlet.stream.is_nonblocking()
    }

    pub(super) fn write(&mut self) {
        match self.outlet.write() {
            Wrote::Some => self.life.written(),
            Wrote::Blocked => {
                self.life.write_blocked();
                self.outlet.sync(&mut self.life, &mut self.tally);
                self.life.tick(Side::Writing, Instant::now());
            }
            Wrote::Failed(error) => {
                self.life.write_failed();
                self.failure.get_or_insert(error);
                self.outlet.give_up();
            }
        }
    }

    /// Reads once. Whether there was something.
    pub(super) fn read(&mut self, inbox: &mut Inbox, wait: Option<Duration>) -> bool {
        self.tally.publish();
        let read = self.outlet.stream.read_or_release(inbox, wait);
        self.has_read(read)
    }

    pub(super) fn drain(&mut self, until: Option<Instant>) {
        let wait = self.patience(until);
        let read = self.outlet.stream.drop_some(wait);
        self.has_read(read);
    }

    fn has_read(&mut self, read: io::Result<Option<usize>>) -> bool {
        match read {
            Ok(Some(0)) => {
                self.life.eof();
                if self.life.is_eof_for_sender(&self.outlet.sender) {
                    self.outlet.receive_eof();
                }
            }
            Ok(Some(n)) => {
                self.tally.own.bytes_received += n as u64;
                self.life.received(n);
                self.outlet.received();
                self.life.ready();
                return true;
            }
            // The wait is over, and all that had come was taken.
            Ok(None) => {
                self.life.read_blocked();
                self.life.tick(Side::Reading, Instant::now());
                if self.life.end().is_none() {
                    self.life.ready();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.life.read_blocked(),
            Err(error) => {
                self.life.read_failed();
                self.failure.get_or_insert(error);
            }
        }
        false
    }

    /// How long a read may wait: until something is due, or is to be written once more, or the call's time is up.
    fn patience(&mut self, until: Option<Instant>) -> Option<Duration> {
        let due = if self.outlet.is_flushed() {
            let now = Instant::now();
            self.life.tick(Side::Reading, now);
            self.life.deadline(Side::Reading).map(|deadline| deadline.saturating_duration_since(now))
        } else {
            Some(self.outlet.pace())
        };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        due.into_iter().chain(left).min()
    }

    /// Puts aside what was read while a send waits.
    pub(super) fn parse_ahead(&mut self, receiver: &mut Receiver, inbox: &mut Inbox, ahead: &mut Ahead) {
        loop {
            match ahead::next(receiver, inbox) {
                Ok(Some(message)) => {
                    self.tally.count(&message);
                    match message.reply() {
                        // 5.5.1: what was sent before the close came still goes out; it is answered once it is seen.
                        Some(reply @ Reply::Close(_)) => self.life.found(&reply),
                        Some(reply) => self.outlet.sender.reply(reply),
                        None => {}
                    }
                    ahead.push(message);
                }
                Ok(None) => return,
                Err(error) => self.fault(error),
            }
        }
    }

    pub(super) fn queue<'a>(
        &mut self,
        message: Outbound<'a>,
        queue: impl FnOnce(&mut Sender, Outbound<'a>) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        let counts = u64::from(message.is_data());
        let queued = queue(&mut self.outlet.sender, message);
        queued.map_err(|error| self.refusal().unwrap_or(Error::Usage(error)))?;
        self.tally.own.messages_sent += counts;
        Ok(())
    }

    pub(super) fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        let queued = self.outlet.sender.ping(payload);
        queued.map_err(|error| self.refusal().unwrap_or(Error::Usage(error)))?;
        self.tally.own.pings_sent += 1;
        Ok(())
    }

    /// An event is given out: queues what it asks to be answered with.
    pub(super) fn answer(&mut self, reply: Option<Reply<'_>>) {
        let Some(reply) = reply else { return };
        self.life.found(&reply);
        if let Reply::Close(code) = reply
            && self.outlet.sender.state() == State::Open
        {
            trace::closed("peer", code);
        }
        self.outlet.sender.reply(reply);
        match reply {
            Reply::Pong(_) => self.pong_first = true,
            // Nothing comes after it to write together with.
            Reply::Close(_) => {
                if self.life.is_eof_for_sender(&self.outlet.sender) {
                    self.outlet.receive_eof();
                }
                self.write();
            }
            Reply::Fail(_) => {}
        }
    }

    pub(super) fn answer_close(&mut self, message: &Message) {
        if let reply @ Some(Reply::Close(_)) = message.reply() {
            self.answer(reply);
        }
    }

    /// The peer broke the protocol: the close frame that says so is written, then the error reported.
    #[cold]
    pub(super) fn fault(&mut self, error: ProtocolError) {
        self.outlet.sender.reply(Reply::Fail(error.close_code()));
        self.life.failed(error);
    }

    /// Why a send fails although the connection is not closing.
    pub(super) fn refusal(&self) -> Option<Error> {
        end::refusal(&self.life, self.failure.as_ref(), self.outlet.has_lost())
    }
}

/// Whether the time of a call is up.
pub(super) fn is_late(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

pub(super) fn not_ready() -> Error {
    Error::Io(ErrorKind::WouldBlock.into())
}
