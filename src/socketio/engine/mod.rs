//! Engine.IO 4: a session of packets over polling, WebSocket, and the way from one to the other.
//!
//! | file | what |
//! |---|---|
//! | `packet.rs` | packets and payloads, read and written: [`EnginePacket`], [`records`], [`EngineMessage`] |
//! | `queue.rs` | messages that wait: what a session and a client's side of one share |
//! | `request.rs` | what a request asks for, or why it is refused: [`EngineRequest`], [`EngineRefusal`] |
//! | `session.rs` | a session over requests, frames and time: [`EngineSession`] |
//! | `life.rs` | its times and its end |
//! | `answer.rs` | what it has to say to requests and sockets |
//! | `client.rs` | the client's side of a session: [`EngineClient`] |
//! | `client_config.rs` | what it is told, and asks for: [`EngineClientOptions`], [`Task`] |
//! | `words.rs` | names, reasons: [`EngineTicket`], [`SocketId`], [`EngineCloseReason`], [`SendError`] |
//! | `config.rs` | its limits and times: [`EngineOptions`] |

mod answer;
mod client;
mod client_config;
mod config;
mod life;
mod packet;
mod queue;
mod request;
mod session;
mod words;

pub use answer::{EngineAnswer, EngineOutput};
pub use client::EngineClient;
pub use client_config::{EngineClientOptions, Task};
pub use config::EngineOptions;
pub use packet::{Data, EngineFrame, EngineMessage, EnginePacket, InvalidEnginePacket, SEPARATOR, records};
pub use request::{EngineRefusal, EngineRequest, TransportKind, session_id};
pub use session::EngineSession;
pub use words::{EngineCloseReason, EngineTicket, SendError, SocketId};
