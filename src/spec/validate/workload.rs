//! What is protected, and what goes with it.

use super::Context;
use crate::spec::{
    drill::{
        PostgresqlConnection, PostgresqlWorkload, SecretSource, SqliteWorkload, TlsMode, Workload,
    },
    raw,
};

/// Fields that mean nothing for an SQLite file.
const POSTGRESQL_ONLY: [&str; 8] = [
    "spec.recoveryPoint.existing.globals",
    "spec.recoveryPoint.existing.s3",
    "spec.recoveryPoint.fresh.to",
    "spec.recoveryPoint.fresh.jobs",
    "spec.recoveryPoint.fresh.compression",
    "spec.sandbox.local.settings",
    "spec.sandbox.local.version",
    "spec.checks.tolerate",
];

impl Context<'_> {
    pub(super) fn workload(&mut self, workload: raw::Workload) -> Option<Workload> {
        match (workload.postgresql, workload.sqlite) {
            (Some(postgresql), None) => {
                let connection = postgresql.connection.map(|c| self.connection(c));
                let tools = postgresql
                    .tools
                    .iter()
                    .map(|tool| self.path(tool))
                    .collect();
                let kubernetes = postgresql
                    .kubernetes
                    .map(|k| self.workload_in_kubernetes(k));
                Some(Workload::Postgresql(PostgresqlWorkload {
                    connection,
                    tools,
                    kubernetes,
                }))
            }
            (None, Some(sqlite)) => {
                let field = "spec.workload.sqlite.file";
                let file = sqlite.file.map(|file| self.filled_path(field, &file));
                Some(Workload::Sqlite(SqliteWorkload { file }))
            }
            (found, _) => {
                let message = match found {
                    Some(_) => "names two engines",
                    None => "names no engine",
                };
                self.error(
                    "spec.workload",
                    message,
                    "one of `postgresql`, `sqlite`",
                    "",
                );
                None
            }
        }
    }

    /// Refuses what cannot work together, or would be passed over in silence.
    pub(super) fn combination(&mut self, workload: &Workload, made: bool, dumped: bool) {
        if dumped {
            self.fresh_needs(workload);
        }
        if !made && self.places.contains_key("spec.canary") {
            self.error(
                "spec.canary",
                "a canary cannot be in a backup that exists before the run writes it",
                "",
                "take the canary out, or use `recoveryPoint: { fresh: {} }`",
            );
        }
        if matches!(workload, Workload::Sqlite(_)) {
            for field in POSTGRESQL_ONLY {
                if self.places.contains_key(field) {
                    let hint = "take it out: it would have no effect";
                    self.error(field, "is for PostgreSQL only", "", hint);
                }
            }
        }
    }

    fn fresh_needs(&mut self, workload: &Workload) {
        let (field, missing) = match workload {
            Workload::Postgresql(w) if w.connection.is_none() => {
                ("spec.workload.postgresql", "connection")
            }
            Workload::Sqlite(w) if w.file.is_none() => ("spec.workload.sqlite", "file"),
            _ => return,
        };
        let message = format!("a fresh recovery point needs `{missing}`");
        let hint = "give it, or name a backup under spec.recoveryPoint.existing";
        self.error(field, &message, "", hint);
    }

    fn connection(&mut self, connection: raw::Connection) -> PostgresqlConnection {
        let at = |name: &str| format!("spec.workload.postgresql.connection.{name}");
        self.text(&at("host"), &connection.host);
        self.text(&at("database"), &connection.database);
        self.text(&at("user"), &connection.user);
        let tls = match connection.tls.mode {
            raw::TlsMode::Disable => TlsMode::Disable,
            raw::TlsMode::Prefer => TlsMode::Prefer,
            raw::TlsMode::Require => TlsMode::Require,
            raw::TlsMode::VerifyCa => TlsMode::VerifyCa,
            raw::TlsMode::VerifyFull => TlsMode::VerifyFull,
        };
        let certificates = at("tls.rootCertificates");
        if connection.tls.root_certificates.is_some()
            && !matches!(tls, TlsMode::VerifyCa | TlsMode::VerifyFull)
        {
            let message = "certificates are not looked at in this TLS mode";
            self.error(&certificates, message, "", "use `mode: verify-full`");
        }
        PostgresqlConnection {
            password: connection
                .password
                .and_then(|p| self.secret(&at("password"), p)),
            root_certificates: connection
                .tls
                .root_certificates
                .map(|path| self.filled_path(&certificates, &path)),
            host: connection.host,
            port: connection.port.unwrap_or(5432),
            database: connection.database,
            user: connection.user,
            tls,
        }
    }

    pub(super) fn secret(&mut self, field: &str, secret: raw::Secret) -> Option<SecretSource> {
        match (secret.env, secret.file, secret.secret) {
            (Some(name), None, None) => {
                self.text(&format!("{field}.env"), &name);
                Some(SecretSource::Env(name))
            }
            (None, Some(path), None) => {
                let path = self.filled_path(&format!("{field}.file"), &path);
                Some(SecretSource::File(path))
            }
            (None, None, Some(raw::SecretKey { name, key })) => {
                self.text(&format!("{field}.secret.name"), &name);
                self.text(&format!("{field}.secret.key"), &key);
                Some(SecretSource::Kubernetes { name, key })
            }
            _ => {
                self.error(
                    field,
                    "names no single source",
                    "one of `env`, `file`, `secret`",
                    "",
                );
                None
            }
        }
    }
}
