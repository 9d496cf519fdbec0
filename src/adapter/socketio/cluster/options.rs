//! The log that nodes share, and how much a node keeps.

use crate::settings::settings;
use bytes::Bytes;
use core::fmt;
use core::pin::Pin;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

/// What a [`ClusterLog`] answers with.
pub type ClusterFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ClusterError>> + Send + 'a>>;

/// The reason why a log could not be written or read: it is tried again.
///
/// ```
/// use pushline::adapter::socketio::ClusterError;
///
/// assert_eq!(ClusterError::new("the disk is full").to_string(), "the disk is full");
/// ```
#[derive(Debug)]
pub struct ClusterError(Box<dyn core::error::Error + Send + Sync>);

impl ClusterError {
    /// From the error of what is underneath, or from a text.
    pub fn new(error: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// A log that all nodes of a cluster write and read, and a place for the clients that may come back to any of them: what
/// [`SocketIo::cluster`](super::super::SocketIo::cluster) stands on. `RedisStreams` (feature `redis`) is one.
///
/// Positions grow; a record that [`append`](Self::append) has written is read by every node, in the same order.
/// A record may be written twice when an answer was lost: nodes notice. Old records may go once nodes have had the time
/// to read them. No method needs a timeout of its own; what takes longer than 2 s (a read: 5 s) is dropped and tried
/// again.
///
/// ```
/// use bytes::Bytes;
/// use pushline::adapter::socketio::{ClusterFuture, ClusterLog, ClusterOptions, SocketIo, SocketIoOptions};
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use std::time::{Duration, Instant};
///
/// /// A log in memory: for several servers in one process, and for tests. It drops nothing.
/// #[derive(Clone, Default)]
/// struct InMemory {
///     log: Arc<Mutex<Vec<Bytes>>>,
///     kept: Arc<Mutex<HashMap<String, (Bytes, Instant)>>>,
/// }
///
/// impl ClusterLog for InMemory {
///     fn append(&self, records: Vec<Bytes>) -> ClusterFuture<'_, ()> {
///         self.log.lock().unwrap().extend(records);
///         Box::pin(async { Ok(()) })
///     }
///     fn begin(&self, records: usize) -> ClusterFuture<'_, u128> {
///         let begin = self.log.lock().unwrap().len().saturating_sub(records);
///         Box::pin(async move { Ok(begin as u128) })
///     }
///     fn read(&self, after: u128) -> ClusterFuture<'_, Vec<(u128, Bytes)>> {
///         Box::pin(async move {
///             let records: Vec<_> = (1..).zip(self.log.lock().unwrap().iter().cloned()).skip(after as usize).collect();
///             if records.is_empty() {
///                 tokio::time::sleep(Duration::from_millis(10)).await;
///             }
///             Ok(records)
///         })
///     }
///     fn keep(&self, values: Vec<(String, Option<(Bytes, Duration)>)>) -> ClusterFuture<'_, ()> {
///         let mut kept = self.kept.lock().unwrap();
///         for (key, value) in values {
///             match value {
///                 Some((value, time)) => kept.insert(key, (value, Instant::now() + time)),
///                 None => kept.remove(&key),
///             };
///         }
///         Box::pin(async { Ok(()) })
///     }
///     fn take(&self, key: String) -> ClusterFuture<'_, Option<Bytes>> {
///         let value = self.kept.lock().unwrap().remove(&key).filter(|(_, end)| Instant::now() < *end);
///         Box::pin(async { Ok(value.map(|(value, _)| value)) })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let log = InMemory::default();
/// let nodes = [(); 2].map(|()| SocketIo::new(SocketIoOptions::new()));
/// for io in &nodes {
///     io.of("/");
///     io.cluster(log.clone(), ClusterOptions::new())?;
/// }
/// while nodes.iter().any(|io| io.cluster_status().is_none_or(|status| status.others == 0)) {
///     tokio::time::sleep(Duration::from_millis(10)).await; // until each has heard the other
/// }
/// # Ok::<(), pushline::adapter::socketio::ClusterError>(())
/// # }).unwrap();
/// ```
pub trait ClusterLog: Send + Sync + 'static {
    /// Writes records behind the others, in this order.
    fn append(&self, records: Vec<Bytes>) -> ClusterFuture<'_, ()>;
    /// The position behind which there are at most this many records.
    fn begin(&self, records: usize) -> ClusterFuture<'_, u128>;
    /// Some of the records behind a position, each with its own, the oldest first. If there are none it waits for one,
    /// for as long as it likes, at most a few seconds.
    fn read(&self, after: u128) -> ClusterFuture<'_, Vec<(u128, Bytes)>>;
    /// Keeps each value for its time; `None` forgets one. Keys are short and of letters, digits, `-` and `_`.
    fn keep(&self, values: Vec<(String, Option<(Bytes, Duration)>)>) -> ClusterFuture<'_, ()>;
    /// Gives a value that was kept, and forgets it: of several that ask at once one gets it.
    fn take(&self, key: String) -> ClusterFuture<'_, Option<Bytes>>;
}

settings! {
    /// Times and limits of a node.
    ///
    /// ```
    /// use core::time::Duration;
    /// use pushline::adapter::socketio::ClusterOptions;
    ///
    /// let config = ClusterOptions::new().node_timeout(Duration::from_secs(3));
    /// assert_eq!((config.queued, config.queued_bytes), (10_000, 16 << 20));
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    ClusterOptions {
        /// Time between two signs of life. Default 1 s.
        pub heartbeat: Duration = Duration::from_secs(1);
        /// Time after which a node that is not heard is dead. Default 5 s.
        pub node_timeout: Duration = Duration::from_secs(5);
        /// Time after which a log that does not answer is away, and this node's own clients get what it has to say without
        /// it. Default 2 s.
        pub patience: Duration = Duration::from_secs(2);
        /// Records that wait to be written, or to be read back. Default 10,000. What is over does not reach the other nodes.
        pub queued: usize = 10_000;
        /// Their bytes in all. Default 16 MiB.
        pub queued_bytes: usize = 16 << 20;
    }
}

/// The state of a node: [`SocketIo::cluster_status`](super::super::SocketIo::cluster_status).
///
/// ```
/// use pushline::adapter::socketio::SocketIo;
///
/// /// For a health check.
/// fn is_ready(io: &SocketIo) -> bool {
///     io.cluster_status().is_some_and(|status| !status.is_away && status.queued < 1000)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// The other nodes that live.
    pub others: usize,
    /// Whether the log answers.
    pub is_away: bool,
    /// Records that wait to be written, or to be read back.
    pub queued: usize,
    /// Records that the other nodes did not get because too many waited.
    pub dropped: u64,
}

/// A client on any of the nodes: [`BroadcastOperator::fetch_sockets`](super::super::BroadcastOperator::fetch_sockets).
///
/// ```
/// use pushline::adapter::socketio::{FetchError, SocketIo};
///
/// async fn names(io: &SocketIo, room: &str) -> Result<Vec<String>, FetchError> {
///     let found = io.of("/chat").to(room).fetch_sockets().await?;
///     Ok(found.into_iter().map(|socket| socket.sid).collect())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSocket {
    /// Its name in the namespace.
    pub sid: String,
    /// The rooms that it is in.
    pub rooms: Vec<String>,
}

/// The reason why it is not known who is there.
///
/// ```
/// use pushline::adapter::socketio::FetchError;
///
/// assert_eq!(FetchError::TooMany.to_string(), "too many clients");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// Not all nodes have answered within 5 s, or too much waits to be written.
    TimedOut,
    /// More than a million clients were found.
    TooMany,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "not all nodes have answered",
            Self::TooMany => "too many clients",
        })
    }
}

impl core::error::Error for FetchError {}
