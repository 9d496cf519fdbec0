//! The limits and times of a connection.

#[cfg(doc)]
use super::ServerConnection;
use super::packet::PacketLimits;
use crate::settings::settings;
use core::time::Duration;

settings! {
    /// What a [`ServerConnection`] allows and when it gives up.
    ///
    /// ```
    /// use core::time::Duration;
    ///
    /// let config = pushline::socketio::SocketIoLimits::new().connect_timeout(Duration::from_secs(5));
    /// assert_eq!((config.namespaces, config.acks), (100, 1000));
    /// ```
    #[derive(Copy)]
    #[non_exhaustive]
    SocketIoLimits {
        /// Limits of a packet.
        pub packets: PacketLimits = PacketLimits::new();
        /// Namespaces that one client may be in. Default 100.
        pub namespaces: usize = 100;
        /// Answers that are awaited from one client. Default 1000.
        pub acks: usize = 1000;
        /// Bytes of a packet's attachments in all. Default 16 MiB.
        pub attachment_bytes: usize = 16 << 20;
        /// Time that a client may be in no namespace. Default 45 s.
        pub connect_timeout: Duration = Duration::from_secs(45);
    }
}
