//! One WebSocket: frames in, messages out, in one task.

use super::state::{Shared, Waiting};
use crate::adapter::hyper::Upgrade;
use crate::comet::bayeux::{Host, Output};
use crate::ws::Message;
use ::tokio::time::timeout;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

pub(super) async fn serve<H: Host>(shared: Arc<Shared<H>>, upgrade: Upgrade) {
    // The client may be gone by then.
    let Ok(mut socket) = upgrade.await else { return };
    let waiting = Waiting::socket(&shared);
    let within = shared.options.write_timeout;
    // Who was woken to send need not look for a frame first; who has just sent does.
    let mut has_sent = false;
    loop {
        let received = {
            let mut message = pin!(socket.next());
            let mut ready = pin!(waiting.wait());
            poll_fn(|cx| {
                if !has_sent && ready.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                match message.as_mut().poll(cx) {
                    Poll::Ready(message) => Poll::Ready(Some(message)),
                    Poll::Pending if core::mem::take(&mut has_sent) => ready.as_mut().poll(cx).map(|()| None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await
        };
        has_sent = received.is_none();
        match received {
            Some(Some(Ok(Message::Text(text)))) => {
                // A refusal is a close frame, which is taken below.
                let _ = shared.with(|broker, now| broker.frame(waiting.link, &text, now));
            }
            Some(Some(Ok(Message::Binary(_)))) => {
                // RFC 6455 7.4.1: 1003, Bayeux is text.
                let _ = timeout(within, socket.close(1003, "")).await;
                return;
            }
            Some(Some(Ok(_))) | None => {}
            Some(Some(Err(_)) | None) => return,
        }
        loop {
            let outputs = waiting.take_two();
            let is_all = outputs[1].is_none();
            for output in outputs.into_iter().flatten() {
                let sent = match &output {
                    Output::Text(text) | Output::Answer(_, text) => {
                        soon(within, socket.send(text.as_str())).await
                    }
                    Output::Prepared(message) => soon(within, socket.send(message)).await,
                    Output::Close(code) => {
                        let _ = timeout(within, socket.close(*code, "")).await;
                        return;
                    }
                };
                if !matches!(sent, Some(Ok(()))) {
                    return;
                }
            }
            if is_all {
                break;
            }
        }
    }
}

/// Waits for it within this time. What is done at once, as nearly all is, needs no clock.
async fn soon<T>(within: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => timeout(within, work).await.ok(),
    }
}
