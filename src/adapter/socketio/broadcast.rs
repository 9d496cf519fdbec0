//! Events for many.

use super::cluster::options::{FetchError, FoundSocket};
use super::cluster::record::Action;
use super::members::{Later, Shared};
use super::socket::SocketRef;
use crate::socketio::{Arguments, Audience};
use core::fmt;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

/// The receivers of an event: rooms, without others. It is encoded once for all of them.
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
    local: bool,
}

impl BroadcastOperator {
    pub(super) fn new(shared: Arc<Shared>, but: Option<&str>) -> Self {
        let except = but.map(String::from).into_iter().collect();
        Self { shared, audience: Audience { to: Vec::new(), except }, volatile: false, local: false }
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

    /// Only those on this node of a cluster.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Sends an event. How many it was queued for; in a cluster, how many of this node's clients.
    pub fn emit(self, event: &str, arguments: &(impl Arguments + ?Sized)) -> usize {
        let sent = self.shared.emit(self.audience, event, arguments, self.volatile, self.local);
        sent.iter().filter(|sent| sent.is_ok()).count()
    }

    /// Who that is, on this node.
    #[must_use]
    pub fn sockets(&self) -> Vec<SocketRef> {
        self.shared.targets(&self.audience)
    }

    /// Who that is, on all nodes of a cluster.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if a node that lives has not answered in time.
    pub async fn fetch_sockets(self) -> Result<Vec<FoundSocket>, FetchError> {
        match self.shared.cluster().filter(|_| !self.local) {
            Some(hub) => hub.fetch(&self.shared, self.audience).await,
            None => Ok(self.shared.found(&self.audience)),
        }
    }

    /// Lets them into a room.
    pub fn join(self, room: &str) {
        self.shared.join_all(&self.audience, room);
        self.say(|namespace, audience| Action::Join { namespace, audience, room: room.into() });
    }

    /// Puts them out of a room.
    pub fn leave(self, room: &str) {
        self.shared.leave_all(&self.audience, room);
        self.say(|namespace, audience| Action::Leave { namespace, audience, room: room.into() });
    }

    /// Puts them out of the namespace.
    pub fn disconnect(self) {
        self.shared.targets(&self.audience).into_iter().for_each(|socket| Later::Disconnect(socket).run());
        self.say(|namespace, audience| Action::Disconnect { namespace, audience });
    }

    fn say(self, action: impl FnOnce(String, Audience) -> Action) {
        if let Some(hub) = self.shared.cluster().filter(|_| !self.local) {
            hub.say(&action(String::from(&*self.shared.name), self.audience));
        }
    }
}

impl fmt::Debug for BroadcastOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BroadcastOperator");
        debug.field("audience", &self.audience).finish_non_exhaustive()
    }
}
