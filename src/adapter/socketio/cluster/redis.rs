//! The log in a Redis.

use super::options::{ClusterError, ClusterFuture, ClusterLog};
use ::redis::aio::MultiplexedConnection;
use ::redis::streams::{StreamRangeReply, StreamReadReply};
use ::redis::{AsyncConnectionConfig, Client, RedisError, Value};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec::Vec;
use tokio::sync::Mutex;

/// Records that are read at once.
const BATCH: usize = 64;
/// How long a read waits for one, in milliseconds.
const BLOCK: usize = 1000;

/// A [`ClusterLog`] in a stream of a Redis, 6.2 or newer (feature `redis`). Connections are made when they are needed,
/// and again when they are lost.
///
/// ```no_run
/// use pushline::adapter::socketio::{ClusterOptions, SocketIoOptions, RedisStreams, SocketIo};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let io = SocketIo::new(SocketIoOptions::new());
/// io.of("/chat").on("message", |socket, event| async move {
///     let _ = socket.broadcast().emit("message", &event.payload); // on every node
/// });
/// io.cluster(RedisStreams::new("redis://127.0.0.1/")?, ClusterOptions::new());
/// # Ok(())
/// # }
/// ```
pub struct RedisStreams {
    client: Client,
    name: String,
    max_len: usize,
    /// To write, and to wait for news.
    connections: [Mutex<Option<MultiplexedConnection>>; 2],
}

impl RedisStreams {
    /// The stream `pushline` of the Redis at this URL, which need not be there yet; 10,000 records.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] if that is no such URL.
    pub fn new(url: &str) -> Result<Self, ClusterError> {
        let client = Client::open(url)?;
        Ok(Self { client, name: "pushline".into(), max_len: 10_000, connections: Default::default() })
    }

    /// Another name: clusters of different names have nothing to do with each other.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// About how many records the stream keeps. A node that is further behind notices that it missed some.
    #[must_use]
    pub fn max_len(mut self, records: usize) -> Self {
        self.max_len = records;
        self
    }

    fn key(&self, key: &str) -> String {
        format!("{}:{key}", self.name)
    }

    /// Does something over a connection; over a new one the next time, if it fails or is dropped half-way.
    async fn with<T>(
        &self,
        which: usize,
        run: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, ClusterError> {
        let [write, read] = &self.connections;
        let mut slot = if which == 0 { write } else { read }.lock().await;
        let mut connection = match slot.take() {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(Duration::from_secs(2)))
                    .set_response_timeout(Some(Duration::from_secs(5)));
                self.client.get_multiplexed_async_connection_with_config(&config).await?
            }
        };
        let result = run(&mut connection).await?;
        *slot = Some(connection);
        Ok(result)
    }
}

impl ClusterLog for RedisStreams {
    fn append(&self, records: Vec<Bytes>) -> ClusterFuture<'_, ()> {
        Box::pin(self.with(0, async move |connection| {
            let mut pipe = ::redis::pipe();
            for record in &records {
                pipe.cmd("XADD").arg(&self.name).arg("MAXLEN").arg("~").arg(self.max_len);
                pipe.arg("*").arg("r").arg(&**record).ignore();
            }
            pipe.query_async(connection).await
        }))
    }

    fn begin(&self, records: usize) -> ClusterFuture<'_, u128> {
        Box::pin(self.with(0, async move |connection| {
            let mut command = ::redis::cmd("XREVRANGE");
            command.arg(&self.name).arg("+").arg("-").arg("COUNT").arg(records.max(1));
            let found: StreamRangeReply = command.query_async(connection).await?;
            let first = if records == 0 { found.ids.first() } else { found.ids.last() };
            let first = first.and_then(|first| position(&first.id)).unwrap_or(0);
            Ok(if records == 0 { first } else { first.saturating_sub(1) })
        }))
    }

    fn read(&self, after: u128) -> ClusterFuture<'_, Vec<(u128, Bytes)>> {
        Box::pin(self.with(1, async move |connection| {
            let mut command = ::redis::cmd("XREAD");
            command.arg("COUNT").arg(BATCH).arg("BLOCK").arg(BLOCK).arg("STREAMS");
            command.arg(&self.name).arg(format!("{}-{}", after >> 32, after & u128::from(u32::MAX)));
            let found: Option<StreamReadReply> = command.query_async(connection).await?;
            let entries = found.into_iter().flat_map(|found| found.keys).flat_map(|key| key.ids);
            let record = |entry: ::redis::streams::StreamId| {
                let record = match entry.map.get("r") {
                    Some(Value::BulkString(record)) => Bytes::copy_from_slice(record),
                    _ => Bytes::new(), // somebody else's: it is passed over
                };
                Some((position(&entry.id)?, record))
            };
            Ok(entries.filter_map(record).collect())
        }))
    }

    fn keep(&self, values: Vec<(String, Option<(Bytes, Duration)>)>) -> ClusterFuture<'_, ()> {
        Box::pin(self.with(0, async move |connection| {
            let mut pipe = ::redis::pipe();
            for (key, value) in &values {
                match value {
                    Some((value, time)) => {
                        pipe.cmd("SET").arg(self.key(key)).arg(&**value).arg("PX").arg(expiry(*time))
                    }
                    None => pipe.cmd("DEL").arg(self.key(key)),
                };
                pipe.ignore();
            }
            pipe.query_async(connection).await
        }))
    }

    fn take(&self, key: String) -> ClusterFuture<'_, Option<Bytes>> {
        Box::pin(self.with(0, async move |connection| {
            let command = ::redis::cmd("GETDEL").arg(self.key(&key)).to_owned();
            let value: Option<Vec<u8>> = command.query_async(connection).await?;
            Ok(value.map(Bytes::from))
        }))
    }
}

/// In milliseconds. Redis adds the time of day, and refuses what has no 63 bits then.
fn expiry(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, u64::MAX >> 2)
}

/// Redis' ids are milliseconds and a number within one.
fn position(id: &str) -> Option<u128> {
    let (time, number) = id.split_once('-')?;
    let number: u32 = number.parse().ok()?;
    Some((u128::from(time.parse::<u64>().ok()?) << 32) | u128::from(number))
}

impl From<RedisError> for ClusterError {
    fn from(error: RedisError) -> Self {
        Self::new(error)
    }
}

impl fmt::Debug for RedisStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStreams").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, expiry};

    #[test]
    fn any_time_is_one_that_redis_takes() {
        assert_eq!(expiry(Duration::ZERO), 1);
        assert_eq!(expiry(Duration::from_secs(120)), 120_000);
        // The times of day of the next centuries take 43 bits.
        assert!(expiry(Duration::MAX) < (1 << 63) - (1 << 43));
    }
}
