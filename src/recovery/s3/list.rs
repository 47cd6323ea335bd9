//! What is in a bucket.

use aws_sdk_s3::{primitives::DateTime, types::ChecksumMode};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    Bucket, Sum,
    error::{failure, is_missing},
};
use crate::{
    domain::failure::{Failure, FailureKind},
    recovery::pattern::{is_pattern, matches},
};

/// How many names a message lists.
const LISTED: usize = 10;

/// How many objects are looked at at once.
const LOOKS: usize = 8;

/// The file without which a directory is no dump.
const CONTENTS: &str = "toc.dat";

/// An object, or with a slash at the end of its key all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub key: String,
    pub bytes: u64,
    pub modified: Option<Timestamp>,
    pub etag: Option<String>,
    /// What the server keeps of it; unknown where it was only listed.
    pub sum: Option<Sum>,
}

impl Object {
    /// Whether it is a directory of objects.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.key.ends_with('/')
    }
}

/// What lies below a prefix.
#[derive(Debug, Default)]
struct Level {
    objects: Vec<Object>,
    /// Ending in a slash.
    directories: Vec<String>,
}

impl Bucket {
    /// The newest backup that `key` means, whose last component may be a
    /// pattern; of equally new ones the last by name. It may be one object or
    /// a directory dump, which is as old as its table of contents.
    ///
    /// # Errors
    /// `NotFound` with what is there, and whatever kept it from being read.
    pub async fn newest(&self, key: &str) -> Result<Object, Failure> {
        let name = key.trim_end_matches('/').rsplit('/').next();
        if !name.is_some_and(is_pattern) {
            return self.exactly(key).await;
        }
        let (folder, name) = key
            .trim_end_matches('/')
            .rsplit_once('/')
            .unwrap_or(("", key));
        let folder = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let fixed = name.find(['*', '?']).map_or(name, |at| &name[..at]);
        let level = self.level(&format!("{folder}{fixed}"), true).await?;
        let fits = |key: &str| {
            let found = key[folder.len()..].trim_end_matches('/');
            matches(name.as_bytes(), found.as_bytes())
        };
        let mut directories = level.directories;
        directories.retain(|key| fits(key));
        let mut found: Vec<Object> = stream::iter(directories)
            .map(|key| async move { self.directory(&key).await })
            .buffer_unordered(LOOKS)
            .try_filter_map(|directory| async { Ok(directory) })
            .try_collect()
            .await?;
        found.extend(level.objects.into_iter().filter(|object| fits(&object.key)));
        found.sort_by(|a, b| (a.modified, &a.key).cmp(&(b.modified, &b.key)));
        let Some(newest) = found.pop() else {
            let what = format!("no backup matches {}", self.location(key));
            return Err(self.nothing(&what, &folder).await);
        };
        // What is listed does not tell everything.
        self.exactly(&newest.key).await
    }

    async fn exactly(&self, key: &str) -> Result<Object, Failure> {
        let (object, directory) = match key.strip_suffix('/') {
            Some(_) => (None, self.directory(key).await?),
            None => match self.object(key).await? {
                Some(object) => (Some(object), None),
                None => (None, self.directory(&format!("{key}/")).await?),
            },
        };
        let folder = key.trim_end_matches('/').rsplit_once('/');
        let folder = folder.map_or(String::new(), |(folder, _)| format!("{folder}/"));
        if let Some(found) = object.or(directory) {
            Ok(found)
        } else {
            let what = format!("there is no backup {}", self.location(key));
            Err(self.nothing(&what, &folder).await)
        }
    }

    /// A dump in a directory; `None` if there is none of that name.
    async fn directory(&self, key: &str) -> Result<Option<Object>, Failure> {
        let Some(contents) = self.object(&format!("{key}{CONTENTS}")).await? else {
            return Ok(None);
        };
        Ok(Some(Object {
            key: key.to_owned(),
            sum: None,
            ..contents
        }))
    }

    /// Everything about an object; `None` if it is not there.
    ///
    /// # Errors
    /// If the server does not say.
    pub async fn object(&self, key: &str) -> Result<Option<Object>, Failure> {
        let request = self.client.head_object().bucket(&self.place.bucket);
        let request = request.key(key).checksum_mode(ChecksumMode::Enabled);
        match request.send().await {
            Ok(head) => Ok(Some(Object {
                key: key.to_owned(),
                bytes: unsigned(head.content_length()),
                modified: head.last_modified().and_then(timestamp),
                sum: Sum::kept(&head),
                etag: head.e_tag,
            })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => {
                let doing = format!("look at {}", self.location(key));
                Err(failure(&self.place, &doing, &error))
            }
        }
    }

    /// All objects whose keys begin with `prefix`.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn below(&self, prefix: &str) -> Result<Vec<Object>, Failure> {
        self.level(prefix, false).await.map(|level| level.objects)
    }

    /// A part of an object; what is behind its end is not there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(&self, object: &Object, from: u64, bytes: u64) -> Result<Vec<u8>, Failure> {
        let end = object.bytes.min(from + bytes);
        if from >= end {
            return Ok(Vec::new());
        }
        let mut data = Vec::new();
        self.stream(object, from, end - from, &mut |chunk| {
            data.extend_from_slice(chunk);
            Ok(())
        })
        .await?;
        Ok(data)
    }

    async fn level(&self, prefix: &str, one: bool) -> Result<Level, Failure> {
        let doing = format!("list {}", self.location(prefix));
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.place.bucket)
            .prefix(prefix)
            .set_delimiter(one.then(|| "/".to_owned()))
            .into_paginator()
            .send();
        let mut level = Level::default();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(&self.place, &doing, &error))?;
            let directories = page.common_prefixes().iter();
            level
                .directories
                .extend(directories.filter_map(|p| p.prefix.clone()));
            for object in page.contents.unwrap_or_default() {
                // Some stores list a directory as an empty object.
                let key = object.key.filter(|key| !key.ends_with('/'));
                level.objects.extend(key.map(|key| Object {
                    key,
                    bytes: unsigned(object.size),
                    modified: object.last_modified.as_ref().and_then(timestamp),
                    etag: object.e_tag,
                    sum: None,
                }));
            }
        }
        Ok(level)
    }

    async fn nothing(&self, what: &str, folder: &str) -> Failure {
        let level = match self.level(folder, true).await {
            Ok(level) => level,
            // Such as that there is no such bucket.
            Err(failure) => return failure,
        };
        let objects = level.objects.iter().map(|object| object.key.as_str());
        let directories = level.directories.iter().map(String::as_str);
        let mut names: Vec<&str> = objects
            .chain(directories)
            .map(|key| &key[folder.len()..])
            .collect();
        names.sort_unstable();
        let more = names.len().saturating_sub(LISTED);
        names.truncate(LISTED);
        let there = match (names.is_empty(), more) {
            (true, _) => "nothing is there".to_owned(),
            (false, 0) => format!("there is {}", names.join(", ")),
            (false, more) => format!("there is {} and {more} more", names.join(", ")),
        };
        let message = format!("{what}: in {} {there}", self.location(folder));
        Failure::new(FailureKind::NotFound, message)
            .hint("check the key, and whether the backup job still runs")
    }
}

fn unsigned(bytes: Option<i64>) -> u64 {
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(0)
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let nanos = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanos).ok()
}
