//! The inventory of a rich schema, and what the schema check says about every
//! planted fault.

use lifeboat::{
    domain::{
        check::{CheckResult, Outcome, Severity},
        inventory::Inventory,
        recovery_point::Artifact,
    },
    engine::postgresql::{
        checks::{environment, schema},
        inventory,
        session::Session,
    },
};

use crate::support::{
    self,
    postgres::SERVER,
    rich::{self, RICH},
};

async fn open(database: &str, user: &str) -> Session {
    let (cx, _) = support::context();
    let mut endpoint = SERVER.endpoint(database);
    endpoint.user = user.to_owned();
    Session::open(&endpoint, cx.run).await.unwrap()
}

async fn taken(database: &str) -> Inventory {
    let session = open(database, "postgres").await;
    inventory::take(&session).await.unwrap()
}

fn dump() -> Artifact {
    Artifact::LogicalDump {
        path: "d".into(),
        format: "custom".into(),
    }
}

fn told(check: &CheckResult) -> Vec<String> {
    let line = |f: &lifeboat::domain::check::Finding| format!("{} {}", f.subject, f.message);
    check.findings.iter().map(line).collect()
}

#[tokio::test]
async fn a_dump_restores_every_object_of_a_rich_schema() {
    let (source, copy) = (taken(&RICH.source).await, taken(&RICH.copy).await);
    let check = schema::check(Some(&source), &copy);
    assert_eq!(check.outcome, Outcome::Pass, "{:#?}", check.findings);
    assert!(check.findings.is_empty(), "{:#?}", check.findings);
    let classes = [
        "aggregate",
        "cast",
        "collation",
        "column",
        "comment",
        "constraint",
        "conversion",
        "default privileges",
        "domain",
        "event trigger",
        "foreign data wrapper",
        "foreign table",
        "function",
        "index",
        "large objects",
        "materialized view",
        "operator",
        "operator class",
        "operator family",
        "policy",
        "procedure",
        "publication",
        "rule",
        "schema",
        "sequence",
        "server",
        "statistics",
        "table",
        "text search configuration",
        "text search dictionary",
        "trigger",
        "type",
        "user mapping",
        "view",
        "database",
        "role",
        "extension",
    ];
    for class in classes {
        assert!(source.class(class).count() > 0, "no {class}");
    }
    let environment = environment::check(Some(&source), &copy, "nobody", &dump());
    assert_eq!(environment.outcome, Outcome::Pass, "{environment:#?}");
}

#[tokio::test]
async fn it_holds_no_objects_of_extensions_and_no_secrets() {
    let source = taken(&RICH.source).await;
    assert!(
        source
            .class("function")
            .all(|(name, _)| !name.contains("similarity"))
    );
    assert!(
        source
            .class("type")
            .all(|(name, _)| !name.contains("hstore"))
    );
    let text = serde_json::to_string(&source).unwrap();
    assert!(!text.contains("password"), "user mapping options");
    assert!(text.contains("api_token (not shown), host=far.example"));
}

#[tokio::test]
async fn whoever_can_connect_reads_the_same_within_a_snapshot() {
    let all = taken(&RICH.source).await;
    SERVER.psql(
        "postgres",
        "do $$ begin create role passer_by login; exception when duplicate_object then null; end $$",
    );
    let session = open(&RICH.source, "passer_by").await;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
    session.batch("begin", begin).await.unwrap();
    let seen = inventory::take(&session).await.unwrap();
    // Other tests make roles meanwhile.
    let (mut all, mut seen) = (all, seen);
    all.retain(|class, _| class != "role");
    seen.retain(|class, _| class != "role");
    assert_eq!(seen.differences(&all), []);
}

/// A change to the copy, and all that must be told of it.
type Fault = (&'static str, &'static [&'static str]);

const FAULTS: [Fault; 47] = [
    (
        "DROP INDEX shop.customers_trgm_idx",
        &["index shop.customers_trgm_idx is missing"],
    ),
    // Its comment goes with it.
    (
        "DROP INDEX shop.customers_name_idx",
        &["index shop.customers_name_idx is missing"],
    ),
    (
        "DROP TRIGGER touch ON shop.customers",
        &["trigger touch on shop.customers is missing"],
    ),
    (
        "ALTER TABLE shop.customers DISABLE TRIGGER touch",
        &["trigger touch on shop.customers enabled is disabled, was yes"],
    ),
    (
        "ALTER TABLE shop.payments DISABLE TRIGGER ALL",
        &[
            "constraint payments_order_id_placed_fkey on shop.payments has disabled triggers: it is not enforced, unlike the source",
        ],
    ),
    (
        "DROP FUNCTION shop.total(text)",
        &["function shop.total(a text) is missing"],
    ),
    (
        "CREATE OR REPLACE FUNCTION shop.total(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(a)'",
        &["function shop.total(a text) definition is not the same, from its line 5 on"],
    ),
    (
        "ALTER FUNCTION shop.total(text) OWNER TO shop_owner",
        &["function shop.total(a text) owner is shop_owner, was postgres"],
    ),
    (
        "GRANT EXECUTE ON FUNCTION shop.total(integer, integer) TO PUBLIC",
        &[
            "function shop.total(a integer, b integer) grants is PUBLIC: EXECUTE; reporting: EXECUTE; the owner: EXECUTE, was reporting: EXECUTE; the owner: EXECUTE",
        ],
    ),
    (
        "DROP PROCEDURE shop.tidy",
        &["procedure shop.tidy(IN keep integer) is missing"],
    ),
    (
        "DROP AGGREGATE shop.sum_of_all(integer)",
        &["aggregate shop.sum_of_all(integer) is missing"],
    ),
    (
        "REVOKE SELECT ON shop.rich FROM reporting",
        &[
            "view shop.rich grants is the owner: DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE, was reporting: SELECT with grant option; the owner: DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE",
        ],
    ),
    (
        "REVOKE SELECT (name) ON shop.customers FROM \"Ann O'Hara\"",
        &["column shop.customers.name lost its grants: \"Ann O'Hara\": SELECT"],
    ),
    (
        "COMMENT ON TABLE shop.customers IS NULL",
        &["comment on table shop.customers is missing"],
    ),
    (
        "COMMENT ON COLUMN shop.customers.nick IS 'other'",
        &["comment on table column shop.customers.nick text is other, was short name"],
    ),
    (
        "ALTER TABLE shop.customers OWNER TO reporting",
        &[
            // The sequence of an identity column follows its table.
            "sequence shop.customers_id_seq owner is reporting, was shop_owner",
            "table shop.customers owner is reporting, was shop_owner",
        ],
    ),
    (
        "ALTER TABLE shop.payments DROP CONSTRAINT not_negative, ADD CONSTRAINT not_negative CHECK (paid >= 0::money)",
        &["constraint not_negative on shop.payments validated is true, was false"],
    ),
    (
        "ALTER TABLE shop.customers DROP CONSTRAINT name_not_empty, ADD CONSTRAINT name_not_empty CHECK (name <> '') NOT VALID; COMMENT ON CONSTRAINT name_not_empty ON shop.customers IS 'of course'",
        &["constraint name_not_empty on shop.customers validated is false, was true"],
    ),
    (
        "ALTER TABLE shop.customers DROP CONSTRAINT nick_is_unique",
        &["constraint nick_is_unique on shop.customers is missing, with 1 x index"],
    ),
    (
        "ALTER TABLE ONLY shop.orders ALTER amount SET DEFAULT 1",
        &["column shop.orders.amount default is 1, was 0"],
    ),
    (
        "ALTER TABLE shop.customers ALTER changed SET DEFAULT now()",
        &["column shop.customers.changed has default: now(), unlike the source"],
    ),
    (
        "ALTER TABLE public.derived ALTER more SET NOT NULL",
        &["column public.derived.more has not null: true, unlike the source"],
    ),
    (
        "ALTER TABLE public.derived ALTER more TYPE bigint",
        &["column public.derived.more type is bigint, was integer"],
    ),
    (
        "ALTER TABLE shop.customers ALTER nick TYPE varchar(20) COLLATE \"POSIX\"",
        &["column shop.customers.nick collation is pg_catalog.\"POSIX\", was pg_catalog.\"C\""],
    ),
    (
        "ALTER TABLE shop.customers ALTER name SET STORAGE MAIN",
        &["column shop.customers.name storage is main, was external"],
    ),
    (
        "ALTER TABLE shop.customers ALTER name SET STATISTICS -1",
        &["column shop.customers.name lost its statistics target: 250"],
    ),
    (
        "ALTER TABLE shop.customers ALTER id SET GENERATED BY DEFAULT",
        &["column shop.customers.id identity is by default, was always"],
    ),
    (
        "ALTER TABLE shop.payments DROP COLUMN paid",
        &[
            "column shop.payments.paid is missing",
            "constraint not_negative on shop.payments is missing",
        ],
    ),
    (
        "ALTER TABLE public.scratch ADD COLUMN extra text",
        &["column public.scratch.extra is not in the source"],
    ),
    (
        "ALTER TABLE public.scratch SET LOGGED",
        &["table public.scratch persistence is permanent, was unlogged"],
    ),
    (
        "DROP TABLE public.bookings",
        &["table public.bookings is missing, with 2 x column, 1 x constraint"],
    ),
    (
        "CREATE TABLE public.stray (id integer)",
        &["table public.stray is not in the source, with 1 x column"],
    ),
    (
        "ALTER TABLE shop.orders DETACH PARTITION shop.orders_2024",
        &[],
    ),
    (
        "DROP POLICY no_writes ON shop.customers",
        &["policy no_writes on shop.customers is missing"],
    ),
    (
        "ALTER POLICY own_rows ON shop.customers TO reporting",
        &["policy own_rows on shop.customers roles is reporting, was \"Ann O'Hara\", reporting"],
    ),
    (
        "ALTER TABLE shop.customers DISABLE ROW LEVEL SECURITY",
        &["table shop.customers row security is disabled, was enabled"],
    ),
    (
        "DROP RULE ignore_deletes ON public.base",
        &["rule ignore_deletes on public.base is missing"],
    ),
    (
        "ALTER TYPE shop.mood RENAME VALUE 'sad' TO 'bad'",
        &[
            "type shop.mood labels is 'bad', 'meh', 'it''s ok', 'happy', was 'sad', 'meh', 'it''s ok', 'happy'",
        ],
    ),
    (
        "ALTER DOMAIN shop.email DROP CONSTRAINT has_at",
        &["domain shop.email lost its constraints: has_at CHECK ((VALUE ~ '@'::text))"],
    ),
    (
        "ALTER SEQUENCE shop.tickets INCREMENT -3",
        &[
            "sequence shop.tickets parameters is start 0, increment -3, minimum -100, maximum 0, cache 5, cycle, was start 0, increment -2, minimum -100, maximum 0, cache 5, cycle",
        ],
    ),
    (
        "DROP PUBLICATION changes",
        &["publication changes is missing"],
    ),
    (
        "ALTER EVENT TRIGGER note_ddl DISABLE",
        &["event trigger note_ddl enabled is disabled, was yes"],
    ),
    (
        "DROP USER MAPPING FOR reporting SERVER far",
        &["user mapping reporting on server far is missing"],
    ),
    (
        "DROP STATISTICS shop.customers_stats",
        &["statistics shop.customers_stats is missing"],
    ),
    (
        "DROP CAST (shop.address AS text)",
        &["cast (shop.address as text) is missing"],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA shop REVOKE SELECT ON TABLES FROM reporting",
        &["default privileges of shop_owner in schema shop on tables is missing"],
    ),
    (
        "SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata",
        &[],
    ),
];

#[tokio::test]
async fn every_planted_fault_is_found_and_named() {
    let source = taken(&RICH.source).await;
    let session = open(&RICH.copy, "postgres").await;
    let mut wrong = Vec::new();
    for (sql, expected) in FAULTS {
        session.batch(sql, &format!("BEGIN; {sql}")).await.unwrap();
        let copy = inventory::take(&session).await.unwrap();
        session.batch("undo", "ROLLBACK").await.unwrap();
        let check = schema::check(Some(&source), &copy);
        let found = told(&check);
        // Without expectations it only has to be found.
        if check.outcome != Outcome::Fail || (!expected.is_empty() && found != *expected) {
            wrong.push(format!("{sql}\n   found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn default_grants_made_explicit_are_no_difference() {
    let source = taken(&RICH.source).await;
    let session = open(&RICH.copy, "postgres").await;
    let sql = "BEGIN; GRANT ALL ON TABLE shop.customers TO shop_owner; \
               GRANT EXECUTE ON FUNCTION shop.total(text) TO PUBLIC";
    session.batch("grant", sql).await.unwrap();
    let copy = inventory::take(&session).await.unwrap();
    assert_eq!(told(&schema::check(Some(&source), &copy)), [""; 0]);
}

#[tokio::test]
async fn the_environment_is_judged_by_what_it_would_break() {
    let source = taken(&RICH.source).await;
    let mut copy = taken(&RICH.copy).await;
    copy.retain(|class, name| {
        (class, name) != ("role", "reporting")
            && (class, name) != ("role", "passer_by")
            && (class, name) != ("extension", "hstore")
    });
    copy.add("extension", "pg_trgm", "version", "0.9");
    copy.add("database", "the database", "ctype", "xx");
    let check = environment::check(Some(&source), &copy, "nobody", &dump());
    let found: Vec<_> = check
        .findings
        .iter()
        .filter(|f| f.subject != "role passer_by" && !f.subject.contains("lb-"))
        .map(|f| (f.severity, f.subject.as_str()))
        .collect();
    let expected = [
        (Severity::Error, "the database"),
        (Severity::Error, "extension hstore"),
        (Severity::Error, "role reporting"),
        (Severity::Warning, "extension pg_trgm"),
    ];
    assert_eq!(found, expected, "{check:#?}");
}

#[tokio::test]
async fn an_invalid_index_is_a_difference() {
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table t (a int); create index t_a on t (a)",
    );
    let source = taken(&database).await;
    let copy = rich::copy_of(&SERVER, &database);
    SERVER.psql(
        &copy,
        "update pg_index set indisvalid = false where indexrelid = 't_a'::regclass",
    );
    let check = schema::check(Some(&source), &taken(&copy).await);
    assert_eq!(
        told(&check),
        ["index public.t_a state is invalid, was valid"]
    );
}
