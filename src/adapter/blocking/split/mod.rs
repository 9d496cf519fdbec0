//! A WebSocket in two halves, for a thread that reads and threads that write: how it is split, and what the halves share.
//!
//! The reader owns its state machine and its handle of the stream. The sending half is shared by all writers, under a
//! lock that is held while one of them writes. The reader never waits for that lock: what it finds to be owed it notes
//! down, the latest ping only, and if nobody is writing just then it writes that itself; otherwise whoever is writing
//! does so before going. The notes, and the life of the connection among them, are locked for no longer than it takes to
//! look.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use self::reader::Reading;
use super::client_stream::ClientStream;
use super::driver::Driver;
use super::outlet::{Outlet, Spell, Wrote};
use super::timed::Timed;
#[cfg(feature = "rustls")]
use super::tls::TlsStream;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::adapter::owed::Owed;
use crate::adapter::stats::{Received, Tally};
use crate::adapter::{Error, end};
use crate::ws::{Life, Outbound, Sender, Side, Step, UsageError};
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
        self.settle(None);
        sent
    }

    /// Queues a message, and writes only to have room for it.
    fn feed(&self, message: Outbound<'_>) -> Result<(), Error> {
        let counts = u64::from(message.is_data());
        let mut outlet = lock(&self.outlet);
        let fed = self.write_until(&mut outlet, |sender| sender.has_room(&message)).and_then(|()| {
            let queued = outlet.sender.send(message);
            queued.map_err(|error| self.notes().refusal().unwrap_or(Error::Usage(error)))?;
            outlet.sent.messages_sent += counts;
            Ok(())
        });
        drop(outlet);
        self.settle(None);
        fed
    }

    /// Writes what the reader owes, unless another thread is writing: that one does it before it goes. Whether it was
    /// written.
    fn settle(&self, until: Option<Instant>) -> bool {
        // Looked at again once unlocked: a reader that found the lock taken has left its note before that.
        while !self.notes().owed.is_nothing() {
            let mut outlet = match self.outlet.try_lock() {
                Ok(outlet) => outlet,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            self.pay(&mut outlet);
            if !self.write(&mut outlet, until) {
                return false;
            }
        }
        true
    }

    /// Writes what is queued, unless another thread is writing. Whether nothing is left.
    fn try_write(&self, until: Option<Instant>) -> bool {
        let mut outlet = match self.outlet.try_lock() {
            Ok(outlet) => outlet,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        self.pay(&mut outlet);
        self.write(&mut outlet, until)
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
        self.write_until(outlet, |_| false)
    }

    /// Writes until all has left, or the sender is as it should be.
    fn write_until(&self, outlet: &mut Outlet<S>, is_ready: impl Fn(&Sender) -> bool) -> Result<(), Error> {
        loop {
            self.pay(outlet);
            if let Some(error) = self.notes().refusal() {
                return Err(error);
            }
            if outlet.is_flushed() {
                self.finish(outlet);
                return Ok(());
            }
            if is_ready(&outlet.sender) {
                return Ok(());
            }
            self.write(outlet, None);
            if outlet.stream.is_nonblocking() {
                return Err(Error::Io(ErrorKind::WouldBlock.into()));
            }
        }
    }

    /// Writes for as long as the transport takes something, but not for long, and no longer than a call has time. Whether all was
    /// taken.
    fn write(&self, outlet: &mut Outlet<S>, until: Option<Instant>) -> bool {
        let mut spell = Spell::new(until);
        while !outlet.is_flushed() {
            let wrote = outlet.write();
            let mut notes = self.notes();
            notes.sync(outlet);
            match wrote {
                Wrote::Some => {
                    notes.life.written();
                    if !outlet.is_flushed() && spell.is_over() {
                        return false;
                    }
                }
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

/// How soon a read looks again while something waits to be written.
const AGAIN: Duration = Duration::from_millis(50);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two states that do not fit each other.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
