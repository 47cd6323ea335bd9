-- $1 is replaced by the number of events; the rest follows from it.
SET search_path = shop;
INSERT INTO customers (name, email, home, tags, since)
SELECT 'customer ' || g, 'c' || g || '@example.test', ROW('street ' || g, 'city', g::text)::address,
       ARRAY['a' || g % 7, NULL, 'ö'], date '2020-01-01' + g % 2000
FROM generate_series(1, 20000) g;
INSERT INTO orders (customer, placed, status, net, note, payload)
SELECT 1 + g % 20000, timestamptz '2025-06-01 00:00Z' + g * interval '61 s',
       (enum_range(NULL::status))[1 + g % 4], (g % 100000) / 100.0,
       CASE WHEN g % 3 = 0 THEN NULL ELSE md5(g::text) END,
       jsonb_build_object('sku', md5((g % 5000)::text), 'qty', g % 9)
FROM generate_series(1, $1 / 4) g;
INSERT INTO events (kind, at, value, digest, body)
SELECT g % 50, timestamptz '2025-01-01 00:00Z' + g * interval '7.3 s', sqrt(g), decode(md5(g::text), 'hex'),
       md5((g * 3)::text) || md5((g * 7)::text)
FROM generate_series(1, $1) g;
INSERT INTO carts SELECT g, jsonb_build_object('n', g) FROM generate_series(1, 2000) g;
SELECT count(lo_from_bytea(0, convert_to(repeat(g::text, 3000), 'UTF8'))) FROM generate_series(1, 20) g;
SELECT setval('invoice_numbers', 104730);
CREATE TRIGGER orders_noted AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note_order();
CREATE MATERIALIZED VIEW per_day AS SELECT placed::date AS day, sum(net) AS net FROM orders GROUP BY 1;
CREATE UNIQUE INDEX per_day_day ON per_day (day);
ANALYZE;
