//! What one run keeps in a bucket: files, each as one object or, where it is
//! very large, several; and last of all the list of them, without which
//! nothing there counts as complete.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Semaphore,
};

use super::{Bucket, Object, Sum, fetch::Wanted};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// The object that says whose all the others are.
pub(super) const MARKER: &str = ".lifeboat-run";

/// The object that lists the others.
const MANIFEST: &str = "manifest.json";

/// A manifest is never longer: what claims so is none.
const LONGEST_MANIFEST: u64 = 1 << 30;

/// What the keys of a run's objects begin with.
#[must_use]
pub fn root(prefix: &str, run: RunId) -> String {
    let name = run.resource_name();
    if prefix.is_empty() {
        format!("{name}/")
    } else {
        format!("{prefix}/{name}/")
    }
}

/// Everything that a run keeps, as it was when it was complete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub objects: Vec<Kept>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub key: String,
    /// The file that it is, or is a part of.
    pub file: PathBuf,
    /// Where in the file it begins.
    pub offset: u64,
    pub bytes: u64,
    pub sum: Sum,
}

/// A run's place in a bucket, while it is filled.
pub struct Shelf {
    pub(super) bucket: Bucket,
    root: String,
    room: Arc<Semaphore>,
    kept: Mutex<Vec<Kept>>,
    bytes: AtomicU64,
}

impl Shelf {
    /// Marks the place as the run's. So rights and address are tried out
    /// before anything costs time.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub async fn open(bucket: Bucket, prefix: &str, run: RunId) -> Result<Self, Failure> {
        let shelf = Self {
            root: root(prefix, run),
            room: Arc::new(Semaphore::new(bucket.sizes.uploads.max(1))),
            bucket,
            kept: Mutex::default(),
            bytes: AtomicU64::new(0),
        };
        let marker = format!("{}{MARKER}", shelf.root);
        shelf
            .bucket
            .put(&marker, run.to_string().into_bytes())
            .await?;
        Ok(shelf)
    }

    /// What the keys begin with.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// How much has been kept so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps what `content` gives as a file; says how much that was.
    ///
    /// # Errors
    /// If it cannot be read or sent.
    pub async fn put(
        &self,
        file: &Path,
        content: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<u64, Failure> {
        let most = (self.bucket.sizes.part * self.bucket.sizes.parts) as u64;
        let mut offset = 0;
        for number in 0_u32.. {
            let name = file.display();
            let key = match number {
                0 => format!("{}{name}", self.root),
                _ => format!("{}{name}+{number:04}", self.root),
            };
            let mut content = (&mut *content).take(most);
            let sent = self.bucket.upload(&key, &mut content, &self.room).await?;
            self.bytes.fetch_add(sent.bytes, Ordering::Relaxed);
            self.note(Kept {
                key,
                file: file.to_owned(),
                offset,
                bytes: sent.bytes,
                sum: Sum::Crc64(sent.crc64),
            });
            offset += sent.bytes;
            if sent.bytes < most {
                break;
            }
        }
        Ok(offset)
    }

    /// Keeps a file of a directory.
    ///
    /// # Errors
    /// If it cannot be read or sent.
    pub async fn put_file(&self, directory: &Path, file: &Path) -> Result<u64, Failure> {
        let path = directory.join(file);
        let content = tokio::fs::File::open(&path).await;
        let mut content = content.map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            Failure::new(FailureKind::Unavailable, message)
        })?;
        self.put(file, &mut content).await
    }

    /// Writes the list: from now on it is complete.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub async fn close(&self) -> Result<(), Failure> {
        let objects = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let text = serde_json::to_vec(&Manifest { objects }).map_err(|error| {
            let message = format!("cannot list what was kept: {error}");
            Failure::new(FailureKind::Internal, message)
        })?;
        let key = format!("{}{MANIFEST}", self.root);
        self.bucket.put(&key, text).await.map(drop)
    }

    fn note(&self, kept: Kept) {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(kept);
    }
}

impl Bucket {
    /// What a run has kept below `root`.
    ///
    /// # Errors
    /// `BadBackup` if it is not complete.
    pub async fn manifest(&self, root: &str) -> Result<Manifest, Failure> {
        let key = format!("{root}{MANIFEST}");
        let at = self.location(&key);
        let bad = |what: &str| Failure::new(FailureKind::BadBackup, format!("{at} {what}"));
        let Some(object) = self.object(&key).await? else {
            return Err(bad("is missing: what is there is not complete"));
        };
        if object.bytes > LONGEST_MANIFEST {
            return Err(bad("is no list of objects"));
        }
        let text = self.read(&object, 0, object.bytes).await?;
        serde_json::from_slice(&text).map_err(|error| bad(&format!("makes no sense: {error}")))
    }
}

impl From<Kept> for Wanted {
    fn from(kept: Kept) -> Self {
        Self {
            object: Object {
                key: kept.key,
                bytes: kept.bytes,
                modified: None,
                etag: None,
                sum: Some(kept.sum),
            },
            file: kept.file,
            offset: kept.offset,
        }
    }
}
