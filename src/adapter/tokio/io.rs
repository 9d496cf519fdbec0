//! Moving bytes: a queue to a stream, a stream to an inbox.
#![allow(clippy::indexing_slicing, reason = "up to what a read has filled, which `ReadBuf` checks")]

use crate::inbox::Inbox;
use crate::outgoing::Outgoing;
use bytes::Buf;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The most pieces handed to one vectored write.
const PIECES: usize = 32;

/// Writes once.
pub(super) fn poll_write<W: AsyncWrite + Unpin>(
    stream: &mut W,
    outgoing: &mut Outgoing,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let chunk = outgoing.chunk();
    let written = if chunk.len() == outgoing.len() || !stream.is_write_vectored() {
        Pin::new(stream).poll_write(cx, chunk)
    } else {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = outgoing.chunks_vectored(&mut pieces);
        Pin::new(stream).poll_write_vectored(cx, &pieces[..count])
    };
    let n = ready!(written)?;
    if n == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    outgoing.advance(n);
    Poll::Ready(Ok(n))
}

/// Writes the two pieces once; how much was taken. The second may be empty, and is if the stream is not vectored.
#[inline]
pub(super) fn poll_write_pieces<W: AsyncWrite + Unpin>(
    stream: &mut W,
    first: &[u8],
    second: &[u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let written = if second.is_empty() {
        Pin::new(stream).poll_write(cx, first)
    } else {
        Pin::new(stream).poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)])
    };
    match ready!(written) {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(written),
    }
}

/// Reads once, into memory that need not have a value; 0 at the end of the stream.
pub(super) fn poll_read<R: AsyncRead + Unpin>(
    stream: &mut R,
    inbox: &mut Inbox,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut space = inbox.spare();
    // The future has no state of its own: dropped after one poll, it has read or not.
    ready!(pin!(stream.read_buf(&mut space)).poll(cx))?;
    Poll::Ready(Ok(inbox.appended()))
}

/// What one poll has read.
#[derive(Debug)]
pub(super) struct Reads {
    /// Whether anything was asked of the stream.
    pub(super) begun: bool,
    /// How often.
    pub(super) count: usize,
    /// Whether the stream may have more at hand.
    pub(super) more: bool,
    /// How the stream has ended behind bytes that are to be looked at first.
    pub(super) end: Option<io::Result<usize>>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { begun: false, count: 0, more: true, end: None }
    }
}

impl Reads {
    /// Of one poll at most: then other tasks have their turn.
    pub(super) const MOST: usize = 64;

    /// Reads, and goes on while what comes is too little to be worth a look.
    #[inline]
    pub(super) fn poll<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        inbox: &mut Inbox,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let worth = inbox.worth_a_look();
        self.more = true;
        let read = poll_read(&mut Several { stream, worth, reads: self }, inbox, cx);
        self.more &= matches!(read, Poll::Ready(Ok(1..))) && self.end.is_none();
        read
    }
}

/// A stream whose reads are several of the one below, as long as there is too little to be worth a look.
struct Several<'a, R> {
    stream: &'a mut R,
    worth: usize,
    reads: &'a mut Reads,
}

impl<R: AsyncRead + Unpin> AsyncRead for Several<'_, R> {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, worth, reads } = self.get_mut();
        let before = buffer.filled().len();
        loop {
            let received = buffer.filled().len() - before;
            let read = Pin::new(&mut **stream).poll_read(cx, buffer);
            reads.count += usize::from(read.is_ready());
            let more = buffer.filled().len() - before > received;
            match read {
                Poll::Ready(Ok(())) if more => {}
                read if received == 0 => return read,
                Poll::Ready(end) => reads.end = Some(end.map(|()| 0)),
                Poll::Pending => {
                    reads.more = false; // which the next read says again
                    break;
                }
            }
            if buffer.filled().len() - before >= *worth
                || reads.end.is_some()
                || reads.count >= Reads::MOST
                || buffer.remaining() == 0
            {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads once and drops what it gets: closing with bytes unread would make the operating system reset the connection,
/// and the peer lose our last ones.
#[inline(never)] // its memory is not to be on the stack of who reads
pub(super) fn poll_drop<R: AsyncRead + Unpin>(
    stream: &mut R,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut bytes = [const { MaybeUninit::uninit() }; 16 * 1024];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
