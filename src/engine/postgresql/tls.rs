//! TLS to a server, with the meanings of libpq's `sslmode`.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::endpoint::Endpoint;
use crate::{
    domain::failure::{Failure, FailureKind},
    spec::drill::TlsMode,
    trust,
};

/// How much of the server's certificate is looked at.
#[derive(Debug)]
enum Trust {
    /// Nothing: encrypted, but by whomever.
    Anyone,
    /// It must be signed by a trusted authority, whatever host it names.
    Authority(Arc<WebPkiServerVerifier>),
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

/// The driver's mode. A unix socket is never encrypted.
pub(super) fn mode(endpoint: &Endpoint) -> SslMode {
    match endpoint.tls {
        _ if endpoint.host.starts_with('/') => SslMode::Disable,
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    }
}

/// Makes the connector for an endpoint. As with libpq, `require` verifies
/// like `verify-ca` where root certificates are named.
///
/// # Errors
/// If root certificates can't be read.
pub(super) fn connector(endpoint: &Endpoint) -> Result<MakeRustlsConnect, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS versions", &error))?;
    let named = endpoint.root_certificates.is_some();
    let roots = || trust::authorities(endpoint.root_certificates.as_deref());
    let trust = match endpoint.tls {
        TlsMode::VerifyFull => {
            let config = builder
                .with_root_certificates(roots()?)
                .with_no_client_auth();
            return Ok(MakeRustlsConnect::new(config));
        }
        TlsMode::Require if !named => Trust::Anyone,
        TlsMode::Disable | TlsMode::Prefer => Trust::Anyone,
        TlsMode::VerifyCa | TlsMode::Require => Trust::Authority(
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots()?), Arc::clone(&provider))
                .build()
                .map_err(|error| invalid("root certificates", &error))?,
        ),
    };
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trust, provider }))
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn invalid(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Invalid, format!("cannot use {what}: {error}"))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Authority(authority) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last, so everything else is right if only it
        // is wrong.
        match authority.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
