//! What nodes tell each other: records of a log. Nothing in one is taken on its word.

use crate::socketio::{Audience, Packet, PacketKind, PacketLimits};
use bytes::Bytes;
use std::string::String;
use std::vec::Vec;

/// A record, who wrote it, and its number among those of that node: one that comes twice is known by it, and so is a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) node: u64,
    pub(crate) number: u64,
    /// The clients of that node have it already.
    pub(crate) done: bool,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The node lives; with `true` it has just come, and wants to know who else does.
    Beat(bool),
    /// An event: its packet without an offset, its attachments.
    Emit {
        namespace: String,
        audience: Audience,
        text: String,
        attachments: Vec<Bytes>,
        volatile: bool,
    },
    Join {
        namespace: String,
        audience: Audience,
        room: String,
    },
    Leave {
        namespace: String,
        audience: Audience,
        room: String,
    },
    Disconnect {
        namespace: String,
        audience: Audience,
    },
    /// Who is there? Each node answers with one `Answer` or several.
    Ask {
        namespace: String,
        audience: Audience,
        request: u64,
    },
    Answer {
        to: u64,
        request: u64,
        last: bool,
        sockets: Vec<(String, Vec<String>)>,
    },
    /// An event for the servers themselves: its packet, with an id if each is to say something to it.
    Server {
        text: String,
        attachments: Vec<Bytes>,
    },
    /// What one says to it: a packet with the id.
    Reply {
        to: u64,
        text: String,
        attachments: Vec<Bytes>,
    },
    /// A client has come to the writer of the record.
    Taken {
        namespace: String,
        pid: String,
    },
}

const VERSION: u8 = 1;
/// Where the flag `done` is.
const DONE: usize = 1;

/// A record's bytes.
pub(crate) fn encode(node: u64, number: u64, action: &Action) -> Vec<u8> {
    let mut out = Out(std::vec![VERSION, 0]);
    out.number(node);
    out.number(number);
    match action {
        Action::Beat(new) => out.bytes(b"b").flag(*new),
        Action::Emit { namespace, audience, text, attachments, volatile } => {
            out.bytes(b"e").text(namespace).audience(audience).text(text).flag(*volatile).many(attachments)
        }
        Action::Join { namespace, audience, room } => {
            out.bytes(b"j").text(namespace).audience(audience).text(room)
        }
        Action::Leave { namespace, audience, room } => {
            out.bytes(b"l").text(namespace).audience(audience).text(room)
        }
        Action::Disconnect { namespace, audience } => out.bytes(b"d").text(namespace).audience(audience),
        Action::Ask { namespace, audience, request } => {
            out.bytes(b"q").text(namespace).audience(audience).number(*request)
        }
        Action::Answer { to, request, last, sockets } => {
            out.bytes(b"a").number(*to).number(*request).flag(*last).count(sockets.len());
            for (sid, rooms) in sockets {
                out.text(sid).texts(rooms);
            }
            &mut out
        }
        Action::Server { text, attachments } => out.bytes(b"s").text(text).many(attachments),
        Action::Reply { to, text, attachments } => out.bytes(b"r").number(*to).text(text).many(attachments),
        Action::Taken { namespace, pid } => out.bytes(b"t").text(namespace).text(pid),
    };
    out.0
}

/// The clients of the node have got it meanwhile.
pub(crate) fn mark_done(record: &mut [u8]) {
    if let Some(flag) = record.get_mut(DONE) {
        *flag = 1;
    }
}

pub(crate) fn is_done(record: &[u8]) -> bool {
    record.get(DONE) == Some(&1)
}

/// `None` if it is no record, or if clients would hang up on what is in it.
pub(crate) fn decode(bytes: &Bytes) -> Option<Record> {
    let mut all = In(bytes.clone());
    if all.byte()? != VERSION {
        return None;
    }
    let (done, node, number) = (all.flag()?, all.number()?, all.number()?);
    let action = match all.byte()? {
        b'b' => Action::Beat(all.flag()?),
        b'e' => {
            let (namespace, audience) = (all.text()?, all.audience()?);
            let (text, volatile) = (all.text()?, all.flag()?);
            let attachments = all.many()?;
            Action::Emit { namespace, audience, text, attachments, volatile }
        }
        b'j' => Action::Join { namespace: all.text()?, audience: all.audience()?, room: all.text()? },
        b'l' => Action::Leave { namespace: all.text()?, audience: all.audience()?, room: all.text()? },
        b'd' => Action::Disconnect { namespace: all.text()?, audience: all.audience()? },
        b'q' => Action::Ask { namespace: all.text()?, audience: all.audience()?, request: all.number()? },
        b'a' => Action::Answer {
            to: all.number()?,
            request: all.number()?,
            last: all.flag()?,
            sockets: all.list(|all| Some((all.text()?, all.texts()?)))?,
        },
        b's' => Action::Server { text: all.text()?, attachments: all.many()? },
        b'r' => Action::Reply { to: all.number()?, text: all.text()?, attachments: all.many()? },
        b't' => Action::Taken { namespace: all.text()?, pid: all.text()? },
        _ => return None,
    };
    (all.0.is_empty() && action.is_sound()).then_some(Record { node, number, done, action })
}

impl Action {
    /// Whether the packet in it, if there is one, is what it should be: clients hang up on one with a reserved name, or whose
    /// JSON is too deep, and so no node takes it.
    pub(crate) fn is_sound(&self) -> bool {
        match self {
            Self::Emit { namespace, text, attachments, .. } => {
                packet(text, attachments).filter(is_event).is_some_and(|packet| {
                    packet.namespace == namespace && packet.id.is_none() && text.ends_with(']')
                })
            }
            Self::Server { text, attachments } => {
                packet(text, attachments).is_some_and(|packet| is_event(&packet))
            }
            Self::Reply { text, attachments, .. } => {
                packet(text, attachments).is_some_and(|packet| !is_event(&packet))
            }
            _ => true,
        }
    }
}

/// The packet of an event or an answer, as far as it fits its attachments.
pub(crate) fn packet<'a>(text: &'a str, attachments: &[Bytes]) -> Option<Packet<'a>> {
    let limits = PacketLimits::new().attachments(attachments.len());
    let packet = Packet::parse(text.strip_prefix('4')?, &limits).ok()?;
    let is_ack = matches!(packet.kind, PacketKind::Ack | PacketKind::BinaryAck);
    ((is_event(&packet) || is_ack) && packet.attachments == attachments.len()).then_some(packet)
}

fn is_event(packet: &Packet<'_>) -> bool {
    matches!(packet.kind, PacketKind::Event | PacketKind::BinaryEvent)
}

/// A client as another node finds it: name, the first event that is its own, rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visitor {
    pub(crate) namespace: String,
    pub(crate) sid: String,
    pub(crate) since: u128,
    pub(crate) rooms: Vec<String>,
}

impl Visitor {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Out(std::vec![VERSION]);
        out.text(&self.namespace).text(&self.sid).bytes(&self.since.to_be_bytes()).texts(&self.rooms);
        out.0.into()
    }

    pub(crate) fn decode(bytes: Bytes) -> Option<Self> {
        let mut all = In(bytes);
        if all.byte()? != VERSION {
            return None;
        }
        let (namespace, sid) = (all.text()?, all.text()?);
        let since = u128::from_be_bytes(all.take(16)?.as_ref().try_into().ok()?);
        Some(Self { namespace, sid, since, rooms: all.texts()? })
    }
}

struct Out(Vec<u8>);

impl Out {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.bytes(&[u8::from(flag)])
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.bytes(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len()).bytes(text.as_bytes())
    }

    fn texts(&mut self, texts: &[String]) -> &mut Self {
        self.count(texts.len());
        for text in texts {
            self.text(text);
        }
        self
    }

    fn many(&mut self, attachments: &[Bytes]) -> &mut Self {
        self.count(attachments.len());
        for bytes in attachments {
            self.count(bytes.len()).bytes(bytes);
        }
        self
    }

    fn audience(&mut self, audience: &Audience) -> &mut Self {
        self.texts(&audience.to).texts(&audience.except)
    }
}

struct In(Bytes);

impl In {
    fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.as_ref().try_into().ok()?))
    }

    fn count(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?.as_ref().try_into().ok()?) as usize)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    /// As many as there are; each takes four bytes at least, so a number that is too large ends soon.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        (0..self.count()?).map(|_| item(self)).collect()
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        self.list(Self::text)
    }

    fn many(&mut self) -> Option<Vec<Bytes>> {
        self.list(|all| {
            let length = all.count()?;
            all.take(length)
        })
    }

    fn audience(&mut self) -> Option<Audience> {
        Some(Audience { to: self.texts()?, except: self.texts()? })
    }
}
