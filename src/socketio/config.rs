//! The limits and times of a connection.

#[cfg(doc)]
use super::ServerConnection;
use super::packet::PacketLimits;
use core::time::Duration;

/// What a [`ServerConnection`] allows and when it gives up.
///
/// ```
/// use core::time::Duration;
///
/// let config = pushline::socketio::SocketIoLimits::new().connect_timeout(Duration::from_secs(5));
/// assert_eq!((config.namespaces, config.acks), (100, 1000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct SocketIoLimits {
    /// Limits of a packet.
    pub packets: PacketLimits,
    /// Namespaces that one client may be in. Default 100.
    pub namespaces: usize,
    /// Answers that are awaited from one client. Default 1000.
    pub acks: usize,
    /// Bytes of a packet's attachments in all. Default 16 MiB.
    pub attachment_bytes: usize,
    /// Time that a client may be in no namespace. Default 45 s.
    pub connect_timeout: Duration,
}

impl SocketIoLimits {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            packets: PacketLimits::new(),
            namespaces: 100,
            acks: 1000,
            attachment_bytes: 16 << 20,
            connect_timeout: Duration::from_secs(45),
        }
    }

    /// Limits of a packet.
    pub const fn packets(mut self, packets: PacketLimits) -> Self {
        self.packets = packets;
        self
    }

    /// Namespaces that one client may be in.
    pub const fn namespaces(mut self, namespaces: usize) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// Answers that are awaited from one client.
    pub const fn acks(mut self, acks: usize) -> Self {
        self.acks = acks;
        self
    }

    /// Bytes of a packet's attachments in all.
    pub const fn attachment_bytes(mut self, bytes: usize) -> Self {
        self.attachment_bytes = bytes;
        self
    }

    /// Time that a client may be in no namespace.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

impl Default for SocketIoLimits {
    fn default() -> Self {
        Self::new()
    }
}
