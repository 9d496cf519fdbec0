//! The broker behind its lock, who waits for it, and the task that keeps its times.
#![allow(clippy::disallowed_methods)] // this is where the clock is read

use super::options::BayeuxOptions;
use crate::comet::bayeux::{BayeuxRefusal, BayeuxRequest, Broker, ById, Host, Link, Output};
use ::tokio::sync::Notify;
use ::tokio::time::{Instant, sleep, timeout_at};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(super) struct Shared<H> {
    pub(super) options: BayeuxOptions,
    /// Never held over an await.
    state: Mutex<State<H>>,
    /// The first deadline is earlier than the timer's.
    earlier: Arc<Notify>,
}

struct State<H> {
    broker: Broker<Instant, H>,
    waiting: ById<Link, Arc<Notify>>,
    /// What the timer is set to.
    timer: Option<Instant>,
}

impl<H: Host> Shared<H> {
    pub(super) fn new(options: BayeuxOptions, host: H) -> Self {
        let broker = Broker::new(options.config, host);
        let state = Mutex::new(State { broker, waiting: ById::default(), timer: None });
        Self { options, state, earlier: Arc::new(Notify::new()) }
    }

    /// Does something with the broker; whoever has something to send thereafter is woken.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Broker<Instant, H>, Instant) -> R) -> R {
        self.locked(|state, now| work(&mut state.broker, now))
    }

    fn locked<R>(&self, work: impl FnOnce(&mut State<H>, Instant) -> R) -> R {
        // A host that panicked has left the broker as it was between two steps.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut state, Instant::now());
        while let Some(link) = state.broker.next_ready() {
            if let Some(waiting) = state.waiting.get(&link) {
                waiting.notify_one();
            }
        }
        if let Some(deadline) = state.broker.next_deadline()
            && state.timer.is_none_or(|timer| deadline < timer)
        {
            state.timer = Some(deadline);
            self.earlier.notify_one();
        }
        result
    }
}

/// Tells the broker the time whenever something is due.
pub(super) async fn keep_time<H: Host>(shared: Weak<Shared<H>>) {
    let Some(earlier) = shared.upgrade().map(|shared| shared.earlier.clone()) else { return };
    // It must notice that it is the last.
    let pause = core::time::Duration::from_secs(1);
    loop {
        let Some(now) = shared.upgrade() else { return };
        // A host that panics at one session's end has nothing to do with the times of the others.
        let advanced = AssertUnwindSafe(|| now.locked(|state, now| state.broker.advance(now)));
        let _ = catch_unwind(advanced);
        let next = now.locked(|state, _| {
            state.timer = state.broker.next_deadline();
            state.timer
        });
        drop(now);
        match next {
            Some(deadline) => {
                let deadline = deadline.min(Instant::now() + pause);
                let _ = timeout_at(deadline, earlier.notified()).await;
            }
            None => {
                let _ = ::tokio::time::timeout(pause, earlier.notified()).await;
            }
        }
        // What is due in the same millisecond goes together.
        sleep(core::time::Duration::from_millis(1)).await;
    }
}

/// A request or a WebSocket, known to the broker until this is dropped.
pub(super) struct Waiting<H: Host> {
    shared: Arc<Shared<H>>,
    pub(super) link: Link,
    ready: Arc<Notify>,
    /// The broker knows it no more.
    is_answered: bool,
}

/// The answer to a request: there at once, or when there is news.
pub(super) enum Answer<H: Host> {
    Ready(u16, String),
    Held(Waiting<H>),
}

impl<H: Host> Waiting<H> {
    pub(super) fn request(
        shared: &Arc<Shared<H>>,
        request: BayeuxRequest<'_>,
    ) -> Result<Answer<H>, BayeuxRefusal> {
        shared.locked(|state, now| {
            let link = state.broker.request(request, now)?;
            if let Some(Output::Answer(status, json)) = state.broker.take(link, now) {
                return Ok(Answer::Ready(status, json));
            }
            let ready = Arc::new(Notify::new());
            state.waiting.insert(link, ready.clone());
            Ok(Answer::Held(Self { shared: shared.clone(), link, ready, is_answered: false }))
        })
    }

    pub(super) fn socket(shared: &Arc<Shared<H>>) -> Self {
        let ready = Arc::new(Notify::new());
        let link = shared.locked(|state, _| {
            let link = state.broker.socket();
            state.waiting.insert(link, ready.clone());
            link
        });
        Self { shared: shared.clone(), link, ready, is_answered: false }
    }

    /// The answer of a request, once it is there.
    pub(super) async fn answer(mut self) -> (u16, String) {
        loop {
            self.wait().await;
            let answer = self.shared.locked(|state, now| {
                let Output::Answer(status, json) = state.broker.take(self.link, now)? else { return None };
                state.waiting.remove(&self.link);
                Some((status, json))
            });
            if let Some(answer) = answer {
                self.is_answered = true;
                return answer;
            }
        }
    }

    /// What is to be sent, and what behind it: to know that there is no more takes no second look.
    pub(super) fn take_two(&self) -> [Option<Output>; 2] {
        self.shared.with(|broker, now| [(); 2].map(|()| broker.take(self.link, now)))
    }

    /// Until there may be something to take.
    pub(super) async fn wait(&self) {
        self.ready.notified().await;
    }
}

impl<H: Host> Drop for Waiting<H> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        self.shared.locked(|state, now| {
            state.waiting.remove(&self.link);
            state.broker.closed(self.link, now);
        });
    }
}
