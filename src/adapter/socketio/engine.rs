//! Engine.IO sessions behind hyper: a lock a session, a map of them, their deadlines. What the sessions carry is a
//! [`Layer`]'s business.

use super::identity::{Identify, Identity};
use super::timer::{Key, Timer};
use crate::adapter::Options;
use crate::comet::cors::CorsPolicy;
use crate::socketio::engine::{
    Data, EngineAnswer, EngineCloseReason, EngineMessage, EngineOptions, EngineOutput, EnginePacket,
    EngineSession, EngineTicket, InvalidEnginePacket, SocketId, TransportKind,
};
use crate::ws::handshake::{OriginPolicy, ServerOptions};
use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::boxed::Box;
use std::collections::HashMap;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What stands on a session. All but [`run`](Self::run) is called under the session's lock.
pub(super) trait Layer: Send + Sync + Sized + 'static {
    type State: Send;
    /// What is to be done once the lock is open: an application's handler may come back to the session.
    type Job: Send;

    fn open(&self, identity: Option<&Identity>, now: Instant) -> Self::State;
    fn receive(
        &self,
        state: &mut Self::State,
        session: &mut EngineSession<Instant>,
        data: Data<'_>,
    ) -> Option<Self::Job>;
    fn tick(&self, state: &mut Self::State, session: &mut EngineSession<Instant>, now: Instant);
    fn next_deadline(&self, state: &Self::State) -> Option<Instant>;
    fn closed(&self, state: &mut Self::State, reason: EngineCloseReason, jobs: &mut Vec<Self::Job>);
    fn run(&self, link: &Arc<Link<Self>>, job: Self::Job);
}

/// How a server of sessions is set up.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) config: Arc<EngineOptions>,
    pub(super) cors: Option<CorsPolicy>,
    pub(super) handshake: ServerOptions,
    pub(super) origins: OriginPolicy,
    pub(super) body_timeout: Duration,
    pub(super) socket: Options,
    pub(super) max_sessions: usize,
    pub(super) identify: Option<Identify>,
}

pub(super) struct Engine<L: Layer> {
    pub(super) layer: L,
    pub(super) setup: Setup,
    links: Mutex<HashMap<Box<str>, Arc<Link<L>>>>,
    pub(super) timer: Timer<L>,
}

/// A session, its layer's state, and who waits for it.
pub(super) struct Link<L: Layer> {
    pub(super) engine: Arc<Engine<L>>,
    pub(super) sid: Box<str>,
    pub(super) identity: Option<Identity>,
    inner: Mutex<Inner<L>>,
}

pub(super) struct Inner<L: Layer> {
    pub(super) session: EngineSession<Instant>,
    pub(super) state: L::State,
    waiting: Vec<(EngineTicket, oneshot::Sender<EngineAnswer>)>,
    /// The task of the last WebSocket, and whether it waits for something to send.
    waker: Option<Waker>,
    asleep: bool,
    /// When the timer will look at it.
    armed: Option<Key>,
    gone: bool,
}

impl<L: Layer> Engine<L> {
    pub(super) fn new(layer: L, setup: Setup) -> Arc<Self> {
        Arc::new(Self { layer, setup, links: Mutex::default(), timer: Timer::new() })
    }

    pub(super) fn links(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Link<L>>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are as many sessions as may be.
    pub(super) fn is_full(&self) -> bool {
        self.links().len() >= self.setup.max_sessions
    }

    pub(super) fn find(&self, sid: &str) -> Option<Arc<Link<L>>> {
        self.links().get(sid).cloned()
    }

    /// A new session; with the socket that it begins on, if it does. `None`: there are too many.
    pub(super) fn open(
        self: &Arc<Self>,
        sid: String,
        socket: bool,
        identity: Option<Identity>,
    ) -> Option<(Arc<Link<L>>, Option<SocketId>)> {
        let now = Instant::now();
        let (session, socket) = if socket {
            let (session, socket) = EngineSession::websocket(&sid, Arc::clone(&self.setup.config), now);
            (session, Some(socket))
        } else {
            (EngineSession::polling(&sid, Arc::clone(&self.setup.config), now), None)
        };
        let state = self.layer.open(identity.as_ref(), now);
        let link = Arc::new(Link {
            engine: Arc::clone(self),
            sid: sid.into(),
            identity,
            inner: Mutex::new(Inner {
                session,
                state,
                waiting: Vec::new(),
                waker: None,
                asleep: false,
                armed: None,
                gone: false,
            }),
        });
        let mut links = self.links();
        if links.len() >= self.setup.max_sessions {
            return None;
        }
        links.insert(link.sid.clone(), Arc::clone(&link));
        drop(links);
        self.timer.start(self);
        link.act(|_, _, _| {});
        Some((link, socket))
    }
}

impl<L: Layer> Inner<L> {
    fn wake(&mut self) {
        if core::mem::take(&mut self.asleep)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }

    fn sleep(&mut self, task: &Waker) {
        self.asleep = true;
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(task)) {
            self.waker = Some(task.clone());
        }
    }
}

impl<L: Layer> Link<L> {
    /// Does something with the session, and what follows from it.
    pub(super) fn act<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Inner<L>, Instant, &mut Vec<L::Job>) -> R,
    ) -> R {
        let mut jobs = Vec::new();
        let result = self.act_and_tell(act, &mut jobs);
        self.run(jobs);
        result
    }

    /// The same, with what is to be done about it later: the caller holds a lock of its own.
    pub(super) fn act_and_tell<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Inner<L>, Instant, &mut Vec<L::Job>) -> R,
        jobs: &mut Vec<L::Job>,
    ) -> R {
        let now = Instant::now();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = act(&mut inner, now, jobs);
        self.follow(&mut inner, now, jobs);
        result
    }

    pub(super) fn run(self: &Arc<Self>, jobs: Vec<L::Job>) {
        for job in jobs {
            self.engine.layer.run(self, job);
        }
    }

    /// Only looks, or takes what is there to be written.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&mut Inner<L>) -> R) -> R {
        look(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a packet in, and answers whether the session goes on.
    pub(super) fn receive<'a>(
        self: &Arc<Self>,
        take: impl FnOnce(&mut EngineSession<Instant>, Instant) -> Option<Data<'a>>,
    ) -> bool {
        self.act(|inner, now, jobs| {
            if let Some(data) = take(&mut inner.session, now) {
                jobs.extend(self.engine.layer.receive(&mut inner.state, &mut inner.session, data));
            }
            inner.session.closed().is_none()
        })
    }

    /// Queues something for the client. On a WebSocket nothing else follows from it, and no clock is read.
    pub(super) fn queue<R>(
        self: &Arc<Self>,
        queue: impl FnOnce(&mut Inner<L>) -> R,
        jobs: &mut Vec<L::Job>,
    ) -> R {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = queue(&mut inner);
        if inner.session.is_open() && inner.session.transport() == TransportKind::WebSocket {
            inner.wake();
        } else {
            self.follow(&mut inner, Instant::now(), jobs);
        }
        result
    }

    /// A packet came on a WebSocket. [`settle`](Self::settle) behind the last one that is at hand.
    pub(super) fn frame(
        self: &Arc<Self>,
        socket: SocketId,
        packet: Result<EnginePacket<'_>, InvalidEnginePacket>,
        now: Instant,
    ) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.session.has_socket(socket) {
            inner.asleep = false; // its task is at it
        }
        let Inner { session, state, .. } = &mut *inner;
        let data = session.frame(socket, packet, now);
        let job = data.and_then(|data| self.engine.layer.receive(state, session, data));
        drop(inner);
        if let Some(job) = job {
            self.engine.layer.run(self, job);
        }
    }

    /// Hands over what a WebSocket is to send, until `take` wants no more. Whether that was all, in which case its task is
    /// woken once there is something; `None`: it is to be closed.
    pub(super) fn frames(
        &self,
        socket: SocketId,
        task: &Waker,
        mut take: impl FnMut(EngineMessage) -> bool,
    ) -> Option<bool> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match inner.session.next_frame(socket) {
                Some(EngineOutput::Message(message)) => {
                    if !take(message) {
                        return Some(false);
                    }
                }
                Some(EngineOutput::Close) => return None,
                None => {
                    inner.sleep(task);
                    return Some(true);
                }
            }
        }
    }

    /// A WebSocket takes nothing more. Whether to wait for it: until its session is over.
    pub(super) fn is_patient(&self, socket: SocketId, task: &Waker) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = inner.session.has_socket(socket) && inner.session.closed().is_none();
        if goes_on {
            inner.sleep(task);
        }
        goes_on
    }

    /// What follows from the packets that came.
    pub(super) fn settle(self: &Arc<Self>, now: Instant) {
        let mut jobs = Vec::new();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.follow(&mut inner, now, &mut jobs);
        drop(inner);
        self.run(jobs);
    }

    /// A request that waits for its answer.
    pub(super) fn request(
        self: &Arc<Self>,
        open: impl FnOnce(&mut EngineSession<Instant>, Instant) -> EngineTicket,
    ) -> (EngineTicket, oneshot::Receiver<EngineAnswer>) {
        let (sender, receiver) = oneshot::channel();
        let ticket = self.act(|inner, now, _| {
            let ticket = open(&mut inner.session, now);
            inner.waiting.push((ticket, sender));
            ticket
        });
        (ticket, receiver)
    }

    /// A WebSocket was opened for the session; `None` if it is not to have it.
    pub(super) fn socket(self: &Arc<Self>) -> Option<SocketId> {
        self.act(|inner, now, _| {
            inner.wake(); // the one before may have just lost its chance
            inner.session.socket(now)
        })
    }

    pub(super) fn fire(self: &Arc<Self>) {
        self.act(|inner, now, _| {
            inner.armed = None;
            inner.session.tick(now);
        });
    }

    fn follow(self: &Arc<Self>, inner: &mut Inner<L>, now: Instant, jobs: &mut Vec<L::Job>) {
        let layer = &self.engine.layer;
        if inner.session.is_open() {
            layer.tick(&mut inner.state, &mut inner.session, now);
        }
        while let Some(answer) = inner.session.next_answer(now) {
            if let Some(at) = inner.waiting.iter().position(|(ticket, _)| *ticket == answer.ticket()) {
                let (ticket, waiting) = inner.waiting.swap_remove(at);
                if waiting.send(answer).is_err() {
                    inner.session.cut(ticket); // the request was given up
                }
            }
        }
        inner.wake();
        if let Some(reason) = inner.session.closed() {
            if !core::mem::replace(&mut inner.gone, true) {
                self.engine.links().remove(&self.sid);
                if let Some(armed) = inner.armed.take() {
                    self.engine.timer.disarm(armed);
                }
                layer.closed(&mut inner.state, reason, jobs);
            }
            return;
        }
        let of_layer = layer.next_deadline(&inner.state).filter(|_| inner.session.is_open());
        if let Some(next) = inner.session.next_deadline().into_iter().chain(of_layer).min()
            && inner.armed.is_none_or(|(armed, _)| next < armed)
        {
            inner.armed = Some(self.engine.timer.arm(next, self, inner.armed));
        }
    }
}

impl<L: Layer> fmt::Debug for Engine<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("setup", &self.setup).finish_non_exhaustive()
    }
}
