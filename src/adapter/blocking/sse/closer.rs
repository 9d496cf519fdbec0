//! Waits of an event source that another thread can end: reading, writing and pausing until then, a quarter of a second at a
//! time. Knows nothing of HTTP.

use super::super::Transport;
use super::super::driver::is_late;
use super::Error;
#[cfg(doc)]
use super::EventSource;
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A handle that ends an [`EventSource`] from another thread, within a quarter of a second; while [`next`](Iterator::next) connects,
/// when that is over.
///
/// ```
/// use pushline::adapter::blocking::sse::{EventSource, SourceOptions};
///
/// let mut source = EventSource::new("http://127.0.0.1:9/", SourceOptions::new())?;
/// let closer = source.closer();
/// std::thread::spawn(move || closer.close());
/// while let Some(update) = source.next() {
///     println!("{update:?}");
/// }
/// # Ok::<(), pushline::adapter::blocking::sse::InvalidUrl>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Closer(Arc<(Mutex<bool>, Condvar)>);

impl Closer {
    /// Closes it, for good.
    pub fn close(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.lock()
    }

    /// Waits until then, unless it is closed before.
    pub(super) fn wait(&self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        // What is longer overflows on some platforms; who waits looks again.
        let left = left.min(Duration::from_secs(3600));
        drop(self.0.1.wait_timeout_while(self.lock(), left, |closed| !*closed));
    }

    /// Reads once, by the deadline; `None`: not until then. Looks now and then whether it is closed.
    pub(super) fn read<S: Transport>(
        &self,
        stream: &mut S,
        bytes: &mut [u8],
        deadline: Instant,
        until: Option<Instant>,
    ) -> Result<Option<usize>, Error> {
        self.within(deadline, until, |wait| {
            stream.set_read_timeout(Some(wait))?;
            stream.read(bytes)
        })
    }

    /// Writes all behind what was `sent`, by the deadline; `None`: not until then.
    pub(super) fn write<S: Transport>(
        &self,
        stream: &mut S,
        bytes: &[u8],
        sent: &mut usize,
        deadline: Instant,
        until: Option<Instant>,
    ) -> Result<Option<()>, Error> {
        while let Some(rest @ [_, ..]) = bytes.get(*sent..) {
            let n = self.within(deadline, until, |wait| {
                stream.set_write_timeout(Some(wait))?;
                stream.write(rest)
            })?;
            match n {
                Some(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Some(n) => *sent = sent.saturating_add(n),
                None => return Ok(None),
            }
        }
        self.within(deadline, until, |_| stream.flush())
    }

    fn within<T>(
        &self,
        deadline: Instant,
        until: Option<Instant>,
        mut call: impl FnMut(Duration) -> io::Result<T>,
    ) -> Result<Option<T>, Error> {
        loop {
            let now = Instant::now();
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() || self.is_closed() {
                return Err(Error::TimedOut);
            }
            let left = until.map_or(left, |until| left.min(until.saturating_duration_since(now)));
            match call(left.clamp(SHORTEST, LOOK)) {
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                done => return Ok(Some(done?)),
            }
            if is_late(until) {
                return Ok(None);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a read waits before it is looked whether the client was closed from another thread: 250 ms.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// The shortest wait that is asked of a stream: none at all would mean "for ever" to a socket.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
