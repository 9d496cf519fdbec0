//! HTTP/1.1 message syntax: heads and chunked bodies (RFC 9112).
//!
//! | RFC 9112 | here |
//! |---|---|
//! | 2 to 6 request and response heads | [`head`] |
//! | 3.2, RFC 3986 3.2 host and port | [`authority`] |
//! | RFC 3986, RFC 9110 4.2, 10.2.2 URLs, and where a `Location` leads | [`Url`] |
//! | RFC 9110 10.2.3 when to come back | [`RetryAfter`] |
//! | 3.2.3, RFC 9110 9.3.6 a client's way through a proxy | [`Tunnel`], [`ProxyUrl`] |
//! | 7.1 the chunked transfer coding | [`chunked`] |
//! | 5, RFC 9110 5.6 tokens, lists, field values | `syntax.rs`; [`raw::is_token`](crate::raw::is_token) |
//!
//! It is what WebSocket and event streams need of HTTP/1.1, checked strictly; it is no HTTP server.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod authority;
pub(crate) mod basic;
pub mod chunked;
pub mod head;
mod http_url;
mod retry_after;
pub(crate) mod syntax;
mod tunnel;
pub(crate) mod url;

pub use http_url::{InvalidUrl, Url};
pub use retry_after::RetryAfter;
pub use tunnel::{ProxyUrl, Tunnel, TunnelError};
