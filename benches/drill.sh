#!/bin/sh
# What a careful administrator would put into cron: the same steps as a drill
# of an existing dump, by PostgreSQL's own programs.
#
# Usage: drill.sh BINARIES DUMP DATABASE DIRECTORY JOBS
set -eu
PATH=$1:$PATH
dump=$2 database=$3 place=$4 jobs=$5
export PGHOST="$place/sock" PGUSER=lifeboat_scratch

mkdir -p "$place/sock"
chmod 700 "$place" "$place/sock"
initdb --no-sync --data-checksums --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    --username="$PGUSER" -D "$place/data" >/dev/null
trap 'pg_ctl stop -s -m immediate -D "$place/data"; rm -rf "$place"' EXIT
pg_ctl start -s -w -D "$place/data" -l "$place/log" \
    -o "-c listen_addresses= -c archive_mode=off -c max_wal_senders=0 -c max_logical_replication_workers=0 -c ssl=off -c jit=off -k $place/sock"

psql -XqAt -v ON_ERROR_STOP=1 -d template1 -c 'create role postgres superuser'
createdb --maintenance-db=template1 --template=template0 "$database"
pg_restore --no-password --no-tablespaces --jobs="$jobs" --dbname="$database" "$dump"
vacuumdb --analyze-only --quiet --jobs="$jobs" "$database"

# It serves a read and a committed write.
psql -XqAt -v ON_ERROR_STOP=1 -d "$database" >/dev/null <<'SQL'
select count(t::text) from (select * from orders_1 limit 1) t;
begin;
create schema probe;
create table probe.probe (written bigint not null);
insert into probe.probe values (1);
commit;
select written from probe.probe;
drop table probe.probe;
drop schema probe;
SQL

# Every table holds rows.
for table in 1 2 3 4 5 6 7 8; do
    rows=$(psql -XqAt -v ON_ERROR_STOP=1 -d "$database" -c "select count(*) from orders_$table")
    [ "$rows" -ge 1 ] || { echo "orders_$table is empty" >&2; exit 1; }
done
