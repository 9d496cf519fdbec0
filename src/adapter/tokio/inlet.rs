//! The reading side of a connection: what a whole WebSocket and the reading half of a split one share.

use super::super::ahead::{self, Ahead};
use super::super::stats::Received;
use super::super::{Error, trace};
use super::io::{self, Reads};
use super::outlet::Outlet;
use super::scratch::{self, Lent};
use super::wait::{Timer, Who};
use crate::inbox::Inbox;
use crate::ws::{Event, Found, Message, ProtocolError, Receiver, Reply, Side, Step, Wanted, Whole};
use core::future::poll_fn;
use core::ops::DerefMut;
use core::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// How the reading side reaches its stream and the writing side: both in one struct, or shared with another task.
pub(super) trait Ends {
    type Read: AsyncRead + Unpin;
    type Write: AsyncWrite + Unpin;

    /// Asks the stream for bytes.
    fn read<T>(
        &mut self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut Self::Read, &mut Context<'_>) -> T,
    ) -> T;

    /// The writing side.
    fn outlet(&mut self) -> impl DerefMut<Target = Outlet<Self::Write>>;

    /// The peer's close is given out, and to be answered.
    fn reply_to_close(&mut self, reply: Reply<'_>);
}

/// A stream that is read and written in one place.
impl<S: AsyncRead + AsyncWrite + Unpin> Ends for Outlet<S> {
    type Read = S;
    type Write = S;

    #[inline]
    fn read<T>(&mut self, cx: &mut Context<'_>, read: impl FnOnce(&mut S, &mut Context<'_>) -> T) -> T {
        self.with_waker(Who::Reader, cx, |outlet, cx| read(&mut outlet.stream, cx))
    }

    #[inline]
    fn outlet(&mut self) -> impl DerefMut<Target = Self> {
        self
    }

    /// With the next call that is no send: a sink in front of this one, such as that of `futures`, may hold a message
    /// that it accepted before.
    fn reply_to_close(&mut self, reply: Reply<'_>) {
        self.owe(reply);
    }
}

/// A receiver with its inbox.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) receiver: Receiver,
    inbox: Lent,
    /// What was read while a send waited.
    ahead: Ahead,
    reading: Reading,
}

/// How far reading has come; all but the inbox, so that an event lent from that does not stop the rest.
#[derive(Debug, Default)]
struct Reading {
    timer: Timer,
    received: Received,
    /// A pong is queued: it is written before the next ping takes its place.
    pong_first: bool,
    /// The end was reported.
    over: bool,
}

/// What waiting has led to.
enum Progress {
    /// Bytes, or the peer's end: look.
    Received,
    Over(Option<Error>),
}

impl Inlet {
    pub(super) fn new(receiver: Receiver, inbox: Lent) -> Self {
        Self { receiver, inbox, ahead: Ahead::default(), reading: Reading::default() }
    }

    /// Whether more messages of the same read are at hand: what is sent now leaves with the answers to them.
    #[inline]
    pub(super) fn is_corked(&self) -> bool {
        self.inbox.held().is_some_and(|inbox| self.receiver.has_frame(inbox))
    }

    /// The next message.
    #[inline]
    pub(super) fn poll_message<E: Ends>(
        &mut self,
        ends: &mut E,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if let Some(message) = self.ahead.take() {
            answer_close(&message, ends);
            return Poll::Ready(Some(Ok(message)));
        }
        let mut reads = Reads::default();
        loop {
            let inbox = self.inbox.get();
            match self.receiver.take_whole(inbox, reads.more) {
                Whole::There(Ok(message)) => {
                    self.reading.received.count_message();
                    return Poll::Ready(Some(Ok(message)));
                }
                // The text was not UTF-8: the close frame is written, then the error reported.
                Whole::There(Err(error)) => ends.outlet().fault(error),
                Whole::ToCome => {}
                Whole::Other => {
                    if let Some(message) = self.message_of_several(ends, cx) {
                        return Poll::Ready(Some(Ok(message)));
                    }
                }
            }
            if let Progress::Over(error) = ready!(self.reading.poll(&mut self.inbox, ends, &mut reads, cx)) {
                return Poll::Ready(error.map(Err));
            }
        }
    }

    /// The next message of what is at hand, if it is not one frame that is all there.
    #[inline(always)]
    fn message_of_several<E: Ends>(&mut self, ends: &mut E, cx: &mut Context<'_>) -> Option<Message> {
        if self.receiver.is_ended() {
            return None;
        }
        let found = self.receiver.go_on(self.inbox.get(), Wanted::Owned);
        let found = self.found(found, ends, cx)?;
        match self.receiver.owned(found, self.inbox.get()) {
            Ok(message) => {
                self.reading.received.count(&message);
                self.reading.answer(message.reply(), ends);
                Some(message)
            }
            Err(error) => {
                ends.outlet().fault(error);
                None
            }
        }
    }

    /// The next event, lent.
    pub(super) async fn next_event<E: Ends>(&mut self, ends: &mut E) -> Option<Result<Event<'_>, Error>> {
        if self.ahead.lend() {
            let message = self.ahead.lent()?;
            answer_close(message, ends);
            return Some(Ok(message.as_event()));
        }
        let found = match poll_fn(|cx| self.poll_found(ends, cx)).await? {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let Self { receiver, inbox, reading, .. } = self;
        let error = match receiver.event(found, inbox.get()) {
            Ok(event) => {
                reading.received.count_event(&event);
                reading.answer(event.reply(), ends);
                return Some(Ok(event));
            }
            Err(error) => error,
        };
        // The text was not UTF-8: the close frame is written, then the error reported.
        ends.outlet().fault(error);
        loop {
            // Nothing is kept of what still comes.
            let progress =
                poll_fn(|cx| reading.poll(&mut Lent::new(1), ends, &mut Reads::default(), cx)).await;
            if let Progress::Over(error) = progress {
                return error.map(Err);
            }
        }
    }

    /// Drops what comes until the end of the connection, which this waits for.
    pub(super) fn poll_end<E: Ends>(
        &mut self,
        ends: &mut E,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        while let Some(message) = self.ahead.take() {
            answer_close(&message, ends);
        }
        loop {
            let found = match ready!(self.poll_found(ends, cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(found)) => found,
            };
            match self.receiver.event(found, self.inbox.get()) {
                Ok(event) => {
                    self.reading.received.count_event(&event);
                    self.reading.answer(event.reply(), ends);
                }
                Err(error) => ends.outlet().fault(error),
            }
        }
    }

    /// For whoever waits for this connection, with a waker for all.
    pub(super) const fn timer(&mut self) -> &mut Timer {
        &mut self.reading.timer
    }

    /// What was received and not yet counted in the outlet.
    pub(super) const fn received(&self) -> &Received {
        &self.reading.received
    }

    /// The next event: from what is at hand, or after writing, waiting and reading.
    #[inline]
    fn poll_found<E: Ends>(
        &mut self,
        ends: &mut E,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Found, Error>>> {
        let mut reads = Reads::default();
        loop {
            if !self.receiver.is_ended() {
                let found = self.receiver.find_before(self.inbox.get(), reads.more);
                if let Some(found) = self.found(found, ends, cx) {
                    return Poll::Ready(Some(Ok(found)));
                }
            }
            if let Progress::Over(error) = ready!(self.reading.poll(&mut self.inbox, ends, &mut reads, cx)) {
                return Poll::Ready(error.map(Err));
            }
        }
    }

    /// What was found of what is at hand, before it is taken.
    #[inline]
    fn found<E: Ends>(
        &mut self,
        found: Result<Option<Found>, ProtocolError>,
        ends: &mut E,
        cx: &mut Context<'_>,
    ) -> Option<Found> {
        match found {
            Ok(Some(found)) => {
                if self.reading.pong_first && found.is_ping() {
                    self.reading.pong_first = false;
                    ends.outlet().write(Who::Reader, cx);
                }
                Some(found)
            }
            Ok(None) => None,
            Err(error) => {
                ends.outlet().fault(error);
                None
            }
        }
    }

    /// Whether a send that waits may read more.
    pub(super) fn has_room_ahead(&self) -> bool {
        self.ahead.size() + self.inbox.held().map_or(0, Inbox::held) < ahead::limit(&self.receiver)
    }

    /// Reads once while a send waits. Pings are answered; messages, and a close frame, are kept for later.
    pub(super) fn poll_read_ahead<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        outlet: &mut Outlet<S>,
        cx: &mut Context<'_>,
    ) {
        // A close frame may be among what is at hand: known before the end of the stream is.
        self.put_aside(outlet);
        let inbox = self.inbox.get();
        let read =
            outlet.with_waker(Who::Writer, cx, |outlet, cx| io::poll_read(&mut outlet.stream, inbox, cx));
        if read.is_pending() {
            self.inbox.give_back();
        }
        outlet.read(read);
        self.put_aside(outlet);
    }

    fn put_aside<S>(&mut self, outlet: &mut Outlet<S>) {
        loop {
            match ahead::next(&mut self.receiver, self.inbox.get()) {
                Ok(Some(message)) => {
                    self.reading.received.count(&message);
                    match message.reply() {
                        // 5.5.1: what was sent before the close came still goes out; it is answered once it is seen.
                        Some(reply @ Reply::Close(_)) => outlet.life.found(&reply),
                        Some(reply) => outlet.reply(reply),
                        None => {}
                    }
                    self.ahead.push(message);
                }
                Ok(None) => return,
                Err(error) => outlet.fault(error),
            }
        }
    }
}

fn answer_close<E: Ends>(message: &Message, ends: &mut E) {
    if let Some(reply @ Reply::Close(_)) = message.reply() {
        ends.reply_to_close(reply);
    }
}

impl Reading {
    /// An event is given out: queues what it asks to be answered with.
    #[inline]
    fn answer<E: Ends>(&mut self, reply: Option<Reply<'_>>, ends: &mut E) {
        if let Some(reply) = reply {
            self.pong_first |= matches!(reply, Reply::Pong(_));
            match reply {
                Reply::Close(_) => ends.reply_to_close(reply),
                _ => ends.outlet().reply(reply),
            }
        }
    }

    /// Writes what is queued, waits, reads.
    fn poll<E: Ends>(
        &mut self,
        inbox: &mut Lent,
        ends: &mut E,
        reads: &mut Reads,
        cx: &mut Context<'_>,
    ) -> Poll<Progress> {
        if self.over {
            return Poll::Ready(Progress::Over(None));
        }
        self.pong_first = false;
        if let Some(end) = reads.end.take() {
            ends.outlet().read(Poll::Ready(end));
        }
        if !core::mem::replace(&mut reads.begun, true) {
            let mut outlet = ends.outlet();
            outlet.pay();
            outlet.life.ready();
        }
        while reads.count < Reads::MOST {
            let mut outlet = ends.outlet();
            let step = if outlet.is_calm() { Step::Read } else { outlet.run(Side::Reading, Who::Reader, cx) };
            match step {
                Step::Read => {
                    drop(outlet);
                    let seen = !reads.more;
                    let read = ends.read(cx, |stream, cx| reads.poll(stream, inbox.get(), cx));
                    let received = read.is_ready();
                    // What has come of a message is looked at before it is waited for the rest, and before the end of it counts.
                    let look = !seen && inbox.held().is_some_and(|inbox| !inbox.unread().is_empty());
                    match read {
                        Poll::Ready(end @ (Ok(0) | Err(_))) if look => reads.end = Some(end),
                        read => ends.outlet().read(read),
                    }
                    if received || look {
                        return Poll::Ready(Progress::Received);
                    }
                }
                Step::Drain => {
                    drop(outlet);
                    let read = ends.read(cx, io::poll_drop);
                    reads.count += 1;
                    ends.outlet().read(read);
                }
                Step::Wait(deadline) => ready!(self.poll_wait(inbox, &mut outlet, deadline, cx)),
                Step::Over(end) => {
                    self.over = true;
                    outlet.count(&mut self.received);
                    let error = outlet.error(end);
                    error.iter().for_each(trace::failed);
                    return Poll::Ready(Progress::Over(error));
                }
                // `run` does the others.
                _ => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until the time has come; meanwhile the transport may become ready.
    #[inline(never)] // what it needs in registers, those who receive a message need not
    fn poll_wait<W: AsyncWrite + Unpin>(
        &mut self,
        inbox: &mut Lent,
        outlet: &mut Outlet<W>,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        outlet.count(&mut self.received);
        scratch::take_from_outgoing(outlet.sender.outgoing());
        inbox.give_back();
        ready!(outlet.wakers.poll_timer(&mut self.timer, deadline, Who::Reader, cx));
        outlet.life.tick(Side::Reading, Instant::now());
        Poll::Ready(())
    }
}
