//! A WebSocket of a session: one task that reads, writes, and waits for either.

use super::engine::{Layer, Link, Wake};
use crate::adapter::Error;
use crate::adapter::hyper::Socket;
use crate::socketio::engine::{Data, Frame, Message, Outgoing, Packet};
use crate::ws;
use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::Poll;
use futures_core::Stream;
use std::sync::Arc;
use tokio::sync::Notify;

/// Serves the socket until it, or its session, has ended.
pub(super) async fn run<L: Layer>(link: Arc<Link<L>>, (id, wake): Wake, mut socket: Socket) {
    loop {
        while let Some(out) = link.peek(|inner| inner.session.next_frame(id)) {
            let Outgoing::Message(message) = out else {
                // What the session has to say about its end, once it is over.
                link.act(|inner, now, _| inner.session.socket_closed(id, now));
                return drop(socket.close(1000, "").await);
            };
            if !send(&link, &wake, &mut socket, &message).await {
                return link.act(|inner, now, _| inner.session.socket_closed(id, now));
            }
        }
        match either(&mut socket, &wake).await {
            None => {}
            Some(Some(Ok(ws::Message::Text(text)))) => {
                link.receive(|session, now| session.frame(id, Packet::parse(&text), now));
            }
            Some(Some(Ok(ws::Message::Binary(bytes)))) => {
                link.receive(|session, now| session.frame(id, Ok(Packet::Message(Data::Binary(bytes))), now));
            }
            Some(Some(Ok(_))) => {}
            Some(None | Some(Err(_))) => {
                return link.act(|inner, now, _| inner.session.socket_closed(id, now));
            }
        }
        // A socket whose probe has failed has no session.
        if link.peek(|inner| !inner.session.has_socket(id)) {
            return drop(socket.close(1000, "").await);
        }
    }
}

/// A message, or (`None`) something to send.
async fn either(socket: &mut Socket, wake: &Notify) -> Option<Option<Result<ws::Message, Error>>> {
    let mut woken = pin!(wake.notified());
    poll_fn(|cx| {
        if let Poll::Ready(message) = Pin::new(&mut *socket).poll_next(cx) {
            return Poll::Ready(Some(message));
        }
        woken.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Whether it was sent. A client that does not read is waited for until its session is closed.
async fn send<L: Layer>(link: &Link<L>, wake: &Notify, socket: &mut Socket, message: &Message) -> bool {
    let mut sending = pin!(async {
        match message.frame() {
            Frame::Text(text) => socket.send(text).await,
            Frame::Binary(bytes) => socket.send(ws::Message::Binary(bytes.clone())).await,
            Frame::Shared(prepared) => socket.send(prepared).await,
        }
    });
    loop {
        let mut woken = pin!(wake.notified());
        let sent = poll_fn(|cx| {
            if let Poll::Ready(sent) = sending.as_mut().poll(cx) {
                return Poll::Ready(Some(sent.is_ok()));
            }
            woken.as_mut().poll(cx).map(|()| None)
        });
        match sent.await {
            Some(sent) => return sent,
            None if link.peek(|inner| inner.session.closed().is_some()) => return false,
            None => {}
        }
    }
}
