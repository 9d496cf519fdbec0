//! What the room says, in the form of each transport. Each form is made at most once, whoever listens.

use std::sync::{Arc, OnceLock};

use pushline::comet::Message;
use pushline::sse::Block;
use pushline::ws::Prepared;

use crate::protocol::Cursor;

/// An event or an answer. A clone is a reference.
#[derive(Debug, Clone)]
pub struct Told(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    json: String,
    cursor: Option<String>,
    frame: OnceLock<Prepared>,
    message: OnceLock<Message>,
    block: OnceLock<Vec<u8>>,
}

impl Told {
    /// Of this JSON; `cursor` says where it stands, if it is an event.
    pub fn new(json: &str, cursor: Option<Cursor<'_>>) -> Self {
        Self(Arc::new(Forms {
            json: json.to_owned(),
            cursor: cursor.map(|cursor| cursor.to_string()),
            frame: OnceLock::new(),
            message: OnceLock::new(),
            block: OnceLock::new(),
        }))
    }

    /// For WebSocket.
    pub fn frame(&self) -> &Prepared {
        self.0.frame.get_or_init(|| Prepared::text(&self.0.json))
    }

    /// For polling and streaming.
    pub fn message(&self) -> Message {
        self.0.message.get_or_init(|| Message::text(&self.0.json)).clone()
    }

    /// For Server-Sent Events. An event's id is its cursor: the browser shows it when it comes back.
    pub fn block(&self) -> &[u8] {
        self.0.block.get_or_init(|| {
            let block = Block::new().data(&self.0.json);
            let block = self.0.cursor.as_ref().map_or(block, |cursor| block.id(cursor));
            let mut bytes = Vec::with_capacity(block.encoded_len());
            // It fails for an id of more than one line, and for want of room.
            let _ = block.encode(&mut bytes);
            bytes
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_made_once_and_says_the_same() {
        let told = Told::new(r#"{"a":1}"#, Some(Cursor { epoch: "e", seq: 7 }));
        assert_eq!(told.frame().payload(), br#"{"a":1}"#);
        assert_eq!(told.message().literal(), br#""{\"a\":1}""#);
        assert_eq!(told.block(), b"id: e.7\ndata: {\"a\":1}\n\n");
        assert!(std::ptr::eq(told.block(), told.clone().block()));
        assert_eq!(Told::new("{}", None).block(), b"data: {}\n\n");
    }
}
