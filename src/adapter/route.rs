//! How a client gets to its server: what all clients have in common.

#[cfg(feature = "rustls")]
use super::tls;
#[cfg(feature = "rustls")]
use std::sync::Arc;

/// How a client gets to its server.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// `None`: the default, made when it is needed.
    #[cfg(feature = "rustls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Route {
    pub(super) const fn new() -> Self {
        Self {
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }

    #[cfg(feature = "rustls")]
    pub(super) fn set_tls(&mut self, config: Arc<rustls::ClientConfig>) {
        self.tls = Some(tls::for_http1(config));
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls(&self) -> std::io::Result<Arc<rustls::ClientConfig>> {
        match &self.tls {
            Some(config) => Ok(Arc::clone(config)),
            None => tls::config().map_err(tls::TlsError::into_io),
        }
    }
}
