-- The source of `docker-compose.yml`: a small shop, and the user that drills it.
CREATE ROLE lifeboat LOGIN PASSWORD 'of-lifeboat';
GRANT CONNECT ON DATABASE shop TO lifeboat;
GRANT pg_read_all_data TO lifeboat;
CREATE SCHEMA lifeboat AUTHORIZATION lifeboat;

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    about jsonb NOT NULL
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    amount numeric(12, 2) NOT NULL CHECK (amount > 0),
    placed timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON orders (customer);

INSERT INTO customers (name, about)
SELECT 'customer ' || n, jsonb_build_object('since', 2000 + n % 25) FROM generate_series(1, 5000) n;
INSERT INTO orders (customer, amount)
SELECT 1 + n % 5000, 1 + n % 977 / 7.0 FROM generate_series(1, 100000) n;
