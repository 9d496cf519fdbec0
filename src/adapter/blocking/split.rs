//! A WebSocket in two halves, for a thread that reads and threads that write.
//!
//! The reader owns its state machine and its handle of the stream. The sending half is shared by all writers, under a
//! lock that is held while one of them writes. The reader never waits for that lock: what it finds to be owed it notes
//! down, the latest ping only, and if nobody is writing just then it writes that itself; otherwise whoever is writing
//! does so before going. The notes, and the life of the connection among them, are locked for no longer than it takes to
//! look.

use super::super::owed::Owed;
use super::super::stats::{Received, Tally};
use super::super::{ConnectionStats, Error, end, trace};
use super::client_stream::ClientStream;
use super::outlet::{Outlet, Wrote};
use super::timed::Timed;
#[cfg(feature = "rustls")]
use super::tls::TlsStream;
use super::transport::Transport;
use super::websocket::{Driver, WebSocket};
use crate::adapter::ahead::Ahead;
use crate::inbox::Inbox;
use crate::ws::{
    CloseCode, End, Event, Found, Life, Message, Outbound, ProtocolError, Receiver, Reply, Sender, Side,
    State, Step, UsageError, Wanted,
};
use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

impl<S: Transport> WebSocket<S> {
    /// Splits into a writer and a reader, after writing what is queued. `clone` gives a second handle of the same
    /// stream, as [`TcpStream::try_clone`] does; a stream that has none (most TLS streams, but not this crate's) cannot be
    /// read and written by two threads at once.
    ///
    /// The stream has to be one that waits: over a non-blocking one the halves fail.
    ///
    /// The halves do not wait for each other: pings are answered, and the heartbeat and the deadlines kept, by whichever
    /// is free to do so, as long as the reader's [`next`](Reader::next) is being called.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] of `clone`, and as [`flush`](Self::flush). The connection is lost then.
    pub fn split_with(
        mut self,
        clone: impl FnOnce(&S) -> io::Result<S>,
    ) -> Result<(Writer<S>, Reader<S>), Error> {
        self.flush()?;
        let Self { receiver, inbox, ahead, driver, .. } = self;
        let (stream, sender) = driver.outlet.into_parts();
        let write = Timed::new(clone(stream.get_ref())?);
        let Driver { life, tally, failure, .. } = driver;
        let notes = Notes { owed: Owed::default(), life, tally, failure, lost: false };
        let shared = Arc::new(Shared {
            outlet: Mutex::new(Outlet::new(write, sender)),
            notes: Mutex::new(notes),
            over: Condvar::new(),
        });
        let writer = Writer { shared: Arc::clone(&shared) };
        Ok((
            writer,
            Reader {
                receiver,
                inbox,
                ahead,
                reading: Reading { stream, shared, received: Received::default(), over: false },
            },
        ))
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a writer and a reader on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::blocking::WebSocket;
    /// use std::net::TcpStream;
    /// use std::sync::mpsc;
    /// use std::thread;
    ///
    /// fn chat(socket: WebSocket<TcpStream>, room: mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (writer, mut reader) = socket.split()?;
    ///     let writing = thread::spawn(move || {
    ///         for text in room {
    ///             writer.send(text)?;
    ///         }
    ///         writer.close(1000, "")
    ///     });
    ///     while let Some(message) = reader.next()? {
    ///         println!("{message:?}");
    ///     }
    ///     writing.join().expect("the thread does not panic")
    /// }
    /// ```
    pub fn split(self) -> Result<(Writer<TcpStream>, Reader<TcpStream>), Error> {
        self.split_with(TcpStream::try_clone)
    }
}

impl WebSocket<ClientStream> {
    /// Splits into a writer and a reader on different threads, also over TLS; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    pub fn split(self) -> Result<(Writer<ClientStream>, Reader<ClientStream>), Error> {
        self.split_with(ClientStream::try_clone)
    }
}

#[cfg(feature = "rustls")]
impl WebSocket<TlsStream<TcpStream>> {
    /// Splits into a writer and a reader on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    pub fn split(self) -> Result<(Writer<TlsStream>, Reader<TlsStream>), Error> {
        self.split_with(TlsStream::try_clone)
    }
}

#[cfg(unix)]
impl WebSocket<UnixStream> {
    /// Splits into a writer and a reader on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    pub fn split(self) -> Result<(Writer<UnixStream>, Reader<UnixStream>), Error> {
        self.split_with(UnixStream::try_clone)
    }
}

/// What the halves of one connection have in common.
struct Shared<S> {
    outlet: Mutex<Outlet<S>>,
    notes: Mutex<Notes>,
    /// The connection is over.
    over: Condvar,
}

/// What the halves tell each other. Never locked while anything is waited for.
struct Notes {
    owed: Owed,
    life: Life<Instant>,
    tally: Tally,
    /// How the transport has failed.
    failure: Option<io::Error>,
    /// Something that was queued will never be written.
    lost: bool,
}

impl Notes {
    /// Looks how the sender stands, and what it has sent.
    fn sync<S>(&mut self, outlet: &mut Outlet<S>) {
        outlet.sync(&mut self.life, &mut self.tally);
        if let Some(end) = self.life.end() {
            self.tally.end(end);
        }
    }

    /// Unless it was over already, and the stream closed by us.
    fn fail(&mut self, error: io::Error) {
        if self.life.end().is_none() {
            self.failure.get_or_insert(error);
        }
    }

    /// Why a send fails although the connection is not closing.
    fn refusal(&self) -> Option<Error> {
        end::refusal(&self.life, self.failure.as_ref(), self.lost)
    }
}

impl<S: Transport> Shared<S> {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    /// Queues, behind what the reader owes and all that was sent before, and writes.
    fn send(
        &self,
        message: Outbound<'_>,
        queue: impl FnOnce(&mut Sender, Outbound<'_>) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        let counts = u64::from(message.is_data());
        self.queue(|outlet| {
            queue(&mut outlet.sender, message)?;
            outlet.sent.messages_sent += counts;
            Ok(())
        })
    }

    fn queue(&self, queue: impl FnOnce(&mut Outlet<S>) -> Result<(), UsageError>) -> Result<(), Error> {
        let mut outlet = lock(&self.outlet);
        let sent = self.flush(&mut outlet).and_then(|()| {
            let queued = queue(&mut outlet);
            queued.map_err(|error| self.notes().refusal().unwrap_or(Error::Usage(error)))?;
            self.flush(&mut outlet)
        });
        drop(outlet);
        // In any case: the reader may count on it.
        self.settle();
        sent
    }

    /// Writes what the reader owes, unless another thread is writing: that one does it before it goes. Whether it was
    /// written.
    fn settle(&self) -> bool {
        // Looked at again once unlocked: a reader that found the lock taken has left its note before that.
        while !self.notes().owed.is_nothing() {
            let mut outlet = match self.outlet.try_lock() {
                Ok(outlet) => outlet,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            self.pay(&mut outlet);
            if !self.write(&mut outlet) {
                return false;
            }
        }
        true
    }

    /// Writes what is queued, unless another thread is writing. Whether nothing is left.
    fn try_write(&self) -> bool {
        let mut outlet = match self.outlet.try_lock() {
            Ok(outlet) => outlet,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.pay(&mut outlet);
        self.write(&mut outlet)
    }

    /// Queues what the reader owes.
    fn pay(&self, outlet: &mut Outlet<S>) {
        let mut notes = self.notes();
        let owed = core::mem::take(&mut notes.owed);
        let pings = owed.is_ping();
        if owed.pay(&mut outlet.sender) {
            outlet.lose();
        }
        notes.lost |= outlet.has_lost();
        if pings {
            notes.life.pinged();
            notes.tally.own.pings_sent += 1;
        }
        let state = notes.life.state();
        notes.sync(outlet);
        if notes.life.state() != state {
            // Other times hold for a connection that closes.
            self.over.notify_all();
        }
    }

    /// Writes until all has left, or nothing can be sent any more.
    fn flush(&self, outlet: &mut Outlet<S>) -> Result<(), Error> {
        loop {
            self.pay(outlet);
            if let Some(error) = self.notes().refusal() {
                return Err(error);
            }
            if outlet.is_flushed() {
                self.finish(outlet);
                return Ok(());
            }
            self.write(outlet);
            if outlet.stream.is_nonblocking() {
                return Err(Error::Io(ErrorKind::WouldBlock.into()));
            }
        }
    }

    /// Writes for as long as the transport takes something. Whether it took all.
    fn write(&self, outlet: &mut Outlet<S>) -> bool {
        while !outlet.is_flushed() {
            let wrote = outlet.write();
            let mut notes = self.notes();
            notes.sync(outlet);
            match wrote {
                Wrote::Some => notes.life.written(),
                Wrote::Blocked => {
                    notes.life.tick(Side::Writing, Instant::now());
                    self.tell_end(&mut notes, outlet);
                    return false;
                }
                Wrote::Failed(error) => {
                    notes.fail(error);
                    notes.life.write_failed();
                    outlet.give_up();
                    notes.lost |= outlet.has_lost();
                    notes.sync(outlet);
                    return false;
                }
            }
        }
        self.finish(outlet);
        true
    }

    /// Ends our direction of the transport, if nothing is to come any more.
    fn finish(&self, outlet: &mut Outlet<S>) {
        let mut notes = self.notes();
        notes.life.ready();
        notes.sync(outlet);
        match notes.life.step(Side::Writing) {
            Step::Shutdown => {
                let _ = outlet.stream.get_mut().shutdown(Shutdown::Write);
                notes.life.shut();
                self.tell_end(&mut notes, outlet);
            }
            Step::Ping => notes.owed.add_ping(),
            _ => {}
        }
    }

    /// What a close that waits for the end is told, if that was no good one.
    fn error_of_closing(notes: &Notes) -> Option<Error> {
        let lost = if notes.lost { notes.refusal() } else { None };
        lost.or_else(|| end::error_of_writing(notes.life.end()?, notes.failure.as_ref()))
    }

    /// Wakes whoever waits for the end, if it has come.
    fn tell_end(&self, notes: &mut Notes, outlet: &mut Outlet<S>) {
        if notes.life.end().is_some() {
            self.over.notify_all();
            outlet.give_up();
            notes.lost |= outlet.has_lost();
            // The other half may be waiting for a peer that does nothing any more.
            let _ = outlet.stream.get_mut().shutdown(Shutdown::Both);
        }
    }
}

/// The writing half; clone it for as many threads as write.
///
/// A call waits while another one writes, and while the peer takes nothing: up to [`Options::write_timeout`].
///
/// [`Options::write_timeout`]: crate::adapter::Options::write_timeout
///
/// ```
/// use pushline::adapter::blocking::{Transport, Writer};
/// use pushline::ws::Prepared;
///
/// /// Those who cannot be written to any more are left out next time.
/// fn say<S: Transport>(room: &mut Vec<Writer<S>>, text: &str) {
///     let message = Prepared::text(text);
///     room.retain(|writer| writer.send(&message).is_ok());
/// }
/// ```
pub struct Writer<S> {
    shared: Arc<Shared<S>>,
}

impl<S: Transport> Writer<S> {
    /// Sends a message, and writes.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'a>(&self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.shared.send(message.into(), |sender, message| sender.send(message))
    }

    /// As [`send`](Self::send), never compressed: see [`Sender::send_plain`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_plain<'a>(&self, message: impl Into<Outbound<'a>>) -> Result<(), Error> {
        self.shared.send(message.into(), |sender, message| sender.send_plain(message))
    }

    /// Sends a ping of at most 125 bytes. The heartbeat does so by itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&self, payload: &[u8]) -> Result<(), Error> {
        self.shared.queue(|outlet| {
            outlet.sender.ping(payload)?;
            outlet.sent.pings_sent += 1;
            Ok(())
        })
    }

    /// Sends a close frame behind all that is queued, and waits until the connection is over: the reader, on its own
    /// thread, sees the peer's. Within the close timeout, after which the stream is shut down.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a code or reason that cannot be sent, [`Error::TimedOut`], [`Error::Io`]. How the peer ended
    /// the connection is the reader's to say.
    pub fn close(&self, code: impl Into<CloseCode>, reason: &str) -> Result<(), Error> {
        let code = code.into();
        end::check(code, reason)?;
        // Whoever is writing queues it, so that this does not wait for that one.
        self.shared.notes().owed.add_own_close(code, reason);
        loop {
            let flushed = self.shared.try_write();
            self.shared.settle();
            let mut notes = self.shared.notes();
            if let Some(error) = Shared::<S>::error_of_closing(&notes) {
                self.shared.over.notify_all();
                drop(notes);
                // This ends the reader's wait, too.
                let _ = lock(&self.shared.outlet).stream.get_mut().shutdown(Shutdown::Both);
                return Err(error);
            }
            if notes.life.end().is_some() {
                self.shared.over.notify_all();
                return Ok(());
            }
            let now = Instant::now();
            notes.life.tick(Side::Writing, now);
            if notes.life.end().is_some() {
                continue;
            }
            let left = notes.life.deadline(Side::Writing).map(|at| at.saturating_duration_since(now));
            let longest = if flushed { LONGEST_WAIT } else { AGAIN };
            let _ = self.shared.over.wait_timeout(notes, left.unwrap_or(Duration::MAX).min(longest));
        }
    }

    /// Where the closing handshake stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.notes().life.state()
    }

    /// How the connection ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.shared.notes().life.end()
    }

    /// What the connection has carried, both halves together; of what the reader received, all until it waited last.
    #[must_use]
    pub fn stats(&self) -> ConnectionStats {
        self.shared.notes().tally.own
    }

    /// How many bytes are waiting to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared.notes().life.queued()
    }
}

/// The longest wait of a condition variable: what is longer overflows on some platforms.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The reading half of a split [`WebSocket`].
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
    receiver: Receiver,
    inbox: Inbox,
    /// What was read while the whole socket's send waited.
    ahead: Ahead,
    reading: Reading<S>,
}

/// All but the receiver, so that an event lent from its inbox does not stop the rest.
struct Reading<S: Transport> {
    stream: Timed<S>,
    shared: Arc<Shared<S>>,
    /// What is not yet in the tally.
    received: Received,
    /// The end was reported.
    over: bool,
}

impl<S: Transport> Reader<S> {
    /// The next message; see [`WebSocket::next`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    #[expect(clippy::should_implement_trait, reason = "the end and an error are told apart for `?`")]
    pub fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(message) = self.ahead.take() {
            self.reading.answer_close(&message);
            return Ok(Some(message));
        }
        loop {
            let Some(found) = self.find(Wanted::Owned)? else { return Ok(None) };
            match self.receiver.owned(found, &mut self.inbox) {
                Ok(message) => {
                    self.reading.received.count(&message);
                    self.reading.answer(message.reply());
                    return Ok(Some(message));
                }
                Err(error) => self.reading.fault(error),
            }
        }
    }

    /// The next event, lent; see [`WebSocket::next_event`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        if self.ahead.lend() {
            let Some(message) = self.ahead.lent() else { return Ok(None) };
            self.reading.answer_close(message);
            return Ok(Some(message.as_event()));
        }
        let Some(found) = self.find(Wanted::Lent)? else { return Ok(None) };
        let Self { receiver, inbox, reading, .. } = self;
        let error = match receiver.event(found, inbox) {
            Ok(event) => {
                reading.received.count_event(&event);
                reading.answer(event.reply());
                return Ok(Some(event));
            }
            Err(error) => error,
        };
        reading.fault(error);
        // Nothing is kept of what still comes.
        while reading.wait(&mut Inbox::with_read_size(1))? {}
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

    fn find(&mut self, wanted: Wanted) -> Result<Option<Found>, Error> {
        loop {
            if !self.receiver.is_ended() {
                match self.receiver.find(&mut self.inbox, wanted) {
                    Ok(Some(found)) => {
                        if found.is_ping() {
                            // The pong of the ping before, if nobody is writing just now.
                            self.reading.shared.settle();
                        }
                        return Ok(Some(found));
                    }
                    Ok(None) => {}
                    Err(error) => self.reading.fault(error),
                }
            }
            if !self.reading.wait(&mut self.inbox)? {
                return Ok(None);
            }
        }
    }
}

impl<S: Transport> Reading<S> {
    /// Writes what is owed, waits, reads. Whether there is something to look at; if not, it is over.
    fn wait(&mut self, inbox: &mut Inbox) -> Result<bool, Error> {
        if self.over {
            return Ok(false);
        }
        loop {
            // All that one read has caused leaves in one write.
            let mut idle = self.shared.settle();
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
                        idle &= self.shared.try_write();
                        let mut notes = self.shared.notes();
                        // Whoever writes, or the next round, does the rest.
                        notes.life.write_blocked();
                        notes.life.step(Side::Reading)
                    }
                    step => step,
                }
            };
            match step {
                Step::Ping => self.shared.notes().owed.add_ping(),
                Step::Clock => self.shared.notes().life.tick(Side::Reading, Instant::now()),
                Step::Read => {
                    let wait = self.patience(idle);
                    let read = self.stream.read_or_release(inbox, wait);
                    if self.has_read(read) {
                        return Ok(true);
                    }
                }
                Step::Drain => {
                    let wait = self.patience(idle);
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
                    return error.map_or(Ok(false), Err);
                }
                // A stream that does not wait.
                _ if self.stream.is_nonblocking() => return Err(Error::Io(ErrorKind::WouldBlock.into())),
                // All is read, and another thread writes what is left.
                _ => {
                    let mut notes = self.shared.notes();
                    notes.life.tick(Side::Reading, Instant::now());
                    let _ = self.shared.over.wait_timeout(notes, AGAIN);
                }
            }
        }
    }

    /// How long a read may wait: until something is due, or while something waits to be written by us, a little.
    fn patience(&self, idle: bool) -> Option<Duration> {
        let now = Instant::now();
        let mut notes = self.shared.notes();
        notes.life.tick(Side::Reading, now);
        let left = notes.life.deadline(Side::Reading).map(|at| at.saturating_duration_since(now));
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
    fn answer(&mut self, reply: Option<Reply<'_>>) {
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
            self.shared.settle();
        }
    }

    fn answer_close(&mut self, message: &Message) {
        if let reply @ Some(Reply::Close(_)) = message.reply() {
            self.answer(reply);
        }
    }

    #[cold]
    fn fault(&mut self, error: ProtocolError) {
        let mut notes = self.shared.notes();
        notes.owed.add(Reply::Fail(error.close_code()));
        notes.life.failed(error);
    }
}

/// How soon a read looks again while something waits to be written.
const AGAIN: Duration = Duration::from_millis(50);

impl<S: Transport> Drop for Reading<S> {
    fn drop(&mut self) {
        if !self.over {
            {
                let mut notes = self.shared.notes();
                notes.life.reader_gone();
                notes.owed.add_eof();
            }
            self.shared.settle();
            self.shared.over.notify_all();
        }
    }
}

impl<S> Clone for Writer<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two states that do not fit each other.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Transport> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
