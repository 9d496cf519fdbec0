//! The server's side: what it accepts, and a request checked rule by rule (RFC 6455 4.2.1).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::take;

use super::accepted::Accepted;
use super::extension::Supported;
use super::fields::{ListError, check_own_field, check_subprotocols, extensions, subprotocols};
use super::key::{Hash, Key};
use super::origin::OriginPolicy;
use super::rejection::{Refusal, Rejection};
use super::{Negotiated, Once};
use crate::http1::authority::Authority;
use crate::http1::head::{FieldLines, HeadError, HeadLimits, HeadReader, InvalidField, RequestHead, Version};
use crate::http1::syntax::{contains_token, is_name, trim};
#[cfg(feature = "deflate")]
use crate::ws::deflate::DeflateOptions;

/// The order of preference among subprotocols that both sides know.
///
/// ```
/// use pushline::ws::handshake::{Preference, ServerOptions};
///
/// // The client's favourite, of those that the server speaks.
/// let options = ServerOptions::new().subprotocols(["v1", "v2"])?.preference(Preference::Client);
/// # let _ = options;
/// # Ok::<(), pushline::ws::handshake::ListError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preference {
    /// The first of the server's list that the client offers.
    #[default]
    Server,
    /// The first of the client's offer that the server has.
    Client,
}

/// The handshake options of a server: what it accepts, the same for all its connections.
///
/// ```
/// use pushline::ws::handshake::{OriginPolicy, ServerOptions};
///
/// let options = ServerOptions::new()
///     .subprotocols(["superchat", "chat"])?
///     .origin(OriginPolicy::list(["https://app.example"]))
///     .field("Server", "chat")?;
/// # let _ = options;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ServerOptions(
    /// Apart, and only if anything was chosen: a task that makes its own keeps room for them as long as it lives.
    Option<Box<Choice>>,
);

#[derive(Clone, Debug)]
pub(super) struct Choice {
    subprotocols: Vec<String>,
    preference: Preference,
    origin: OriginPolicy,
    hosts: Vec<String>,
    extensions: Supported,
    pub(super) fields: FieldLines,
    pub(super) limits: HeadLimits,
}

static DEFAULT: Choice = Choice::new();

impl Choice {
    const fn new() -> Self {
        Self {
            subprotocols: Vec::new(),
            preference: Preference::Server,
            origin: OriginPolicy::same_host(),
            hosts: Vec::new(),
            extensions: Supported::new(),
            fields: FieldLines::new(),
            limits: HeadLimits::new(),
        }
    }
}

impl ServerOptions {
    /// No subprotocols, pages of the [same host](OriginPolicy::same_host), no extensions, heads of at most 16 KiB.
    pub const fn new() -> Self {
        Self(None)
    }

    pub(super) fn choice(&self) -> &Choice {
        self.0.as_deref().unwrap_or(&DEFAULT)
    }

    fn choose(&mut self) -> &mut Choice {
        self.0.get_or_insert_with(|| Box::new(Choice::new()))
    }

    /// The subprotocols that the server speaks, the best first. Default: none.
    ///
    /// # Errors
    ///
    /// [`ListError`] for a name that is not a token, a name given twice, or too many.
    pub fn subprotocols<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, ListError> {
        self.choose().subprotocols = check_subprotocols(names)?;
        Ok(self)
    }

    /// Whose order of subprotocols decides. Default: the server's.
    pub fn preference(mut self, preference: Preference) -> Self {
        self.choose().preference = preference;
        self
    }

    /// Which pages may connect. Default: those of the [same host](OriginPolicy::same_host); without a policy, any page
    /// could use the service in the name of its visitors.
    pub fn origin(mut self, policy: OriginPolicy) -> Self {
        self.choose().origin = policy;
        self
    }

    /// The names by which the server is reached, with or without a port; without one, any port will do. Default: any
    /// name. A request for another host is refused with 421.
    ///
    /// This is against DNS rebinding. A page of `evil.example` cannot connect to `localhost:8080`: the Origin tells. But who
    /// owns the name `evil.example` can have it point to 127.0.0.1 once the page is loaded; then the browser connects to
    /// the server with both Host and Origin saying `evil.example`, and the [same-host](OriginPolicy::same_host) policy finds
    /// them alike. Only the server knows that this is not its name. So name the hosts of any server that browsers
    /// can reach and that trusts them for where they are: on `localhost`, in a home or company network. A policy that
    /// [lists](OriginPolicy::list) the origins keeps such pages out by itself.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`] for anything but `host [":" port]`; IPv6 addresses stand in brackets.
    ///
    /// ```
    /// use pushline::ws::handshake::{Refusal, ServerOptions, accept};
    ///
    /// let options = ServerOptions::new().hosts(["localhost", "127.0.0.1", "[::1]"])?;
    /// let refused = accept(&options, "GET", [
    ///     ("Host", &b"evil.example:8080"[..]),
    ///     ("Origin", b"http://evil.example:8080"),
    ///     ("Upgrade", b"websocket"),
    ///     ("Connection", b"Upgrade"),
    ///     ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ///     ("Sec-WebSocket-Version", b"13"),
    /// ]);
    /// assert_eq!(refused.unwrap_err().refusal(), Refusal::HostNotAllowed);
    /// # Ok::<(), pushline::ws::handshake::InvalidHost>(())
    /// ```
    pub fn hosts<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Result<Self, InvalidHost> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if !names.iter().all(|name| Authority::parse(name.as_bytes()).is_some()) {
            return Err(InvalidHost);
        }
        self.choose().hosts = names;
        Ok(self)
    }

    /// A field to be added to each 101.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] if it is malformed or the handshake's own.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidField> {
        check_own_field(name)?;
        self.choose().fields.push(name, value)?;
        Ok(self)
    }

    /// Whether and how to accept permessage-deflate. Default: not at all.
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, options: DeflateOptions) -> Self {
        self.choose().extensions.deflate = Some(options);
        self
    }

    /// How large a request's head may be: for [`reader`](Self::reader). Default: 16 KiB, 8 KiB a line,
    /// 64 fields. An [`Opening`](super::Opening), and so the adapters, take at most
    /// [`MAX_HANDSHAKE_FIELDS`](super::MAX_HANDSHAKE_FIELDS).
    pub fn limits(mut self, limits: HeadLimits) -> Self {
        self.choose().limits = limits;
        self
    }

    /// A reader for the request's head, with these [`limits`](Self::limits).
    #[must_use]
    pub fn reader(&self) -> HeadReader {
        HeadReader::new(self.choice().limits)
    }
}

/// A name in [`ServerOptions::hosts`] is no host.
///
/// ```
/// use pushline::ws::handshake::{InvalidHost, ServerOptions};
///
/// assert_eq!(ServerOptions::new().hosts(["https://example.com"]).err(), Some(InvalidHost));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidHost;

impl core::fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a name is not host [\":\" port]")
    }
}

impl core::error::Error for InvalidHost {}

/// Checks a request whose head an HTTP server has already parsed: its method and its fields, as (name, value) pairs.
///
/// That server has to have made sure of what the fields do not say: the version is HTTP/1.1, the target is a path or an
/// absolute URL. [`accept_request`] does so for heads that this crate has read.
///
/// # Errors
///
/// A [`Rejection`] with the status that RFC 6455 4.2 asks for.
///
/// ```
/// use pushline::ws::handshake::{ServerOptions, accept};
///
/// let options = ServerOptions::new();
/// let accepted = accept(&options, "GET", [
///     ("host", &b"server.example.com"[..]),
///     ("upgrade", b"websocket"),
///     ("connection", b"keep-alive, Upgrade"),
///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-version", b"13"),
/// ])?;
/// assert_eq!(accepted.accept_key().unwrap().as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
///
/// let refused = accept(&options, "POST", []).unwrap_err();
/// assert_eq!(refused.status(), 405);
/// # Ok::<(), pushline::ws::handshake::Rejection>(())
/// ```
pub fn accept<'a>(
    options: &'a ServerOptions,
    method: &str,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accepted<'a>, Rejection> {
    evaluate(options, method, None, fields)
}

/// Checks a request whose head was read by a [`HeadReader`]: see the [module's example](super).
///
/// # Errors
///
/// A [`Rejection`] with the status that RFC 6455 4.2 asks for.
///
/// ```
/// use pushline::http1::head::Slots;
/// use pushline::ws::handshake::{Rejection, ServerOptions, accept_request};
///
/// let received = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let (options, mut slots) = (ServerOptions::new(), Slots::new());
/// let head = options.reader().read_request(received, &mut slots)?.expect("the head is complete");
/// let accepted = accept_request(&options, &head)?;
/// assert!(accepted.to_bytes().starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
/// # Ok::<(), Rejection>(())
/// ```
pub fn accept_request<'a>(
    options: &'a ServerOptions,
    head: &RequestHead<'_, 'a>,
) -> Result<Accepted<'a>, Rejection> {
    // RFC 6455 4.2.1 (1): at least HTTP/1.1.
    if head.version() < Version::Http11 {
        return Err(HeadError::UnsupportedHttpVersion.into());
    }
    evaluate(options, head.method(), head.authority(), head.fields())
}

/// As [`accept`], for a target in absolute form: its authority takes the place of Host (RFC 9112 3.2.2).
#[cfg(feature = "http")]
pub(super) fn accept_at<'a>(
    options: &'a ServerOptions,
    method: &str,
    authority: Option<Authority<'a>>,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accepted<'a>, Rejection> {
    evaluate(options, method, authority, fields)
}

/// What browsers offer as extensions, those on Chromium first: lists without a fault, which need not be looked for in each
/// request.
const BROWSERS: [&[u8]; 2] = [b"permessage-deflate; client_max_window_bits", b"permessage-deflate"];

/// What the fields of a request say, gathered in one pass.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    pub(super) host: Once<'a>,
    origin: Once<'a>,
    pub(super) version: Once<'a>,
    key: Once<'a>,
    upgrade: bool,
    connection: bool,
    body: bool,
    /// There is a Content-Length, be it 0.
    pub(super) has_length: bool,
    subprotocols: Vec<&'a str>,
    bad_subprotocols: Option<ListError>,
    extension: Option<(Negotiated, String)>,
    bad_extensions: Option<ListError>,
}

impl<'a> Gathered<'a> {
    /// Reads the fields, once.
    pub(super) fn gather(
        &mut self,
        options: &ServerOptions,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) {
        for (name, value) in fields {
            let is = |known| is_name(name, known);
            match name.len() {
                4 if is("Host") => self.host.set(value),
                6 if is("Origin") => self.origin.set(value),
                // RFC 6455 4.2.1 (3), (4): both are lists, on one line or several.
                7 if is("Upgrade") => self.upgrade |= contains_token(value, "websocket"),
                10 if is("Connection") => self.connection |= contains_token(value, "Upgrade"),
                14 if is("Content-Length") => {
                    self.has_length = true;
                    self.body |= trim(value) != b"0";
                }
                17 if is("Transfer-Encoding") => self.body = true,
                17 if is("Sec-WebSocket-Key") => self.key.set(value),
                21 if is("Sec-WebSocket-Version") => self.version.set(value),
                22 if is("Sec-WebSocket-Protocol") => {
                    let read = subprotocols(value, &mut self.subprotocols);
                    self.bad_subprotocols = self.bad_subprotocols.or(read.err());
                }
                24 if is("Sec-WebSocket-Extensions") => self.read_extensions(options, value),
                _ => {}
            }
        }
    }

    /// The rules that hold over every version of HTTP, and what is chosen.
    #[inline(always)] // the answer is made in its place
    pub(super) fn accept(
        &mut self,
        options: &'a ServerOptions,
        authority: Authority<'a>,
        hash: Option<Hash>,
    ) -> Result<Accepted<'a>, Rejection> {
        // RFC 6455 4.2.2, 10.2.
        let origin = self.origin.get(Refusal::DuplicateOrigin)?;
        if !options.choice().origin.allows(origin, Some(authority)) {
            return Err(Refusal::OriginNotAllowed.into());
        }
        // RFC 6455 4.1 (10), 9.1.
        if let Some(error) = self.bad_subprotocols {
            return Err(Refusal::BadSubprotocols(error).into());
        }
        if let Some(error) = self.bad_extensions {
            return Err(Refusal::BadExtensions(error).into());
        }
        let (negotiated, extension) = self.extension.take().unzip();
        Ok(Accepted {
            accept_key: hash.map(Hash::accept_key),
            subprotocol: options.choose_subprotocol(&self.subprotocols),
            offered: take(&mut self.subprotocols),
            negotiated: negotiated.unwrap_or_default(),
            extension,
            options,
            added: FieldLines::new(),
        })
    }

    /// RFC 6455 9.1: several lines are one list, and a malformed one fails the handshake. An offer that is merely not
    /// acceptable is passed over.
    fn read_extensions(&mut self, options: &ServerOptions, value: &'a [u8]) {
        let fault = if BROWSERS.contains(&value) { None } else { extensions(value).find_map(Result::err) };
        if fault.is_some() {
            self.bad_extensions = self.bad_extensions.or(fault);
        } else if self.extension.is_none() {
            self.extension = options.choice().extensions.choose(extensions(value));
        }
    }
}

/// The rules, in the order in which they are reported. `authority` is whom the request is for, if that is known.
fn evaluate<'a>(
    options: &'a ServerOptions,
    method: &str,
    authority: Option<Authority<'a>>,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Accepted<'a>, Rejection> {
    // RFC 6455 4.2.1 (1).
    if method != "GET" {
        return Err(Refusal::MethodNotAllowed.into());
    }
    let mut request = Gathered::default();
    request.gather(options, fields);
    // What takes longest is begun first: a processor checks the rules meanwhile.
    let hash = request.key.value.and_then(Key::parse).map(Key::hash);
    // RFC 6455 4.2.1 (2), RFC 9112 3.2.
    let host = request.host.get(HeadError::DuplicateHost)?;
    let host = host.ok_or(HeadError::MissingHost)?;
    let authority = match authority {
        Some(authority) => authority,
        None => Authority::parse(host).ok_or(HeadError::BadHost)?,
    };
    // RFC 9110 15.5.20.
    if !options.is_host(authority) {
        return Err(Refusal::HostNotAllowed.into());
    }
    // RFC 9112 6.3: a body would lie where the first frame is expected.
    if request.body {
        return Err(Refusal::BodyAnnounced.into());
    }
    // RFC 6455 4.2.1 (3), (4).
    if !request.upgrade {
        return Err(Refusal::NotWebSocket.into());
    }
    if !request.connection {
        return Err(Refusal::NotUpgrade.into());
    }
    // RFC 6455 4.2.1 (6), 4.4: one version, and it is 13.
    let version = request.version.get(Refusal::BadWebSocketVersion)?;
    match version.ok_or(Refusal::UnsupportedWebSocketVersion)? {
        b"13" => {}
        several if several.contains(&b',') => return Err(Refusal::BadWebSocketVersion.into()),
        _ => return Err(Refusal::UnsupportedWebSocketVersion.into()),
    }
    // RFC 6455 4.2.1 (5), 11.3.1.
    request.key.get(Refusal::DuplicateKey)?.ok_or(Refusal::MissingKey)?;
    let hash = hash.ok_or(Refusal::BadKey)?;
    request.accept(options, authority, Some(hash))
}

impl ServerOptions {
    /// Whether the request is for one of the server's names (RFC 9110 4.2.3: they are compared ignoring case).
    fn is_host(&self, asked: Authority<'_>) -> bool {
        let hosts = &self.choice().hosts;
        let mut names = hosts.iter().filter_map(|name| Authority::parse(name.as_bytes()));
        hosts.is_empty()
            || names.any(|name| {
                name.host().eq_ignore_ascii_case(asked.host())
                    && name.port().is_none_or(|port| asked.port() == Some(port))
            })
    }

    /// RFC 6455 4.2.2 (5.5): one of the offered names or none.
    fn choose_subprotocol<'a>(&self, offered: &[&'a str]) -> Option<&'a str> {
        let Choice { subprotocols, preference, .. } = self.choice();
        let known = |name: &&str| subprotocols.iter().any(|known| known == name);
        match preference {
            Preference::Client => offered.iter().copied().find(known),
            Preference::Server => {
                subprotocols.iter().find_map(|known| offered.iter().copied().find(|name| name == known))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_offer_has_no_fault() {
        for offer in BROWSERS {
            assert_eq!(extensions(offer).filter(Result::is_ok).count(), 1);
            assert_eq!(extensions(offer).find_map(Result::err), None);
        }
    }
}
