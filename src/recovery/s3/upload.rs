//! Sending a stream to a bucket, in parts that are each held in memory.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Release},
};

use aws_sdk_s3::{
    error::SdkError,
    operation::put_object::PutObjectError,
    primitives::{ByteStream, SdkBody},
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use crc_fast::CrcAlgorithm::Crc64Nvme;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::Instrument as _;

use super::{
    Bucket,
    checksum::Crc,
    error::{NO_SUCH_UPLOAD, failure, is_not_known},
};
use crate::domain::failure::{Failure, FailureKind};

/// An object that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uploaded {
    pub bytes: u64,
    pub crc64: String,
}

/// An upload in parts that has begun.
struct Begun<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    id: String,
}

/// A part that was sent.
struct Sent {
    number: i32,
    etag: Option<String>,
    crc: Crc,
}

impl Bucket {
    /// Sends `content` to its end, or up to the most that one object holds.
    /// `room` is for parts in memory, whoever they belong to.
    ///
    /// # Errors
    /// If it cannot be read, or the server does not take it. Nothing is left
    /// of it then, as far as the server can be reached.
    pub(super) async fn upload(
        &self,
        key: &str,
        content: &mut (impl AsyncRead + Unpin + Send),
        room: &Arc<Semaphore>,
    ) -> Result<Uploaded, Failure> {
        let permit = seat(room).await?;
        let first = self.read_part(content).await?;
        if first.len() < self.sizes.part {
            let sent = self.put(key, first).await;
            drop(permit);
            return sent;
        }
        let begun = Begun {
            bucket: self,
            key,
            id: self.begin(key).await?,
        };
        let mut sending = JoinSet::new();
        sending.spawn(begun.part(1, first, permit).in_current_span());
        match begun.rest(content, room, &mut sending).await {
            Ok(sent) => Ok(sent),
            Err(failure) => {
                sending.shutdown().await;
                begun.abort().await;
                Err(failure)
            }
        }
    }

    /// Sends a content that is at hand.
    pub(super) async fn put(&self, key: &str, data: Vec<u8>) -> Result<Uploaded, Failure> {
        let crc = Crc::of(Crc64Nvme, &data);
        let bytes = data.len() as u64;
        let doing = format!("write {}", self.location(key));
        let known = self.knows_crc64.load(Acquire);
        let body = SdkBody::from(data);
        let again = body.try_clone().unwrap_or_else(SdkBody::empty);
        match self.put_once(key, body, known.then(|| crc.text())).await {
            Err(error) if known && is_not_known(&error) => {
                let plain = self.put_once(key, again, None).await;
                plain.map_err(|error| failure(&self.place, &doing, &error))?;
                self.knows_crc64.store(false, Release);
            }
            sent => sent.map_err(|error| failure(&self.place, &doing, &error))?,
        }
        Ok(Uploaded {
            bytes,
            crc64: crc.text(),
        })
    }

    async fn put_once(
        &self,
        key: &str,
        body: SdkBody,
        crc64: Option<String>,
    ) -> Result<(), SdkError<PutObjectError>> {
        let unsigned = self.leaves_payload_unsigned(crc64.as_deref());
        let request = self
            .client
            .put_object()
            .bucket(&self.place.bucket)
            .key(key)
            .set_checksum_crc64_nvme(crc64)
            .body(ByteStream::new(body))
            .customize();
        let request = if unsigned {
            request.disable_payload_signing()
        } else {
            request
        };
        request.send().await.map(drop)
    }

    /// The signature covers a second checksum of the payload, which costs more
    /// than all the rest. It is needed where nothing else protects it.
    fn leaves_payload_unsigned(&self, crc64: Option<&str>) -> bool {
        crc64.is_some() && self.place.is_encrypted()
    }

    async fn begin(&self, key: &str) -> Result<String, Failure> {
        let doing = format!("begin to write {}", self.location(key));
        let request = self.client.create_multipart_upload();
        let request = request.bucket(&self.place.bucket).key(key);
        let checked = request
            .clone()
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject);
        let known = self.knows_crc64.load(Acquire);
        let begun = match if known { checked } else { request.clone() }.send().await {
            Err(error) if known && is_not_known(&error) => {
                let plain = request.send().await;
                if plain.is_ok() {
                    self.knows_crc64.store(false, Release);
                }
                plain
            }
            begun => begun,
        };
        let begun = begun.map_err(|error| failure(&self.place, &doing, &error))?;
        begun.upload_id.ok_or_else(|| {
            let message = format!("cannot {doing}: the server gave no upload id");
            Failure::new(FailureKind::Unavailable, message)
        })
    }

    /// A whole part, or what is left.
    async fn read_part(
        &self,
        content: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<Vec<u8>, Failure> {
        let mut data = Vec::with_capacity(self.sizes.part);
        let mut part = content.take(self.sizes.part as u64);
        part.read_to_end(&mut data).await.map_err(|error| {
            let message = format!("cannot read what is to be kept: {error}");
            Failure::new(FailureKind::Unavailable, message)
        })?;
        Ok(data)
    }
}

impl Begun<'_> {
    /// Sends all that follows the first part, and puts everything together.
    async fn rest(
        &self,
        content: &mut (impl AsyncRead + Unpin + Send),
        room: &Arc<Semaphore>,
        sending: &mut JoinSet<Result<Sent, Failure>>,
    ) -> Result<Uploaded, Failure> {
        let mut parts = Vec::new();
        let mut last = 1;
        let mut more = true;
        while more || !sending.is_empty() {
            tokio::select! {
                // Whatever fails ends everything at once.
                Some(sent) = sending.join_next() => parts.push(sent.map_err(|error| {
                    let message = format!("sending a part broke off: {error}");
                    Failure::new(FailureKind::Internal, message)
                })??),
                permit = seat(room), if more => {
                    let permit = permit?;
                    let data = self.bucket.read_part(content).await?;
                    more = data.len() == self.bucket.sizes.part;
                    if !data.is_empty() {
                        last += 1;
                        more &= last < self.bucket.sizes.parts;
                        let number = i32::try_from(last).unwrap_or(i32::MAX);
                        let part = self.part(number, data, permit);
                        sending.spawn(part.in_current_span());
                    }
                }
                else => break,
            }
        }
        parts.sort_by_key(|part| part.number);
        self.complete(parts).await
    }

    /// Sends a part; the permit is given back with its memory.
    fn part(
        &self,
        number: i32,
        data: Vec<u8>,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = Result<Sent, Failure>> + Send + 'static {
        let bucket = self.bucket.clone();
        let request = bucket.client.upload_part();
        let request = request.bucket(&bucket.place.bucket).key(self.key);
        let request = request.upload_id(&self.id).part_number(number);
        let doing = format!("write part {number} of {}", bucket.location(self.key));
        async move {
            let crc = Crc::of(Crc64Nvme, &data);
            let told = bucket.knows_crc64.load(Acquire).then(|| crc.text());
            let unsigned = bucket.leaves_payload_unsigned(told.as_deref());
            let request = request.set_checksum_crc64_nvme(told);
            let request = request.body(ByteStream::from(data)).customize();
            let request = if unsigned {
                request.disable_payload_signing()
            } else {
                request
            };
            let sent = request.send().await;
            drop(permit);
            let sent = sent.map_err(|error| failure(&bucket.place, &doing, &error))?;
            Ok(Sent {
                number,
                etag: sent.e_tag,
                crc,
            })
        }
    }

    async fn complete(&self, parts: Vec<Sent>) -> Result<Uploaded, Failure> {
        let known = self.bucket.knows_crc64.load(Acquire);
        let mut whole = Crc::none(Crc64Nvme);
        let mut completed = CompletedMultipartUpload::builder();
        for Sent { number, etag, crc } in &parts {
            whole.push(crc);
            let part = CompletedPart::builder().part_number(*number);
            let part = part.set_e_tag(etag.clone());
            let part = part.set_checksum_crc64_nvme(known.then(|| crc.text()));
            completed = completed.parts(part.build());
        }
        let request = self
            .bucket
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket.place.bucket)
            .key(self.key)
            .upload_id(&self.id)
            .multipart_upload(completed.build())
            .set_checksum_crc64_nvme(known.then(|| whole.text()))
            .set_checksum_type(known.then_some(ChecksumType::FullObject));
        let uploaded = Uploaded {
            bytes: whole.bytes(),
            crc64: whole.text(),
        };
        match request.send().await {
            Ok(done) => {
                self.agrees(done.checksum_crc64_nvme(), &uploaded)?;
                Ok(uploaded)
            }
            Err(error) => {
                use aws_sdk_s3::error::ProvideErrorMetadata as _;
                // It may have been done before, and the answer got lost.
                let gone = error.as_service_error().and_then(|e| e.code()) == Some(NO_SUCH_UPLOAD);
                if gone && self.is_there(uploaded.bytes).await {
                    return Ok(uploaded);
                }
                let doing = format!("complete {}", self.bucket.location(self.key));
                Err(failure(&self.bucket.place, &doing, &error))
            }
        }
    }

    fn agrees(&self, told: Option<&str>, uploaded: &Uploaded) -> Result<(), Failure> {
        match told {
            Some(told) if told != uploaded.crc64 && !told.contains('-') => {
                let at = self.bucket.location(self.key);
                let message = format!("{at} is not what was sent: its checksum differs");
                Err(Failure::new(FailureKind::Unavailable, message))
            }
            _ => Ok(()),
        }
    }

    async fn is_there(&self, bytes: u64) -> bool {
        let found = self.bucket.object(self.key).await;
        found.is_ok_and(|found| found.is_some_and(|object| object.bytes == bytes))
    }

    /// Gives up. What cannot be taken back now goes with the run.
    async fn abort(&self) {
        let request = self.bucket.client.abort_multipart_upload();
        let request = request.bucket(&self.bucket.place.bucket).key(self.key);
        let _ = request.upload_id(&self.id).send().await;
    }
}

/// A place in memory.
async fn seat(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    room.clone().acquire_owned().await.map_err(|error| {
        let message = format!("sending ended: {error}");
        Failure::new(FailureKind::Internal, message)
    })
}
