//! How many there are at once, of each address and in all. Counts only: it knows no connection, and closes none.

use core::fmt;
use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds how many there are at once, of each address and in all: of connections where a server accepts them, or of whatever
/// else clients take up. A clone counts the same ones.
///
/// Without the first bound one machine takes all that the server has, and nobody else gets in; without the second many machines
/// use up its memory and its file descriptors. There are no defaults: how much a server has, and how many clients share an address
/// behind a proxy or a carrier's translation, only its operator knows.
///
/// Whoever has one address of IPv6 has all of its network of 64 bits (RFC 6177), which therefore counts as one address; an
/// address of IPv4 that is written as one of IPv6 is that of IPv4.
///
/// Behind hyper and axum, a connection that is upgraded leaves the future that served it: there the stream keeps what lets it in
/// (`adapter::tokio::Guarded`), or WebSockets do not count.
///
/// ```
/// use pushline::adapter::Admission;
/// use std::net::TcpListener;
///
/// let admission = Admission::new(64, 10_000);
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let _client = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (stream, peer) = listener.accept()?;
/// // One that is not let in is dropped, and so closed.
/// if let Some(admitted) = admission.enter(peer.ip()) {
///     std::thread::spawn(move || {
///         // ... serves the stream, ...
///         drop((stream, admitted)); // and lets go of both
///     });
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Admission(Arc<Counts>);

struct Counts {
    per_address: usize,
    total: usize,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    all: usize,
    /// Only those that are there.
    each: HashMap<IpAddr, usize>,
}

/// One that an [`Admission`] has let in: it counts until this is dropped.
///
/// ```
/// use pushline::adapter::Admission;
///
/// let admission = Admission::new(1, 10);
/// let address = [192, 0, 2, 1].into();
/// let admitted = admission.enter(address);
/// assert!(admitted.is_some() && admission.enter(address).is_none());
/// drop(admitted);
/// assert!(admission.enter(address).is_some());
/// ```
#[must_use = "dropped, it counts no more"]
pub struct Admitted {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Admission {
    /// At most so many of each address, and so many in all.
    #[must_use]
    pub fn new(per_address: usize, total: usize) -> Self {
        Self(Arc::new(Counts { per_address, total, now: Mutex::default() }))
    }

    /// Lets one in; `None`: there are too many.
    pub fn enter(&self, address: IpAddr) -> Option<Admitted> {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
            address => address,
        };
        let mut now = self.0.lock();
        let count = now.each.get(&address).copied().unwrap_or_default();
        if now.all >= self.0.total || count >= self.0.per_address {
            return None;
        }
        now.all += 1;
        now.each.insert(address, count + 1);
        Some(Admitted { counts: Arc::clone(&self.0), address })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().all
    }

    /// Of how many addresses.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.0.lock().each.len()
    }
}

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut now = self.counts.lock();
        now.all = now.all.saturating_sub(1);
        match now.each.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(now.each.remove(&self.address)),
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { per_address, total, .. } = *self.0;
        f.debug_struct("Admission")
            .field("per_address", &per_address)
            .field("total", &total)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("address", &self.address).finish_non_exhaustive()
    }
}
