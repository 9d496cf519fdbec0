//! Bayeux 1.0, the protocol of CometD and Faye: publish and subscribe over WebSocket, long polling and JSONP.
//!
//! Their clients, unmodified, are served: npm `cometd` 5 to 9, npm `faye` 1.4, and what stands on either.
//! A [`Broker`] holds all sessions; [`Host`] is what it asks of the program. Channels are routed by prefix, `data` is
//! checked for form and passed on as it came.
//!
//! | file | what | Bayeux 1.0 |
//! |---|---|---|
//! | `channel.rs` | names and patterns: [`Channel`], [`Pattern`] | 2.2 |
//! | `message.rs` | envelopes: [`BayeuxMessage`] | 3, 6 |
//! | `dispatch.rs` | what each message does | 4, 5 |
//! | `connect.rs` | connects held and answered, the end of a session | 4.2 |
//! | `reply.rs` | replies, advice, errors | 3.4, 3.6 |
//! | `session.rs` | what waits for a client, batches | |
//! | `routes.rs` | who is subscribed: [`Routes`] | |
//! | `broker.rs`, `link.rs` | requests, frames and time: [`Broker`] | 2.4 |
//! | `host.rs` | who may do what: [`Host`] | |
//! | `form.rs` | queries and forms; the answer as a script: `raw::form` | 6 |
//! | `z85.rs` | bytes in JSON: `raw::z85` | |
//!
//! Messages for a client on HTTP travel with the answers to its connects; on a WebSocket they are sent at once. With the
//! extension `ack` they travel with connects everywhere, in numbered batches that are kept until the next connect
//! names them: nothing is lost or doubled over a failed response.

mod broker;
mod channel;
mod config;
mod connect;
mod dispatch;
pub(crate) mod form;
mod host;
mod link;
mod message;
mod reply;
mod routes;
mod session;
pub(crate) mod z85;

pub use broker::{BayeuxRequest, Broker, Link, Output};
pub use channel::{Channel, Pattern};
pub use config::BrokerOptions;
pub use host::{ClientId, Denied, Host};
#[cfg(feature = "hyper")]
pub(crate) use link::ById;
pub use message::{BayeuxMessage, BayeuxRefusal};
pub use routes::Routes;
