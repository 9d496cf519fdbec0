//! A client's WebSocket over a connection of HTTP/2 that hyper keeps (RFC 8441).

use super::super::tokio::WebSocket;
use super::super::{Error, HandshakeError, Options, TimedOut, trace};
use super::{Socket, UpgradedStream, failed};
use crate::http1::head::FieldLines;
use crate::ws::handshake::{
    ClientError, ClientOptions, ConnectSetting, HandshakeResponse as Head, Uri, verify_http_connect,
};
use ::http::Response;
use ::hyper::body::{Body, Incoming};
use ::hyper::client::conn::http2::{self, SendRequest};
use ::hyper::ext::Protocol;
use core::future::poll_fn;
use core::pin::Pin;
use core::time::Duration;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a server may take to announce extended CONNECT, from the start of the connection on: 2 seconds. Its SETTINGS
/// are the first that it sends (RFC 9113 3.4).
///
/// Without it a server that does not announce it would not be told from one that has not sent its SETTINGS yet.
pub const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);

/// The most of a refusal's body that is kept: 4 KiB. Without it a server could fill the client's memory.
const MAX_BODY: usize = 4 * 1024;

/// A connection of HTTP/2, as a client, for any number of WebSockets at once (RFC 8441). A clone is another handle to the
/// same connection.
///
/// Over TLS, the stream has agreed on the ALPN protocol `h2`. The connection ends when the last handle and the last socket
/// are gone.
///
/// ```
/// use pushline::adapter::{Error, Options, hyper::Http2};
/// use pushline::ws::handshake::{ClientOptions, Uri};
///
/// # async fn talk(stream: tokio::net::TcpStream) -> Result<(), Error> {
/// let http2 = Http2::new(stream).await?;
/// let uri = Uri::parse("ws://server.example.com/chat")?;
/// let mut one = http2.connect(&uri, &ClientOptions::new(), &Options::new()).await?;
/// let mut other = http2.connect(&uri, &ClientOptions::new(), &Options::new()).await?;
/// one.send("Hello").await?;
/// other.send("Hello").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Http2 {
    sender: SendRequest<String>,
    /// `None` until the server has had the time to announce it.
    setting: watch::Receiver<Option<ConnectSetting>>,
}

impl Http2 {
    /// Starts HTTP/2 on a stream; a task of its own drives the connection.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the client's part of the start cannot be written.
    pub async fn new<S>(stream: S) -> Result<Self, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, mut connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
        let (announce, setting) = watch::channel(None);
        tokio::spawn(async move {
            // hyper tells what has arrived, but not when: it is asked again.
            let end = Instant::now() + SETTINGS_TIMEOUT;
            let mut pause = Duration::from_millis(1);
            while !connection.is_extended_connect_protocol_enabled() && Instant::now() < end {
                if timeout(pause, &mut connection).await.is_ok() {
                    return;
                }
                pause = (2 * pause).min(Duration::from_millis(50));
            }
            let enabled = connection.is_extended_connect_protocol_enabled();
            announce.send_replace(Some(if enabled {
                ConnectSetting::enabled()
            } else {
                ConnectSetting::new()
            }));
            // How it ends, each stream is told.
            let _ = connection.await;
        });
        Ok(Self { sender, setting })
    }

    /// For other requests on the same connection.
    #[must_use]
    pub fn sender(&self) -> SendRequest<String> {
        self.sender.clone()
    }

    /// Opens a WebSocket on a stream of the connection.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] with [`ClientError::ConnectNotEnabled`] if the server has not announced extended CONNECT
    /// within [`SETTINGS_TIMEOUT`]: nothing was sent then. [`Error::Handshake`] for a refusal, with its head and the start
    /// of its body; [`Error::TimedOut`]; [`Error::Io`] for what hyper reports, such as a stream that was reset.
    pub async fn connect(
        &self,
        uri: &Uri,
        client: &ClientOptions,
        options: &Options,
    ) -> Result<Socket, Error> {
        let deadline =
            crate::heartbeat::Instant::saturating_add(Instant::now(), options.handshake_timeout.get());
        let opened = timeout_at(deadline, Box::pin(self.open(uri, client, options)));
        let opened = opened.await.unwrap_or(Err(Error::TimedOut(TimedOut::Handshake)));
        if let Err(error) = &opened {
            trace::not_opened(uri.host(), error);
            if let Some(stats) = &options.stats {
                stats.count_failure();
            }
        }
        opened
    }

    async fn open(&self, uri: &Uri, client: &ClientOptions, options: &Options) -> Result<Socket, Error> {
        let (mut sender, mut setting) = (self.sender.clone(), self.setting.clone());
        // RFC 8441 3: not before the server has announced it. An error: the connection has ended.
        let announced = setting.wait_for(Option::is_some).await.map(|setting| *setting);
        sender.ready().await.map_err(failed)?;
        let refused = |error| HandshakeError { error, response: None, body: Vec::new() };
        let setting = announced.ok().flatten().unwrap_or_default();
        let mut request = client.http_connect_request(uri, setting).map_err(refused)?;
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let response = sender.send_request(request.map(|()| String::new())).await.map_err(failed)?;
        let negotiated = match verify_http_connect(client, &response) {
            Ok((negotiated, _)) => negotiated,
            // Dropping the response resets the stream (RFC 8441 5, RFC 9113 8.1).
            Err(error) => return Err(report(error, response).await.into()),
        };
        let stream = ::hyper::upgrade::on(response).await.map_err(failed)?;
        Ok(WebSocket::client(UpgradedStream::new(stream, true), negotiated, options))
    }
}

/// The refusal, with its head and the start of its body, as far as that comes within a second.
async fn report(error: ClientError, response: Response<Incoming>) -> HandshakeError {
    let (parts, mut body) = response.into_parts();
    let mut fields = FieldLines::new();
    for (name, value) in &parts.headers {
        // What was read may be written.
        let _ = fields.push(name.as_str(), value.as_bytes());
    }
    let mut kept = Vec::new();
    // The stream of a CONNECT that succeeded has no body.
    if !parts.status.is_success() {
        let reading = async {
            while kept.len() < MAX_BODY
                && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                if let Ok(data) = frame.into_data() {
                    kept.extend_from_slice(data.get(..MAX_BODY - kept.len()).unwrap_or(&data));
                }
            }
        };
        // What is missing then is missing.
        let _ = timeout(Duration::from_secs(1), reading).await;
    }
    let response = Some(Head { status: parts.status.as_u16(), fields, length: 0 });
    HandshakeError { error, response, body: kept }
}
