//! A client's namespaces, the packets that belong together, and the answers that are awaited (Socket.IO 5).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts what is held, which a limit bounds; numbers of 64 bits are not used up"
)]

use super::config::SocketIoLimits;
use super::encode::Encoded;
use super::packet::{InvalidPacket, Packet, PacketKind};
use super::payload::Payload;
use super::placeholder::all_resolve;
use crate::heartbeat::{Deadline, Instant};
use crate::json::Value;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;

/// A packet from a client, checked.
///
/// ```
/// use pushline::socketio::{SocketIoLimits, ServerConnection, Incoming};
/// use std::time::Duration;
///
/// let mut connection = ServerConnection::new(SocketIoLimits::new(), Duration::ZERO);
/// let said = connection.receive_text(r#"0/chat,{"token":"1"}"#)?;
/// assert!(matches!(said, Some(Incoming::Connect { namespace, .. }) if &*namespace == "/chat"));
/// # Ok::<(), pushline::socketio::Fault>(())
/// ```
#[derive(Clone, Debug)]
pub enum Incoming {
    /// It wants into a namespace: [`accept`](ServerConnection::accept) or [`refuse`](ServerConnection::refuse) it.
    Connect {
        /// The namespace.
        namespace: Arc<str>,
        /// A JSON object, if it sent one.
        auth: Option<String>,
    },
    /// It has left a namespace.
    Disconnect {
        /// The namespace.
        namespace: Arc<str>,
    },
    /// An event.
    Event {
        /// The namespace.
        namespace: Arc<str>,
        /// If it expects an answer: [`Encoded::ack`].
        id: Option<u64>,
        /// The name and the arguments.
        payload: Payload,
    },
    /// The answer to an event, which was awaited.
    Ack {
        /// The namespace.
        namespace: Arc<str>,
        /// What [`ServerConnection::expect_ack`] gave.
        id: u64,
        /// The arguments.
        payload: Payload,
    },
}

/// Why a client's connection is to be closed: [`EngineSession::fail`](super::engine::EngineSession::fail).
///
/// ```
/// use pushline::socketio::{SocketIoLimits, ServerConnection, Fault};
/// use std::time::Duration;
///
/// let mut connection = ServerConnection::new(SocketIoLimits::new(), Duration::ZERO);
/// assert_eq!(connection.receive_text(r#"2["a"]"#).unwrap_err(), Fault::NotJoined);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It sent what is no packet.
    Packet(InvalidPacket),
    /// It sent a packet that only servers send.
    ServerPacket,
    /// It sent bytes that no packet announced.
    UnexpectedBinary,
    /// It sent a packet where an attachment was due.
    AttachmentExpected,
    /// Its attachments are more bytes than [`SocketIoLimits::attachment_bytes`].
    AttachmentsTooLarge,
    /// A placeholder stands for an attachment that is not there.
    Placeholder,
    /// It sent an event to a namespace that it is not in.
    NotJoined,
    /// It asked for a namespace that it is in, or is waiting for.
    JoinedAlready,
    /// It asked for more namespaces than [`SocketIoLimits::namespaces`].
    TooManyNamespaces,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Packet(error) => return error.fmt(f),
            Self::ServerPacket => "packet that only servers send",
            Self::UnexpectedBinary => "bytes that no packet announced",
            Self::AttachmentExpected => "packet where an attachment was due",
            Self::AttachmentsTooLarge => "attachments are too large",
            Self::Placeholder => "placeholder without its attachment",
            Self::NotJoined => "packet for a namespace that was not joined",
            Self::JoinedAlready => "namespace was joined already",
            Self::TooManyNamespaces => "too many namespaces",
        })
    }
}

impl core::error::Error for Fault {}

#[derive(Clone, Debug)]
struct Joined {
    name: Arc<str>,
    /// It was let in.
    accepted: bool,
    next_ack: u64,
}

/// A packet whose attachments are not all there.
#[derive(Clone, Debug)]
struct Pending {
    namespace: Arc<str>,
    id: Option<u64>,
    ack: bool,
    payload: Payload,
    missing: usize,
    bytes: usize,
}

/// One client's side of Socket.IO, on a server; what it says is carried by an Engine.IO session.
///
/// ```
/// use pushline::socketio::{SocketIoLimits, ServerConnection, Encoded, Incoming};
/// use std::time::Duration;
///
/// let now = Duration::ZERO; // a virtual clock
/// let mut connection = ServerConnection::new(SocketIoLimits::new(), now);
/// connection.receive_text("0")?;
/// let answer = connection.accept("/", "id-1", None).expect("it asked");
/// assert_eq!(answer.text(), r#"40{"sid":"id-1"}"#);
///
/// let Some(Incoming::Event { namespace, id: Some(id), payload }) = connection.receive_text(r#"27["add",1,2]"#)?
/// else { panic!("an event") };
/// let sum: u64 = payload.arguments().filter_map(|argument| argument.as_u64()).sum();
/// assert_eq!(Encoded::ack(&namespace, id, &sum).text(), "437[3]");
/// # Ok::<(), pushline::socketio::Fault>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerConnection<I> {
    config: Arc<SocketIoLimits>,
    joined: Vec<Joined>,
    pending: Option<Box<Pending>>,
    acks: BTreeMap<(Arc<str>, u64), I>,
    due: BTreeSet<(I, Arc<str>, u64)>,
    lonely: Deadline<I>,
}

impl<I: Instant> ServerConnection<I> {
    /// The connection of a client that has just come. Many can share their limits, behind an `Arc`.
    #[must_use]
    pub fn new(config: impl Into<Arc<SocketIoLimits>>, now: I) -> Self {
        let config = config.into();
        Self {
            lonely: Deadline::new(now, config.connect_timeout),
            config,
            joined: Vec::new(),
            pending: None,
            acks: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// A client's own, in no namespace.
    pub(super) fn client(config: Arc<SocketIoLimits>) -> Self {
        let (joined, acks, due) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self { config, joined, pending: None, acks, due, lonely: Deadline::default() }
    }

    /// A client asks for a namespace: what it missed may come before it is let in.
    pub(super) fn ask(&mut self, namespace: &Arc<str>) {
        self.remove(namespace);
        self.joined.push(Joined { name: Arc::clone(namespace), accepted: true, next_ack: 0 });
    }

    /// The text of a message came.
    ///
    /// # Errors
    ///
    /// [`Fault`]: close the connection.
    pub fn receive_text(&mut self, text: &str) -> Result<Option<Incoming>, Fault> {
        let packet = self.parse(text)?;
        self.receive_packet(packet)
    }

    pub(super) fn parse<'a>(&self, text: &'a str) -> Result<Packet<'a>, Fault> {
        // "Packet encoding": a packet's attachments follow it.
        if self.pending.is_some() {
            return Err(Fault::AttachmentExpected);
        }
        Packet::parse(text, &self.config.packets).map_err(Fault::Packet)
    }

    pub(super) fn receive_packet(&mut self, packet: Packet<'_>) -> Result<Option<Incoming>, Fault> {
        let at = self.joined.iter().position(|joined| &*joined.name == packet.namespace);
        let joined = at.and_then(|at| self.joined.get(at));
        let (named, ack) = match packet.kind {
            // "Connection to a namespace": a client asks, once for each; a server says no.
            PacketKind::ConnectError => return Err(Fault::ServerPacket),
            PacketKind::Connect => {
                if joined.is_some() {
                    return Err(Fault::JoinedAlready);
                }
                if self.joined.len() >= self.config.namespaces {
                    return Err(Fault::TooManyNamespaces);
                }
                let namespace: Arc<str> = packet.namespace.into();
                self.joined.reserve_exact(1); // most clients are in one
                self.joined.push(Joined { name: Arc::clone(&namespace), accepted: false, next_ack: 0 });
                let auth = packet.data.map(|data| String::from(data.as_str()));
                return Ok(Some(Incoming::Connect { namespace, auth }));
            }
            PacketKind::Event | PacketKind::BinaryEvent => (true, false),
            PacketKind::Ack | PacketKind::BinaryAck => (false, true),
            PacketKind::Disconnect => (false, false),
        };
        // "Sending and receiving data": in a namespace that the client was let into.
        let joined = joined.filter(|joined| joined.accepted).ok_or(Fault::NotJoined)?;
        let namespace = Arc::clone(&joined.name);
        let Some(data) = packet.data else {
            self.remove(&namespace);
            return Ok(Some(Incoming::Disconnect { namespace }));
        };
        if matches!(packet.kind, PacketKind::BinaryEvent | PacketKind::BinaryAck)
            && !all_resolve(data, packet.attachments)
        {
            return Err(Fault::Placeholder);
        }
        let payload = Payload::new(data, packet.arguments, named);
        let (id, missing) = (packet.id, packet.attachments);
        if missing > 0 {
            self.pending = Some(Box::new(Pending { namespace, id, ack, payload, missing, bytes: 0 }));
            return Ok(None);
        }
        Ok(self.complete(namespace, id, ack, payload))
    }

    /// The bytes of a message came.
    ///
    /// # Errors
    ///
    /// [`Fault`]: close the connection.
    pub fn receive_binary(&mut self, bytes: Bytes) -> Result<Option<Incoming>, Fault> {
        // "Packet encoding": as many attachments as the packet has announced.
        let mut pending = self.pending.take().ok_or(Fault::UnexpectedBinary)?;
        pending.bytes = pending.bytes.saturating_add(bytes.len());
        if pending.bytes > self.config.attachment_bytes {
            return Err(Fault::AttachmentsTooLarge);
        }
        pending.payload.attach(bytes);
        pending.missing -= 1;
        if pending.missing > 0 {
            self.pending = Some(pending);
            return Ok(None);
        }
        let Pending { namespace, id, ack, payload, .. } = *pending;
        // The namespace may have been left before the last attachment came.
        Ok(self.find(&namespace).is_some().then(|| self.complete(namespace, id, ack, payload)).flatten())
    }

    /// An answer that nobody awaits, or not any more, is nothing.
    fn complete(
        &mut self,
        namespace: Arc<str>,
        id: Option<u64>,
        ack: bool,
        payload: Payload,
    ) -> Option<Incoming> {
        match id {
            Some(id) if ack => {
                self.forget_ack(&namespace, id).then_some(Incoming::Ack { namespace, id, payload })
            }
            id => Some(Incoming::Event { namespace, id, payload }),
        }
    }

    /// Lets the client into a namespace that it asked for. `sid` names it there, and is no secret; `pid` is one, with
    /// which it can recover its state. `None` if it did not ask, or has left by now.
    #[must_use]
    pub fn accept(&mut self, namespace: &str, sid: &str, pid: Option<&str>) -> Option<Encoded> {
        let joined = self.joined.iter_mut().find(|joined| &*joined.name == namespace && !joined.accepted)?;
        joined.accepted = true;
        self.lonely.clear();
        Some(Encoded::connect(namespace, sid, pid))
    }

    /// Does not let it in. `None` if it did not ask.
    #[must_use]
    pub fn refuse(&mut self, namespace: &str, message: &str, data: Option<Value<'_>>) -> Option<Encoded> {
        let at = self.joined.iter().position(|joined| &*joined.name == namespace && !joined.accepted)?;
        self.joined.remove(at);
        Some(Encoded::connect_error(namespace, message, data))
    }

    /// Puts it out of a namespace. `None` if it is not in it.
    #[must_use]
    pub fn leave(&mut self, namespace: &str) -> Option<Encoded> {
        self.find(namespace)?;
        self.remove(namespace);
        Some(Encoded::disconnect(namespace))
    }

    /// The id to send an event with whose answer is awaited. `None` if it is not in the namespace, or
    /// [`SocketIoLimits::acks`] are awaited already.
    pub fn expect_ack(&mut self, namespace: &str, timeout: Duration, now: I) -> Option<u64> {
        if self.acks.len() >= self.config.acks {
            return None;
        }
        let joined = self.joined.iter_mut().find(|joined| &*joined.name == namespace && joined.accepted)?;
        let id = joined.next_ack;
        joined.next_ack += 1;
        let deadline = now.saturating_add(timeout);
        self.due.insert((deadline, Arc::clone(&joined.name), id));
        self.acks.insert((Arc::clone(&joined.name), id), deadline);
        Some(id)
    }

    /// An answer that did not come in time: its namespace and id. One a call.
    pub fn next_expired(&mut self, now: I) -> Option<(Arc<str>, u64)> {
        let (_, namespace, id) = self.due.first().filter(|(deadline, ..)| *deadline <= now)?.clone();
        self.forget_ack(&namespace, id);
        Some((namespace, id))
    }

    /// Whether the client has been in no namespace for too long: close the connection.
    #[must_use]
    pub fn is_expired(&self, now: I) -> bool {
        self.lonely.is_over(now)
    }

    /// In no namespace, the time for joining one runs. Called after [`leave`](Self::leave), and after what came.
    pub fn tick(&mut self, now: I) {
        if self.joined.iter().any(|joined| joined.accepted) {
            self.lonely.clear();
        } else {
            self.lonely.start(now, self.config.connect_timeout);
        }
    }

    /// When to look at [`next_expired`](Self::next_expired) and [`is_expired`](Self::is_expired).
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        let ack = self.due.first().map(|(deadline, ..)| *deadline);
        ack.into_iter().chain(self.lonely.next_deadline()).min()
    }

    /// The namespaces that it is in.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.joined.iter().filter(|joined| joined.accepted).map(|joined| &joined.name)
    }

    fn find(&self, namespace: &str) -> Option<&Joined> {
        self.joined.iter().find(|joined| &*joined.name == namespace && joined.accepted)
    }

    fn remove(&mut self, namespace: &str) {
        self.joined.retain(|joined| &*joined.name != namespace);
        self.acks.retain(|(name, _), _| &**name != namespace);
        self.due.retain(|(_, name, _)| &**name != namespace);
    }

    /// Nobody awaits this answer any more; whether somebody did.
    pub(crate) fn forget_ack(&mut self, namespace: &Arc<str>, id: u64) -> bool {
        let key = (Arc::clone(namespace), id);
        let Some(deadline) = self.acks.remove(&key) else { return false };
        self.due.remove(&(deadline, key.0, id));
        true
    }
}
