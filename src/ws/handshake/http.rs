//! The handshake over the types of the `http` crate, for hyper, axum and their like.

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Request, Response, StatusCode, Version};

use super::accepted::Accepted;
use super::client::ClientOptions;
use super::h2::accept_connect;
use super::h2_client::{ConnectSetting, verify_section};
use super::key::Key;
use super::rejection::{Refusal, Rejection};
use super::server::{ServerOptions, accept_at};
use super::verify::{ClientError, verify};
use super::{Negotiated, Uri};
use crate::http1::authority::Authority;
use crate::http1::head::HeadError;

/// Checks a request that an HTTP server has read. Answer with the response that an [`Accepted`] or a [`Rejection`]
/// converts into; the connection is upgraded by the HTTP server: see `adapter::tokio` for what becomes of it.
///
/// This is the handshake of HTTP/1.1. For HTTP/2 and HTTP/3 there is [`accept_http_connect`], since where `:protocol` is
/// kept is a matter of the HTTP library; `adapter::hyper::upgrade` knows. Here, such a request is refused: 405 unless it
/// is a CONNECT, 501 if it is. HTTP/1.0 is refused with 505.
///
/// # Errors
///
/// A [`Rejection`] with the status that RFC 6455 4.2 asks for.
///
/// ```
/// use pushline::ws::handshake::{ServerOptions, accept_http};
///
/// let request = http::Request::get("/chat")
///     .header("Host", "server.example.com")
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let options = ServerOptions::new();
/// let response = http::Response::from(&accept_http(&options, &request)?);
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn accept_http<'a, B>(
    options: &'a ServerOptions,
    request: &'a Request<B>,
) -> Result<Accepted<'a>, Rejection> {
    accept_parts(options, request.method(), request.uri(), request.version(), request.headers(), None)
}

/// As [`accept_http`], for HTTP/2 and HTTP/3 as well: `protocol` is the value of the pseudo-header field `:protocol`, which
/// HTTP libraries keep among the request's extensions (`hyper::ext::Protocol`, `h2::ext::Protocol`, `h3::ext::Protocol`).
///
/// # Errors
///
/// A [`Rejection`]: see [`accept_connect`].
///
/// ```
/// use pushline::ws::handshake::{ServerOptions, accept_http_connect};
///
/// let request = http::Request::connect("https://server.example.com/chat")
///     .version(http::Version::HTTP_2)
///     .header("sec-websocket-version", "13")
///     .body(())?;
/// let options = ServerOptions::new();
/// let response = http::Response::from(&accept_http_connect(&options, &request, Some("websocket"))?);
/// assert_eq!(response.status(), 200);
/// assert_eq!(accept_http_connect(&options, &request, None).unwrap_err().status(), 501);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn accept_http_connect<'a, B>(
    options: &'a ServerOptions,
    request: &'a Request<B>,
    protocol: Option<&'a str>,
) -> Result<Accepted<'a>, Rejection> {
    accept_parts(options, request.method(), request.uri(), request.version(), request.headers(), protocol)
}

/// As [`accept_http_connect`], for a request in parts.
pub(crate) fn accept_parts<'a>(
    options: &'a ServerOptions,
    method: &'a Method,
    uri: &'a ::http::Uri,
    version: Version,
    headers: &'a HeaderMap,
    protocol: Option<&'a str>,
) -> Result<Accepted<'a>, Rejection> {
    // RFC 6455 4.2.1 (1).
    if version >= Version::HTTP_2 {
        return accept_connect(options, section(method, uri, headers, protocol));
    }
    if version != Version::HTTP_11 {
        return Err(HeadError::UnsupportedHttpVersion.into());
    }
    // RFC 9112 3.2: only CONNECT has a target without a path, and only OPTIONS an asterisk.
    if !uri.path().starts_with('/') {
        return Err(if method == Method::GET {
            HeadError::BadTarget.into()
        } else {
            Refusal::MethodNotAllowed.into()
        });
    }
    // RFC 9112 3.2.2: the authority of an absolute target takes the place of Host, which must be valid all the same.
    let parse = |text: &'a str| Authority::parse(text.as_bytes()).ok_or(HeadError::BadHost);
    let authority = uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    if let (Some(_), Some(host)) = (authority, headers.get("host")) {
        parse(host.to_str().unwrap_or_default())?;
    }
    accept_at(options, method.as_str(), authority, pairs(headers))
}

/// The field section that a request was before it became one.
fn section<'a>(
    method: &'a Method,
    uri: &'a ::http::Uri,
    headers: &'a HeaderMap,
    protocol: Option<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    // A URI without an authority has no scheme either, whatever the request had.
    let scheme = uri.scheme_str().or_else(|| uri.authority().is_none().then_some("https"));
    let path = uri.path_and_query().map(|path| path.as_str());
    let authority = uri.authority().map(|authority| authority.as_str());
    let pseudo = [
        (":method", Some(method.as_str())),
        (":protocol", protocol),
        (":scheme", scheme),
        (":authority", authority),
        (":path", path),
    ];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
    pseudo.chain(pairs(headers))
}

/// Verifies a response that an HTTP client has read, against the key that was sent.
///
/// # Errors
///
/// [`ClientError`]; the connection must be closed then (RFC 6455 4.1).
///
/// ```
/// use pushline::ws::handshake::{ClientOptions, Uri, verify_http};
///
/// let options = ClientOptions::new();
/// let uri = Uri::parse("ws://server.example.com/chat")?;
/// let (request, key) = options.http_request(&uri, *b"the sample nonce"); // fresh and random for each connection
/// # let _ = request;
/// // The request was sent, and this came back.
/// let response = http::Response::builder()
///     .status(101)
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
///     .body(())?;
/// let (negotiated, subprotocol) = verify_http(&options, &key, &response)?;
/// assert_eq!(subprotocol, None);
/// # let _ = negotiated;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn verify_http<'a, B>(
    options: &ClientOptions,
    key: &Key,
    response: &'a Response<B>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    let verified = verify(options, key, response.status().as_u16(), pairs(response.headers()));
    // RFC 6455 4.1: what is not a 101 is reported as such.
    if response.status() == StatusCode::SWITCHING_PROTOCOLS && response.version() != Version::HTTP_11 {
        return Err(ClientError::BadHttpVersion);
    }
    verified
}

/// As [`verify_http`], for the response to an extended CONNECT: see [`verify_connect`](super::verify_connect).
///
/// # Errors
///
/// [`ClientError`]; the stream must be reset then.
///
/// ```
/// use pushline::ws::handshake::{ClientOptions, verify_http_connect};
///
/// let response = http::Response::new(()); // 200
/// let (negotiated, subprotocol) = verify_http_connect(&ClientOptions::new(), &response)?;
/// # let _ = (negotiated, subprotocol);
/// # Ok::<(), pushline::ws::handshake::ClientError>(())
/// ```
pub fn verify_http_connect<'a, B>(
    options: &ClientOptions,
    response: &'a Response<B>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    verify_section(options, response.status().as_u16(), pairs(response.headers()))
}

impl ClientOptions {
    /// The request that opens a WebSocket over HTTP/2 or HTTP/3. `:protocol`, which is `websocket`, is for the caller to
    /// add in the way of the HTTP library: for hyper, `hyper::ext::Protocol` among the extensions.
    ///
    /// # Errors
    ///
    /// [`ClientError::ConnectNotEnabled`]: see [`connect_fields`](Self::connect_fields).
    ///
    /// ```
    /// use pushline::ws::handshake::{ClientOptions, ConnectSetting, Uri};
    ///
    /// let uri = Uri::parse("wss://server.example.com/chat")?;
    /// let request = ClientOptions::new().http_connect_request(&uri, ConnectSetting::enabled())?;
    /// assert_eq!((request.method().as_str(), request.version()), ("CONNECT", http::Version::HTTP_2));
    /// assert_eq!(request.uri(), "https://server.example.com/chat");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn http_connect_request(
        &self,
        uri: &Uri,
        setting: ConnectSetting,
    ) -> Result<Request<()>, ClientError> {
        let fields = self.connect_fields(uri, setting)?;
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        let scheme = if uri.is_secure() { "https" } else { "http" };
        let target =
            ::http::Uri::builder().scheme(scheme).authority(uri.host_field()).path_and_query(uri.target());
        // What was let through by `Uri` is a URI for `http` too, up to its limit of 64 KiB.
        if let Ok(target) = target.build() {
            *request.uri_mut() = target;
        }
        let fields = fields.iter().filter(|(name, _)| !name.starts_with(':'));
        fill(request.headers_mut(), fields.map(|(name, value)| (name.as_str(), value.as_slice())));
        Ok(request)
    }

    /// The request for a new connection, and the key that [`verify_http`] needs. The nonce must be fresh and
    /// unforeseeable: see [`ClientHandshake::new`](super::ClientHandshake::new).
    ///
    /// ```
    /// use pushline::ws::handshake::{ClientOptions, Uri};
    ///
    /// let uri = Uri::parse("ws://server.example.com/chat")?;
    /// let (request, key) = ClientOptions::new().http_request(&uri, *b"the sample nonce");
    /// assert_eq!(request.uri(), "/chat");
    /// assert_eq!(request.headers()["sec-websocket-key"], key.as_str());
    /// # Ok::<(), pushline::ws::handshake::InvalidUri>(())
    /// ```
    #[must_use]
    pub fn http_request(&self, uri: &Uri, nonce: [u8; 16]) -> (Request<()>, Key) {
        let key = Key::from_nonce(nonce);
        let mut request = Request::new(());
        // A target that was let through by `Uri` is one for `http` too, up to its limit of 64 KiB.
        if let Ok(target) = uri.target().parse() {
            *request.uri_mut() = target;
        }
        fill(request.headers_mut(), self.request_fields(uri, &key).iter());
        (request, key)
    }
}

impl From<&Accepted<'_>> for Response<()> {
    fn from(accepted: &Accepted<'_>) -> Self {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(accepted.status()).unwrap_or_default();
        fill(response.headers_mut(), accepted.fields());
        response
    }
}

impl From<&Rejection> for Response<()> {
    fn from(rejection: &Rejection) -> Self {
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(rejection.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // The body, and with it its length, is the HTTP server's to write.
        let length = |name: &str| name == "Content-Length" && !rejection.body_bytes().is_empty();
        fill(response.headers_mut(), rejection.fields().filter(|(name, _)| !length(name)));
        response
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn fill<'a>(headers: &mut HeaderMap, fields: impl Iterator<Item = (&'a str, &'a [u8])>) {
    for (name, value) in fields {
        // What may be written may be held, but for names past the limit of 64 KiB.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Request<()> {
        let (mut request, _) = ClientOptions::new()
            .http_request(&Uri::parse("ws://server.example.com/chat").unwrap(), *b"the sample nonce");
        *request.uri_mut() = uri.parse().unwrap();
        request
    }

    fn status(request: &Request<()>) -> Result<(), u16> {
        accept_http(&ServerOptions::new(), request).map(|_| ()).map_err(|rejection| rejection.status())
    }

    #[test]
    fn both_roles_agree() {
        let uri = Uri::parse("ws://server.example.com/chat").unwrap();
        let client = ClientOptions::new().subprotocols(["a", "b"]).unwrap().field("X", "y").unwrap();
        let server = ServerOptions::new().subprotocols(["b"]).unwrap();
        let (request, key) = client.http_request(&uri, [7; 16]);
        let mut response = Response::from(&accept_http(&server, &request).unwrap());
        assert_eq!(
            verify_http(&client, &key, &response),
            Ok((Negotiated::default().with_subprotocol("b"), Some("b")))
        );
        *response.version_mut() = Version::HTTP_10;
        assert_eq!(verify_http(&client, &key, &response), Err(ClientError::BadHttpVersion));
        *response.status_mut() = StatusCode::FOUND;
        assert_eq!(verify_http(&client, &key, &response), Err(ClientError::UnexpectedStatus(302)));
    }

    #[test]
    fn what_the_fields_do_not_say() {
        assert_eq!(status(&request("/chat")), Ok(()));
        assert_eq!(status(&request("http://other.example/chat")), Ok(()));
        assert_eq!(status(&request("*")), Err(400));
        let mut old = request("/chat");
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(status(&old), Err(505));
        let mut evil = request("http://other.example/chat");
        evil.headers_mut().insert("origin", HeaderValue::from_static("https://server.example.com"));
        assert_eq!(status(&evil), Err(403));
        evil.headers_mut().insert("origin", HeaderValue::from_static("https://other.example"));
        assert_eq!(status(&evil), Ok(()));
        evil.headers_mut().insert("host", HeaderValue::from_static("a b"));
        assert_eq!(status(&evil), Err(400));
        let mut post = request("/chat");
        *post.method_mut() = ::http::Method::POST;
        let response = Response::from(&accept_http(&ServerOptions::new(), &post).unwrap_err());
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &HeaderValue::from_static("GET"))
        );
    }
}
