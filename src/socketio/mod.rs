//! Socket.IO 5 over Engine.IO 4.

mod connection;
mod encode;
pub mod engine;
mod packet;
mod payload;
mod placeholder;

pub use connection::{Config, Connection, Fault, Incoming};
pub use encode::{Arguments, Encoded, Writer};
pub use packet::{InvalidPacket, Limits, Packet, PacketKind};
pub use payload::Payload;
pub use placeholder::placeholder;
