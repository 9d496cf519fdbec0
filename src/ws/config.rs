//! Limits and choices of a connection, each with its default and what an attacker gains without it.

/// Limits and choices of a connection.
///
/// ```
/// use pushline::ws::ConnectionOptions;
///
/// let config = ConnectionOptions::new().max_message(64 * 1024).parts(true);
/// # let _ = config;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ConnectionOptions {
    pub(crate) max_frame: usize,
    pub(crate) max_message: usize,
    pub(crate) max_fragments: u32,
    pub(crate) max_outgoing: usize,
    pub(crate) fragment_size: usize,
    pub(crate) parts: bool,
    pub(crate) auto_pong: bool,
    pub(crate) auto_close: bool,
    pub(crate) accept_unmasked: bool,
}

impl ConnectionOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            max_frame: 16 << 20,
            max_message: 16 << 20,
            max_fragments: 131_072,
            max_outgoing: 1 << 20,
            fragment_size: 1 << 20,
            parts: false,
            auto_pong: true,
            auto_close: true,
            accept_unmasked: false,
        }
    }

    /// Largest payload of one received data frame, in bytes. Default 16 MiB.
    ///
    /// Refused from the header with 1009. Without it one frame makes the receiver hold as much as
    /// the peer cares to send.
    pub const fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// Largest received message, in bytes, all fragments together, inflated if it was compressed.
    /// Default 16 MiB.
    ///
    /// Refused with 1009 from the header that crosses it. Without it a message of small fragments,
    /// or a small compressed one, grows without end.
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Most frames of one received message, empty ones counted. Default 131,072.
    ///
    /// Refused with 1008. Nothing is kept per fragment; without the limit a peer keeps the receiver
    /// busy for ever with empty fragments of one message.
    pub const fn max_fragments(mut self, count: u32) -> Self {
        self.max_fragments = count;
        self
    }

    /// Most bytes in the outgoing queue, frame headers counted. Default 1 MiB.
    ///
    /// A message that would exceed it is refused with [`UsageError::Full`](super::UsageError::Full);
    /// with no other in the queue one message always fits. Where compression was agreed, a message counts as
    /// what it may become at worst, an eighth longer. Control frames have room of their own
    /// ([`Sender::CONTROL_ROOM`](crate::raw::Sender::CONTROL_ROOM)). Without the limit a peer that never reads makes the sender hold all that it missed.
    pub const fn max_outgoing(mut self, bytes: usize) -> Self {
        self.max_outgoing = bytes;
        self
    }

    /// Largest payload of a sent data frame, in bytes (at least 125). Default 1 MiB.
    ///
    /// A longer message goes out in several frames, between which control frames may go, so that a
    /// ping does not wait for all of it.
    pub const fn fragment_size(mut self, bytes: usize) -> Self {
        self.fragment_size = if bytes < 125 { 125 } else { bytes };
        self
    }

    /// Whether messages are reported in parts, as their bytes arrive. Default `false`.
    ///
    /// Every rule is still enforced; a message of any size then needs one read buffer. Raise
    /// [`max_frame`](Self::max_frame) and [`max_message`](Self::max_message) as needed: they hold
    /// in parts, too.
    pub const fn parts(mut self, parts: bool) -> Self {
        self.parts = parts;
        self
    }

    /// Whether pings are answered at once (RFC 6455 5.5.2). Default `true`.
    pub const fn auto_pong(mut self, auto_pong: bool) -> Self {
        self.auto_pong = auto_pong;
        self
    }

    /// Whether a close frame is answered at once with its code (RFC 6455 5.5.1). Default `true`.
    ///
    /// If not, the application does it with [`close`](super::Connection::close).
    pub const fn auto_close(mut self, auto_close: bool) -> Self {
        self.auto_close = auto_close;
        self
    }

    /// Whether a server takes unmasked frames, against RFC 6455 5.1. Default `false`.
    ///
    /// A leniency for peers behind a trusted gateway that unmasks.
    pub const fn accept_unmasked(mut self, accept_unmasked: bool) -> Self {
        self.accept_unmasked = accept_unmasked;
        self
    }
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The role of an endpoint: server or client.
///
/// ```
/// use pushline::ws::{ConnectionOptions, Connection, Negotiated, Role};
///
/// let connection = Connection::server(Negotiated::default(), ConnectionOptions::new());
/// assert_eq!(connection.role(), Role::Server);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Receives masked frames and sends unmasked ones (RFC 6455 5.1).
    Server,
    /// Receives unmasked frames and sends masked ones.
    Client,
}
