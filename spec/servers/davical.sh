#!/bin/sh
# DAViCal under PHP's own server with a PostgreSQL of its own on a socket: davical.sh STATE_DIR PORT.
# Users alice and bob, password secret, one calendar each. TERM stops both; PostgreSQL refuses to run as root and gets its own user then.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/watch.sh"
state=$1 port=$2
db=$state/pg sock=$state/sock
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "davical.sh: PostgreSQL is not installed" >&2; exit 1; }
mkdir -p "$state" "$sock"

if [ "$(id -u)" = 0 ]; then
  chmod 755 "$state"
  chown postgres "$sock"
  as_owner() { setpriv --reuid postgres --regid postgres --clear-groups "$@"; }
  [ -d "$db" ] || install -d -o postgres -m 700 "$db"
else
  as_owner() { "$@"; }
  mkdir -p -m 700 "$db"
fi

[ -s "$db/PG_VERSION" ] || as_owner "$bin/initdb" -D "$db" -A trust -U postgres -E UTF8 --locale=C --no-sync > "$state/initdb.log"

php=
stop() {
  trap - TERM INT EXIT
  [ -z "$php" ] || kill "$php" 2> /dev/null || true
  (cd / && as_owner "$bin/pg_ctl" -D "$db" -m immediate -w stop > /dev/null 2>&1) || true
}
trap 'stop; exit 0' TERM INT
trap stop EXIT

(cd / && as_owner "$bin/pg_ctl" -D "$db" -w -l "$sock/pg.log" \
  -o "-k $sock -c listen_addresses='' -c fsync=off -c full_page_writes=off -c shared_buffers=16MB" start > /dev/null)

# Whoever kills this script outright leaves the database to this one.
postmaster=$(head -n 1 "$db/postmaster.pid")
setsid sh -c "while kill -0 $$ 2> /dev/null; do sleep 1; done; kill -QUIT $postmaster 2> /dev/null" > /dev/null 2>&1 &

export PGHOST="$sock" PGUSER=postgres
if [ "$(psql -qAtX -d postgres -c "SELECT count(*) FROM pg_database WHERE datname = 'davical_ready'")" = 0 ]; then
  psql -qX -d postgres -c 'DROP DATABASE IF EXISTS davical' 2> /dev/null
  (cd /usr/share/davical/dba && sh ./create-database.sh davical secret > "$state/create.log" 2>&1)
  psql -qX -d davical -v ON_ERROR_STOP=1 -f "$here/davical.sql" > /dev/null
  # Its existence says that all of the above is done: a start that was cut short begins again.
  psql -qX -d postgres -c 'CREATE DATABASE davical_ready'
fi

cat > "$state/davical-conf.php" <<CONF
<?php
\$_SERVER['SERVER_NAME'] = '127.0.0.1';
\$c->domain_name = '127.0.0.1';
\$c->pg_connect[] = 'host=$sock dbname=davical user=davical_app';
\$c->system_name = 'DAViCal';
\$c->default_locale = 'en';
\$c->enable_auto_schedule = true;
\$c->hide_alarm = false;
CONF

export LUNATION_DAVICAL_STATE="$state"
cd /usr/share/davical/htdocs
php -d include_path=.:/usr/share/awl/inc:/usr/share/davical/inc:/usr/share/php -d display_errors=0 -d log_errors=0 \
  -S "127.0.0.1:$port" -t /usr/share/davical/htdocs "$here/davical.php" &
php=$!
wait "$php"
