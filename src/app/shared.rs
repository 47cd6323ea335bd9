//! A history that processes on several machines share.

use std::time::Duration;

use crate::domain::failure::{Failure, FailureKind};

/// What the driver knows. Source: sqlx, documentation of `PgConnectOptions`.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "ssl-ca",
    "statement-cache-capacity",
];

const LEAST_CLAIM: Duration = Duration::from_secs(1);

/// Where it is, and how it is shared.
#[derive(Debug, Clone)]
pub struct Shared {
    /// `postgresql://...`
    pub url: String,
    /// How long a process counts as alive that says nothing.
    pub claim: Duration,
}

impl Shared {
    /// The address without what is secret in it.
    #[must_use]
    pub fn shown(&self) -> String {
        let Some(uri) = self.read() else {
            // What cannot be read may be a secret anywhere.
            return "at an address that cannot be read".to_owned();
        };
        let host = uri.host().unwrap_or_default();
        let port = uri.port().map_or(String::new(), |port| format!(":{port}"));
        format!("postgresql://{host}{port}{}", uri.path())
    }

    /// The address, if it is one.
    fn read(&self) -> Option<http::Uri> {
        let rest = ["postgresql://", "postgres://"]
            .iter()
            .find_map(|scheme| self.url.strip_prefix(scheme))?;
        // Without a host it is no address of the web.
        let host = if rest.starts_with(['/', '?']) {
            "local"
        } else {
            ""
        };
        let uri: http::Uri = format!("postgresql://{host}{rest}").parse().ok()?;
        // A password that is not written as it must be ends up elsewhere.
        let port = uri
            .authority()?
            .as_str()
            .rsplit(['@', ']'])
            .next()?
            .contains(':');
        let whole = !uri.path().contains('@') && port == uri.port_u16().is_some();
        whole.then_some(uri)
    }

    /// # Errors
    /// If it is no address of PostgreSQL.
    pub fn check(&self) -> Result<(), Failure> {
        let wrong = |why: &str| {
            let message = format!("cannot use --history: {why}");
            Failure::new(FailureKind::Invalid, message).hint(
                "such as postgresql://lifeboat@db.example/lifeboat?sslmode=verify-full; a \
                 password is best left to PGPASSWORD or PGPASSFILE",
            )
        };
        let Some(uri) = self.read() else {
            return Err(wrong("it is no postgresql:// address"));
        };
        // The driver would write what it does not know into the log.
        let parameters = uri.query().unwrap_or_default().split('&');
        let names = parameters.filter_map(|one| one.split('=').next());
        let mut unknown = names.filter(|name| !name.is_empty() && !PARAMETERS.contains(name));
        if let Some(name) = unknown.next() {
            return Err(wrong(&format!("there is no parameter {name}")));
        }
        if self.claim < LEAST_CLAIM {
            return Err(wrong("--claim must be at least 1s"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(url: &str) -> Shared {
        let url = url.to_owned();
        let claim = LEAST_CLAIM;
        Shared { url, claim }
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        const NONE: &str = "at an address that cannot be read";
        for (url, shown) in [
            (
                "postgresql://a:p%40s@db.prod:5433/boat?sslmode=require",
                "postgresql://db.prod:5433/boat",
            ),
            ("postgres://db/boat?password=x", "postgresql://db/boat"),
            ("postgresql://a:x@[::1]/b", "postgresql://[::1]/b"),
            ("postgresql:///b?host=/run/pg", "postgresql://local/b"),
            ("nothing", NONE),
            ("postgresql://u:pa/ss@h/db", NONE),
            ("postgresql://u:p#x@h/db", NONE),
            ("host=h password=x", NONE),
        ] {
            assert_eq!(shared(url).shown(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (url, good) in [
            ("postgresql://db/boat?sslmode=require", true),
            ("postgresql:///b?host=/run/pg&port=1&user=x", true),
            ("postgresql://db/boat?sslpassword=x", false),
            ("host=h password=x", false),
            ("mysql://db/boat", false),
        ] {
            let checked = shared(url).check();
            assert_eq!(checked.is_ok(), good, "{url}");
            assert!(checked.is_ok() || !checked.unwrap_err().message.contains("=x"));
        }
        let mut short = shared("postgresql://db/boat");
        short.claim = Duration::ZERO;
        assert!(short.check().is_err());
    }
}
