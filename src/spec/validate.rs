//! Turns what was read into a [`Drill`], or says why it makes no sense.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    drill::{
        Canary, Checks, Compression, Drill, ExistingBackup, Expectation, FreshDump, Integrity,
        LocalSandbox, Objectives, PostgresqlConnection, PostgresqlWorkload, QueryCheck,
        RecoveryPointSource, RowCountCheck, SecretSource, SqliteWorkload, TlsMode, Workload,
    },
    duration,
    error::{Place, SpecError},
    expect, raw,
    shape::{Reading, shorten},
};
use crate::domain::{ids::DrillName, step::Step};

/// Validates; `None` where an error was added.
pub(super) fn drill(reading: Reading, origin: &Path, errors: &mut Vec<SpecError>) -> Option<Drill> {
    let mut context = Context {
        origin,
        places: reading.places,
        broken: reading.broken,
        errors: Vec::new(),
    };
    let drill = context.drill(reading.file);
    let clean = context.errors.is_empty() && context.broken.is_empty();
    errors.append(&mut context.errors);
    drill.filter(|_| clean)
}

struct Context<'a> {
    origin: &'a Path,
    places: HashMap<String, Place>,
    broken: Vec<String>,
    errors: Vec<SpecError>,
}

impl Context<'_> {
    /// Adds an error, unless it only follows from one that is known.
    fn error(&mut self, field: &str, message: &str, expected: &str, hint: &str) {
        let within = |outer: &str, inner: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let known = |path: &String| within(path, field) || within(field, path);
        if self.broken.iter().any(known) {
            return;
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut error = SpecError::new(self.origin, self.place(field), field, message);
        error.expected = some(expected);
        self.errors.push(error.hint(some(hint)));
    }

    /// Where a field stands, or the nearest field around it that is written.
    fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return self.places.get("").copied().unwrap_or(Place::START);
            };
            path = &path[..end];
        }
    }

    fn path(&self, text: &str) -> PathBuf {
        self.origin.parent().unwrap_or(Path::new("")).join(text)
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.trim().is_empty() {
            self.error(field, "is empty", "", "");
        } else if text.contains('\0') {
            self.error(field, "holds a null byte", "", "");
        }
    }

    fn filled_path(&mut self, field: &str, text: &str) -> PathBuf {
        self.text(field, text);
        self.path(text)
    }

    fn duration(&mut self, field: &str, text: &raw::DurationText) -> Duration {
        let read = duration::parse(&text.0);
        if read.is_none() {
            let message = format!("`{}` is not a duration", shorten(&text.0));
            self.error(field, &message, "a number with a unit, such as 15m", "");
        } else if read == Some(Duration::ZERO) {
            self.error(field, "must be longer than nothing", "", "");
        }
        read.unwrap_or_default()
    }

    fn optional(&mut self, field: &str, text: Option<&raw::DurationText>) -> Option<Duration> {
        text.map(|text| self.duration(field, text))
    }

    fn drill(&mut self, file: raw::DrillFile) -> Option<Drill> {
        let name = match DrillName::try_from(file.metadata.name) {
            Ok(name) => Some(name),
            Err(error) => {
                self.error("metadata.name", &error.to_string(), "", "");
                None
            }
        };
        let spec = file.spec;
        let fresh = spec.recovery_point.existing.is_none();
        let workload = self.workload(spec.workload);
        let recovery_point = self.recovery_point(spec.recovery_point);
        if let (Some(workload), true) = (&workload, fresh) {
            self.fresh_needs(workload);
        }
        if spec.canary.is_some() && !fresh {
            self.error(
                "spec.canary",
                "a canary cannot be in a backup that exists before the run writes it",
                "",
                "take the canary out, or use `recoveryPoint: { fresh: {} }`",
            );
        }
        let canary = spec.canary.map(|canary| self.canary(canary));
        let objectives = Objectives {
            rto: self.optional("spec.objectives.rto", spec.objectives.rto.as_ref()),
            rpo: self.optional("spec.objectives.rpo", spec.objectives.rpo.as_ref()),
        };
        let sandbox = self.sandbox(spec.sandbox.local);
        let checks = self.checks(spec.checks, fresh);
        let deadlines = self.deadlines(&spec.deadlines);
        Some(Drill {
            name: name?,
            labels: file.metadata.labels,
            workload: workload?,
            recovery_point,
            sandbox,
            profile: spec.profile,
            objectives,
            canary,
            checks,
            deadlines,
        })
    }

    fn workload(&mut self, workload: raw::Workload) -> Option<Workload> {
        match (workload.postgresql, workload.sqlite) {
            (Some(postgresql), None) => {
                let connection = postgresql.connection.map(|c| self.connection(c));
                let tools = postgresql
                    .tools
                    .iter()
                    .map(|tool| self.path(tool))
                    .collect();
                Some(Workload::Postgresql(PostgresqlWorkload {
                    connection,
                    tools,
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
        if connection.port == Some(0) {
            self.error(&at("port"), "0 is no port", "1 to 65535", "");
        }
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

    fn secret(&mut self, field: &str, secret: raw::Secret) -> Option<SecretSource> {
        match (secret.env, secret.file) {
            (Some(name), None) => {
                self.text(&format!("{field}.env"), &name);
                Some(SecretSource::Env(name))
            }
            (None, Some(path)) => {
                let path = self.filled_path(&format!("{field}.file"), &path);
                Some(SecretSource::File(path))
            }
            _ => {
                self.error(
                    field,
                    "names no single source",
                    "either `env` or `file`",
                    "",
                );
                None
            }
        }
    }

    fn recovery_point(&mut self, point: raw::RecoveryPoint) -> RecoveryPointSource {
        if point.fresh.is_some() && point.existing.is_some() {
            let message = "names both a fresh and an existing recovery point";
            self.error("spec.recoveryPoint", message, "`fresh` or `existing`", "");
        }
        if let Some(existing) = point.existing {
            let at = |name: &str| format!("spec.recoveryPoint.existing.{name}");
            return RecoveryPointSource::Existing(ExistingBackup {
                path: self.filled_path(&at("path"), &existing.path),
                globals: existing
                    .globals
                    .map(|path| self.filled_path(&at("globals"), &path)),
                backup_interval: self
                    .optional(&at("backupInterval"), existing.backup_interval.as_ref()),
            });
        }
        let fresh = point.fresh.unwrap_or_default();
        let at = |name: &str| format!("spec.recoveryPoint.fresh.{name}");
        let text = fresh.compression.as_deref().unwrap_or("gzip:1");
        let compression = compression(text).unwrap_or_else(|| {
            self.error(
                &at("compression"),
                &format!("`{}` is not a compression", shorten(text)),
                "`none`, `lz4`, `gzip:1` to `gzip:9` or `zstd:1` to `zstd:22`",
                "",
            );
            Compression::None
        });
        RecoveryPointSource::Fresh(FreshDump {
            jobs: fresh.jobs.unwrap_or_else(default_jobs),
            compression,
            backup_interval: self.optional(&at("backupInterval"), fresh.backup_interval.as_ref()),
        })
    }

    fn sandbox(&mut self, local: raw::Local) -> LocalSandbox {
        let field = "spec.sandbox.local.directory";
        LocalSandbox {
            directory: local.directory.map(|path| self.filled_path(field, &path)),
            restore_jobs: local.restore_jobs.unwrap_or_else(default_jobs),
            verify_jobs: local.verify_jobs.unwrap_or_else(default_jobs),
            settings: local.settings.into_iter().map(|(k, v)| (k, v.0)).collect(),
            version: local.version,
            allow_unfenced: local.allow_unfenced,
        }
    }

    fn canary(&mut self, canary: raw::Canary) -> Canary {
        self.text("spec.canary.table", &canary.table);
        let field = "spec.canary.interval";
        let interval = self.optional(field, canary.interval.as_ref());
        Canary {
            table: canary.table,
            interval: interval.unwrap_or(Duration::from_millis(100)),
        }
    }

    fn checks(&mut self, checks: raw::Checks, fresh: bool) -> Checks {
        let exact_text = matches!(checks.fingerprints, Some(raw::Fingerprints::By(_)));
        let fingerprints = match checks.fingerprints {
            None => fresh,
            Some(raw::Fingerprints::Switch(on)) => on,
            Some(raw::Fingerprints::By(_)) => true,
        };
        let unfounded = [
            (
                "fingerprints",
                checks.fingerprints.is_some() && fingerprints,
            ),
            ("schema", checks.schema == Some(true)),
        ];
        for (name, wanted) in unfounded {
            if wanted && !fresh {
                self.error(
                    &format!("spec.checks.{name}"),
                    "an existing backup has no source at its cut to be compared with",
                    "",
                    "leave it out; use rowCounts and queries",
                );
            }
        }
        if let Some(sql) = &checks.newest_write {
            self.text("spec.checks.newestWrite", sql);
        }
        Checks {
            fingerprints,
            exact_text,
            schema: checks.schema.unwrap_or(fresh),
            integrity: match checks.integrity {
                raw::Integrity::Off => Integrity::Off,
                raw::Integrity::Quick => Integrity::Quick,
                raw::Integrity::Full => Integrity::Full,
            },
            environment: checks.environment.unwrap_or(true),
            row_counts: self.row_counts(checks.row_counts),
            queries: self.queries(checks.queries),
            newest_write: checks.newest_write,
            exclude_tables: checks.exclude_tables,
            tolerate: self.tolerated(checks.tolerate),
        }
    }

    fn tolerated(&mut self, fragments: Vec<String>) -> Vec<String> {
        for (index, fragment) in fragments.iter().enumerate() {
            // An empty fragment is part of every message.
            self.text(&format!("spec.checks.tolerate[{index}]"), fragment);
        }
        fragments
    }

    fn row_counts(&mut self, counts: Vec<raw::RowCount>) -> Vec<RowCountCheck> {
        for (index, count) in counts.iter().enumerate() {
            let field = format!("spec.checks.rowCounts[{index}]");
            self.text(&format!("{field}.table"), &count.table);
            match (count.min, count.max) {
                (None, None) => self.error(&field, "has no bound", "`min`, `max` or both", ""),
                (Some(min), Some(max)) if min > max => {
                    let message = format!("min {min} is greater than max {max}");
                    self.error(&field, &message, "", "");
                }
                _ => {}
            }
        }
        let check = |c: raw::RowCount| RowCountCheck {
            table: c.table,
            min: c.min,
            max: c.max,
        };
        counts.into_iter().map(check).collect()
    }

    fn queries(&mut self, queries: Vec<raw::Query>) -> Vec<QueryCheck> {
        let mut checks: Vec<QueryCheck> = Vec::new();
        for (index, query) in queries.into_iter().enumerate() {
            let field = format!("spec.checks.queries[{index}]");
            self.text(&format!("{field}.name"), &query.name);
            self.text(&format!("{field}.sql"), &query.sql);
            if checks.iter().any(|other| other.name == query.name) {
                let message = format!("two queries are named `{}`", shorten(&query.name));
                self.error(&format!("{field}.name"), &message, "", "");
            }
            let expect = self.expectation(&format!("{field}.expect"), query.expect);
            checks.push(QueryCheck {
                name: query.name,
                sql: query.sql,
                expect,
            });
        }
        checks
    }

    fn expectation(&mut self, field: &str, expect: raw::Expect) -> Expectation {
        let read = match expect {
            raw::Expect::Line(line) => expect::parse(&line),
            raw::Expect::Detail(detail) => match (detail.value, detail.rows) {
                (Some(value), None) => expect::value(&value),
                (None, Some(rows)) => {
                    let cells = |row: Vec<raw::CellText>| row.into_iter().map(|c| c.0).collect();
                    Ok(Expectation::Rows(rows.into_iter().map(cells).collect()))
                }
                _ => Err("names no single expectation".to_owned()),
            },
        };
        read.unwrap_or_else(|message| {
            self.error(field, &message, expect::EXPECTED, "");
            Expectation::SomeRows
        })
    }

    fn deadlines(&mut self, deadlines: &raw::Deadlines) -> BTreeMap<Step, Duration> {
        let all = [
            ("inspect", Step::Inspect, &deadlines.inspect),
            ("capture", Step::Capture, &deadlines.capture),
            ("openSandbox", Step::OpenSandbox, &deadlines.open_sandbox),
            ("start", Step::Start, &deadlines.start),
            ("restore", Step::Restore, &deadlines.restore),
            ("serve", Step::Serve, &deadlines.serve),
            ("verify", Step::Verify, &deadlines.verify),
        ];
        let given = all.into_iter().filter_map(|(name, step, text)| {
            let field = format!("spec.deadlines.{name}");
            Some((step, self.duration(&field, text.as_ref()?)))
        });
        given.collect()
    }
}

/// As many jobs as there are processors, at most 4.
fn default_jobs() -> u16 {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(processors.min(4)).unwrap_or(4)
}

fn compression(text: &str) -> Option<Compression> {
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level.parse::<u8>().ok()?)),
        None => (text, None),
    };
    match (name, level) {
        ("none", None) => Some(Compression::None),
        ("lz4", None) => Some(Compression::Lz4),
        ("gzip", None) => Some(Compression::Gzip(1)),
        ("gzip", Some(level @ 1..=9)) => Some(Compression::Gzip(level)),
        ("zstd", None) => Some(Compression::Zstd(3)),
        ("zstd", Some(level @ 1..=22)) => Some(Compression::Zstd(level)),
        _ => None,
    }
}
