//! An authority of our own, and servers that it has issued certificates for.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server's certificate, and the authority that issued it.
pub struct House {
    authority: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl House {
    /// For this machine.
    pub fn new() -> Self {
        Self::with(&["localhost", "127.0.0.1", "::1"], |_| {})
    }

    pub fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of the same name would be taken for one with a bad signature.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("Authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
        Self { authority, issuer, certificate, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()) }
    }

    pub fn expired() -> Self {
        Self::with(&["localhost", "127.0.0.1"], |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    pub fn not_yet_valid() -> Self {
        Self::with(&["localhost", "127.0.0.1"], |params| params.not_before = date_time_ymd(2400, 1, 1))
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        roots
    }

    pub fn server(&self) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config =
            config.with_single_cert(vec![self.certificate.clone()], self.key.clone_key()).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// A server that only serves clients with a certificate of this house.
    pub fn server_for_members(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(self.roots());
        let members =
            WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().unwrap();
        let config = ServerConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap().with_client_cert_verifier(members);
        Arc::new(config.with_single_cert(vec![self.certificate.clone()], self.key.clone_key()).unwrap())
    }

    /// A client that trusts this authority alone.
    pub fn client(&self) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// The same, with a certificate.
    pub fn member(&self) -> Arc<ClientConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["member".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config =
            config.with_safe_default_protocol_versions().unwrap().with_root_certificates(self.roots());
        Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap())
    }
}
