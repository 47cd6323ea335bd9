//! Dumps in a bucket: what they are, by as little of them as tells it.

use std::{collections::BTreeSet, io::ErrorKind, path::Path};

use super::{
    HEAD, Shape, TAR_BLOCK, cut_off, dump_head, file_shape,
    header::Header,
    no_header, of_head, of_header,
    plain::{self, Compressed},
    tell_zone, whole,
};
use crate::{
    domain::{
        failure::Failure,
        recovery_point::{Artifact, RecoveryPoint},
    },
    engine::Context,
    recovery::s3::{Bucket, Object},
    spec::drill::S3Backup,
};

/// How much of an object is read first. Of a table of contents that is longer
/// each further piece is larger.
const FIRST: u64 = 1 << 20;

/// The table of contents of a directory dump.
const CONTENTS: &str = "toc.dat";

/// The name under which a recovery point keeps which version of the object was
/// found: only that is fetched.
pub(in crate::engine::postgresql) const VERSION: &str = "object_version";

/// Finds the newest backup that is meant, and says what it is. Whether its
/// content is whole is seen when it is fetched and loaded.
///
/// # Errors
/// As [`super::identify`].
pub async fn find(cx: &Context, wanted: &S3Backup) -> Result<RecoveryPoint, Failure> {
    let bucket = Bucket::open(&wanted.place).await?;
    let object = bucket.newest(&wanted.key).await?;
    let mut point = if object.is_directory() {
        directory(&bucket, &object).await?
    } else {
        file(&bucket, &object).await?
    };
    let version = object.etag.map(|etag| (VERSION.to_owned(), etag));
    point.details.extend(version);
    tell_zone(cx, &point);
    Ok(point)
}

async fn directory(bucket: &Bucket, object: &Object) -> Result<RecoveryPoint, Failure> {
    let location = bucket.location(&object.key);
    let at = Path::new(&location);
    let contents = Object {
        key: format!("{}{CONTENTS}", object.key),
        ..object.clone()
    };
    let header = header(bucket, &contents, 0, at).await?;
    let files = bucket.below(&object.key).await?;
    let names: BTreeSet<&str> = files
        .iter()
        .filter_map(|file| file.key.strip_prefix(&object.key))
        .collect();
    whole::listed(at, &header, |file| names.contains(file))?;
    let mut point = of_header(
        header,
        artifact(bucket, object, Shape::Directory),
        object.modified,
    );
    point.size_bytes = files.iter().map(|file| file.bytes).sum();
    Ok(point)
}

async fn file(bucket: &Bucket, object: &Object) -> Result<RecoveryPoint, Failure> {
    let location = bucket.location(&object.key);
    let at = Path::new(&location);
    let head = bucket.read(object, 0, HEAD).await?;
    let shape = file_shape(at, &head)?;
    let artifact = artifact(bucket, object, shape);
    let mut point = match shape {
        Shape::Text(compressed) => {
            let head = bucket.read(object, 0, FIRST).await?;
            let kind = plain::begun(&head, compressed).await;
            let head = dump_head(at, compressed, kind)?;
            if compressed == Compressed::No {
                is_complete(bucket, object, at).await?;
            }
            of_head(head, artifact, object.modified)
        }
        Shape::Custom | Shape::Tar | Shape::Directory => {
            let skipped = if shape == Shape::Tar { TAR_BLOCK } else { 0 };
            let header = header(bucket, object, skipped, at).await?;
            of_header(header, artifact, object.modified)
        }
    };
    point.size_bytes = object.bytes;
    Ok(point)
}

async fn header(
    bucket: &Bucket,
    object: &Object,
    skipped: u64,
    at: &Path,
) -> Result<Header, Failure> {
    let mut head = Vec::new();
    let mut piece = FIRST;
    loop {
        let from = skipped + head.len() as u64;
        head.extend(bucket.read(object, from, piece).await?);
        let whole = skipped + head.len() as u64 >= object.bytes;
        match Header::read(head.as_slice()) {
            Ok(header) => return Ok(header),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && !whole => piece *= 4,
            Err(error) => return Err(no_header(at, &error)),
        }
    }
}

async fn is_complete(bucket: &Bucket, object: &Object, at: &Path) -> Result<(), Failure> {
    let from = object.bytes.saturating_sub(plain::END as u64);
    let end = bucket.read(object, from, plain::END as u64).await?;
    if plain::complete(&end) {
        Ok(())
    } else {
        Err(cut_off(at, "its closing line is missing"))
    }
}

fn artifact(bucket: &Bucket, object: &Object, shape: Shape) -> Artifact {
    Artifact::StoredDump {
        location: bucket.location(&object.key),
        key: object.key.clone(),
        format: shape.name(),
    }
}
