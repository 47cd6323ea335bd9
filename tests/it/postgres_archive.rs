//! Existing dumps, as the real `pg_dump` writes them, are recognized, and what
//! is wrong with a bad one is said.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use async_compression::tokio::write::{GzipEncoder, Lz4Encoder, ZstdEncoder};
use lifeboat::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, CutBasis, Ownership, RecoveryPoint},
    },
    engine::postgresql::archive,
};
use tempfile::TempDir;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::support::{self, postgres::SERVER};

/// A name that needs quoting wherever it goes.
const DATABASE: &str = "odd 'x' \"name\"";

/// One database, big enough that a third of its dump cuts into data.
static SOURCE: LazyLock<()> = LazyLock::new(|| {
    let quoted = DATABASE.replace('"', "\"\"");
    SERVER.psql(
        "postgres",
        &format!("create database \"{quoted}\" template template0"),
    );
    SERVER.psql(
        DATABASE,
        "create table orders (id int primary key, note text); \
         insert into orders select i, md5(i::text) from generate_series(1, 5000) i; \
         create table empty (id int)",
    );
});

fn tool(name: &str) -> Command {
    let mut command = Command::new(SERVER.binaries.join(name));
    command
        .env("PGHOST", &SERVER.directory)
        .env("PGPORT", "5432")
        .env("PGUSER", "postgres")
        .env("PGDATABASE", DATABASE);
    command
}

fn dump(folder: &TempDir, name: &str, args: &[&str]) -> PathBuf {
    LazyLock::force(&SOURCE);
    let path = folder.path().join(name);
    let output = tool("pg_dump")
        .args(args)
        .arg("-f")
        .arg(&path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    path
}

async fn identify(path: &Path) -> Result<RecoveryPoint, Failure> {
    archive::identify(&support::context().0, path).await
}

async fn refused(path: &Path, kind: FailureKind, words: &str) {
    let failure = identify(path).await.unwrap_err();
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.message.contains(words), "{failure}");
}

fn format(point: &RecoveryPoint) -> &str {
    match &point.artifact {
        Artifact::LogicalDump { format, .. } | Artifact::StoredDump { format, .. } => format,
        Artifact::PhysicalBackup { .. } | Artifact::Volumes { .. } => panic!("no dump"),
    }
}

async fn finished(mut encoder: impl AsyncWrite + Unpin, text: &[u8]) {
    encoder.write_all(text).await.unwrap();
    encoder.shutdown().await.unwrap();
}

/// The same dump, compressed beside it.
pub async fn compressed(plain: &Path, suffix: &str) -> PathBuf {
    let text = fs::read(plain).unwrap();
    let path = plain.with_extension(format!("sql.{suffix}"));
    let mut out = Vec::new();
    match suffix {
        "gz" => finished(GzipEncoder::new(&mut out), &text).await,
        "zst" => finished(ZstdEncoder::new(&mut out), &text).await,
        _ => finished(Lz4Encoder::new(&mut out), &text).await,
    }
    fs::write(&path, out).unwrap();
    path
}

/// The first part of a file, as a copy that was cut off.
fn cut(path: &Path, percent: usize) -> PathBuf {
    let bytes = fs::read(path).unwrap();
    let short = path.with_extension(format!("cut{percent}"));
    fs::write(&short, &bytes[..bytes.len() * percent / 100]).unwrap();
    short
}

#[tokio::test]
async fn archives_tell_their_database_versions_and_time() {
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("custom", &["-Fc"][..]),
        ("custom", &["-Fc", "-Z0"]),
        ("custom", &["-Fc", "-Z9"]),
        ("directory", &["-Fd"]),
        ("directory", &["-Fd", "-Z0"]),
        ("tar", &["-Ft"]),
    ] {
        let path = dump(&folder, &args.concat(), args);
        let before = jiff::Timestamp::now();
        let point = identify(&path).await.unwrap();
        assert_eq!(format(&point), name, "{args:?}");
        assert_eq!(point.ownership, Ownership::Borrowed);
        assert_eq!(point.cut.basis, CutBasis::Header);
        let age = before.duration_since(point.cut.at.unwrap()).as_secs();
        assert!((-1..60).contains(&age), "{args:?}: {age} s old");
        let told = |name: &str| point.details.get(name).map(String::as_str);
        assert_eq!(told("database"), Some(DATABASE));
        assert_eq!(told("encoding"), Some("UTF8"));
        assert_eq!(told("owner"), Some("postgres"));
        let version = point.source_version.as_deref().unwrap();
        assert!(version.starts_with("15."), "{version}");
        let producer = point.producer.as_deref().unwrap();
        assert!(producer.starts_with("pg_dump 15."), "{producer}");
        assert!(point.size_bytes > 10_000, "{}", point.size_bytes);
    }
}

#[tokio::test]
async fn plain_dumps_are_read_through_their_compression() {
    let folder = tempfile::tempdir().unwrap();
    let plain = dump(&folder, "shop.sql", &[]);
    for (suffix, expected) in [
        ("", "plain"),
        ("gz", "plain+gzip"),
        ("zst", "plain+zstd"),
        ("lz4", "plain+lz4"),
    ] {
        let path = match suffix {
            "" => plain.clone(),
            _ => compressed(&plain, suffix).await,
        };
        let point = identify(&path).await.unwrap();
        assert_eq!(format(&point), expected);
        assert_eq!(point.cut.basis, CutBasis::FileTime);
        assert!(point.source_version.as_deref().unwrap().starts_with("15."));
        assert_eq!(point.size_bytes, fs::metadata(&path).unwrap().len());
        for percent in [30, 99] {
            let words = "cut off";
            refused(&cut(&path, percent), FailureKind::BadBackup, words).await;
        }
    }
    let verbose = dump(&folder, "verbose.sql", &["-v"]);
    let point = identify(&verbose).await.unwrap();
    assert_eq!(point.cut.basis, CutBasis::Header);
}

#[tokio::test]
async fn a_damaged_stream_is_not_taken_for_a_dump() {
    let folder = tempfile::tempdir().unwrap();
    let plain = dump(&folder, "shop.sql", &[]);
    let path = compressed(&plain, "gz").await;
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 64] {
        *byte ^= 0x5a;
    }
    fs::write(&path, bytes).unwrap();
    let failure = identify(&path).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadBackup, "{failure}");
}

#[tokio::test]
async fn archives_that_are_not_whole_are_bad_backups() {
    let folder = tempfile::tempdir().unwrap();
    let custom = dump(&folder, "shop.dump", &["-Fc"]);
    let bytes = fs::read(&custom).unwrap();
    let short = folder.path().join("short.dump");
    fs::write(&short, &bytes[..1000]).unwrap();
    refused(&short, FailureKind::BadBackup, "table of contents").await;

    let directory = dump(&folder, "dir", &["-Fd"]);
    let data = fs::read_dir(&directory).unwrap().flatten();
    let data = data
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "gz"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    fs::remove_file(data).unwrap();
    refused(&directory, FailureKind::BadBackup, "TABLE DATA orders").await;
    fs::remove_file(directory.join("toc.dat")).unwrap();
    refused(&directory, FailureKind::BadBackup, "without toc.dat").await;
}

/// The largest data file of a directory dump.
fn data_of(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap().flatten();
    let data = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name != "toc.dat" && name.contains(".dat")
    });
    data.max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}

/// `pg_restore` loads the rows that are left of each of these, and says nothing.
#[tokio::test]
async fn a_data_file_that_is_cut_off_is_found_where_pg_restore_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["", "lz4", "zst"] {
        let directory = dump(&folder, &format!("dir{suffix}"), &["-Fd", "-Z0"]);
        let mut data = data_of(&directory);
        if !suffix.is_empty() {
            let plain = data;
            data = plain.with_extension(format!("dat.{suffix}"));
            fs::rename(compressed(&plain, suffix).await, &data).unwrap();
            fs::remove_file(plain).unwrap();
        }
        identify(&directory).await.unwrap();
        let whole = fs::read(&data).unwrap();
        for percent in [30, 90, 99] {
            fs::write(&data, &whole[..whole.len() * percent / 100]).unwrap();
            refused(&directory, FailureKind::BadBackup, "cut off").await;
        }
        fs::write(&data, b"").unwrap();
        let words = "TABLE DATA orders) is not complete";
        refused(&directory, FailureKind::BadBackup, words).await;
    }
}

/// `pg_restore` reads the end of such a file for ever.
#[tokio::test]
async fn a_tar_file_that_is_cut_off_is_refused_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let tar = dump(&folder, "shop.tar", &["-Ft"]);
    let whole = fs::read(&tar).unwrap();
    for percent in [30, 60, 90, 97] {
        let short = cut(&tar, percent);
        refused(&short, FailureKind::BadBackup, "cut off: it ends").await;
    }
    let mut damaged = whole.clone();
    let size_of_toc =
        usize::from_str_radix(std::str::from_utf8(&whole[124..135]).unwrap().trim(), 8);
    // The name of the second member.
    damaged[512 + size_of_toc.unwrap().div_ceil(512) * 512] ^= 1;
    fs::write(&tar, damaged).unwrap();
    let words = "what follows its member toc.dat is none";
    refused(&tar, FailureKind::BadBackup, words).await;
}

#[tokio::test]
async fn what_is_no_dump_of_one_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let custom = dump(&folder, "shop.dump", &["-Fc"]);
    let put = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let bad = FailureKind::BadBackup;
    refused(&put("zero", b""), bad, "an empty file").await;
    refused(&put("text", b"dear diary"), bad, "something else").await;
    let text = put("note.txt", b"dear diary, nothing happened today");
    let gzip = compressed(&text, "gz").await;
    refused(&gzip, bad, "a gzip file of something else").await;

    let unfit = FailureKind::Invalid;
    let gzip = compressed(&custom, "gz").await;
    refused(&gzip, unfit, "a gzip file of an archive").await;
    for args in [&[][..], &["-g"]] {
        let output = tool("pg_dumpall").args(args).output().unwrap();
        assert!(output.status.success());
        refused(&put("all.sql", &output.stdout), unfit, "a pg_dumpall").await;
    }
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&empty, bad, "an empty directory").await;
    let none = folder.path().join("none");
    refused(&none, FailureKind::NotFound, "none").await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = dump(&folder, "dir", &["-Fd"]);
    let listing = |path: &Path| {
        let mut all: Vec<_> = fs::read_dir(path)
            .unwrap()
            .flatten()
            .map(|entry| {
                (
                    entry.file_name(),
                    entry.metadata().unwrap().modified().unwrap(),
                )
            })
            .collect();
        all.sort();
        all
    };
    let before = listing(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    identify(&path).await.unwrap();
    assert_eq!(listing(&path), before);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
