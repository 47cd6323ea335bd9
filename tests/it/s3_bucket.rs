//! What is promised of buckets, on a real S3 server.

use std::{os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    recovery::s3::{Bucket, Filling, Shelf, Sum, Wanted, root},
};
use tokio_util::sync::CancellationToken;

use crate::support::s3::{Store, until_meanwhile};

const MIB: usize = 1 << 20;

/// The smallest part that S3 takes.
pub const PART: usize = 5 * MIB;

pub fn new_run() -> RunId {
    RunId::new(SystemClock::new().now())
}

/// Content of which no two pieces are alike.
pub fn content(bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut content = vec![0; bytes];
    random.fill(&mut content);
    content
}

/// Parts and ranges as small as may be.
pub fn small(mut bucket: Bucket) -> Bucket {
    bucket.sizes.part = PART;
    bucket.sizes.parts = 2;
    bucket.sizes.range = MIB as u64;
    bucket
}

pub async fn fetched(bucket: &Bucket, wanted: Vec<Wanted>) -> Result<tempfile::TempDir, Failure> {
    let into = tempfile::tempdir().unwrap();
    bucket.fetch(wanted, into.path(), Arc::default()).await?;
    Ok(into)
}

pub async fn wanted(bucket: &Bucket, key: &str) -> Vec<Wanted> {
    let object = bucket.object(key).await.unwrap().unwrap();
    vec![Wanted {
        object,
        file: "copy".into(),
        offset: 0,
    }]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_kept_in_parts_and_comes_back() {
    let store = Store::new();
    let bucket = small(store.bucket().await);
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "some/where", run)
        .await
        .unwrap();
    // More than two objects of two parts each, and some that end with a part.
    let contents = [23 * MIB + 17, PART, 2 * PART, 3, 0].map(content);
    for (number, content) in contents.iter().enumerate() {
        let name = format!("folder/{number}");
        let kept = shelf.put(Path::new(&name), &mut content.as_slice()).await;
        assert_eq!(kept.unwrap(), content.len() as u64);
    }
    assert_eq!(
        shelf.bytes(),
        contents.iter().map(|c| c.len() as u64).sum::<u64>()
    );
    shelf.close().await.unwrap();
    assert_eq!(store.uploads(), 0);

    let root = root("some/where", run);
    let manifest = bucket.manifest(&root).await.unwrap();
    let of_first = manifest
        .objects
        .iter()
        .filter(|kept| kept.file == Path::new("folder/0"));
    assert_eq!(of_first.count(), 3);
    // What the server says of them is what was sent.
    for kept in &manifest.objects {
        let object = bucket.object(&kept.key).await.unwrap().unwrap();
        assert_eq!(object.bytes, kept.bytes, "{}", kept.key);
        assert_eq!(object.sum.as_ref(), Some(&kept.sum), "{}", kept.key);
    }
    let wanted = manifest.objects.into_iter().map(Wanted::from).collect();
    let into = fetched(&bucket, wanted).await.unwrap();
    for (number, content) in contents.iter().enumerate() {
        let found = std::fs::read(into.path().join(format!("folder/{number}"))).unwrap();
        assert!(found == *content, "{number} came back as something else");
    }

    bucket.clear("some/where", run).await.unwrap();
    assert_eq!(store.keys(), Vec::<String>::new());
    bucket.clear("some/where", run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_file_by_file_while_it_is_filled() {
    let store = Store::new();
    let bucket = store.bucket().await;
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "", run).await.unwrap();
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("dump");
    std::fs::create_dir(&directory).unwrap();
    let filling = Filling::watch(parent.path(), Path::new("dump")).unwrap();
    let filled = CancellationToken::new();
    let fill = async {
        std::fs::write(directory.join("first"), content(MIB)).unwrap();
        // It is kept and gone before the next one is begun.
        until_meanwhile("the first file to go", || !directory.join("first").exists()).await;
        let unfinished = std::fs::File::create(directory.join("open")).unwrap();
        std::fs::write(directory.join("second"), content(3)).unwrap();
        until_meanwhile("the second file to go", || {
            !directory.join("second").exists()
        })
        .await;
        assert!(
            directory.join("open").exists(),
            "a file went before it was finished"
        );
        std::io::Write::write_all(&mut &unfinished, b"all of it").unwrap();
        drop(unfinished);
        filled.cancel();
        Ok(())
    };
    tokio::try_join!(shelf.drain(&filling, &filled), fill).unwrap();
    shelf.close().await.unwrap();
    let objects = bucket.manifest(&root("", run)).await.unwrap().objects;
    let mut kept: Vec<_> = objects
        .iter()
        .map(|k| (k.file.display().to_string(), k.bytes))
        .collect();
    kept.sort();
    let expected = [
        ("dump/first", MIB as u64),
        ("dump/open", 9),
        ("dump/second", 3),
    ];
    assert_eq!(kept, expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}

#[tokio::test]
async fn the_newest_backup_that_fits_counts() {
    let store = Store::new();
    let bucket = store.bucket().await;
    let minutes = |n: u64| Duration::from_secs(60 * n);
    for (key, age) in [
        ("backups/shop-1.dump", 30),
        ("backups/shop-2.dump", 10),
        ("backups/shop-3.dump", 20),
        ("backups/other.dump", 0),
        ("backups/shop-9/deeper.dump", 0),
        ("backups/dirs/d-1/toc.dat", 9),
        ("backups/dirs/d-2/toc.dat", 5),
        ("backups/dirs/d-2/1.dat", 50),
        ("backups/dirs/d-3/no-dump", 1),
        ("backups/dirs/d-0.dump", 7),
        ("top.dump", 1),
    ] {
        store.place_object(key, key.as_bytes(), minutes(age));
    }
    for (key, expected) in [
        ("backups/shop-*.dump", "backups/shop-2.dump"),
        ("backups/shop-?.dump", "backups/shop-2.dump"),
        ("backups/*.dump", "backups/other.dump"),
        ("backups/shop-1.dump", "backups/shop-1.dump"),
        ("backups/dirs/d-*", "backups/dirs/d-2/"),
        ("backups/dirs/d-1", "backups/dirs/d-1/"),
        ("backups/dirs/d-1/", "backups/dirs/d-1/"),
        ("backups/dirs/d-?/", "backups/dirs/d-2/"),
        ("*.dump", "top.dump"),
    ] {
        let found = bucket.newest(key).await;
        assert_eq!(
            found.map(|object| object.key),
            Ok(expected.to_owned()),
            "{key}"
        );
    }
    let found = bucket.newest("backups/shop-2.dump").await.unwrap();
    let age = SystemClock::new().now().as_second() - found.modified.unwrap().as_second();
    assert!((599..660).contains(&age), "{age}");
    for (key, words) in [
        ("backups/none-*", "there is dirs/, other.dump, shop-1.dump"),
        ("backups/none.dump", "there is dirs/"),
        ("nowhere/x-*", "nothing is there"),
        ("backups/dirs/d-3/", "no backup"),
    ] {
        let failure = bucket.newest(key).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound, "{failure}");
        assert!(failure.message.contains(words), "{key}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_the_runs_own_is_ever_removed() {
    let store = Store::new();
    let bucket = small(store.bucket().await);
    let (mine, others) = (new_run(), new_run());
    for (earlier, run) in [mine, others].into_iter().enumerate() {
        let shelf = Shelf::open(bucket.clone(), "lb", run).await.unwrap();
        shelf
            .put(Path::new("dump"), &mut &*content(9))
            .await
            .unwrap();
        // Cut off in the middle: an upload stays unfinished.
        let (mut give, mut take) = tokio::io::duplex(MIB);
        let feed = async {
            use tokio::io::AsyncWriteExt;
            give.write_all(&content(PART + 1)).await.unwrap();
            until_meanwhile("the part to arrive", || store.parts() > earlier).await;
        };
        tokio::select! {
            put = shelf.put(Path::new("long"), &mut take) => panic!("{put:?}"),
            () = feed => {}
        }
    }
    store.place_object("lb/theirs", b"x", Duration::ZERO);
    store.place_object(
        &format!("lb/{}x/theirs", mine.resource_name()),
        b"x",
        Duration::ZERO,
    );
    let before = store.keys();
    assert_eq!(store.uploads(), 2);

    bucket.clear("lb", mine).await.unwrap();
    let mut expected = before.clone();
    expected.retain(|key| !key.starts_with(&root("lb", mine)));
    assert_eq!(store.keys(), expected);
    assert_eq!(store.uploads(), 1);

    // Somebody else's things where the run's would be.
    let foreign = new_run();
    let theirs = format!("{}dump", root("lb", foreign));
    store.place_object(&theirs, b"x", Duration::ZERO);
    for mark in [None, Some(others)] {
        if let Some(mark) = mark {
            let marker = format!("{}.lifeboat-run", root("lb", foreign));
            store.place_object(&marker, mark.to_string().as_bytes(), Duration::ZERO);
        }
        let failure = bucket.clear("lb", foreign).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
        assert!(store.keys().contains(&theirs));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_bucket_that_keeps_versions_none_is_left() {
    let store = Store::new();
    let bucket = store.bucket().await;
    let client = client(&store);
    let enabled = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    client
        .put_bucket_versioning()
        .bucket(crate::support::s3::BUCKET)
        .versioning_configuration(enabled)
        .send()
        .await
        .unwrap();
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "v", run).await.unwrap();
    for length in [1, 2, 3] {
        shelf
            .put(Path::new("dump"), &mut &*content(length))
            .await
            .unwrap();
    }
    let versions = || async {
        let listed = client
            .list_object_versions()
            .bucket(crate::support::s3::BUCKET);
        let listed = listed.prefix("v/").send().await.unwrap();
        (listed.versions().len(), listed.delete_markers().len())
    };
    assert_eq!(versions().await, (4, 0));
    bucket.clear("v", run).await.unwrap();
    assert_eq!(versions().await, (0, 0));
}

#[tokio::test]
async fn whatever_sum_the_store_keeps_is_held_against_the_content() {
    use aws_sdk_s3::{
        config::RequestChecksumCalculation,
        types::ChecksumAlgorithm::{Crc32, Crc32C, Crc64Nvme, Sha256},
    };
    let store = Store::new();
    let bucket = small(store.bucket().await);
    let client = client(&store);
    let data = content(2 * MIB + 5);
    for algorithm in [
        Some(Crc64Nvme),
        Some(Crc32),
        Some(Crc32C),
        Some(Sha256),
        None,
    ] {
        let request = client
            .put_object()
            .bucket(crate::support::s3::BUCKET)
            .key("x");
        let request = request.set_checksum_algorithm(algorithm.clone());
        let computed =
            aws_sdk_s3::Config::builder().request_checksum_calculation(match algorithm {
                Some(_) => RequestChecksumCalculation::WhenSupported,
                None => RequestChecksumCalculation::WhenRequired,
            });
        let request = request.body(data.clone().into()).customize();
        request.config_override(computed).send().await.unwrap();
        let object = bucket.object("x").await.unwrap().unwrap();
        let fits = match (&algorithm, &object.sum) {
            (Some(Crc64Nvme), Some(Sum::Crc64(_)))
            | (Some(Crc32), Some(Sum::Crc32(_)))
            | (Some(Crc32C), Some(Sum::Crc32c(_)))
            | (Some(Sha256), Some(Sum::Sha256(_)))
            // The store may make one by itself.
            | (None, Some(Sum::Md5(_) | Sum::Crc64(_))) => true,
            _ => false,
        };
        assert!(fits, "{algorithm:?}: {:?}", object.sum);
        let into = fetched(&bucket, wanted(&bucket, "x").await).await.unwrap();
        assert!(std::fs::read(into.path().join("copy")).unwrap() == data);

        // One bit, past the server: what it keeps as checksum stays.
        let path = store.objects().join("x");
        let mut spoilt = data.clone();
        spoilt[MIB + 3] ^= 1;
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&spoilt, 0).unwrap();
        let failure = fetched(&bucket, wanted(&bucket, "x").await)
            .await
            .unwrap_err();
        assert_eq!(
            failure.kind,
            FailureKind::BadBackup,
            "{algorithm:?}: {failure}"
        );
        assert!(failure.message.contains("checksum"), "{failure}");
    }
}

pub fn client(store: &Store) -> aws_sdk_s3::Client {
    let credentials = aws_sdk_s3::config::Credentials::new(
        "test-key",
        "test-secret-of-the-store",
        None,
        None,
        "test",
    );
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .endpoint_url(format!("http://127.0.0.1:{}", store.port()))
        .force_path_style(true)
        .credentials_provider(credentials)
        .request_checksum_calculation(aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_s3::Client::from_conf(config)
}
