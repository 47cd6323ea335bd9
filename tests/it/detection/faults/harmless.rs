//! Changes that lose nothing: each of these drills has to pass.

use crate::detection::fault::{Fault, Plant};

const fn change(name: &'static str, sql: &'static str) -> Fault {
    Fault::sql(name, sql, &[], &[])
}

pub const CHANGES: &[Fault] = &[
    change(
        "rows lie in another order",
        "CREATE TEMPORARY TABLE kept AS SELECT * FROM shop.visits;
         TRUNCATE shop.visits;
         INSERT INTO shop.visits SELECT * FROM kept ORDER BY page DESC, visitor",
    ),
    change(
        "rows were written anew and left space behind",
        "UPDATE shop.documents SET id = id",
    ),
    change(
        "long values are compressed otherwise",
        "ALTER TABLE shop.documents ALTER scan SET STORAGE EXTERNAL;
         UPDATE shop.documents SET scan = scan || ''::bytea;
         ALTER TABLE shop.documents ALTER scan SET STORAGE EXTENDED",
    ),
    change("an index was rebuilt", "REINDEX TABLE shop.readings"),
    change(
        "default grants are written out",
        "GRANT ALL ON TABLE shop.customers TO shop_owner",
    ),
    change(
        "columns were added and dropped again",
        "ALTER TABLE shop.visits ADD COLUMN gone integer; ALTER TABLE shop.visits DROP COLUMN gone",
    ),
    change("planner statistics are another", "ANALYZE"),
    Fault::new(
        "settings of the session that dumped differ",
        Plant::Made(&[
            "--format=plain",
            "PGOPTIONS=-c bytea_output=escape -c TimeZone=Asia/Kathmandu -c DateStyle=German",
        ]),
        &[],
        &[],
    ),
];
