//! The reading half.

use super::super::clock::{Clock, Tick};
use super::super::{io, scratch};
use super::Notes;
use crate::adapter::Error;
use crate::adapter::owed::Owed;
#[cfg(doc)]
use crate::adapter::tokio::WebSocket;
use crate::inbox::Inbox;
use crate::ws::{Event, Found, Message, Receiver, Reply};
use bytes::BytesMut;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::Stream;
use std::sync::Arc;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

/// The reading half of a split [`WebSocket`].
///
/// ```
/// use pushline::adapter::Error;
/// use pushline::adapter::tokio::Reader;
/// use tokio::sync::mpsc;
///
/// /// Hands every text on, waiting while nobody takes it: the peer is slowed down by that.
/// async fn listen<R>(mut reader: Reader<R>, texts: mpsc::Sender<String>) -> Result<(), Error>
/// where
///     R: tokio::io::AsyncRead + Unpin,
/// {
///     while let Some(message) = reader.next().await {
///         if let Some(text) = message?.as_text() {
///             let _ = texts.send(text.to_owned()).await;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Reader<R> {
    pub(super) stream: R,
    pub(super) receiver: Receiver,
    pub(super) inbox: Inbox<BytesMut>,
    pub(super) clock: Clock,
    pub(super) notes: Arc<Notes>,
    /// The writer has sent a close frame.
    pub(super) closing: mpsc::Receiver<()>,
    /// What is to be reported at the end.
    pub(super) error: Option<Error>,
    /// The transport is done with.
    pub(super) over: bool,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next message; see [`WebSocket::next`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`].
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_message(cx)).await
    }

    /// The next event, lent; see [`WebSocket::next_event`]. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::next`]. A text message that is not UTF-8 is reported at once; the call after
    /// that drops what the peer still sends.
    pub async fn next_event(&mut self) -> Option<Result<Event<'_>, Error>> {
        let found = match poll_fn(|cx| self.poll_found(true, cx)).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let event = self.receiver.event(found, &self.inbox);
        match &event {
            Ok(event) => owe(&self.notes, event.reply()),
            Err(error) => owe(&self.notes, Some(Reply::Fail(error.close_code()))),
        }
        Some(event.map_err(Error::Protocol))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        Poll::Ready(match ready!(self.poll_found(false, cx)) {
            None => None,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(found)) => match self.receiver.owned(found, &mut self.inbox) {
                Ok(message) => {
                    owe(&self.notes, message.reply());
                    Some(Ok(message))
                }
                Err(error) => {
                    owe(&self.notes, Some(Reply::Fail(error.close_code())));
                    self.error = Some(error.into());
                    return self.poll_end(cx).map(|error| error.map(Err));
                }
            },
        })
    }

    fn poll_found(&mut self, parts: bool, cx: &mut Context<'_>) -> Poll<Option<Result<Found, Error>>> {
        loop {
            if self.over {
                return Poll::Ready(self.error.take().map(Err));
            }
            if self.receiver.is_ended() {
                return self.poll_end(cx).map(|error| error.map(Err));
            }
            match self.receiver.find(&mut self.inbox, parts) {
                Ok(Some(found)) => return Poll::Ready(Some(Ok(found))),
                Ok(None) => {}
                Err(error) => {
                    owe(&self.notes, Some(Reply::Fail(error.close_code())));
                    self.error = Some(error.into());
                    continue;
                }
            }
            if let Poll::Ready(Some(())) = self.closing.poll_recv(cx) {
                self.clock.start_closing();
            }
            match self.clock.poll(cx) {
                Poll::Ready(Tick::Ping) => {
                    self.notes.note(Owed::add_ping);
                    continue;
                }
                Poll::Ready(Tick::TimedOut(what)) => {
                    self.end(Some(Error::TimedOut(what)));
                    continue;
                }
                Poll::Pending => {}
            }
            scratch::lend_to_inbox(&mut self.inbox);
            match io::poll_read(&mut self.stream, &mut self.inbox, cx) {
                Poll::Pending => {
                    scratch::take_from_inbox(&mut self.inbox);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(1..)) => self.clock.touch(),
                Poll::Ready(Ok(0)) => self.end(Some(Error::Aborted)),
                Poll::Ready(Err(error)) => self.end(Some(error.into())),
            }
        }
    }

    /// After the peer's close or fault: drops what it still sends, within the close timeout.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Error>> {
        self.clock.start_closing();
        if io::poll_drain(&mut self.stream, cx).is_pending() {
            ready!(self.clock.poll(cx));
        }
        self.end(None);
        Poll::Ready(self.error.take())
    }

    fn end(&mut self, error: Option<Error>) {
        self.over = true;
        self.error = self.error.take().or(error);
        self.notes.note(Owed::add_eof);
    }
}

impl<R: AsyncRead + Unpin> Stream for Reader<R> {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_message(cx)
    }
}

impl<R> Drop for Reader<R> {
    fn drop(&mut self) {
        self.notes.reader_leaves();
    }
}

fn owe(notes: &Notes, reply: Option<Reply<'_>>) {
    if let Some(reply) = reply {
        notes.note(|owed| owed.add(reply));
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("receiver", &self.receiver).finish_non_exhaustive()
    }
}
