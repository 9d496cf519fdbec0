//! Who is in a namespace, in which rooms, and who may come back.

use super::namespace::Handlers;
use super::socket::SocketRef;
use crate::socketio::engine::SendError;
use crate::socketio::{Arguments, Audience, Encoded, Recovery, RecoveryOptions};
use std::boxed::Box;
use std::collections::{HashMap, HashSet};
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tokio::time::Instant;

/// Who is in a namespace, by their names there, and in which rooms.
#[derive(Default)]
struct Members {
    sockets: HashMap<Arc<str>, SocketRef>,
    rooms: HashMap<Box<str>, HashSet<Arc<str>>>,
    joined: HashMap<Arc<str>, Vec<String>>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) dynamic: bool,
    /// Locked before the members, and before any session.
    recovery: Option<Mutex<Recovery<Instant>>>,
    members: Mutex<Members>,
}

impl Shared {
    pub(super) fn new(
        name: Arc<str>,
        handlers: Arc<Handlers>,
        dynamic: bool,
        recovery: Option<RecoveryOptions>,
    ) -> Self {
        let recovery = recovery.map(|config| Mutex::new(Recovery::new(config)));
        Self { name, handlers, dynamic, recovery, members: Mutex::default() }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clients that may come back, and what they missed, if that is wanted.
    pub(super) fn recovery(&self) -> Option<MutexGuard<'_, Recovery<Instant>>> {
        self.recovery.as_ref().map(|recovery| recovery.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members().sockets.is_empty()
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
                true => recovery.forget(pid),
                false => recovery.leave(pid, rooms, Instant::now()),
            }
        }
    }

    pub(super) fn join_room(&self, socket: &SocketRef, room: &str) {
        let mut members = self.members();
        // It may have left meanwhile.
        if members.sockets.contains_key(socket.sid()) {
            members.join(room, socket.sid());
        }
    }

    pub(super) fn leave_room(&self, socket: &SocketRef, room: &str) {
        let mut members = self.members();
        members.leave(room, socket.sid());
        if let Some(rooms) = members.joined.get_mut(socket.sid()) {
            rooms.retain(|joined| joined != room);
        }
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

    /// Sends an event, encoded once, and what became of it for each.
    pub(super) fn emit(
        &self,
        audience: Audience,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        volatile: bool,
    ) -> Vec<Result<(), SendError>> {
        let mut later = Vec::new();
        let mut results = Vec::new();
        // Events reach everybody in the order of their offsets: the lock is held until all are queued.
        let mut recovery = self.recovery();
        let messages = match &recovery {
            None => Encoded::event(&self.name, event, arguments, None).into_shared(),
            Some(recovery) => {
                let offset = if volatile { recovery.offset() } else { recovery.next_offset() };
                Encoded::event(&self.name, event, &(arguments, offset.as_str()), None).into_shared()
            }
        };
        let targets = self.targets(&audience);
        if let Some(recovery) = recovery.as_mut().filter(|_| !volatile) {
            recovery.push(audience, messages.clone());
        }
        for socket in targets {
            let mut jobs = Vec::new();
            results.push(socket.send(messages.iter().cloned(), volatile, &mut jobs));
            if !jobs.is_empty() {
                later.push((socket, jobs));
            }
        }
        drop(recovery);
        for (socket, jobs) in later {
            socket.link().run(jobs);
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
