//! A drill as it is used: validated once, never doubted again.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::domain::{ids::DrillName, record::Profile, step::Step};

/// A validated drill.
#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    pub name: DrillName,
    pub labels: BTreeMap<String, String>,
    pub workload: Workload,
    pub recovery_point: RecoveryPointSource,
    pub sandbox: LocalSandbox,
    pub profile: Profile,
    pub objectives: Objectives,
    pub canary: Option<Canary>,
    pub checks: Checks,
    pub deadlines: BTreeMap<Step, Duration>,
}

impl Drill {
    /// How often backups are really made in production, where the drill says.
    #[must_use]
    pub fn backup_interval(&self) -> Option<Duration> {
        match &self.recovery_point {
            RecoveryPointSource::Fresh(fresh) => fresh.backup_interval,
            RecoveryPointSource::Existing(backup) => backup.backup_interval,
        }
    }

    /// How long `step` may take.
    #[must_use]
    pub fn deadline(&self, step: Step) -> Duration {
        self.deadlines
            .get(&step)
            .copied()
            .unwrap_or_else(|| default_deadline(step))
    }
}

/// How long a step may take where the drill does not say.
#[must_use]
pub fn default_deadline(step: Step) -> Duration {
    const MINUTE: u64 = 60;
    Duration::from_secs(match step {
        Step::Inspect | Step::Serve | Step::OpenSandbox | Step::Spoil => MINUTE,
        Step::Start => 10 * MINUTE,
        Step::Capture | Step::Restore | Step::Verify => 6 * 60 * MINUTE,
    })
}

/// What is protected.
#[derive(Debug, Clone, PartialEq)]
pub enum Workload {
    Postgresql(PostgresqlWorkload),
    Sqlite(SqliteWorkload),
}

impl Workload {
    /// The engine's name.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Postgresql(_) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        }
    }
}

/// A PostgreSQL database reached by a connection. `connection` is `None` where
/// only an existing backup is drilled.
#[derive(Debug, Clone, PartialEq)]
pub struct PostgresqlWorkload {
    pub connection: Option<PostgresqlConnection>,
    /// Where to look for the tools first: directories that hold `pg_dump`, or
    /// that hold `bin/pg_dump`.
    pub tools: Vec<PathBuf>,
}

/// Where a PostgreSQL database is, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresqlConnection {
    /// A host name or address, or the directory of a unix socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Option<SecretSource>,
    pub tls: TlsMode,
    /// Certificates to trust, PEM; the system's where absent.
    pub root_certificates: Option<PathBuf>,
}

/// How far a connection is protected, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where a secret is read from, at the moment it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    Env(String),
    File(PathBuf),
}

/// An SQLite database file.
#[derive(Debug, Clone, PartialEq)]
pub struct SqliteWorkload {
    /// `None` where only an existing backup is drilled.
    pub file: Option<PathBuf>,
}

/// Where the recovery point comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum RecoveryPointSource {
    /// The run makes one, with the engine's own means.
    Fresh(FreshDump),
    /// One that is there already.
    Existing(ExistingBackup),
}

/// How a fresh dump is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshDump {
    /// Parallel connections for dumping.
    pub jobs: u16,
    pub compression: Compression,
    /// How often backups are really made in production; with it the worst
    /// case can be told.
    pub backup_interval: Option<Duration>,
}

/// Compression of a fresh dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip(u8),
    Lz4,
    Zstd(u8),
}

/// Backups that exist: a path, whose last component may be a pattern with `*`
/// and `?`; the newest match counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingBackup {
    pub path: PathBuf,
    /// Roles and other globals that belong to it, as `pg_dumpall
    /// --globals-only` writes them.
    pub globals: Option<PathBuf>,
    /// How often backups are really made in production; with it the worst
    /// case can be told.
    pub backup_interval: Option<Duration>,
}

/// Scratch directory and local processes.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalSandbox {
    /// Where scratch directories are made; Lifeboat's own place where absent.
    pub directory: Option<PathBuf>,
    /// Parallel jobs of the restore.
    pub restore_jobs: u16,
    /// Parallel connections of the checks.
    pub verify_jobs: u16,
    /// Settings of the scratch instance, over those copied from the source.
    pub settings: BTreeMap<String, String>,
    /// The major version to restore into; the source's where absent.
    pub version: Option<u16>,
    /// Go on when the fence cannot be put up.
    pub allow_unfenced: bool,
}

/// Targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objectives {
    pub rto: Option<Duration>,
    pub rpo: Option<Duration>,
}

/// The canary table that Lifeboat writes into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Qualified name; made if it is not there and rights allow.
    pub table: String,
    /// Time between two writes.
    pub interval: Duration,
}

/// Which checks are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Checks {
    /// How content is compared; `None` where it is not.
    pub fingerprints: Option<Equality>,
    pub schema: bool,
    pub integrity: Integrity,
    pub environment: bool,
    pub row_counts: Vec<RowCountCheck>,
    pub queries: Vec<QueryCheck>,
    /// A query whose single timestamp is the newest write, for the RPO.
    pub newest_write: Option<String>,
    /// Tables left out of fingerprints, by exact qualified name.
    pub exclude_tables: Vec<String>,
    /// `pg_restore` errors to be tolerated, by object or message fragment.
    pub tolerate: Vec<String>,
}

/// When two values count as the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Equality {
    /// Hashed by their type, so that every difference shows.
    #[default]
    Typed,
    /// Hashed by their text.
    Text,
    /// As `Typed`, but jsonb by the server's own hash, which is faster, and
    /// blind to the sign and scale of numbers and to how arrays are nested.
    Fast,
}

/// How deep the engine's own checks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    Off,
    /// Structure only.
    Quick,
    /// Every heap tuple is looked up in every index, too.
    Full,
}

/// A table's number of rows within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowCountCheck {
    pub table: String,
    pub min: Option<u64>,
    pub max: Option<u64>,
}

/// The user's own query and what it must give.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryCheck {
    pub name: String,
    pub sql: String,
    pub expect: Expectation,
}

/// What a query must give.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// The first column of the first row, compared as number where both are
    /// numbers, else as text.
    Value {
        operator: Comparison,
        operand: String,
    },
    /// The age of the timestamp in the first column of the first row, at
    /// `declared`.
    Age {
        operator: Comparison,
        limit: Duration,
    },
    /// All rows, as text, `None` for null.
    Rows(Vec<Vec<Option<String>>>),
    /// At least one row.
    SomeRows,
    /// No row.
    NoRows,
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether `ordering` of left to right satisfies the comparison.
    #[must_use]
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
