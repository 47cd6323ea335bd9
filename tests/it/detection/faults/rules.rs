//! Code and types of the database.

use crate::detection::fault::Fault;

const fn schema(name: &'static str, sql: &'static str, names: &'static [&'static str]) -> Fault {
    Fault::sql(name, sql, &["schema"], names)
}

pub const FAULTS: &[Fault] = &[
    schema(
        "a function is lost",
        "DROP FUNCTION shop.discount(numeric)",
        &["function shop.discount(amount numeric) is missing"],
    ),
    schema(
        "the body of a function changes",
        "CREATE OR REPLACE FUNCTION shop.discount(amount numeric) RETURNS numeric LANGUAGE sql AS 'SELECT amount * 0.8'",
        &["function shop.discount(amount numeric) definition"],
    ),
    schema(
        "a function runs with its owner's rights",
        "ALTER FUNCTION shop.total(text) SECURITY DEFINER",
        &["function shop.total(a text) definition"],
    ),
    schema(
        "a procedure is lost",
        "DROP PROCEDURE shop.tidy(integer)",
        &["procedure shop.tidy(IN keep integer) is missing"],
    ),
    schema(
        "an aggregate is lost",
        "DROP AGGREGATE shop.sum_of_all(integer)",
        &["aggregate shop.sum_of_all(integer) is missing"],
    ),
    schema(
        "an operator is lost",
        "DROP OPERATOR shop.%%+ (integer, integer)",
        &["operator shop.%%+(integer,integer) is missing"],
    ),
    schema(
        "a cast is lost",
        "DROP CAST (shop.address AS text)",
        &["cast (shop.address as text) is missing"],
    ),
    schema(
        "a trigger is lost",
        "DROP TRIGGER touch ON shop.customers",
        &["trigger touch on shop.customers is missing"],
    ),
    schema(
        "a trigger is disabled",
        "ALTER TABLE shop.customers DISABLE TRIGGER touch",
        &["trigger touch on shop.customers enabled is disabled"],
    ),
    schema(
        "a trigger fires without its condition",
        "CREATE OR REPLACE TRIGGER touch BEFORE UPDATE ON shop.customers
            FOR EACH ROW EXECUTE FUNCTION shop.touch()",
        &["trigger touch on shop.customers definition"],
    ),
    schema(
        "an event trigger is lost",
        "DROP EVENT TRIGGER note_ddl",
        &["event trigger note_ddl is missing"],
    ),
    schema(
        "a rule is lost",
        "DROP RULE ignore_deletes ON public.base",
        &["rule ignore_deletes on public.base is missing"],
    ),
    schema(
        "a view is lost",
        "DROP VIEW shop.price_list",
        &["view shop.price_list is missing"],
    ),
    schema(
        "a view shows something else",
        "CREATE OR REPLACE VIEW shop.price_list AS
            SELECT o.id, shop.price_of('article ' || o.id + 1) AS price FROM shop.orders o",
        &["view shop.price_list definition"],
    ),
    Fault::sql(
        "a view is there and fails when it is used",
        "ALTER TABLE shop.prices RENAME TO prices_old",
        &["fingerprints", "schema", "views"],
        &["shop.prices", "view shop.price_list"],
    ),
    schema(
        "a label of an enum is lost",
        "DELETE FROM pg_enum WHERE enumtypid = 'shop.mood'::regtype AND enumlabel = 'sad'",
        &["type shop.mood labels"],
    ),
    schema(
        "a domain loses its constraint",
        "ALTER DOMAIN shop.email DROP CONSTRAINT has_at",
        &["domain shop.email lost its constraints"],
    ),
    schema(
        "a domain allows nulls",
        "ALTER DOMAIN shop.email DROP NOT NULL",
        &["domain shop.email lost its not null"],
    ),
    schema(
        "a composite type gets a field",
        "ALTER TYPE shop.span_of ADD ATTRIBUTE more integer",
        &["type shop.span_of attributes"],
    ),
    schema(
        "a sequence counts by another step",
        "ALTER SEQUENCE shop.tickets INCREMENT -3",
        &["sequence shop.tickets parameters"],
    ),
    schema(
        "a text search configuration loses a mapping",
        "ALTER TEXT SEARCH CONFIGURATION shop.words DROP MAPPING FOR asciiword",
        &["text search configuration shop.words mappings"],
    ),
    schema(
        "a publication is lost",
        "DROP PUBLICATION changes",
        &["publication changes is missing"],
    ),
    schema(
        "a publication no longer filters rows",
        "ALTER PUBLICATION changes SET TABLE shop.customers (id, name)",
        &["publication changes tables"],
    ),
    schema(
        "a foreign server points elsewhere",
        "ALTER SERVER far OPTIONS (SET host 'elsewhere.example')",
        &["server far options"],
    ),
    schema(
        "a user mapping is lost",
        "DROP USER MAPPING FOR reporting SERVER far",
        &["user mapping reporting on server far is missing"],
    ),
];
