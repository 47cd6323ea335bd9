//! What can go wrong with a bucket, made to go wrong.

use std::{io::Write as _, path::Path, time::Duration};

use lifeboat::{
    domain::{failure::FailureKind, store::SecretSource},
    recovery::s3::{Bucket, Shelf, root},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    s3_bucket::{PART, content, fetched, new_run, small, wanted},
    support::s3::{Store, until_meanwhile},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_in_the_middle_leaves_nothing() {
    let mut store = Store::new();
    let bucket = small(store.bucket().await);
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "lb", run).await.unwrap();
    let (mut give, mut take) = tokio::io::duplex(PART);
    let sending = tokio::spawn(async move { shelf.put(Path::new("dump"), &mut take).await });
    give.write_all(&content(PART)).await.unwrap();
    until_meanwhile("the first part", || store.parts() > 0).await;
    store.kill();
    give.write_all(&content(PART - 1)).await.unwrap();
    drop(give);
    let failure = sending.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    assert!(failure.message.contains("cannot be reached"), "{failure}");

    // It cannot be cleared now, and says so; later it can.
    let failure = bucket.clear("lb", run).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    store.start();
    assert_eq!(store.uploads(), 1);
    bucket.clear("lb", run).await.unwrap();
    assert_eq!((store.uploads(), store.keys()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_soon_is_not_noticed() {
    let mut store = Store::new();
    let bucket = small(store.bucket().await);
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "lb", run).await.unwrap();
    let (mut give, mut take) = tokio::io::duplex(PART);
    let sending = tokio::spawn(async move {
        let kept = shelf.put(Path::new("dump"), &mut take).await;
        kept.map(|bytes| (shelf, bytes))
    });
    let data = content(2 * PART + 9);
    give.write_all(&data[..PART]).await.unwrap();
    until_meanwhile("the first part", || store.parts() > 0).await;
    store.kill();
    give.write_all(&data[PART..]).await.unwrap();
    drop(give);
    store.start();
    let (shelf, bytes) = sending.await.unwrap().unwrap();
    assert_eq!(bytes, data.len() as u64);
    shelf.close().await.unwrap();
    let kept = bucket.manifest(&root("lb", run)).await.unwrap().objects;
    let into = fetched(&bucket, kept.into_iter().map(Into::into).collect())
        .await
        .unwrap();
    assert!(std::fs::read(into.path().join("dump")).unwrap() == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_fails_is_taken_back() {
    let store = Store::new();
    let bucket = small(store.bucket().await);
    let shelf = Shelf::open(bucket.clone(), "lb", new_run()).await.unwrap();
    // The content itself breaks off.
    let mut broken = broken_after(content(PART + 3));
    let failure = shelf.put(Path::new("dump"), &mut broken).await.unwrap_err();
    assert!(
        failure.message.contains("cannot read what is to be kept"),
        "{failure}"
    );
    assert_eq!(store.uploads(), 0);
}

/// Gives all of `data`, and then an error.
fn broken_after(data: Vec<u8>) -> impl tokio::io::AsyncRead + Unpin + Send {
    let end = futures_util::stream::iter([
        Ok(std::io::Cursor::new(data)),
        Err(std::io::Error::other("the pipe broke")),
    ]);
    tokio_util::io::StreamReader::new(end)
}

#[tokio::test]
async fn what_is_wrong_is_said_and_what_to_do() {
    let store = Store::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file()
        .write_all(b"wrong-secret-of-somebody")
        .unwrap();
    let mut wrong = store.place();
    if let Some(credentials) = &mut wrong.credentials {
        credentials.secret_access_key = SecretSource::File(file.path().to_owned());
    }
    let mut missing = store.place();
    missing.bucket = "nosuch".to_owned();
    let mut nobody = store.place_at(1);
    nobody.region = "somewhere".to_owned();
    for (place, kind, words, hint) in [
        (
            wrong,
            FailureKind::Denied,
            "SignatureDoesNotMatch",
            "check the access key id",
        ),
        (
            missing,
            FailureKind::NotFound,
            "no bucket nosuch",
            "check the bucket's name",
        ),
        (nobody, FailureKind::Unavailable, "cannot be reached", ""),
    ] {
        let bucket = Bucket::open(&place).await.unwrap();
        let failures = [
            bucket.newest("backups/x-*").await.unwrap_err(),
            bucket.could_clear("lb", new_run()).await.unwrap_err(),
            Shelf::open(bucket, "lb", new_run()).await.err().unwrap(),
        ];
        for failure in failures {
            assert_eq!(failure.kind, kind, "{failure:?}");
            // An answer to a request for a head has no words.
            let told = failure.message.contains(words) || failure.message.contains("status 403");
            assert!(told, "{failure:?}");
            let advice = failure.hint.clone().unwrap_or_default();
            assert!(
                advice.contains(hint) || advice.contains("docs/s3.md"),
                "{failure:?}"
            );
            let text = format!("{failure:?}");
            assert!(
                !text.contains("wrong-secret") && !text.contains("test-secret"),
                "{text}"
            );
        }
    }
    let mut unread = store.place();
    if let Some(credentials) = &mut unread.credentials {
        credentials.access_key_id = SecretSource::Env("LIFEBOAT_TEST_NOT_SET".to_owned());
    }
    let failure = Bucket::open(&unread).await.unwrap_err();
    assert!(
        failure.message.contains("LIFEBOAT_TEST_NOT_SET is not set"),
        "{failure}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_is_taken_up_again() {
    let store = Store::new();
    let data = content(6 << 20);
    store.place_object("x", &data, Duration::ZERO);
    // Nothing longer than this comes through at once.
    let proxy = Proxy::begin(store.port(), Way::CutAfter(700_000)).await;
    let mut bucket = Bucket::open(&store.place_at(proxy)).await.unwrap();
    bucket.sizes.range = 2 << 20;
    let into = fetched(&bucket, wanted(&bucket, "x").await).await.unwrap();
    assert!(std::fs::read(into.path().join("copy")).unwrap() == data);

    bucket.sizes.range = 6 << 20;
    let failure = fetched(&bucket, wanted(&bucket, "x").await)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    assert!(failure.message.contains("broke off"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_changed_meanwhile_is_not_mixed() {
    let store = Store::new();
    let bucket = small(store.bucket().await);
    let client = crate::s3_bucket::client(&store);
    let put = |byte: u8| {
        let request = client
            .put_object()
            .bucket(crate::support::s3::BUCKET)
            .key("x");
        request.body(vec![byte; 3 << 20].into()).send()
    };
    put(1).await.unwrap();
    let found = wanted(&bucket, "x").await;
    put(2).await.unwrap();
    let failure = fetched(&bucket, found).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_knows_no_new_checksums_is_served_all_the_same() {
    let store = Store::new();
    let proxy = Proxy::begin(store.port(), Way::OldServer).await;
    let bucket = small(Bucket::open(&store.place_at(proxy)).await.unwrap());
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "lb", run).await.unwrap();
    let data = content(2 * PART - 7);
    shelf
        .put(Path::new("dump"), &mut data.as_slice())
        .await
        .unwrap();
    shelf.close().await.unwrap();
    let kept = bucket.manifest(&root("lb", run)).await.unwrap().objects;
    let into = fetched(&bucket, kept.into_iter().map(Into::into).collect())
        .await
        .unwrap();
    assert!(std::fs::read(into.path().join("dump")).unwrap() == data);
    bucket.clear("lb", run).await.unwrap();
    assert_eq!((store.uploads(), store.keys()), (0, Vec::new()));
}

/// Stands between, and is no good.
struct Proxy;

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Lets so many bytes of an answer through.
    CutAfter(usize),
    /// Answers for a server that does not know checksums beside the signature.
    OldServer,
}

impl Proxy {
    /// Gives the port that it listens on.
    async fn begin(to: u16, way: Way) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = Self::between(client, to, way).await;
                });
            }
        });
        port
    }

    async fn between(mut client: TcpStream, to: u16, way: Way) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if client.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        if matches!(way, Way::OldServer)
            && text.contains("x-amz-checksum-")
            && !text.starts_with("head")
        {
            let body = head.len() - text.find("\r\n\r\n").unwrap() - 4;
            let length = text.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let rest = length.unwrap_or(0_u64).saturating_sub(body as u64);
            tokio::io::copy(&mut (&mut client).take(rest), &mut tokio::io::sink()).await?;
            let answer =
                "HTTP/1.1 501 Not Implemented\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(answer.as_bytes()).await;
        }
        let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
        // One request for each connection: every one is looked at.
        let at = head.windows(2).position(|end| end == b"\r\n").unwrap();
        server.write_all(&head[..at]).await?;
        server.write_all(b"\r\nconnection: close").await?;
        server.write_all(&head[at..]).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let most = match way {
            Way::CutAfter(most) => most as u64,
            Way::OldServer => u64::MAX,
        };
        let mut answer = (&mut from_server).take(most);
        tokio::select! {
            answered = tokio::io::copy(&mut answer, &mut to_client) => answered.map(drop),
            asked = async {
                tokio::io::copy(&mut from_client, &mut to_server).await?;
                std::future::pending::<std::io::Result<()>>().await
            } => asked,
        }
    }
}

/// What is sent to see how much of it is held, in bytes.
const LENGTH: usize = 300 << 20;

/// Run in a process of its own by the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of another test"]
async fn memory_in_a_process_of_its_own() {
    let store = Store::new();
    let bucket = store.bucket().await;
    let run = new_run();
    let shelf = Shelf::open(bucket.clone(), "lb", run).await.unwrap();
    let block = content(1 << 20);
    let (mut give, mut take) = tokio::io::duplex(1 << 20);
    let feed = async {
        for _ in 0..LENGTH / block.len() {
            give.write_all(&block).await.unwrap();
        }
        give.shutdown().await.unwrap();
        Ok(())
    };
    let (kept, ()) = tokio::try_join!(shelf.put(Path::new("dump"), &mut take), feed).unwrap();
    assert_eq!(kept, LENGTH as u64);
    shelf.close().await.unwrap();
    println!("PEAK upload {}", peak());
    let kept = bucket.manifest(&root("lb", run)).await.unwrap().objects;
    let into = fetched(&bucket, kept.into_iter().map(Into::into).collect())
        .await
        .unwrap();
    assert_eq!(
        std::fs::metadata(into.path().join("dump")).unwrap().len(),
        LENGTH as u64
    );
    println!("PEAK download {}", peak());
}

/// The most memory that this process has ever had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib >> 10
}

#[test]
fn memory_stays_small_whatever_is_sent_and_fetched() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("s3_faults::memory_in_a_process_of_its_own")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let peaks: Vec<(&str, u64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("PEAK ")?.split_once(' '))
        .map(|(what, mib)| (what, mib.parse().unwrap()))
        .collect();
    assert_eq!(peaks.len(), 2, "{text}");
    // Some sixty on most days, a third of which is the test's own program.
    // Whoever held the whole would need more than twice the bound.
    let bound = (LENGTH >> 20) as u64 / 2;
    assert!(peaks.iter().all(|(_, mib)| *mib < bound), "{peaks:?}");
}
