#!/bin/sh
# sabre/dav 1.8 under PHP's own server, in the foreground: sabre.sh STATE_DIR PORT. Users alice and bob, password secret.
# This generation knows no sync-collection: it is here for the ctag way of synchronizing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/watch.sh"
mkdir -p "$1"
LUNATION_SABRE_STATE=$1
export LUNATION_SABRE_STATE
cd "$1"
exec php -d display_errors=0 -d log_errors=0 -S "127.0.0.1:$2" "$here/sabre.php"
