//! A WebSocket of a session: one task that reads and writes.

use super::engine::{Layer, Link};
use crate::adapter::Error;
use crate::adapter::hyper::Socket;
use crate::socketio::engine::{Data, EngineFrame, EngineMessage, EnginePacket, SocketId};
use crate::ws::{self, Outbound};
use bytes::Bytes;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use futures_sink::Sink;
use std::sync::Arc;
use tokio::time::Instant;

/// Messages that are taken in before what they are answered with is written, if they came together.
const BATCH: usize = 32;

/// Bytes that are gathered for one write.
const WRITE: usize = 16 * 1024;

/// Serves the socket until it, or its session, has ended. What waits holds all this once: it is there as long as the
/// client is.
pub(super) fn run<L: Layer>(
    link: Arc<Link<L>>,
    id: SocketId,
    socket: Socket,
) -> impl Future<Output = ()> + Send + 'static {
    let mut task = Task { link, id, socket, sending: None };
    async move {
        let close = poll_fn(|cx| task.poll(cx)).await;
        // What the session has to say about its end, once it is over.
        task.link.act(|inner, now, _| inner.session.socket_closed(task.id, now));
        if close {
            let _ = task.socket.close(1000, "").await; // it has failed: it is closed
        }
    }
}

struct Task<L: Layer> {
    link: Arc<Link<L>>,
    id: SocketId,
    socket: Socket,
    /// What the socket has not taken yet.
    sending: Option<EngineMessage>,
}

impl<L: Layer> Task<L> {
    /// Ready at the end: whether the socket is to be closed, or is closed already.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if let Some(close) = ready!(self.poll_write(cx)) {
                return Poll::Ready(close);
            }
            let mut now = None;
            for _ in 0..BATCH {
                let Poll::Ready(event) = pin!(self.socket.next_event()).poll(cx) else { break };
                let now = *now.get_or_insert_with(Instant::now);
                let packet = match event {
                    Some(Ok(ws::Event::Text(text))) => EnginePacket::parse(text),
                    Some(Ok(ws::Event::Binary(bytes))) => {
                        Ok(EnginePacket::Message(Data::Binary(Bytes::copy_from_slice(bytes))))
                    }
                    Some(Ok(_)) => continue,
                    None | Some(Err(_)) => return Poll::Ready(false),
                };
                self.link.frame(self.id, packet, now);
                if !self.socket.is_corked() {
                    break;
                }
            }
            match now {
                Some(now) => self.link.settle(now),
                None => return Poll::Pending,
            }
        }
    }

    /// Hands all that there is to be sent to the socket, and waits if that takes no more. `Some` at the end.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Option<bool>> {
        let (waker, Self { link, id, socket, sending }) = (cx.waker(), self);
        loop {
            // What a slow client is still to get waits in the session, which counts it, and not in the socket.
            let mut written = if socket.queued() >= WRITE {
                Pin::new(&mut *socket).poll_flush(cx)
            } else {
                Poll::Ready(Ok(()))
            };
            if let (Poll::Ready(Ok(())), Some(message)) = (&written, &*sending) {
                written = cork(socket, message, cx);
            }
            let mut is_all = false;
            if matches!(written, Poll::Ready(Ok(()))) {
                *sending = None;
                let next = link.frames(*id, waker, |message| {
                    written = cork(socket, &message, cx);
                    let is_corked = matches!(written, Poll::Ready(Ok(())));
                    *sending = Some(message).filter(|_| !is_corked);
                    is_corked && socket.queued() < WRITE
                });
                let Some(all) = next else { return Poll::Ready(Some(true)) };
                is_all = all;
            }
            // What is less leaves when the socket is asked for what comes next.
            if matches!(written, Poll::Ready(Ok(()))) && socket.queued() >= WRITE {
                written = Pin::new(&mut *socket).poll_flush(cx);
            }
            match written {
                Poll::Ready(Ok(())) if is_all => return Poll::Ready(None),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Some(false)),
                Poll::Pending if link.is_patient(*id, waker) => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Some(false)),
            }
        }
    }
}

/// Queues a message in the socket.
fn cork(socket: &mut Socket, message: &EngineMessage, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
    let mut outbound = Some(match message.frame() {
        EngineFrame::Text(text) => Outbound::from(text),
        EngineFrame::Binary(bytes) => Outbound::from(ws::Message::Binary(bytes.clone())),
        EngineFrame::Shared(prepared) => Outbound::from(prepared),
    });
    socket.poll_cork(&mut outbound, cx)
}
