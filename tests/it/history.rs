//! Every store keeps the same promises.

use lifeboat::history::{contract, memory::MemoryHistory, sqlite::SqliteHistory};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::suite(&MemoryHistory::default()).await.unwrap();
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let history = SqliteHistory::open(&dir.path().join("h.db")).await.unwrap();
    contract::suite(&history).await.unwrap();
}

#[tokio::test]
async fn two_processes_may_open_a_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let opened = futures_util::future::join_all((0..8).map(|_| SqliteHistory::open(&path))).await;
    for history in opened {
        history.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_history_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    std::fs::write(&path, "not a database at all, but long enough to look at").unwrap();
    assert!(SqliteHistory::open(&path).await.is_err());
}

#[tokio::test]
async fn a_history_of_another_version_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    SqliteHistory::open(&path).await.unwrap();
    for change in [
        "update _sqlx_migrations set checksum = x'00'",
        "update _sqlx_migrations set version = version + 900",
    ] {
        let file = rusqlite::Connection::open(&path).unwrap();
        file.execute(change, []).unwrap();
        let error = SqliteHistory::open(&path).await.unwrap_err();
        assert!(
            error.to_string().contains("a version of Lifeboat"),
            "{error:?}"
        );
        assert!(error.hint().unwrap().contains("--state-dir"), "{error:?}");
    }
}
