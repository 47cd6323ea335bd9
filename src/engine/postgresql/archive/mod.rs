//! Dumps that are there already: what they are, read without altering them.

pub mod header;
pub mod lacking;
pub mod plain;
mod stored;
mod whole;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

pub(super) use self::stored::VERSION;
pub use self::stored::find;
use self::{
    header::Header,
    plain::{Compressed, Head, Kind},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint},
    },
    engine::Context,
};

/// The table of contents is a tar file's first member, after its header block.
const TAR_BLOCK: u64 = 512;

/// The bytes at a file's begin that tell what it is.
const HEAD: u64 = 512;

/// What lies at a path, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Directory,
    Custom,
    Tar,
    Text(Compressed),
}

impl Shape {
    /// As recovery points call it.
    fn name(self) -> String {
        match self {
            Self::Directory => "directory".to_owned(),
            Self::Custom => "custom".to_owned(),
            Self::Tar => "tar".to_owned(),
            Self::Text(Compressed::No) => "plain".to_owned(),
            Self::Text(other) => format!("plain+{}", other.name()),
        }
    }
}

/// Says what the dump at `path` is. Nothing is written.
///
/// # Errors
/// `BadBackup` if it is damaged or no dump at all, `Invalid` if it is of a kind
/// that can't be restored here, `NotFound` and `Denied` if it can't be read.
pub async fn identify(cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
    let owned = path.to_owned();
    let shape = blocking(move || shape(&owned)).await?;
    let mut point = match shape {
        Shape::Text(compressed) => text_point(path, compressed).await?,
        Shape::Directory | Shape::Custom | Shape::Tar => archive_point(path, shape).await?,
    };
    tell_zone(cx, &point);
    let owned = path.to_owned();
    point.size_bytes = blocking(move || size(&owned)).await?;
    Ok(point)
}

fn tell_zone(cx: &Context, point: &RecoveryPoint) {
    if point.cut.basis == CutBasis::Header {
        cx.note("the dump tells its time without a zone: this machine's zone is assumed");
    }
}

/// The head and table of contents of an archive that is about to be loaded,
/// which is whole as far as is cheap to see; `None` for a plain dump.
///
/// # Errors
/// As [`identify`].
pub async fn contents(path: &Path, format: &str) -> Result<Option<Header>, Failure> {
    match archive_shape(format) {
        Some(shape) => whole_header(path, shape).await.map(Some),
        None => Ok(None),
    }
}

fn archive_shape(format: &str) -> Option<Shape> {
    match format {
        "directory" => Some(Shape::Directory),
        "custom" => Some(Shape::Custom),
        "tar" => Some(Shape::Tar),
        _ => None,
    }
}

async fn whole_header(path: &Path, shape: Shape) -> Result<Header, Failure> {
    let path = path.to_owned();
    blocking(move || {
        let header = read_header(&path, shape)?;
        match shape {
            Shape::Directory => whole::directory(&path, &header)?,
            Shape::Tar => whole::tar(&path, &header)?,
            Shape::Custom | Shape::Text(_) => {}
        }
        Ok(header)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(FailureKind::Internal, format!("reading ended: {error}")))?
}

fn shape(path: &Path) -> Result<Shape, Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if metadata.is_dir() {
        return directory_shape(path);
    }
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(|e| unreadable(path, &e))?;
    file_shape(path, &head)
}

fn file_shape(path: &Path, head: &[u8]) -> Result<Shape, Failure> {
    if head.is_empty() {
        return Err(bad(path, "it is an empty file"));
    }
    if head.starts_with(b"PGDMP") {
        return Ok(Shape::Custom);
    }
    if head.starts_with(b"toc.dat\0") {
        return Ok(Shape::Tar);
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(unsupported(path, "a tar file that pg_dump did not write"));
    }
    Ok(Shape::Text(Compressed::of(head)))
}

fn directory_shape(path: &Path) -> Result<Shape, Failure> {
    let holds = |name: &str| path.join(name).try_exists().unwrap_or(false);
    if holds("toc.dat") {
        return Ok(Shape::Directory);
    }
    if holds("PG_VERSION") || holds("backup_manifest") {
        return Err(unsupported(path, "a physical backup"));
    }
    let mut entries = std::fs::read_dir(path).map_err(|e| unreadable(path, &e))?;
    if entries.next().is_none() {
        return Err(bad(path, "it is an empty directory"));
    }
    Err(bad(
        path,
        "it is a directory without toc.dat: no dump, or one that was never finished",
    ))
}

fn read_header(path: &Path, shape: Shape) -> Result<Header, Failure> {
    let file = match shape {
        Shape::Directory => path.join("toc.dat"),
        Shape::Custom | Shape::Tar | Shape::Text(_) => path.to_owned(),
    };
    let mut input = File::open(&file).map_err(|e| unreadable(&file, &e))?;
    if shape == Shape::Tar {
        input
            .seek(SeekFrom::Start(TAR_BLOCK))
            .map_err(|e| unreadable(&file, &e))?;
    }
    Header::read(BufReader::new(input)).map_err(|error| no_header(&file, &error))
}

fn no_header(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(path, "its table of contents is not complete"),
        ErrorKind::InvalidData if error.to_string().contains("not supported") => {
            unsupported(path, &format!("a dump whose {error}"))
        }
        ErrorKind::InvalidData => bad(path, &format!("its table of contents is damaged: {error}")),
        _ => unreadable(path, error),
    }
}

async fn archive_point(path: &Path, shape: Shape) -> Result<RecoveryPoint, Failure> {
    let header = whole_header(path, shape).await?;
    if shape == Shape::Directory {
        whole::compressed(path, &header).await?;
    }
    let artifact = Artifact::LogicalDump {
        path: path.to_owned(),
        format: shape.name(),
    };
    Ok(of_header(header, artifact, modified(path)?))
}

/// The recovery point that an archive says it is; `modified` is for one that
/// does not tell its time.
fn of_header(header: Header, artifact: Artifact, modified: Option<Timestamp>) -> RecoveryPoint {
    let (major, minor) = header.version;
    let mut details = BTreeMap::from([
        ("archive_version".to_owned(), format!("{major}.{minor}")),
        ("entries".to_owned(), header.entries.len().to_string()),
    ]);
    let owner = header.database_entry().and_then(|e| e.owner.clone());
    let encoding = header.encoding().map(str::to_owned);
    for (name, value) in [
        ("database", header.database.clone()),
        ("owner", owner),
        ("encoding", encoding),
    ] {
        details.extend(value.map(|value| (name.to_owned(), value)));
    }
    let at = header.created.and_then(|time| instant(time, None));
    let mut point = RecoveryPoint::new(artifact, Ownership::Borrowed, cut(at, modified));
    point.producer = header.dump_version.map(|v| format!("pg_dump {v}"));
    point.source_version = header.server_version;
    point.details = details;
    point
}

async fn text_point(path: &Path, compressed: Compressed) -> Result<RecoveryPoint, Failure> {
    let head = dump_head(path, compressed, plain::examine(path).await?)?;
    let artifact = Artifact::LogicalDump {
        path: path.to_owned(),
        format: Shape::Text(compressed).name(),
    };
    Ok(of_head(head, artifact, modified(path)?))
}

/// The head of a text that is a dump of one database.
fn dump_head(path: &Path, compressed: Compressed, kind: Kind) -> Result<Head, Failure> {
    let of = match compressed {
        Compressed::No => String::new(),
        other => format!("a {} file of ", other.name()),
    };
    match kind {
        Kind::Dump(head) => Ok(*head),
        Kind::Cluster => {
            let what = format!("{of}a pg_dumpall of a whole server");
            Err(unsupported(path, &what).hint(
                "drill the databases one by one, with pg_dump; a pg_dumpall --globals-only goes \
                 into `globals`",
            ))
        }
        Kind::Archive => {
            let what = format!("{of}an archive of pg_dump");
            Err(unsupported(path, &what).hint("decompress it first"))
        }
        Kind::Other => Err(bad(path, &format!("it is {of}something else than a dump"))),
    }
}

/// The same for a plain dump.
fn of_head(head: Head, artifact: Artifact, modified: Option<Timestamp>) -> RecoveryPoint {
    let at = head.started.as_deref().and_then(started);
    let mut point = RecoveryPoint::new(artifact, Ownership::Borrowed, cut(at, modified));
    let Head {
        server_version,
        dump_version,
        encoding,
        ..
    } = head;
    point.producer = dump_version.map(|v| format!("pg_dump {v}"));
    point.source_version = server_version;
    point
        .details
        .extend(encoding.map(|value| ("encoding".to_owned(), value)));
    point
}

/// The cut at the time that the dump itself tells, else its file's.
fn cut(told: Option<Timestamp>, modified: Option<Timestamp>) -> Cut {
    let (at, basis) = match told {
        Some(at) => (Some(at), CutBasis::Header),
        None => (modified, CutBasis::FileTime),
    };
    Cut {
        at,
        basis,
        position: None,
        newest_commit: None,
    }
}

fn modified(path: &Path) -> Result<Option<Timestamp>, Failure> {
    let modified = std::fs::metadata(path).and_then(|m| m.modified());
    let modified = modified.map_err(|error| unreadable(path, &error))?;
    Ok(Timestamp::try_from(modified).ok())
}

/// `2026-11-23 09:43:11 UTC`, where other zones than UTC are abbreviations
/// that several zones share.
fn started(text: &str) -> Option<Timestamp> {
    let mut parts = text.split(' ');
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next());
    instant(format!("{date}T{time}").parse().ok()?, zone)
}

/// Neither an archive nor a plain dump tells its zone's offset: it is the
/// dumping machine's, and taken to be ours.
fn instant(time: DateTime, zone: Option<&str>) -> Option<Timestamp> {
    let zone = match zone {
        Some("UTC" | "GMT") => TimeZone::UTC,
        _ => TimeZone::try_system().unwrap_or(TimeZone::UTC),
    };
    zone.to_ambiguous_timestamp(time).compatible().ok()
}

fn size(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let entries = std::fs::read_dir(path).map_err(|e| unreadable(path, &e))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|metadata| metadata.len())
        .sum())
}

/// The backup itself is at fault.
pub(super) fn bad(path: &Path, what: &str) -> Failure {
    Failure::new(
        FailureKind::BadBackup,
        format!("{} cannot be restored: {what}", path.display()),
    )
}

/// The backup ends before its end.
pub(super) fn cut_off(path: &Path, what: &str) -> Failure {
    Failure::new(
        FailureKind::BadBackup,
        format!("the dump {} is cut off: {what}", path.display()),
    )
    .hint("look whether the job that makes it ended well, and whether its disk was full")
}

fn unsupported(path: &Path, what: &str) -> Failure {
    Failure::new(
        FailureKind::Invalid,
        format!("{} is {what}: not supported", path.display()),
    )
}

/// The backup can't be looked at, which says nothing about it.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, format!("cannot read {}: {error}", path.display()))
}
