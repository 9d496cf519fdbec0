//! What hyper has upgraded, as a stream of tokio's: over HTTP/2 with a bound of what a write hands over.

use ::hyper::upgrade::Upgraded;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of a write to a stream of HTTP/2. hyper takes up to three writes ahead of the stream's window, whatever their
/// size, and keeps them until the stream ends, also when nobody writes to it any more. Without it, a peer that opens no
/// window has three of the largest messages held for each of its streams as long as it likes; with it, 204 KiB. A message of
/// 64 KiB goes with its header in one piece.
const MAX_WRITE: usize = 68 * 1024;

/// What a [`Socket`](super::Socket) reads and writes: what hyper has upgraded, a connection of HTTP/1.1 or a stream of HTTP/2.
///
/// ```
/// use pushline::adapter::hyper::{Socket, UpgradedStream};
/// use pushline::adapter::tokio::{OutboxOptions, QueuedSocket};
///
/// fn queued(socket: Socket) -> QueuedSocket<UpgradedStream> {
///     QueuedSocket::new(socket, OutboxOptions::new())
/// }
/// # let _ = queued;
/// ```
pub struct UpgradedStream {
    io: TokioIo<Upgraded>,
    max_write: usize,
}

impl UpgradedStream {
    pub(super) fn new(stream: Upgraded, is_http2: bool) -> Self {
        let max_write = if is_http2 { MAX_WRITE } else { usize::MAX };
        Self { io: TokioIo::new(stream), max_write }
    }

    /// What hyper has upgraded.
    #[must_use]
    pub fn into_inner(self) -> Upgraded {
        self.io.into_inner()
    }
}

impl AsyncRead for UpgradedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for UpgradedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bytes = bytes.get(..self.max_write).unwrap_or(bytes);
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.max_write == usize::MAX {
            return Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        }
        // Over HTTP/2 one piece is taken at a time anyway.
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_write(cx, first.map_or(&[], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl fmt::Debug for UpgradedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradedStream").field("max_write", &self.max_write).finish_non_exhaustive()
    }
}
