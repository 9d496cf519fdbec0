//! The reading half of a split socket: it parses, waits and reads. What it shares with the writers is in `mod.rs`.

use super::super::driver::{Progress, Sought, is_late};
use super::super::timed::Timed;
use super::{AGAIN, Shared};
use crate::adapter::ahead::Ahead;
use crate::adapter::blocking::Transport;
use crate::adapter::stats::Received;
use crate::adapter::{ConnectionStats, Error, end, trace};
use crate::heartbeat::Instant as _;
use crate::inbox::Inbox;
use crate::ws::{End, Event, Found, Message, ProtocolError, Receiver, Reply, Side, State, Step};
use core::fmt;
use core::task::Poll;
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

/// The reading half of a split [`WebSocket`].
///
/// [`WebSocket`]: crate::adapter::blocking::WebSocket
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::blocking::{Reader, Transport};
/// use std::sync::mpsc::SyncSender;
///
/// /// Hands every text on, waiting while nobody takes it: the peer is slowed down by that.
/// fn listen<S: Transport>(mut reader: Reader<S>, texts: SyncSender<String>) -> Result<(), Error> {
///     while let Some(message) = reader.next()? {
///         if let Some(text) = message.as_text() {
///             let _ = texts.send(text.to_owned());
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Reader<S: Transport> {
    pub(super) receiver: Receiver,
    pub(super) inbox: Inbox,
    /// What was read while the whole socket's send waited.
    pub(super) ahead: Ahead,
    pub(super) reading: Reading<S>,
}

/// All but the receiver, so that an event lent from its inbox does not stop the rest.
pub(super) struct Reading<S: Transport> {
    pub(super) stream: Timed<S>,
    pub(super) shared: Arc<Shared<S>>,
    /// What is not yet in the tally.
    pub(super) received: Received,
    /// The end was reported.
    pub(super) over: bool,
}

impl<S: Transport> Reader<S> {
    /// The next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    ///
    /// [`WebSocket::next`]: crate::adapter::blocking::WebSocket::next
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        Ok(match self.next_by(None)? {
            Poll::Ready(message) => message,
            Poll::Pending => None, // not without a time
        })
    }

    /// As [`next`](Self::next), but waits for no longer than `timeout`; see [`WebSocket::next_timeout`].
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// [`WebSocket::next_timeout`]: crate::adapter::blocking::WebSocket::next_timeout
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Poll<Option<Message>>, Error> {
        self.next_by(Some(Instant::now().saturating_add(timeout)))
    }

    /// The next event, lent; see [`WebSocket::next_event`].
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    ///
    /// [`WebSocket::next_event`]: crate::adapter::blocking::WebSocket::next_event
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        if self.ahead.lend() {
            let Some(message) = self.ahead.lent() else { return Ok(None) };
            self.reading.answer_close(message, None);
            return Ok(Some(message.as_event()));
        }
        let Sought::Found(found) = self.seek(None, Receiver::find, Found::is_ping)? else { return Ok(None) };
        let Self { receiver, inbox, reading, .. } = self;
        let error = match receiver.event(found, inbox) {
            Ok(event) => {
                reading.received.count_event(&event);
                reading.answer(event.reply(), None);
                return Ok(Some(event));
            }
            Err(error) => error,
        };
        reading.fault(error);
        // Nothing is kept of what still comes.
        while let Progress::Received = reading.wait(&mut Inbox::with_read_size(1), None)? {}
        Ok(None)
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.reading.shared.notes().life.end()
    }

    /// What the connection has carried, both halves together.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.reading.shared.notes().tally.with(&self.reading.received)
    }

    fn next_by(&mut self, until: Option<Instant>) -> Result<Poll<Option<Message>>, Error> {
        if let Some(message) = self.ahead.take() {
            self.reading.answer_close(&message, until);
            return Ok(Poll::Ready(Some(message)));
        }
        Ok(match self.seek(until, Receiver::next_owned, |message| matches!(message, Message::Ping(_)))? {
            Sought::Found(message) => {
                self.reading.received.count(&message);
                self.reading.answer(message.reply(), until);
                Poll::Ready(Some(message))
            }
            Sought::Late => Poll::Pending,
            Sought::Over => Poll::Ready(None),
        })
    }

    fn seek<T>(
        &mut self,
        until: Option<Instant>,
        next: impl Fn(&mut Receiver, &mut Inbox) -> Result<Option<T>, ProtocolError>,
        is_ping: impl Fn(&T) -> bool,
    ) -> Result<Sought<T>, Error> {
        let mut has_waited = false;
        loop {
            if !self.receiver.is_ended() {
                match next(&mut self.receiver, &mut self.inbox) {
                    Ok(Some(found)) => {
                        if is_ping(&found) {
                            // The pong of the ping before, if nobody is writing just now.
                            self.reading.shared.settle(until);
                        }
                        return Ok(Sought::Found(found));
                    }
                    Ok(None) => {}
                    Err(error) => self.reading.fault(error),
                }
            }
            if core::mem::replace(&mut has_waited, true) && is_late(until) {
                return Ok(Sought::Late);
            }
            match self.reading.wait(&mut self.inbox, until)? {
                Progress::Received => {}
                Progress::Late => return Ok(Sought::Late),
                Progress::Over => return Ok(Sought::Over),
            }
        }
    }
}

impl<S: Transport> Reading<S> {
    /// Writes what is owed, waits, reads.
    fn wait(&mut self, inbox: &mut Inbox, until: Option<Instant>) -> Result<Progress, Error> {
        if self.over {
            return Ok(Progress::Over);
        }
        loop {
            // All that one read has caused leaves in one write.
            let mut idle = self.shared.settle(until);
            let step = {
                let mut notes = self.shared.notes();
                notes.tally.take(&mut self.received);
                notes.tally.publish();
                if notes.life.end().is_none() {
                    notes.life.ready();
                }
                match notes.life.step(Side::Reading) {
                    Step::Write | Step::Shutdown => {
                        drop(notes);
                        idle &= self.shared.try_write(until);
                        let mut notes = self.shared.notes();
                        // Whoever writes, or the next round, does the rest.
                        notes.life.write_blocked();
                        notes.life.step(Side::Reading)
                    }
                    step => step,
                }
            };
            match step {
                Step::Ping => {
                    self.shared.notes().owed.add_ping();
                    continue;
                }
                Step::Clock => {
                    self.shared.notes().life.tick(Side::Reading, Instant::now());
                    continue;
                }
                Step::Read => {
                    let wait = self.patience(idle, until);
                    let read = self.stream.read_or_release(inbox, wait);
                    if self.has_read(read) {
                        return Ok(Progress::Received);
                    }
                }
                Step::Drain => {
                    let wait = self.patience(idle, until);
                    let read = self.stream.drop_some(wait);
                    self.has_read(read);
                }
                Step::Over(end) => {
                    self.over = true;
                    let error = {
                        let mut notes = self.shared.notes();
                        notes.tally.end(end);
                        end::error(end, notes.failure.as_ref())
                    };
                    error.iter().for_each(trace::failed);
                    self.shared.over.notify_all();
                    // A writer may be waiting for a peer that takes nothing any more.
                    let _ = self.stream.get_mut().shutdown(Shutdown::Both);
                    return error.map_or(Ok(Progress::Over), Err);
                }
                // A stream that does not wait.
                _ if self.stream.is_nonblocking() => return Err(Error::Io(ErrorKind::WouldBlock.into())),
                // All is read, and another thread writes what is left.
                _ => {
                    let mut notes = self.shared.notes();
                    notes.life.tick(Side::Reading, Instant::now());
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    let _ = self.shared.over.wait_timeout(notes, left.map_or(AGAIN, |left| left.min(AGAIN)));
                }
            }
            if is_late(until) {
                return Ok(Progress::Late);
            }
        }
    }

    /// How long a read may wait: until something is due, or while something waits to be written by us, a little.
    fn patience(&self, idle: bool, until: Option<Instant>) -> Option<Duration> {
        let now = Instant::now();
        let mut notes = self.shared.notes();
        notes.life.tick(Side::Reading, now);
        let due = notes.life.deadline(Side::Reading);
        let left = due.into_iter().chain(until).min().map(|at| at.saturating_duration_since(now));
        if idle { left } else { Some(left.map_or(AGAIN, |left| left.min(AGAIN))) }
    }

    fn has_read(&mut self, read: io::Result<Option<usize>>) -> bool {
        let mut notes = self.shared.notes();
        match read {
            Ok(Some(0)) => {
                notes.life.eof();
                notes.owed.add_eof();
            }
            Ok(Some(n)) => {
                notes.tally.own.bytes_received += n as u64;
                notes.life.received(n);
                return true;
            }
            // The wait is over, and all that had come was taken.
            Ok(None) => {
                notes.life.read_blocked();
                notes.life.tick(Side::Reading, Instant::now());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => notes.life.read_blocked(),
            Err(error) => {
                notes.fail(error);
                notes.life.read_failed();
            }
        }
        false
    }

    /// An event is given out: notes what it asks to be answered with.
    fn answer(&mut self, reply: Option<Reply<'_>>, until: Option<Instant>) {
        let Some(reply) = reply else { return };
        {
            let mut notes = self.shared.notes();
            if let Reply::Close(code) = reply
                && notes.life.state() == State::Open
            {
                trace::closed("peer", code);
            }
            notes.life.found(&reply);
            notes.owed.add(reply);
        }
        if matches!(reply, Reply::Close(_)) {
            // Nothing comes after it to write together with.
            self.shared.settle(until);
        }
    }

    fn answer_close(&mut self, message: &Message, until: Option<Instant>) {
        if let reply @ Some(Reply::Close(_)) = message.reply() {
            self.answer(reply, until);
        }
    }

    #[cold]
    fn fault(&mut self, error: ProtocolError) {
        let mut notes = self.shared.notes();
        notes.owed.add(Reply::Fail(error.close_code()));
        notes.life.failed(error);
    }
}

impl<S: Transport> Drop for Reading<S> {
    fn drop(&mut self) {
        if !self.over {
            {
                let mut notes = self.shared.notes();
                notes.life.reader_gone();
                notes.owed.add_eof();
            }
            self.shared.settle(None);
            self.shared.over.notify_all();
        }
    }
}

impl<S: Transport> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
