//! Each crate's way from reads to events.

use crate::pushline;
use crate::workloads::Workload;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Who is told type, last ID and data of each event.
pub type Tell<'a> = &'a mut dyn FnMut(&str, &str, &str);

/// A crate, and its pass over a workload, which tells type, last ID and data of each event.
pub struct Decoder {
    pub name: &'static str,
    pub run: fn(&Workload, Tell<'_>),
}

/// Ours first.
pub const ALL: [Decoder; 6] = [
    Decoder { name: "pushline core", run: pushline::decode },
    Decoder { name: "pushline .eventsource()", run: pushline::eventsource },
    Decoder { name: "sse-stream", run: sse_stream },
    Decoder { name: "sse-core", run: sse_core },
    Decoder { name: "eventsource-stream", run: eventsource_stream },
    Decoder { name: "sse-codec", run: sse_codec },
];

/// The reads as a stream that is always ready.
pub struct Reads<'w>(std::slice::Iter<'w, Bytes>);

impl<'w> Reads<'w> {
    pub fn of(workload: &'w Workload) -> Self {
        Self(workload.reads.iter())
    }
}

impl Stream for Reads<'_> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().cloned().map(Ok))
    }
}

/// Drains a stream that is never pending.
pub fn drain<S: Stream>(stream: S, mut each: impl FnMut(S::Item)) {
    let mut stream = pin!(stream);
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(item)) = stream.as_mut().poll_next(&mut context) {
        each(item);
    }
}

fn sse_stream(workload: &Workload, tell: Tell<'_>) {
    let stream = sse_stream::SseByteStream::new(Reads::of(workload));
    drain(stream, |event| {
        let event = event.unwrap();
        if let Some(data) = &event.data {
            let event_type = event.event.as_deref().unwrap_or("message");
            tell(event_type, event.id.as_deref().unwrap_or(""), data);
        }
    });
}

fn sse_core(workload: &Workload, tell: Tell<'_>) {
    let mut decoder = sse_core::SseDecoder::new();
    for read in &workload.reads {
        let mut input = &read[..];
        while let Some(event) = decoder.next(&mut input) {
            if let sse_core::SseEvent::Message(event) = event.unwrap() {
                tell(&event.event, event.last_event_id.as_deref().unwrap_or(""), &event.data);
            }
        }
    }
}

fn eventsource_stream(workload: &Workload, tell: Tell<'_>) {
    let stream = eventsource_stream::EventStream::new(Reads::of(workload));
    drain(stream, |event| {
        let event = event.unwrap();
        tell(&event.event, &event.id, &event.data);
    });
}

fn sse_codec(workload: &Workload, tell: Tell<'_>) {
    use futures_codec::Decoder;
    let mut codec = sse_codec::SSECodec::default();
    let mut buffer = BytesMut::new();
    for read in &workload.reads {
        buffer.extend_from_slice(read);
        while let Some(event) = codec.decode(&mut buffer).unwrap() {
            if let sse_codec::Event::Message { id, event, data } = event {
                tell(&event, id.as_deref().unwrap_or(""), &data);
            }
        }
    }
}
