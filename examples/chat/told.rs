//! What the room says, in the form of each transport. Each form is made at most once, whoever listens.

use std::sync::{Arc, OnceLock};

use pushline::comet::CometMessage;
use pushline::sse::{self, Block};
use pushline::ws;

use crate::id::Id;
use crate::protocol::{self, Answer, Event, Fact, MemberId, What};

/// An event or an answer. A clone is a reference.
#[derive(Debug, Clone)]
pub struct Told(Arc<Forms>);

#[derive(Debug, Default)]
struct Forms {
    json: String,
    id: Option<Id>,
    only: Option<[MemberId; 2]>,
    frame: OnceLock<ws::Prepared>,
    message: OnceLock<CometMessage>,
    block: OnceLock<Option<sse::PreparedEvent>>,
}

impl Told {
    /// An event of the log.
    pub fn event(id: Id, fact: &Fact) -> Self {
        let only = match &fact.what {
            What::Message { to: Some(to), .. } => Some([fact.member, *to]),
            _ => None,
        };
        Self::new(protocol::write(&Event { fact, seq: id.seq(), at: id.ms }), Some(id), only)
    }

    /// An answer.
    pub fn answer(answer: &Answer<'_>) -> Self {
        Self::written(protocol::write(answer))
    }

    /// An answer that another node has written.
    pub fn written(json: String) -> Self {
        Self::new(json, None, None)
    }

    /// The last message on a transport that has no closing of its own.
    pub fn bye(code: u16, text: &str) -> Self {
        Self::answer(&Answer::Bye { code, text })
    }

    fn new(json: String, id: Option<Id>, only: Option<[MemberId; 2]>) -> Self {
        Self(Arc::new(Forms { json, id, only, ..Forms::default() }))
    }

    /// The text itself.
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// Where it stands in the log, if it is an event.
    pub fn id(&self) -> Option<Id> {
        self.0.id
    }

    /// The only two that it is for, if it is not for all.
    pub fn only(&self) -> Option<[MemberId; 2]> {
        self.0.only
    }

    /// Whether this member may have it.
    pub fn is_for(&self, member: MemberId) -> bool {
        self.0.only.is_none_or(|both| both.contains(&member))
    }

    /// For WebSocket.
    pub fn frame(&self) -> &ws::Prepared {
        self.0.frame.get_or_init(|| ws::Prepared::text(&self.0.json))
    }

    /// For polling and streaming.
    pub fn message(&self) -> CometMessage {
        self.0.message.get_or_init(|| CometMessage::text(&self.0.json)).clone()
    }

    /// For Server-Sent Events. An event's id is its cursor: the browser shows it when it comes back. `None` cannot be: ids
    /// hold no line end.
    pub fn block(&self) -> Option<sse::PreparedEvent> {
        let make = || {
            let id = self.0.id.map(|id| id.to_string());
            let block = Block::new().data(&self.0.json);
            id.iter().fold(block, |block, id| block.id(id)).prepare().ok()
        };
        self.0.block.get_or_init(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_made_once_and_says_the_same() {
        let told = Told::new(r#"{"a":1}"#.to_owned(), Some(Id { ms: 7, n: 1 }), None);
        assert_eq!(told.frame().payload(), br#"{"a":1}"#);
        assert_eq!(told.message().literal(), br#""{\"a\":1}""#);
        assert_eq!(told.block().unwrap().bytes(), "id: 7-1\ndata: {\"a\":1}\n\n");
        assert!(std::ptr::eq(told.frame(), told.clone().frame()));
        assert_eq!(Told::written("{}".to_owned()).block().unwrap().bytes(), "data: {}\n\n");
    }

    #[test]
    fn a_message_to_one_is_for_the_two() {
        let what = What::Message { id: "i".to_owned(), text: "t".to_owned(), to: Some(2) };
        let told = Told::event(Id { ms: 1, n: 2 }, &Fact { what, member: 1, nick: "Ada".to_owned() });
        assert_eq!([1, 2, 3].map(|member| told.is_for(member)), [true, true, false]);
        let json =
            r#"{"type":"message","id":"i","text":"t","to":2,"member":1,"nick":"Ada","seq":1026,"at":1}"#;
        assert_eq!(told.json(), json);
    }
}
