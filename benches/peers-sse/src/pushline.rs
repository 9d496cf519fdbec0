//! pushline: the state machine, and the adapter over it.

use crate::decoders::{Reads, Tell, drain};
use crate::encoders::{CAPACITY, Pass, Take};
use crate::workloads::{Message, Workload};
use bytes::BytesMut;
use pushline::adapter::sse::EventResponse;
use pushline::adapter::tokio::sse::{EventBody, EventStreamExt, EventWriter};
use pushline::http1::head::Version;
use pushline::sse::{Block, EventDecoder, Input, Item};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub fn decode(workload: &Workload, tell: Tell<'_>) {
    let mut decoder = EventDecoder::new();
    for read in &workload.reads {
        let mut input = Input::new(read);
        while let Some(item) = decoder.decode(&mut input).unwrap() {
            if let Item::Event(event) = item {
                tell(event.event_type, event.last_event_id, event.data);
            }
        }
    }
}

pub fn eventsource(workload: &Workload, tell: Tell<'_>) {
    drain(Reads::of(workload).eventsource(), |event| {
        let event = event.unwrap();
        tell(&event.event, &event.id, &event.data);
    });
}

fn block(event: &Message) -> Block<'_> {
    let mut block = Block::new().data(&event.data);
    if let Some(event_type) = &event.event_type {
        block = block.event_type(event_type);
    }
    if let Some(id) = &event.id {
        block = block.id(id);
    }
    if let Some(retry) = event.retry {
        block = block.retry(Duration::from_millis(retry));
    }
    block
}

pub fn encode(workload: &Workload) -> Pass<'_> {
    let mut out = BytesMut::with_capacity(CAPACITY);
    Box::new(move |take| {
        for event in &workload.events {
            out.clear();
            block(event).encode(&mut out).unwrap();
            take(&out);
        }
    })
}

/// As an HTTP server polls it, each event encoded when it is asked for.
pub fn event_body(workload: &Workload) -> Pass<'_> {
    Box::new(|take| {
        let events = workload.events.iter().map(|event| block(event).prepare().unwrap());
        let body = EventBody::new(crate::encoders::Ready(events));
        crate::run(async { drain(body, |bytes| take(&bytes.unwrap())) });
    })
}

/// A client that says nothing and takes all; of what it is sent, the response's head is left out.
struct Client<'a> {
    take: Take<'a>,
    head: bool,
}

impl AsyncRead for Client<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !std::mem::take(&mut self.head) {
            (self.take)(bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Each event sent and written; to a client of HTTP/1.0, so without chunks.
pub fn event_writer(workload: &Workload) -> Pass<'_> {
    Box::new(|take| {
        crate::run(async {
            let client = Client { take, head: true };
            let mut writer = EventWriter::new(client, Version::Http10, &EventResponse::new());
            writer.flush().await.unwrap();
            for event in &workload.events {
                writer.send(&block(event)).await.unwrap();
            }
            writer.flush().await.unwrap();
        });
    })
}
