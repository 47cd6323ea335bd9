//! Bringing objects into a directory: in ranges, several at once, each taken
//! up again where it broke off, and the whole held against its checksum.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crc_fast::CrcAlgorithm;
use tokio::{sync::Semaphore, task::JoinSet};
use tracing::Instrument as _;

use super::{Bucket, Object, Sum, checksum::Crc, error::failure};
use crate::domain::failure::{Failure, FailureKind};

/// How often a range is asked for, beside the client's own attempts: here it
/// is the answer that breaks off.
const ATTEMPTS: u32 = 5;

/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// How much is written at once.
const BLOCK: usize = 1 << 20;

/// An object, and where its content goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub object: Object,
    /// Below the directory that it is fetched into.
    pub file: PathBuf,
    /// Where in the file it begins.
    pub offset: u64,
}

/// A range of one of the objects that are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    of: usize,
    from: u64,
    bytes: u64,
}

/// What is being fetched, for the tasks that do it.
struct Job {
    bucket: Bucket,
    wanted: Vec<Wanted>,
    into: PathBuf,
    done: Arc<AtomicU64>,
}

impl Bucket {
    /// Fetches all of them into the directory `into`; `done` counts bytes.
    ///
    /// # Errors
    /// `BadBackup` if one is not what the store says that it is: not on the
    /// way, but there. Else what kept it from being read or written.
    pub async fn fetch(
        &self,
        wanted: Vec<Wanted>,
        into: &Path,
        done: Arc<AtomicU64>,
    ) -> Result<(), Failure> {
        for Wanted { file, .. } in &wanted {
            make(into, file)?;
        }
        let job = Arc::new(Job {
            bucket: self.clone(),
            wanted,
            into: into.to_owned(),
            done,
        });
        let first = job.clone().round((0..job.wanted.len()).collect()).await?;
        if first.is_empty() {
            return Ok(());
        }
        // Was it damaged on its way? Then not in the same way again.
        let spoilt = first.iter().map(|(of, _)| *of).collect();
        let second = job.clone().round(spoilt).await?;
        let Some((of, sum)) = second.first() else {
            return Ok(());
        };
        let at = self.location(&job.wanted[*of].object.key);
        let same = sum.is_none() || first.contains(&(*of, sum.clone()));
        if same {
            let message = format!("{at} is damaged: its content does not fit its checksum");
            Err(Failure::new(FailureKind::BadBackup, message))
        } else {
            let message = format!("{at} is damaged on its way, each time in another way");
            Err(Failure::new(FailureKind::Unavailable, message))
        }
    }

    /// Passes a range of an object on as it comes; only of this very version.
    pub(super) async fn stream(
        &self,
        object: &Object,
        from: u64,
        bytes: u64,
        take: &mut (dyn FnMut(&[u8]) -> Result<(), Failure> + Send),
    ) -> Result<(), Failure> {
        let doing = format!("read {}", self.location(&object.key));
        let mut got = 0;
        let mut attempt = 0;
        loop {
            let request = self.client.get_object().bucket(&self.place.bucket);
            let request = request.key(&object.key).set_if_match(object.etag.clone());
            let first = from + got;
            let request = request.range(format!("bytes={first}-{}", from + bytes - 1));
            let answer = request.send().await;
            let mut answer = answer.map_err(|error| failure(&self.place, &doing, &error))?;
            if answer.content_length() != i64::try_from(bytes - got).ok() {
                let message = format!("cannot {doing}: the server gives another range");
                return Err(Failure::new(FailureKind::Unavailable, message));
            }
            let broken = loop {
                match answer.body.next().await {
                    Some(Ok(chunk)) => {
                        let left = usize::try_from(bytes - got).unwrap_or(usize::MAX);
                        let chunk = &chunk[..chunk.len().min(left)];
                        take(chunk)?;
                        got += chunk.len() as u64;
                    }
                    Some(Err(error)) => break error.to_string(),
                    None => break "it ended early".to_owned(),
                }
                if got == bytes {
                    return Ok(());
                }
            };
            attempt += 1;
            if attempt == ATTEMPTS {
                let message = format!("cannot {doing}: it broke off {ATTEMPTS} times: {broken}");
                return Err(Failure::new(FailureKind::Unavailable, message));
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        }
    }
}

impl Job {
    /// Fetches the objects with these numbers; gives those that are not what
    /// they should be, with what they are where that is known.
    async fn round(
        self: Arc<Self>,
        which: Vec<usize>,
    ) -> Result<Vec<(usize, Option<String>)>, Failure> {
        let sizes = self.bucket.sizes;
        let room = Arc::new(Semaphore::new(sizes.downloads.max(1)));
        let mut ranges = which.iter().flat_map(|of| self.ranges(*of, sizes.range));
        let mut working: JoinSet<Result<(Range, Crc), Failure>> = JoinSet::new();
        let mut sums: BTreeMap<Range, Crc> = BTreeMap::new();
        loop {
            tokio::select! {
                Some(read) = working.join_next() => {
                    let read = read.map_err(|error| broke_off(&error))?;
                    let (range, crc) = read?;
                    sums.insert(range, crc);
                }
                Ok(permit) = room.clone().acquire_owned() => {
                    let Some(range) = ranges.next() else {
                        drop(permit);
                        break;
                    };
                    let job = self.clone();
                    let read = async move {
                        let crc = job.range(range).await?;
                        drop(permit);
                        Ok((range, crc))
                    };
                    working.spawn(read.in_current_span());
                }
            }
        }
        while let Some(read) = working.join_next().await {
            let (range, crc) = read.map_err(|error| broke_off(&error))??;
            sums.insert(range, crc);
        }
        let judged = move || self.judge(&which, &sums);
        tokio::task::spawn_blocking(judged)
            .await
            .map_err(|error| broke_off(&error))?
    }

    fn ranges(&self, of: usize, size: u64) -> impl Iterator<Item = Range> + use<> {
        let whole = self.wanted[of].object.bytes;
        let size = size.max(1);
        (0..whole.div_ceil(size)).map(move |number| Range {
            of,
            from: number * size,
            bytes: size.min(whole - number * size),
        })
    }

    async fn range(self: &Arc<Self>, range: Range) -> Result<Crc, Failure> {
        let wanted = &self.wanted[range.of];
        let algorithm = self.algorithm(range.of);
        let file = open(&self.into, &wanted.file)?;
        let mut crc = Crc::none(algorithm);
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 4);
        let mut at = wanted.offset + range.from;
        let Range { from, bytes, .. } = range;
        self.bucket
            .stream(&wanted.object, from, bytes, &mut |chunk| {
                block.extend_from_slice(chunk);
                if block.len() >= BLOCK {
                    crc.push(&Crc::of(algorithm, &block));
                    self.write(&file, &block, at)?;
                    at += block.len() as u64;
                    block.clear();
                }
                Ok(())
            })
            .await?;
        crc.push(&Crc::of(algorithm, &block));
        self.write(&file, &block, at)?;
        Ok(crc)
    }

    /// Into the kernel's cache: that blocks for a moment at most.
    fn write(&self, file: &File, block: &[u8], at: u64) -> Result<(), Failure> {
        let written = file.write_all_at(block, at);
        written.map_err(|error| io(&error, "write to", &self.into))?;
        self.done.fetch_add(block.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn algorithm(&self, of: usize) -> CrcAlgorithm {
        let sum = self.wanted[of].object.sum.as_ref();
        sum.and_then(Sum::combinable)
            .unwrap_or(CrcAlgorithm::Crc64Nvme)
    }

    fn judge(
        &self,
        which: &[usize],
        sums: &BTreeMap<Range, Crc>,
    ) -> Result<Vec<(usize, Option<String>)>, Failure> {
        let mut wrong = Vec::new();
        for &of in which {
            let Wanted { object, .. } = &self.wanted[of];
            let Some(sum) = &object.sum else { continue };
            let Some(algorithm) = sum.combinable() else {
                if !self.has(of, sum)? {
                    wrong.push((of, None));
                }
                continue;
            };
            let mut whole = Crc::none(algorithm);
            let first = |of| Range {
                of,
                from: 0,
                bytes: 0,
            };
            for (_, crc) in sums.range(first(of)..first(of + 1)) {
                whole.push(crc);
            }
            if !sum.fits(&whole) {
                wrong.push((of, Some(whole.text())));
            }
        }
        Ok(wrong)
    }

    /// Whether what was fetched has a sum that only the whole gives.
    fn has(&self, of: usize, sum: &Sum) -> Result<bool, Failure> {
        let Wanted {
            object,
            offset,
            file,
        } = &self.wanted[of];
        let mut content = open(&self.into, file)?;
        content
            .seek(SeekFrom::Start(*offset))
            .and_then(|_| sum.fits_file(&mut content, object.bytes))
            .map_err(|error| io(&error, "read", &self.into.join(file)))
    }
}

/// Makes the file, whole or in part its content will come.
fn make(into: &Path, file: &Path) -> Result<(), Failure> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !file.components().all(plain) {
        let message = format!("{} is no name for a file", file.display());
        return Err(Failure::new(FailureKind::BadBackup, message));
    }
    let path = into.join(file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| io(&error, "make", parent))?;
    }
    let made = File::options().create(true).append(true).open(&path);
    made.map(drop).map_err(|error| io(&error, "make", &path))
}

fn open(into: &Path, file: &Path) -> Result<File, Failure> {
    let path = into.join(file);
    let opened = File::options().read(true).write(true).open(&path);
    opened.map_err(|error| io(&error, "open", &path))
}

fn broke_off(error: &tokio::task::JoinError) -> Failure {
    Failure::new(FailureKind::Internal, format!("reading broke off: {error}"))
}

fn io(error: &std::io::Error, verb: &str, path: &Path) -> Failure {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, StorageFull};
    let kind = match error.kind() {
        StorageFull | QuotaExceeded => FailureKind::Exhausted,
        PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, format!("cannot {verb} {}: {error}", path.display()))
}
