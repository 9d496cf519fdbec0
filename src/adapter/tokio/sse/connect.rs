//! How an event source gets its connections.

use super::super::ClientStream;
use super::super::dial::dial;
use super::Url;
use crate::adapter::route::Route;
use core::pin::Pin;
use std::boxed::Box;
use std::string::String;

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
pub(super) fn connector(route: Route) -> impl FnMut(&Url) -> Connecting<ClientStream> + Send {
    move |url| {
        let (route, secure, (host, port)) = (route.clone(), url.is_secure(), url.address());
        let host = String::from(host);
        Box::pin(async move { dial(&route, secure, (&host, port)).await })
    }
}
