-- What the rich schema lacks: values whose loss is easily overlooked.
CREATE TYPE shop.spot AS (street text, zip varchar(10), geo point);
CREATE TABLE shop.readings (
    id bigint PRIMARY KEY,
    taken timestamptz NOT NULL,
    "local" timestamp NOT NULL,
    amount numeric NOT NULL,
    ratio float8 NOT NULL,
    counter bigint NOT NULL,
    doc jsonb NOT NULL,
    raw json NOT NULL,
    label text NOT NULL,
    remark text,
    code char(8) NOT NULL,
    flags bit(6) NOT NULL,
    span interval NOT NULL,
    price money NOT NULL,
    address inet NOT NULL,
    token uuid NOT NULL,
    tags text[] NOT NULL,
    valid tstzrange NOT NULL,
    feeling shop.mood NOT NULL,
    place shop.spot NOT NULL,
    spot point NOT NULL,
    page xml NOT NULL,
    words tsvector NOT NULL,
    blob bytea NOT NULL,
    active boolean NOT NULL,
    day date NOT NULL
);
INSERT INTO shop.readings SELECT i, timestamptz '2025-03-01 00:00:00+00' + i * interval '37 s',
    timestamp '2025-03-01 00:00:00' + i * interval '37 s', i * 1.10, i / 7.0, i * 1000003::bigint,
    jsonb_build_object('n', i, 'kind', 'sensor', 'note', 'n' || i), json_build_object('n', i),
    'label ' || i, CASE WHEN i % 3 = 0 THEN NULL WHEN i % 3 = 1 THEN '' ELSE 'remark ' || i END,
    'c' || i, (i % 64)::bit(6), i * interval '1 minute', (i * 1.25)::numeric::money,
    ('10.0.' || i % 256 || '.7')::inet, md5(i::text)::uuid, ARRAY['a' || i, 'b'],
    tstzrange('2025-01-01', timestamptz '2025-01-02' + i * interval '1 h'), 'happy',
    ROW('street ' || i, ('1' || i)::varchar(10), point(i, i))::shop.spot, point(i, -i), xmlparse(content '<p>' || i || '</p>'),
    to_tsvector('simple', 'reading ' || i), decode(md5(i::text), 'hex'), i % 2 = 0, date '2025-01-01' + i % 300
    FROM generate_series(1, 2000) i;
CREATE INDEX readings_taken_idx ON shop.readings (taken);
CREATE INDEX readings_label_idx ON shop.readings (label);

-- Long values lie outside of their rows, whether compressed or not.
CREATE TABLE shop.documents (id integer PRIMARY KEY, body text NOT NULL, scan bytea NOT NULL);
ALTER TABLE shop.documents ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO shop.documents SELECT i, repeat(md5(i::text), 700),
    decode(repeat(md5(i::text), 900), 'hex') FROM generate_series(1, 40) i;

CREATE INDEX documents_total_idx ON shop.documents (shop.total(left(body, 8)));

-- No key: equal rows are allowed.
CREATE TABLE shop.visits (page text, visitor integer);
INSERT INTO shop.visits SELECT 'page ' || i % 20, i % 50 FROM generate_series(1, 1000) i;

CREATE TABLE shop.prices (article text COLLATE "en-x-icu" PRIMARY KEY, net numeric(10, 2) NOT NULL,
    gross numeric(10, 2) GENERATED ALWAYS AS (net * 1.2) STORED, valid_from date NOT NULL DEFAULT '2025-01-01');
INSERT INTO shop.prices SELECT 'article ' || i, i * 1.5 FROM generate_series(1, 200) i;
CREATE FUNCTION shop.price_of(article text) RETURNS numeric LANGUAGE sql STABLE
    AS $$ SELECT p.gross FROM shop.prices p WHERE p.article = $1 $$;
CREATE VIEW shop.price_list AS SELECT o.id, shop.price_of('article ' || o.id) AS price FROM shop.orders o;

CREATE TABLE "Odd ""Schéma"""."empty" (id integer);
CREATE FUNCTION shop.discount(amount numeric) RETURNS numeric LANGUAGE sql AS 'SELECT amount * 0.9';
CREATE EXTENSION "uuid-ossp" SCHEMA public;
CREATE TYPE shop.span_of AS (a integer, b text);
CREATE SEQUENCE shop.invoices;
SELECT setval('shop.invoices', 4711);
INSERT INTO shop.payments SELECT i, date '2024-06-01' + i, i::numeric::money FROM generate_series(1, 100) i;
INSERT INTO public.base SELECT i, 'base ' || i FROM generate_series(1, 30) i;
INSERT INTO public.derived SELECT i, 'derived ' || i, i FROM generate_series(101, 130) i;
INSERT INTO public.scratch SELECT i FROM generate_series(1, 40) i;
INSERT INTO public.bookings SELECT i, tsrange(timestamp '2025-01-01' + i * interval '1 h',
    timestamp '2025-01-01' + (i + 1) * interval '1 h') FROM generate_series(1, 40) i;

-- Numbers of large objects that are always the same.
SELECT lo_from_bytea(90001, decode(repeat(md5('one'), 3000), 'hex')), lo_from_bytea(90002, 'short');
GRANT SELECT ON LARGE OBJECT 90001 TO reporting;
COMMENT ON LARGE OBJECT 90001 IS 'a scanned contract';

-- Beside the database: what a dump of it does not bring along.
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path TO shop, public', current_database());
    EXECUTE format('ALTER ROLE reporting IN DATABASE %I SET work_mem TO ''7MB''', current_database());
END $$;
DO $$ BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO reporting', current_database());
    EXECUTE format('ALTER DATABASE %I OWNER TO shop_owner', current_database());
    EXECUTE format('COMMENT ON DATABASE %I IS ''all of the shop''', current_database());
    EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO "Ann O''Hara" WITH GRANT OPTION', current_database());
    SET LOCAL ROLE "Ann O'Hara";
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO reporting', current_database());
    RESET ROLE;
END $$;
ALTER ROLE reporting CONNECTION LIMIT 5;
GRANT reporting TO shop_owner;
REFRESH MATERIALIZED VIEW shop.per_day;
