//! Large objects: data that lies in no table.

use super::take::parse;
use crate::{
    domain::{
        failure::Failure,
        fingerprint::{TableFingerprint, Weighted},
    },
    engine::postgresql::session::Session,
};

/// The name they are listed under.
pub(super) const NAME: &str = "large objects";

/// Reads each object in pieces, so that its size does not matter.
const DIGEST: &str = "\
    select count(*), coalesce(sum(h), 0)::text, \
           coalesce(sum((h & 2147483647) * k), 0)::text \
    from (select m.oid::int8 as k, hashtextextended(( \
              with recursive piece(number, data) as ( \
                  select 0::int8, lo_get(m.oid, 0, 1048576) \
                  union all \
                  select number + 1, lo_get(m.oid, (number + 1) * 1048576, 1048576) \
                  from piece where length(data) = 1048576) \
              select sum(hash_array_extended(array[data], number))::text from piece), \
          m.oid::int8) as h \
          from pg_largeobject_metadata m offset 0) objects";

/// Takes the digest of all of them; `None` where there are none.
pub(super) async fn take(session: &Session) -> Result<Option<TableFingerprint>, Failure> {
    let row = session.row("read the large objects", DIGEST, &[]).await?;
    let rows: i64 = row.get(0);
    if rows == 0 {
        return Ok(None);
    }
    Ok(Some(TableFingerprint {
        rows: rows.unsigned_abs(),
        sum: parse(row.get(1))?,
        weighted: Some(Weighted {
            sum: parse(row.get(2))?,
            key: "oid".to_owned(),
        }),
        row_hash: None,
    }))
}
