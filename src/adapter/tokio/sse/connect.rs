//! How an event source gets its connections.

use super::Url;
use core::pin::Pin;
use std::boxed::Box;
use std::string::String;
use tokio::net::TcpStream;

/// A connection on its way: what a connector gives. An error of [`Unsupported`](std::io::ErrorKind::Unsupported) says that
/// there is no way to such a URL, and is the end; after any other it is tried again.
///
/// ```no_run
/// use pushline::adapter::tokio::sse::{Connecting, EventSource, SourceOptions, Url};
/// use tokio::net::UnixStream;
///
/// let connector = |_: &Url| -> Connecting<UnixStream> { Box::pin(UnixStream::connect("/run/feed.sock")) };
/// let source = EventSource::with_connector("http://feed/".parse()?, SourceOptions::new(), connector);
/// # Ok::<(), pushline::adapter::tokio::sse::InvalidUrl>(())
/// ```
pub type Connecting<S> = Pin<Box<dyn Future<Output = std::io::Result<S>> + Send>>;

/// What gives an event source a connection to a URL.
pub(super) type Connector<S> = Box<dyn FnMut(&Url) -> Connecting<S> + Send>;

/// The connector of [`EventSource::new`](super::EventSource::new).
pub(super) fn connect_tcp(url: &Url) -> Connecting<TcpStream> {
    let secure = url.is_secure();
    let (host, port) = url.address();
    let host = String::from(host);
    Box::pin(async move {
        if secure {
            return Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                "an https URL needs a connector: see `EventSource::with_connector`",
            ));
        }
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}
