//! Object stores: where dumps may lie, and who may ask there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret is read from, at the moment it is used.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SecretSource {
    Env(String),
    File(PathBuf),
    /// A Secret in the workload's namespace.
    Kubernetes {
        name: String,
        key: String,
    },
}

/// A bucket of a store that speaks S3. Holds no secret, only where they are.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct S3Place {
    /// Its address; that of AWS where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    /// The bucket's name is in the path, and not in the host's name.
    pub path_style: bool,
    /// Those of the environment where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<S3Credentials>,
    /// Certificates to trust, PEM; the system's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<PathBuf>,
}

/// Where the credentials are.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct S3Credentials {
    pub access_key_id: SecretSource,
    pub secret_access_key: SecretSource,
    /// Comes with credentials that are valid for a while only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretSource>,
}

impl S3Place {
    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        let given = self.endpoint.clone();
        given.unwrap_or_else(|| format!("https://s3.{}.amazonaws.com", self.region))
    }

    /// Whether what goes there is encrypted on its way.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !self.address().starts_with("http://")
    }

    /// Host and port that connections go to.
    #[must_use]
    pub fn host_and_port(&self) -> (String, u16) {
        let address = self.address();
        let (port, rest) = match address.strip_prefix("http://") {
            Some(rest) => (80, rest),
            None => (443, address.trim_start_matches("https://")),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        // An IPv6 address stands in brackets, and has colons of its own.
        match authority.rsplit_once(':') {
            Some((host, digits)) if !digits.contains(']') => {
                (unbracketed(host), digits.parse().unwrap_or(port))
            }
            _ => (unbracketed(authority), port),
        }
    }

    /// Where an object is, for people.
    #[must_use]
    pub fn location(&self, key: &str) -> String {
        match &self.endpoint {
            Some(endpoint) => format!("{}/{}/{key}", endpoint.trim_end_matches('/'), self.bucket),
            None => format!("s3://{}/{key}", self.bucket),
        }
    }
}

fn unbracketed(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(endpoint: Option<&str>) -> S3Place {
        S3Place {
            endpoint: endpoint.map(str::to_owned),
            region: "eu-west-1".to_owned(),
            bucket: "b".to_owned(),
            path_style: true,
            credentials: None,
            ca_certificates: None,
        }
    }

    #[test]
    fn an_address_tells_host_and_port() {
        for (endpoint, host, port) in [
            (None, "s3.eu-west-1.amazonaws.com", 443),
            (
                Some("http://minio.storage.svc:9000"),
                "minio.storage.svc",
                9000,
            ),
            (Some("https://s3.example/"), "s3.example", 443),
            (Some("http://[::1]:7070"), "::1", 7070),
            (Some("http://[::1]"), "::1", 80),
        ] {
            let found = place(endpoint).host_and_port();
            assert_eq!(found, (host.to_owned(), port), "{endpoint:?}");
        }
        assert_eq!(place(None).location("a/b"), "s3://b/a/b");
        let other = place(Some("https://s3.example/")).location("a");
        assert_eq!(other, "https://s3.example/b/a");
    }
}
