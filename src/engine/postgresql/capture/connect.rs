//! How `pg_dump` reaches the source: a connection string without secrets, and
//! a password file that is there only as long as it is needed.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    engine::postgresql::endpoint::Endpoint,
    process::Account,
    spec::drill::TlsMode,
};

/// Where distributions keep the certificates they trust, Debian's first.
const SYSTEM_CERTIFICATES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The name of the password file.
pub(super) const PASSWORD_FILE: &str = ".pgpass";

/// A password file as libpq reads it; removed when dropped.
#[derive(Debug)]
pub(super) struct PasswordFile {
    path: PathBuf,
}

impl PasswordFile {
    /// Writes it into `directory`, readable by `account` alone. An argument
    /// could be read by everyone, an environment variable lives as long as
    /// the process.
    ///
    /// # Errors
    /// If it can't be written, or the password can't stand in such a file.
    pub(super) fn write(
        directory: &Path,
        password: &SecretString,
        account: Option<Account>,
    ) -> Result<Self, Failure> {
        let password = password.expose_secret();
        if password.contains(['\n', '\r', '\0']) {
            return Err(Failure::new(
                FailureKind::Invalid,
                "the password holds a line break, which pg_dump cannot be given",
            ));
        }
        let file = Self {
            path: directory.join(PASSWORD_FILE),
        };
        let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
        let written = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file.path)
            .and_then(|mut open| writeln!(open, "*:*:*:*:{escaped}"))
            .and_then(|()| match account {
                Some(account) => chown(&file.path, Some(account.uid), Some(account.gid)),
                None => Ok(()),
            });
        written.map_err(|error| {
            Failure::new(
                FailureKind::Exhausted,
                format!(
                    "cannot write the password file in {}: {error}",
                    directory.display()
                ),
            )
        })?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        // The directory goes with the run in any case.
        let _ = fs::remove_file(&self.path);
    }
}

/// A libpq connection string: every value quoted, so that none can be taken
/// for something else. Without the password.
pub(super) fn connection_string(
    endpoint: &Endpoint,
    run: RunId,
    password_file: Option<&PasswordFile>,
) -> String {
    let mut values = vec![
        ("host", endpoint.host.clone()),
        ("port", endpoint.port.to_string()),
        ("dbname", endpoint.database.clone()),
        ("user", endpoint.user.clone()),
        (
            "application_name",
            format!("lifeboat {}", run.resource_name()),
        ),
        ("connect_timeout", "10".to_owned()),
        ("gssencmode", "disable".to_owned()),
        ("sslmode", ssl_mode(endpoint.tls).to_owned()),
        // Where there is no password, no file of the user's may give one.
        ("passfile", "/dev/null".to_owned()),
    ];
    if let Some(file) = password_file {
        values.pop();
        values.push(("passfile", file.path().display().to_string()));
    }
    if let Some(path) = certificates(endpoint) {
        values.push(("sslrootcert", path.display().to_string()));
    }
    let quoted = values.iter().map(|(key, value)| {
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        format!("{key}='{value}'")
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn ssl_mode(tls: TlsMode) -> &'static str {
    match tls {
        TlsMode::Disable => "disable",
        TlsMode::Prefer => "prefer",
        TlsMode::Require => "require",
        TlsMode::VerifyCa => "verify-ca",
        TlsMode::VerifyFull => "verify-full",
    }
}

/// libpq before version 16 does not know the system's certificates by itself.
fn certificates(endpoint: &Endpoint) -> Option<PathBuf> {
    if endpoint.root_certificates.is_some() {
        return endpoint.root_certificates.clone();
    }
    let verified = matches!(endpoint.tls, TlsMode::VerifyCa | TlsMode::VerifyFull);
    let mut known = SYSTEM_CERTIFICATES.iter().map(PathBuf::from);
    if verified {
        known.find(|path| path.is_file())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_can_be_taken_for_another_parameter() {
        let endpoint = Endpoint {
            host: "db".into(),
            port: 5432,
            database: "x' host='evil".into(),
            user: "a\\b".into(),
            password: Some("secret".to_owned().into()),
            tls: TlsMode::Require,
            root_certificates: None,
            read_only: true,
        };
        let run = RunId::new(jiff::Timestamp::UNIX_EPOCH);
        let text = connection_string(&endpoint, run, None);
        assert!(text.contains("dbname='x\\' host=\\'evil'"), "{text}");
        assert!(text.contains("user='a\\\\b'"), "{text}");
        assert!(text.contains("sslmode='require'"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn the_password_file_is_private_and_goes_away() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let secret = SecretString::from("a:b\\c".to_owned());
        let file = PasswordFile::write(directory.path(), &secret, None).unwrap();
        let path = file.path().to_owned();
        assert_eq!(fs::read_to_string(&path).unwrap(), "*:*:*:*:a\\:b\\\\c\n");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
        let broken = SecretString::from("a\nb".to_owned());
        assert!(PasswordFile::write(directory.path(), &broken, None).is_err());
    }
}
