//! Engine.IO 4: a session of packets over polling, WebSocket, and the way from one to the other.
//!
//! | file | what |
//! |---|---|
//! | `packet.rs` | packets and payloads, read and written: [`Packet`], [`records`], [`Message`] |
//! | `request.rs` | what a request asks for, or why it is refused: [`Request`], [`Refusal`] |
//! | `session.rs` | a session over requests, frames and time: [`Session`] |
//! | `life.rs` | its times and its end |
//! | `answer.rs` | what it has to say to requests and sockets |
//! | `client.rs` | the client's side of a session: [`Client`] |
//! | `client_config.rs` | what it is told, and asks for: [`ClientConfig`], [`Task`] |
//! | `words.rs` | names, reasons: [`Ticket`], [`SocketId`], [`CloseReason`], [`SendError`] |
//! | `config.rs` | its limits and times: [`Config`] |

mod answer;
mod client;
mod client_config;
mod config;
mod life;
mod packet;
mod request;
mod session;
mod words;

pub use answer::{Answer, Outgoing};
pub use client::Client;
pub use client_config::{ClientConfig, Task};
pub use config::Config;
pub use packet::{Data, Frame, InvalidPacket, Message, Packet, SEPARATOR, records};
pub use request::{Refusal, Request, TransportKind, session_id};
pub use session::Session;
pub use words::{CloseReason, SendError, SocketId, Ticket};
