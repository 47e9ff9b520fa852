#!/bin/sh
# Xandikos in the foreground: xandikos.sh STATE_DIR PORT. This version asks for no password; everybody is alice.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/watch.sh"
state=$1 port=$2
mkdir -p "$state/trees"
exec xandikos --directory "$state/trees" --defaults --current-user-principal /alice/ \
  --listen-address 127.0.0.1 --port "$port"
