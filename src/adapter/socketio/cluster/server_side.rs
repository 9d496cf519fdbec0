//! Events from one server of a cluster to the others.

use super::super::members::{Later, Shared};
use super::super::server::Server;
use super::Hub;
use super::record::{Action, packet};
use crate::socketio::{Arguments, Encoded, Payload, is_reserved};
use bytes::Bytes;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::vec::Vec;

/// The reason why an event did not go to the other servers, or not all have answered.
///
/// ```
/// use pushline::adapter::socketio::{ServerSideError, SocketIo, SocketIoOptions};
///
/// let io = SocketIo::new(SocketIoOptions::new());
/// let sent = io.of("/").server_side_emit("disconnect", &());
/// assert!(matches!(sent, Err(ServerSideError::ReservedName)));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerSideError {
    /// The name means something by itself: `connect`, `connection`, `connect_error`, `new_namespace`, `disconnect`,
    /// `disconnecting`, `newListener`, `removeListener`.
    ReservedName,
    /// Not all have answered in time: they are slow, have no handler for it, or too much waits to be written.
    TimedOut {
        /// The answers that came, one from a server.
        answers: Vec<Payload>,
    },
}

impl fmt::Display for ServerSideError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedName => "event name is reserved",
            Self::TimedOut { .. } => "not all servers have answered",
        })
    }
}

impl core::error::Error for ServerSideError {}

/// An event that another server of the cluster has sent: [`Namespace::on_server_side_event`].
///
/// ```
/// use pushline::adapter::socketio::ServerSideEvent;
///
/// async fn count(event: ServerSideEvent) {
///     event.ack(&3_u32); // if that server wants to know
/// }
/// ```
///
/// [`Namespace::on_server_side_event`]: super::super::Namespace::on_server_side_event
#[derive(Debug)]
pub struct ServerSideEvent {
    /// The name and the arguments.
    pub payload: Payload,
    ack: Option<Ack>,
    answered: AtomicBool,
}

/// Who wants to know, and by which number.
struct Ack {
    hub: Arc<Hub>,
    to: u64,
    request: u64,
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("request", &self.request).finish_non_exhaustive()
    }
}

impl ServerSideEvent {
    /// Whether the other server waits for an answer.
    #[must_use]
    pub const fn wants_ack(&self) -> bool {
        self.ack.is_some()
    }

    /// Answers it, once. If the other server does not wait for an answer, nothing is sent.
    pub fn ack(&self, arguments: &(impl Arguments + ?Sized)) {
        let Some(Ack { hub, to, request }) = &self.ack else { return };
        if !self.answered.swap(true, Ordering::Relaxed) {
            let ack = Encoded::ack("/", *request, arguments);
            let (attachments, text) = (ack.attachments().to_vec(), ack.into_text());
            hub.say(&Action::Reply { to: *to, text, attachments });
        }
    }
}

impl Shared {
    pub(in super::super) fn server_side_emit(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
    ) -> Result<(), ServerSideError> {
        let question = question(&self.name, event, arguments, None)?;
        if let Some(hub) = self.cluster() {
            hub.say(&question);
        }
        Ok(())
    }

    pub(in super::super) async fn server_side_emit_with_ack(
        &self,
        event: &str,
        arguments: &(impl Arguments + ?Sized),
        within: Duration,
    ) -> Result<Vec<Payload>, ServerSideError> {
        let request = self.cluster().map(|hub| hub.number());
        let question = question(&self.name, event, arguments, request)?;
        let (Some(hub), Some(request)) = (self.cluster(), request) else { return Ok(Vec::new()) };
        let answers = hub.ask(request, &question, within).await;
        match answers.waits.is_empty() {
            true => Ok(answers.said),
            false => Err(ServerSideError::TimedOut { answers: answers.said }),
        }
    }
}

fn question(
    namespace: &str,
    event: &str,
    arguments: &(impl Arguments + ?Sized),
    request: Option<u64>,
) -> Result<Action, ServerSideError> {
    if is_reserved(event) || matches!(event, "connection" | "new_namespace") {
        return Err(ServerSideError::ReservedName);
    }
    let event = Encoded::event(namespace, event, arguments, request);
    Ok(Action::Server { attachments: event.attachments().to_vec(), text: event.into_text() })
}

/// What is to be done about an event of another server: nothing, if there is no handler.
pub(super) fn received(server: &Server, from: u64, text: &str, attachments: Vec<Bytes>) -> Option<Later> {
    let packet = packet(text, &attachments)?;
    let shared = server.get(packet.namespace)?;
    let hub = Arc::clone(shared.cluster()?);
    let payload = Payload::from_packet(&packet, attachments)?;
    let handler = shared.handlers.server_side(&payload.name()?.to_cow())?;
    let ack = packet.id.map(|request| Ack { hub, to: from, request });
    Some(Later::Server(handler, ServerSideEvent { payload, ack, answered: AtomicBool::new(false) }))
}

impl Hub {
    /// Another node has answered. It does so once.
    pub(super) fn replied(&self, from: u64, text: &str, attachments: Vec<Bytes>) {
        let Some(packet) = packet(text, &attachments) else { return };
        let (Some(request), Some(said)) = (packet.id, Payload::from_packet(&packet, attachments)) else {
            return;
        };
        self.answered(request, |answers| answers.said.extend(answers.waits.remove(&from).then_some(said)));
    }
}
