//! One request for an event stream, up to the end of the response's head; the body of a refusal.

use super::Error;
use crate::adapter::sse::Failed;
use crate::sse::{Method, RefusedResponse, RefusedResponseReader, SourceResponse, SourceResponseReader};
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

/// A response, its body still to be read.
#[derive(Debug)]
pub(super) struct EventResponse<S> {
    pub(super) stream: S,
    pub(super) answer: SourceResponse,
    /// What was read behind the head.
    pub(super) received: Vec<u8>,
}

/// An attempt under way. It lives in the client, not in the future of a call.
pub(super) type Attempt<S> = Pin<Box<dyn Future<Output = Result<EventResponse<S>, Failed>> + Send>>;

/// Connects, sends the request and reads the head of the response.
pub(super) async fn attempt<S>(
    connecting: super::Connecting<S>,
    request: Vec<u8>,
    method: Method,
    connect_timeout: Duration,
    response_timeout: Duration,
) -> Result<EventResponse<S>, Failed>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connected = timeout(connect_timeout, connecting).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Failed::Connect(error.into())),
        Err(_) => return Err(Failed::Connect(Error::TimedOut)),
    };
    let mut exchange =
        Exchange { stream, request, written: 0, broken: None, reader: SourceResponseReader::new(method) };
    match timeout(response_timeout, poll_fn(|cx| exchange.poll(cx))).await {
        Ok(Ok(answer)) => {
            let received = exchange.reader.received().to_vec();
            Ok(EventResponse { stream: exchange.stream, answer, received })
        }
        Ok(Err(error)) => Err(Failed::Request(error)),
        Err(_) => Err(Failed::Request(Error::TimedOut)),
    }
}

struct Exchange<S> {
    stream: S,
    request: Vec<u8>,
    /// How much of it; one more when it is flushed.
    written: usize,
    /// Writing failed: there may be an answer nevertheless.
    broken: Option<std::io::Error>,
    reader: SourceResponseReader,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    /// Writes and reads: a server may answer before it has read all (RFC 9112 9.5), and not read any more.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<SourceResponse, Error>> {
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            self.broken = Some(error);
        }
        let mut bytes = [0; 2048];
        loop {
            if let Some(answer) = self.reader.next()? {
                return Poll::Ready(Ok(answer));
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            match (read, buffer.filled()) {
                (Ok(()), []) | (Err(_), _) if self.broken.is_some() => {
                    return Poll::Ready(Err(self.broken.take().map_or(Error::Aborted, Error::Io)));
                }
                (Ok(()), []) => return Poll::Ready(Err(Error::Aborted)),
                (Ok(()), bytes) => self.reader.receive(bytes),
                (Err(error), _) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while let Some(rest) = self.request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        if self.written == self.request.len() {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.written += 1;
        }
        Poll::Ready(Ok(()))
    }
}

/// A refusal on its way.
pub(super) type Refusing = Pin<Box<dyn Future<Output = RefusedResponse> + Send>>;

/// Reads the body of a refusal: what comes of it, in time and within the limit.
pub(super) async fn refusal<S>(response: EventResponse<S>, max: usize, time: Duration) -> RefusedResponse
where
    S: AsyncRead + Unpin,
{
    let EventResponse { mut stream, answer, received } = response;
    let mut reader = RefusedResponseReader::new(&answer, max);
    reader.receive(&received);
    // How it failed is of no account: the refusal is what is told.
    let _ = timeout(time, async {
        let mut bytes = Vec::with_capacity(2048);
        while !reader.is_finished() {
            bytes.clear();
            match stream.read_buf(&mut bytes).await {
                Ok(n) if n > 0 => reader.receive(&bytes),
                _ => reader.receive_eof(),
            }
        }
    })
    .await;
    reader.finish()
}
