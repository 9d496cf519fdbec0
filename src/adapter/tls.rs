//! TLS for clients: with which configuration, and how it fails.

use core::fmt;
use std::boxed::Box;
use std::io;

/// The kind of a failure of TLS.
///
/// ```
/// use pushline::adapter::TlsFault;
///
/// assert!(TlsFault::WrongName.is_certificate());
/// assert!(TlsFault::WrongName.is_final()); // asking again will not help
/// assert!(!TlsFault::Ended.is_final());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// This build has no TLS: the feature `rustls` is off.
    Unsupported,
    /// The host cannot stand in a certificate.
    InvalidName,
    /// The certificate is for other names (RFC 9525).
    WrongName,
    /// The certificate has expired (RFC 5280 4.1.2.5).
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// Nobody that is trusted has signed the certificate.
    UnknownIssuer,
    /// The certificate was revoked, or that cannot be told.
    Revoked,
    /// The certificate is wrong in another way: its encoding, its signature, its purpose.
    BadCertificate,
    /// The peer does not speak TLS.
    NotTls,
    /// The peer ended the connection with this alert (RFC 8446 6): 40, for example, if nothing that both know was found.
    Alert(u8),
    /// The peer left within the handshake.
    Ended,
    /// The peer broke the protocol, or asks for what cannot be done.
    Protocol,
}

impl TlsFault {
    /// Whether the peer's certificate was refused.
    #[must_use]
    pub const fn is_certificate(self) -> bool {
        matches!(
            self,
            Self::WrongName
                | Self::Expired
                | Self::NotYetValid
                | Self::UnknownIssuer
                | Self::Revoked
                | Self::BadCertificate
        )
    }
}

impl TlsFault {
    /// Whether it is no use to try again: the certificate was refused, or this build or this URL cannot have TLS.
    #[must_use]
    pub const fn is_final(self) -> bool {
        self.is_certificate() || matches!(self, Self::Unsupported | Self::InvalidName)
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => {
                "TLS needs the feature `rustls`, or a TLS stream for `client` or `with_connector`"
            }
            Self::InvalidName => "the host cannot be looked for in a certificate",
            Self::WrongName => "the certificate is for another name",
            Self::Expired => "the certificate has expired",
            Self::NotYetValid => "the certificate is not valid yet",
            Self::UnknownIssuer => "the certificate was not issued by anybody trusted",
            Self::Revoked => "the certificate was revoked, or that cannot be told",
            Self::BadCertificate => "the certificate is malformed or of no use here",
            Self::NotTls => "the peer does not speak TLS",
            Self::Alert(alert) => return write!(f, "the peer ended TLS with alert {alert}"),
            Self::Ended => "the peer left within the TLS handshake",
            Self::Protocol => "the peer broke the TLS protocol",
        })
    }
}

/// An error of TLS. A TLS stream returns it inside an [`io::Error`]; the adapters take it out: see
/// [`Error::Tls`](super::Error::Tls).
///
/// ```
/// use pushline::adapter::{Error, TlsFault};
///
/// fn explain(error: &Error) -> String {
///     match error {
///         Error::Tls(tls) if tls.fault() == TlsFault::Expired => "ask the server's operator".into(),
///         error => error.to_string(),
///     }
/// }
/// # let _ = explain;
/// ```
#[derive(Debug)]
pub struct TlsError {
    fault: TlsFault,
    detail: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl TlsError {
    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> TlsFault {
        self.fault
    }

    /// The same fault, with more to say of it.
    pub(super) fn with_detail(
        self,
        detail: impl FnOnce(Self) -> Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self { fault: self.fault, detail: Some(detail(self)) }
    }

    /// As a stream would have told it.
    pub(super) fn into_io(self) -> io::Error {
        let kind = match self.fault {
            TlsFault::Unsupported => io::ErrorKind::Unsupported,
            TlsFault::InvalidName => io::ErrorKind::InvalidInput,
            TlsFault::Ended => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self)
    }

    /// The error of a TLS handshake: the end of the transport is one, too.
    #[cfg(feature = "rustls")]
    pub(super) fn of_handshake(error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::from(TlsFault::Ended).into_io(),
            _ => error,
        }
    }

    /// The TLS error in an error of a stream's; the error as it was if there is none.
    pub(super) fn within(error: io::Error) -> Result<Self, io::Error> {
        #[cfg(feature = "rustls")]
        let error = match error.downcast::<rustls::Error>() {
            Ok(error) => return Ok(error.into()),
            Err(error) => error,
        };
        error.downcast::<Self>()
    }
}

impl From<TlsFault> for TlsError {
    fn from(fault: TlsFault) -> Self {
        Self { fault, detail: None }
    }
}

#[cfg(feature = "rustls")]
impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::{CertificateError as Certificate, Error, InvalidMessage};
        let fault = match &error {
            Error::InvalidCertificate(certificate) => match certificate {
                Certificate::Expired | Certificate::ExpiredContext { .. } => TlsFault::Expired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => TlsFault::NotYetValid,
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    TlsFault::WrongName
                }
                Certificate::UnknownIssuer => TlsFault::UnknownIssuer,
                Certificate::Revoked
                | Certificate::UnknownRevocationStatus
                | Certificate::ExpiredRevocationList
                | Certificate::ExpiredRevocationListContext { .. } => TlsFault::Revoked,
                _ => TlsFault::BadCertificate,
            },
            Error::NoCertificatesPresented => TlsFault::BadCertificate,
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => TlsFault::NotTls,
            Error::AlertReceived(alert) => TlsFault::Alert(u8::from(*alert)),
            _ => TlsFault::Protocol,
        };
        Self { fault, detail: Some(Box::new(error)) }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => detail.fmt(f),
            None => self.fault.fmt(f),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.detail.as_ref().and_then(|detail| detail.source())
    }
}

#[cfg(feature = "rustls")]
pub(super) use config::{config, for_http1, name};

#[cfg(feature = "rustls")]
mod config {
    use super::{TlsError, TlsFault};
    use rustls::ClientConfig;
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::ServerName;
    use std::borrow::ToOwned;
    use std::io;
    use std::sync::{Arc, OnceLock};
    use std::vec;

    /// The configuration of those who have chosen none: the process's provider, or ring if there is none; Mozilla's roots.
    /// One for all, so that sessions are resumed.
    pub(in super::super) fn config() -> Result<Arc<ClientConfig>, TlsError> {
        static DEFAULT: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        if let Some(config) = DEFAULT.get() {
            return Ok(Arc::clone(config));
        }
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(DEFAULT.get_or_init(|| for_http1(Arc::new(config)))))
    }

    /// RFC 7301: what is spoken on these connections is HTTP/1.1, whatever else the configuration is used for.
    pub(in super::super) fn for_http1(mut config: Arc<ClientConfig>) -> Arc<ClientConfig> {
        const HTTP1: &[u8] = b"http/1.1";
        if config.alpn_protocols != [HTTP1] {
            Arc::make_mut(&mut config).alpn_protocols = vec![HTTP1.to_vec()];
        }
        config
    }

    /// The name to be found in the certificate: a DNS name or an address.
    pub(in super::super) fn name(host: &str) -> io::Result<ServerName<'static>> {
        let invalid = |_| TlsError::from(TlsFault::InvalidName).into_io();
        ServerName::try_from(host.to_owned()).map_err(invalid)
    }
}
