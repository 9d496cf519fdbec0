//! The client's side of Socket.IO 5: the namespaces that it wants to be in, over one Engine.IO session after another.

use super::config::SocketIoLimits;
use super::connection::{Fault, Incoming, ServerConnection};
use super::encode::Encoded;
use super::packet::{Packet, PacketKind};
use super::payload::Payload;
use crate::heartbeat::Instant;
use crate::json::{self, Value};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// A packet from the server, checked.
///
/// ```
/// use pushline::socketio::{ClientConnection, SocketIoLimits, FromServer};
///
/// let mut client = ClientConnection::<std::time::Duration>::new(SocketIoLimits::new());
/// client.join("/", None);
/// client.opened();
/// let said = client.receive_text(r#"0{"sid":"s1"}"#)?;
/// assert!(matches!(said, Some(FromServer::Connected { sid, recovered: false, .. }) if &*sid == "s1"));
/// # Ok::<(), pushline::socketio::Fault>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum FromServer {
    /// The client was let into a namespace.
    Connected {
        /// The namespace.
        namespace: Arc<str>,
        /// The client's name there.
        sid: Arc<str>,
        /// Whether it is the same as before the connection was cut, and has missed nothing.
        recovered: bool,
    },
    /// It was not let in.
    Refused {
        /// The namespace.
        namespace: Arc<str>,
        /// What the server says about it.
        message: String,
        /// JSON, if there is more.
        data: Option<String>,
    },
    /// It was put out of a namespace, and does not come back by itself.
    Disconnect {
        /// The namespace.
        namespace: Arc<str>,
    },
    /// An event. Those that a recovered client missed come before [`Connected`](Self::Connected).
    Event {
        /// The namespace.
        namespace: Arc<str>,
        /// If the server expects an answer: [`Encoded::ack`].
        id: Option<u64>,
        /// The name and the arguments. After recovery was agreed on, the last argument is the offset.
        payload: Payload,
    },
    /// The answer to an event, which was awaited.
    Ack {
        /// The namespace.
        namespace: Arc<str>,
        /// What [`ClientConnection::expect_ack`] gave.
        id: u64,
        /// The arguments.
        payload: Payload,
    },
}

/// A namespace that the client wants to be in, and what it needs to come back there.
#[derive(Clone, Debug)]
struct Wanted {
    name: Arc<str>,
    /// A JSON object.
    auth: Option<String>,
    pid: Option<String>,
    offset: Option<String>,
}

impl Wanted {
    /// "Connection state recovery": who it was, and what it received last, before what it is let in with.
    fn connect(&self) -> Encoded {
        let mut fields = String::new();
        for (name, value) in [("\"pid\":", &self.pid), ("\"offset\":", &self.offset)] {
            // An offset without a secret is nobody's.
            if let (Some(value), Some(_)) = (value, &self.pid) {
                fields.push_str(if fields.is_empty() { "" } else { "," });
                fields.push_str(name);
                json::push_string(value, &mut fields);
            }
        }
        let inside = |auth: &String| Some(String::from(auth.strip_prefix('{')?.strip_suffix('}')?.trim()));
        let auth = self.auth.as_ref().and_then(inside).unwrap_or_default();
        if !fields.is_empty() && !auth.is_empty() {
            fields.push(',');
        }
        fields.push_str(&auth);
        Encoded::connect_request(&self.name, (!fields.is_empty() || self.auth.is_some()).then_some(&*fields))
    }
}

/// A client of Socket.IO, which outlives the Engine.IO sessions that carry it.
///
/// ```
/// use pushline::json;
/// use pushline::socketio::{ClientConnection, SocketIoLimits, Encoded, FromServer};
/// use std::time::Duration;
///
/// let mut client = ClientConnection::<Duration>::new(SocketIoLimits::new());
/// client.join("/chat", Some(json::check(r#"{"token":"1"}"#)?));
/// let packets: Vec<String> = client.opened().map(|packet| packet.into_text()).collect();
/// assert_eq!(packets, [r#"40/chat,{"token":"1"}"#]);
/// client.receive_text(r#"0/chat,{"sid":"s1","pid":"p1"}"#)?;
/// client.receive_text(r#"2/chat,["said","hello","offset-7"]"#)?;
/// // The session is lost; the next one:
/// client.lost();
/// let packets: Vec<String> = client.opened().map(|packet| packet.into_text()).collect();
/// assert_eq!(packets, [r#"40/chat,{"pid":"p1","offset":"offset-7","token":"1"}"#]);
/// let said = client.receive_text(r#"0/chat,{"sid":"s1","pid":"p1"}"#)?;
/// assert!(matches!(said, Some(FromServer::Connected { recovered: true, .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientConnection<I> {
    config: Arc<SocketIoLimits>,
    connection: ServerConnection<I>,
    wanted: Vec<Wanted>,
}

impl<I: Instant> ClientConnection<I> {
    /// A client in no namespace.
    #[must_use]
    pub fn new(config: SocketIoLimits) -> Self {
        let config = Arc::new(config);
        Self { connection: ServerConnection::client(Arc::clone(&config)), config, wanted: Vec::new() }
    }

    /// The client wants into a namespace, now and after each cut. `auth` is an object; the packet to send, if a session
    /// is open.
    pub fn join(&mut self, namespace: &str, auth: Option<Value<'_>>) -> Encoded {
        self.wanted.retain(|wanted| &*wanted.name != namespace);
        let auth = auth.filter(|auth| auth.object().is_some()).map(|auth| auth.as_str().into());
        let wanted = Wanted { name: namespace.into(), auth, pid: None, offset: None };
        let packet = wanted.connect();
        self.connection.ask(&wanted.name);
        self.wanted.push(wanted);
        packet
    }

    /// The client leaves a namespace: the packet to send. `None` if it was in none of that name.
    pub fn leave(&mut self, namespace: &str) -> Option<Encoded> {
        self.wanted.retain(|wanted| &*wanted.name != namespace);
        self.connection.leave(namespace)
    }

    /// A session is open: the packets to send first.
    pub fn opened(&mut self) -> impl Iterator<Item = Encoded> {
        self.lost();
        for wanted in &self.wanted {
            self.connection.ask(&wanted.name);
        }
        self.wanted.iter().map(Wanted::connect)
    }

    /// The session is lost. No answer is awaited any more.
    pub fn lost(&mut self) {
        self.connection = ServerConnection::client(Arc::clone(&self.config));
    }

    /// The text of a message came.
    ///
    /// # Errors
    ///
    /// [`Fault`]: close the session.
    pub fn receive_text(&mut self, text: &str) -> Result<Option<FromServer>, Fault> {
        let packet = self.connection.parse(text)?;
        let namespace = packet.namespace;
        match packet.kind {
            PacketKind::Connect => self.connected(packet).map(Some),
            PacketKind::ConnectError => {
                let Some(wanted) = self.wanted.iter().find(|wanted| &*wanted.name == namespace) else {
                    return Err(Fault::NotJoined);
                };
                let name = Arc::clone(&wanted.name);
                let _ = self.leave(namespace);
                let field = |name| packet.data?.object()?.get(name);
                let message =
                    packet.data.and_then(|data| data.string()).or_else(|| field("message")?.string());
                let message = message.map(|message| message.to_cow().into_owned()).unwrap_or_default();
                let data = field("data").map(|data| String::from(data.as_str()));
                Ok(Some(FromServer::Refused { namespace: name, message, data }))
            }
            _ => self.connection.receive_packet(packet).map(|incoming| self.pass(incoming)),
        }
    }

    fn connected(&mut self, packet: Packet<'_>) -> Result<FromServer, Fault> {
        let find = |wanted: &&mut Wanted| &*wanted.name == packet.namespace;
        let wanted = self.wanted.iter_mut().find(find).ok_or(Fault::NotJoined)?;
        let field = |name| Some(packet.data?.object()?.get(name)?.string()?.to_cow().into_owned());
        // A server of version 2 sends none.
        let sid = field("sid").ok_or(Fault::ServerPacket)?;
        let pid: Option<String> = field("pid");
        let recovered = pid.is_some() && pid == wanted.pid;
        if !recovered {
            wanted.offset = None;
        }
        wanted.pid = pid;
        Ok(FromServer::Connected { namespace: Arc::clone(&wanted.name), sid: sid.into(), recovered })
    }

    /// The bytes of a message came.
    ///
    /// # Errors
    ///
    /// [`Fault`]: close the session.
    pub fn receive_binary(&mut self, bytes: Bytes) -> Result<Option<FromServer>, Fault> {
        self.connection.receive_binary(bytes).map(|incoming| self.pass(incoming))
    }

    fn pass(&mut self, incoming: Option<Incoming>) -> Option<FromServer> {
        Some(match incoming? {
            Incoming::Event { namespace, id, payload } => {
                let wanted = self.wanted.iter_mut().find(|wanted| wanted.name == namespace);
                if let Some(wanted) = wanted.filter(|wanted| wanted.pid.is_some())
                    && let Some(offset) = payload.arguments().last().and_then(|last| last.string())
                {
                    wanted.offset = Some(offset.to_cow().into_owned());
                }
                FromServer::Event { namespace, id, payload }
            }
            Incoming::Ack { namespace, id, payload } => FromServer::Ack { namespace, id, payload },
            Incoming::Disconnect { namespace } => {
                self.wanted.retain(|wanted| wanted.name != namespace);
                FromServer::Disconnect { namespace }
            }
            Incoming::Connect { .. } => return None,
        })
    }

    /// The id to send an event with whose answer is awaited. `None` if it is not in the namespace, or
    /// [`SocketIoLimits::acks`] are awaited already.
    pub fn expect_ack(&mut self, namespace: &str, timeout: Duration, now: I) -> Option<u64> {
        self.connection.expect_ack(namespace, timeout, now)
    }

    /// An answer that did not come in time: its namespace and id. One a call.
    pub fn next_expired(&mut self, now: I) -> Option<(Arc<str>, u64)> {
        self.connection.next_expired(now)
    }

    /// When to look at [`next_expired`](Self::next_expired).
    #[must_use]
    pub fn next_deadline(&self) -> Option<I> {
        self.connection.next_deadline()
    }

    /// Whether it is in this namespace, or wants to be.
    #[must_use]
    pub fn wants(&self, namespace: &str) -> bool {
        self.wanted.iter().any(|wanted| &*wanted.name == namespace)
    }

    /// Whether there is a namespace that it wants to be in.
    #[must_use]
    pub fn wants_any(&self) -> bool {
        !self.wanted.is_empty()
    }
}
