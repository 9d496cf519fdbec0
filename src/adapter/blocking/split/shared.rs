//! What the two halves of a WebSocket share: the sending half under its lock, and what the reader notes down for it.

use super::super::outlet;
use super::super::timed::Timed;
use super::super::times::Times;
use super::super::transport::Transport;
use crate::adapter::Error;
use crate::adapter::owed::Owed;
use crate::ws::{Sender, State, UsageError};
use std::net::Shutdown;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

/// The sending half and its handle of the stream.
pub(super) struct Outlet<S> {
    pub(super) stream: Timed<S>,
    pub(super) sender: Sender,
    pub(super) times: Times,
}

/// What the halves tell each other. Never locked while anything is waited for.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) owed: Owed,
    /// A close frame was sent or received.
    pub(super) closing: bool,
    /// The peer took too long for the closing handshake.
    pub(super) close_timed_out: bool,
    /// The reader has seen the end, or is gone.
    pub(super) over: bool,
}

/// What the halves of one connection have in common.
pub(super) struct Shared<S> {
    pub(super) outlet: Mutex<Outlet<S>>,
    notes: Mutex<Notes>,
    /// Tells whoever closes that the reader has seen the end.
    pub(super) over: Condvar,
}

impl<S: Transport> Outlet<S> {
    /// Queues with `queue`, writes, and closes our direction when nothing is to come any more.
    fn send(&mut self, queue: impl FnMut(&mut Sender) -> Result<(), UsageError>) -> Result<(), Error> {
        let Self { stream, sender, times } = self;
        let sent = match outlet::queue(stream, sender, times, queue) {
            Ok(()) => outlet::flush(stream, sender, times),
            // A refused message does not keep from being written what was queued before it.
            Err(refused @ Error::Usage(_)) => outlet::flush(stream, sender, times).and(Err(refused)),
            broken => broken,
        };
        if !matches!(sent, Ok(()) | Err(Error::Usage(_))) {
            outlet::give_up(sender);
        }
        if sender.is_finished() {
            let _ = stream.get_mut().shutdown(Shutdown::Write);
        }
        sent
    }
}

impl<S: Transport> Shared<S> {
    pub(super) fn new(stream: Timed<S>, sender: Sender, times: Times) -> Self {
        Self {
            outlet: Mutex::new(Outlet { stream, sender, times }),
            notes: Mutex::new(Notes::default()),
            over: Condvar::new(),
        }
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    fn take_owed(&self) -> Owed {
        core::mem::take(&mut self.notes().owed)
    }

    /// Queues what `queue` says, behind what the reader owes, and writes it.
    pub(super) fn send(&self, queue: impl FnMut(&mut Sender) -> Result<(), UsageError>) -> Result<(), Error> {
        let sent = self.write(&mut lock(&self.outlet), queue);
        // In any case: the reader may count on it.
        let settled = self.settle();
        sent.and(settled)
    }

    /// Writes what the reader owes, unless another thread is writing: that one does it before it goes.
    pub(super) fn settle(&self) -> Result<(), Error> {
        // Looked at again once unlocked: a reader that found the lock taken has left its note before that.
        while !self.notes().owed.is_nothing() {
            let mut outlet = match self.outlet.try_lock() {
                Ok(outlet) => outlet,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            self.write(&mut outlet, |_| Ok(()))?;
        }
        Ok(())
    }

    fn write(
        &self,
        outlet: &mut Outlet<S>,
        queue: impl FnMut(&mut Sender) -> Result<(), UsageError>,
    ) -> Result<(), Error> {
        self.take_owed().pay(&mut outlet.sender);
        let sent = outlet.send(queue);
        if outlet.sender.state() != State::Open {
            self.notes().closing = true;
        }
        sent
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics between two states that do not fit each other.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
