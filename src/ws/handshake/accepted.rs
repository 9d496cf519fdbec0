//! The 101 that accepts a request: its fields, and what may still be chosen (RFC 6455 4.2.2).

use alloc::string::String;
use alloc::vec::Vec;

use super::Negotiated;
use super::fields::check_own_field;
use super::key::AcceptKey;
use super::server::ServerOptions;
use crate::http1::head::{FieldLines, InvalidField};
use crate::ws::{Connection, ConnectionOptions};

/// A request that may be accepted: the 101 that does so, and what was agreed in it.
///
/// ```
/// use pushline::ws::handshake::{ServerOptions, accept};
///
/// let options = ServerOptions::new();
/// let mut accepted = accept(&options, "GET", [
///     ("Host", &b"server.example.com"[..]),
///     ("Upgrade", b"websocket"),
///     ("Connection", b"Upgrade"),
///     ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("Sec-WebSocket-Version", b"13"),
///     ("Sec-WebSocket-Protocol", b"v1, v2"),
/// ])?;
/// assert_eq!(accepted.offered_subprotocols(), ["v1", "v2"]);
/// accepted.select_subprotocol(Some("v2")).unwrap();
/// accepted.add_field("Set-Cookie", "a=b").unwrap();
/// assert_eq!(
///     accepted.to_bytes(),
///     b"HTTP/1.1 101 Switching Protocols\r\n\
///       Upgrade: websocket\r\n\
///       Connection: Upgrade\r\n\
///       Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
///       Sec-WebSocket-Protocol: v2\r\n\
///       Set-Cookie: a=b\r\n\r\n"
/// );
/// # Ok::<(), pushline::ws::handshake::Rejection>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Accepted<'a> {
    /// `None` over HTTP/2 and HTTP/3 (RFC 8441 5).
    pub(super) accept_key: Option<AcceptKey>,
    pub(super) subprotocol: Option<&'a str>,
    pub(super) offered: Vec<&'a str>,
    pub(super) negotiated: Negotiated,
    /// The value of Sec-WebSocket-Extensions.
    pub(super) extension: Option<String>,
    pub(super) options: &'a ServerOptions,
    pub(super) added: FieldLines,
}

impl<'a> Accepted<'a> {
    /// The status of the response: 101, or 200 over HTTP/2 and HTTP/3 (RFC 8441 5).
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.accept_key.is_some() { 101 } else { 200 }
    }

    /// The proof that the key was understood; `None` over HTTP/2 and HTTP/3, which have no key (RFC 8441 5).
    #[must_use]
    pub fn accept_key(&self) -> Option<AcceptKey> {
        self.accept_key
    }

    /// The subprotocol that the response selects.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
    }

    /// The subprotocols that the client offers, its favourite first.
    #[must_use]
    pub fn offered_subprotocols(&self) -> &[&'a str] {
        &self.offered
    }

    /// Selects another of the offered subprotocols, or none.
    ///
    /// # Errors
    ///
    /// [`NotOffered`] if the client did not offer it (RFC 6455 4.2.2); nothing is changed then.
    pub fn select_subprotocol(&mut self, name: Option<&str>) -> Result<(), NotOffered> {
        self.subprotocol = match name {
            None => None,
            Some(name) => {
                Some(self.offered.iter().copied().find(|offered| *offered == name).ok_or(NotOffered)?)
            }
        };
        Ok(())
    }

    /// Adds a field to the response.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it is malformed or the handshake's own; nothing is added then.
    pub fn add_field(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        check_own_field(name)?;
        self.added.push(name, value)
    }

    /// What the connection needs to know.
    pub fn negotiated(&self) -> Negotiated {
        self.negotiated.clone().select(self.subprotocol)
    }

    /// As [`negotiated`](Self::negotiated), once the response is written.
    pub(super) fn take_negotiated(&mut self) -> Negotiated {
        core::mem::take(&mut self.negotiated).select(self.subprotocol)
    }

    /// The server's end of the connection, with the response as the first bytes of its
    /// [`outgoing`](Connection::outgoing): for a caller that writes the response itself, or with the first frames.
    ///
    /// ```
    /// use bytes::Buf;
    /// use pushline::ws::handshake::Accepted;
    /// use pushline::ws::{ConnectionOptions, UsageError};
    ///
    /// fn greet(accepted: &Accepted<'_>) -> Result<(), UsageError> {
    ///     let mut connection = accepted.connection(ConnectionOptions::new());
    ///     connection.send("welcome")?;
    ///     assert!(connection.outgoing().chunk().starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
    ///     assert!(connection.outgoing().chunk().ends_with(b"\r\n\r\n\x81\x07welcome"));
    ///     Ok(())
    /// }
    /// # use pushline::ws::handshake::{ServerOptions, accept};
    /// # let options = ServerOptions::new();
    /// # let accepted = accept(&options, "GET", [
    /// #     ("Host", &b"server.example.com"[..]), ("Upgrade", b"websocket"), ("Connection", b"Upgrade"),
    /// #     ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", b"13"),
    /// # ])?;
    /// # greet(&accepted).unwrap();
    /// # Ok::<(), pushline::ws::handshake::Rejection>(())
    /// ```
    #[must_use]
    pub fn connection(&self, config: ConnectionOptions) -> Connection {
        Connection::server_after(&self.to_bytes(), self.negotiated(), config)
    }

    /// The fields of the response, for a caller whose HTTP server writes it, with [`status`](Self::status). Over HTTP/2
    /// and HTTP/3, names are to be written in lower case.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // RFC 6455 4.2.2 (5).
        let required = self.accept_key.as_ref().map(|accept_key| {
            [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", accept_key.as_str()),
            ]
        });
        let own = required.into_iter().flatten().chain(self.chosen());
        own.map(|(name, value)| (name, value.as_bytes()))
            .chain(self.options.choice().fields.iter())
            .chain(self.added.iter())
    }

    /// RFC 6455 4.2.2 (5.5), (5.6): left out if nothing was chosen.
    fn chosen(&self) -> impl Iterator<Item = (&str, &str)> {
        let subprotocol = self.subprotocol.map(|name| ("Sec-WebSocket-Protocol", name));
        let extension = self.extension.as_deref().map(|value| ("Sec-WebSocket-Extensions", value));
        subprotocol.into_iter().chain(extension)
    }

    /// Appends the response's head to `out`. The first frame may follow it at once. Over HTTP/2 and HTTP/3 the HTTP
    /// library writes the head, and this nothing.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let Some(accept_key) = &self.accept_key else { return };
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
        );
        out.extend_from_slice(accept_key.as_bytes());
        out.extend_from_slice(b"\r\n");
        let mut put = |pieces: &[&[u8]]| pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        for (name, value) in self.chosen() {
            put(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
        }
        put(&[self.options.choice().fields.as_bytes(), self.added.as_bytes(), b"\r\n"]);
    }

    /// The response's head.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        self.write_to(&mut out);
        out
    }
}

/// The subprotocol was not offered by the client: the response must not name it (RFC 6455 4.2.2). See
/// [`Accepted::select_subprotocol`].
///
/// ```
/// use pushline::ws::handshake::NotOffered;
///
/// assert_eq!(NotOffered.to_string(), "the client did not offer this subprotocol");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotOffered;

impl core::fmt::Display for NotOffered {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the client did not offer this subprotocol")
    }
}

impl core::error::Error for NotOffered {}
