//! The opening handshake over an HTTP/2 or HTTP/3 stream: extended CONNECT (RFC 8441, RFC 9220), the client's side.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::client::ClientOptions;
use super::h2::Section;
use super::key::Key;
use super::verify::{Answer, ClientError};
use super::{Negotiated, Uri};

/// The setting with which a server announces that it takes extended CONNECT (RFC 8441 3, RFC 9220 3). A client must
/// have seen it before it sends one.
///
/// ```
/// use pushline::ws::handshake::{ClientError, ClientOptions, ConnectSetting, Uri};
///
/// let (options, uri) = (ClientOptions::new(), Uri::parse("wss://server.example.com/chat")?);
/// let mut setting = ConnectSetting::new();
/// assert_eq!(options.connect_fields(&uri, setting), Err(ClientError::ConnectNotEnabled));
///
/// // SETTINGS have arrived, and ENABLE_CONNECT_PROTOCOL is among them.
/// assert_eq!(ConnectSetting::ID, 8);
/// setting.receive(1)?;
/// assert!(options.connect_fields(&uri, setting).is_ok());
/// assert!(setting.receive(0).is_err()); // it cannot be taken back
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConnectSetting {
    is_enabled: bool,
}

impl ConnectSetting {
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL`, in HTTP/2 and in HTTP/3. A server announces it with value 1.
    pub const ID: u16 = 0x08;

    /// Not announced yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { is_enabled: false }
    }

    /// Announced: for HTTP libraries that keep the settings themselves.
    #[must_use]
    pub const fn enabled() -> Self {
        Self { is_enabled: true }
    }

    /// Takes the setting's value from the peer's SETTINGS.
    ///
    /// # Errors
    ///
    /// [`InvalidSetting`] for a value other than 0 and 1, and for 0 after 1 (RFC 8441 3): a connection error of type
    /// `PROTOCOL_ERROR` (`H3_SETTINGS_ERROR`).
    pub const fn receive(&mut self, value: u64) -> Result<(), InvalidSetting> {
        match (value, self.is_enabled) {
            (1, _) => self.is_enabled = true,
            (0, false) => {}
            _ => return Err(InvalidSetting),
        }
        Ok(())
    }

    /// Whether extended CONNECT may be sent.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        self.is_enabled
    }
}

/// The peer's `SETTINGS_ENABLE_CONNECT_PROTOCOL` is neither 0 nor 1, or was taken back: see [`ConnectSetting`].
///
/// ```
/// use pushline::ws::handshake::{ConnectSetting, InvalidSetting};
///
/// assert_eq!(ConnectSetting::new().receive(2), Err(InvalidSetting));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidSetting;

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SETTINGS_ENABLE_CONNECT_PROTOCOL has a value that it must not have")
    }
}

impl core::error::Error for InvalidSetting {}

impl ClientOptions {
    /// The field section of the request over HTTP/2 and HTTP/3: pseudo-header fields first, names in lower case
    /// (RFC 8441 5). The stream stays open behind it.
    ///
    /// # Errors
    ///
    /// [`ClientError::ConnectNotEnabled`] if the server has not announced that it takes extended CONNECT (RFC 8441 3).
    ///
    /// ```
    /// use pushline::ws::handshake::{ClientOptions, ConnectSetting, Uri};
    ///
    /// let uri = Uri::parse("wss://server.example.com/chat")?;
    /// let fields = ClientOptions::new().connect_fields(&uri, ConnectSetting::enabled())?;
    /// assert_eq!(fields[0], (":method".into(), b"CONNECT".to_vec()));
    /// assert_eq!(fields[1], (":protocol".into(), b"websocket".to_vec()));
    /// assert_eq!(fields[2], (":scheme".into(), b"https".to_vec()));
    /// assert_eq!(fields[3], (":authority".into(), b"server.example.com".to_vec()));
    /// assert_eq!(fields[4], (":path".into(), b"/chat".to_vec()));
    /// assert_eq!(fields[5], ("sec-websocket-version".into(), b"13".to_vec()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect_fields(
        &self,
        uri: &Uri,
        setting: ConnectSetting,
    ) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
        if !setting.is_enabled() {
            return Err(ClientError::ConnectNotEnabled);
        }
        let pseudo = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            // RFC 8441 5.
            (":scheme", if uri.is_secure() { "https" } else { "http" }),
            (":authority", uri.host_field()),
            (":path", uri.target()),
        ];
        // RFC 8441 5: no key. RFC 9113 8.2.2: no fields of a connection. `:authority` stands for Host.
        let left_out = ["host", "upgrade", "connection", "sec-websocket-key"];
        let lines = self.request_fields(uri, &Key::from_nonce([0; 16]));
        let fields = lines.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()));
        Ok(pseudo
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .chain(fields.filter(|(name, _)| !left_out.contains(&name.as_str())))
            .collect())
    }
}

/// Verifies the field section of the final response to an extended CONNECT: `:status` and the fields (RFC 8441 5).
/// Interim responses (1xx) are for the caller to skip.
///
/// # Errors
///
/// [`ClientError`]; the stream must be reset with `CANCEL` then (`H3_REQUEST_CANCELLED`), unless it has ended.
///
/// ```
/// use pushline::ws::handshake::{ClientError, ClientOptions, verify_connect};
///
/// let options = ClientOptions::new();
/// assert!(verify_connect(&options, [(":status", &b"200"[..])]).is_ok());
/// let refused = verify_connect(&options, [(":status", &b"403"[..])]);
/// assert_eq!(refused, Err(ClientError::UnexpectedStatus(403)));
/// ```
pub fn verify_connect<'a>(
    options: &ClientOptions,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    let (section, answer) = read(fields)?;
    let status = section.status().map_err(ClientError::BadConnect)?;
    open(options, status, answer)
}

/// As [`verify_connect`], for a status that an HTTP library has read.
#[cfg(feature = "http")]
pub(super) fn verify_section<'a>(
    options: &ClientOptions,
    status: u16,
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    let (_, answer) = read(fields)?;
    open(options, status, answer)
}

fn read<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<(Section<'a>, Answer<'a>), ClientError> {
    let mut section = Section::default();
    let mut answer = Answer::default();
    for (name, value) in fields {
        // RFC 8441 5: Sec-WebSocket-Accept is not processed.
        if section.check(name, value).map_err(ClientError::BadConnect)? {
            answer.take(name, value);
        }
    }
    Ok((section, answer))
}

/// RFC 8441 5: any 2xx opens the stream.
fn open<'a>(
    options: &ClientOptions,
    status: u16,
    answer: Answer<'a>,
) -> Result<(Negotiated, Option<&'a str>), ClientError> {
    match status {
        200..=299 => answer.verify(options),
        status => Err(ClientError::UnexpectedStatus(status)),
    }
}
