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
