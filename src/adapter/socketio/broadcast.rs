//! Events for many.

use super::members::Shared;
use super::socket::SocketRef;
use crate::socketio::{Arguments, Audience};
use core::fmt;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// Whom an event is for: rooms, without others. It is encoded once for all of them.
///
/// ```
/// use pushline::adapter::socketio::{SocketIoOptions, SocketIo};
///
/// let io = SocketIo::new(SocketIoOptions::new());
/// let reached = io.of("/").to("news").to("sports").except("muted").emit("headline", "It rains");
/// assert_eq!(reached, 0); // nobody is there yet
/// ```
#[derive(Clone)]
#[must_use = "nothing is sent before emit"]
pub struct BroadcastOperator {
    shared: Arc<Shared>,
    audience: Audience,
    volatile: bool,
}

impl BroadcastOperator {
    pub(super) fn new(shared: Arc<Shared>, but: Option<&str>) -> Self {
        let except = but.map(String::from).into_iter().collect();
        Self { shared, audience: Audience { to: Vec::new(), except }, volatile: false }
    }

    /// And those in this room; a socket's `sid` is a room, too.
    pub fn to(mut self, room: &str) -> Self {
        self.audience.to.push(room.into());
        self
    }

    /// But not those in this room.
    pub fn except(mut self, room: &str) -> Self {
        self.audience.except.push(room.into());
        self
    }

    /// Only those whose earlier events have left already.
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sends an event. How many it was queued for.
    pub fn emit(self, event: &str, arguments: &(impl Arguments + ?Sized)) -> usize {
        let sent = self.shared.emit(self.audience, event, arguments, self.volatile);
        sent.iter().filter(|sent| sent.is_ok()).count()
    }

    /// Who that is.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketRef> {
        self.shared.targets(&self.audience)
    }
}

impl fmt::Debug for BroadcastOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Broadcast");
        debug.field("audience", &self.audience).finish_non_exhaustive()
    }
}
