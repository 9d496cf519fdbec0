//! The writing side of a connection over its stream, and its life: what a whole WebSocket and both halves of a split one
//! share. Reads nothing.

use super::super::end;
use super::super::stats::{Received, Tally};
use super::super::{Error, Options, trace};
use super::wait::{Wakers, Who};
use super::{io, scratch};
use crate::ws::{
    CloseCode, End, Handover, Life, Message, Outbound, ProtocolError, Reply, Sender, Side, State, Step,
    UsageError,
};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::boxed::Box;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// An error where results go from hand to hand: all of one would be moved each time, whether there is an error or not.
pub(super) type Boxed = Box<Error>;

/// Bytes that may stay in the queue behind a send: none.
pub(super) const NOW: usize = 0;

/// The same behind a `feed`: what costs more to keep than to write.
pub(super) const FED: usize = 16 * 1024;

/// The same behind one of several answers to one read.
pub(super) const CORKED: usize = usize::MAX;

/// A sender over its stream.
#[derive(Debug)]
pub(super) struct Outlet<W> {
    pub(super) stream: W,
    pub(super) sender: Sender,
    pub(super) life: Life<Instant>,
    pub(super) wakers: Wakers,
    pub(super) tally: Tally,
    /// The peer's close, which is answered with the next call that is no send.
    owed: Option<Option<CloseCode>>,
    /// How the transport has failed.
    failure: Option<std::io::Error>,
    /// The stream has taken bytes that it may not have passed on.
    unflushed: bool,
    /// How often all messages that were queued have left.
    completed: u32,
    /// The stream did not take all that was queued when it was last written.
    stalled: bool,
    /// Something that was queued will never be written.
    lost: bool,
    /// Something has changed that the other task may wait for.
    news: bool,
}

impl<W> Outlet<W> {
    /// `received` bytes came with the handshake, which is over `now`.
    #[inline]
    pub(super) fn new(stream: W, sender: Sender, received: usize, now: Instant, options: &Options) -> Self {
        let tally = Tally::new(options.stats.as_ref(), received);
        let life = Life::new(options.times, sender.role(), now);
        Self {
            stream,
            sender,
            life,
            wakers: Wakers::default(),
            tally,
            owed: None,
            failure: None,
            unflushed: false,
            completed: 0,
            stalled: false,
            lost: false,
            news: false,
        }
    }

    /// The same life over a half of the stream; the other half is handed out.
    pub(super) fn split<R, T>(self, split: impl FnOnce(W) -> (R, T)) -> (R, Outlet<T>) {
        let Self {
            stream,
            sender,
            life,
            wakers,
            tally,
            owed,
            failure,
            unflushed,
            completed,
            stalled,
            lost,
            news,
        } = self;
        let (read, stream) = split(stream);
        let outlet = Outlet {
            stream,
            sender,
            life,
            wakers,
            tally,
            owed,
            failure,
            unflushed,
            completed,
            stalled,
            lost,
            news,
        };
        (read, outlet)
    }

    /// Whether all that was queued has left.
    #[inline]
    pub(super) fn is_flushed(&self) -> bool {
        self.sender.queued() == 0 && !self.unflushed && !self.lost
    }

    /// How often all messages that were queued have left: one that was queued since it was the same is not written whole.
    pub(super) const fn completed(&self) -> u32 {
        self.completed
    }

    /// Whether a message may be queued now: there is room, and the transport takes what is written, or it is one of
    /// several answers to one read. One that cannot be sent at all is not to wait.
    #[inline(always)] // most often the queue is empty
    pub(super) fn is_ready(&self, message: &Outbound<'_>, linger: usize) -> bool {
        self.is_flushed()
            || !self.sender.state().may_send()
            || ((linger > NOW || !self.stalled) && self.sender.has_room(message))
    }

    /// Whether a sink may take a message of any size.
    pub(super) fn is_below_limit(&self) -> bool {
        !self.sender.is_full() || !self.sender.state().may_send()
    }

    /// As a sink: one message over the bound of the queue.
    pub(super) fn start_send(&mut self, message: Message) -> Result<(), Error> {
        if !self.sender.state().may_send() {
            return match message {
                // Of a stream that is forwarded: the peer's close was answered already.
                Message::Close(_) => Ok(()),
                // Also if the queue is full: waiting makes no room.
                _ => Err(self.refusal().unwrap_or(Error::Usage(UsageError::Closed))),
            };
        }
        scratch::lend_to_outgoing(self.sender.outgoing());
        let counts = u64::from(message.is_data());
        self.sender.send_over(message).map_err(|error| self.refusal().unwrap_or(Error::Usage(error)))?;
        self.tally.own.messages_sent += counts;
        Ok(())
    }

    /// What an event asks to be answered with.
    pub(super) fn reply(&mut self, reply: Reply<'_>) {
        scratch::lend_to_outgoing(self.sender.outgoing());
        self.life.found(&reply);
        if let Reply::Close(code) = reply
            && self.sender.state() == State::Open
        {
            trace::closed("peer", code);
        }
        self.sender.reply(reply);
        if matches!(reply, Reply::Close(_)) && self.life.is_eof_for_sender(&self.sender) {
            self.lost |= end::receive_eof(&mut self.sender);
        }
    }

    /// As [`reply`](Self::reply), later.
    pub(super) fn owe(&mut self, reply: Reply<'_>) {
        self.life.found(&reply);
        if let Reply::Close(code) = reply {
            self.owed = Some(code);
        }
    }

    /// Answers the peer's close if that is owed.
    #[inline]
    pub(super) fn pay(&mut self) {
        if let Some(code) = self.owed.take() {
            self.reply(Reply::Close(code));
        }
    }

    /// Where the closing handshake stands.
    pub(super) const fn state(&self) -> State {
        match self.sender.state() {
            State::Open if self.owed.is_some() => State::CloseReceived,
            state => state,
        }
    }

    /// The peer broke the protocol.
    #[cold]
    pub(super) fn fault(&mut self, error: ProtocolError) {
        self.sender.reply(Reply::Fail(error.close_code()));
        self.news = true;
        self.life.failed(error);
    }

    /// What a read has led to. Whether there was something.
    pub(super) fn read(&mut self, read: Poll<std::io::Result<usize>>) {
        match read {
            Poll::Pending => self.life.read_blocked(),
            Poll::Ready(Ok(0)) => self.eof(),
            // TLS that ends without saying so.
            Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => self.eof(),
            Poll::Ready(Ok(n)) => {
                self.tally.own.bytes_received += n as u64;
                self.life.received(n);
            }
            Poll::Ready(Err(error)) => {
                self.life.read_failed();
                self.news = true;
                self.failure.get_or_insert(error);
            }
        }
    }

    fn eof(&mut self) {
        self.life.eof();
        self.news = true;
        if self.life.is_eof_for_sender(&self.sender) {
            self.lost |= end::receive_eof(&mut self.sender);
        }
    }

    /// How it ended, as an error; the same each time.
    pub(super) fn error(&self, end: End) -> Option<Error> {
        end::error(end, self.failure.as_ref())
    }

    /// As [`error`](Self::error), for who writes.
    pub(super) fn error_of_writing(&self, end: End) -> Option<Error> {
        end::error_of_writing(end, self.failure.as_ref())
    }

    /// Why nothing is written any more, or what was is lost.
    #[inline]
    pub(super) fn broken(&self) -> Option<Error> {
        if self.failure.is_none() && !self.lost { None } else { self.refusal() }
    }

    /// Why a send fails although the connection is not closing.
    pub(super) fn refusal(&self) -> Option<Error> {
        end::refusal(&self.life, self.failure.as_ref(), self.lost)
    }
}

impl<W> Outlet<W> {
    /// Asks something of the transport, with a waker that wakes all who wait for this connection.
    #[inline]
    pub(super) fn with_waker<T>(
        &mut self,
        who: Who,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut Self, &mut Context<'_>) -> T,
    ) -> T {
        match self.wakers.for_transport(who, cx) {
            None => ask(self, cx),
            Some(waker) => ask(self, &mut Context::from_waker(&waker)),
        }
    }
}

impl<W: AsyncWrite + Unpin> Outlet<W> {
    /// Whether there is nothing to do but to read.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        let idle = self.sender.queued() == 0 && !self.unflushed && !self.news;
        idle && self.sender.state() == State::Open && self.life.is_calm()
    }

    /// Does all that is to be done, but for reading and waiting: what then?
    pub(super) fn run(&mut self, side: Side, who: Who, cx: &mut Context<'_>) -> Step<Instant> {
        let (state, queued) = (self.sender.state(), self.sender.queued());
        let step = loop {
            self.life.sync_with(&self.sender, usize::from(self.unflushed));
            match self.life.step(side) {
                Step::Write => self.write(who, cx),
                Step::Shutdown => self.shutdown(who, cx),
                Step::Ping => {
                    let pinged = self.sender.ping(&[]); // Closed: then nobody needs it
                    self.tally.own.pings_sent += u64::from(pinged.is_ok());
                    self.life.pinged();
                }
                Step::Clock => self.life.tick(side, Instant::now()),
                step => break step,
            }
        };
        if let Step::Over(end) = step {
            self.tally.end(end);
            if self.sender.state() == State::Open || self.sender.queued() > 0 {
                self.give_up();
            }
        }
        let news = core::mem::take(&mut self.news) || matches!(step, Step::Over(_));
        // Who sends may wait for room. Who reads waits for other times once the connection closes, and not before.
        let room = self.sender.queued() < queued && (who == Who::Reader || state != State::Open);
        if news || room || self.sender.state() != state {
            self.wakers.wake_other(who);
        }
        step
    }

    /// Sends a ping.
    pub(super) fn ping(
        &mut self,
        payload: &[u8],
        linger: usize,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Result<(), Boxed> {
        self.queue(|sender| sender.ping(payload), linger, who, cx)?;
        self.tally.own.pings_sent += 1;
        Ok(())
    }

    /// Before the reading side waits: what it has received is counted.
    #[inline]
    pub(super) fn count(&mut self, received: &mut Received) {
        self.tally.take(received);
        self.tally.publish();
    }

    /// Sends a message: writes it at once, or queues it if that leaves at most `linger` bytes in the queue. What the
    /// transport does not take is queued.
    #[inline]
    pub(super) fn send(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        compress: bool,
        linger: usize,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Result<(), Boxed> {
        let counts = u64::from(message.as_ref().is_some_and(Outbound::is_data));
        self.send_uncounted(message, compress, linger, who, cx)?;
        self.tally.own.messages_sent += counts;
        Ok(())
    }

    #[inline]
    fn send_uncounted(
        &mut self,
        message: &mut Option<Outbound<'_>>,
        compress: bool,
        linger: usize,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Result<(), Boxed> {
        if linger > NOW && message.as_ref().is_some_and(|message| message.payload_len() < linger) {
            return self.queue(|sender| sender.send_from(message, compress), linger, who, cx);
        }
        let waker = self.wakers.for_transport(who, cx);
        let mut for_transport = Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        let mut failure = None;
        let Self { stream, sender, life, tally, unflushed, .. } = self;
        let how = Handover::by_system_calls(stream.is_write_vectored(), scratch::sending);
        let queued = sender.hand_over(message, compress, how, |first, second| {
            *unflushed = true;
            match io::poll_write_pieces(stream, first, second, &mut for_transport) {
                Poll::Ready(Ok(n)) => {
                    tally.own.bytes_sent += n as u64;
                    life.written();
                    n
                }
                Poll::Ready(Err(error)) => {
                    failure = Some(error);
                    0
                }
                Poll::Pending => 0,
            }
        });
        if sender.queued() == 0
            && sender.state() == State::Open
            && matches!(Pin::new(stream).poll_flush(&mut for_transport), Poll::Ready(Ok(())))
        {
            *unflushed = false;
            self.completed = self.completed.wrapping_add(u32::from(!self.lost));
            self.stalled = false;
            if queued.is_ok() {
                return self.broken().map_or(Ok(()), |error| Err(error.into()));
            }
        }
        if let Some(error) = failure {
            self.lose(error);
        }
        self.sent(queued, NOW, who, cx)
    }

    /// Queues something, and writes what the transport takes at once if more than `linger` bytes are queued.
    pub(super) fn queue(
        &mut self,
        queue: impl FnOnce(&mut Sender) -> Result<(), UsageError>,
        linger: usize,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Result<(), Boxed> {
        scratch::lend_to_outgoing(self.sender.outgoing());
        let queued = queue(&mut self.sender);
        self.sent(queued, linger, who, cx)
    }

    #[inline]
    fn sent(
        &mut self,
        queued: Result<(), UsageError>,
        linger: usize,
        who: Who,
        cx: &mut Context<'_>,
    ) -> Result<(), Boxed> {
        if let Err(error) = queued {
            return Err(self.refusal().unwrap_or(Error::Usage(error)).into());
        }
        if linger == NOW || (self.sender.queued() > linger && !self.stalled) {
            let stalled = self.stalled;
            self.write(who, cx);
            if self.stalled && !stalled {
                // Since now the peer takes nothing: who waits has to know it, also if this one waits no longer.
                self.life.sync_with(&self.sender, usize::from(self.unflushed));
                self.life.tick(Side::Writing, Instant::now());
                self.wakers.wake_other(who);
            }
            scratch::take_from_outgoing(self.sender.outgoing());
        }
        if core::mem::take(&mut self.news) || self.sender.state() != State::Open {
            // Other times hold for a connection that closes.
            self.wakers.wake_other(who);
        }
        self.broken().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes until nothing is queued or the transport takes no more.
    pub(super) fn write(&mut self, who: Who, cx: &mut Context<'_>) {
        self.stalled = self.poll_write(who, cx).is_pending();
        if self.stalled {
            self.life.write_blocked();
        }
    }

    fn poll_write(&mut self, who: Who, cx: &mut Context<'_>) -> Poll<()> {
        self.with_waker(who, cx, |outlet, cx| {
            while outlet.sender.queued() > 0 {
                match ready!(io::poll_write(&mut outlet.stream, outlet.sender.outgoing(), cx)) {
                    Ok(n) => {
                        outlet.tally.own.bytes_sent += n as u64;
                        outlet.life.written();
                    }
                    Err(error) => outlet.lose(error),
                }
                outlet.unflushed = true;
                // A message is out also if a pong or the close frame behind it is not.
                if outlet.sender.queued() > 0
                    && outlet.sender.is_message_out()
                    && matches!(Pin::new(&mut outlet.stream).poll_flush(cx), Poll::Ready(Ok(())))
                {
                    outlet.completed = outlet.completed.wrapping_add(u32::from(!outlet.lost));
                }
            }
            if outlet.unflushed {
                match ready!(Pin::new(&mut outlet.stream).poll_flush(cx)) {
                    Ok(()) => {
                        outlet.unflushed = false;
                        // What is lost has left the queue, too.
                        outlet.completed = outlet.completed.wrapping_add(u32::from(!outlet.lost));
                    }
                    Err(error) => outlet.lose(error),
                }
            }
            Poll::Ready(())
        })
    }

    fn shutdown(&mut self, who: Who, cx: &mut Context<'_>) {
        match self.with_waker(who, cx, |outlet, cx| Pin::new(&mut outlet.stream).poll_shutdown(cx)) {
            // A direction that cannot be ended has ended, or the next read fails.
            Poll::Ready(_) => self.life.shut(),
            Poll::Pending => self.life.write_blocked(),
        }
    }

    /// The transport takes nothing more.
    #[cold]
    fn lose(&mut self, error: std::io::Error) {
        self.life.write_failed();
        self.news = true;
        self.failure.get_or_insert(error);
        self.give_up();
    }

    /// What is queued will never be written.
    fn give_up(&mut self) {
        self.lost |= self.unflushed || self.sender.queued() > 0;
        self.unflushed = false;
        self.sender.abort();
    }
}
