//! A WebSocket in two halves, for a task that reads and a task that writes.
//!
//! Each half owns its state machine and its half of the stream. Neither waits for the other: what the reader finds to be
//! owed it notes down, and the writer queues it.

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use super::super::owed::Owed;
use super::websocket::WebSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};

impl<S> WebSocket<S> {
    /// Splits into a reader and a writer, each with its half of the stream: for a TLS stream,
    /// `split_with(tokio::io::split)`.
    ///
    /// The writer pays what the reader owes (pongs, close frames, heartbeat pings) in
    /// [`Writer::drive`], and with every message sent: a task that writes selects between that and
    /// its own messages.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::tokio::WebSocket;
    /// use tokio::net::TcpStream;
    ///
    /// async fn chat(socket: WebSocket<TcpStream>, mut room: tokio::sync::mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (mut reader, mut writer) = socket.split();
    ///     let writing = tokio::spawn(async move {
    ///         loop {
    ///             tokio::select! {
    ///                 text = room.recv() => match text {
    ///                     Some(text) => writer.send(text).await?,
    ///                     None => return writer.close(1000, "").await,
    ///                 },
    ///                 done = writer.drive() => return done,
    ///             }
    ///         }
    ///     });
    ///     while let Some(message) = reader.next().await {
    ///         println!("{:?}", message?);
    ///     }
    ///     writing.await.expect("the task does not panic")
    /// }
    /// ```
    pub fn split_with<R, W>(self, split: impl FnOnce(S) -> (R, W)) -> (Reader<R>, Writer<W>) {
        let Self { driver, inbox, .. } = self;
        let (read, write) = split(driver.stream);
        let (receiver, sender) = driver.connection.split();
        let notes = Arc::new(Notes::default());
        let (closes, closing) = mpsc::channel(1);
        let writer = Writer {
            stream: write,
            sender,
            notes: Arc::clone(&notes),
            closes,
            close_timeout: driver.clock.close_timeout(),
            held: driver.held,
        };
        let reader = Reader {
            stream: read,
            receiver,
            inbox,
            clock: driver.clock,
            notes,
            closing,
            error: driver.error.or(driver.broken),
            over: false,
        };
        (reader, writer)
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a reader and a writer on different tasks; see [`split_with`](Self::split_with).
    #[must_use]
    pub fn split(self) -> (Reader<OwnedReadHalf>, Writer<OwnedWriteHalf>) {
        self.split_with(TcpStream::into_split)
    }
}

/// What the reader tells the writer. Locked for no longer than it takes to note a thing down.
#[derive(Debug, Default)]
struct Notes {
    owed: Mutex<Owed>,
    /// The reader was dropped.
    reader_gone: AtomicBool,
    changed: Notify,
}

impl Notes {
    /// Notes something down, and wakes the writer.
    fn note(&self, what: impl FnOnce(&mut Owed)) {
        what(&mut self.owed.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn take_owed(&self) -> Owed {
        core::mem::take(&mut self.owed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reader_leaves(&self) {
        self.reader_gone.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    fn is_reader_gone(&self) -> bool {
        self.reader_gone.load(Ordering::Acquire)
    }

    /// Waits for something new; returns at once if there was since the last call.
    async fn changed(&self) {
        self.changed.notified().await;
    }
}
