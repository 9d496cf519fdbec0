//! A client asks for a namespace: it comes back, it is let in, or it is not.

use super::engine::Link;
use super::members::Shared;
use super::namespace::Auth;
use super::server::{Server, checked, say};
use super::socket::SocketRef;
use super::spawn::start;
use crate::socketio::engine::session_id;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use tokio::time::Instant;

pub(super) fn connect(server: &Server, link: &Arc<Link<Server>>, name: Arc<str>, auth: Option<String>) {
    let Some(asking) = server.find(link, &name) else {
        return refuse(link, &name, "Invalid namespace");
    };
    let shared = Arc::clone(&asking.shared);
    let auth = auth.unwrap_or_else(|| String::from("{}"));
    // Whoever comes back was let in before.
    if let Some(socket) = recover(link, &shared, &auth) {
        return connected(socket, auth);
    }
    let (authorize, secret) = (shared.handlers.authorize(), secret(&auth));
    let elsewhere = secret.filter(|_| shared.recovery().is_some()).zip(shared.cluster().cloned());
    if authorize.is_none() && elsewhere.is_none() {
        return accept(link, &shared, auth);
    }
    let link = Arc::clone(link);
    start(|| async move {
        let _asking = asking;
        let mut undecided = Undecided { link: Arc::clone(&link), name: Some(Arc::clone(&name)) };
        if let Some(((pid, offset), hub)) = elsewhere
            && hub.adopt(&shared, &pid, offset.as_deref()).await
            && let Some(socket) = recover(&link, &shared, &auth)
        {
            undecided.name = None;
            return connected(socket, auth);
        }
        let decision = match authorize {
            None => Ok(()),
            Some(authorize) => authorize(Auth::new(&link, auth.clone())).await,
        };
        undecided.name = None;
        match decision {
            Ok(()) => accept(&link, &shared, auth),
            Err(message) => refuse(&link, &name, &message),
        }
    });
}

/// What a client says that was here before: its secret, and what it received last.
fn secret(auth: &str) -> Option<(String, Option<String>)> {
    let auth = checked(auth).object()?;
    let text = |name: &str| Some(auth.get(name)?.string()?.to_cow().into_owned());
    Some((text("pid")?, text("offset")))
}

fn refuse(link: &Arc<Link<Server>>, name: &str, message: &str) {
    link.act(|inner, now, _| {
        if let Some(error) = inner.state.connection.refuse(name, message, None) {
            say(&mut inner.session, error.into_messages());
        }
        inner.state.connection.tick(now);
    });
}

/// The handler comes before those of what the client does next, on whichever thread that is.
fn connected(socket: SocketRef, auth: String) {
    if let Some(connected) = socket.shared().handlers.connected() {
        connected(socket.clone(), Auth::new(socket.link(), auth));
    }
    let link = socket.link();
    while let Some(jobs) = link.peek(|inner| inner.state.take_early(&socket)) {
        link.run(jobs);
    }
}

/// A client that waits for a decision. It gets an answer also if that does not come: whoever was asked has panicked.
struct Undecided {
    link: Arc<Link<Server>>,
    name: Option<Arc<str>>,
}

impl Drop for Undecided {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            refuse(&self.link, &name, INTERNAL_ERROR);
        }
    }
}

const INTERNAL_ERROR: &str = "Internal error";

fn accept(link: &Arc<Link<Server>>, shared: &Arc<Shared>, auth: String) {
    let mut random = [[0; 15]; 2];
    if random.iter_mut().any(|random| getrandom::fill(random).is_err()) {
        return refuse(link, &shared.name, INTERNAL_ERROR);
    }
    let [sid, pid] = random.map(session_id);
    let sid: Arc<str> = sid.into();
    let mut jobs = Vec::new();
    // Held until it is a member: it gets each event from here on, now or when it comes back.
    let mut recovery = shared.recovery();
    if let (Some(recovery), Some(hub)) = (&mut recovery, shared.cluster()) {
        recovery.advance(hub.at());
    }
    let pid: Option<Box<str>> = recovery
        .as_mut()
        .and_then(|recovery| recovery.enter(&pid, Arc::clone(&sid), Instant::now()).then(|| pid.into()));
    let socket = SocketRef::new(Arc::clone(link), Arc::clone(shared), sid, pid, false);
    let accepted = enter(link, &socket, Vec::new(), &[], &mut jobs);
    if let (false, Some(recovery), Some(pid)) = (accepted, &mut recovery, socket.pid()) {
        recovery.forget(pid);
    }
    drop(recovery);
    link.run(jobs);
    if accepted {
        shared.keep(&socket);
        connected(socket, auth);
    }
}

/// A client that says that it was here before.
fn recover(link: &Arc<Link<Server>>, shared: &Arc<Shared>, auth: &str) -> Option<SocketRef> {
    let mut recovery = shared.recovery()?;
    let (pid, offset) = secret(auth)?;
    let now = Instant::now();
    // That its old connection is gone may not have been noticed yet.
    let sid = recovery.sid(&pid).cloned()?;
    let stale = shared.take(&sid).map(|(socket, rooms)| {
        recovery.leave(&pid, rooms, now);
        socket
    });
    let mut jobs = Vec::new();
    let socket = recovery.recover(&pid, offset.as_deref(), now).and_then(|recovered| {
        let pid_again = Some(pid.as_str().into());
        let socket = SocketRef::new(Arc::clone(link), Arc::clone(shared), recovered.sid, pid_again, true);
        let accepted = enter(link, &socket, recovered.missed, &recovered.rooms, &mut jobs);
        if !accepted {
            shared.cut(&mut recovery, &pid, recovered.rooms);
        }
        accepted.then_some(socket)
    });
    drop(recovery);
    link.run(jobs);
    if let Some(stale) = stale {
        stale.close();
    }
    socket.iter().for_each(|socket| shared.keep(socket));
    socket
}

/// What it missed, then the answer; from now on it is one of them.
fn enter(
    link: &Arc<Link<Server>>,
    socket: &SocketRef,
    missed: Vec<crate::socketio::engine::EngineMessage>,
    rooms: &[String],
    jobs: &mut Vec<super::server::Job>,
) -> bool {
    let enter = |inner: &mut super::engine::Inner<Server>, _, _: &mut Vec<_>| {
        if !inner.session.is_open() {
            return false;
        }
        let accepted = inner.state.connection.accept(socket.namespace(), socket.sid(), socket.pid());
        let Some(answer) = accepted else { return false };
        say(&mut inner.session, missed.into_iter().chain(answer.into_messages()));
        if !inner.session.is_open() {
            return false;
        }
        inner.state.sockets.push(socket.clone());
        inner.state.early.push((socket.clone(), Vec::new()));
        socket.shared().enter(socket.clone(), rooms);
        true
    };
    link.act_and_tell(enter, jobs)
}
