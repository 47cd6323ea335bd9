//! Places in buckets.

use super::Context;
use crate::spec::{
    drill::{BackupPlace, S3Backup, S3Credentials, S3Place, S3Target, SecretSource},
    raw,
};

/// The region where a drill names none: stores that are not AWS take any.
const REGION: &str = "us-east-1";

/// The longest name of a bucket; AWS allows 63 characters.
const BUCKET_LENGTH: usize = 255;

impl Context<'_> {
    /// Where a fresh dump goes.
    pub(super) fn target(&mut self, to: raw::To) -> Option<S3Target> {
        let field = "spec.recoveryPoint.fresh.to";
        let Some(mut s3) = to.s3 else {
            self.error(field, "names no place", "`s3`", "");
            return None;
        };
        let field = format!("{field}.s3");
        let key = s3.key.take().unwrap_or_default();
        if key.contains(['*', '?']) {
            let message = "is what the keys of this run's objects begin with, and no pattern";
            self.error(&format!("{field}.key"), message, "", "");
        }
        let prefix = key.trim_matches('/').to_owned();
        Some(S3Target {
            place: self.bucket(&field, s3),
            prefix,
        })
    }

    /// Where an existing backup is.
    pub(super) fn backup_place(
        &mut self,
        path: Option<&str>,
        s3: Option<raw::S3>,
        globals: Option<String>,
    ) -> Option<BackupPlace> {
        let at = |name: &str| format!("spec.recoveryPoint.existing.{name}");
        match (path, s3) {
            (Some(path), None) => Some(BackupPlace::Path {
                path: self.filled_path(&at("path"), path),
                globals: globals.map(|path| self.filled_path(&at("globals"), &path)),
            }),
            (None, Some(mut s3)) => {
                let key = s3.key.take();
                let key = self.backup_key(&at("s3"), key)?;
                if let Some(globals) = &globals {
                    self.text(&at("globals"), globals);
                }
                Some(BackupPlace::S3(Box::new(S3Backup {
                    place: self.bucket(&at("s3"), s3),
                    key,
                    globals,
                })))
            }
            (path, _) => {
                let message = match path {
                    Some(_) => "names two places",
                    None => "does not say where the backup is",
                };
                let field = "spec.recoveryPoint.existing";
                self.error(field, message, "either `path` or `s3`", "");
                None
            }
        }
    }

    fn backup_key(&mut self, field: &str, key: Option<String>) -> Option<String> {
        let Some(key) = key else {
            self.error(field, "does not say which object", "`key`", "");
            return None;
        };
        let field = format!("{field}.key");
        self.text(&field, &key);
        if key.starts_with('/') {
            let hint = "take the slash away: keys begin with a name";
            self.error(&field, "begins with a slash", "", hint);
        }
        let folder = key.trim_end_matches('/').rsplit_once('/');
        if folder.is_some_and(|(folder, _)| folder.contains(['*', '?'])) {
            let hint = "patterns are looked for below one prefix";
            self.error(&field, "has a pattern before its last component", "", hint);
        }
        Some(key)
    }

    fn bucket(&mut self, field: &str, s3: raw::S3) -> S3Place {
        let at = |name: &str| format!("{field}.{name}");
        if let Some(endpoint) = &s3.endpoint {
            self.endpoint(&at("endpoint"), endpoint);
        }
        if let Some(region) = &s3.region {
            self.text(&at("region"), region);
        }
        self.bucket_name(&at("bucket"), &s3.bucket);
        let credentials = s3
            .credentials
            .and_then(|given| self.credentials(&at("credentials"), given));
        let plain = s3
            .endpoint
            .as_deref()
            .is_some_and(|e| e.starts_with("http://"));
        let certificates = s3.ca_certificates.map(|path| {
            let field = at("caCertificates");
            if plain {
                let message = "certificates are not looked at on an unencrypted connection";
                self.error(&field, message, "", "use an endpoint with `https://`");
            }
            self.filled_path(&field, &path)
        });
        S3Place {
            path_style: s3.path_style.unwrap_or(s3.endpoint.is_some()),
            endpoint: s3.endpoint,
            region: s3.region.unwrap_or_else(|| REGION.to_owned()),
            bucket: s3.bucket,
            credentials,
            ca_certificates: certificates,
        }
    }

    fn credentials(&mut self, field: &str, given: raw::S3Credentials) -> Option<S3Credentials> {
        let id = self.secret(&format!("{field}.accessKeyId"), given.access_key_id);
        let secret = self.secret(&format!("{field}.secretAccessKey"), given.secret_access_key);
        Some(S3Credentials {
            access_key_id: id?,
            secret_access_key: secret?,
            session_token: None,
        })
    }

    fn endpoint(&mut self, field: &str, endpoint: &str) {
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| endpoint.strip_prefix(scheme));
        let expected = "such as https://s3.example or http://minio.storage.svc:9000";
        let Some(rest) = rest else {
            let message = "does not begin with `https://` or `http://`";
            self.error(field, message, expected, "");
            return;
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.contains('@') {
            let hint = "name them under `credentials`";
            self.error(field, "holds credentials", expected, hint);
        } else if host.contains(['/', '?', '#']) {
            let hint = "the bucket and the key have fields of their own";
            self.error(field, "has a path behind the host", expected, hint);
        } else if host.is_empty() || host.contains(char::is_whitespace) {
            self.error(field, "names no host", expected, "");
        }
    }

    fn bucket_name(&mut self, field: &str, name: &str) {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !(1..=BUCKET_LENGTH).contains(&name.len()) || !name.chars().all(known) {
            let hint = "the key has a field of its own";
            self.error(
                field,
                "is no name of a bucket",
                "letters, digits, `.`, `-`",
                hint,
            );
        }
    }

    /// Refuses a Secret of Kubernetes for what does not run there.
    pub(super) fn secrets_of_this_machine(&mut self, place: &S3Place, field: &str) {
        let Some(S3Credentials {
            access_key_id,
            secret_access_key,
            session_token: _,
        }) = &place.credentials
        else {
            return;
        };
        let sources = [
            ("accessKeyId", access_key_id),
            ("secretAccessKey", secret_access_key),
        ];
        for (name, source) in sources {
            if matches!(source, SecretSource::Kubernetes { .. }) {
                let field = format!("{field}.credentials.{name}");
                self.only_there(&field);
            }
        }
    }
}
