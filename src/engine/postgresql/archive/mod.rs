//! Dumps that are there already: what they are, read without altering them.

pub mod header;
pub mod lacking;
pub mod plain;
mod whole;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

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

/// What lies at a path, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Directory,
    Custom,
    Tar,
    Text(Compressed),
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
    if point.cut.basis == CutBasis::Header {
        cx.note("the dump tells its time without a zone: this machine's zone is assumed");
    }
    let owned = path.to_owned();
    point.size_bytes = blocking(move || size(&owned)).await?;
    Ok(point)
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
        .and_then(|file| file.take(512).read_to_end(&mut head))
        .map_err(|e| unreadable(path, &e))?;
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
    Ok(Shape::Text(Compressed::of(&head)))
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
        // The table of contents is the first member, after its header block.
        input
            .seek(SeekFrom::Start(512))
            .map_err(|e| unreadable(&file, &e))?;
    }
    Header::read(BufReader::new(input)).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => cut_off(&file, "its table of contents is not complete"),
        ErrorKind::InvalidData if error.to_string().contains("not supported") => {
            unsupported(path, &format!("a dump whose {error}"))
        }
        ErrorKind::InvalidData => bad(&file, &format!("its table of contents is damaged: {error}")),
        _ => unreadable(&file, &error),
    })
}

async fn archive_point(path: &Path, shape: Shape) -> Result<RecoveryPoint, Failure> {
    let header = whole_header(path, shape).await?;
    if shape == Shape::Directory {
        whole::compressed(path, &header).await?;
    }
    let format = match shape {
        Shape::Directory => "directory",
        Shape::Custom => "custom",
        Shape::Tar | Shape::Text(_) => "tar",
    };
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
    let mut point = point(path, format.to_owned(), file_cut(path, at)?);
    point.producer = header.dump_version.map(|v| format!("pg_dump {v}"));
    point.source_version = header.server_version;
    point.details = details;
    Ok(point)
}

async fn text_point(path: &Path, compressed: Compressed) -> Result<RecoveryPoint, Failure> {
    let format = match compressed {
        Compressed::No => "plain".to_owned(),
        other => format!("plain+{}", other.name()),
    };
    let of = match compressed {
        Compressed::No => String::new(),
        other => format!("a {} file of ", other.name()),
    };
    let head = match plain::examine(path).await? {
        Kind::Dump(head) => *head,
        Kind::Cluster => {
            let what = format!("{of}a pg_dumpall of a whole server");
            return Err(unsupported(path, &what).hint(
                "drill the databases one by one, with pg_dump; a pg_dumpall --globals-only goes \
                 into `globals`",
            ));
        }
        Kind::Archive => {
            let what = format!("{of}an archive of pg_dump");
            return Err(unsupported(path, &what).hint("decompress it first"));
        }
        Kind::Other => return Err(bad(path, &format!("it is {of}something else than a dump"))),
    };
    let at = head.started.as_deref().and_then(started);
    let mut point = point(path, format, file_cut(path, at)?);
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
    Ok(point)
}

fn point(path: &Path, format: String, cut: Cut) -> RecoveryPoint {
    RecoveryPoint {
        artifact: Artifact::LogicalDump {
            path: path.to_owned(),
            format,
        },
        ownership: Ownership::Borrowed,
        cut,
        size_bytes: 0,
        producer: None,
        source_version: None,
        fingerprint: None,
        inventory: None,
        canary: None,
        details: BTreeMap::new(),
    }
}

/// The cut at the time that the dump itself tells, else its file's.
fn file_cut(path: &Path, at: Option<Timestamp>) -> Result<Cut, Failure> {
    let (at, basis) = if at.is_some() {
        (at, CutBasis::Header)
    } else {
        let modified = std::fs::metadata(path)
            .and_then(|m| m.modified())
            .map_err(|e| unreadable(path, &e))?;
        (Timestamp::try_from(modified).ok(), CutBasis::FileTime)
    };
    Ok(Cut {
        at,
        basis,
        position: None,
        newest_commit: None,
    })
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
