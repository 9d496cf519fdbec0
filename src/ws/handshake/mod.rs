//! The opening handshake (RFC 6455 4).
//!
//! A handshake reads no socket and keeps no buffer. For people whose HTTP library has parsed the message already, it
//! works on (name, value) pairs: [`accept`] and [`verify`]. For raw connections, a server reads the request's head with
//! [`http1::head`](crate::http1::head), looks at the path, and only then calls [`accept_request`]; a [`ClientHandshake`] makes the
//! request's bytes of a [`Uri`] and reads the response.
//!
//! ```
//! use pushline::http1::head::Slots;
//! use pushline::ws::handshake::{Accepted, Rejection, ServerOptions, accept_request};
//! use pushline::ws::{ConnectionOptions, Connection};
//!
//! // What was received so far; the answer, the connection and how many bytes the head took; or `None`: read more.
//! fn answer(options: &ServerOptions, received: &[u8]) -> Result<Option<(Vec<u8>, Connection, usize)>, Rejection> {
//!     let mut slots = Slots::new();
//!     // One reader per request: it is kept while more is read, so that nothing is looked at twice.
//!     let Some(head) = options.reader().read_request(received, &mut slots)? else { return Ok(None) };
//!     if head.path() != "/chat" {
//!         return Err(Rejection::new(404));
//!     }
//!     let accepted = accept_request(options, &head)?;
//!     let connection = Connection::server(accepted.negotiated(), ConnectionOptions::default());
//!     Ok(Some((accepted.to_bytes(), connection, head.len())))
//! }
//!
//! let request = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
//!     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
//! let (response, _, length) = answer(&ServerOptions::new(), request)?.expect("the head is complete");
//! assert!(response.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
//! assert_eq!(length, request.len());
//!
//! let refused = answer(&ServerOptions::new(), b"POST /chat HTTP/1.1\r\nHost: h\r\n\r\n").unwrap_err();
//! assert_eq!(refused.to_bytes(), b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
//! # Ok::<(), Rejection>(())
//! ```
//!
//! With an [`Inbox`](crate::Inbox), what follows the head is for the connection:
//! [`consume`](crate::Inbox::consume) the head and go on with it. [`Accepted::connection`] writes the response by itself.
//!
//! | RFC 6455 | file |
//! |---|---|
//! | 3 `ws:` and `wss:` URLs | [`Uri`] in `uri.rs` |
//! | 4.1 client | [`ClientHandshake`] in `client.rs`, [`verify`] in `verify.rs` |
//! | 4 both sides as a machine: [`Opening`] | `opening.rs`; a server's response in `answer.rs`, what a refused client is told in `refused.rs` |
//! | 4.2 server | [`accept`] in `server.rs`; [`Accepted`] in `accepted.rs`, refusals in `rejection.rs` |
//! | 4.2.2, 11.3 key and accept | [`Key`] in `key.rs` |
//! | 4.3, 9.1, 11.3 lists | `fields.rs`; [`raw::extensions`](crate::raw::extensions) |
//! | RFC 8441, 9220 over HTTP/2 and 3 | [`accept_connect`] in `h2.rs`, [`verify_connect`] in `h2_client.rs` |
//! | 10.2 Origin | [`OriginPolicy`] in `origin.rs` |

pub(crate) mod fields;

mod accepted;
mod answer;
mod client;
mod extension;
mod h2;
mod h2_client;
#[cfg(feature = "http")]
mod http;
mod key;
mod opening;
mod origin;
mod refused;
mod rejection;
mod server;
mod uri;
mod verify;

use super::negotiated::Negotiated;
use crate::http1::syntax::trim;

pub use self::accepted::{Accepted, NotOffered};
pub use self::client::{ClientHandshake, ClientOptions, HandshakeResponse, Opened};
pub use self::fields::ListError;
pub use self::h2::{ConnectError, accept_connect};
pub use self::h2_client::{ConnectSetting, InvalidSetting, verify_connect};
#[cfg(feature = "hyper")]
pub(crate) use self::http::accept_parts;
#[cfg(feature = "http")]
pub use self::http::{accept_http, accept_http_connect, verify_http, verify_http_connect};
pub use self::key::{AcceptKey, Key};
pub use self::opening::{Decide, Established, Failure, Opening, OpeningStep};
pub use self::origin::OriginPolicy;
pub use self::refused::{HandshakeError, MAX_REFUSED_BODY};
pub use self::rejection::{Refusal, Rejection};
pub use self::server::{InvalidHost, Preference, ServerOptions, accept, accept_request};
pub use self::uri::{InvalidUri, Uri};
pub use self::verify::{ClientError, ResponseField, verify};

/// The most fields in a head that a handshake has room for, whatever [`HeadLimits`](crate::http1::head::HeadLimits) say: 1024.
/// Without it, a limit set too high would put any number of them on the stack.
pub const MAX_HANDSHAKE_FIELDS: usize = 1024;

/// The most bytes that a server which has refused a request reads and drops until the client ends, within the close
/// timeout: 64 KiB. Without it, a client that goes on sending keeps the connection busy.
pub const MAX_UNREAD: usize = 64 * 1024;

/// A field that may be given once.
#[derive(Clone, Copy, Default)]
struct Once<'a> {
    value: Option<&'a [u8]>,
    repeated: bool,
}

impl<'a> Once<'a> {
    fn set(&mut self, value: &'a [u8]) {
        self.repeated = self.value.is_some();
        self.value = Some(trim(value));
    }

    /// The value, if there is one.
    fn get<E>(&self, repeated: E) -> Result<Option<&'a [u8]>, E> {
        if self.repeated { Err(repeated) } else { Ok(self.value) }
    }
}
