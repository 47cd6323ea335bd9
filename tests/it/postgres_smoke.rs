//! The test server answers.

use lifeboat::engine::postgresql::session::Session;

use crate::support::{self, postgres::SERVER};

#[tokio::test]
async fn a_session_has_its_settings_pinned() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let session = Session::open(&SERVER.endpoint(&database), cx.run)
        .await
        .unwrap();
    let row = session.row("ask", "show timezone", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "UTC");
}

#[tokio::test]
async fn a_session_is_as_read_only_as_its_endpoint_whatever_the_database_says() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let sql = format!("alter database {database} set default_transaction_read_only to on");
    SERVER.psql("postgres", &sql);
    let mut endpoint = SERVER.endpoint(&database);
    let session = Session::open(&endpoint, cx.run).await.unwrap();
    session
        .batch("write", "create table public.t ()")
        .await
        .unwrap();
    endpoint.read_only = true;
    let session = Session::open(&endpoint, cx.run).await.unwrap();
    let refused = session.batch("write", "create table public.u ()").await;
    assert!(refused.unwrap_err().message.contains("read-only"));
}
