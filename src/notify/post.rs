//! Sends a message.

use std::time::Duration;

use axum::body::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector, connect::dns::Name},
    rt::TokioExecutor,
};
use jiff::Timestamp;
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::{
    guard,
    said::Said,
    targets::{Secret, Target},
};
use crate::{
    domain::failure::{Failure, FailureKind, chain},
    secret, trust,
};

/// How long a receiver may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Sends messages, by HTTPS to those whom this machine trusts.
#[derive(Clone)]
pub struct Client {
    tls: ClientConfig,
}

impl Client {
    /// # Errors
    /// If this machine trusts nobody.
    pub fn new() -> Result<Self, Failure> {
        let tls = trust::client(trust::authorities(None)?)?;
        Ok(Self { tls })
    }

    /// Tells a target.
    ///
    /// # Errors
    /// If it does not say that it has taken the message.
    pub async fn send(&self, target: &Target, said: &Said, now: Timestamp) -> Result<(), Failure> {
        let Some(place) = place(target, said)? else {
            let why = format!("{} is not told by HTTP", target.name);
            return Err(Failure::new(FailureKind::Internal, why));
        };
        let invalid = |why: String| Failure::new(FailureKind::Invalid, why);
        let uri = guard::url(&place.url, place.private).map_err(invalid)?;
        let mut request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("lifeboat/", env!("CARGO_PKG_VERSION")),
            )
            .header("idempotency-key", format!("{}.{}", said.about, target.name));
        if let Some(source) = place.secret {
            let key = secret::read("the secret of a webhook", &source.into())?;
            let stamp = now.as_second().to_string();
            let signature = sign(key.expose_secret(), &stamp, &place.body);
            request = request
                .header("x-lifeboat-timestamp", stamp)
                .header("x-lifeboat-signature", format!("v1={signature}"));
        }
        let request = request.body(Full::from(place.body));
        let request = request.map_err(|error| invalid(error.to_string()))?;
        self.ask(request, place.private).await
    }

    async fn ask(&self, request: Request<Full<Bytes>>, private: bool) -> Result<(), Failure> {
        let unavailable = |why: String| Failure::new(FailureKind::Unavailable, why);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector(self.tls.clone(), private));
        let asked = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let answer = asked.map_err(|_| unavailable("it does not answer in time".to_owned()))?;
        let answer = answer.map_err(|error| unavailable(chain(&error)))?;
        // A redirection is not followed: the guard would not see where to.
        if answer.status().is_success() {
            return Ok(());
        }
        Err(unavailable(format!("it answers with {}", answer.status())))
    }
}

/// Where to send what.
struct Place<'a> {
    url: String,
    private: bool,
    body: String,
    /// What it is signed with.
    secret: Option<&'a Secret>,
}

/// `None` where the target is told by other means.
fn place<'a>(target: &'a Target, said: &Said) -> Result<Option<Place<'a>>, Failure> {
    if let Some(webhook) = &target.webhook {
        return Ok(Some(Place {
            url: webhook.url.clone(),
            private: webhook.allow_private,
            body: said.json.to_string(),
            secret: webhook.secret.as_ref(),
        }));
    }
    let Some(slack) = &target.slack else {
        return Ok(None);
    };
    let url = secret::read("the address of Slack", &(&slack.url).into())?;
    Ok(Some(Place {
        url: url.expose_secret().to_owned(),
        private: slack.allow_private,
        body: serde_json::json!({ "text": said.slack }).to_string(),
        secret: None,
    }))
}

type Guarded = HttpConnector<
    tower::util::BoxCloneSyncService<
        Name,
        std::vec::IntoIter<std::net::SocketAddr>,
        std::io::Error,
    >,
>;

/// Connects to what the guard lets through. It sees the very addresses that are
/// connected to, so that a name which changes its address in between is no way
/// around it.
fn connector(tls: ClientConfig, private: bool) -> HttpsConnector<Guarded> {
    let resolve = tower::service_fn(move |name: Name| async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
        Ok(guard::allowed(found.collect(), private)?.into_iter())
    });
    let mut http = HttpConnector::new_with_resolver(tower::util::BoxCloneSyncService::new(resolve));
    http.enforce_http(false);
    // One address that does not answer leaves time for the next.
    http.set_connect_timeout(Some(PATIENCE / 3));
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http)
}

/// HMAC-SHA256 over the time and the body, in hexadecimal digits.
fn sign(key: &str, stamp: &str, body: &str) -> String {
    use std::fmt::Write as _;
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        // Keys of any length are taken.
        return String::new();
    };
    mac.update(format!("{stamp}.{body}").as_bytes());
    let digest = mac.finalize().into_bytes();
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against what `openssl dgst -sha256 -hmac` says.
    #[test]
    fn a_signature_is_that_of_others() {
        assert_eq!(
            sign("key", "1", "{}"),
            "1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224"
        );
    }
}
