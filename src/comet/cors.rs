//! Which other origins may read the answers (the Fetch standard, 3.3 CORS protocol; RFC 6454).
//!
//! [`CorsPolicy::check`] turns a request's `Origin` into the fields of its response, [`CorsPolicy::preflight`] does the same
//! for the `OPTIONS` request that a browser sends first if the real one is not simple. Without these fields a page of
//! another origin cannot read the response; but it could send the request. A server whose requests do something
//! refuses those whose origin is not [allowed](CorsDecision::is_allowed).

#[cfg(feature = "http")]
use crate::http1::authority::Authority;
use crate::http1::syntax::{elements, is_token};
#[cfg(feature = "http")]
use crate::ws::handshake::OriginPolicy;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The policy for pages of other origins. It allows nothing until told to.
///
/// ```
/// use pushline::comet::cors::CorsPolicy;
///
/// let policy = CorsPolicy::new().allow_origin("https://app.example")?.credentials(true)?;
/// let decision = policy.check(Some(b"https://app.example"));
/// let fields: Vec<_> = decision.fields().collect();
/// assert_eq!(
///     fields,
///     [
///         ("Vary", "Origin"),
///         ("Access-Control-Allow-Origin", "https://app.example"),
///         ("Access-Control-Allow-Credentials", "true"),
///     ]
/// );
/// assert!(!policy.check(Some(b"https://app.example.evil.net")).is_allowed());
/// # Ok::<(), pushline::comet::cors::CorsPolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct CorsPolicy {
    origins: Vec<String>,
    any: bool,
    credentials: bool,
    methods: List,
    headers: List,
    exposed: List,
    max_age: Option<String>,
}

/// Names, and the field value that lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    names: Vec<String>,
    value: String,
}

/// A mistake in the configuration of a [`CorsPolicy`].
///
/// ```
/// use pushline::comet::cors::{CorsPolicy, CorsPolicyError};
///
/// assert_eq!(CorsPolicy::new().allow_origin("https://app.example/"), Err(CorsPolicyError::InvalidOrigin));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CorsPolicyError {
    /// An origin is not written as browsers write it, so that none would ever be equal to it.
    InvalidOrigin,
    /// A method or field name is not a token (RFC 9110 5.6.2).
    InvalidName,
    /// Credentials for any origin: every page on the web could act for the user (Fetch 3.3.5 forbids it).
    CredentialsForAny,
}

impl fmt::Display for CorsPolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidOrigin => InvalidOrigin::MESSAGE,
            Self::InvalidName => "method or field name is not a token",
            Self::CredentialsForAny => "credentials cannot be allowed for any origin",
        })
    }
}

impl core::error::Error for CorsPolicyError {}

/// An origin is not written as browsers write it: scheme, host and, unless it is the default, port, all lower case.
///
/// ```
/// use pushline::comet::{StreamWriter, StreamOptions};
///
/// assert!(StreamWriter::frame_to("https://app.example", StreamOptions::new()).is_ok());
/// assert!(StreamWriter::frame_to("https://app.example/page", StreamOptions::new()).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOrigin;

impl InvalidOrigin {
    const MESSAGE: &str = "origin is not written as browsers write it";
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MESSAGE)
    }
}

impl core::error::Error for InvalidOrigin {}

impl From<InvalidOrigin> for CorsPolicyError {
    fn from(InvalidOrigin: InvalidOrigin) -> Self {
        Self::InvalidOrigin
    }
}

impl CorsPolicy {
    /// No other origin may read anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pages of exactly this origin may. `https://app.example`, `http://localhost:8080`.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::InvalidOrigin`] if no browser writes an origin so: with a path, a default port, capitals.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self, CorsPolicyError> {
        check_origin(origin)?;
        self.origins.push(origin.to_string());
        Ok(self)
    }

    /// Pages without an origin may, who say `null`: from files and from sandboxed frames. Any page can make itself
    /// one, so this is hardly less than [`allow_any`](Self::allow_any), which for its part does not mean `null`.
    pub fn allow_null(mut self) -> Self {
        self.origins.push("null".to_string());
        self
    }

    /// Pages of any origin may, without credentials: for what anyone may read.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::CredentialsForAny`] if credentials are allowed.
    pub fn allow_any(mut self) -> Result<Self, CorsPolicyError> {
        self.any = true;
        self.consistent()
    }

    /// Whether cookies and other credentials may go with requests. Default `false`.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::CredentialsForAny`] if any origin is allowed.
    pub fn credentials(mut self, allowed: bool) -> Result<Self, CorsPolicyError> {
        self.credentials = allowed;
        self.consistent()
    }

    /// Methods besides GET, HEAD and POST, which need no permission. Case matters.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::InvalidName`] if one is not a token; `*` is refused, too: it means itself with credentials.
    pub fn methods(mut self, methods: &[&str]) -> Result<Self, CorsPolicyError> {
        self.methods = List::new(methods)?;
        Ok(self)
    }

    /// Request fields besides those that need no permission, such as `Content-Type` for JSON.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::InvalidName`] if one is not a token, or `*`.
    pub fn headers(mut self, names: &[&str]) -> Result<Self, CorsPolicyError> {
        self.headers = List::new(names)?;
        Ok(self)
    }

    /// Response fields that the page may see besides the few that it always may.
    ///
    /// # Errors
    ///
    /// [`CorsPolicyError::InvalidName`] if one is not a token, or `*`.
    pub fn expose(mut self, names: &[&str]) -> Result<Self, CorsPolicyError> {
        self.exposed = List::new(names)?;
        Ok(self)
    }

    /// How long a browser may remember a preflight's answer, in seconds. Default: it is not said, which is 5.
    pub fn max_age(mut self, seconds: u32) -> Self {
        self.max_age = Some(seconds.to_string());
        self
    }

    /// What a request with this `Origin` gets; `None` if it has none, and so does not come from another origin's
    /// script.
    #[must_use]
    pub fn check(&self, origin: Option<&[u8]>) -> CorsDecision<'_> {
        let Some(origin) = origin else { return self.decision(false, true, None) };
        let named = self.origins.iter().find(|allowed| allowed.as_bytes() == origin);
        let value = match named {
            _ if self.any && origin != b"null" => Some("*"),
            Some(origin) => Some(origin.as_str()),
            None => None,
        };
        self.decision(false, value.is_some(), value)
    }

    /// What an `OPTIONS` request gets that has `Origin` and `Access-Control-Request-Method`, and perhaps
    /// `Access-Control-Request-Headers`: it asks whether such a request may be sent. Answer 204 if it
    /// [may](CorsDecision::is_allowed), 403 if not, with the fields in either case.
    #[must_use]
    pub fn preflight(&self, origin: &[u8], method: &[u8], headers: Option<&[u8]>) -> CorsDecision<'_> {
        let CorsDecision { origin, .. } = self.check(Some(origin));
        let allowed = origin.is_some()
            && (matches!(method, b"GET" | b"HEAD" | b"POST") || self.methods.has(|name| name == method))
            && headers.is_none_or(|headers| {
                elements(headers).all(|header| {
                    header.is_empty() || self.headers.has(|name| name.eq_ignore_ascii_case(header))
                })
            });
        self.decision(true, allowed, origin.filter(|_| allowed))
    }

    fn decision<'p>(&'p self, preflight: bool, allowed: bool, origin: Option<&'p str>) -> CorsDecision<'p> {
        CorsDecision { policy: self, preflight, allowed, origin }
    }

    fn consistent(self) -> Result<Self, CorsPolicyError> {
        if self.any && self.credentials { Err(CorsPolicyError::CredentialsForAny) } else { Ok(self) }
    }
}

/// Over whole requests.
#[cfg(feature = "http")]
impl CorsPolicy {
    /// For a request of the `http` crate: as [`preflight`](Self::preflight) if it is one, else as [`check`](Self::check),
    /// with the pages of the request's own host allowed besides. Of several fields `Origin` none is whose page it is: such a
    /// request is not allowed.
    ///
    /// ```
    /// use pushline::comet::cors::CorsPolicy;
    ///
    /// let policy = CorsPolicy::new().allow_origin("https://app.example")?;
    /// let of = |origin| http::Request::get("/events").header("host", "chat.example").header("origin", origin).body(());
    /// assert!(policy.decide(&of("https://chat.example")?).is_allowed());
    /// let decision = policy.decide(&of("https://app.example")?);
    /// assert!(decision.is_allowed() && !decision.is_preflight());
    /// // What answers the request, then:
    /// let mut response = http::Response::new("the events");
    /// decision.set_fields(response.headers_mut());
    /// assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example");
    /// // Or that it is not answered at all: 403.
    /// assert!(!policy.decide(&of("https://evil.example")?).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn decide<B>(&self, request: &::http::Request<B>) -> CorsDecision<'_> {
        let field = |name: &str| request.headers().get(name).map(::http::HeaderValue::as_bytes);
        let origin = field("origin");
        // RFC 6454 7.3: at most one.
        if request.headers().get_all("origin").iter().nth(1).is_some() {
            return self.decision(false, false, None);
        }
        let asked =
            field("access-control-request-method").filter(|_| request.method() == ::http::Method::OPTIONS);
        if let Some((origin, method)) = origin.zip(asked) {
            return self.preflight(origin, method, field("access-control-request-headers"));
        }
        let allowed = origin.is_none_or(|origin| self.allows(origin, request));
        CorsDecision { allowed, ..self.check(origin) }
    }

    /// Whether pages of this origin may use the host that the request was sent to, since they are its own or the policy
    /// allows them: for an origin that stands elsewhere than in the field `Origin`.
    ///
    /// ```
    /// use pushline::comet::cors::CorsPolicy;
    ///
    /// let request = http::Request::get("/stream?to=https://chat.example").header("host", "chat.example").body(())?;
    /// let policy = CorsPolicy::new();
    /// assert!(policy.allows(b"https://chat.example", &request));
    /// assert!(!policy.allows(b"https://evil.example", &request));
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn allows<B>(&self, origin: &[u8], request: &::http::Request<B>) -> bool {
        // RFC 9113 8.3.1: in HTTP/2 it is in the URI.
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        let host = authority.or_else(|| request.headers().get("host").map(::http::HeaderValue::as_bytes));
        OriginPolicy::same_host().allows(Some(origin), host.and_then(Authority::parse))
            || self.check(Some(origin)).is_allowed()
    }
}

impl List {
    fn new(names: &[&str]) -> Result<Self, CorsPolicyError> {
        if names.iter().any(|name| !is_token(name.as_bytes()) || *name == "*") {
            return Err(CorsPolicyError::InvalidName);
        }
        Ok(Self { names: names.iter().map(ToString::to_string).collect(), value: names.join(", ") })
    }

    fn has(&self, equal: impl Fn(&[u8]) -> bool) -> bool {
        self.names.iter().any(|name| equal(name.as_bytes()))
    }
}

/// The decision about a request: whether its page may read the response, and the fields that say so.
///
/// ```
/// use pushline::comet::cors::{CorsDecision, CorsPolicy};
///
/// let policy = CorsPolicy::new().allow_origin("https://app.example")?;
/// let decision: CorsDecision = policy.check(Some(b"https://other.example"));
/// assert!(!decision.is_allowed());
/// assert_eq!(decision.fields().collect::<Vec<_>>(), [("Vary", "Origin")]);
/// # Ok::<(), pushline::comet::cors::CorsPolicyError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CorsDecision<'p> {
    policy: &'p CorsPolicy,
    preflight: bool,
    allowed: bool,
    origin: Option<&'p str>,
}

impl<'p> CorsDecision<'p> {
    /// Whether the page may read the response, or, for a preflight, send the request. A request without `Origin`
    /// is allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether the request was a [preflight](CorsPolicy::preflight): 204 answers it, if it is allowed.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// The fields to add to the response, whatever its status. Nothing in them is the client's: an origin that is
    /// named back is the policy's own.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'p str)> + use<'p> {
        let Self { policy, preflight, origin, .. } = *self;
        let vary = match preflight {
            true => "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            // Fetch 3.3.7: a cache must not hand the answer for one origin to another.
            false if policy.any || !policy.origins.is_empty() => "Origin",
            false => "",
        };
        let granted = |value: &'p str| if origin.is_some() { value } else { "" };
        let asked = |value: &'p str| if preflight { granted(value) } else { "" };
        let shown = |value: &'p str| if preflight { "" } else { granted(value) };
        [
            ("Vary", vary),
            ("Access-Control-Allow-Origin", origin.unwrap_or_default()),
            ("Access-Control-Allow-Credentials", granted(if policy.credentials { "true" } else { "" })),
            ("Access-Control-Allow-Methods", asked(&policy.methods.value)),
            ("Access-Control-Allow-Headers", asked(&policy.headers.value)),
            ("Access-Control-Max-Age", asked(policy.max_age.as_deref().unwrap_or_default())),
            ("Access-Control-Expose-Headers", shown(&policy.exposed.value)),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
    }

    /// Sets the [fields](Self::fields) of a response of the `http` crate, in place of those of their names; only what it
    /// varies by stays besides.
    #[cfg(feature = "http")]
    pub fn set_fields(&self, response: &mut ::http::HeaderMap) {
        use ::http::{HeaderName, HeaderValue, header};

        for (name, value) in self.fields() {
            // Names and values were checked when the policy was made.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                match name == header::VARY {
                    true => response.append(name, value),
                    false => response.insert(name, value).is_some(),
                };
            }
        }
    }
}

/// RFC 6454 6.2 and the URL standard's serializers: `scheme "://" host [ ":" port ]`, lower case, no default port.
pub(super) fn check_origin(origin: &str) -> Result<(), InvalidOrigin> {
    let (scheme, authority) = origin.split_once("://").ok_or(InvalidOrigin)?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b':')),
        None => host.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_')),
    };
    let default_port = match scheme {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        _ => "",
    };
    let is_port = port.is_none_or(|port| {
        port != default_port
            && !port.starts_with('0')
            && port.parse::<u16>().is_ok()
            && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if is_scheme && is_host && is_port && !host.is_empty() { Ok(()) } else { Err(InvalidOrigin) }
}
