//! A WebSocket in two halves, for a thread that reads and threads that write.
//!
//! The reader owns its state machine and its handle of the stream. The sending half is shared by all writers, under a
//! lock that is held while one of them writes. The reader never waits for that lock: what it finds to be owed it notes
//! down, the latest ping only, and if nobody is writing just then it writes that itself; otherwise whoever is writing
//! does so before going.

mod reader;
mod shared;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

use super::timed::Timed;
use super::transport::Transport;
use super::websocket::WebSocket;
use crate::adapter::Error;
use shared::Shared;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;

impl<S: Transport> WebSocket<S> {
    /// Splits into a reader and a writer, after writing what is queued. `clone` gives a second handle of the same stream, as
    /// [`TcpStream::try_clone`] does; a stream that has none (most TLS streams) cannot be read and written by two
    /// threads at once.
    ///
    /// The stream has to be one that waits: over a non-blocking one the halves fail.
    ///
    /// The halves do not wait for each other: pings are answered, and the heartbeat and the close deadline kept, by
    /// whichever is free to do so, as long as the reader's [`next`](Reader::next) is being called.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] of `clone`, and as [`flush`](Self::flush). The connection is lost then.
    pub fn split_with(
        mut self,
        clone: impl FnOnce(&S) -> io::Result<S>,
    ) -> Result<(Reader<S>, Writer<S>), Error> {
        self.flush()?;
        let Self { driver, inbox, .. } = self;
        let write = Timed::new(clone(driver.stream.get_ref())?);
        let (receiver, sender) = driver.connection.split();
        let shared = Arc::new(Shared::new(write, sender, driver.times));
        let writer = Writer::new(Arc::clone(&shared));
        let reader = Reader::new(driver.stream, receiver, inbox, driver.times, shared, driver.over);
        Ok((reader, writer))
    }
}

impl WebSocket<TcpStream> {
    /// Splits into a reader and a writer on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    ///
    /// ```
    /// use pushline::adapter::Error;
    /// use pushline::adapter::blocking::WebSocket;
    /// use std::net::TcpStream;
    /// use std::sync::mpsc;
    /// use std::thread;
    ///
    /// fn chat(socket: WebSocket<TcpStream>, room: mpsc::Receiver<String>) -> Result<(), Error> {
    ///     let (mut reader, writer) = socket.split()?;
    ///     let writing = thread::spawn(move || {
    ///         for text in room {
    ///             writer.send(text)?;
    ///         }
    ///         writer.close(1000, "")
    ///     });
    ///     while let Some(message) = reader.next()? {
    ///         println!("{message:?}");
    ///     }
    ///     writing.join().expect("the thread does not panic")
    /// }
    /// ```
    pub fn split(self) -> Result<(Reader<TcpStream>, Writer<TcpStream>), Error> {
        self.split_with(TcpStream::try_clone)
    }
}

#[cfg(unix)]
impl WebSocket<UnixStream> {
    /// Splits into a reader and a writer on different threads; see [`split_with`](Self::split_with).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the operating system has no second handle to give.
    pub fn split(self) -> Result<(Reader<UnixStream>, Writer<UnixStream>), Error> {
        self.split_with(UnixStream::try_clone)
    }
}
