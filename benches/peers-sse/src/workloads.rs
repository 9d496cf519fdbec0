//! The streams to decode, and the events they are made of.

use bytes::Bytes;
use pushline::sse::{EventDecoder, Input, Item};
use std::fmt::Write;

/// An event to encode.
#[derive(Default)]
pub struct Message {
    pub event_type: Option<String>,
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub data: String,
}

/// A stream: its events, and its bytes as they come from the socket.
pub struct Workload {
    pub name: &'static str,
    pub events: Vec<Message>,
    pub reads: Vec<Bytes>,
}

impl Workload {
    fn new(name: &'static str, events: Vec<Message>, line_end: &str, read: usize) -> Self {
        let mut text = String::new();
        for event in &events {
            if let Some(event_type) = &event.event_type {
                write!(text, "event: {event_type}{line_end}").unwrap();
            }
            if let Some(id) = &event.id {
                write!(text, "id: {id}{line_end}").unwrap();
            }
            if let Some(retry) = event.retry {
                write!(text, "retry: {retry}{line_end}").unwrap();
            }
            for line in event.data.split('\n') {
                write!(text, "data: {line}{line_end}").unwrap();
            }
            text += line_end;
        }
        let stream = Bytes::from(text);
        let cut = |at: usize| stream.slice(at..stream.len().min(at + read));
        let reads = (0..stream.len()).step_by(read).map(cut).collect();
        Self { name, events, reads }
    }

    /// What a decoder must tell.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for event in &self.events {
            let event_type = event.event_type.as_deref().unwrap_or("message");
            tally.add(event_type, event.id.as_deref().unwrap_or(""), &event.data);
        }
        tally
    }
}

/// Count and hash (FNV-1a) of events.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    count: usize,
    hash: u64,
}

impl Tally {
    pub fn add(&mut self, event_type: &str, id: &str, data: &str) {
        self.count += 1;
        for field in [event_type, id, data] {
            for byte in (field.len() as u64).to_le_bytes().into_iter().chain(field.bytes()) {
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }

    /// Of the events of a stream.
    pub fn of_stream(bytes: &[u8]) -> Self {
        let (mut decoder, mut input) = (EventDecoder::new(), Input::new(bytes));
        let mut tally = Self::default();
        while let Some(item) = decoder.decode(&mut input).unwrap() {
            if let Item::Event(event) = item {
                tally.add(event.event_type, event.last_event_id, event.data);
            }
        }
        tally
    }
}

/// A token of a language model's answer: 176 bytes on the wire, as most streams of today look.
fn llm() -> Vec<Message> {
    let event = |number: u32| Message {
        data: format!(
            "{{\"id\":\"chatcmpl-9f3b2c7d\",\"object\":\"chat.completion.chunk\",\"created\":{},\
             \"model\":\"m-4o-mini\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" w{number:04}\"}}}}]}}",
            1_760_000_000 + number,
        ),
        ..Message::default()
    };
    (0..600).map(event).collect()
}

/// One digit: 9 bytes on the wire.
fn tiny() -> Vec<Message> {
    (0..12_000).map(|number| Message { data: (number % 10).to_string(), ..Message::default() }).collect()
}

/// 64 lines of 57 characters: 4 KiB on the wire.
fn multi_line() -> Vec<Message> {
    let line = |number: usize| format!("{number:04} the quick brown fox jumps over the lazy dog, then");
    let event = |number: usize| Message {
        data: (0..64).map(|at| line(number + at)).collect::<Vec<_>>().join("\n"),
        ..Message::default()
    };
    (0..25).map(event).collect()
}

/// Every field, lines ending with CR LF: 108 bytes on the wire.
fn all_fields() -> Vec<Message> {
    let event = |number: u64| Message {
        event_type: Some("price-update".to_owned()),
        id: Some(format!("{:08}", number)),
        retry: Some(3000),
        data: format!("{{\"symbol\":\"ACME\",\"bid\":101.25,\"n\":{number:06}}}"),
    };
    (0..1000).map(event).collect()
}

/// All workloads, in reads of `read` bytes.
pub fn all(read: usize) -> Vec<Workload> {
    vec![
        Workload::new("llm", llm(), "\n", read),
        Workload::new("tiny", tiny(), "\n", read),
        Workload::new("multi-line", multi_line(), "\n", read),
        Workload::new("crlf, all fields", all_fields(), "\r\n", read),
    ]
}
