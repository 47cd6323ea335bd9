//! A drill as it is used: validated once, never doubted again.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::raw;
pub use crate::domain::store::{S3Credentials, S3Place, SecretSource};
use crate::{
    domain::{
        ids::DrillName,
        record::Profile,
        resource::{ClusterRef, WorkloadRef},
        step::Step,
    },
    schedule::Schedule,
};

/// A validated drill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    pub name: DrillName,
    pub labels: BTreeMap<String, String>,
    pub workload: Workload,
    pub recovery_point: RecoveryPointSource,
    pub sandbox: LocalSandbox,
    /// Where the restore happens in Kubernetes, and not on this machine.
    pub kubernetes: Option<KubernetesSandbox>,
    pub profile: Profile,
    pub objectives: Objectives,
    pub canary: Option<Canary>,
    pub checks: Checks,
    pub deadlines: BTreeMap<Step, Duration>,
    /// When it runs by itself, if it does.
    pub schedule: Option<Schedule>,
}

impl Drill {
    /// How often backups are really made in production, where the drill says.
    #[must_use]
    pub fn backup_interval(&self) -> Option<Duration> {
        match &self.recovery_point {
            RecoveryPointSource::Fresh(fresh) => fresh.backup_interval,
            RecoveryPointSource::Existing(backup) => backup.backup_interval,
            RecoveryPointSource::Snapshot(snapshot) => snapshot.backup_interval,
            RecoveryPointSource::ExistingSnapshot(snapshot) => snapshot.backup_interval,
        }
    }

    /// The workload, where it runs in Kubernetes.
    #[must_use]
    pub fn in_cluster(&self) -> Option<WorkloadRef> {
        let workload = self.workload.kubernetes()?;
        Some(WorkloadRef {
            cluster: self.cluster(),
            namespace: workload.namespace.clone(),
            stateful_set: workload.stateful_set.clone(),
        })
    }

    /// The cluster that its sandbox is in.
    #[must_use]
    pub fn cluster(&self) -> ClusterRef {
        let given = self.kubernetes.as_ref();
        ClusterRef {
            kubeconfig: given.and_then(|given| given.kubeconfig.clone()),
            context: given.and_then(|given| given.context.clone()),
        }
    }

    /// How long `step` may take.
    #[must_use]
    pub fn deadline(&self, step: Step) -> Duration {
        // There a dump is fetched before the copy starts.
        let fetched = step == Step::Start && self.kubernetes.is_some() && self.bucket().is_some();
        let like = if fetched { Step::Restore } else { step };
        let given = self.deadlines.get(&step).copied();
        given.unwrap_or_else(|| default_deadline(like))
    }

    /// How long all steps together may take.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Step::ALL.iter().map(|step| self.deadline(*step)).sum()
    }

    /// The bucket that the recovery point lies in, if it does.
    #[must_use]
    pub fn bucket(&self) -> Option<&S3Place> {
        match &self.recovery_point {
            RecoveryPointSource::Fresh(fresh) => fresh.to.as_ref().map(|target| &target.place),
            RecoveryPointSource::Existing(backup) => match &backup.at {
                BackupPlace::S3(stored) => Some(&stored.place),
                BackupPlace::Path { .. } => None,
            },
            RecoveryPointSource::Snapshot(_) | RecoveryPointSource::ExistingSnapshot(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn bucket_mut(&mut self) -> Option<&mut S3Place> {
        match &mut self.recovery_point {
            RecoveryPointSource::Fresh(fresh) => fresh.to.as_mut().map(|target| &mut target.place),
            RecoveryPointSource::Existing(backup) => match &mut backup.at {
                BackupPlace::S3(stored) => Some(&mut stored.place),
                BackupPlace::Path { .. } => None,
            },
            RecoveryPointSource::Snapshot(_) | RecoveryPointSource::ExistingSnapshot(_) => None,
        }
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

/// The field of a drill file that says how long a step may take.
#[must_use]
pub fn deadline_field(step: Step) -> Option<&'static str> {
    Some(match step {
        Step::Inspect => "spec.deadlines.inspect",
        Step::Capture => "spec.deadlines.capture",
        Step::OpenSandbox => "spec.deadlines.openSandbox",
        Step::Start => "spec.deadlines.start",
        Step::Restore => "spec.deadlines.restore",
        Step::Serve => "spec.deadlines.serve",
        Step::Verify => "spec.deadlines.verify",
        // It is no part of a drill that counts.
        Step::Spoil => return None,
    })
}

/// What is protected.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per drill, and it is never moved about"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

    /// Where it runs in Kubernetes, if it does.
    #[must_use]
    pub fn kubernetes(&self) -> Option<&KubernetesWorkload> {
        match self {
            Self::Postgresql(workload) => workload.kubernetes.as_ref(),
            Self::Sqlite(_) => None,
        }
    }
}

/// A PostgreSQL database reached by a connection. `connection` is `None` where
/// only an existing backup is drilled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostgresqlWorkload {
    pub connection: Option<PostgresqlConnection>,
    /// Where to look for the tools first: directories that hold `pg_dump`, or
    /// that hold `bin/pg_dump`.
    pub tools: Vec<PathBuf>,
    pub kubernetes: Option<KubernetesWorkload>,
}

/// A workload in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesWorkload {
    pub namespace: String,
    pub stateful_set: String,
    /// The engine's container; the obvious one where absent.
    pub container: Option<String>,
    /// Which of the replicas is restored.
    pub replica: u32,
    /// Its objects are taken from here, and not from the cluster.
    pub manifests: Vec<PathBuf>,
    /// The only volume with a claim where absent.
    pub data_volume: Option<String>,
    pub wal_volume: Option<String>,
    pub data_directory: Option<String>,
    pub superuser: String,
    pub database: Option<String>,
}

/// Where a PostgreSQL database is, and who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// An SQLite database file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SqliteWorkload {
    /// `None` where only an existing backup is drilled.
    pub file: Option<PathBuf>,
}

/// Where the recovery point comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum RecoveryPointSource {
    /// The run makes one, with the engine's own means.
    Fresh(FreshDump),
    /// One that is there already.
    Existing(ExistingBackup),
    /// The run cuts a snapshot of the workload's volumes.
    Snapshot(FreshSnapshot),
    /// Snapshots that are there already.
    ExistingSnapshot(ExistingSnapshot),
}

/// How a snapshot of volumes is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshSnapshot {
    /// The driver's default class where absent.
    pub class: Option<String>,
    pub group_class: Option<String>,
    /// The engine is told before and after the cut.
    pub hold: bool,
    /// How long it may be held at most.
    pub hold_limit: Duration,
    pub accept_torn_volumes: bool,
    pub backup_interval: Option<Duration>,
}

/// Which snapshot of those that exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingSnapshot {
    pub name: Option<String>,
    pub content: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub pick: Pick,
    pub accept_torn_volumes: bool,
    pub backup_interval: Option<Duration>,
}

/// Which of several recovery points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pick {
    Latest,
    Random,
}

/// How a fresh dump is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshDump {
    /// Parallel connections for dumping.
    pub jobs: u16,
    pub compression: Compression,
    /// How often backups are really made in production; with it the worst
    /// case can be told.
    pub backup_interval: Option<Duration>,
    /// Where the dump is kept until it is restored; in a directory of the run
    /// where absent.
    pub to: Option<S3Target>,
}

/// A place for what runs make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Target {
    #[serde(with = "as_text")]
    pub place: S3Place,
    /// What keys begin with, without a slash at either end; may be empty.
    pub prefix: String,
}

/// Compression of a fresh dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    None,
    Gzip(u8),
    Lz4,
    Zstd(u8),
}

/// A backup that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExistingBackup {
    pub at: BackupPlace,
    /// How often backups are really made in production; with it the worst
    /// case can be told.
    pub backup_interval: Option<Duration>,
}

/// Where an existing backup lies. The last component of its name may be a
/// pattern with `*` and `?`; the newest match counts. Roles and other globals
/// may belong to it, as `pg_dumpall --globals-only` writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BackupPlace {
    Path {
        path: PathBuf,
        globals: Option<PathBuf>,
    },
    S3(Box<S3Backup>),
}

/// A backup in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Backup {
    #[serde(with = "as_text")]
    pub place: S3Place,
    pub key: String,
    /// The key of its globals.
    pub globals: Option<String>,
}

/// Scratch directory and local processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A scratch namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesSandbox {
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    /// Classes of the sandbox by those of the workload.
    pub storage_classes: BTreeMap<String, String>,
    pub keep_containers: Vec<String>,
    pub leave_out_containers: Vec<String>,
    /// User and group of containers that would run as root.
    pub run_as: Option<(u32, u32)>,
    /// The size of the volume for a dump; the data volume's where absent.
    pub dump_size: Option<String>,
}

/// Targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    pub rto: Option<Duration>,
    pub rpo: Option<Duration>,
}

/// The canary table that Lifeboat writes into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// Qualified name; made if it is not there and rights allow.
    pub table: String,
    /// Time between two writes.
    pub interval: Duration,
}

/// Which checks are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Integrity {
    Off,
    /// Structure only.
    Quick,
    /// Every heap tuple is looked up in every index, too.
    Full,
}

impl From<raw::Integrity> for Integrity {
    fn from(written: raw::Integrity) -> Self {
        match written {
            raw::Integrity::Off => Self::Off,
            raw::Integrity::Quick => Self::Quick,
            raw::Integrity::Full => Self::Full,
        }
    }
}

/// A table's number of rows within bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCountCheck {
    pub table: String,
    pub min: Option<u64>,
    pub max: Option<u64>,
}

/// The user's own query and what it must give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryCheck {
    pub name: String,
    pub sql: String,
    pub expect: Expectation,
}

/// What a query must give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

/// What leaves out fields where they are absent, as the ledger has it, can be
/// read again only where fields have names.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    use super::S3Place;

    pub fn serialize<S: Serializer>(place: &S3Place, to: S) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(place).map_err(ser::Error::custom)?;
        to.serialize_str(&text)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<S3Place, D::Error> {
        let text = String::deserialize(from)?;
        serde_json::from_str(&text).map_err(de::Error::custom)
    }
}
