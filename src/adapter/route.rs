//! How a client gets to its server: what all clients have in common.

use super::Proxy;
use super::proxy::into_io;
#[cfg(feature = "rustls")]
use super::tls;
use crate::http1::{ProxyUrl, Tunnel};
use std::io;
use std::sync::Arc;

/// How a client gets to its server.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// `None`: the default, made when it is needed.
    #[cfg(feature = "rustls")]
    tls: Option<Arc<rustls::ClientConfig>>,
    proxy: Option<Arc<Proxy>>,
}

impl Route {
    pub(super) const fn new() -> Self {
        Self {
            #[cfg(feature = "rustls")]
            tls: None,
            proxy: None,
        }
    }

    pub(super) fn set_proxy(&mut self, proxy: Proxy) {
        self.proxy = Some(Arc::new(proxy));
    }

    /// The proxy to ask first, and what to ask it for.
    pub(super) fn tunnel(
        &self,
        secure: bool,
        (host, port): (&str, u16),
    ) -> io::Result<Option<(&ProxyUrl, Tunnel)>> {
        let proxy = self.proxy.as_ref().and_then(|proxy| proxy.select(secure, host, port));
        let Some(proxy) = proxy else { return Ok(None) };
        let tunnel = Tunnel::new(host, port, proxy.authorization()).map_err(into_io)?;
        Ok(Some((proxy, tunnel)))
    }

    #[cfg(feature = "rustls")]
    pub(super) fn set_tls(&mut self, config: Arc<rustls::ClientConfig>) {
        self.tls = Some(tls::for_http1(config));
    }

    #[cfg(feature = "rustls")]
    pub(super) fn tls(&self) -> io::Result<Arc<rustls::ClientConfig>> {
        match &self.tls {
            Some(config) => Ok(Arc::clone(config)),
            None => tls::config().map_err(tls::TlsError::into_io),
        }
    }
}
