//! Each crate's way from events to bytes. What a crate wants as its own it is given beforehand, untimed.

use crate::workloads::Workload;
use bytes::{Bytes, BytesMut};
use std::fmt::Write;
use std::time::Duration;

/// Room in the buffer of crates that append to one. Each event is handed on at once, as live events are.
const CAPACITY: usize = 16 * 1024;

/// A crate, and its pass over a workload: what is returned is timed, and hands the bytes on.
pub struct Encoder {
    pub name: &'static str,
    pub pass: fn(&Workload) -> Box<dyn FnOnce(&mut dyn FnMut(&[u8])) + '_>,
}

/// Ours first.
pub const ALL: [Encoder; 3] = [
    Encoder { name: "pushline", pass: pushline },
    Encoder { name: "sse-stream", pass: sse_stream },
    Encoder { name: "sse-codec", pass: sse_codec },
];

fn pushline(workload: &Workload) -> Box<dyn FnOnce(&mut dyn FnMut(&[u8])) + '_> {
    let mut out = BytesMut::with_capacity(CAPACITY);
    Box::new(move |take| {
        for event in &workload.events {
            let mut block = pushline::sse::Block::new().data(&event.data);
            if let Some(event_type) = &event.event_type {
                block = block.event_type(event_type);
            }
            if let Some(id) = &event.id {
                block = block.id(id);
            }
            if let Some(retry) = event.retry {
                block = block.retry(Duration::from_millis(retry));
            }
            out.clear();
            block.encode(&mut out).unwrap();
            take(&out);
        }
    })
}

fn sse_stream(workload: &Workload) -> Box<dyn FnOnce(&mut dyn FnMut(&[u8])) + '_> {
    let own = |event: &crate::workloads::Message| sse_stream::Sse {
        event: event.event_type.clone(),
        data: Some(event.data.clone()),
        id: event.id.clone(),
        retry: event.retry,
    };
    let events: Vec<_> = workload.events.iter().map(own).collect();
    Box::new(move |take| {
        for event in events {
            take(&Bytes::try_from(event).unwrap());
        }
    })
}

/// It knows no event with a `retry` field: that is an event of its own there.
fn sse_codec(workload: &Workload) -> Box<dyn FnOnce(&mut dyn FnMut(&[u8])) + '_> {
    let own = |event: &crate::workloads::Message| {
        let event_type = event.event_type.as_deref().unwrap_or("message");
        let message = sse_codec::Event::message(event_type, &event.data, event.id.as_deref());
        (event.retry.map(sse_codec::Event::retry), message)
    };
    let events: Vec<_> = workload.events.iter().map(own).collect();
    let mut out = BytesMut::with_capacity(CAPACITY);
    Box::new(move |take| {
        for (retry, message) in &events {
            out.clear();
            if let Some(retry) = retry {
                writeln!(out, "{retry}").unwrap();
            }
            writeln!(out, "{message}").unwrap();
            take(&out);
        }
    })
}
