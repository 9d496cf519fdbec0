//! Who writes and reads the log, and looks at what is due: three tasks, as long as there is a server.

use super::super::engine::Engine;
use super::super::server::Server;
use super::{Hub, Kept, WRITES_WITHIN, lock};
use bytes::Bytes;
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::vec::Vec;
use tokio::time::{Instant, sleep, timeout};

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(100);
const READS_WITHIN: Duration = Duration::from_secs(5);
/// Values that are kept with one command.
const VALUES: usize = 500;

/// Reads the log, as long as there is a server.
pub(super) async fn read(engine: Weak<Engine<Server>>, hub: Arc<Hub>) {
    let history = hub.recovery.map_or(0, |recovery| recovery.events);
    let mut position = loop {
        if let Ok(Ok(position)) = timeout(READS_WITHIN, hub.log.begin(history)).await {
            break position;
        }
        sleep(TICK).await;
        if engine.strong_count() == 0 {
            return;
        }
    };
    if let Some(engine) = engine.upgrade() {
        lock(&hub.node).begin(position);
        for shared in engine.layer.all() {
            if let Some(mut recovery) = shared.recovery() {
                recovery.restart(position);
            }
        }
        hub.at.send_replace(Some(position));
        hub.spoke.notify_one();
    }
    while engine.strong_count() > 0 {
        let found = timeout(READS_WITHIN, hub.log.read(position)).await;
        let found = found.ok().and_then(Result::ok).unwrap_or_default();
        if found.is_empty() {
            sleep(TICK / 10).await;
        }
        for (at, record) in found {
            let Some(engine) = engine.upgrade() else { return };
            hub.read(&engine.layer, at, &record);
            position = position.max(at);
            drop(engine);
            tokio::task::yield_now().await;
        }
    }
}

/// Writes what there is to say, and keeps the clients that may go elsewhere.
pub(super) async fn write(engine: Weak<Engine<Server>>, hub: Arc<Hub>) {
    let absence = hub.recovery.map_or(Duration::MAX, |recovery| recovery.max_absence);
    let mut kept_at = Instant::now();
    while engine.strong_count() > 0 {
        let _ = timeout(TICK, hub.spoke.notified()).await;
        // What is said first is to be read back: it is known from where.
        if hub.at.borrow().is_none() {
            continue;
        }
        loop {
            let (batch, first) = {
                let node = lock(&hub.node);
                (node.batch(), node.first())
            };
            if batch.is_empty() {
                break;
            }
            let count = batch.len();
            if !matches!(timeout(WRITES_WITHIN, hub.log.append(batch)).await, Ok(Ok(()))) {
                sleep(TICK).await;
                break;
            }
            lock(&hub.node).wrote(count, first);
        }
        if kept_at.elapsed() >= absence {
            kept_at = Instant::now();
            if let Some(engine) = engine.upgrade() {
                engine.layer.all().iter().for_each(|shared| shared.keep_all());
            }
        }
        let mut values: Vec<_> = core::mem::take(&mut *lock(&hub.kept)).into_iter().collect();
        while !values.is_empty() {
            let some = values.split_off(values.len().saturating_sub(VALUES));
            let timed = some
                .iter()
                .map(|(pid, kept)| (pid.clone(), kept.as_ref().and_then(|kept| kept.timed(absence))));
            let kept = timeout(WRITES_WITHIN, hub.log.keep(timed.collect())).await;
            if !matches!(kept, Ok(Ok(()))) {
                values.extend(some);
                hub.keep_later(values);
                break;
            }
        }
    }
}

impl Kept {
    /// With the time for which the log is to keep it, if any is left. One that is here is written again when half of its time is
    /// over: should this node die, nobody knows since when the client is away.
    fn timed(&self, absence: Duration) -> Option<(Bytes, Duration)> {
        let left = match self.cut {
            None => absence.saturating_mul(2),
            Some(cut) => absence.saturating_sub(cut.elapsed()),
        };
        (!left.is_zero()).then(|| (self.visitor.clone(), left))
    }
}

/// Looks at what is due.
pub(super) async fn tick(engine: Weak<Engine<Server>>, hub: Arc<Hub>) {
    while let Some(engine) = engine.upgrade() {
        hub.tick(&engine.layer);
        drop(engine);
        sleep(TICK).await;
    }
}
