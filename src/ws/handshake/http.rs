//! The handshake over the types of the `http` crate, for hyper, axum and their like.

use ::http::header::{HeaderMap, HeaderName, HeaderValue};
use ::http::{Request, Response, StatusCode, Version};

use super::accepted::Accepted;
use super::client::ClientOptions;
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
/// This is the handshake of HTTP/1.1. That of HTTP/2 (RFC 8441) is another one, which browsers use only with servers that
/// announce it; a request of any other version is refused with 505.
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
    // RFC 6455 4.2.1 (1).
    if request.version() != Version::HTTP_11 {
        return Err(HeadError::UnsupportedHttpVersion.into());
    }
    let uri = request.uri();
    // RFC 9112 3.2: only CONNECT has a target without a path, and only OPTIONS an asterisk.
    if !uri.path().starts_with('/') {
        return Err(if request.method() == "GET" {
            HeadError::BadTarget.into()
        } else {
            Refusal::MethodNotAllowed.into()
        });
    }
    // RFC 9112 3.2.2: the authority of an absolute target takes the place of Host, which must be valid all the same.
    let parse = |text: &'a str| Authority::parse(text.as_bytes()).ok_or(HeadError::BadHost);
    let authority = uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    if let (Some(_), Some(host)) = (authority, request.headers().get("host")) {
        parse(host.to_str().unwrap_or_default())?;
    }
    accept_at(options, request.method().as_str(), authority, pairs(request.headers()))
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

impl ClientOptions {
    /// The request for a new connection, and the key that [`verify_http`] needs. The nonce must be fresh and
    /// unforeseeable: see [`Client::new`](super::Client::new).
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
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
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
