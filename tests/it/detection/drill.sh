#!/bin/sh
# A restore drill as many a cron table has it: every exit status has to be 0.
#
#   drill.sh BACKUP [GLOBALS]   loads the backup and looks at it: into the server
#                               that PGHOST names, or else into one of its own
#   drill.sh --copy             looks at a copy that was loaded already
set -eu
PATH=$BINARIES:$PATH
tables="shop.customers shop.orders shop.payments"

check() {
    pg_isready --quiet
    for table in $tables; do
        rows=$(psql -XqAt -v ON_ERROR_STOP=1 -c "SELECT count(*) FROM $table")
        test "$rows" -gt 0
    done
    echo ok
}

if test "$1" = --copy; then
    check
    exit
fi

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
if test -z "${PGHOST:-}"; then
    trap 'pg_ctl -D "$place/data" -m immediate stop >/dev/null; rm -rf "$place"' EXIT
    initdb -D "$place/data" --auth=trust --no-sync --username=postgres >/dev/null
    pg_ctl -D "$place/data" -l "$place/log" -w start \
        -o "-k $place -c listen_addresses= -c fsync=off" >/dev/null
    export PGHOST="$place" PGUSER=postgres
    # The role postgres is there already, so errors are passed over.
    psql -Xq -d template1 -f "${2:-/dev/null}" >/dev/null 2>&1
fi

export PGDATABASE="drill $$"
createdb --template=template0 --maintenance-db=template1 "$PGDATABASE"
case "$1" in
    *.sql) psql -Xq -v ON_ERROR_STOP=1 -f "$1" >/dev/null ;;
    *.sql.gz)
        gunzip -c "$1" >"$place/dump.sql"
        psql -Xq -v ON_ERROR_STOP=1 -f "$place/dump.sql" >/dev/null
        ;;
    *) pg_restore --dbname="$PGDATABASE" "$1" ;;
esac
check
dropdb --force --maintenance-db=template1 "$PGDATABASE"
