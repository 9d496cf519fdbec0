//! A stream and what it keeps: whoever is given the stream keeps both.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{IoSlice, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and something that is there for as long as the stream is: an [`Admitted`](crate::adapter::Admitted), a permit of
/// a semaphore.
///
/// Behind hyper and axum, the future of a connection is over when the connection is upgraded, and the WebSocket goes on without
/// it: what that future holds would count no WebSocket. The stream goes with the WebSocket.
///
/// ```
/// use pushline::adapter::Admission;
/// use pushline::adapter::tokio::Guarded;
/// use tokio::net::{TcpListener, TcpStream};
///
/// /// The next who is let in; dropped, others are closed.
/// async fn next(listener: &TcpListener, admission: &Admission) -> std::io::Result<Guarded<TcpStream>> {
///     loop {
///         let (stream, peer) = listener.accept().await?;
///         if let Some(admitted) = admission.enter(peer.ip()) {
///             return Ok(Guarded::new(stream, admitted)); // for a TLS acceptor, hyper, `accept`
///         }
///     }
/// }
/// ```
pub struct Guarded<S, G = crate::adapter::Admitted> {
    // Dropped in this order: it is gone before the next is let in.
    stream: S,
    guard: G,
}

impl<S, G> Guarded<S, G> {
    /// This stream, which keeps `guard`.
    pub const fn new(stream: S, guard: G) -> Self {
        Self { stream, guard }
    }

    /// The stream.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// What it keeps.
    pub const fn guard(&self) -> &G {
        &self.guard
    }
}

/// What it keeps is never pinned.
impl<S: Unpin, G> Unpin for Guarded<S, G> {}

impl<S: AsyncRead + Unpin, G> AsyncRead for Guarded<S, G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin, G> AsyncWrite for Guarded<S, G> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: fmt::Debug, G> fmt::Debug for Guarded<S, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("stream", &self.stream).finish_non_exhaustive()
    }
}
