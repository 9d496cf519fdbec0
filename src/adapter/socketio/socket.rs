//! A client in a namespace, and what came from it.

use super::broadcast::BroadcastOperator;
use super::engine::{Inner as Inside, Link};
use super::members::Shared;
use super::options::SlowClient;
use super::server::{Job, Server, disconnect};
use crate::socketio::engine::{EngineMessage, SendError};
use crate::socketio::{Arguments, Audience, Encoded, Payload};
use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::vec::Vec;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A client in a namespace. A clone is the same one.
///
/// ```
/// use pushline::adapter::socketio::{AckError, SocketRef};
/// use std::time::Duration;
///
/// async fn welcome(socket: SocketRef) -> Result<(), AckError> {
///     socket.join("lobby");
///     let _ = socket.to("lobby").emit("joined", &**socket.sid()); // to the others
///     let answer = socket.emit_with_ack("name?", &(), Duration::from_secs(5)).await?;
///     println!("{:?}", answer.arguments().next());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct SocketRef {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link<Server>>,
    shared: Arc<Shared>,
    sid: Arc<str>,
    /// The secret with which it can come back.
    pid: Option<Box<str>>,
    recovered: bool,
}

/// The reason why there is no answer.
///
/// ```
/// use pushline::adapter::socketio::AckError;
///
/// assert_eq!(AckError::TimedOut.to_string(), "no answer in time");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not sent.
    Send(SendError),
    /// As many answers as may be are awaited from this client.
    TooMany,
    /// The client did not answer in time.
    TimedOut,
    /// The client has left.
    Disconnected,
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send(error) => return error.fmt(f),
            Self::TooMany => "too many answers are awaited",
            Self::TimedOut => "no answer in time",
            Self::Disconnected => "the client has left",
        })
    }
}

impl core::error::Error for AckError {}

impl SocketRef {
    pub(super) fn new(
        link: Arc<Link<Server>>,
        shared: Arc<Shared>,
        sid: Arc<str>,
        pid: Option<Box<str>>,
        recovered: bool,
    ) -> Self {
        Self { inner: Arc::new(Inner { link, shared, sid, pid, recovered }) }
    }

    pub(super) fn link(&self) -> &Arc<Link<Server>> {
        &self.inner.link
    }

    pub(super) fn pid(&self) -> Option<&str> {
        self.inner.pid.as_deref()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Its name in this namespace. It is no secret.
    #[must_use]
    pub fn sid(&self) -> &Arc<str> {
        &self.inner.sid
    }

    /// The namespace's name.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.shared.name
    }

    /// Who the client is, as [`SocketIoOptions::identify`](super::SocketIoOptions::identify) gave it; `None` if that is another type.
    #[must_use]
    pub fn identity<T: 'static>(&self) -> Option<&T> {
        self.inner.link.identity.as_ref()?.get()
    }

    /// Whether it was here before, and came back with its name, its rooms and what it missed
    /// ([`SocketIoOptions::recovery`](super::SocketIoOptions::recovery)).
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.inner.recovered
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.link.peek(|inner| inner.state.is_in(self))
    }

    /// Sends an event.
    ///
    /// # Errors
    ///
    /// [`SendError`]. A slow client is dealt with as [`SlowClient`] says.
    pub fn emit(&self, event: &str, arguments: &(impl Arguments + ?Sized)) -> Result<(), SendError> {
        self.emit_one(event, arguments, false)
    }

    /// Sends an event if what was sent before has left already, and else drops it.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if it was dropped.
    pub fn emit_volatile(&self, event: &str, arguments: &(impl Arguments + ?Sized)) -> Result<(), SendError> {
        self.emit_one(event, arguments, true)
    }

    fn emit_one(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        volatile: bool,
    ) -> Result<(), SendError> {
        let Some(pid) = self.pid() else {
            let event = Encoded::event(self.namespace(), event, arguments, None);
            return self.send_now(event.into_messages(), volatile);
        };
        // Kept for it as well, in case that it comes back.
        let audience = Audience { to: [String::from(&**self.sid())].into(), ..Audience::default() };
        let sent = self.inner.shared.emit(audience, event, arguments, volatile, false).pop();
        sent.unwrap_or_else(|| match self.inner.shared.recovery() {
            Some(recovery) if !volatile && recovery.knows(pid, Instant::now()) => Ok(()),
            _ => Err(SendError::Closed),
        })
    }

    /// Sends an event, and waits for the client's answer to it; dropped, no longer.
    ///
    /// # Errors
    ///
    /// [`AckError`]. A slow client is dealt with as [`SlowClient`] says.
    pub async fn emit_with_ack(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        timeout: Duration,
    ) -> Result<Payload, AckError> {
        let (sender, answer) = oneshot::channel();
        let id = self.inner.link.act(|inner, now, _| {
            if !inner.state.is_in(self) {
                return Err(AckError::Disconnected);
            }
            let id = inner.state.connection.expect_ack(self.namespace(), timeout, now);
            let id = id.ok_or(AckError::TooMany)?;
            let event = Encoded::event(self.namespace(), event, arguments, Some(id));
            let sent = self.push(inner, event.into_messages());
            let key = (Arc::clone(&self.inner.shared.name), id);
            match sent {
                Ok(()) => drop(inner.state.acks.insert(key, sender)),
                Err(_) => drop(inner.state.connection.forget_ack(&key.0, id)),
            }
            sent.map(|()| id).map_err(AckError::Send)
        })?;
        let mut asked = Asked { socket: self, id: Some(id) };
        let answer = answer.await;
        asked.id = None;
        answer.unwrap_or(Err(AckError::Disconnected))
    }

    /// Into a room. Rooms are there as long as somebody is in them.
    pub fn join(&self, room: &str) {
        self.inner.shared.join_room(self, room);
    }

    /// Out of a room.
    pub fn leave(&self, room: &str) {
        self.inner.shared.leave_room(self, room);
    }

    /// The rooms that it is in.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.inner.shared.rooms_of(self)
    }

    /// Everybody else in a room.
    pub fn to(&self, room: &str) -> BroadcastOperator {
        self.broadcast().to(room)
    }

    /// Everybody else.
    pub fn broadcast(&self) -> BroadcastOperator {
        BroadcastOperator::new(Arc::clone(&self.inner.shared), Some(&self.inner.sid))
    }

    /// Puts it out of the namespace, unless it has left. Its client does not come back by itself.
    pub fn disconnect(&self) {
        disconnect(self);
    }

    /// Closes its connection, and so every namespace of it. Its client comes back by itself.
    pub fn close(&self) {
        self.inner.link.act(|inner, now, _| inner.session.close(now));
    }

    fn send_now(
        &self,
        messages: impl IntoIterator<Item = EngineMessage>,
        volatile: bool,
    ) -> Result<(), SendError> {
        let mut jobs = Vec::new();
        let sent = self.send(messages, volatile, &mut jobs);
        self.inner.link.run(jobs);
        sent
    }

    pub(super) fn send(
        &self,
        messages: impl IntoIterator<Item = EngineMessage>,
        volatile: bool,
        jobs: &mut Vec<Job>,
    ) -> Result<(), SendError> {
        let link = &self.inner.link;
        let send = |inner: &mut Inside<Server>| {
            if !inner.state.is_in(self) {
                return Err(SendError::Closed);
            }
            if volatile && inner.session.queued_bytes() > 0 {
                return Err(SendError::Full);
            }
            self.push(inner, messages)
        };
        link.queue(send, jobs)
    }

    /// Queues what is for a client that is there, and may be slow.
    fn push(
        &self,
        inner: &mut Inside<Server>,
        messages: impl IntoIterator<Item = EngineMessage>,
    ) -> Result<(), SendError> {
        let sent = inner.session.send_all(messages);
        if sent == Err(SendError::Full) && self.inner.link.engine.layer.slow == SlowClient::Disconnect {
            inner.session.fail();
        }
        sent
    }
}

/// An answer that is awaited: no longer, once whoever waits gives up.
struct Asked<'s> {
    socket: &'s SocketRef,
    id: Option<u64>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let name = &self.socket.inner.shared.name;
        self.socket.inner.link.peek(|inner| {
            // The socket may have left, and its successor may use the id.
            if inner.state.is_in(self.socket) {
                inner.state.connection.forget_ack(name, id);
                inner.state.acks.remove(&(Arc::clone(name), id));
            }
        });
    }
}

impl fmt::Debug for SocketRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SocketRef");
        debug.field("namespace", &self.namespace()).field("sid", self.sid()).finish_non_exhaustive()
    }
}

/// An event that came.
///
/// ```
/// use pushline::adapter::socketio::{SocketEvent, SocketRef};
///
/// async fn echo(socket: SocketRef, event: SocketEvent) {
///     let _ = socket.emit("message-back", &event.payload);
///     let _ = event.ack("received"); // if the client wants to know
/// }
/// ```
#[derive(Debug)]
pub struct SocketEvent {
    /// The name and the arguments.
    pub payload: Payload,
    ack: Option<(SocketRef, u64)>,
    answered: AtomicBool,
}

impl SocketEvent {
    pub(super) fn new(socket: &SocketRef, id: Option<u64>, payload: Payload) -> Self {
        Self { payload, ack: id.map(|id| (socket.clone(), id)), answered: AtomicBool::new(false) }
    }

    /// Whether the client waits for an answer.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Answers it, once. If the client does not wait for an answer, nothing is sent.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn ack(&self, arguments: &(impl Arguments + ?Sized)) -> Result<(), SendError> {
        let Some((socket, id)) = &self.ack else { return Ok(()) };
        if self.answered.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        socket.send_now(Encoded::ack(socket.namespace(), *id, arguments).into_messages(), false)
    }
}
