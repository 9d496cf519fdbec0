//! A cluster's log that is a list with faults.

use bytes::Bytes;
use pushline::adapter::socketio::{ClusterError, ClusterFuture, ClusterLog, SocketIo};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

#[derive(Default)]
pub struct State {
    pub records: Vec<Bytes>,
    /// With the time from which on they are there no more.
    pub kept: HashMap<String, (Bytes, Instant)>,
    pub away: bool,
    /// What was kept is given after this time.
    pub slow: Duration,
    /// What is written is written, and the answer is lost; so many times, and nobody reads meanwhile.
    pub deaf: usize,
    /// A record with this text is lost, as if it had been trimmed before anybody has read it.
    pub lost: Option<&'static str>,
}

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<State>>);

impl Log {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn there(&self) -> Result<MutexGuard<'_, State>, ClusterError> {
        Some(self.state()).filter(|state| !state.away).ok_or(ClusterError::new("away"))
    }
}

impl ClusterLog for Log {
    fn append(&self, records: Vec<Bytes>) -> ClusterFuture<'_, ()> {
        Box::pin(async move {
            let mut state = self.there()?;
            let lost = state.lost;
            let is_lost =
                |record: &Bytes| lost.is_some_and(|lost| String::from_utf8_lossy(record).contains(lost));
            state.records.extend(records.into_iter().filter(|record| !is_lost(record)));
            if state.deaf > 0 {
                state.deaf -= 1;
                return Err(ClusterError::new("cut"));
            }
            Ok(())
        })
    }

    fn begin(&self, records: usize) -> ClusterFuture<'_, u128> {
        Box::pin(async move { Ok(self.there()?.records.len().saturating_sub(records) as u128) })
    }

    fn read(&self, after: u128) -> ClusterFuture<'_, Vec<(u128, Bytes)>> {
        Box::pin(async move {
            let state =
                Some(self.there()?).filter(|state| state.deaf == 0).ok_or(ClusterError::new("cut"))?;
            let new = state.records.iter().enumerate().skip(after as usize);
            Ok(new.map(|(at, record)| (at as u128 + 1, record.clone())).collect())
        })
    }

    fn keep(&self, values: Vec<(String, Option<(Bytes, Duration)>)>) -> ClusterFuture<'_, ()> {
        Box::pin(async move {
            let mut state = self.there()?;
            for (key, value) in values {
                match value {
                    Some((value, time)) => state.kept.insert(key, (value, Instant::now() + time)),
                    None => state.kept.remove(&key),
                };
            }
            Ok(())
        })
    }

    fn take(&self, key: String) -> ClusterFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let kept = self.there()?.kept.remove(&key);
            let slow = self.state().slow;
            sleep(slow).await;
            Ok(kept.and_then(|(value, end)| (Instant::now() < end).then_some(value)))
        })
    }
}

/// Until all nodes know each other.
pub async fn settle(nodes: &[&SocketIo]) {
    let others = nodes.len() - 1;
    let all_are = || {
        nodes
            .iter()
            .all(|io| io.cluster_status().is_some_and(|status| status.others == others && !status.is_away))
    };
    timeout(Duration::from_secs(10), async {
        while !all_are() {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("they know each other");
}
