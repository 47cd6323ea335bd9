-- One object of every class, with odd names. Needs a superuser; roles are made
-- if they are not there, for they are shared by all databases of a server.
DO $$ DECLARE r text; BEGIN
    FOREACH r IN ARRAY ARRAY['shop_owner', 'reporting', 'Ann O''Hara'] LOOP
        BEGIN EXECUTE format('CREATE ROLE %I', r);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
    END LOOP;
END $$;

CREATE SCHEMA shop AUTHORIZATION shop_owner;
CREATE SCHEMA "Odd ""Schéma""";
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION hstore SCHEMA shop;
CREATE EXTENSION file_fdw;

-- Types.
CREATE TYPE shop.mood AS ENUM ('sad', 'it''s ok', 'happy');
ALTER TYPE shop.mood ADD VALUE 'meh' BEFORE 'it''s ok';
CREATE TYPE shop.address AS (street text COLLATE "C", zip varchar(10), geo point);
CREATE TYPE shop.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN shop.email AS text COLLATE "C" DEFAULT 'nobody@example.com' NOT NULL
    CONSTRAINT has_at CHECK (VALUE ~ '@');
CREATE COLLATION shop.bytewise (provider = libc, locale = 'C');

-- Functions and what rests on them.
CREATE FUNCTION shop.total(a integer, b integer DEFAULT 2) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS 'SELECT a + b';
CREATE FUNCTION shop.total(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(a)';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.changed := now(); RETURN NEW; END $$;
CREATE FUNCTION shop.noted() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM 1; END $$;
CREATE PROCEDURE shop.tidy(IN keep integer) LANGUAGE sql AS 'SELECT keep';
CREATE AGGREGATE shop.sum_of_all(integer) (sfunc = int4pl, stype = integer, initcond = '0',
    combinefunc = int4pl, parallel = safe);
CREATE OPERATOR shop.%%+ (function = shop.total, leftarg = integer, rightarg = integer);
CREATE OPERATOR FAMILY shop.backwards USING btree;
CREATE OPERATOR CLASS shop.backwards_int FOR TYPE integer USING btree FAMILY shop.backwards AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <,
    FUNCTION 1 btint4cmp(integer, integer);
CREATE FUNCTION shop.address_text(shop.address) RETURNS text LANGUAGE sql IMMUTABLE
    AS 'SELECT ($1).street';
CREATE CAST (shop.address AS text) WITH FUNCTION shop.address_text(shop.address) AS ASSIGNMENT;
CREATE CONVERSION shop.to_latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1;
CREATE TEXT SEARCH DICTIONARY shop.plain (template = simple, stopwords = english);
CREATE TEXT SEARCH CONFIGURATION shop.words (COPY = simple);
ALTER TEXT SEARCH CONFIGURATION shop.words ALTER MAPPING FOR asciiword WITH shop.plain;

-- Tables.
CREATE TABLE shop.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    contact shop.email,
    home shop.address,
    mood shop.mood DEFAULT 'happy',
    tags text[] DEFAULT '{}',
    seen tstzrange,
    extra shop.hstore,
    shout text GENERATED ALWAYS AS (upper(name)) STORED,
    nick varchar(20) COLLATE "C",
    changed timestamptz,
    CONSTRAINT name_not_empty CHECK (name <> ''),
    CONSTRAINT nick_is_unique UNIQUE (nick) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 90, toast.autovacuum_enabled = false);
ALTER TABLE shop.customers OWNER TO shop_owner;
ALTER TABLE shop.customers ALTER COLUMN name SET STORAGE EXTERNAL;
ALTER TABLE shop.customers ALTER COLUMN name SET STATISTICS 250;
ALTER TABLE shop.customers ALTER COLUMN nick SET (n_distinct = -0.5);
CREATE INDEX customers_name_idx ON shop.customers (lower(name)) WHERE nick IS NOT NULL;
CREATE INDEX customers_trgm_idx ON shop.customers USING gin (name public.gin_trgm_ops);
CREATE INDEX customers_changed_idx ON shop.customers (changed DESC NULLS LAST) INCLUDE (mood);
ALTER TABLE shop.customers CLUSTER ON customers_changed_idx;
CREATE STATISTICS shop.customers_stats (dependencies, ndistinct) ON name, nick FROM shop.customers;

CREATE TABLE shop.orders (
    id serial,
    customer bigint REFERENCES shop.customers ON DELETE CASCADE,
    placed date NOT NULL,
    amount numeric(12, 2) DEFAULT 0,
    note text,
    PRIMARY KEY (id, placed)
) PARTITION BY RANGE (placed);
CREATE TABLE shop.orders_2024 PARTITION OF shop.orders FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE shop.orders_2025 PARTITION OF shop.orders FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    PARTITION BY LIST (placed);
CREATE TABLE shop.orders_2025_rest PARTITION OF shop.orders_2025 DEFAULT;
CREATE INDEX orders_customer_idx ON shop.orders (customer);
CREATE TABLE shop.payments (order_id integer, placed date, paid money,
    FOREIGN KEY (order_id, placed) REFERENCES shop.orders (id, placed));
ALTER TABLE shop.payments REPLICA IDENTITY FULL;
ALTER TABLE shop.payments ADD CONSTRAINT not_negative CHECK (paid >= 0::money) NOT VALID;

CREATE TABLE public.base (id integer PRIMARY KEY, value text);
CREATE TABLE public.derived (more integer) INHERITS (public.base);
CREATE TABLE public.bookings (room integer, during tsrange,
    EXCLUDE USING gist (during WITH &&));
CREATE UNLOGGED TABLE public.scratch (id integer);
CREATE TABLE public.typed OF shop.address;
CREATE TABLE "Odd ""Schéma"""."select" ("from" integer PRIMARY KEY, "Größe; drop table x" text);
INSERT INTO shop.customers (name, nick) SELECT 'name ' || i, 'nick ' || i FROM generate_series(1, 200) i;
INSERT INTO shop.orders (customer, placed, amount, note)
    SELECT 1 + i % 200, date '2024-06-01' + i, i, 'note ' || i FROM generate_series(1, 400) i;
INSERT INTO "Odd ""Schéma"""."select" SELECT i, 'text ' || i FROM generate_series(1, 50) i;
CREATE SEQUENCE shop.tickets AS smallint INCREMENT -2 MINVALUE -100 MAXVALUE 0 START 0 CACHE 5 CYCLE;
SELECT nextval('shop.tickets');

-- Views and rules.
CREATE VIEW shop.rich WITH (security_barrier) AS
    SELECT c.name, sum(o.amount) AS spent FROM shop.customers c JOIN shop.orders o ON o.customer = c.id
    GROUP BY c.name;
CREATE MATERIALIZED VIEW shop.per_day AS SELECT placed, count(*) AS n FROM shop.orders GROUP BY placed;
CREATE UNIQUE INDEX per_day_idx ON shop.per_day (placed);
CREATE MATERIALIZED VIEW shop.empty_yet AS SELECT 1 AS one WITH NO DATA;
CREATE RULE ignore_deletes AS ON DELETE TO public.base DO INSTEAD NOTHING;

-- Triggers, policies.
CREATE TRIGGER touch BEFORE UPDATE ON shop.customers FOR EACH ROW
    WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION shop.touch();
CREATE TRIGGER "Touch too" BEFORE INSERT ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.customers DISABLE TRIGGER "Touch too";
CREATE TRIGGER each_part AFTER INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.orders_2024 DISABLE TRIGGER each_part;
ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON shop.customers FOR SELECT TO reporting, "Ann O'Hara" USING (name = CURRENT_USER);
CREATE POLICY no_writes ON shop.customers AS RESTRICTIVE FOR INSERT WITH CHECK (false);
CREATE EVENT TRIGGER note_ddl ON ddl_command_end WHEN TAG IN ('CREATE VIEW')
    EXECUTE FUNCTION shop.noted();

-- Foreign data, publications. The options are no real secrets.
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN DATA WRAPPER nothing OPTIONS (depth '1');
CREATE SERVER far TYPE 'odd' VERSION '1' FOREIGN DATA WRAPPER nothing OPTIONS (host 'far.example', api_token 'abc');
CREATE USER MAPPING FOR reporting SERVER far OPTIONS (user 'u', password 'p');
CREATE FOREIGN TABLE shop.lines (line text) SERVER files OPTIONS (filename '/dev/null', format 'csv');
CREATE PUBLICATION changes FOR TABLE shop.customers (id, name) WHERE (id > 10)
    WITH (publish = 'insert');
CREATE PUBLICATION all_public FOR TABLES IN SCHEMA public;

-- Grants.
GRANT USAGE ON SCHEMA shop TO reporting, PUBLIC;
GRANT SELECT ON shop.orders, shop.rich TO reporting WITH GRANT OPTION;
GRANT SELECT (id, name) ON shop.customers TO "Ann O'Hara";
REVOKE EXECUTE ON FUNCTION shop.total(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.total(integer, integer) TO reporting;
GRANT USAGE ON SEQUENCE shop.tickets TO reporting;
GRANT USAGE ON TYPE shop.mood TO reporting;
GRANT USAGE ON FOREIGN SERVER far TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA shop GRANT SELECT ON TABLES TO reporting;
ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Comments.
COMMENT ON SCHEMA shop IS 'the shop';
COMMENT ON TABLE shop.customers IS 'who buys; it''s odd';
COMMENT ON COLUMN shop.customers.nick IS 'short name';
COMMENT ON INDEX shop.customers_name_idx IS 'for look-ups';
COMMENT ON FUNCTION shop.total(integer, integer) IS 'adds';
COMMENT ON CONSTRAINT name_not_empty ON shop.customers IS 'of course';
COMMENT ON TRIGGER touch ON shop.customers IS 'keeps the time';
COMMENT ON TYPE shop.mood IS 'how they feel';

-- Large objects.
SELECT lo_from_bytea(0, 'one'), lo_from_bytea(0, 'two');
SELECT lo_put(loid, 0, 'x') FROM (SELECT oid AS loid FROM pg_largeobject_metadata LIMIT 1) l;
ALTER TABLE shop.payments OWNER TO shop_owner;
