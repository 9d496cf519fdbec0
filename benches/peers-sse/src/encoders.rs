//! Each crate's way from events to bytes, and into the body of a response. What a crate wants as its own it is given beforehand, untimed.

use crate::workloads::Workload;
use crate::{decoders, pushline};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Room in the buffer of crates that append to one. Each event is handed on at once, as live events are.
pub const CAPACITY: usize = 16 * 1024;

/// Where the bytes go.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]);

/// What is timed.
pub type Pass<'a> = Box<dyn FnOnce(Take<'_>) + 'a>;

/// A crate, and its pass over a workload: what is returned is timed, and hands the bytes on.
pub struct Encoder {
    pub name: &'static str,
    pub pass: fn(&Workload) -> Pass<'_>,
}

/// Ours first.
pub const ALONE: [Encoder; 3] = [
    Encoder { name: "pushline core", pass: pushline::encode },
    Encoder { name: "sse-stream", pass: sse_stream },
    Encoder { name: "sse-codec", pass: sse_codec },
];

/// Into the body of a response: what a server's author works with.
pub const BODIES: [Encoder; 4] = [
    Encoder { name: "pushline EventBody", pass: pushline::event_body },
    Encoder { name: "pushline EventWriter", pass: pushline::event_writer },
    Encoder { name: "axum Sse", pass: axum_sse },
    Encoder { name: "axum Sse, keep-alive", pass: axum_sse_alive },
];

/// Events as a stream that is always ready.
pub struct Ready<I>(pub I);

impl<I: Iterator + Unpin> Stream for Ready<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next())
    }
}

fn sse_stream(workload: &Workload) -> Pass<'_> {
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
fn sse_codec(workload: &Workload) -> Pass<'_> {
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

/// As an HTTP server polls it, each event encoded when it is asked for. The stream has to own its events.
fn axum_events(workload: &Workload) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
    let own = |event: &crate::workloads::Message| {
        let crate::workloads::Message { event_type, id, retry, data } = event;
        (event_type.clone(), id.clone(), *retry, data.clone())
    };
    let events: Vec<_> = workload.events.iter().map(own).collect();
    Ready(events.into_iter().map(|(event_type, id, retry, data)| {
        let mut event = Event::default();
        if let Some(event_type) = event_type {
            event = event.event(event_type);
        }
        if let Some(id) = id {
            event = event.id(id);
        }
        if let Some(retry) = retry {
            event = event.retry(Duration::from_millis(retry));
        }
        Ok(event.data(data))
    }))
}

fn axum_sse(workload: &Workload) -> Pass<'_> {
    let events = axum_events(workload);
    Box::new(|take| {
        crate::run(async {
            let body = Sse::new(events).into_response().into_body();
            decoders::drain(body.into_data_stream(), |bytes| take(&bytes.unwrap()));
        });
    })
}

fn axum_sse_alive(workload: &Workload) -> Pass<'_> {
    let events = axum_events(workload);
    Box::new(|take| {
        crate::run(async {
            let body = Sse::new(events).keep_alive(KeepAlive::default()).into_response().into_body();
            decoders::drain(body.into_data_stream(), |bytes| take(&bytes.unwrap()));
        });
    })
}
