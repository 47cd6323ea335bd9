//! Who may do what, and what is written about it.

use crate::detection::fault::Fault;

const fn schema(name: &'static str, sql: &'static str, names: &'static [&'static str]) -> Fault {
    Fault::sql(name, sql, &["schema"], names)
}

pub const FAULTS: &[Fault] = &[
    schema(
        "a grant on a view is lost",
        "REVOKE SELECT ON shop.rich FROM reporting",
        &["view shop.rich grants"],
    ),
    schema(
        "a grant on a column is lost",
        "REVOKE SELECT (name) ON shop.customers FROM \"Ann O'Hara\"",
        &["column shop.customers.name lost its grants"],
    ),
    schema(
        "a function may be called by everyone again",
        "GRANT EXECUTE ON FUNCTION shop.total(integer, integer) TO PUBLIC",
        &["function shop.total(a integer, b integer) grants"],
    ),
    schema(
        "a grant on a large object is lost",
        "REVOKE SELECT ON LARGE OBJECT 90001 FROM reporting",
        &["large objects"],
    ),
    schema(
        "a grant on a schema is lost",
        "REVOKE USAGE ON SCHEMA shop FROM reporting",
        &["schema shop grants"],
    ),
    schema(
        "default privileges are lost",
        "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA shop REVOKE SELECT ON TABLES FROM reporting",
        &["default privileges of shop_owner in schema shop on tables is missing"],
    ),
    schema(
        "a table changes its owner",
        "ALTER TABLE shop.payments OWNER TO reporting",
        &["table shop.payments owner is reporting, was shop_owner"],
    ),
    schema(
        "a function changes its owner",
        "ALTER FUNCTION shop.total(text) OWNER TO reporting",
        &["function shop.total(a text) owner is reporting"],
    ),
    schema(
        "a policy is lost",
        "DROP POLICY no_writes ON shop.customers",
        &["policy no_writes on shop.customers is missing"],
    ),
    schema(
        "a policy lets more rows through",
        "ALTER POLICY own_rows ON shop.customers USING (true)",
        &["policy own_rows on shop.customers using"],
    ),
    schema(
        "row-level security is switched off",
        "ALTER TABLE shop.customers DISABLE ROW LEVEL SECURITY",
        &["table shop.customers row security is disabled"],
    ),
    schema(
        "a comment is lost",
        "COMMENT ON TABLE shop.customers IS NULL",
        &["comment on table shop.customers is missing"],
    ),
    schema(
        "a comment on a large object changes",
        "COMMENT ON LARGE OBJECT 90001 IS 'a contract'",
        &["comment on large object 90001"],
    ),
];
