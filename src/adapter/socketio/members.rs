//! Who is in a namespace, in which rooms, and who may come back.

use super::cluster::Hub;
use super::cluster::options::FoundSocket;
use super::cluster::record::Visitor;
use super::cluster::server_side::ServerSideEvent;
use super::namespace::{Handlers, OnServerSide};
use super::server::{Job, disconnect};
use super::socket::SocketRef;
use crate::socketio::engine::SendError;
use crate::socketio::{Arguments, Audience, Encoded, Recovery, RecoveryOptions};
use std::boxed::Box;
use std::collections::{HashMap, HashSet};
use std::string::String;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::vec::Vec;
use tokio::time::Instant;

/// Who is in a namespace, by their names there, and in which rooms.
#[derive(Default)]
struct Members {
    sockets: HashMap<Arc<str>, SocketRef>,
    rooms: HashMap<Box<str>, HashSet<Arc<str>>>,
    joined: HashMap<Arc<str>, Vec<String>>,
    /// How many wait to be let in.
    asking: usize,
}

/// What is to be done once all locks are open: an application's handlers may come back.
pub(super) enum Later {
    Jobs(SocketRef, Vec<Job>),
    Close(SocketRef),
    Disconnect(SocketRef),
    Server(OnServerSide, ServerSideEvent),
}

impl Later {
    pub(super) fn run(self) {
        match self {
            Self::Jobs(socket, jobs) => socket.link().run(jobs),
            Self::Close(socket) => socket.close(),
            Self::Disconnect(socket) => disconnect(&socket),
            Self::Server(handler, event) => handler(event),
        }
    }
}

/// The number under which an event is kept.
#[derive(Clone, Copy)]
pub(super) enum Number {
    /// It is not kept.
    None,
    Next,
    At(u128),
}

/// The cluster that a server is a node of, if it is.
pub(super) type Cluster = Arc<OnceLock<Arc<Hub>>>;

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) handlers: Arc<Handlers>,
    /// It goes with the last one in it.
    pub(super) dynamic: AtomicBool,
    /// Locked before the members, and before any session.
    recovery: Option<Mutex<Recovery<Instant>>>,
    members: Mutex<Members>,
    cluster: Cluster,
}

impl Shared {
    pub(super) fn new(
        name: Arc<str>,
        handlers: Arc<Handlers>,
        dynamic: bool,
        recovery: Option<RecoveryOptions>,
        cluster: Cluster,
    ) -> Self {
        let recovery = recovery.map(|config| {
            let mut recovery = Recovery::new(config);
            // What other nodes have said before is not known here.
            recovery.restart(cluster.get().map_or(0, |hub| hub.at()));
            Mutex::new(recovery)
        });
        Self { name, handlers, dynamic: dynamic.into(), recovery, members: Mutex::default(), cluster }
    }

    pub(super) fn cluster(&self) -> Option<&Arc<Hub>> {
        self.cluster.get()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients that may come back, and what they missed, if that is wanted.
    pub(super) fn recovery(&self) -> Option<MutexGuard<'_, Recovery<Instant>>> {
        self.recovery.as_ref().map(|recovery| recovery.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nobody is here, or waits to be let in.
    pub(super) fn is_empty(&self) -> bool {
        let members = self.members();
        members.sockets.is_empty() && members.asking == 0
    }

    /// Somebody waits to be let in.
    pub(super) fn ask(&self) {
        self.members().asking += 1;
    }

    /// It does not wait any more.
    pub(super) fn answered(&self) {
        self.members().asking -= 1;
    }

    pub(super) fn enter(&self, socket: SocketRef, rooms: &[String]) {
        let (sid, mut members) = (Arc::clone(socket.sid()), self.members());
        members.sockets.insert(Arc::clone(&sid), socket);
        rooms.iter().for_each(|room| members.join(room, &sid));
    }

    /// Whoever goes by this name is not here any more; its rooms.
    pub(super) fn take(&self, sid: &str) -> Option<(SocketRef, Vec<String>)> {
        self.members().take(sid)
    }

    /// A client has left, and comes back or not.
    pub(super) fn leave(&self, socket: &SocketRef, for_good: bool) {
        let mut recovery = self.recovery();
        let mut members = self.members();
        // Its name may be another socket's by now.
        if !members.sockets.get(socket.sid()).is_some_and(|member| member.is(socket)) {
            return;
        }
        let rooms = members.take(socket.sid()).map(|(_, rooms)| rooms).unwrap_or_default();
        if let (Some(recovery), Some(pid)) = (&mut recovery, socket.pid()) {
            match for_good {
                true => {
                    if let (Some(hub), Some(_)) = (self.cluster(), recovery.since(pid)) {
                        hub.forget(pid);
                    }
                    recovery.forget(pid);
                }
                false => self.cut(recovery, pid, rooms),
            }
        }
    }

    /// A client was cut, and may come back here or elsewhere.
    pub(super) fn cut(&self, recovery: &mut Recovery<Instant>, pid: &str, rooms: Vec<String>) {
        let now = Instant::now();
        if let (Some(hub), Some(since), Some(sid)) = (self.cluster(), recovery.since(pid), recovery.sid(pid))
        {
            hub.keep(pid, &self.visitor(sid, since, rooms.clone()), Some(now));
        }
        recovery.leave(pid, rooms, now);
    }

    fn visitor(&self, sid: &str, since: u128, rooms: Vec<String>) -> Visitor {
        Visitor { namespace: String::from(&*self.name), sid: String::from(sid), since, rooms }
    }

    /// Lets the other nodes know who is here and in which rooms, in case that this one dies.
    pub(super) fn keep(&self, socket: &SocketRef) {
        let (Some(hub), Some(pid)) = (self.cluster(), socket.pid()) else { return };
        let since = self.recovery().and_then(|recovery| recovery.since(pid));
        let members = self.members();
        if let Some(since) = since.filter(|_| members.sockets.contains_key(socket.sid())) {
            let rooms = members.joined.get(socket.sid()).cloned().unwrap_or_default();
            hub.keep(pid, &self.visitor(socket.sid(), since, rooms), None);
        }
    }

    pub(super) fn keep_all(&self) {
        self.targets(&Audience::default()).iter().for_each(|socket| self.keep(socket));
    }

    /// A client has come to another node. Its socket here, if there is one still.
    pub(super) fn taken(&self, pid: &str) -> Option<SocketRef> {
        let mut recovery = self.recovery()?;
        let sid = recovery.sid(pid).cloned()?;
        recovery.forget(pid);
        self.take(&sid).map(|(socket, _)| socket)
    }

    pub(super) fn join_all(&self, audience: &Audience, room: &str) {
        self.targets(audience).iter().for_each(|socket| self.join_room(socket, room));
    }

    pub(super) fn leave_all(&self, audience: &Audience, room: &str) {
        self.targets(audience).iter().for_each(|socket| self.leave_room(socket, room));
    }

    /// Who is here, with rooms.
    pub(super) fn found(&self, audience: &Audience) -> Vec<FoundSocket> {
        let found =
            |socket: &SocketRef| FoundSocket { sid: (&**socket.sid()).into(), rooms: self.rooms_of(socket) };
        self.targets(audience).iter().map(found).collect()
    }

    pub(super) fn join_room(&self, socket: &SocketRef, room: &str) {
        let mut members = self.members();
        // It may have left meanwhile.
        if members.sockets.contains_key(socket.sid()) {
            members.join(room, socket.sid());
        }
        drop(members);
        self.keep(socket);
    }

    pub(super) fn leave_room(&self, socket: &SocketRef, room: &str) {
        let mut members = self.members();
        members.leave(room, socket.sid());
        if let Some(rooms) = members.joined.get_mut(socket.sid()) {
            rooms.retain(|joined| joined != room);
        }
        drop(members);
        self.keep(socket);
    }

    pub(super) fn rooms_of(&self, socket: &SocketRef) -> Vec<String> {
        self.members().joined.get(socket.sid()).cloned().unwrap_or_default()
    }

    pub(super) fn targets(&self, audience: &Audience) -> Vec<SocketRef> {
        let members = self.members();
        let is_in = |sid: &str, room: &String| {
            sid == room || members.rooms.get(room.as_str()).is_some_and(|room| room.contains(sid))
        };
        let wanted = |sid: &Arc<str>| !audience.except.iter().any(|room| is_in(sid, room));
        if audience.to.is_empty() {
            let sockets = members.sockets.iter().filter(|(sid, _)| wanted(sid));
            return sockets.map(|(_, socket)| socket.clone()).collect();
        }
        let mut sids: HashSet<&Arc<str>> = HashSet::new();
        for room in &audience.to {
            sids.extend(members.rooms.get(room.as_str()).into_iter().flatten());
            // Each socket is in a room of its own.
            sids.extend(members.sockets.get_key_value(room.as_str()).map(|(sid, _)| sid));
        }
        let sockets = sids.into_iter().filter(|sid| wanted(sid)).filter_map(|sid| members.sockets.get(sid));
        sockets.cloned().collect()
    }

    /// Sends an event, encoded once, here and unless it is `local` on all nodes; what became of it for each here.
    pub(super) fn emit(
        &self,
        audience: Audience,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        volatile: bool,
        local: bool,
    ) -> Vec<Result<(), SendError>> {
        let event = Encoded::event(&self.name, event, arguments, None);
        let mut later = Vec::new();
        let results = match self.cluster() {
            None => {
                let number = if volatile { Number::None } else { Number::Next };
                self.deliver(audience, event, number, volatile, &mut later)
            }
            // The numbers are the cluster's.
            Some(_) if local => self.deliver(audience, event, Number::None, volatile, &mut later),
            Some(hub) => hub.emit(self, audience, event, volatile, &mut later),
        };
        later.into_iter().for_each(Later::run);
        results
    }

    /// Sends an event to those who are here, and keeps it for those who come back.
    pub(super) fn deliver(
        &self,
        audience: Audience,
        event: Encoded,
        number: Number,
        volatile: bool,
        later: &mut Vec<Later>,
    ) -> Vec<Result<(), SendError>> {
        let mut results = Vec::new();
        // Events reach everybody in the order of their offsets: the lock is held until all are queued.
        let mut recovery = self.recovery();
        let messages = match &recovery {
            None => event.into_shared(),
            Some(recovery) => {
                let offset = match number {
                    Number::None => recovery.offset(),
                    Number::Next => recovery.next_offset(),
                    Number::At(number) => Recovery::<Instant>::offset_of(number),
                };
                event.with_offset(&offset).into_shared()
            }
        };
        let targets = self.targets(&audience);
        match (recovery.as_mut(), number) {
            (None, _) | (_, Number::None) => {}
            (Some(recovery), Number::Next) => recovery.push(audience, messages.clone()),
            (Some(recovery), Number::At(number)) => recovery.push_at(number, audience, messages.clone()),
        }
        for socket in targets {
            let mut jobs = Vec::new();
            results.push(socket.send(messages.iter().cloned(), volatile, &mut jobs));
            if !jobs.is_empty() {
                later.push(Later::Jobs(socket, jobs));
            }
        }
        results
    }
}

impl Members {
    fn join(&mut self, room: &str, sid: &Arc<str>) {
        if self.rooms.entry(room.into()).or_default().insert(Arc::clone(sid)) {
            self.joined.entry(Arc::clone(sid)).or_default().push(room.into());
        }
    }

    fn take(&mut self, sid: &str) -> Option<(SocketRef, Vec<String>)> {
        let socket = self.sockets.remove(sid)?;
        let rooms = self.joined.remove(sid).unwrap_or_default();
        rooms.iter().for_each(|room| self.leave(room, socket.sid()));
        Some((socket, rooms))
    }

    fn leave(&mut self, room: &str, sid: &Arc<str>) {
        if let Some(sids) = self.rooms.get_mut(room) {
            sids.remove(sid);
            if sids.is_empty() {
                self.rooms.remove(room);
            }
        }
    }
}
