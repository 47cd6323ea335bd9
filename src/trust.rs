//! The authorities whose certificates are trusted.

use std::{fmt::Write as _, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::domain::failure::{Failure, FailureKind};

/// The length of a line of PEM.
const LINE: usize = 64;

/// The certificates in `file`, PEM; those of the system where it is absent.
///
/// # Errors
/// `Invalid` if there is none, or one in the file cannot be used.
pub fn authorities(file: Option<&Path>) -> Result<RootCertStore, Failure> {
    collect(file).map(|(store, _)| store)
}

/// The same, as PEM: for where they are not at hand.
///
/// # Errors
/// As [`authorities`].
pub fn pem(file: Option<&Path>) -> Result<String, Failure> {
    let (_, certificates) = collect(file)?;
    let mut text = String::new();
    for certificate in certificates {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let body = BASE64.encode(certificate);
        for line in body.as_bytes().chunks(LINE) {
            let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    Ok(text)
}

/// How servers are asked whom these vouch for.
///
/// # Errors
/// Never, but for what TLS itself lacks.
pub fn client(authorities: RootCertStore) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
    Ok(versions
        .with_root_certificates(authorities)
        .with_no_client_auth())
}

fn collect(file: Option<&Path>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Failure> {
    let mut store = RootCertStore::empty();
    let certificates = match file {
        Some(path) => {
            let all = of_file(path)?;
            for certificate in &all {
                let added = store.add(certificate.clone());
                added.map_err(|error| invalid(path, &error))?;
            }
            all
        }
        // Some of a system's may be too old to be parsed.
        None => rustls_native_certs::load_native_certs()
            .certs
            .into_iter()
            .filter(|certificate| store.add(certificate.clone()).is_ok())
            .collect(),
    };
    if store.is_empty() {
        let message = "no root certificate to verify the server with";
        return Err(Failure::new(FailureKind::Invalid, message)
            .hint("name a PEM file with the authority that signed the server's certificate"));
    }
    Ok((store, certificates))
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(path);
    let certificates = certificates.map_err(|error| invalid(path, &error))?;
    certificates
        .map(|certificate| certificate.map_err(|error| invalid(path, &error)))
        .collect()
}

fn invalid(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let message = format!("cannot use root certificates {}: {error}", path.display());
    Failure::new(FailureKind::Invalid, message)
}
