//! One WebSocket: frames in, messages out, in one task.

use super::state::{Shared, Waiting};
use crate::adapter::hyper::Upgrade;
use crate::comet::bayeux::{Host, Output};
use crate::ws::Message;
use ::tokio::time::timeout;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::sync::Arc;

pub(super) async fn serve<H: Host>(shared: Arc<Shared<H>>, upgrade: Upgrade) {
    // The client may be gone by then.
    let Ok(mut socket) = upgrade.await else { return };
    let waiting = Waiting::socket(&shared);
    let within = shared.options.write_timeout;
    loop {
        let received = {
            let mut message = pin!(socket.next());
            let mut ready = pin!(waiting.wait());
            poll_fn(|cx| match message.as_mut().poll(cx) {
                Poll::Ready(message) => Poll::Ready(Some(message)),
                Poll::Pending => ready.as_mut().poll(cx).map(|()| None),
            })
            .await
        };
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
        while let Some(output) = waiting.take() {
            let sent = match &output {
                Output::Text(text) | Output::Answer(_, text) => {
                    timeout(within, socket.send(text.as_str())).await
                }
                Output::Prepared(message) => timeout(within, socket.send(message)).await,
                Output::Close(code) => {
                    let _ = timeout(within, socket.close(*code, "")).await;
                    return;
                }
            };
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}
