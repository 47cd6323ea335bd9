//! Drill files as they are written. The JSON schema that guides both editors
//! and the reader is made from these types; doc comments are its descriptions.

pub mod schedule;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::record::Profile;

/// A restore drill of Lifeboat.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Lifeboat drill")]
pub struct DrillFile {
    /// The version of this format.
    pub api_version: ApiVersion,
    /// What the document is.
    pub kind: Kind,
    pub metadata: Metadata,
    pub spec: Spec,
}

/// Versions of the format.
#[derive(Debug, Deserialize, JsonSchema)]
pub enum ApiVersion {
    #[serde(rename = "lifeboat.dev/v1alpha1")]
    V1Alpha1,
}

/// Kinds of documents.
#[derive(Debug, Deserialize, JsonSchema)]
pub enum Kind {
    Drill,
}

/// How the drill is called.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// 1 to 63 lower-case letters, digits and hyphens.
    #[schemars(example = "shop-nightly")]
    pub name: String,
    /// Free labels, shown with every run.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What is drilled, and how.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    pub workload: Workload,
    #[serde(default)]
    pub recovery_point: RecoveryPoint,
    #[serde(default)]
    pub sandbox: Sandbox,
    /// What may be concluded from the time that a run takes.
    #[serde(default)]
    pub profile: Profile,
    #[serde(default)]
    pub objectives: Objectives,
    pub canary: Option<Canary>,
    #[serde(default)]
    pub checks: Checks,
    #[serde(default)]
    pub deadlines: Deadlines,
    pub schedule: Option<schedule::Schedule>,
}

/// What is protected: exactly one engine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Workload {
    pub postgresql: Option<Postgresql>,
    pub sqlite: Option<Sqlite>,
}

/// A PostgreSQL database.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgresql {
    /// Needed for a fresh recovery point.
    pub connection: Option<Connection>,
    /// Directories to look for the tools in first: they hold `pg_dump` or
    /// `bin/pg_dump`.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Where it runs in Kubernetes. The copy is then made of its own objects.
    pub kubernetes: Option<KubernetesWorkload>,
}

/// A workload in Kubernetes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesWorkload {
    /// The namespace that it lives in.
    pub namespace: String,
    /// The StatefulSet's name.
    pub stateful_set: String,
    /// The container that runs the engine. Default: the only one, or the one
    /// that is called like the engine.
    pub container: Option<String>,
    /// Which of its replicas is restored. Default 0.
    #[serde(default)]
    pub replica: u32,
    /// Files with its objects, where those in the cluster are not to be used
    /// or are gone.
    #[serde(default)]
    pub manifests: Vec<String>,
    /// The volume that holds the data. Default: the only one with a claim.
    pub data_volume: Option<String>,
    /// The volume that holds the write-ahead log, where it has one of its own.
    pub wal_volume: Option<String>,
    /// The data directory. Default: what the container's environment variable
    /// `PGDATA` says, else `/var/lib/postgresql/data`.
    pub data_directory: Option<String>,
    /// The role that may do everything. Default `postgres`.
    pub superuser: Option<String>,
    /// The database that matters. Default: that of the connection.
    pub database: Option<String>,
}

/// Where the database is, and who asks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// A host name or address, or the directory of a unix socket.
    pub host: String,
    /// Default 5432.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    pub database: String,
    pub user: String,
    pub password: Option<Secret>,
    #[serde(default)]
    pub tls: Tls,
}

/// Where a secret is read from: exactly one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Secret {
    /// A Secret of Kubernetes, in the workload's namespace.
    pub secret: Option<SecretKey>,
    /// The name of an environment variable.
    pub env: Option<String>,
    /// A file that holds the secret and nothing else.
    pub file: Option<String>,
}

/// One value of a Secret of Kubernetes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretKey {
    pub name: String,
    pub key: String,
}

/// How the connection is protected.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    #[serde(default)]
    pub mode: TlsMode,
    /// Certificates to trust, PEM; the system's where absent.
    pub root_certificates: Option<String>,
}

/// How far a connection is protected, in libpq's words. Default `prefer`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// An SQLite database.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sqlite {
    /// The database file. Needed for a fresh recovery point.
    pub file: Option<String>,
}

/// Where the recovery point comes from: one of these. Default `fresh`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("maxProperties" = 1))]
pub struct RecoveryPoint {
    pub fresh: Option<Fresh>,
    pub existing: Option<Existing>,
    pub snapshot: Option<Snapshot>,
    pub existing_snapshot: Option<ExistingSnapshot>,
}

/// The run cuts a snapshot of the workload's volumes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// The VolumeSnapshotClass. Default: the driver's default one.
    pub class: Option<String>,
    /// The VolumeGroupSnapshotClass, for several volumes, or `none` for no
    /// group. Default: the driver's default one, if there is any.
    pub group_class: Option<String>,
    #[serde(default)]
    pub consistency: Consistency,
    /// Cut several volumes one after the other, without a group and without
    /// holding the engine: the copy may be torn.
    #[serde(default)]
    pub accept_torn_volumes: bool,
    /// How long the engine may be held at most. Default `2m`.
    pub hold_limit: Option<DurationText>,
    /// How often backups are really made; with it the worst case is told.
    pub backup_interval: Option<DurationText>,
}

/// What a snapshot of volumes is like. Default `crash`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// As if the power had failed.
    #[default]
    Crash,
    /// The engine is told before and after.
    Application,
}

/// A VolumeSnapshot that is there already; it is never altered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingSnapshot {
    /// Its name, for a workload of one volume.
    pub name: Option<String>,
    /// The name of a VolumeSnapshotContent, where the snapshot itself is gone.
    pub content: Option<String>,
    /// Labels that it wears.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Which of several. Default `latest`.
    #[serde(default)]
    pub pick: Pick,
    /// Use snapshots of several volumes that are of no group: the copy may be
    /// torn.
    #[serde(default)]
    pub accept_torn_volumes: bool,
    /// How often backups are really made; with it the worst case is told.
    pub backup_interval: Option<DurationText>,
}

/// Which of several recovery points. Default `latest`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pick {
    #[default]
    Latest,
    Random,
}

/// The run makes a recovery point with the engine's own means.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fresh {
    /// Parallel connections for dumping. Default: processors, at most 4.
    #[schemars(range(min = 1, max = 64))]
    pub jobs: Option<u16>,
    /// `none`, `gzip` (level 1 to 9), `lz4` or `zstd` (level 1 to 22). Default
    /// `gzip:1`.
    #[schemars(example = "zstd:3")]
    pub compression: Option<String>,
    /// How often backups are really made; with it the worst case is told.
    pub backup_interval: Option<DurationText>,
    /// Where the dump is kept until it is restored. Default: a directory of
    /// the run, or a volume.
    pub to: Option<To>,
}

/// A place for a fresh dump.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct To {
    pub s3: Option<S3>,
}

/// A place in a bucket of a store that speaks S3.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// Its address: `https://` or `http://` and a host. Default: AWS itself.
    #[schemars(example = "https://s3.example")]
    pub endpoint: Option<String>,
    /// Default `us-east-1`.
    pub region: Option<String>,
    pub bucket: String,
    /// Of an existing backup its key; the last component may hold `*` and `?`:
    /// the newest counts. Of a fresh one what its keys begin with.
    #[schemars(example = "backups/shop-*.dump")]
    pub key: Option<String>,
    /// Whether the bucket's name is in the path and not in the host's name.
    /// Default: where there is an `endpoint`.
    pub path_style: Option<bool>,
    /// Default: as AWS's own tools find them in the environment.
    pub credentials: Option<S3Credentials>,
    /// A file with certificates to trust, PEM; the system's where absent.
    pub ca_certificates: Option<String>,
}

/// Who asks there.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Credentials {
    pub access_key_id: Secret,
    pub secret_access_key: Secret,
}

/// A backup that is there already: at a `path` or in `s3`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Existing {
    /// Its path; the last component may hold `*` and `?`: the newest counts.
    #[schemars(example = "/backups/shop-*.dump")]
    pub path: Option<String>,
    pub s3: Option<S3>,
    /// Globals, as `pg_dumpall --globals-only` writes them: a file, or with
    /// `s3` a key.
    pub globals: Option<String>,
    /// How often backups are really made; with it the worst case is told.
    pub backup_interval: Option<DurationText>,
}

/// Where the restore happens: one of the two. Default: `kubernetes` for a
/// workload there, else `local`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("maxProperties" = 1))]
pub struct Sandbox {
    pub local: Option<Local>,
    pub kubernetes: Option<Kubernetes>,
}

/// A scratch namespace.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {
    /// A kubeconfig file. Default: as kubectl finds it, or the pod's own
    /// account.
    pub kubeconfig: Option<String>,
    /// A context in it. Default: the current one.
    pub context: Option<String>,
    /// Storage classes of the sandbox by those of the workload, where they
    /// differ.
    #[serde(default)]
    pub storage_classes: BTreeMap<String, String>,
    /// Sidecars that the copy needs. All others are left out.
    #[serde(default)]
    pub keep_containers: Vec<String>,
    /// Init containers that the copy must not run.
    #[serde(default)]
    pub leave_out_containers: Vec<String>,
    /// As whom containers run that would run as root.
    pub run_as: Option<RunAs>,
    /// The size of the volume for a dump. Default: that of the data volume.
    #[schemars(example = "20Gi")]
    pub dump_size: Option<String>,
    /// Parallel jobs of the restore. Default: processors, at most 4.
    #[schemars(range(min = 1, max = 64))]
    pub restore_jobs: Option<u16>,
    /// Parallel connections of the checks. Default: processors, at most 4.
    #[schemars(range(min = 1, max = 64))]
    pub verify_jobs: Option<u16>,
    /// Go on where the cluster does not enforce network policies.
    #[serde(default)]
    pub allow_unfenced: bool,
}

/// A user and a group by number.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunAs {
    #[schemars(range(min = 1))]
    pub user: u32,
    #[schemars(range(min = 1))]
    pub group: u32,
}

/// A scratch directory with local processes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Local {
    /// Where scratch directories are made; Lifeboat's own place by default.
    pub directory: Option<String>,
    /// Parallel jobs of the restore. Default: processors, at most 4.
    #[schemars(range(min = 1, max = 64))]
    pub restore_jobs: Option<u16>,
    /// Parallel connections of the checks. Default: processors, at most 4.
    #[schemars(range(min = 1, max = 64))]
    pub verify_jobs: Option<u16>,
    /// Settings of the scratch instance, over those of the source.
    #[serde(default)]
    pub settings: BTreeMap<String, ScalarText>,
    /// The major version to restore into; the source's by default.
    pub version: Option<u16>,
    /// Go on when the fence cannot be put up.
    #[serde(default)]
    pub allow_unfenced: bool,
}

/// Targets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objectives {
    /// The longest time that recovery may take.
    pub rto: Option<DurationText>,
    /// The greatest age that the newest restored write may have.
    pub rpo: Option<DurationText>,
}

/// A table that Lifeboat writes into on the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Its name: `schema.table` for PostgreSQL.
    pub table: String,
    /// Time between two writes. Default `100ms`.
    pub interval: Option<DurationText>,
}

/// What is checked.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checks {
    /// Compare content table by table. `text`: values by their text. `fast`:
    /// jsonb by the server's hash, blind to sign and scale of numbers in it.
    /// Default: on for a fresh recovery point, off for an existing one.
    pub fingerprints: Option<Fingerprints>,
    /// Compare the schema. Default: as for fingerprints.
    pub schema: Option<bool>,
    /// How deep the engine's own checks go. Default `quick`.
    #[serde(default)]
    pub integrity: Integrity,
    /// Compare version, collations and extensions. Default true.
    pub environment: Option<bool>,
    /// Bounds for numbers of rows.
    #[serde(default)]
    pub row_counts: Vec<RowCount>,
    /// Own queries and what they must give.
    #[serde(default)]
    pub queries: Vec<Query>,
    /// A query whose single timestamp is the newest write.
    pub newest_write: Option<String>,
    /// Tables left out of fingerprints, by exact name.
    #[serde(default)]
    pub exclude_tables: Vec<String>,
    /// Errors of `pg_restore` that do not count, by a part of their text.
    #[serde(default)]
    pub tolerate: Vec<String>,
}

/// Whether content is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fingerprints {
    Switch(bool),
    By(FingerprintBy),
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FingerprintBy {
    Text,
    Fast,
}

/// How deep the engine's own checks go.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    Off,
    #[default]
    Quick,
    Full,
}

/// A table's number of rows within bounds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    pub table: String,
    pub min: Option<u64>,
    pub max: Option<u64>,
}

/// A query and what it must give.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub name: String,
    pub sql: String,
    pub expect: Expect,
}

/// What a query must give.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expect {
    /// Such as `>= 1000`, `= paid`, `age < 24h`, `some rows`, `no rows`.
    Line(String),
    Detail(ExpectDetail),
}

/// What a query must give: exactly one of the two.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ExpectDetail {
    /// A comparison with the first column of the first row.
    pub value: Option<String>,
    /// All rows, as text.
    pub rows: Option<Vec<Vec<CellText>>>,
}

/// How long steps may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deadlines {
    pub inspect: Option<DurationText>,
    pub capture: Option<DurationText>,
    pub open_sandbox: Option<DurationText>,
    pub start: Option<DurationText>,
    pub restore: Option<DurationText>,
    pub serve: Option<DurationText>,
    pub verify: Option<DurationText>,
}

/// A duration: whole numbers with `ms`, `s`, `m`, `h` or `d`, or ISO 8601.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(example = &"15m", example = &"1h30m", example = &"PT15M")]
pub struct DurationText(pub String);

/// A value, kept as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct ScalarText(pub String);

/// A value as text; `null` for null.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean", "null"]))]
pub struct CellText(pub Option<String>);
