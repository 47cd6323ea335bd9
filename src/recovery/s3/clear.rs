//! Giving back what a run keeps in a bucket.

use std::{collections::BTreeMap, fmt::Display};

use aws_sdk_s3::error::SdkError;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{
    Bucket,
    error::{failure, is_denied, is_missing, is_not_known},
    shelf::{MARKER, root},
};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// How many objects are removed at once. One by one, because not every store
/// takes a list of them.
const REMOVALS: usize = 16;

/// How often uploads and objects are looked for: an upload whose part is still
/// on its way when it is taken back may come up again.
const LOOKS: usize = 5;

/// An object or, in a bucket that keeps them, one version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    key: String,
    id: Option<String>,
}

impl Bucket {
    /// Removes everything that the run keeps below `prefix`, and ends its
    /// unfinished uploads. Nothing there is fine.
    ///
    /// # Errors
    /// `Conflict` if what lies there does not say that it is this run's; else
    /// what kept it from being removed.
    pub async fn clear(&self, prefix: &str, run: RunId) -> Result<(), Failure> {
        let root = root(prefix, run);
        self.is_the_runs(&root, run).await?;
        self.end_uploads(&root).await?;
        let marker = format!("{root}{MARKER}");
        self.remove_all(&root, |key| key != marker).await?;
        // Last: what is left after a removal that was cut off is still known
        // to be the run's.
        self.remove_all(&root, |_| true).await
    }

    /// Removes what fits until nothing of it is found. A store may bring an
    /// older version up again while the newer ones of it are removed.
    async fn remove_all(
        &self,
        root: &str,
        fits: impl Fn(&str) -> bool + Send + Sync,
    ) -> Result<(), Failure> {
        for _ in 0..LOOKS {
            let mut found = self.versions(root).await?;
            found.retain(|version| fits(&version.key));
            if found.is_empty() {
                return Ok(());
            }
            self.remove(found).await?;
        }
        let message = format!(
            "objects below {} come up again and again",
            self.location(root)
        );
        Err(Failure::new(FailureKind::Conflict, message)
            .hint("something still writes there; run `lifeboat sweep` when it has ended"))
    }

    /// Shows that what the run will keep below `prefix` could be given back:
    /// that it could be seen, at least. Nothing is written.
    ///
    /// # Errors
    /// If it could not, such as for wrong credentials.
    pub async fn could_clear(&self, prefix: &str, run: RunId) -> Result<(), Failure> {
        let root = root(prefix, run);
        self.is_the_runs(&root, run).await?;
        self.uploads(&root).await.map(drop)
    }

    /// Tries out whether objects could be written below `prefix`, without
    /// leaving any.
    ///
    /// # Errors
    /// If they could not.
    pub async fn try_write(&self, prefix: &str) -> Result<(), Failure> {
        let key = format!("{prefix}/lifeboat-check")
            .trim_start_matches('/')
            .to_owned();
        let request = self.client.create_multipart_upload();
        let begun = request.bucket(&self.place.bucket).key(&key).send().await;
        let doing = format!("write {}", self.location(&key));
        let begun = begun.map_err(|error| failure(&self.place, &doing, &error))?;
        match begun.upload_id {
            Some(id) => self.end_upload(&key, &id).await,
            None => Ok(()),
        }
    }

    /// A dead run may have died before its mark was there: then nothing is.
    async fn is_the_runs(&self, root: &str, run: RunId) -> Result<(), Failure> {
        let marker = format!("{root}{MARKER}");
        let foreign = || {
            let message = format!("{} is there and is not this run's", self.location(root));
            Failure::new(FailureKind::Conflict, message)
                .hint("nothing was touched; look at what it is, and remove it by hand")
        };
        match self.object(&marker).await? {
            Some(object) => {
                let text = self.read(&object, 0, 64).await?;
                (text == run.to_string().into_bytes())
                    .then_some(())
                    .ok_or_else(foreign)
            }
            None => {
                if self.below(root).await?.is_empty() {
                    Ok(())
                } else {
                    Err(foreign())
                }
            }
        }
    }

    async fn end_uploads(&self, root: &str) -> Result<(), Failure> {
        for _ in 0..LOOKS {
            let uploads = self.uploads(root).await?;
            if uploads.is_empty() {
                return Ok(());
            }
            for (key, id) in uploads {
                self.end_upload(&key, &id).await?;
            }
        }
        let message = format!("uploads to {} come up again and again", self.location(root));
        Err(Failure::new(FailureKind::Conflict, message)
            .hint("something still writes there; run `lifeboat sweep` when it has ended"))
    }

    async fn uploads(&self, root: &str) -> Result<Vec<(String, String)>, Failure> {
        let doing = format!("list uploads to {}", self.location(root));
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let request = self.client.list_multipart_uploads();
            let request = request.bucket(&self.place.bucket).prefix(root);
            let request = request
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker);
            let page = request.send().await;
            let page = page.map_err(|error| failure(&self.place, &doing, &error))?;
            let uploads = page.uploads().iter();
            found.extend(uploads.filter_map(|u| Some((u.key.clone()?, u.upload_id.clone()?))));
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
            if page.is_truncated != Some(true) || key_marker.is_none() {
                // Not every store heeds the prefix.
                found.retain(|(key, _)| key.starts_with(root));
                return Ok(found);
            }
        }
    }

    async fn end_upload(&self, key: &str, id: &str) -> Result<(), Failure> {
        let request = self.client.abort_multipart_upload();
        let request = request.bucket(&self.place.bucket).key(key).upload_id(id);
        let doing = format!("end the upload of {}", self.location(key));
        self.gone(request.send().await, &doing)
    }

    /// All versions of the objects below `root`; where the store keeps or
    /// tells none, the objects.
    async fn versions(&self, root: &str) -> Result<Vec<Version>, Failure> {
        let doing = format!("list {}", self.location(root));
        let mut found = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let request = self.client.list_object_versions();
            let request = request.bucket(&self.place.bucket).prefix(root);
            let request = request
                .set_key_marker(key_marker)
                .set_version_id_marker(id_marker);
            let page = match request.send().await {
                Err(error) if is_not_known(&error) || is_denied(&error) => {
                    let objects = self.below(root).await?.into_iter();
                    return Ok(objects
                        .map(|o| Version {
                            key: o.key,
                            id: None,
                        })
                        .collect());
                }
                page => page.map_err(|error| failure(&self.place, &doing, &error))?,
            };
            let versions = page
                .versions()
                .iter()
                .map(|v| (v.key.clone(), v.version_id.clone()));
            let marks = page.delete_markers().iter();
            let marks = marks.map(|m| (m.key.clone(), m.version_id.clone()));
            let all = versions.chain(marks);
            found.extend(all.filter_map(|(key, id)| Some(Version { key: key?, id })));
            (key_marker, id_marker) = (page.next_key_marker, page.next_version_id_marker);
            if page.is_truncated != Some(true) || key_marker.is_none() {
                found.retain(|version| version.key.starts_with(root));
                return Ok(found);
            }
        }
    }

    async fn remove(&self, versions: Vec<Version>) -> Result<(), Failure> {
        let mut objects: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
        for Version { key, id } in versions {
            objects.entry(key).or_default().push(id);
        }
        stream::iter(objects)
            .map(|(key, ids)| self.remove_object(key, ids))
            .buffer_unordered(REMOVALS)
            .try_collect()
            .await
    }

    /// Removes versions of one object, one after the other: a store that brings up
    /// an older one may be confused by whoever removes that meanwhile.
    async fn remove_object(&self, key: String, ids: Vec<Option<String>>) -> Result<(), Failure> {
        let doing = format!("remove {}", self.location(&key));
        for id in ids {
            let request = self.client.delete_object().bucket(&self.place.bucket);
            let request = request.key(&key).set_version_id(id);
            self.gone(request.send().await, &doing)?;
        }
        Ok(())
    }

    /// What is not there any more is gone.
    fn gone<T, E>(&self, result: Result<T, SdkError<E>>, doing: &str) -> Result<(), Failure>
    where
        E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Display + 'static,
    {
        match result {
            Err(error) if !is_missing(&error) => Err(failure(&self.place, doing, &error)),
            _ => Ok(()),
        }
    }
}
