//! Making the client of a bucket.

use aws_config::{default_provider::credentials::DefaultCredentialsChain, provider_config};
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Credentials, ProvideCredentials, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, SharedCredentialsProvider, SharedHttpClient,
        retry::RetryConfig,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{
        failure::{Failure, FailureKind, chain},
        store::{S3Credentials, S3Place},
    },
    secret, trust,
};

/// How often a request is tried: a server that is started again within some
/// seconds is not noticed.
const ATTEMPTS: u32 = 5;

/// Who asks, by the secrets themselves.
pub struct Access {
    pub access_key_id: SecretString,
    pub secret_access_key: SecretString,
    pub session_token: Option<SecretString>,
}

/// The client of a bucket. Nothing is connected yet.
///
/// # Errors
/// If credentials or certificates cannot be read.
pub(super) async fn client(place: &S3Place) -> Result<Client, Failure> {
    let credentials = match &place.credentials {
        Some(given) => SharedCredentialsProvider::new(fixed(&read(given)?)),
        None => SharedCredentialsProvider::new(environment(place).await?),
    };
    client_of(place, credentials)
}

/// The same for who is known already.
///
/// # Errors
/// If certificates cannot be read.
pub(super) fn client_as(place: &S3Place, access: &Access) -> Result<Client, Failure> {
    client_of(place, SharedCredentialsProvider::new(fixed(access)))
}

fn client_of(place: &S3Place, credentials: SharedCredentialsProvider) -> Result<Client, Failure> {
    let http = if place.is_encrypted() {
        http(&trust::pem(place.ca_certificates.as_deref())?)?
    } else {
        http("")?
    };
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .region(Region::new(place.region.clone()))
        .force_path_style(place.path_style)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        // Checksums are made and compared here, over whole objects.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    config.set_endpoint_url(place.endpoint.clone());
    Ok(Client::from_conf(config.build()))
}

/// The credentials that would be used, for whoever has to be given them.
///
/// # Errors
/// If there are none.
pub async fn access(place: &S3Place) -> Result<Access, Failure> {
    if let Some(given) = &place.credentials {
        return read(given);
    }
    let provider = environment(place).await?;
    let found = provider.provide_credentials().await.map_err(|error| {
        let message = format!("no credentials for {}: {}", place.address(), chain(&error));
        Failure::new(FailureKind::Denied, message).hint(
            "name them under `credentials`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    })?;
    Ok(Access {
        access_key_id: found.access_key_id().into(),
        secret_access_key: found.secret_access_key().into(),
        session_token: found.session_token().map(Into::into),
    })
}

fn read(given: &S3Credentials) -> Result<Access, Failure> {
    let S3Credentials {
        access_key_id,
        secret_access_key,
        session_token,
    } = given;
    let token = session_token.as_ref();
    Ok(Access {
        access_key_id: secret::read("the access key id", access_key_id)?,
        secret_access_key: secret::read("the secret access key", secret_access_key)?,
        session_token: token
            .map(|source| secret::read("the session token", source))
            .transpose()?,
    })
}

fn fixed(access: &Access) -> Credentials {
    Credentials::new(
        access.access_key_id.expose_secret(),
        access.secret_access_key.expose_secret(),
        access
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "drill",
    )
}

/// As AWS's own tools find them: variables, profiles, web identity, the
/// container's or the machine's role.
async fn environment(place: &S3Place) -> Result<DefaultCredentialsChain, Failure> {
    // Where nothing is encrypted, certificates may be missing altogether: then
    // only those sources fail that need them.
    let http = http(&trust::pem(None).unwrap_or_default())?;
    let region = Region::new(place.region.clone());
    let config = provider_config::ProviderConfig::without_region()
        .with_behavior_version(Some(BehaviorVersion::v2026_01_12()))
        .with_http_client(http)
        .with_region(Some(region));
    Ok(DefaultCredentialsChain::builder()
        .configure(config)
        .build()
        .await)
}

/// `certificates` have to be good: else the connector would panic.
fn http(certificates: &str) -> Result<SharedHttpClient, Failure> {
    let mut trusted = TrustStore::empty();
    trusted.add_pem_certificate(certificates);
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.map_err(|error| {
        let message = format!("cannot prepare TLS: {}", chain(&error));
        Failure::new(FailureKind::Internal, message)
    })?;
    let tls = Provider::Rustls(CryptoMode::AwsLc);
    Ok(Builder::new()
        .tls_provider(tls)
        .tls_context(context)
        .build_https())
}
